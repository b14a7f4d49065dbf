"""A run that went on after it had lost its target shows in the journal, and so does a rollout that ended twice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rollout.audit.verification import Question, examine
from rollout.cli.main import main
from rollout.journal.journal import Journal
from rollout.journal.leases import Lease
from rollout.journal.record import Decision, Kind
from tests.support.clocks import SimulatedClock

HERE, ELSEWHERE = "http://127.0.0.1:1", "http://127.0.0.1:2"


class Owners:
    """Two rollouts, each with a journal of its own on one file, as two processes have it."""

    def __init__(self, folder: Path) -> None:
        """Open r-1 and r-2 at the same target, and r-3 at another one."""
        self.folder, self.clock = folder, SimulatedClock()
        self.first, self.second = (Journal.open(str(folder / "journal.sqlite"), clock=self.clock) for _ in range(2))
        for rollout, url in {"r-1": HERE, "r-2": HERE, "r-3": ELSEWHERE}.items():
            opened = {"target": {"name": "t"}, "url": url, "change": "c", "author": "alice", "digest": "d"}
            self.first.append(rollout, Kind.OPENED, opened)

    def preempt_lease(self, rollout: str) -> Lease:
        """Take the target for a rollout."""
        return self.second.acquire(HERE, rollout, "eve", 60, preempts=True)

    def write(self, rollout: str, kind: str, fence: int, **body: object) -> int:
        """Write an entry as a suite that compares no tokens did; return its number."""
        self.clock.advance(1)
        return self.first.append(rollout, kind, {**body, "fence": fence}).seq

    def late(self, rollout: str, kind: str, fence: int, at: str, **body: object) -> int:
        """Enter what a rollback could not write in time."""
        said = {"kind": kind, "at": at, "number": 1, "fence": fence, "body": body}
        return self.first.append(rollout, "reconciled", said).seq

    def findings(self, rollout: str | None = None) -> list[str]:
        """Return what `rollout verify-journal` finds about writers, in words."""
        told = examine(self.first, Question(self.folder, rollout))
        return [str(finding) for finding in told.findings if "token" in finding.what]


@pytest.fixture
def owners(tmp_path: Path) -> Iterator[Owners]:
    owners = Owners(tmp_path)
    with owners.first, owners.second:
        yield owners


def test_two_owners_one_after_the_other_are_as_it_should_be(owners: Owners) -> None:
    first = owners.first.acquire(HERE, "r-1", "ann", 60)
    owners.first.append_held(first, "r-1", Kind.INTENT, {})
    owners.first.append_held(first, "r-1", Kind.HANDOVER, {})
    second = owners.preempt_lease("r-2")
    owners.second.append_held(second, "r-2", Kind.INTENT, {})
    owners.second.append_ending(second, "r-1", {"decision": Decision.ROLLED_BACK})
    owners.second.append_ending(second, "r-2", {"decision": Decision.KEPT})

    assert owners.findings() == []


@pytest.mark.parametrize("kind", [Kind.INTENT, Kind.HANDOVER, Kind.CLOSED])
def test_an_entry_of_a_run_that_was_superseded_is_named_with_both_rollouts_and_tokens(
    owners: Owners, kind: Kind
) -> None:
    owners.write("r-1", Kind.INTENT, 1)
    newer = owners.write("r-2", Kind.INTENT, 2)
    odd = owners.write("r-1", kind, 1, decision=Decision.KEPT)
    (found,) = owners.findings()

    assert found.startswith(
        f"entry {odd} ({kind}): r-1 wrote it under token 1 of {HERE}; r-2 held token 2 by entry {newer} (intent). "
        "That means: a run that had lost the target to a newer one went on"
    )
    assert owners.findings("r-2") == []
    assert owners.findings("r-1") == [found]


def test_each_such_entry_is_held_against_the_newest_owner(owners: Owners) -> None:
    owners.write("r-2", Kind.INTENT, 3)
    odd = [owners.write("r-1", Kind.INTENT, 1), owners.write("r-1", Kind.INTENT, 2)]
    owners.write("r-2", Kind.INTENT, 3)

    assert [found.split(" (")[0] for found in owners.findings()] == [f"entry {seq}" for seq in odd]
    assert all("r-2 held token 3" in found for found in owners.findings())


def test_tokens_of_another_target_are_apart(owners: Owners) -> None:
    owners.write("r-2", Kind.INTENT, 5)
    owners.write("r-3", Kind.INTENT, 1)

    assert owners.findings() == []


def test_what_carries_no_token_or_was_entered_later_is_apart(owners: Owners) -> None:
    owners.write("r-2", Kind.INTENT, 5)
    owners.write("r-1", Kind.INTENT, 0)
    owners.first.append("r-1", Kind.INTENT, {})
    owners.write("r-1", Kind.NOTIFIED, 1, event="x", channel="x", accepted=True, detail="")
    owners.late("r-1", Kind.INTENT, 1, "2026-11-23T12:00:00.500Z")

    assert owners.findings() == []


def test_a_rollback_under_a_newer_token_ends_a_rollout_anew(owners: Owners) -> None:
    owners.write("r-1", Kind.CLOSED, 1, decision=Decision.KEPT)
    owners.write("r-1", Kind.ROLLBACK, 2, reason="x")
    owners.write("r-1", Kind.CLOSED, 2, decision=Decision.ROLLED_BACK)

    assert owners.findings() == []


@pytest.mark.parametrize(
    ("rollback", "fence"),
    [(None, 1), (1, 1), (None, 2), (1, 2), (3, 2)],
    ids=["same", "same, taken back", "newer, nothing taken back", "newer, taken back by the older", "by a third"],
)
def test_a_second_ending_is_named_with_both_decisions_and_tokens(
    owners: Owners, rollback: int | None, fence: int
) -> None:
    first = owners.write("r-1", Kind.CLOSED, 1, decision=Decision.KEPT)
    if rollback is not None:
        owners.write("r-1", Kind.ROLLBACK, rollback, reason="x")
    odd = owners.write("r-1", Kind.CLOSED, fence, decision=Decision.ROLLED_BACK)
    (found,) = owners.findings()

    assert found.startswith(
        f"entry {odd} (closed): r-1 ended again, rolled_back under token {fence}; r-1 had ended kept under token 1 by "
        f"entry {first}. That means: two runs decided about it"
    )


def test_a_rollback_from_before_the_first_ending_stands_behind_no_second_one(owners: Owners) -> None:
    owners.write("r-1", Kind.ROLLBACK, 2, reason="x")
    owners.write("r-1", Kind.CLOSED, 1, decision=Decision.KEPT)
    owners.write("r-1", Kind.CLOSED, 2, decision=Decision.ROLLED_BACK)

    assert len(owners.findings()) == 1


def test_an_ending_that_was_entered_later_is_a_second_one_unless_it_came_first(owners: Owners) -> None:
    """What the journal did not take was decided before `recover` took the change back under a newer token."""
    owners.clock.advance(10)
    owners.write("r-1", Kind.ROLLBACK, 2, reason="x")
    owners.write("r-1", Kind.CLOSED, 2, decision=Decision.ROLLED_BACK)
    owners.late("r-1", Kind.CLOSED, 1, "2026-11-23T12:00:05.000Z", decision=Decision.ROLLED_BACK)
    assert owners.findings() == []

    odd = owners.late("r-1", Kind.CLOSED, 1, "2026-11-23T12:59:00.000Z", decision=Decision.KEPT)
    (found,) = owners.findings()
    assert found.startswith(f"entry {odd} (reconciled): r-1 ended again, kept under token 1; r-1 had ended rolled_back")


def test_a_rollback_that_was_entered_later_stands_behind_its_ending(owners: Owners) -> None:
    owners.write("r-1", Kind.CLOSED, 1, decision=Decision.KEPT)
    owners.late("r-1", Kind.ROLLBACK, 2, "2026-11-23T12:00:02.000Z", reason="x")
    owners.late("r-1", Kind.CLOSED, 2, "2026-11-23T12:00:03.000Z", decision=Decision.ROLLED_BACK)

    assert owners.findings() == []


def test_the_command_names_both_and_fails(owners: Owners, capsys: pytest.CaptureFixture[str]) -> None:
    """The journal of the run that was paused before it said kept, and of the rival that kept meanwhile."""
    owners.write("r-1", Kind.INTENT, 1, step="APP-1.2", direction="forward", to="openai:gpt-4o")
    owners.write("r-1", Kind.ROLLBACK, 2, reason="stranded")
    owners.write("r-1", Kind.CLOSED, 2, decision=Decision.ROLLED_BACK, why="stranded")
    owners.write("r-2", Kind.INTENT, 3, step="APP-1.2", direction="forward", to="vllm:gemma")
    owners.write("r-2", Kind.CLOSED, 3, decision=Decision.KEPT, why="it held")
    late = owners.write("r-1", Kind.INTENT, 1, step="RBK-2.1", direction="back", to="ollama:gemma3")
    owners.write("r-1", Kind.CLOSED, 1, decision=Decision.ROLLED_BACK, why="it woke up")
    capsys.readouterr()
    code = main(["verify-journal", f"--reports={owners.folder}"])
    out = capsys.readouterr().out

    assert code == 1
    lines = [line for line in out.splitlines() if line.startswith("ALTERED  entry")]
    assert [line.split(":")[0] for line in lines] == [
        f"ALTERED  entry {late} (intent)",
        f"ALTERED  entry {late + 1} (closed)",
        f"ALTERED  entry {late + 1} (closed)",
    ]
    assert "r-1 wrote it under token 1" in lines[0]
    assert "r-2 held token 3" in lines[0]
    assert "r-1 ended again, rolled_back under token 1; r-1 had ended rolled_back under token 2" in lines[2]
    assert "NOT WHOLE" in out
