"""The watchdog's decisions: whether to act, under which token, what it learns, and what it does when it fails."""

from __future__ import annotations

import json
import os
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from rollout.context import RolloutContext
from rollout.core.clock import format_utc
from rollout.core.errors import RolloutError
from rollout.engine import watchdog
from rollout.engine.closure import Closure
from rollout.engine.watchdog import CLOSED, GRACE_S, POLL_EVERY_S, Watch, Watchdog
from rollout.journal.chain import Entry
from rollout.journal.record import Decision, Kind
from tests.support.decisions import Faulty, applied, apply, begun, live, said, successor
from tests.support.gateways import State, down
from tests.support.rollouts import NEW, OLD, rollout_in

DIED = "the runner died"


def of(rollout: RolloutContext, pipe: int = 0) -> Watch:
    """Return the watchdog's own end, in a process of its own with the runner's lease."""
    mine = rollout_in(
        rollout.folder.parent,
        rollout.gateway,
        journal=rollout.journal,
        clock=rollout.clock,
        run="watchdog-1",
        scenario=rollout.scenario,
    )
    mine.adopt(rollout.lease)  # type: ignore[arg-type]
    mine.record()
    return Watch(mine, pipe, {})


def decision(rollout: RolloutContext) -> Decision | None:
    return rollout.record().decision


@pytest.fixture
def rollout(tmp_path: Path) -> RolloutContext:
    """A change in effect, whose runner is gone."""
    return applied(tmp_path)


