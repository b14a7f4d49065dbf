"""The report of a run, which a process of its own builds."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from rollout.reporting.html import report_process
from rollout.reporting.html.report_process import Built, build_in_own_process
from tests.support.journaled import rolled_back

NO_GENERATOR = {"XDG_CACHE_HOME": "/proc/nowhere"}


def journaled(folder: Path) -> tuple[str, Path]:
    """Write a rollout that was rolled back, and return the journal's path and the rollout's folder."""
    with rolled_back(folder) as written:
        reports = written.rollout.folder.parent
    return str(reports / "journal.sqlite"), reports / "r-1"


def started(monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    """Let the process be this program."""
    run = report_process.subprocess.run

    def other(_command: object, **how: object) -> object:
        return run([sys.executable, "-c", program], **how)  # type: ignore[call-overload]

    monkeypatch.setattr(report_process.subprocess, "run", other)


def test_it_writes_what_needs_no_generator_and_says_what_is_missing(tmp_path: Path) -> None:
    journal, folder = journaled(tmp_path)
    line, problem = build_in_own_process(journal, "r-1", folder, {}, {**os.environ, **NO_GENERATOR})
    assert line.startswith("report: not built, because "), line
    assert f"rollout report r-1 --reports={folder.parent}" in line
    assert problem == "", "a machine with the generator builds it later"
    assert {"junit.xml", "summary.md"} <= {path.name for path in folder.iterdir()}


def test_a_journal_that_is_gone_is_a_problem_of_the_evidence(tmp_path: Path) -> None:
    line, problem = build_in_own_process(str(tmp_path / "none.sqlite"), "r-1", tmp_path / "r-1", {}, os.environ)
    assert "report: not built, because " in line
    assert problem.startswith("report.html: ")
    assert not (tmp_path / "none.sqlite").exists()


@pytest.mark.parametrize(
    ("program", "why"),
    [
        ("import sys; sys.exit('out of memory')", "its process ended with 1: out of memory"),
        ("import os; os.kill(os.getpid(), 9)", "its process ended with -9: it printed nothing"),
        (r"import sys; sys.stdout.buffer.write(b'\xff')", "its process ended with 0: it printed nothing"),
        ("print('{}')", "its process ended with 0: it printed nothing"),
    ],
)
def test_a_process_that_fails_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, why: str) -> None:
    started(monkeypatch, program)
    line, problem = build_in_own_process("j", "r-1", tmp_path / "r-1", {}, os.environ)
    assert why in line
    assert problem == f"report.html: {why}"


def test_a_process_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started(monkeypatch, "import time; time.sleep(60)")
    monkeypatch.setattr(report_process, "WITHIN_S", 0.2)
    line, problem = build_in_own_process("j", "r-1", tmp_path / "r-1", {}, os.environ)
    assert "it took more than 0.2 s" in line
    assert problem == "report.html: it took more than 0.2 s"


def test_a_python_that_is_gone_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    found = build_in_own_process("j", "r-1", tmp_path / "r-1", {}, os.environ)
    assert found.problem == "report.html: its process does not start (No such file or directory)"


def test_the_journals_password_is_on_no_command_line_and_in_no_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[object] = []

    class Done:
        stdout, stderr, returncode = '["report: there", ""]', "", 0

    def run(command: object, **how: object) -> Done:
        seen.extend([command, how["env"]])
        assert "hunter2" in str(how["input"])
        return Done()

    monkeypatch.setattr(report_process.subprocess, "run", run)
    found = build_in_own_process("postgresql://u:hunter2@db/x", "r-1", tmp_path, {"run-1": tmp_path}, {"A": "b"})
    assert found == Built("report: there", "")
    assert "hunter2" not in repr(seen)
