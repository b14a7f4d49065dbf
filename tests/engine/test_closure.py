"""A document that cannot be written is named, and changes neither decision nor rollback (DOC, RBK-5)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from rollout.context import RolloutContext
from rollout.core.clauses import PHASES, PROOF, planned
from rollout.core.errors import JournalError
from rollout.core.writes import HttpCall
from rollout.engine.closure import Closure
from rollout.engine.decision import close
from rollout.engine.rollback_closure import roll_back_and_close
from rollout.gateway.responses import Alert, Completion, Connection, Latency, Metrics
from rollout.journal.journal import Journal
from rollout.journal.record import Decision, Kind
from rollout.journal.spool import SPOOL
from tests.support.rollouts import NEW, OLD
from tests.support.stories import Calm, opened

WHY = "MON-2: error rate 8.8 % is above 5 %"
FULL = "No space left on device"
GONE = "the journal is out of reach"

WRITTEN = {
    "DOC-1": "change-record.json",
    "DOC-2": "../operations.log",
    "RBK-5.3": "post-mortem.md",
}
"""Clause -> the file that it writes, below the rollout's folder."""


class RolledBackGateway(Calm):
    """A gateway that reports the previous provider already: the rollback sends its write in any case, and is proven."""

    @contextmanager
    def allow_writes(self, _: str) -> Iterator[None]:
        """Allow writes."""
        yield

    def execute(self, call: HttpCall) -> None:
        """Carry out an activation, the one write of these rollbacks."""
        provider, model = call.path.split("/")[-2], call.body["model"]
        self.active = provider
        self.config |= {"ACTIVE_PROVIDER": provider, "LLM_MODEL_NAME": model}

    def metrics(self, _: str) -> Metrics:
        """Return counters without a request."""
        return Metrics(0, 0, 0, 0.0, Latency(None, None, None, 0), {})

    def status(self, _: str) -> Connection:
        """Return that the provider is connected."""
        return Connection("connected", "ok", None, None)

    def alerts(self, _: str) -> tuple[Alert, ...]:
        """Return that none fires."""
        return ()

    def chat(self, _: str) -> Completion:
        """Answer as the previous provider."""
        return Completion("pong", OLD.model, OLD.provider, 3, 5.0)


@pytest.fixture
def rollout(tmp_path: Path) -> RolloutContext:
    """A change that was applied, on a gateway that reports the previous provider again."""
    rollout = opened(tmp_path)
    rollout.gateway = RolledBackGateway()
    intent = rollout.append(Kind.INTENT, step="APP-1.2", direction="forward", to=str(NEW))
    rollout.append(Kind.OUTCOME, intent=intent.seq, result="done", detail="")
    return rollout


def rolled_back(rollout: RolloutContext) -> Closure:
    return roll_back_and_close(rollout, WHY, {}, {})


def kept(rollout: RolloutContext) -> Closure:
    rollout.gateway.config |= {"ACTIVE_PROVIDER": NEW.provider, "LLM_MODEL_NAME": NEW.model}
    rollout.gateway.active = NEW.provider
    for phase in PHASES:
        rollout.append(Kind.PHASE, phase=phase, passed=True, problems=[], run=rollout.run)
    return close(rollout, PHASES, (), {})


def not_applied(rollout: RolloutContext) -> Closure:
    """Let a precheck fail before anything is applied."""
    rollout = opened(rollout.folder.parent / "blocked")
    return close(rollout, PHASES, planned(PHASES), {})


def full(rollout: RolloutContext, clause: str) -> None:
    """Let the disk be full for the file of the clause."""
    path = rollout.folder / WRITTEN[clause]
    path.symlink_to("/dev/full")


def named(closure: Closure) -> dict[str, str]:
    """Return clause -> why it could not be written."""
    return {missing.split()[0]: missing.partition(": ")[2] for missing in closure.undocumented}


def outcomes(rollout: RolloutContext, *clauses: str) -> dict[str, str]:
    """Return clause -> its outcome in the journal."""
    steps = rollout.record().steps
    return {clause: steps[clause]["outcome"] for clause in clauses if clause in steps}


