"""Evidence that cannot be written (entry 12): named first, and waited for where the policy says so."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rollout.core.clock import SystemClock
from rollout.journal.journal import Journal
from rollout.journal.record import Kind
from tests.journal.postgres_server import PostgresServer
from tests.support.runs import BARE, ROOT, Lab, Run, eventually

AFTER = "openai:gpt-4o"
OWED = "KEPT, EVIDENCE OWED"


@contextmanager
def waiting(folder: Path) -> Iterator[Lab]:
    """Give a lab whose policy waits for evidence."""
    with Lab(folder) as lab:
        lab.policy["sandbox"]["on_missing_evidence"] = "wait"
        yield lab


def block(reports: Path) -> Path:
    """Put a directory where the operations log is to be, and return it."""
    log = reports / "operations.log"
    log.unlink(missing_ok=True)
    log.mkdir(parents=True)
    return log


def status(reports: Path) -> str:
    """Return what `rollout status` prints."""
    command = [sys.executable, "-m", "rollout", "status", f"--reports={reports}"]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


def first_line(run: Run) -> str:
    """Return the first line of the closing block."""
    return next(line for line in run.out.splitlines() if line.startswith("=") and ": openai:gpt-4o on lab" in line)


def test_12_evidence_that_cannot_be_written_is_waited_for_and_the_same_call_keeps(tmp_path: Path):
    """No check runs twice, and the rollout is open until then."""
    with waiting(tmp_path) as lab:
        # PRE-4.2's messages go to a file elsewhere; the log is the only thing in the way.
        lab.scenario["notify"] = []
        lab.policy["sandbox"]["not_demanded"] = ["PRE-4.2"]
        log = block(lab.reports)
        first = lab.run()
        assert (first.code, first.word) == (12, OWED), first.out
        assert f"{OWED}: openai:gpt-4o on lab" in first_line(first)
        assert "operations.log: [Errno 21] Is a directory" in first.why
        assert lab.state().active == AFTER
        assert first.record.closed is None
        assert first.record.awaits_evidence
        due = first.record.evidence["due"]
        told = status(lab.reports)
        assert "state   kept, evidence owed" in told
        assert "missing operations.log: [Errno 21] Is a directory" in told
        again = lab.run()
        assert (again.code, again.word) == (12, OWED), again.out
        assert again.record.evidence["due"] == due, "each call waits until the first one's deadline"
        log.rmdir()
        second = lab.run()
        assert (second.code, second.word) == (0, "KEPT"), second.out
        assert lab.state().active == AFTER
        assert lab.writes().count("openai") == 1
        assert "✓ closure" in second.out
        assert "APP-1.2" not in second.out
        assert {each.body["run"] for each in second.record_entries(Kind.CLAUSE)} == {runs(second)[0]}
        assert "KEPT: openai:gpt-4o on lab" in log.read_text(encoding="utf-8")
        assert second.record.missing_evidence == ()


def runs(run: Run) -> list[str]:
    """Return the names of the rollout's runs, in order."""
    return [entry.body["run"] for entry in run.record_entries(Kind.RUN)]


def test_12_evidence_that_is_not_written_within_confirm_within_rolls_the_change_back(tmp_path: Path):
    with waiting(tmp_path) as lab:
        lab.policy["sandbox"] |= {"confirm_within": "6s", "not_demanded": ["PRE-4.2"]}
        lab.scenario["notify"] = []
        before = lab.state()
        block(lab.reports)
        first = lab.run()
        assert (first.code, first.word) == (12, OWED), first.out
        eventually(lambda: lab.state() == before, "the watchdog takes it back", 40)
        eventually(lambda: first.record.decision == "rolled_back", "and closes it", 40)
        assert lab.run("-m", "monitor").code == 10


def test_12_an_abort_that_comes_while_evidence_is_owed_rolls_the_change_back(tmp_path: Path):
    with waiting(tmp_path) as lab:
        lab.policy["sandbox"]["not_demanded"] = ["PRE-4.2"]
        lab.scenario["notify"] = []
        before = lab.state()
        log = block(lab.reports)
        first = lab.run()
        command = [
            sys.executable,
            "-m",
            "rollout",
            "abort",
            first.id,
            "--reason=wrong model",
            f"--reports={lab.reports}",
        ]
        subprocess.run(command, check=True, timeout=60, capture_output=True)
        log.rmdir()
        second = lab.run("-m", "monitor")
        assert (second.code, second.why.split("; ")[0]) == (10, "MON-5: wrong model"), second.out
        assert lab.state() == before


@pytest.mark.parametrize(("policy", "code"), [("wait", 12), ("keep", 0)])
def test_12_a_document_that_fails_after_the_change_was_kept_is_named_first_and_written_later(
    policy: str, code: int, tmp_path: Path
):
    with waiting(tmp_path) as lab:
        lab.policy["sandbox"] |= {"on_missing_evidence": policy, "not_demanded": ["PRE-4.2"]}
        lab.scenario["notify"] = []
        lab.reports.mkdir()
        # It can be opened, and takes nothing: No space left on device.
        (lab.reports / "operations.log").symlink_to("/dev/full")
        first = lab.run()
        assert (first.code, first.word) == (code, "KEPT"), first.out
        assert "KEPT, EVIDENCE MISSING: openai:gpt-4o on lab" in first_line(first)
        assert {line for line in first.out.splitlines() if line.startswith("exit code: ")} == {
            f"exit code: {code} {'KEPT' if code == 0 else 'IN_PROGRESS'}"
        }
        assert first.record.decision == "kept"
        assert "No space left" in "".join(first.record.missing_evidence)
        assert "missing DOC-2" in status(lab.reports)
        if policy == "wait":
            (lab.reports / "operations.log").unlink()
            second = lab.run()
            assert (second.code, second.id) == (0, first.id), second.out
            assert second.record.missing_evidence == ()
            assert "KEPT" in (lab.reports / "operations.log").read_text(encoding="utf-8")


def test_12_a_disk_that_is_full_when_the_window_ends_is_no_plain_kept(postgres: PostgresServer, tmp_path: Path):
    """No file of the run can grow from the window on; the journal is elsewhere. Later there is room again."""
    with waiting(tmp_path) as lab:
        lab.policy["sandbox"]["not_demanded"] = ["PRE-4.2"]
        lab.scenario["notify"] = []
        url = postgres.new_database()
        command = [
            sys.executable,
            "-m",
            "pytest",
            *BARE,
            *lab.options(),
            f"--journal={url}",
            f"--reports={lab.reports}",
        ]
        # Through a pipe: what it prints is on no disk.
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT) as run:
            eventually(lambda: _has(url, Kind.WINDOW), "the window is open", 60)
            resource.prlimit(run.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
            out, _ = run.communicate(timeout=120)
        first = Run(run.returncode, out, lab.reports)
        assert (first.code, first.word) == (12, OWED), first.out
        assert "Traceback" not in first.out
        assert lab.state().active == AFTER
        second = lab.run(f"--journal={url}", "-m", "monitor", report=True, real=True)
        assert (second.code, second.word) == (0, "KEPT"), second.out
        assert (second.folder / "report.html").is_file()
        assert (second.folder / "change-record.md").is_file()


def _has(url: str, kind: Kind) -> bool:
    with Journal.open(url, clock=SystemClock()) as journal:
        return any(journal.entries(rollout, kind) for rollout in journal.rollouts())
