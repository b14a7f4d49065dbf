"""The report of a rollout whose own run builds none: by a process of its own, which nothing waits for."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from rollout.engine import late_report
from rollout.reporting.html import assembly
from tests.support.journaled import rolled_back


def test_the_report_is_built_and_its_files_are_listed_and_sealed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with rolled_back(tmp_path) as journaled:
        reports = journaled.rollout.folder.parent

    def write(_journal: object, _story: object, folder: Path, *_: object) -> Path:
        assert "ROLLED BACK" in (reports / "index.html").read_text(), "the page over all rollouts does not wait for it"
        page = folder / "report.html"
        page.write_text("the page")
        return page

    monkeypatch.setattr(assembly, "_write_page", write)
    order = {"journal": str(reports / "journal.sqlite"), "rollout": "r-1", "reports": str(reports)}
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(order)))
    monkeypatch.setattr("os.nice", lambda _: 0)
    assert late_report.main() == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"report: {reports / 'r-1' / 'report.html'}")
    assert {"report.html", "junit.xml", "summary.md"} <= {path.name for path in (reports / "r-1").iterdir()}


def test_a_folder_that_is_gone_is_no_error(tmp_path: Path) -> None:
    assert not late_report.start(str(tmp_path / "journal.sqlite"), "r-1", tmp_path, {})
    assert list(tmp_path.iterdir()) == []


def test_the_password_of_the_journal_is_not_on_a_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Child:
        stdin = io.BytesIO()

    started: list[object] = []

    def start(command: object, **how: object) -> Child:
        started.extend([command, how["env"]])
        Child.stdin.close = lambda: None  # type: ignore[method-assign]
        return Child()

    monkeypatch.setattr("subprocess.Popen", start)
    (tmp_path / "r-1").mkdir()
    assert late_report.start("postgresql://u:hunter2@db/rollouts", "r-1", tmp_path, {"A": "b"})
    assert "hunter2" not in repr(started)
    assert json.loads(Child.stdin.getvalue())["journal"] == "postgresql://u:hunter2@db/rollouts"