def break_journal(monkeypatch: pytest.MonkeyPatch, call: str, *kinds: Kind) -> None:
    """Let a call of the journal fail, for entries of these kinds; for all where none is given.

    ``append`` stands for every call that writes an entry.
    """
    names = ("append", "append_held", "append_ending") if call == "append" else (call,)
    for name in names:
        monkeypatch.setattr(Journal, name, _broken(name, getattr(Journal, name), kinds))


def _broken(name: str, original: Callable[..., Any], kinds: tuple[Kind, ...]) -> Callable[..., Any]:
    def broken(self: Journal, *args: Any, **options: Any) -> Any:
        kind = Kind.CLOSED if name == "append_ending" else next((each for each in Kind if each in args), None)
        if not kinds or kind in kinds:
            raise JournalError(GONE)
        return original(self, *args, **options)

    return broken


# On a disk with space


def test_nothing_is_missing_where_everything_was_written(rollout: RolloutContext) -> None:
    closure = rolled_back(rollout)
    assert (closure.decision, closure.undocumented) == (Decision.ROLLED_BACK, ())
    assert set(outcomes(rollout, "DOC-1", "DOC-2", "DOC-3", "RBK-5.1", "RBK-5.2", "RBK-5.3", "RBK-5.4").values()) == {
        "passed"
    }
    assert closure.next_step == f"read {rollout.folder / 'post-mortem.md'}"
    page = (rollout.folder / "change-record.md").read_text(encoding="utf-8")
    assert "NOT DOCUMENTED" not in page


def test_after_an_inconclusive_end_the_next_step_names_what_would_decide_it(rollout: RolloutContext) -> None:
    verdict = {"state": "inconclusive", "value": 0.044, "limit": 0.05, "samples": 45, "source": "users", "span": ""}
    power = "45 requests: 5 % from 31 %"
    rollout.append(
        Kind.VERDICT, clause="MON-2", **verdict, at="", message="4.4 %", decided=False, watched_s=6.0, power=power
    )
    assert rolled_back(rollout).next_step == (
        f"read {rollout.folder / 'post-mortem.md'}; or repeat it with a longer window, or with "
        "`synthetic: {power: 0.9}` under `monitor:`"
    )


# A disk that is full (DOC-1, DOC-2, RBK-5.3)


@pytest.mark.parametrize("clause", WRITTEN)
def test_a_full_disk_is_named_and_the_change_is_back_all_the_same(rollout: RolloutContext, clause: str) -> None:
    full(rollout, clause)
    closure = rolled_back(rollout)
    assert closure.decision is Decision.ROLLED_BACK
    assert closure.word == "ROLLED BACK, verified"
    assert {missing: FULL in why for missing, why in named(closure).items()} == {clause: True}
    assert outcomes(rollout, clause, *PROOF) == {clause: "failed", **dict.fromkeys(PROOF, "passed")}
    others = [rollout.folder / path for other, path in WRITTEN.items() if other != clause]
    assert all(path.stat().st_size for path in others), "one that fails does not stop the others"


@pytest.mark.parametrize("clause", ["DOC-1", "DOC-2"])
def test_a_change_that_is_kept_stays_so_whatever_cannot_be_written(rollout: RolloutContext, clause: str) -> None:
    full(rollout, clause)
    closure = kept(rollout)
    assert closure.decision is Decision.KEPT
    assert list(named(closure)) == [clause]
    assert rollout.record().decision is Decision.KEPT


