"""A folder that cannot be written, or is not there, is one line that names the option or variable that helps."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from rollout.approvals import granting
from rollout.changes import backup
from rollout.changes.backup import BackupError
from rollout.cli.main import main
from rollout.core.caller import caller, login
from rollout.core.errors import RolloutError
from rollout.plugin.folders import prove_folders, unwritable
from rollout.reporting.html import allure_generator
from rollout.reporting.html.allure_generator import is_installed
from rollout.sandbox.process import SandboxFailed, start
from tests.support import unprivileged
from tests.support.forks import ROOT
from tests.support.runs import reports_in
from tests.support.services import leave_services

NEVER_A_FOLDER = Path("/dev/null")
"""Below it nobody makes anything, root neither."""


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Path]:
    """A checkout that its user may read, and not write."""
    folder = tmp_path / "checkout"
    for name in ("checks", "scenarios"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("conftest.py", "pyproject.toml"):
        shutil.copy(ROOT / name, folder / name)
    folders = [folder, *(path for path in folder.rglob("*") if path.is_dir())]
    for each in folders:
        each.chmod(0o555)
    yield folder
    for each in folders:
        if each.exists():
            each.chmod(0o755)


def _refused(code: int, out: str) -> str:
    assert code == 4, out
    assert "Traceback" not in out
    assert "INTERNALERROR" not in out
    return out


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*")}


# Folders of a run


def test_a_read_only_checkout_names_the_option_that_helps(checkout: Path, tmp_path: Path) -> None:
    """Exit code 4 and one line; with ``--reports`` elsewhere the very same run goes on, without a home as well."""
    before = _names(checkout)
    env = {"HOME": str(NEVER_A_FOLDER / "home"), "USER": "alice"}
    out = _refused(*unprivileged.run("pytest", ["-m", "precheck"], checkout, env))
    reports = checkout / "reports"
    assert f"ERROR: --reports: {reports} cannot be written (Permission denied); name a place that can be" in out
    assert _names(checkout) == before
    with reports_in(tmp_path) as there:
        code, out = unprivileged.run("pytest", ["-m", "precheck", f"--reports={there}"], checkout, env)
    assert code == 0, out
    assert _names(checkout) == before
    (line,) = [line for line in out.splitlines() if line.startswith("report: not built")]
    assert f"{env['HOME']}/.cache/rollout cannot be written" in line
    assert "set XDG_CACHE_HOME" in line


@pytest.mark.parametrize("option", ["--reports", "--alluredir", "--junitxml"])
@pytest.mark.parametrize("phase", ["precheck", "release"])
def test_each_folder_that_a_run_writes_to_is_proven_first(option: str, phase: str, tmp_path: Path) -> None:
    """The option is named that names the folder, whatever kind of run it is; the reports' folder is not made then."""
    own = tmp_path / "own"
    own.mkdir()
    args = ["-m", phase, f"--reports={own / 'r'}", f"{option}={NEVER_A_FOLDER}/x/y"]
    args += ["--gateway=http://127.0.0.1:9"] if phase == "release" else []
    out = _refused(*unprivileged.run("pytest", args, ROOT, {"USER": "alice"}))
    assert f"ERROR: {option}: {NEVER_A_FOLDER}/x" in out
    assert f"with {option}" in out
    assert _names(own) == set()


def test_the_proof_leaves_nothing_behind(tmp_path: Path) -> None:
    """What was made for it is taken back; what was there stays, with what is in it."""
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").touch()
    assert unwritable({"--a": tmp_path / "new" / "deep", "--b": kept}) == []
    assert _names(tmp_path) == {"kept", "file"}


def test_options_that_are_not_given_are_not_proven(tmp_path: Path) -> None:
    """Allure's folder and JUnit's file lie among the reports unless somebody says otherwise."""
    prove_folders(SimpleNamespace(allure_report_dir=None, xmlpath=None), tmp_path, tmp_path / "r")
    bad = SimpleNamespace(allure_report_dir="/dev/null/x", xmlpath="/dev/null/x/j.xml")
    with pytest.raises(pytest.UsageError, match=r"--alluredir: .*\n--junitxml: "):
        prove_folders(bad, tmp_path, tmp_path / "r")


def test_an_embedded_gateway_whose_folder_cannot_be_made_is_one_line() -> None:
    """No traceback; the folder and the reason."""
    with pytest.raises(SandboxFailed, match="/dev/null/x cannot be made"):
        start(NEVER_A_FOLDER / "x")


def test_the_sandbox_command_names_its_option(capsys: pytest.CaptureFixture[str]) -> None:
    """``--dir`` is what helps."""
    assert main(["sandbox", f"--dir={NEVER_A_FOLDER}/x"]) == 4
    assert "--dir" in capsys.readouterr().err


# What is not there


