"""`rollout prune` leaves what must stay: evidence under a legal hold, or younger than its policy asks for."""

from __future__ import annotations

import re
import tarfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from rollout.audit.archive import write_archive
from rollout.cli.main import main
from rollout.core.clock import SystemClock
from rollout.core.policy import Policy
from rollout.journal.journal import Journal
from rollout.journal.record import Kind
from rollout.journal.records import records
from rollout.reporting.html.index import write
from tests.support.clocks import SimulatedClock
from tests.support.journaled import kept


def prune(reports: Path) -> int:
    return main(["prune", f"--reports={reports}", "--keep=0", f"--to={reports.parent / 'archives'}"])


def hold(reports: Path, *options: str) -> int:
    return main(["legal-hold", f"--reports={reports}", "r-1", *options])


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    with kept(tmp_path) as journaled:
        return journaled.rollout.folder.parent


def test_a_held_rollout_stays_and_is_named(reports: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert hold(reports, "--reason=case 7") == 0
    assert prune(reports) == 0
    out = capsys.readouterr().out
    assert "r-1: stays, under a legal hold by " in out
    assert ": case 7\n" in out
    assert "0 rollout(s) archived and removed" in out
    assert (reports / "r-1").is_dir()


def test_a_released_one_is_archived(reports: Path) -> None:
    assert hold(reports, "--reason=case 7") == 0
    assert hold(reports, "--release", "--reason=closed") == 0
    assert prune(reports) == 0
    assert not (reports / "r-1").exists()
    with Journal.open(str(reports / "journal.sqlite"), clock=SystemClock(), create=False) as journal:
        (record,) = records(journal)
        bodies = [entry.body for entry in journal.entries("r-1", Kind.LEGAL_HOLD)]
    assert record.legal_hold is None
    assert [(body["is_placed"], body["reason"]) for body in bodies] == [(True, "case 7"), (False, "closed")]
    assert all(body["by"] for body in bodies)


class Between:
    """Does something once, after a rollout's folder was packed and before it is removed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
        """Take the place of what writes the archive."""
        self.packed = 0
        self._act = act
        monkeypatch.setattr("rollout.cli.prune.write_archive", self._write)

    def _write(self, *args: Any) -> Path:
        archive = write_archive(*args)
        self.packed += 1
        if self.packed == 1:
            self._act()
        return archive


def test_a_hold_that_is_placed_after_the_folder_was_packed_holds(
    reports: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    between = Between(monkeypatch, lambda: hold(reports, "--reason=case 7"))
    assert prune(reports) == 0
    assert between.packed == 1
    assert "r-1: stays, under a legal hold by " in capsys.readouterr().out
    assert (reports / "r-1").is_dir()
    assert [*(reports.parent / "archives").iterdir()] == []
    with Journal.open(str(reports / "journal.sqlite"), clock=SystemClock(), create=False) as journal:
        assert journal.entries("r-1", Kind.PRUNED) == ()


def test_an_archive_holds_what_was_written_while_it_was_packed(reports: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def hold_and_release() -> None:
        hold(reports, "--reason=case 7")
        hold(reports, "--release", "--reason=a mistake")

    between = Between(monkeypatch, hold_and_release)
    assert prune(reports) == 0
    assert between.packed == 2
    assert not (reports / "r-1").exists()
    with tarfile.open(reports.parent / "archives" / "r-1.tar.gz") as archive:
        entries = archive.extractfile("r-1.journal.jsonl")
        assert entries is not None
        assert entries.read().count(b"a mistake") == 1


def test_a_hold_on_what_was_archived_names_the_file(reports: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert prune(reports) == 0
    assert hold(reports, "--reason=case 7") == 0
    archive = reports.parent / "archives" / "r-1.tar.gz"
    assert f"its folder was archived as {archive} at " in capsys.readouterr().out


def test_the_status_shows_a_hold(reports: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert hold(reports, "--reason=case 7") == 0
    assert main(["status", "--all", f"--reports={reports}"]) == 0
    assert re.search(r"^legal   hold by .* since .*: case 7$", capsys.readouterr().out, re.MULTILINE)
    assert hold(reports, "--release", "--reason=closed") == 0
    assert main(["status", "--all", f"--reports={reports}"]) == 0
    assert "legal " not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--reason= ",), "a legal hold needs a reason"),
        (("--release", "--reason=x"), "r-1 is under no legal hold"),
    ],
)
def test_a_hold_without_a_reason_and_a_release_of_none_are_refused(
    reports: Path, options: tuple[str, ...], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert hold(reports, *options) == 4
    assert why in capsys.readouterr().err


def test_a_second_hold_is_refused_with_the_first_ones_reason(reports: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert hold(reports, "--reason=case 7") == 0
    assert hold(reports, "--reason=case 8") == 4
    assert "is under a legal hold already, by " in capsys.readouterr().err
    assert hold(reports, "--release", "--reason=") == 4


def closed(tmp_path: Path, days_ago: float, kept_days: int | None) -> Path:
    """Return the reports of a rollout that was closed so long ago, under a policy that keeps evidence."""
    policy = Policy("sandbox", keep_evidence_days=kept_days)
    clock = SimulatedClock(datetime.now(UTC) - timedelta(days=days_ago))
    with kept(tmp_path, policy=policy, clock=clock) as journaled:
        return journaled.rollout.folder.parent


@pytest.mark.parametrize(("days_ago", "kept_days"), [(3.0, 2), (0.0, None)])
def test_evidence_that_its_policy_does_not_keep_any_more_is_archived(
    tmp_path: Path, days_ago: float, kept_days: int | None
) -> None:
    reports = closed(tmp_path, days_ago, kept_days)
    assert prune(reports) == 0
    assert not (reports / "r-1").exists()


def test_evidence_that_its_policy_keeps_stays_and_is_named_with_the_date(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reports = closed(tmp_path, 1.0, 2)
    assert prune(reports) == 0
    out = capsys.readouterr().out
    day = (datetime.now(UTC) + timedelta(days=1)).date()
    assert f"r-1: stays, its policy sandbox keeps its evidence until {day}T" in out
    assert "(keep_evidence_days)" in out
    assert (reports / "r-1").is_dir()


def test_the_page_over_all_rollouts_shows_a_hold(reports: Path) -> None:
    assert hold(reports, "--reason=case <7>") == 0
    with Journal.open(str(reports / "journal.sqlite"), clock=SystemClock(), create=False) as journal:
        text = write(journal, reports).read_text(encoding="utf-8")
    assert "Legal hold: </b>" in text
    assert "case &lt;7&gt;" in text
    assert "case <7>" in (reports / "rollouts.csv").read_text(encoding="utf-8")
