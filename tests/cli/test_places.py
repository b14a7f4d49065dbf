"""Where a command reads and writes: what an option names, otherwise what the project's file says."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollout.cli.main import main
from rollout.config.project import journal_in
from rollout.core.clock import SystemClock
from rollout.journal.journal import Journal

NOTHING_KNOWN = "there is no rollout 'x'; `rollout status --all` lists them"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a journal in a place of its own, called from a folder below."""
    (tmp_path / "rollout.toml").write_text('reports = "evidence"\ntargets = "gateways.yaml"\nscenarios = "changes"\n')
    (tmp_path / "changes" / "deep").mkdir(parents=True)
    (tmp_path / "evidence").mkdir()
    Journal.open(journal_in(tmp_path / "evidence"), clock=SystemClock()).close()
    monkeypatch.chdir(tmp_path / "changes" / "deep")
    return tmp_path


def test_a_command_reads_the_journal_of_its_project(project: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["rollback", "x"]) == 4
    assert NOTHING_KNOWN in capsys.readouterr().err
    (project / "rollout.toml").write_text('reports = "elsewhere"\n')
    assert main(["rollback", "x"]) == 4
    assert str(project / "elsewhere" / "journal.sqlite") in capsys.readouterr().err


def test_an_option_replaces_what_the_project_says(project: Path, capsys: pytest.CaptureFixture[str]):
    (project / "rollout.toml").write_text('reports = "elsewhere"\n')
    # As before, an option's path counts from the current directory.
    assert main(["rollback", "x", "--reports=../../evidence"]) == 4
    assert NOTHING_KNOWN in capsys.readouterr().err
    assert main(["rollback", "x", f"--journal={journal_in(project / 'evidence')}"]) == 4
    assert NOTHING_KNOWN in capsys.readouterr().err


def test_the_default_scenario_and_the_targets_are_the_project_s(project: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["plan"]) == 4
    assert f"{project / 'changes' / 'quickstart.yaml'}: no such file" in capsys.readouterr().err
    (project / "gateways.yaml").write_text("lab: {url: not-a-url}\n")
    assert main(["plan", "--activate=openai:gpt-4o", "--target=lab"]) == 4
    assert f"{project / 'gateways.yaml'}:1: lab.url: " in capsys.readouterr().err


def test_a_project_s_policy_is_not_replaced_by_one_beside_the_scenario(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    (project / "rollout.toml").write_text('policy = "rules.yaml"\nscenarios = "changes"\n')
    (project / "rules.yaml").write_text("sandbox: {window_at_least: 2h}\n")
    scenario = project / "changes" / "first.yaml"
    scenario.write_text("change: {activate: openai, model: gpt-4o}\nmonitor: {window: 15s}\n")
    (project / "changes" / "policy.yaml").write_text("sandbox: {window_at_least: 3s}\n")
    assert main(["plan", f"--scenario={scenario}"]) == 4
    assert "first.yaml:2: monitor.window: " in capsys.readouterr().err


def test_a_mistake_in_the_project_s_file_is_refused_before_anything(project: Path, capsys: pytest.CaptureFixture[str]):
    (project / "rollout.toml").write_text("reports = 3\n")
    assert main(["status"]) == 4
    assert capsys.readouterr().err == (
        f'rollout: {project / "rollout.toml"}:1: reports: must be text, such as reports = "reports"\n'
    )


def test_an_emergency_goes_on_without_the_project_s_file(project: Path, capsys: pytest.CaptureFixture[str]):
    (project / "gateways.yaml").write_text("prod: {url: 'http://127.0.0.1:9'}\n")
    assert main(["emergency", "--target=prod"]) == 4
    assert "target 'prod' declares no `safe:" in capsys.readouterr().err
    (project / "rollout.toml").write_text("targets = 3\n")
    assert main(["emergency", "--target=prod"]) == 4
    err = capsys.readouterr().err
    assert "targets: must be text, such as targets = " in err
    assert "the default places are used" in err
    assert f"{project / 'changes' / 'deep' / 'scenarios' / 'targets.yaml'}: cannot be read" in err