@pytest.mark.parametrize("command", ["plan", "drill"])
def test_without_a_default_scenario_the_options_are_named(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder without ``scenarios/``: a scenario, one from the command line, or another folder."""
    monkeypatch.chdir(tmp_path)
    assert main([command]) == 4
    said = capsys.readouterr().err
    for words in ("scenarios/quickstart.yaml", "--scenario=FILE", "--activate=PROVIDER:MODEL", "holds scenarios/"):
        assert words in said


def test_a_target_without_a_file_of_targets_is_not_said_to_be_missing_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """There is no targets.yaml, which is something else than one that lists no such target."""
    monkeypatch.chdir(tmp_path)
    assert main(["plan", "--activate=openai:gpt-4o", "--target=production"]) == 4
    said = capsys.readouterr().err
    assert "--target: 'production' is no target; there is no targets.yaml" in said
    assert "--scenario=FILE" in said
    assert "targets.yaml knows" not in said


def test_a_checkout_without_scenarios_refuses_a_run(checkout: Path, tmp_path: Path) -> None:
    """Exit code 4, before a reports' folder is made."""
    for each in (checkout, checkout / "scenarios"):
        each.chmod(0o755)
    shutil.rmtree(checkout / "scenarios")
    reports = tmp_path / "r"
    out = _refused(*unprivileged.run("pytest", [f"--reports={reports}"], checkout, {"USER": "a"}))
    assert "scenarios/quickstart.yaml: no such file" in out
    assert "--scenario=FILE" in out
    assert _names(reports) == set()


# The user's own folders and name


def test_a_cache_that_cannot_be_written_names_its_variable() -> None:
    """XDG_CACHE_HOME moves the report generator's cache."""
    with pytest.raises(allure_generator.GeneratorMissing, match="set XDG_CACHE_HOME to a folder that can be written"):
        allure_generator.installed({"HOME": str(NEVER_A_FOLDER)})


def test_a_user_without_a_home_has_no_cache_and_that_is_no_defect(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container's user may have none: the generator counts as absent, and the variable is named."""
    monkeypatch.setattr(allure_generator.Path, "home", _homeless)
    assert not is_installed({})
    with pytest.raises(allure_generator.GeneratorMissing, match="no home folder; set XDG_CACHE_HOME"):
        allure_generator.installed({})


def test_npm_that_fails_for_want_of_a_home_names_its_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Npm keeps a cache of its own in the home folder; where that is in order, nothing is said of it."""
    monkeypatch.setattr(allure_generator, "_run", _fails)
    cache = {"XDG_CACHE_HOME": str(tmp_path)}
    with pytest.raises(
        allure_generator.GeneratorMissing, match="HOME=/dev/null/x cannot be written: set npm_config_cache"
    ):
        allure_generator.installed({**cache, "HOME": str(NEVER_A_FOLDER / "x")})
    for env in ({"HOME": str(tmp_path)}, {"HOME": "/dev/null/x", "npm_config_cache": str(tmp_path)}):
        with pytest.raises(allure_generator.GeneratorMissing) as caught:
            allure_generator.installed({**cache, **env})
        assert "npm_config_cache" not in str(caught.value)


def test_a_copy_of_a_remote_env_file_that_has_no_place_names_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """XDG_STATE_HOME moves the copies of files on other hosts."""
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setattr(backup.Path, "home", _homeless)
    with pytest.raises(BackupError, match="no home folder; set XDG_STATE_HOME"):
        backup._state_folder()


def test_a_user_whom_the_system_does_not_know_by_name_is_known_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands that note who called go on; an approval, which needs a person's name, names its option."""
    leave_services(monkeypatch)
    for error in (KeyError("uid not found"), OSError("No username set in the environment")):
        monkeypatch.setattr("getpass.getuser", _raising(error))
        assert caller().startswith("uid ")
        assert login() is None
    with pytest.raises(RolloutError, match="--by=NAME"):
        granting._person(SimpleNamespace(by=None, key=None, comment=None))


def test_an_emergency_needs_no_name_of_its_caller(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where nothing is known of the user, the emergency goes on: what ends it is that nobody answers."""
    monkeypatch.setattr("getpass.getuser", _raising(KeyError("uid not found")))
    args = ["emergency", "--gateway=http://127.0.0.1:9", "--provider=vllm", "--model=m", "--yes", "--reason=x"]
    assert main([*args, f"--reports={tmp_path}"]) == 11
    assert "nothing listens at 127.0.0.1:9" in capsys.readouterr().out


def _homeless() -> Path:
    raise RuntimeError("Could not determine home directory.")


def _fails(*_: object) -> None:
    raise RolloutError("npm failed with exit code 243: EACCES")


def _raising(error: Exception) -> object:
    def getuser() -> str:
        raise error

    return getuser
