"""Freezes, classes and waivers, end to end: what waits, what goes through, and what is never shown green."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rollout.approvals.obligations import ObligationKind
from rollout.cli.main import main
from rollout.journal.record import Decision
from tests.support.runs import Lab, Run

TOMORROW = f"{datetime.now(UTC) + timedelta(days=2):%Y-%m-%d}"
YESTERDAY = f"{datetime.now(UTC) - timedelta(days=1):%Y-%m-%d}"


def freeze(lab: Lab) -> None:
    lab.target["freezes"] = [{"from": YESTERDAY, "to": TOMORROW, "reason": "year end"}]


def in_a_hurry(lab: Lab, clause: str, until: str = TOMORROW) -> None:
    lab.scenario["waivers"] = [
        {"clause": clause, "reason": "the vendor ends the old model", "granted_by": "dave", "until": until}
    ]


def rows_of_junit(run: Run) -> dict[str, ET.Element]:
    return {case.get("name", ""): case for case in ET.parse(run.folder / "junit.xml").iter("testcase")}  # noqa: S314


def test_apply_in_a_freeze_exits_13_with_the_next_opening_and_sends_nothing(tmp_path: Path):
    """Cleared or not: what a pipeline needs to know is when to try again."""
    with Lab(tmp_path) as lab:
        freeze(lab)
        run = lab.run("-m", "apply")
        assert run.code == 13, run.out
        opening = f"{TOMORROW}T00:00:00.000Z"
        assert f"a freeze holds until {opening} (year end); the next change may begin at {opening}" in run.out
        assert lab.writes() == []
        assert [each.path for each in lab.liar.requests if not each.path.startswith("/sandbox/")] == []


def test_a_hotfix_goes_through_a_freeze_owes_its_approval_and_can_be_rolled_back_in_it(tmp_path: Path, capsys):
    """Class emergency: PRE-4.1 is left out, PRE-2.2 is owed, and everything else is demanded as ever."""
    with Lab(tmp_path) as lab:
        freeze(lab)
        lab.scenario |= {"class": "emergency", "approved_by": []}
        before = lab.state()
        run = lab.run()
        assert run.code == 0, run.out
        assert "change: openai:gpt-4o, class emergency" in run.out
        assert "every clause of the plan passed, but PRE-2.2 (OWED)" in run.why
        assert "not owed: PRE-4.1" in run.out
        assert run.result("PRE-4.1").message == "class emergency: a hotfix waits for no window and no freeze"
        owed = run.result("PRE-2.2")
        assert (owed.status, owed.message[:6]) == ("skipped", "OWED: ")
        assert "! PRE-2.2 A second person reviewed the change" in run.out
        (entry,) = [each for each in run.record_entries("owed") if each.body["what"] == ObligationKind.APPROVAL]
        assert entry.body["due"] in owed.message

        journal = f"--journal=sqlite:///{lab.reports / 'journal.sqlite'}"
        assert main(["status", journal, "--json"]) == 0
        (told,) = json.loads(capsys.readouterr().out)
        assert (told["rollout"], told["owed"][0]["settle"]) == (run.id, f"rollout approve {run.id}")

        assert main(["rollback", run.id, journal, f"--reports={lab.reports}"]) == 10
        assert run.record.decision is Decision.ROLLED_BACK
        assert lab.state() == before


def test_what_is_waived_is_kept_and_green_nowhere(tmp_path: Path):
    with Lab(tmp_path) as lab:
        lab.policy["sandbox"]["window_at_least"] = "30m"
        in_a_hurry(lab, "PRE-4.4")
        run = lab.run()
        assert run.code == 0, run.out
        said = (
            f"WAIVED: the vendor ends the old model, granted by dave until {TOMORROW} 00:00 (UTC); it would have failed"
        )
        assert "  ! PRE-4.4 The planned monitoring is long enough" in run.out
        assert f"PRE-4.4 {said}: the bake time is 3 s; policy 'sandbox' demands at least 1800 s" in run.out
        assert run.why == "every clause of the plan passed, but PRE-4.4 (WAIVED)"

        row = run.result("PRE-4.4")
        assert row.status == "skipped"
        assert row.message.startswith(said)
        assert run.record.clauses["PRE-4.4"].outcome == "waived"
        results = run.folder / "allure-results" / run.record.clauses["PRE-4.4"].run
        assert f"waived_or_owed=PRE-4.4 {said}" in (results / "environment.properties").read_text(encoding="utf-8")
        junit = next(case for name, case in rows_of_junit(run).items() if name.startswith("PRE-4.4"))
        assert [child.tag for child in junit] == ["skipped"]
        assert str(junit[0].get("message")).startswith(said)

        record = json.loads((run.folder / "change-record.json").read_text())
        assert record["clauses"]["PRE-4.4"][0] == "waived"
        assert record["exceptions"][0].startswith(f"PRE-4.4 {said}")
        assert f"| NOT GREEN | PRE-4.4 {said}" in (run.folder / "change-record.md").read_text()
