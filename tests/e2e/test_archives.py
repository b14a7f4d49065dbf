"""A rollout's archive is verified without its journal, and its verdicts follow from the samples in it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from rollout.approvals.obligations import ObligationKind
from rollout.cli.main import main
from rollout.core.clock import SystemClock
from rollout.journal.journal import Journal
from rollout.journal.record import Kind
from tests.support.runs import Lab


def test_the_archive_of_a_rollout_that_ran_is_whole_by_itself(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Lab(tmp_path / "lab") as lab:
        run = lab.run()
        assert run.word == "KEPT", run.out
    prune = ["prune", f"--reports={lab.reports}", "--keep=0", f"--to={tmp_path / 'archives'}"]
    assert main(prune) == 0
    assert f"{run.id}: stays, review due by " in capsys.readouterr().out
    with Journal.open(str(lab.reports / "journal.sqlite"), clock=SystemClock(), create=False) as journal:
        journal.append(run.id, Kind.SETTLED, {"what": ObligationKind.REVIEW, "by": "alice"})
    assert main(prune) == 0
    shutil.rmtree(tmp_path / "lab")
    capsys.readouterr()
    code = main(["verify-journal", f"--archive={tmp_path / 'archives' / f'{run.id}.tar.gz'}"])
    out = "".join(capsys.readouterr())
    assert code == 0, out
    assert "verdicts 6" in out
