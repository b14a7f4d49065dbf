"""The files for pipelines: a junit.xml that counts the plan, and a summary for the job's page."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from rollout.core.clauses import PHASES
from rollout.core.plan import plan
from rollout.core.policy import Policy
from rollout.core.scenario import Scenario
from rollout.journal.record import Decision
from rollout.reporting.html.assembly import build
from rollout.reporting.html.outcomes import outcomes
from tests.support.journaled import BREACH, JournaledRollout, kept, rolled_back
from tests.support.rollouts import NEW

BARE = Scenario("s", "s.yaml", "t", (NEW,), author="alice", ticket="T-1", approved_by=("bob",))
PLANNED = len(plan(PHASES, BARE, {}))


def written(journaled: JournaledRollout) -> tuple[ET.Element, str]:
    """Return junit.xml and summary.md, which are written without the generator."""
    with pytest.raises(Exception, match=r"cannot be written|cannot be fetched"):
        build(journaled.rollout.journal, "r-1", journaled.rollout.folder, {"XDG_CACHE_HOME": "/proc/nowhere"})
    folder = journaled.rollout.folder
    assert (folder.parent / "index.html").is_file()
    junit = ET.parse(folder / "junit.xml").getroot()  # noqa: S314 - written right above
    return junit, (folder / "summary.md").read_text(encoding="utf-8")


def counts(junit: ET.Element) -> tuple[int, ...]:
    return tuple(int(junit.attrib[name]) for name in ("tests", "failures", "errors", "skipped"))


def message(junit: ET.Element, clause: str) -> tuple[str, str]:
    (case,) = [case for case in junit.iter("testcase") if case.attrib["name"].startswith(clause)]
    return case[0].tag, case[0].attrib["message"]


def test_a_kept_rollout_counts_every_clause_and_the_decision(tmp_path: Path) -> None:
    with kept(tmp_path) as journaled:
        junit, text = written(journaled)
    assert counts(junit) == (PLANNED + 1, 0, 0, 0)
    assert [suite.attrib["tests"] for suite in junit] == ["19", "5", "4", "7", "1"]
    assert text.startswith("## ✅ KEPT: openai:gpt-4o on t\n")
    assert "| 1 Precheck | 19 passed |" in text


def test_what_was_never_reached_is_an_error_and_the_count_stays(tmp_path: Path) -> None:
    with JournaledRollout(tmp_path) as journaled:
        journaled.begins("run-1")
        journaled.phase("run-1", "precheck")
        journaled.outcome("run-1", "APP-0.1")
        junit, text = written(journaled)
    assert counts(junit) == (PLANNED + 1, 0, PLANNED - 20 + 1, 0)
    assert message(junit, "MON-2") == ("error", "NOT RUN: it was not reached before this report was built")
    assert message(junit, "Closure")[0] == "error"
    assert "| 4 Monitor | 7 not run |" in text
    assert text.startswith("## ❗ UNDECIDED")


def test_a_phase_that_is_still_to_come_is_skipped_and_no_error(tmp_path: Path) -> None:
    with JournaledRollout(tmp_path) as journaled:
        journaled.begins("run-1", "precheck")
        journaled.phase("run-1", "precheck")
        journaled.result("run-1", None, "skipped", "CLEARED: every planned precheck passed")
        junit, text = written(journaled)
    assert counts(junit) == (PLANNED + 1, 0, 0, PLANNED - 19 + 1)
    assert message(junit, "VER-1") == ("skipped", "NOT RUN YET: the verify phase is still to come")
    assert text.startswith("## ⏳ CLEARED")


def test_a_breach_is_a_failure_with_its_value_and_limit(tmp_path: Path) -> None:
    with rolled_back(tmp_path) as journaled:
        junit, text = written(journaled)
    assert counts(junit) == (PLANNED + 1, 2, 6, 0)
    assert message(junit, "MON-2") == ("failure", BREACH)
    assert message(junit, "Closure") == ("failure", f"ROLLED BACK, verified: MON-2: {BREACH}")
    assert text.startswith("## ❌ ROLLED BACK, verified: openai:gpt-4o on t\n")
    assert f"| Why | MON-2: {BREACH} |" in text


def test_what_policy_does_not_demand_is_skipped_with_its_reason(tmp_path: Path) -> None:
    policy = Policy("sandbox", not_demanded=frozenset({"PRE-4.3"}))
    with kept(tmp_path, policy=policy, scenario=BARE) as journaled:
        junit, _ = written(journaled)
    assert counts(junit) == (PLANNED + 1, 0, 0, 1)
    tag, why = message(junit, "PRE-4.3")
    assert tag == "skipped"
    assert "does not demand it" in why


@pytest.mark.parametrize(("outcome", "tag"), [("waived", "skipped"), ("owed", "skipped"), ("odd", "error")])
def test_what_is_no_pass_is_never_counted_as_one(tmp_path: Path, outcome: str, tag: str) -> None:
    with kept(tmp_path) as journaled:
        journaled.outcome("run-1", "PRE-4.1", outcome, "WAIVED: the window is closed, dora agreed")
        junit, text = written(journaled)
    assert message(junit, "PRE-4.1") == (tag, "WAIVED: the window is closed, dora agreed")
    assert f"| PRE-4.1 Now is inside a change window | {outcome} |" in text


def test_a_check_of_the_plan_that_skipped_itself_is_no_pass(tmp_path: Path) -> None:
    with kept(tmp_path) as journaled:
        journaled.outcome("run-1", "PRE-4.1", "skipped", "no reason of ours")
        (result,) = [each for each in outcomes(journaled.story) if each.clause.id == "PRE-4.1"]
    assert result.outcome == "not run"


def test_a_later_run_that_was_cut_before_its_first_check_does_not_hide_the_earlier_one(tmp_path: Path) -> None:
    with JournaledRollout(tmp_path) as journaled:
        journaled.begins("run-1", "precheck")
        journaled.phase("run-1", "precheck")
        journaled.begins("run-2", "precheck")
        assert {each.outcome for each in outcomes(journaled.story) if each.clause.phase == "precheck"} == {"passed"}
        journaled.outcome("run-2", "PRE-1.1", "failed", "no")
        again = [each.outcome for each in outcomes(journaled.story) if each.clause.phase == "precheck"]
    assert (again.count("failed"), again.count("passed")) == (1, 0)


def test_what_xml_and_markdown_cannot_hold_breaks_neither(tmp_path: Path) -> None:
    odd = "\x00\x1b[31m <b>|`]]> line\nline"
    with JournaledRollout(tmp_path) as journaled:
        journaled.begins("run-1", "precheck")
        journaled.outcome("run-1", "PRE-1.1", "failed", odd)
        journaled.closes(Decision.NOTHING_APPLIED, "NOTHING APPLIED", "PRE-1.1: <script>|")
        junit, text = written(journaled)
    assert "<b>|`]]>" in message(junit, "PRE-1.1")[1]
    assert "\\<script>\\|" in text
    assert "\n<" not in text
