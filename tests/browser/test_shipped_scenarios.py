"""The report of a real run answers what was changed, whether it was kept, why, when, and what was not run."""

from __future__ import annotations

import re
import signal
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import expect

from rollout.core.errors import ExitCode
from tests.browser.first_screen import assert_answers
from tests.browser.reader import Reader
from tests.support.runs import Process, entries, eventually, reports_in, run

NOWHERE = "http://127.0.0.1:9/"


@dataclass(frozen=True)
class Tale:
    """A shipped scenario, and the expected content of its report.

    Attributes:
        scenario: its file.
        code: the run's exit code.
        verdict: the words that the page begins with.
        why: the deciding value and its limit, as a pattern.
        not_run: what was not run.
    """

    scenario: str
    code: int
    verdict: str
    why: str
    not_run: str

    def __str__(self) -> str:
        """Read as the scenario."""
        return self.scenario


def but(clause: str) -> str:
    return "monitor: " + ", ".join(f"MON-{n}" for n in range(1, 8) if f"MON-{n}" != clause)


TALES = (
    Tale("quickstart", ExitCode.KEPT, "KEPT", "every clause of the plan passed", "nothing"),
    Tale("failing-provider", 10, "ROLLED BACK, verified", r"MON-2: error rate [\d.]+ % .* is above 5 %", but("MON-2")),
    Tale(
        "slow-provider", 10, "ROLLED BACK, verified", r"MON-3: P95 \d+ ms .* took longer than [\d.]+ ms", but("MON-3")
    ),
    Tale("provider-goes-offline", 10, "ROLLED BACK, verified", "MON-1: openai is offline", but("MON-1")),
    Tale("critical-alert", 10, "ROLLED BACK, verified", "MON-4: critical alert BUDGET_EXCEEDED/openai", but("MON-4")),
)


@pytest.mark.parametrize("tale", TALES, ids=str)
def test_the_report_has_the_verdict_and_its_reason(reader: Reader, tmp_path: Path, tale: Tale) -> None:
    with reports_in(tmp_path) as reports:
        ended = run(reports, f"--scenario=scenarios/{tale.scenario}.yaml", report=True)
    assert ended.code == tale.code, ended.out
    report = ended.folder / "report.html"
    assert f"report: {report}" in ended.out
    reader.open(report)
    assert reader.title == f"{tale.verdict}: ollama:gemma3:4b → openai:gpt-4o on embedded"
    reader.read(tale.verdict)
    text = reader.description.inner_text()
    for pattern in (
        r"What\s+ollama:gemma3:4b → openai:gpt-4o on embedded",
        rf"Kept\?\s+{'yes' if tale.code == 0 else 'no: rolled back and verified'}",
        rf"Why\s+{tale.why}",
        r"When\s+opened \d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ; applied \d\d:\d\d:\d\dZ",
        rf"Not run\s+{tale.not_run}",
    ):
        assert re.search(pattern, text), f"{pattern!r} is not in:\n{text}"
    expect(reader.description.locator("img")).to_be_visible()
    decided = (
        {"Decided by": rf"{tale.why[:5]} .*; from \d+ of"} if tale.code else {"Judged": "MON-2 holding: .*limit 5 %"}
    )
    answers = {
        **decided,
        "What": r"ollama:gemma3:4b → openai:gpt-4o on embedded \(http://127",
        "Kept?": "^yes" if tale.code == 0 else "^no: rolled back and verified",
        "Who": r"^author alice; approved by bob \(named in approved_by, not signed",
        "Run by": "precheck, apply, verify, monitor.*; on host ",
        "Ticket": "^DEMO-",
        "When": r"opened \d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ; .*closed \d\d:\d\d:\d\dZ; took ",
        "Not run": tale.not_run,
    }
    assert_answers(reader, report, f"{tale.verdict}: {tale.why}", answers, chart=True)


def test_the_report_of_a_killed_run_has_rows_that_were_not_run(reader: Reader, tmp_path: Path) -> None:
    with reports_in(tmp_path) as reports:
        process = Process(reports, "--scenario=scenarios/quickstart.yaml")
        process.until("sample", at_least=10)
        process.signal(signal.SIGKILL)
        killed = process.end()
        assert killed.code == -signal.SIGKILL
        assert not (killed.folder / "report.html").exists()
        # The watchdog rolls it back; this test is about the report.
        eventually(lambda: any(e.kind == "closed" for e in entries(reports, killed.id)), "the rollout is closed")
        built = Process(reports, "report", module="rollout", report=True).end()
    assert built.code == 0, built.out
    reader.open(killed.folder / "report.html")
    assert reader.title.startswith("ROLLED BACK, verified")
    assert len([row for row in reader.rows() if re.search("MON-. .* NOT RUN", row)]) == 7
    reader.read("ROLLED BACK")
    expect(reader.description).to_contain_text("MON-1, MON-2, MON-3, MON-4, MON-5, MON-6, MON-7")
    answers = {
        "Kept?": "^no: rolled back and verified",
        "Who": "^author alice; approved by bob",
        "Run by": "precheck, apply, verify, monitor",
        "When": r"opened .*closed .*took ",
        "Not run": "MON-1, MON-2, MON-3, MON-4, MON-5, MON-6, MON-7",
    }
    assert_answers(reader, killed.folder / "report.html", "ROLLED BACK, verified: ", answers, chart=True)


def test_a_report_that_cannot_be_built_changes_nothing_but_one_line(tmp_path: Path) -> None:
    env = {"XDG_CACHE_HOME": str(tmp_path / "cache"), "npm_config_registry": NOWHERE}
    with reports_in(tmp_path) as reports:
        ended = run(reports, "-m", "precheck", env=env, report=True)
    assert ended.code == 0, ended.out
    (line,) = [line for line in ended.out.splitlines() if line.startswith("report: not built")]
    assert line.endswith(f"rollout report {ended.id} --reports={reports}")
    assert not (ended.folder / "report.html").exists()


def test_a_report_is_built_again_when_a_change_is_rolled_back_later(reader: Reader, tmp_path: Path) -> None:
    with reports_in(tmp_path) as reports:
        ended = run(reports, "-m", "precheck or apply", "--scenario=scenarios/quickstart.yaml")
        rollback = Process(reports, "rollback", "--reason=users complain", module="rollout", report=True).end()
    assert rollback.code == ExitCode.ROLLED_BACK, rollback.out
    reader.open(ended.folder / "report.html")
    assert reader.title.startswith("ROLLED BACK, verified")
    expect(reader.row("ROLLED BACK, verified").last).to_contain_text("users complain")
