"""`rollout watch`: what it prints of a rollout that runs elsewhere, and the exit code it ends with."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest

from rollout.cli.main import main
from rollout.cli.watch import EVERY_S, RolloutWatcher
from rollout.core.clock import NEVER, StopFlag
from rollout.core.errors import JournalError
from rollout.journal.record import Decision, Kind
from tests.support.clocks import SimulatedClock
from tests.support.journaled import JournaledRollout
from tests.support.windows import BACKUP


class Acting(SimulatedClock):
    """A clock at each of whose waits something happens in the rollout that is watched."""

    def __init__(self) -> None:
        super().__init__()
        self.acts: list[Callable[[], object]] = []

    def wait(self, seconds: float, stop: StopFlag = NEVER) -> bool:
        """Let the next thing happen."""
        if seconds == EVERY_S:
            self.acts.pop(0)()
        return super().wait(seconds, stop)


@pytest.fixture
def journaled(in_memory: Path) -> JournaledRollout:
    """A rollout whose change is applied, before its window."""
    journaled = JournaledRollout(in_memory, clock=Acting())
    journaled.begins("run-1")
    journaled.rollout.append(Kind.BACKUP, **BACKUP.record())
    journaled.baseline()
    journaled.rollout.take_lease()
    journaled.writes("APP-1.2", "forward", "openai:gpt-4o")
    return journaled


def watched(journaled: JournaledRollout, *acts: Callable[[], object]) -> tuple[int, list[str]]:
    """Watch while these things happen, one at each look, and return the exit code and what was printed."""
    assert isinstance(journaled.clock, Acting)
    journaled.clock.acts = list(acts)
    printed = io.StringIO()
    code = RolloutWatcher(journaled.rollout.journal, "r-1", printed, journaled.clock).watch()
    assert journaled.clock.acts == [], "it ended before everything had happened"
    return code, printed.getvalue().splitlines()


def test_a_window_is_shown_as_its_own_process_shows_it_and_then_its_end(journaled: JournaledRollout) -> None:
    def roll_back() -> None:
        journaled.rollout.append(Kind.ROLLBACK, reason="MON-2: too many")
        journaled.writes("RBK-2.1", "back", "ollama:llama3")

    with journaled:
        code, printed = watched(
            journaled,
            lambda: journaled.window(seconds=30, failing_from=5),
            roll_back,
            lambda: journaled.closes(Decision.ROLLED_BACK, "ROLLED BACK, verified", "MON-2: too many"),
        )
    assert code == 10
    text = "\n".join(printed)
    order = [
        "opened by alice",
        "APP-1.2 activate openai:gpt-4o: done",
        "watching ollama:llama3 → openai:gpt-4o on t for 30 min, ticket T-1",
        "stop: Ctrl-C ends this view only; to roll back, run: rollout abort r-1",
        "rollback begins: MON-2: too many",
        "RBK-2.1 roll back: activate ollama:llama3: done",
        "ROLLED BACK, verified: MON-2: too many",
    ]
    places = [text.find(words) for words in order]
    assert -1 not in places, f"{order[places.index(-1)]!r} is missing in\n{text}"
    assert places == sorted(places), text
    assert sum("ROLLED BACK, verified" in line for line in printed) == 1


@pytest.mark.parametrize(
    ("decision", "code"),
    [
        (Decision.KEPT, 0),
        (Decision.NOTHING_APPLIED, 1),
        (Decision.ROLLED_BACK, 10),
        (Decision.ROLLBACK_FAILED, 11),
    ],
)
def test_the_exit_code_is_that_of_the_decision(
    journaled: JournaledRollout, decision: Decision, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with journaled:
        journaled.closes(decision, "THE WORD", "because")
    assert main(["watch", "r-1", f"--reports={journaled.rollout.folder.parent}"]) == code
    assert capsys.readouterr().out.splitlines()[-1] == "THE WORD: because"


def test_a_change_whose_evidence_is_owed_ends_the_view(journaled: JournaledRollout) -> None:
    with journaled:
        journaled.rollout.append(Kind.EVIDENCE, missing=["report.html"], due="2026-11-23T13:00:00.000Z")
        code, printed = watched(journaled)
    assert (code, printed[-1]) == (12, "KEPT, EVIDENCE OWED: report.html")


def test_a_write_is_printed_with_its_outcome_or_with_what_comes_after_it(journaled: JournaledRollout) -> None:
    with journaled:
        code, printed = watched(
            journaled,
            lambda: journaled.writes("APP-2.1", "forward", "LOG_LEVEL=debug", result=None),
            lambda: journaled.closes(Decision.ROLLBACK_FAILED, "ROLLBACK FAILED", "the process died"),
        )
    assert code == 11
    assert sum("LOG_LEVEL=debug: no outcome is known" in line for line in printed) == 1, printed


def test_a_write_waits_for_its_outcome(journaled: JournaledRollout) -> None:
    rollout, seqs = journaled.rollout, list[int]()
    with journaled:
        _, printed = watched(
            journaled,
            lambda: seqs.append(rollout.append(Kind.INTENT, step="APP-2.1", direction="forward", to="A=1").seq),
            lambda: rollout.append(Kind.OUTCOME, intent=seqs[0], result="done", detail=""),
            lambda: journaled.closes(Decision.KEPT, "KEPT", "every clause of the plan passed"),
        )
    assert [line.partition("Z ")[2] for line in printed if "A=1" in line] == ["APP-2.1 write A=1: done"]


def test_a_rollout_that_no_process_has_in_its_hands_is_named_with_the_command(journaled: JournaledRollout) -> None:
    with journaled:
        journaled.clock.wait(3600)
        _, printed = watched(
            journaled,
            lambda: None,
            lambda: journaled.closes(Decision.ROLLED_BACK, "ROLLED BACK, verified", "recover"),
        )
    said = [line for line in printed if line.endswith("; roll it back: rollout recover")]
    assert said == ["its lease has run out: its runner and its watchdog are gone; roll it back: rollout recover"]


def test_a_journal_that_cannot_be_read_is_said_once_and_tried_again(
    journaled: JournaledRollout, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        def entries(*_: object, **__: object) -> object:
            raise JournalError("it is locked")

        monkeypatch.setattr(journaled.rollout.journal, "entries", entries)

    def mend() -> None:
        monkeypatch.undo()
        journaled.closes(Decision.KEPT, "KEPT", "every clause of the plan passed")

    with journaled:
        code, printed = watched(journaled, fail, lambda: None, mend)
    assert code == 0
    assert [line for line in printed if "locked" in line] == [
        "the journal cannot be read, and is tried again: it is locked"
    ]


def test_ctrl_c_ends_the_view_and_not_the_rollout(
    journaled: JournaledRollout, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("rollout.cli.watch.RolloutWatcher.read_new_entries", interrupt)
    with journaled:
        assert main(["watch", "r-1", f"--reports={journaled.rollout.folder.parent}"]) == 2
        assert journaled.rollout.record().abort is None
    assert "r-1 goes on, and `rollout abort r-1` rolls it back" in capsys.readouterr().out


def test_a_rollout_that_is_unknown_is_refused(journaled: JournaledRollout, capsys: pytest.CaptureFixture[str]) -> None:
    with journaled:
        assert main(["watch", "r-9", f"--reports={journaled.rollout.folder.parent}"]) == 4
    assert "there is no rollout 'r-9'; `rollout status --all` lists them" in capsys.readouterr().err