@pytest.fixture
def pages(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The pages to operators."""
    found: list[str] = []

    def page(_rollout: Any, event: str, message: Any, *_: Any, **parts: Any) -> None:
        assert parts == {"everyone": True}
        found.append(f"{event}: {message.subject}\n{message.body}")

    monkeypatch.setattr(watchdog, "page", page)
    return found


# Whether it acts


def test_it_rolls_back_what_its_runner_left(rollout: RolloutContext):
    of(rollout).act(DIED)
    assert decision(rollout) is Decision.ROLLED_BACK
    assert live(rollout).state.place == str(OLD)
    assert rollout.journal.newest_token(rollout.lease_target) == 2
    assert rollout.journal.holder(rollout.lease_target) is None, "the lease is released"


@pytest.mark.parametrize("how", ["closed", "taken over", "nothing written"])
def test_it_leaves_alone_what_is_not_its_own_to_roll_back(tmp_path: Path, how: str):
    rollout = begun(tmp_path) if how == "nothing written" else applied(tmp_path)
    watch, newer = of(rollout), None
    if how == "closed":
        rollout.end(spools=False, **Closure(Decision.KEPT, "KEPT", "all passed").facts())
    elif how == "taken over":
        newer = successor(rollout).lease
    watch.act(DIED)
    assert live(rollout).writes == []
    assert rollout.journal.holder(rollout.lease_target) == newer, "its own lease is released, a newer one is not"
    assert rollout.journal.entries(rollout.id, Kind.ROLLBACK) == ()


def test_of_a_runner_that_died_after_its_verdict_it_publishes_the_verdict(rollout: RolloutContext):
    rollout.end(spools=False, **Closure(Decision.KEPT, "KEPT", "all passed").facts())
    of(rollout).act(DIED)
    assert "KEPT: openai:gpt-4o on t: all passed" in said(rollout)
    assert rollout.journal.entries(rollout.id, Kind.MANIFEST), "and its files are listed"


def test_of_two_that_saw_the_same_token_one_acts(rollout: RolloutContext, monkeypatch: pytest.MonkeyPatch):
    watch = of(rollout)
    seen = watch._is_over

    def late() -> bool:
        over = seen()
        successor(rollout)
        return over

    monkeypatch.setattr(Watch, "_is_over", lambda _self: late())
    watch.act(DIED)
    assert live(rollout).writes == []


# The last resort (broken promise 17)


@pytest.mark.parametrize("error", [RuntimeError("no"), RolloutError("no"), KeyError("no"), RecursionError("no")])
def test_whatever_its_rollback_raises_people_are_paged_and_it_tries_once_more(
    rollout: RolloutContext, monkeypatch: pytest.MonkeyPatch, pages: list[str], error: Exception
):
    original, tries = watchdog.roll_back_and_close, []

    def fails_once(*args: Any) -> Any:
        tries.append(args[1])
        if len(tries) == 1:
            raise error
        return original(*args)

    monkeypatch.setattr(watchdog, "roll_back_and_close", fails_once)
    of(rollout).act(DIED)
    assert tries == [f"watchdog: {DIED}"] * 2
    (page,) = pages
    assert f"{DIED}; the rollback ended in {type(error).__name__}: {error}; it is tried once more" in page
    assert "A PERSON IS NEEDED" in page
    assert "curl " in page, "with the commands"
    assert "tried once more" in rollout.record().findings["RBK-2.1"]
    assert decision(rollout) is Decision.ROLLED_BACK


@pytest.mark.parametrize("journal", ["answers", "is gone"])
def test_it_is_never_tried_a_third_time_and_people_are_paged_that_it_is_not(
    rollout: RolloutContext, monkeypatch: pytest.MonkeyPatch, pages: list[str], journal: str
):
    tries: list[str] = []

    def fails(_rollout: Any, why: str, *_: Any) -> None:
        tries.append(why)
        raise RuntimeError("no")

    monkeypatch.setattr(watchdog, "roll_back_and_close", fails)
    watch = of(rollout)
    if journal == "is gone":
        Faulty(watch.rollout)
    watch.act(DIED)
    assert len(tries) == 2
    first, second = pages
    assert "it is tried once more" in first
    assert "it is not tried again" in second
    assert first.partition(":")[0] != second.partition(":")[0], "a channel gets each event once"
    if journal == "answers":
        assert "it is not tried again" in rollout.record().findings["RBK-2.1"]


def test_a_page_that_fails_too_stops_neither_the_entry_nor_the_second_try(
    rollout: RolloutContext, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    tries: list[str] = []

    def fails(_rollout: Any, why: str, *_: Any) -> None:
        tries.append(why)
        raise RuntimeError("no")

    def broken(*_: Any, **__: Any) -> None:
        raise ValueError("no channel")

    monkeypatch.setattr(watchdog, "roll_back_and_close", fails)
    monkeypatch.setattr(watchdog, "page", broken)
    of(rollout).act(DIED)
    assert len(tries) == 2
    assert "it is not tried again" in rollout.record().findings["RBK-2.1"]
    assert "the page failed: ValueError('no channel')" in capsys.readouterr().err


def test_an_entry_that_fails_stops_neither_the_page_nor_the_second_try(
    rollout: RolloutContext, monkeypatch: pytest.MonkeyPatch, pages: list[str]
):
    def fails(*_: Any) -> None:
        raise RuntimeError("no")

    monkeypatch.setattr(watchdog, "roll_back_and_close", fails)
    monkeypatch.setattr(RolloutContext, "append_or_spool", fails)
    of(rollout).act(DIED)
    assert len(pages) == 2


def test_a_backup_that_cannot_be_read_stops_the_rollback_and_not_the_page(rollout: RolloutContext, pages: list[str]):
    """The rollback's manual commands need it too: the page is sent with the command that reads."""
    watch = of(rollout)
    rollout.journal.append(rollout.id, Kind.COUNTERS, {})
    watch.rollout.record().backup = {"previous": "not what it was"}
    Faulty(watch.rollout)
    watch.act(DIED)
    assert len(pages) == 1
    assert "the journal's entry of the backup cannot be read" in pages[0]
    assert "curl " in pages[0]
    assert live(rollout).writes == []


# Without a journal (safety rule 4)


def test_it_asks_a_journal_for_its_grace_and_acts_if_it_answers_within(rollout: RolloutContext):
    watch = of(rollout)
    faulty = Faulty(watch.rollout)
    rollout.clock.later(GRACE_S - 1, faulty.broken.clear)  # type: ignore[attr-defined]
    watch.act(DIED)
    assert decision(rollout) is Decision.ROLLED_BACK
    assert rollout.journal.newest_token(rollout.lease_target) == 2, "as the newest owner, not from memory"


def test_as_the_sole_owner_it_rolls_back_from_memory(rollout: RolloutContext):
    watch = of(rollout)
    Faulty(watch.rollout)
    began_s = rollout.clock.monotonic()
    watch.act(DIED)
    assert rollout.clock.monotonic() - began_s >= GRACE_S
    assert live(rollout).state.place == str(OLD)
    assert watch.rollout.last_known_record().decision is Decision.ROLLED_BACK


def test_a_gateway_that_reports_the_previous_provider_is_still_its_own(rollout: RolloutContext):
    """The previous provider is no third value: the rollback is sent and proven in any case."""
    live(rollout).state = State()
    watch = of(rollout)
    Faulty(watch.rollout)
    watch.act(DIED)
    assert watch.rollout.last_known_record().decision is Decision.ROLLED_BACK


@pytest.mark.parametrize("how", ["lease", "third value", "other model", "gateway down"])
def test_where_it_is_not_the_sole_owner_it_touches_nothing_and_pages(
    rollout: RolloutContext, pages: list[str], how: str
):
    watch = of(rollout)
    Faulty(watch.rollout)
    if how == "lease":
        rollout.clock.wait(50)
    elif how == "gateway down":
        live(rollout).fails["providers"] = down()
    else:
        live(rollout).state = State("vllm", "x") if how == "third value" else State(NEW.provider, "gpt-5")
    watch.act(DIED)
    assert live(rollout).writes == []
    (page,) = pages
    why = {
        "lease": "its lease has run out",
        "gateway down": "nothing listens there",
        "third value": "vllm:x is active, which is neither what it applied nor what was active before",
        "other model": "openai:gpt-5 is active, which is neither",
    }[how]
    assert why in page
    assert "nothing was touched" in page


@pytest.mark.parametrize("how", ["nothing written", "closed"])
def test_without_a_journal_what_memory_holds_as_over_is_left_alone(tmp_path: Path, pages: list[str], how: str):
    rollout = begun(tmp_path) if how == "nothing written" else applied(tmp_path)
    if how == "closed":
        rollout.end(spools=False, decision=Decision.KEPT, why="all passed")
    watch = of(rollout)
    Faulty(watch.rollout)
    watch.act(DIED)
    assert (live(rollout).writes, pages, watch.rollout.unwritten) == ([], [], [])


# What it learns over the pipe, and the closing line


class _Child:
    """A watchdog's process as its runner has it: the write end of a pipe."""

    def __init__(self, write: int) -> None:
        self.stdin = os.fdopen(write, "wb", buffering=0)


@pytest.fixture
def ends(tmp_path: Path) -> tuple[Watchdog, Watch, RolloutContext]:
    """Both ends of the pipe, over a rollout that has not written yet."""
    read, write = os.pipe()
    rollout = begun(tmp_path)
    watch = of(rollout, read)
    return Watchdog(_Child(write), rollout), watch, rollout  # type: ignore[arg-type]


def test_it_learns_of_each_write_over_the_pipe(ends: tuple[Watchdog, Watch, RolloutContext]):
    """A journal that lost its last entries holds no write: it rolls back the write that its runner sent it."""
    runner, watch, rollout = ends
    apply(rollout)
    live(rollout).writes.clear()
    runner._pipe.close()
    assert watch._read_last_line() == b""
    (write,) = watch.rollout._known.writes  # type: ignore[union-attr]
    assert (write.to, write.result) == (str(NEW), "done")
    assert watch.rollout.journal._seen.head == rollout.journal.head()
    Faulty(watch.rollout)
    watch.act(DIED)
    assert live(rollout).state.place == str(OLD)


@pytest.mark.parametrize("last", [b"", CLOSED])
def test_half_a_line_of_a_runner_that_died_is_skipped(ends: tuple[Watchdog, Watch, RolloutContext], last: bytes):
    """Or of one whose pipe was full: its closing line is joined to the half line, so it counts as dead."""
    runner, watch, rollout = ends
    apply(rollout)
    runner._send(b'{"seq": 9, "at": "2026' + last)
    runner._pipe.close()
    assert watch._read_last_line() == b""
    assert len(watch.rollout._known.writes) == 1  # type: ignore[union-attr]


def test_a_pipe_without_a_closing_line_means_that_the_runner_died(ends: tuple[Watchdog, Watch, RolloutContext]):
    runner, watch, rollout = ends
    apply(rollout)
    runner._pipe.close()
    watch.run()
    assert decision(rollout) is Decision.ROLLED_BACK
    assert "watchdog: the runner died: its pipe closed without a word" in str(rollout.record().closed)


def test_a_runner_that_sends_closed_leaves_nothing_to_watch(
    ends: tuple[Watchdog, Watch, RolloutContext], pages: list[str]
):
    runner, watch, rollout = ends
    apply(rollout)
    runner.dismiss()
    watch.run()
    assert decision(rollout) is None
    assert pages == []
    assert live(rollout).state.place == str(NEW)


def test_what_was_written_before_the_closing_line_is_learnt(ends: tuple[Watchdog, Watch, RolloutContext]):
    runner, watch, rollout = ends
    apply(rollout)
    runner.dismiss()
    assert watch._read_last_line() == CLOSED
    assert watch.rollout._known.wrote  # type: ignore[union-attr]


def test_while_the_runner_lives_its_lease_is_kept(
    ends: tuple[Watchdog, Watch, RolloutContext], monkeypatch: pytest.MonkeyPatch
):
    runner, watch, rollout = ends
    waits: list[float] = []

    def nothing_yet(*args: Any) -> Any:
        waits.append(args[-1])
        rollout.clock.wait(args[-1])
        if len(waits) == 8:
            runner.dismiss()
        return ([0] if len(waits) == 8 else [], [], [])

    monkeypatch.setattr(watchdog.select, "select", nothing_yet)
    assert watch._read_last_line() == CLOSED
    assert watch.rollout.lease_runs()
    assert rollout.clock.monotonic() > 100


def test_a_journal_that_fails_or_a_newer_token_does_not_end_the_watch(rollout: RolloutContext):
    watch = of(rollout)
    faulty = Faulty(watch.rollout)
    rollout.clock.wait(15)
    watch._keep_lease()
    faulty.broken.clear()
    successor(rollout)
    watch._keep_lease()
    assert watch.rollout.successor is not None


# After a handover


def test_after_a_handover_it_acts_at_the_deadline_and_not_before(ends: tuple[Watchdog, Watch, RolloutContext]):
    runner, watch, rollout = ends
    apply(rollout)
    due = rollout.clock.now() + timedelta(seconds=300)
    rollout.hold_lease(300)
    runner.hand_over(due)
    watch.run()
    assert 0 <= (rollout.clock.now() - due).total_seconds() < 60
    assert f"the change was not confirmed by {format_utc(due)}" in str(rollout.record().closed)


@pytest.mark.parametrize("how", ["newer token", "closed"])
def test_after_a_handover_it_leaves_when_another_process_decides(
    ends: tuple[Watchdog, Watch, RolloutContext], how: str
):
    runner, watch, rollout = ends
    apply(rollout)
    live(rollout).writes.clear()

    def taken() -> None:
        if how == "newer token":
            successor(rollout)
        else:
            rollout.end(spools=False, decision=Decision.KEPT, why="all passed")

    rollout.clock.later(30, taken)  # type: ignore[attr-defined]
    runner.hand_over(rollout.clock.now() + timedelta(seconds=300))
    watch.run()
    assert rollout.clock.monotonic() <= 30 + POLL_EVERY_S + 10
    assert live(rollout).writes == []


def test_a_journal_that_is_away_for_a_while_before_the_deadline_ends_no_watch(
    ends: tuple[Watchdog, Watch, RolloutContext],
):
    runner, watch, rollout = ends
    apply(rollout)
    faulty = Faulty(watch.rollout)
    rollout.clock.later(100, faulty.broken.clear)  # type: ignore[attr-defined]
    rollout.hold_lease(300)
    runner.hand_over(rollout.clock.now() + timedelta(seconds=300))
    watch.run()
    assert decision(rollout) is Decision.ROLLED_BACK


# The runner's end


def test_a_watchdog_that_does_not_read_does_not_block_the_runner(tmp_path: Path):
    """It is paused, and its pipe is full."""
    read, write = os.pipe()
    rollout = begun(tmp_path)
    runner = Watchdog(_Child(write), rollout)  # type: ignore[arg-type]
    entry = Entry(1, "r-1", "noon", Kind.INTENT, {"to": "x" * 60_000}, "", "")
    done = threading.Event()

    def send() -> None:
        for _ in range(4):
            runner.send_entry(entry)
        done.set()

    threading.Thread(target=send, daemon=True).start()
    assert done.wait(10)
    os.close(read)


def test_a_watchdog_that_is_gone_stops_no_write(tmp_path: Path):
    read, write = os.pipe()
    rollout = begun(tmp_path)
    Watchdog(_Child(write), rollout)  # type: ignore[arg-type]
    os.close(read)
    apply(rollout)
    assert live(rollout).state.place == str(NEW)


def test_only_intents_and_outcomes_go_over_the_pipe(ends: tuple[Watchdog, Watch, RolloutContext]):
    runner, watch, rollout = ends
    apply(rollout)
    rollout.append(Kind.PHASE, phase="apply", passed=True, problems=[], run=rollout.run)
    runner._pipe.close()
    kinds = [json.loads(line)["kind"] for line in os.read(watch.pipe, 65536).splitlines()]
    assert kinds == [Kind.INTENT, Kind.OUTCOME]


def test_a_watchdog_that_fails_itself_pages_people(rollout: RolloutContext, pages: list[str]):
    """It does not end without a page: an invalid closing line would leave the change unattended."""
    read, write = os.pipe()
    os.write(write, b"tomorrow\n")
    of(rollout, read).run()
    os.close(read)
    os.close(write)
    assert len(pages) == 1
    assert decision(rollout) is None
