"""What is owed to a rollout that is over: from when it counts, when it is overdue, and what ends it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rollout.approvals.obligations import ObligationKind, fulfil, open_obligation, open_of
from rollout.cli.main import main
from rollout.context import RolloutContext
from rollout.core.errors import RolloutError
from rollout.journal.record import Kind
from tests.support.clocks import BEGINNING, SimulatedClock
from tests.support.rollouts import rollout_in

DAY_S = 24 * 3600.0
OPENED = {
    "change": "openai:gpt-4o",
    "target": {"name": "t"},
    "url": "http://127.0.0.1:1",
    "author": "alice",
    "policy": {"name": "x"},
}


def kept(folder: Path, **parts: object) -> RolloutContext:
    """Return a rollout that was applied and kept, and owes an approval within a day."""
    made = rollout_in(folder, **parts)
    made.append(Kind.OPENED, **OPENED)
    open_obligation(made, ObligationKind.APPROVAL, DAY_S)
    made.append(Kind.INTENT, step="APP-1.2", direction="forward", to="openai:gpt-4o")
    made.append(Kind.CLOSED, decision="kept", why="every clause of the plan passed")
    return made


def test_an_obligation_has_a_due_date_and_the_command_that_settles_it(tmp_path):
    made = kept(tmp_path)
    (owed,) = open_of(made.record())
    assert owed.command == "rollout approve r-1"
    assert (owed.due - BEGINNING).total_seconds() == DAY_S
    assert not owed.is_overdue(owed.due)
    assert owed.describe(made.clock.now()).startswith("retrospective approval due by ")
    made.clock.advance(DAY_S + 1)
    assert owed.describe(made.clock.now()).startswith("retrospective approval OVERDUE since ")


def test_nothing_is_owed_to_a_rollout_that_wrote_nothing(tmp_path):
    made = rollout_in(tmp_path)
    open_obligation(made, ObligationKind.APPROVAL, DAY_S)
    assert open_of(made.record()) == ()


def test_settling_ends_it_and_settling_what_is_not_owed_is_refused(tmp_path):
    made = kept(tmp_path)
    fulfil(made.journal, made.record(), ObligationKind.APPROVAL, by="bob")
    assert open_of(made.record()) == ()
    with pytest.raises(RolloutError, match="no retrospective approval is owed to rollout r-1"):
        fulfil(made.journal, made.record(), ObligationKind.APPROVAL, by="bob")


def test_status_lists_what_is_owed_to_closed_rollouts_and_what_is_overdue(tmp_path, capsys):
    """The journal's own clock says what is overdue: an hour ago it was due."""
    made = kept(tmp_path, clock=SimulatedClock(BEGINNING.replace(year=2025)))
    asked = ["status", f"--journal=sqlite:///{tmp_path / 'journal.sqlite'}"]
    assert main(asked) == 0
    said = capsys.readouterr().out
    assert "rollout r-1\nstate   kept\n" in said
    assert "owed    retrospective approval OVERDUE since 2025-" in said
    assert said.rstrip().endswith(": rollout approve r-1")

    assert main([*asked, "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert (told["state"], told["owed"][0]["overdue"]) == ("kept", True)
    assert told["owed"][0]["settle"] == "rollout approve r-1"

    fulfil(made.journal, made.record(), ObligationKind.APPROVAL, by="bob")
    assert main(asked) == 0
    assert capsys.readouterr().out == "no rollout is in flight, and nothing is owed\n"