def test_a_blocked_change_without_its_record_is_named(rollout: RolloutContext, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(FULL)

    monkeypatch.setattr("rollout.engine.closing_records.write_change_record", refuse)
    closure = not_applied(rollout)
    assert closure.decision is Decision.NOTHING_APPLIED
    assert named(closure) == {"DOC-1": FULL}


def test_the_next_step_does_not_lead_to_a_post_mortem_that_is_not_there(rollout: RolloutContext) -> None:
    full(rollout, "RBK-5.3")
    assert rolled_back(rollout).next_step == (
        "the post-mortem could not be drafted, so read the report of the journal: rollout report r-1"
    )


def test_the_change_record_names_the_others_that_are_missing(rollout: RolloutContext) -> None:
    full(rollout, "RBK-5.3")
    full(rollout, "DOC-2")
    rolled_back(rollout)
    undocumented = json.loads((rollout.folder / "change-record.json").read_text(encoding="utf-8"))["undocumented"]
    assert [missing.split()[0] for missing in undocumented] == ["RBK-5.3", "DOC-2"]
    assert "| NOT DOCUMENTED | DOC-2 " in (rollout.folder / "change-record.md").read_text(encoding="utf-8")


def test_a_record_that_fails_only_when_it_is_completed_is_named_too(
    rollout: RolloutContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is written again after the notifications: a disk that is full by then is named."""

    def announce(*_: object, **__: object) -> tuple[str, ...]:
        (rollout.folder / WRITTEN["DOC-1"]).unlink()
        full(rollout, "DOC-1")
        return ("a channel",)

    monkeypatch.setattr("rollout.engine.closing_records.announce", announce)
    assert list(named(rolled_back(rollout))) == ["DOC-1"]


def test_the_notification_names_what_is_missing(rollout: RolloutContext, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is apart from what was not restored: nothing is wrong with the gateway."""
    bodies: list[str] = []
    monkeypatch.setattr(
        "rollout.engine.closing_records.announce", lambda _r, _e, message, *_, **__: bodies.append(message.body) or ()
    )
    full(rollout, "RBK-5.3")
    rolled_back(rollout)
    lines = bodies[0].splitlines()
    assert "Not restored or not proven: nothing" in lines
    assert any(line.startswith("NOT DOCUMENTED: RBK-5.3 A post-mortem note is drafted: ") for line in lines)


# A journal that fails (DOC-3, RBK-5.1, RBK-5.2, RBK-5.4)


def test_a_reason_that_the_journal_did_not_take_is_not_recorded(
    rollout: RolloutContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_journal(monkeypatch, "append", Kind.ROLLBACK)
    closure = rolled_back(rollout)
    assert closure.decision is Decision.ROLLED_BACK
    assert named(closure) == {
        "RBK-5.1": f"the journal did not take it, it waits in {SPOOL}: {WHY}",
        "RBK-5.4": f"{len(rollout.journal.entries(rollout.id)) - _after_the_trail(rollout)} entries in the journal, "
        f"and 1 that it did not take wait in {SPOOL}",
    }


def _after_the_trail(rollout: RolloutContext) -> int:
    """Return how many entries follow that of RBK-5.4."""
    clauses = [entry.body.get("clause") for entry in rollout.journal.entries(rollout.id)]
    return len(clauses) - clauses.index("RBK-5.4")


def test_a_closure_that_the_journal_did_not_take_is_no_history(
    rollout: RolloutContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_journal(monkeypatch, "append", Kind.CLOSED)
    closure = rolled_back(rollout)
    assert closure.decision is Decision.ROLLED_BACK
    assert named(closure) == {"DOC-3": "the journal's history holds no decision instead of rolled_back"}


def test_a_journal_that_accepts_nothing_more_is_named_and_the_rollback_is_proven(
    rollout: RolloutContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_journal(monkeypatch, "append")
    closure = rolled_back(rollout)
    assert closure.decision is Decision.ROLLED_BACK
    assert set(named(closure)) == {"RBK-5.1", "RBK-5.4", "DOC-3"}


def test_a_journal_that_cannot_be_read_leaves_no_errors_no_trail_and_no_history(
    rollout: RolloutContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    rollout.record()
    break_journal(monkeypatch, "entries")
    closure = rolled_back(rollout)
    assert closure.decision is Decision.ROLLED_BACK
    assert named(closure) == dict.fromkeys(("RBK-5.2", "RBK-5.4", "DOC-3"), GONE)
    drafted = (rollout.folder / "post-mortem.md").read_text(encoding="utf-8")
    assert f"What the polls of the window saw cannot be read: {GONE}." in drafted
