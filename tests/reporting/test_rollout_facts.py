"""The population's facts and numbers: what was not measured is no zero, and every number names its population."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rollout.journal.record import Decision, Kind
from rollout.reporting import rollout_facts
from rollout.reporting.rollout_facts import (
    NOT_MEASURED,
    UNREADABLE,
    RolloutFacts,
    kinds_of,
    numbers,
    show_percent,
    show_took,
)
from rollout.reporting.rollout_table import COLUMNS, to_csv, to_json_text
from tests.support.journaled import JournaledRollout, kept, rolled_back

KEPT = RolloutFacts("r-1", target="t", decision=Decision.KEPT, applied=True)
BACK = replace(KEPT, rollout="r-2", decision=Decision.ROLLED_BACK)


def texts(*found: RolloutFacts) -> list[tuple[str, int]]:
    return [(number.text, number.counted) for number in numbers(found)]


def only(journaled: JournaledRollout) -> RolloutFacts:
    (found,) = rollout_facts.all_of(journaled.rollout.journal)
    return found


def test_the_facts_of_a_rollback_are_its_journals(tmp_path: Path) -> None:
    with rolled_back(tmp_path) as journaled:
        found = only(journaled)
    assert (found.decision, found.trigger, found.ended) == ("rolled_back", "MON-2", "rolled back: MON-2 breached")
    assert (found.target, found.kinds, found.change_class, found.ticket) == ("t", ("provider",), "normal", "T-1")
    assert (found.author, found.approvers, found.duties.approvers) == ("alice", ("bob",), ("bob",))
    assert found.back_after_s == pytest.approx(7.4)
    assert found.has_failed


def test_the_lead_time_begins_with_the_last_review_before_the_closing(tmp_path: Path) -> None:
    with JournaledRollout(tmp_path) as journaled:
        rollout, clock = journaled.rollout, journaled.clock
        for role, approver in (("reviewer", "bob"), ("reviewer", "rita"), ("operator", "otto")):
            rollout.append(Kind.APPROVAL, role=role, approver=approver, at=clock.now().isoformat(), signature=None)
            journaled.later(60)
        journaled.writes("APP-1.2", "forward", "openai:gpt-4o")
        journaled.closes(Decision.KEPT, "KEPT", "it held")
        journaled.later(60)
        rollout.append(Kind.APPROVAL, role="reviewer", approver="late", at=clock.now().isoformat(), signature=None)
        found = only(journaled)
    assert found.lead_s == pytest.approx(120.4)


def test_an_approval_without_a_date_gives_no_lead_time(tmp_path: Path) -> None:
    with kept(tmp_path) as journaled:
        journaled.rollout.append(Kind.APPROVAL, role="reviewer", approver="bob", at="", signature=None)
        assert only(journaled).lead_s is None


def test_a_rollout_of_another_version_is_one_of_the_population(tmp_path: Path) -> None:
    with kept(tmp_path) as journaled:
        journaled.rollout.journal.append("r-0", Kind.OPENED, {"from": "the future"})
        found = rollout_facts.all_of(journaled.rollout.journal)
    assert [(each.rollout, each.decision) for each in found] == [("r-1", "kept"), ("r-0", UNREADABLE)]
    assert texts(*found)[:2] == [("2", 2), ("0.0 %", 1)]


def test_what_was_not_measured_is_no_zero() -> None:
    assert texts() == [("0", 0), (NOT_MEASURED, 0), (NOT_MEASURED, 0), (NOT_MEASURED, 0)]
    assert numbers([KEPT, BACK])[2].basis == "median of 0 of 1 rolled back"


def test_only_changes_that_reached_the_gateway_and_ended_can_fail() -> None:
    nothing = replace(KEPT, decision=Decision.NOTHING_APPLIED, applied=False)
    still_open = replace(KEPT, decision="open")
    emergency = replace(BACK, is_remedy=True)
    failed = replace(KEPT, decision=Decision.ROLLBACK_FAILED)
    assert texts(KEPT, KEPT, BACK, failed, nothing, still_open, emergency)[:2] == [("7", 7), ("50.0 %", 4)]


def test_a_time_is_the_median_of_what_is_known() -> None:
    back = [replace(BACK, back_after_s=seconds) for seconds in (1.0, 2.0, 90.0, None)]
    assert numbers(back)[2].text == "2.0 s"
    assert numbers(back)[2].basis == "median of 3 of 4 rolled back"
    leads = [replace(KEPT, lead_s=seconds) for seconds in (3600.0, 7500.0)]
    assert numbers(leads)[3].text == "1 h 32 min"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0.0 s"),
        (0.25, "0.3 s"),
        (59.94, "59.9 s"),
        (59.95, "1 min"),
        (61.4, "1 min 1 s"),
        (3600.0, "1 h"),
        (90_000.0, "1 d 1 h"),
    ],
)
def test_a_duration_keeps_what_counts(seconds: float, text: str) -> None:
    assert show_took(seconds) == text


def test_a_share_is_rounded_half_up() -> None:
    assert [show_percent(share) for share in (0.0, 1 / 16, 1 / 3, 1.0)] == ["0.0 %", "6.3 %", "33.3 %", "100.0 %"]


def test_the_kinds_are_those_of_the_changes() -> None:
    changes = [{"provider": "a"}, {"scope": "global", "kind": "cost"}, {"values": {}}, {"provider": "b"}]
    assert kinds_of({"changes": changes}) == ("provider", "limits", "environment")
    assert kinds_of({}) == ()


# The files


@pytest.mark.parametrize("begin", ["=", "+", "-", "@", "\t=", "\r="])
def test_a_cell_is_no_formula(begin: str) -> None:
    evil = replace(KEPT, ticket=f"{begin}HYPERLINK(1)", approvers=(f"{begin}cmd", "bob"))
    (row,) = csv.DictReader(io.StringIO(to_csv([evil])))
    assert row["ticket"].startswith("'")
    assert row["approvers"].startswith("'")
    assert row["approvers"].endswith("; bob")


def test_the_table_has_every_column_of_every_rollout() -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv([KEPT, replace(BACK, back_after_s=0.0)]))))
    assert tuple(rows[0]) == COLUMNS
    assert {"ticket", "approvers", "change_class", "violations", "lead_s"} <= {*COLUMNS}
    assert [row["back_after_s"] for row in rows] == ["", "0.0"]
    assert [row["applied"] for row in rows] == ["yes", "yes"]


def test_the_document_has_numbers_rollouts_and_head() -> None:
    document = json.loads(to_json_text([KEPT], datetime(2026, 11, 30, tzinfo=UTC), "7:abc"))
    assert document["journal_head"] == "7:abc"
    assert document["numbers"][1] == {
        "name": "Change failure rate",
        "text": "0.0 %",
        "value": 0.0,
        "counted": 1,
        "basis": "0 not kept of 1 applied and closed, without emergencies",
    }
    assert tuple(document["rollouts"][0]) == COLUMNS
