"""An operator holds the automatic rollback: for how long, which breaches are held, and which are not."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from rollout.cli.main import main
from rollout.context import RolloutContext
from rollout.core.errors import JournalError, RolloutError
from rollout.core.policy import Policy
from rollout.gateway.responses import Connection
from rollout.journal.record import Kind, RolloutRecord
from rollout.monitoring.hold import HoldDecision, describe_holds, in_force, of_record, place, release
from rollout.monitoring.live_heading import Heading
from rollout.monitoring.live_page import Page
from rollout.monitoring.live_view import Log
from rollout.monitoring.sources.registry import Source
from rollout.monitoring.verdict import State, Verdict
from rollout.monitoring.window import watch
from rollout.monitoring.window_result import WindowResult
from rollout.reporting.documents import describe_hold
from rollout.reporting.html.verdict import Verdict as Standing
from rollout.reporting.html.verdict import facts, timeline
from tests.support.clocks import BEGINNING
from tests.support.journaled import JournaledRollout
from tests.support.rollouts import rollout_in
from tests.support.services import leave_services
from tests.support.windows import context

MINUTE = 60.0


@pytest.fixture
def rollout(tmp_path: Path) -> RolloutContext:
    """A rollout in flight, whose policy allows half an hour."""
    made = rollout_in(tmp_path)
    made.journal.append(made.id, Kind.OPENED, {"policy": {"name": "x", "hold_at_most_s": 1800.0}})
    made.journal.append(made.id, Kind.INTENT, {"step": "APP-1.2", "direction": "forward", "to": "openai:gpt-4o"})
    return made


def held(rollout: RolloutContext, for_s: float = 900.0, reason: str = "the vendor is looking") -> None:
    place(rollout.journal, rollout.record(), by="alice", reason=reason, for_s=for_s)


def released(rollout: RolloutContext) -> None:
    release(rollout.journal, rollout.record(), by="bob", reason="they found it")


def breach(clause: str = "MON-2", source: str = "users") -> Verdict:
    return Verdict(clause, State.BREACHED, 0.2, 0.05, 100, source, "the window", "2026-11-23T12:00:00.000Z", "too many")


def later(rollout: RolloutContext, seconds: float) -> None:
    rollout.clock.advance(seconds)  # type: ignore[attr-defined]


# In force


def test_a_hold_is_in_force_until_its_time_and_not_a_moment_longer(rollout: RolloutContext) -> None:
    assert of_record(rollout.record(), rollout.clock.now()) is None
    held(rollout)
    record = rollout.record()
    hold = of_record(record, BEGINNING)
    assert str(hold) == "held by alice until 2026-11-23T12:15:00.000Z: the vendor is looking"
    assert of_record(record, BEGINNING + timedelta(seconds=899.9)) is not None
    assert of_record(record, BEGINNING + timedelta(seconds=900)) is None


def test_the_latest_word_counts(rollout: RolloutContext) -> None:
    held(rollout)
    released(rollout)
    assert of_record(rollout.record(), BEGINNING) is None
    held(rollout, for_s=60, reason="again")
    found = of_record(rollout.record(), BEGINNING)
    assert found is not None
    assert found.reason == "again"


def test_whatever_an_entry_says_the_policy_ends_it() -> None:
    forever = {
        "kind": "hold",
        "by": "a",
        "reason": "b",
        "until": "2099-01-01T00:00:00.000Z",
        "at": "2026-11-23T12:00:00Z",
    }
    assert in_force([forever], BEGINNING + timedelta(seconds=59), 60.0) is not None
    assert in_force([forever], BEGINNING + timedelta(seconds=60), 60.0) is None


@pytest.mark.parametrize(
    ("for_s", "reason", "says"),
    [
        (1800.001, "x", "30m can|at most 30m"),
        (0.0, "x", "above zero"),
        (-5.0, "x", "above zero"),
        (60.0, " ", "needs a reason"),
    ],
)
def test_a_hold_that_is_too_long_or_says_no_reason_is_refused(
    rollout: RolloutContext, for_s: float, reason: str, says: str
) -> None:
    with pytest.raises(RolloutError, match=says):
        held(rollout, for_s=for_s, reason=reason)
    assert rollout.record().holds == []


def test_there_is_nothing_to_hold_before_the_change_and_after_the_closure(rollout: RolloutContext) -> None:
    fresh = RolloutRecord("r-2")
    with pytest.raises(RolloutError, match="not applied; there is no rollback to hold"):
        place(rollout.journal, fresh, by="alice", reason="x", for_s=60)
    rollout.journal.append(rollout.id, Kind.CLOSED, {"decision": "kept"})
    with pytest.raises(RolloutError, match=r"closed \(kept\); there is no rollback to hold"):
        held(rollout)


def test_a_release_without_a_hold_is_refused(rollout: RolloutContext) -> None:
    with pytest.raises(RolloutError, match="is not held"):
        released(rollout)


# The decision of a window


def test_a_breach_is_held_and_kept_once_for_each_hold(rollout: RolloutContext) -> None:
    hold_decision = HoldDecision(rollout)
    assert not hold_decision.holds(breach())
    held(rollout)
    assert [hold_decision.holds(breach()) for _ in range(3)] == [True] * 3
    assert hold_decision.holds(breach("MON-3"))
    kept = [hold for hold in rollout.record().holds if hold["kind"] == Kind.HELD]
    assert [(hold["clause"], hold["message"]) for hold in kept] == [("MON-2", "too many"), ("MON-3", "too many")]
    assert describe_holds(rollout.record()).startswith(
        "MON-2 was breached at 2026-11-23T12:00:00.000Z and held by alice until"
    )


def test_a_hold_that_ended_holds_nothing(rollout: RolloutContext) -> None:
    hold_decision = HoldDecision(rollout)
    held(rollout, for_s=60)
    later(rollout, 60)
    assert not hold_decision.holds(breach())
    held(rollout, for_s=60)
    released(rollout)
    assert not hold_decision.holds(breach())


def test_an_operators_abort_is_never_held(rollout: RolloutContext) -> None:
    held(rollout)
    assert not HoldDecision(rollout).holds(breach("MON-5", "operator"))
    assert HoldDecision(rollout).holds(breach("MON-5", "log"))


def test_a_journal_that_cannot_be_read_or_written_holds_nothing(
    rollout: RolloutContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    held(rollout)

    def refuse(*_: Any, **__: Any) -> None:
        raise JournalError("it is gone")

    with monkeypatch.context() as patch:
        patch.setattr(type(rollout), "append", refuse)
        assert not HoldDecision(rollout).holds(breach())
    with monkeypatch.context() as patch:
        patch.setattr(type(rollout.journal), "entries", refuse)
        assert not HoldDecision(rollout).holds(breach())


def test_the_operator_is_heard_during_a_hold(rollout: RolloutContext) -> None:
    hold_decision = HoldDecision(rollout)
    assert (hold_decision.abort_asked(), hold_decision.describe()) == (None, None)
    held(rollout)
    rollout.journal.append(rollout.id, Kind.ABORT, {"by": "carol", "reason": "enough"})
    assert hold_decision.abort_asked() == "carol: enough"
    assert str(hold_decision.describe()).startswith("held by alice until")


# A window that is held


def window(rollout: RolloutContext, statuses: dict[float, str], for_s: float | None = None) -> WindowResult:
    """Watch a status that changes at these seconds, while a hold may be in force."""
    hold_decision, clock = HoldDecision(rollout), rollout.clock
    began = clock.monotonic()

    def status() -> Connection:
        now_s = clock.monotonic() - began
        return Connection(next(word for at, word in reversed(statuses.items()) if at <= now_s + 1e-6))

    return watch(
        [Source("status", 10.0, status), Source("operator", 2.0, hold_decision.abort_asked)],
        context(),
        clock=clock,
        stop=rollout.stop,
        window_s=120.0,
        for_s=for_s,
        on_sample=lambda _: None,
        on_verdicts=lambda *_: None,
        start=lambda work: work(),
        holds=hold_decision.holds,
    )


def test_without_a_hold_the_breach_ends_the_window(rollout: RolloutContext) -> None:
    assert window(rollout, {0: "connected", 20: "offline"}).watched_s == 21.0


def test_a_breach_that_still_stands_when_the_hold_ends_ends_the_window(rollout: RolloutContext) -> None:
    held(rollout, for_s=60)
    watched = window(rollout, {0: "connected", 20: "offline"})
    assert watched.breach is not None
    assert (watched.breach.clause, watched.watched_s) == ("MON-1", 60.0)


def test_a_breach_that_stands_at_a_release_ends_the_window_within_seconds(rollout: RolloutContext) -> None:
    held(rollout)
    rollout.clock.later(45.0, lambda: released(rollout))  # type: ignore[attr-defined]
    watched = window(rollout, {0: "connected", 20: "offline"})
    assert watched.breach is not None
    assert 45.0 <= watched.watched_s <= 47.0


def test_a_hold_does_not_outlast_the_window(rollout: RolloutContext) -> None:
    held(rollout)
    watched = window(rollout, {0: "connected", 20: "offline"})
    assert watched.breach is not None
    assert (watched.breach.clause, watched.breach.state, watched.watched_s) == ("MON-1", State.BREACHED, 120.0)


def test_a_hold_does_not_outlast_the_call_that_watches(rollout: RolloutContext) -> None:
    held(rollout)
    watched = window(rollout, {0: "connected", 20: "offline"}, for_s=50.0)
    assert watched.breach is not None
    assert (watched.breach.clause, watched.watched_s, watched.left_s) == ("MON-1", 50.0, 0.0)


def test_a_breach_that_is_over_when_the_hold_ends_ends_nothing_and_is_reported(rollout: RolloutContext) -> None:
    held(rollout, for_s=60)
    watched = window(rollout, {0: "connected", 20: "offline", 40: "connected"})
    assert (watched.breach, watched.verdicts[0].state) == (None, State.HOLDING)
    assert describe_holds(rollout.record()).startswith("MON-1 was breached")


def test_a_hold_keeps_neither_an_abort_nor_a_signal_from_ending_the_window(rollout: RolloutContext) -> None:
    held(rollout)
    body = {"by": "carol", "reason": "enough"}
    rollout.clock.later(31.0, lambda: rollout.journal.append(rollout.id, Kind.ABORT, body))  # type: ignore[attr-defined]
    watched = window(rollout, {0: "connected", 20: "offline"})
    assert watched.breach is not None
    assert (watched.breach.clause, watched.breach.source, watched.watched_s) == ("MON-5", "operator", 32.0)
    rollout.stop.set("SIGTERM")
    interrupted = window(rollout, {0: "connected"})
    assert (interrupted.interrupted, interrupted.watched_s) == ("SIGTERM", 0.0)


# The views

HEADING = Heading("r-1", "production", "ollama:llama3", "openai:gpt-4o", None, 1800.0)
WORDS = "held by alice until 2026-11-23T12:15:00.000Z: the vendor is looking"
SHOWN = "held by alice until 2026-11-23T12:15:00Z: the vendor is looking"


def lines_of(page: Page, width: int) -> list[str]:
    return [line for line, _ in page.styled(width)]


def test_the_page_says_loudly_who_holds_and_what_is_not_rolled_back() -> None:
    page = Page(HEADING)
    page.hold = WORDS
    assert f"THE ROLLBACK IS {SHOWN}" in " ".join(lines_of(page, 80))
    page.update((breach(), replace(breach("MON-3"), state=State.HOLDING)), 60.0)
    assert f"MON-2 BREACHED AND NOT ROLLED BACK: {SHOWN}" in " ".join(lines_of(page, 80))
    page.hold = None
    assert "ROLLED BACK" not in " ".join(lines_of(page, 80))


def test_the_log_says_it_once_again_every_minute_and_when_it_is_over(rollout: RolloutContext) -> None:
    stream = io.StringIO()
    log = Log(stream, HEADING, rollout.clock)
    start = len(stream.getvalue().splitlines())
    for now_s, words, verdict in (
        (1.0, WORDS, replace(breach(), state=State.HOLDING)),
        (2.0, WORDS, replace(breach(), state=State.HOLDING)),
        (3.0, WORDS, breach()),
        (61.0, WORDS, breach()),
        (62.0, None, breach()),
    ):
        log.held(words)
        log.verdicts((verdict,), now_s)
    lines = [line.split(" ", 1)[1] for line in stream.getvalue().splitlines()[start:]]
    assert lines[0] == f"THE ROLLBACK IS {SHOWN}"
    assert lines[1] == f"MON-2 BREACHED AND NOT ROLLED BACK: {SHOWN}"
    assert lines[2].startswith("MON-2 holding → breached")
    assert f"MON-2 BREACHED AND NOT ROLLED BACK: {SHOWN}" in lines[3]
    assert lines[3].endswith("to do: mend what breaches MON-2 before the hold ends, or it rolls back")
    assert lines[4] == "the rollback is not held any more: a breach rolls back at once"


def test_each_entry_reads_as_a_sentence(rollout: RolloutContext) -> None:
    held(rollout)
    HoldDecision(rollout).holds(breach())
    released(rollout)
    sentences = [describe_hold(hold) for hold in rollout.record().holds]
    at = "2026-11-23T12:00:00.000Z"
    assert sentences == [
        f"{at} held by alice until 2026-11-23T12:15:00.000Z: the vendor is looking",
        f"{at} MON-2 breached and not rolled back, {WORDS}: too many",
        f"{at} released by bob: they found it",
    ]


# The command


def command(rollout: RolloutContext, *args: str) -> int:
    return main(["hold", f"--reports={rollout.folder.parent}", *args])


def test_the_command_holds_and_releases(
    rollout: RolloutContext, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    leave_services(monkeypatch)
    monkeypatch.setattr("getpass.getuser", lambda: "alice")
    opening = {"policy": {"hold_at_most_s": 1800.0}, "change": "x", "target": {"name": "t"}, "url": "u", "author": "a"}
    rollout.journal.append(rollout.id, Kind.OPENED, opening)
    assert command(rollout, "--for", "15m", "--reason", "the vendor is looking") == 0
    assert "r-1 is held by alice until" in capsys.readouterr().out
    assert main(["status", f"--reports={rollout.folder.parent}"]) == 0
    assert "hold    the rollback is held by alice until" in capsys.readouterr().out
    assert command(rollout, "--release") == 0
    assert [hold["until"] is None for hold in rollout.record().holds] == [False, True]


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("--for", "1h", "--reason", "x"), "1h cannot be held"),
        (("--for", "soon", "--reason", "x"), "--for: 'soon' is not a duration"),
        (("--for", "15", "--reason", "x"), "--for: '15' has no unit; write 15s if seconds are meant"),
        (("--for", "15m"), "needs a reason"),
        (("--release",), "is not held"),
    ],
)
def test_a_mistake_is_one_line(
    rollout: RolloutContext, args: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(rollout, *args) == 4
    assert says in capsys.readouterr().err
    assert rollout.record().holds == []


def test_the_procedures_maximum_is_the_default() -> None:
    assert Policy("production").hold_at_most_s == 30 * MINUTE


def test_the_report_shows_who_held_what_and_the_diagnosis(tmp_path: Path) -> None:
    with JournaledRollout(tmp_path) as story:
        story.begins("run-1")
        story.rollout.append(Kind.HOLD, by="alice", reason="the vendor is looking", until="2026-11-23T12:15:00.000Z")
        story.rollout.append(Kind.HELD, clause="MON-1", message="it is offline", hold=WORDS)
        story.rollout.append(Kind.HOLD, by="bob", reason="they found it", until=None)
        story.rollout.append(Kind.DIAGNOSIS, text="openai looks like: key missing\ntry: set it")
        page = "; ".join(facts(story.story, Standing("KEPT", "", "passed"), []).values())
        steps = [(step["status"], step["name"].split("Z ", 1)[1]) for step in timeline(story.story)]
    assert "openai looks like: key missing; try: set it" in page
    assert f"MON-1 breached and not rolled back, {WORDS}: it is offline" in page
    assert steps[-3:] == [
        ("broken", "the rollback is held by alice until 2026-11-23T12:15:00.000Z: the vendor is looking"),
        ("broken", f"MON-1 breached and not rolled back, {WORDS}: it is offline"),
        ("passed", "the hold is released by bob: they found it"),
    ]
