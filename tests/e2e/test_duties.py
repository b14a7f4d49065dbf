"""Who runs a change: named wherever its author and approvers are, and a person of their own where the policy asks."""

from __future__ import annotations

import json
import platform
from pathlib import Path

import pytest

from rollout.cli.main import main
from rollout.journal.record import Decision, Kind
from tests.support.runs import Lab, Run
from tests.support.services import COMMIT, SECRET, github, job_of

JOINED = "policy 'sandbox' demands separate duties, and {}, the implementer of this run, is also the {};"


PHASES = "precheck, apply, verify, monitor"


def test_the_person_of_the_job_is_in_every_document_and_the_password_of_its_url_in_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Three people have three duties: the change is kept."""
    with Lab(tmp_path) as lab:
        lab.policy["sandbox"]["separate_duties"] = True
        lab.env |= github("carol")
        run = lab.run(report=True)
        assert (run.code, run.word) == (0, "KEPT"), run.out
        _the_journal_names(run)
        _the_documents_name(run)
        assert main(["status", f"--reports={lab.reports}", "--all", "--json"]) == 0
        (row,) = json.loads(capsys.readouterr().out)
        assert row["run_by"] == f"carol: {PHASES} (GitHub Actions, {job_of()}, commit {COMMIT[:12]})"
        files = [path for path in lab.folder.rglob("*") if path.is_file()]
        assert [path for path in files if SECRET.encode() in path.read_bytes()] == []
        assert SECRET not in run.out


def _the_journal_names(run: Run) -> None:
    (entry,) = run.record_entries(Kind.RUN)
    assert entry.body["by"] == {"name": "carol", "service": "GitHub Actions", "job": job_of(), "commit": COMMIT}
    assert json.loads(run.result("PRE-2.2").attachments["Review"])["implementer"] == "carol"


def _the_documents_name(run: Run) -> None:
    said = f"carol: {PHASES} (GitHub Actions, {job_of()}, commit {COMMIT[:12]})"
    record = json.loads((run.folder / "change-record.json").read_text(encoding="utf-8"))
    assert [(each["name"], each["job"], each["commit"]) for each in record["who"]["implementers"]] == [
        ("carol", job_of(), COMMIT)
    ]
    page = (run.folder / "report.html").read_text(encoding="utf-8")
    assert f'href="{job_of()}" rel="noreferrer">job of carol ({PHASES})</a>' in page
    said_with_host = f"{said}; on host {platform.node()}"
    assert said_with_host in page
    assert f"| Run by | {said_with_host} |" in (run.folder / "summary.md").read_text(encoding="utf-8")
    assert f'<a href="{job_of()}" rel="noreferrer">GitHub Actions</a>' in (run.reports / "index.html").read_text()
    assert "approved by bob, run by carol, ticket LAB-1" in (run.reports / "operations.log").read_text()


def test_author_and_approver_neither_clear_nor_apply_the_change_and_may_watch_it(tmp_path: Path) -> None:
    """The phases run in jobs of their own, each started by another person."""
    with Lab(tmp_path) as lab:
        lab.policy["sandbox"]["separate_duties"] = True

        def started_by(who: str, number: int, phases: str) -> Run:
            lab.env |= github(who, number)
            return lab.run("-m", phases)

        blocked = started_by("Bob", 1, "precheck")
        assert (blocked.code, sorted(blocked.failed)) == (1, ["PRE-2.2", "PRE-3.3"]), blocked.out
        assert blocked.failed["PRE-2.2"].startswith(JOINED.format("Bob", "approver bob"))
        assert started_by("carol", 2, "precheck").code == 0

        refused = started_by("alice", 3, "apply")
        assert (refused.code, refused.word) == (1, "REFUSED"), refused.out
        assert JOINED.format("alice", "author") in refused.why
        assert lab.writes() == []

        assert started_by("dave", 4, "apply").code == 0
        ended = started_by("alice", 5, "verify or monitor")
        assert (ended.code, ended.id) == (0, blocked.id), ended.out
        assert ended.record.decision is Decision.KEPT
        assert [(each.caller.name, each.caller.job, each.phases) for each in ended.record.implementers] == [
            ("Bob", job_of(1), ("precheck",)),
            ("carol", job_of(2), ("precheck",)),
            ("dave", job_of(4), ("apply",)),
            ("alice", job_of(5), ("verify", "monitor")),
        ]
        assert main(["verify-journal", f"--reports={lab.reports}"]) == 0
