"""Evidence is searched, and space for it is tried, before a change is kept."""

from __future__ import annotations

import json
from pathlib import Path

import allure_commons
import pytest

from rollout.context import RolloutContext
from rollout.core.clauses import CLAUSES
from rollout.core.redaction import Redactor
from rollout.engine import evidence_check, gates
from rollout.engine.evidence_check import missing_evidence
from rollout.journal.record import Decision, Kind, RolloutRecord
from rollout.reporting import allure
from tests.support.keys import make_key
from tests.support.rollouts import rollout_in

attach = allure_commons.plugin_manager.hook.report_attached_data
PLAN = (CLAUSES["MON-1"], CLAUSES["MON-2"])


@pytest.fixture
def rollout(tmp_path: Path) -> RolloutContext:
    """A rollout whose reports' folder is there."""
    rollout = rollout_in(tmp_path)
    rollout.folder.mkdir(parents=True, exist_ok=True)
    return rollout


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Allure results of both clauses."""
    folder = tmp_path / "results"
    folder.mkdir()
    for clause in PLAN:
        labels = [{"name": "story", "value": str(clause)}]
        (folder / f"{clause.id}-result.json").write_text(json.dumps({"labels": labels}), encoding="utf-8")
    return folder


def test_nothing_is_missing_where_everything_is_there_and_the_trial_leaves_no_file(
    rollout: RolloutContext, results: Path
):
    before = sorted(rollout.folder.iterdir())
    assert missing_evidence(rollout, PLAN, results) == ()
    assert sorted(rollout.folder.iterdir()) == before


@pytest.mark.parametrize("content", [None, "", '{"labels": [{"name": "st', "{}"])
def test_a_result_that_is_gone_or_cut_off_is_missing(content: str | None, rollout: RolloutContext, results: Path):
    path = results / "MON-2-result.json"
    path.unlink() if content is None else path.write_text(content, encoding="utf-8")
    assert missing_evidence(rollout, PLAN, results) == (f"Allure results: none of MON-2 in {results}",)


def test_a_folder_that_takes_no_file_is_missing(
    rollout: RolloutContext, results: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(
        evidence_check.os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device"))
    )
    assert missing_evidence(rollout, PLAN, results) == ("files of the rollout: [Errno 28] No space left on device",)
    assert not list(rollout.folder.glob(".*-room")), "the trial deletes its file"


def test_a_log_that_cannot_be_opened_is_missing(rollout: RolloutContext, results: Path):
    (rollout.folder.parent / "operations.log").mkdir()
    (found,) = missing_evidence(rollout, PLAN, results)
    assert found.startswith("operations.log: [Errno 21] Is a directory")


def test_a_key_that_does_not_sign_is_missing_and_one_that_does_is_not(
    rollout: RolloutContext, results: Path, tmp_path: Path
):
    rollout.env = {"ROLLOUT_SEAL_KEY": "/nobody"}
    assert missing_evidence(rollout, PLAN, results) == (
        "seal.json: /nobody: there is no such key; name the file of an SSH key",
    )
    rollout.env = {"ROLLOUT_SEAL_KEY": str(make_key(tmp_path, "auditor"))}
    assert missing_evidence(rollout, PLAN, results) == ()


def test_what_allure_cannot_write_fails_no_check_and_is_named(tmp_path: Path):
    from allure_commons.logger import AllureFileLogger

    guard, logger = allure.guard(Redactor(), "t"), AllureFileLogger(tmp_path / "results")
    allure_commons.plugin_manager.register(logger)
    try:
        attach(body="a", file_name="name")
        assert guard.unwritten == ()
        (tmp_path / "results").rename(tmp_path / "elsewhere")
        attach(body="a", file_name="name")
        (problem,) = guard.unwritten
        assert problem.startswith("Allure's files: [Errno 2] No such file or directory")
    finally:
        allure_commons.plugin_manager.unregister(logger)
        allure.unguard(guard)


def test_a_defect_in_allure_is_no_full_disk():
    """An error other than a failed write is raised."""

    class Broken:
        @allure_commons.hookimpl
        def report_attached_data(self, body: str, file_name: str) -> None:
            raise ValueError(f"{body} {file_name}")

    guard, broken = allure.guard(Redactor(), "t"), Broken()
    allure_commons.plugin_manager.register(broken)
    try:
        with pytest.raises(ValueError, match="a "):
            attach(body="a", file_name="name")
    finally:
        allure_commons.plugin_manager.unregister(broken)
        allure.unguard(guard)


def record(policy: str = "wait", missing: tuple[str, ...] = ("x",), closed: Decision | None = None) -> RolloutRecord:
    found = RolloutRecord(
        "r-1", opened={"policy": {"on_missing_evidence": policy}}, evidence={"missing": list(missing)}
    )
    if closed is not None:
        found.closed = {"decision": closed}
    return found


@pytest.mark.parametrize(
    ("phases", "of", "expected"),
    [
        (("monitor",), record(), True),
        (("precheck", "apply", "verify", "monitor"), record(), True),
        (("monitor",), record(closed=Decision.KEPT), True),
        (("precheck",), record(), False),
        (("monitor",), record(policy="keep"), False),
        (("monitor",), record(missing=()), False),
        (("monitor",), record(closed=Decision.ROLLED_BACK), False),
        (("monitor",), RolloutRecord("r-1"), False),
    ],
)
def test_a_run_only_writes_evidence_where_all_that_is_missing_is_evidence(
    phases: tuple[str, ...], of: RolloutRecord, expected: bool
):
    """Evidence of a change that was rolled back is not awaited, and a policy that keeps begins anew."""
    assert gates.writes_evidence(phases, of) is expected


def test_the_journal_holds_what_is_missing_until_it_is_written(rollout: RolloutContext):
    rollout.append(Kind.EVIDENCE, run="a", missing=["report.html: full"], due=None)
    assert rollout.record().missing_evidence == ("report.html: full",)
    assert not rollout.record().awaits_evidence, "nothing was written to the gateway"
    rollout.append(Kind.EVIDENCE, run="b", missing=[], due=None)
    assert rollout.record().missing_evidence == ()
