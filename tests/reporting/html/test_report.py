"""The report shows the journal and the results: nothing greener, nothing left out."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from rollout.core.clauses import Clause
from rollout.core.errors import GatewayError, RolloutError
from rollout.core.plan import plan
from rollout.core.scenario import ProviderChange, Scenario
from rollout.journal.record import Decision, Kind
from rollout.reporting.allure import NOT_RUN
from rollout.reporting.categories import CATEGORIES
from rollout.reporting.html.assembly import build, built
from rollout.reporting.html.page import private
from rollout.reporting.html.rows import INTERRUPTED, NOT_YET
from tests.support.journaled import BREACH, JournaledRollout, kept, rolled_back

STAMP = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ ")


SCENARIO = Scenario("planned", "planned.yaml", "t", (ProviderChange("openai", "gpt-4o"),), author="alice")

Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def kept_rows(tmp_path_factory: pytest.TempPathFactory) -> Rows:
    folder = tmp_path_factory.mktemp("kept")
    with kept(folder) as journaled:
        return journaled.rows(folder / "work")


@pytest.fixture(scope="module")
def rolled_back_rows(tmp_path_factory: pytest.TempPathFactory) -> Rows:
    folder = tmp_path_factory.mktemp("rolled-back")
    with rolled_back(folder) as journaled:
        return journaled.rows(folder / "work")


def of(rows: Rows, clause: str) -> Rows:
    return [row for row in rows if row["name"].startswith(clause)]


def message(row: Mapping[str, Any]) -> str:
    return str(row.get("statusDetails", {}).get("message", ""))


def closure(rows: Rows) -> dict[str, Any]:
    (row,) = [row for row in rows if row["fullName"] == "closure"]
    return row


def feature(row: Mapping[str, Any]) -> str:
    return next(each["value"] for each in row["labels"] if each["name"] == "feature")


def planned_in(*phases: str) -> tuple[Clause, ...]:
    return plan(phases, SCENARIO, {})


# Rows


def test_every_planned_clause_has_exactly_one_row(kept_rows: Rows) -> None:
    rows = kept_rows
    names = [row["name"].split(" ")[0] for row in rows[:-1]]
    assert sorted(names) == sorted(clause.id for clause in planned_in("precheck", "apply", "verify", "monitor"))
    assert {row["status"] for row in rows} == {"passed"}


def test_rows_stand_in_the_order_of_the_procedure_and_the_closure_last(rolled_back_rows: Rows) -> None:
    rows = rolled_back_rows
    features = [feature(row) for row in rows]
    assert features == sorted(features)
    assert rows[-1]["name"].startswith("ROLLED BACK, verified: MON-2")


def test_an_interrupted_check_is_never_green(tmp_path: Path) -> None:
    """allure-pytest writes a check that a signal interrupted as passed; the journal holds no pass of it."""
    with JournaledRollout(tmp_path) as journaled:
        journaled.begins("run-1", "precheck")
        journaled.check("run-1", "PRE-1.1")
        journaled.result("run-1", "PRE-1.2", "passed")
        rows = journaled.rows(tmp_path / "work")
    (row,) = of(rows, "PRE-1.2")
    assert (row["status"], message(row)) == (
        "broken",
        f"{INTERRUPTED}the journal holds no outcome of it, so this is not a pass",
    )
    assert of(rows, "PRE-1.1")[0]["status"] == "passed"


@pytest.mark.parametrize("status", [None, "unknown"])
def test_a_result_without_a_status_counts_as_broken(tmp_path: Path, status: str | None) -> None:
    with JournaledRollout(tmp_path) as journaled:
        journaled.begins("run-1", "precheck")
        journaled.outcome("run-1", "PRE-1.2")
        journaled.result("run-1", "PRE-1.2", status)  # type: ignore[arg-type]
        (row,) = of(journaled.rows(tmp_path / "work"), "PRE-1.2")
    assert row["status"] == "broken"


def test_a_result_that_the_journal_calls_failed_is_not_green(tmp_path: Path) -> None:
    with JournaledRollout(tmp_path) as journaled:
        journaled.begins("run-1", "precheck")
        journaled.outcome("run-1", "PRE-1.2", "failed", "no active provider")
        journaled.result("run-1", "PRE-1.2", "passed")
        (row,) = of(journaled.rows(tmp_path / "work"), "PRE-1.2")
    assert row["status"] == "broken"
    assert "no active provider" in message(row)


def test_what_the_plan_never_reached_is_a_broken_row(tmp_path: Path) -> None:
    with JournaledRollout(tmp_path) as journaled:
        journaled.begins("run-1")
        journaled.phase("run-1", "precheck")
        journaled.check("run-1", "APP-0.1")
        rows = journaled.rows(tmp_path / "work")
    missing = [row for row in rows if message(row).startswith(NOT_RUN)]
    assert {row["status"] for row in missing} == {"broken"}
    ids = {row["name"].split(" ")[0] for row in missing}
    planned = {clause.id for clause in planned_in("apply", "verify", "monitor")} - {"APP-0.1"}
    assert ids == planned


def test_a_check_whose_result_is_lost_has_a_row_from_the_journal(tmp_path: Path) -> None:
    with JournaledRollout(tmp_path) as journaled:
        journaled.begins("run-1", "precheck")
        journaled.outcome("run-1", "PRE-1.1")
        journaled.outcome("run-1", "PRE-1.2", "failed", "the file is gone")
        journaled.write("run-1", "cut-result.json", '{"name": "PRE-1.1", "stat')
        rows = journaled.rows(tmp_path / "work")
    assert of(rows, "PRE-1.1")[0]["status"] == "passed"
    assert "journal" in of(rows, "PRE-1.1")[0]["description"]
    assert (of(rows, "PRE-1.2")[0]["status"], message(of(rows, "PRE-1.2")[0])) == ("failed", "the file is gone")


def test_attachments_that_were_never_written_are_not_promised(tmp_path: Path) -> None:
    attachments = [{"name": name, "source": f"{name}.json", "type": "application/json"} for name in ("there", "gone")]
    with JournaledRollout(tmp_path) as journaled:
        journaled.begins("run-1", "precheck")
        journaled.outcome("run-1", "PRE-1.1")
        journaled.result("run-1", "PRE-1.1", "passed", attachments=attachments)
        journaled.write("run-1", "there.json", "{}")
        (row,) = of(journaled.rows(tmp_path / "work"), "PRE-1.1")
    assert [each["name"] for each in row["attachments"]] == ["there"]
    assert (tmp_path / "work" / "results" / "there.json").is_file()


def test_a_repeated_phase_has_a_row_for_each_run(tmp_path: Path) -> None:
    """Rows that share a history are retries to Allure, and all but one are hidden."""
    with JournaledRollout(tmp_path) as journaled:
        journaled.begins("run-1", "precheck")
        journaled.phase("run-1", "precheck", "PRE-5.4")
        journaled.begins("run-2", "precheck")
        journaled.phase("run-2", "precheck")
        rows = journaled.rows(tmp_path / "work")
    first, second = of(rows, "PRE-5.4")
    assert (first["status"], second["status"]) == ("failed", "passed")
    assert "run 1 of 2" in first["name"]
    assert "run 2 of 2" in second["name"]
    identities = [(row["historyId"], row["testCaseId"]) for row in rows]
    assert len(set(identities)) == len(identities)


def test_phases_that_are_still_to_come_are_not_run_yet(tmp_path: Path) -> None:
    with JournaledRollout(tmp_path) as journaled:
        journaled.begins("run-1", "precheck")
        journaled.phase("run-1", "precheck")
        journaled.result("run-1", None, "skipped", "CLEARED: every precheck passed")
        rows = journaled.rows(tmp_path / "work")
    coming = [row for row in rows if message(row).startswith(NOT_YET)]
    assert {row["status"] for row in coming} == {"skipped"}
    assert len(coming) == len(planned_in("apply", "verify", "monitor"))
    assert (closure(rows)["name"], closure(rows)["status"]) == ("CLEARED: every precheck passed", "skipped")


def test_phases_that_will_never_come_are_broken(tmp_path: Path) -> None:
    with JournaledRollout(tmp_path) as journaled:
        journaled.begins("run-1", "precheck", "apply")
        journaled.phase("run-1", "precheck")
        journaled.phase("run-1", "apply")
        journaled.closes(Decision.ROLLED_BACK, "ROLLED BACK, verified", "it was not confirmed in time")
        rows = journaled.rows(tmp_path / "work")
    missing = of(rows, "VER-") + of(rows, "MON-")
    assert len(missing) == len(planned_in("verify", "monitor"))
    assert {row["status"] for row in missing} == {"broken"}


def test_clauses_that_are_left_out_are_named_and_have_no_row(tmp_path: Path) -> None:
    with kept(tmp_path) as journaled:
        rows = journaled.rows(tmp_path / "work")
        story = journaled.story
    assert not {row["name"].split(" ")[0] for row in rows} & set(story.left_out)
    for clause in story.left_out:
        assert clause in closure(rows)["descriptionHtml"]


def test_a_check_of_ones_own_stays_in_the_report(tmp_path: Path) -> None:
    labels = [{"name": "feature", "value": "5 Closure"}, {"name": "story", "value": "Closure: kept or rolled back"}]
    with JournaledRollout(tmp_path) as journaled:
        journaled.begins("run-1", "precheck")
        journaled.phase("run-1", "precheck")
        journaled.result("run-1", "PRE-1.1", "failed", "no", name="our own check", fullName="checks#own", labels=labels)
        rows = journaled.rows(tmp_path / "work")
    assert [row["name"] for row in rows if row["name"].startswith("our")] == ["our own check ✗ no"]


def test_evidence_of_a_teardown_is_a_row_of_its_own(tmp_path: Path) -> None:
    """Allure would show it below the checks that used the fixture, and not in the Attachments tab."""
    fixture = {"name": "undo::1", "status": "broken", "statusDetails": {"message": "the gateway is gone"}, "start": 5}
    fixture |= {"attachments": [{"name": "what", "source": "what.txt", "type": "text/plain"}], "stop": 9}
    with kept(tmp_path) as journaled:
        journaled.write("run-1", "a-container.json", {"children": [], "befores": [], "afters": [fixture]})
        journaled.write("run-1", "what.txt", "evidence")
        rows = journaled.rows(tmp_path / "work")
    (row,) = [row for row in rows if row["name"].startswith("Teardown: undo")]
    assert (row["status"], message(row)) == ("broken", "the gateway is gone")
    assert (tmp_path / "work" / "results" / "what.txt").read_text(encoding="utf-8") == "evidence"


def test_a_rollout_that_stays_open_has_no_row_of_a_fixture(tmp_path: Path) -> None:
    """The row of the end of the run has the message."""
    fixture = {"name": "closure", "status": "skipped", "start": 5, "stop": 9}
    fixture["statusDetails"] = {"message": "Skipped: IN PROGRESS: 10 s are left"}
    with kept(tmp_path) as journaled:
        journaled.write("run-1", "a-container.json", {"children": [], "befores": [fixture], "afters": []})
        rows = journaled.rows(tmp_path / "work")
    assert [row["name"] for row in rows if "Set-up" in row["name"]] == []


def test_the_window_that_decided_is_the_one_that_is_shown(tmp_path: Path) -> None:
    with kept(tmp_path) as journaled:
        before = journaled.story.window
        journaled.begins("run-2", "monitor")
        journaled.window(2, breach=False)
        assert journaled.story.window == before


def test_the_rows_of_a_slice_are_left_out_once_the_window_was_judged(tmp_path: Path) -> None:
    """A day in slices of ten minutes has seven rows for its triggers, not a thousand."""
    with JournaledRollout(tmp_path) as journaled:
        for run in ("run-1", "run-2"):
            journaled.begins(run, "monitor")
            paused = run == "run-1"
            why = "IN PROGRESS: 10 s left; so far: holding" if paused else ""
            journaled.result(run, "MON-2", "skipped" if paused else "passed", why)
            journaled.outcome(run, "MON-2", "skipped" if paused else "passed", why)
        rows = of(journaled.rows(tmp_path / "work"), "MON-2")
    assert [row["status"] for row in rows] == ["passed"]


def test_results_that_a_run_wrote_elsewhere_are_found_there(tmp_path: Path) -> None:
    with JournaledRollout(tmp_path) as journaled:
        journaled.begins("run-1", "precheck")
        journaled.outcome("run-1", "PRE-1.1")
        journaled.result("run-1", "PRE-1.1", "passed", description="with evidence")
        elsewhere = journaled.results("run-1").rename(tmp_path / "elsewhere")
        (row,) = of(journaled.rows(tmp_path / "work", **{"run-1": elsewhere}), "PRE-1.1")
    assert row["description"] == "with evidence"


# The closure's row


def test_the_closure_answers_what_kept_why_when_and_what_was_not_run(rolled_back_rows: Rows) -> None:
    row = closure(rolled_back_rows)
    assert row["status"] == "failed"
    assert row["name"] == f"ROLLED BACK, verified: MON-2: {BREACH}"
    text = re.sub(r"<[^>]+>", " ", row["descriptionHtml"].replace("</td>", "\n"))
    for words in (
        "ollama:gemma3:4b → openai:gpt-4o on t",
        "no: rolled back and verified: the gateway reports ollama:gemma3:4b active",
        "error rate 5.9 %",
        "opened 2026-11-23 12:00:00Z; applied 12:00:0",
        "author alice; approved by bob (named in approved_by, not signed)",
        "MON-2 The error rate stays at or below the limit: 5.882 %, limit 5 %; from 119 of users",
        "T-1",
        "monitor: MON-1, MON-3, MON-4, MON-5, MON-6, MON-7",
    ):
        assert words in text.replace("&#x27;", "'"), words


def test_the_steps_of_the_closure_begin_with_the_time_in_utc(rolled_back_rows: Rows) -> None:
    steps = closure(rolled_back_rows)["steps"]
    assert all(STAMP.match(step["name"]) for step in steps)
    words = [STAMP.sub("", step["name"]) for step in steps]
    assert words[0] == "opened by alice: openai:gpt-4o, ticket T-1"
    assert "APP-1.2 activate openai:gpt-4o: done" in words
    assert f"MON-2 breached after 6 s, the window ends: {BREACH}" in words
    assert words[-2].startswith("RBK-4.3") or words[-1].startswith("ROLLED BACK")
    assert [step["start"] for step in steps] == sorted(step["start"] for step in steps)


def test_the_row_of_a_kept_change_begins_with_kept_and_is_green(kept_rows: Rows) -> None:
    row = closure(kept_rows)
    assert (row["status"], row["name"].split(":")[0]) == ("passed", "KEPT")
    assert "yes: openai:gpt-4o was active when it was closed" in row["descriptionHtml"]


def test_a_document_that_could_not_be_written_is_named(tmp_path: Path) -> None:
    """The closure names it; its step in the timeline is red, and the verdict does not change."""
    with kept(tmp_path) as journaled:
        journaled.rollout.append(Kind.STEP, clause="DOC-1", outcome="failed", message="No space left on device")
        row = closure(journaled.rows(tmp_path / "work"))
    assert "DOC-1 The audit record is written: No space left on device" in row["descriptionHtml"]
    assert row["status"] == "passed"
    assert [step["status"] for step in row["steps"] if "DOC-1" in step["name"]] == ["failed"]


def test_a_killed_run_is_undecided_and_has_the_command_to_roll_back(tmp_path: Path) -> None:
    with JournaledRollout(tmp_path) as journaled:
        journaled.begins("run-1")
        journaled.backup()
        journaled.phase("run-1", "precheck")
        journaled.writes("APP-1.2", "forward", "openai:gpt-4o", result=None)
        row = closure(journaled.rows(tmp_path / "work"))
    assert row["status"] == "broken"
    assert row["name"].startswith("UNDECIDED")
    assert "rollout rollback r-1" in row["name"]
    assert any(step["status"] == "broken" and "no outcome is known" in step["name"] for step in row["steps"])


def test_a_killed_run_that_was_rolled_back_later_has_that_verdict(tmp_path: Path) -> None:
    with JournaledRollout(tmp_path) as journaled:
        journaled.begins("run-1")
        journaled.backup()
        journaled.phase("run-1", "precheck")
        journaled.writes("APP-1.2", "forward", "openai:gpt-4o")
        journaled.writes("RBK-2.1", "back", "ollama:gemma3:4b")
        journaled.closes(Decision.ROLLED_BACK, "ROLLED BACK, verified", "watchdog: the runner died")
        rows = journaled.rows(tmp_path / "work")
    assert closure(rows)["name"] == "ROLLED BACK, verified: watchdog: the runner died"
    assert {row["status"] for row in of(rows, "MON-")} == {"broken"}


def test_the_latest_decision_counts_and_the_earlier_one_stays_visible(tmp_path: Path) -> None:
    with kept(tmp_path) as journaled:
        journaled.closes(Decision.ROLLED_BACK, "ROLLED BACK, verified", "carol: users complain")
        rows = journaled.rows(tmp_path / "work")
    assert closure(rows)["name"] == "ROLLED BACK, verified: carol: users complain"
    assert any("KEPT" in row["name"] and feature(row) == "4 Monitor" for row in rows)


def test_what_a_phase_ended_with_stands_at_the_end_of_that_phase(tmp_path: Path) -> None:
    with JournaledRollout(tmp_path) as journaled:
        journaled.begins("run-1", "precheck")
        journaled.phase("run-1", "precheck")
        journaled.result("run-1", None, "skipped", "CLEARED: every precheck passed")
        journaled.begins("run-2", "apply")
        journaled.phase("run-2", "apply")
        journaled.result("run-2", None, "skipped", "IN FLIGHT: apply passed")
        rows = journaled.rows(tmp_path / "work")
    (cleared,) = [row for row in rows if "CLEARED" in row["name"]]
    assert (feature(cleared), cleared["status"]) == ("1 Precheck", "passed")
    assert closure(rows)["name"] == "IN FLIGHT: apply passed"


def test_a_refused_run_after_the_decision_does_not_change_it(tmp_path: Path) -> None:
    with kept(tmp_path) as journaled:
        journaled.begins("run-2", "apply")
        journaled.result("run-2", None, "failed", "REFUSED: it is closed")
        rows = journaled.rows(tmp_path / "work")
    assert closure(rows)["name"].startswith("KEPT")
    assert any("REFUSED" in row["name"] for row in rows)


def test_a_message_of_a_gateway_is_text_and_not_markup(tmp_path: Path) -> None:
    with JournaledRollout(tmp_path) as journaled:
        journaled.begins("run-1")
        journaled.closes(Decision.NOTHING_APPLIED, "NOTHING APPLIED", '<img src="http://evil.example/">')
        row = closure(journaled.rows(tmp_path / "work"))
    assert "<img" not in row["descriptionHtml"]


def test_the_chart_is_in_the_closure_and_beside_the_report(tmp_path: Path) -> None:
    with rolled_back(tmp_path) as journaled:
        row = closure(journaled.rows(tmp_path / "work"))
        folder = journaled.rollout.folder
    assert row["attachments"][0]["type"] == "image/svg+xml"
    assert "data:image/svg+xml;base64," in row["descriptionHtml"]
    assert (folder / "bake.svg").is_file()


def test_the_chart_is_drawn_also_where_the_report_cannot_be_generated(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with rolled_back(tmp_path) as journaled, pytest.raises(RolloutError, match="cannot be written"):
        build(journaled.rollout.journal, "r-1", journaled.rollout.folder, {"XDG_CACHE_HOME": str(tmp_path / "file")})
    assert (journaled.rollout.folder / "bake.svg").is_file()
    assert (journaled.rollout.folder / "bake.png").read_bytes().startswith(b"\x89PNG")


def test_categories_name_what_was_wrong() -> None:
    def category(status: str, text: str) -> str:
        return next(name for name, of_status, pattern in CATEGORIES if of_status == status and re.search(pattern, text))

    assert category("broken", f"{NOT_RUN}MON-2 did not pass") == "Not run"
    assert category("broken", f"{INTERRUPTED}the journal holds nothing") == "Not run"
    assert category("skipped", f"{NOT_YET}later") == "Not run yet"
    assert category("failed", "ROLLED BACK, verified: MON-2: too many") == "Rolled back"
    assert category("failed", "ROLLBACK FAILED: it is not overwritten") == "Rollback failed: a person is needed"
    assert (
        category("broken", str(GatewayError("GET /api/v1/providers", "refused"))) == "A request to the gateway failed"
    )
    assert category("failed", "inconclusive, which is never a pass: too few requests") == "Inconclusive to the end"
    assert category("failed", "no data, which is never a pass: nothing was seen") == "Too little to judge by"


# The page

PAGE = """<html><head><title>x</title></head><body><div id="app"></div>
    <script   src="data:text/javascript;base64,MQ=="></script>
    <script async src="https://www.googletagmanager.com/gtag/js?id=G-1"></script>
    <script>
        window.dataLayer = []; gtag('config', 'G-1');
    </script>
    <script>window.allureReportData = 1;</script></body></html>"""


def test_the_analytics_tag_is_removed_and_nothing_else() -> None:
    page = private(PAGE)
    assert "gtag" not in page
    assert "allureReportData" in page
    assert "Content-Security-Policy" in page.partition("</head>")[0]


def test_the_pages_program_waits_for_the_data_behind_it() -> None:
    """Without them it asks for files beside the page, and shows nothing."""
    assert '<script defer src="data:text/javascript;base64,MQ=="></script>' in private(PAGE)


@pytest.mark.parametrize(
    ("known", "unknown"),
    [("<script async src", '<script defer id="a" src'), ('<script   src="data', '<script id="a" src="data')],
)
def test_a_page_that_is_built_in_an_unknown_way_is_not_passed_on(known: str, unknown: str) -> None:
    with pytest.raises(RolloutError, match="analytics tag or its program was not found"):
        private(PAGE.replace(known, unknown))


# Building


def test_a_rollout_that_is_unknown_is_named(tmp_path: Path) -> None:
    with JournaledRollout(tmp_path) as journaled, pytest.raises(RolloutError, match="there is no rollout 'r-9'"):
        build(journaled.rollout.journal, "r-9", tmp_path, {})


def test_a_report_that_cannot_be_built_is_one_line_that_says_how_to_build_it_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder", encoding="utf-8")
    with JournaledRollout(tmp_path) as journaled:
        journaled.begins("run-1")
        env = {"XDG_CACHE_HOME": str(tmp_path / "file"), "PATH": ""}
        line = built(journaled.rollout.journal, "r-1", journaled.rollout.folder, env).line
        assert not (journaled.rollout.folder / "report.html").exists()
    assert "\n" not in line
    assert line.startswith("report: not built, because the cache")
    assert line.endswith(f"rollout report r-1 --reports={journaled.rollout.folder.parent}")


def test_a_defect_while_building_is_a_line_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr("rollout.reporting.html.assembly.collect", fail)
    with JournaledRollout(tmp_path) as journaled:
        line = built(journaled.rollout.journal, "r-1", journaled.rollout.folder, {}).line
    assert "ZeroDivisionError: oops" in line


def test_an_entry_of_another_version_is_a_reason_and_not_a_traceback(tmp_path: Path) -> None:
    with JournaledRollout(tmp_path) as journaled:
        journaled.rollout.journal.append(
            "r-2", Kind.OPENED, {"digest": "d", "scenario": {}, "target": {}, "policy": {}}
        )
        with pytest.raises(RolloutError, match="another version"):
            build(journaled.rollout.journal, "r-2", tmp_path, {})


def test_what_is_heavy_waits_for_the_end_of_a_run() -> None:
    """No module that a run needs before its verdict imports matplotlib or the report."""
    heavy = {"matplotlib", "rollout.reporting.html.assembly"}
    code = f"import sys, rollout.plugin.hooks; print(sorted({heavy} & set(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert json.loads(out.stdout.replace("'", '"')) == []


def test_a_rollout_without_a_window_never_imports_the_plotting_library(tmp_path: Path) -> None:
    with JournaledRollout(tmp_path) as journaled:
        journaled.begins("run-1", "precheck")
        journaled.phase("run-1", "precheck")
    code = f"""
import sys
from pathlib import Path
from rollout.core.clock import SystemClock
from rollout.journal.journal import Journal
from rollout.reporting.html.assembly import collect
from rollout.reporting.html.story import tell
journal = Journal.open({str(tmp_path / "reports" / "journal.sqlite")!r}, clock=SystemClock())
work = Path({str(tmp_path)!r}) / "work"
work.mkdir()
collect(tell("r-1", journal.entries("r-1")), work, work, {{}})
print("matplotlib" in sys.modules)
"""
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert out.stdout.strip() == "False"
