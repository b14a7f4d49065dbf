"""A killed run and an emergency have a report that nobody has asked for."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

from rollout.journal.record import Kind
from tests.support.runs import ROOT, Lab, entries, eventually

LONGEST_S = 120.0


def report_in(reports: Path, rollout: str) -> Path:
    """Return the folder of a rollout, once its report is there."""
    folder = reports / rollout

    def finished() -> bool:
        log = folder / "report.log"
        return log.is_file() and "report: " in log.read_text() and (folder / "report.html").is_file()

    eventually(finished, "the report is built", LONGEST_S)
    return folder


def test_a_killed_run_has_report_summary_junit_and_chart(tmp_path: Path) -> None:
    with Lab(tmp_path, users_per_s=20) as lab:
        before = lab.state().active
        lab.scenario["monitor"] |= {"window": "60s"}
        process = lab.begin(real=True, report=True)
        process.until(Kind.WINDOW)
        process.until(Kind.SAMPLE, at_least=12)
        (rollout,) = {entry.rollout for entry in entries(lab.reports)}
        process.signal(signal.SIGKILL)
        folder = report_in(lab.reports, rollout)
        assert lab.state().active == before
    assert {"junit.xml", "summary.md", "bake.svg", "bake.png", "change-record.md"} <= {
        path.name for path in folder.iterdir()
    }
    assert "ROLLED BACK, verified" in (folder / "summary.md").read_text()
    page = (folder / "report.html").read_text()
    assert "the runner died: its pipe closed without a word" in page
    closure = (
        ET.parse(  # noqa: S314 - likewise
            folder / "junit.xml"
        )
        .getroot()
        .findall(".//testcase[@classname='5 Closure']")
    )
    assert [case.find("failure") is not None for case in closure] == [True]


def test_an_emergency_has_a_report_whose_rows_are_its_own_clauses(tmp_path: Path) -> None:
    with Lab(tmp_path) as lab:
        lab.options()
        command = [sys.executable, "-m", "rollout", "emergency", f"--gateway={lab.sandbox.url}", "--provider=vllm"]
        command += ["--model=gemma-3-4b-it", "--yes", "--reason=drill", f"--reports={lab.reports}"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert lab.state().active == "vllm:gemma-3-4b-it"
        (rollout,) = re.findall(r"^EMERGENCY (\S+):", done.stdout, re.MULTILINE)
        folder = report_in(lab.reports, rollout)
    cases = (
        ET.parse(  # noqa: S314 - likewise
            folder / "junit.xml"
        )
        .getroot()
        .findall(".//testcase")
    )
    assert [case.attrib["name"].split(" ")[0] for case in cases] == ["EMG-1", "EMG-2", "EMG-3", "Closure:"]
    assert all(len(case) == 0 for case in cases), "each of its clauses has passed"
    summary = (folder / "summary.md").read_text()
    assert "| Emergency | 3 passed |" in summary
    assert "PRE-1.1" not in summary
    assert "EMERGENCY DONE" in (folder / "report.html").read_text()
