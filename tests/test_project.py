"""What a project has: one version everywhere, a licence, and types for those who import it."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.conftest import OWN_STEPS
from tests.support.forks import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_the_command_prints_the_version_of_the_project():
    done = subprocess.run([sys.executable, "-m", "rollout", "--version"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, f"rollout {PROJECT['project']['version']}\n")


def test_the_newest_version_of_the_changelog_is_the_projects_and_has_a_date():
    heads = re.findall(
        r"^## (\S+), (\d{4}-\d\d-\d\d)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert heads[0][0] == PROJECT["project"]["version"]


def test_the_licence_and_the_marker_of_types_are_part_of_the_package():
    assert PROJECT["project"]["license"] == "Apache-2.0"
    assert "Apache License" in (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "py.typed" in PROJECT["tool"]["setuptools"]["package-data"]["rollout"]
    assert (ROOT / "rollout" / "py.typed").exists()


def test_pre_commit_runs_the_tools_of_ci():
    """The same commands, of the project's own environment."""
    import yaml

    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"][0]["hooks"]
    commands = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert [hook["entry"] for hook in hooks] == ["ruff check", "ruff format --check", "lint-imports"]
    assert all(f".venv/bin/{hook['entry']}" in commands for hook in hooks)


# The steps of CI

STEPS = (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_ci_runs_every_folder_that_the_core_leaves_out_and_the_core_last():
    run = re.findall(r"{ (?:run_tests|\.venv/bin/pytest) (tests.*?)(?: -n \d[^;]*)?; }", STEPS)
    assert sorted(path for step in run[:-1] for path in step.split()) == [f"tests/{name}" for name in OWN_STEPS]
    assert run[-1] == "tests"
    steps = re.search(r"steps=\((install .*)\)", STEPS)
    assert steps is not None
    assert steps[1].split()[-1] == "core"


def test_ci_refuses_a_step_that_it_does_not_have():
    done = subprocess.run([ROOT / ".ci" / "run", "torture"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "no step is called torture\n")


@pytest.mark.parametrize("name", OWN_STEPS)
def test_every_step_is_described_to_contributors(name: str):
    assert f"tests/{name}" in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def _collect(*args: str) -> str:
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *args]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout


def test_a_folder_that_is_named_is_run_and_the_others_are_left_out():
    shown = _collect("tests/torture", "tests/compatibility")
    assert "tests/torture/test_torture.py::test_eight_rivals" in shown
    assert "tests/compatibility/" in shown
    assert "left out" not in shown


def test_the_core_leaves_the_steps_out_and_names_them():
    """`--ignore` spares the collection of everything else."""
    shown = _collect(
        "tests", *(f"--ignore=tests/{path.name}" for path in (ROOT / "tests").iterdir() if _is_a_room(path))
    )
    assert "tests/test_context.py" in shown
    assert not [name for name in OWN_STEPS if f"tests/{name}/" in shown]
    listed = ", ".join(f"tests/{name}" for name in OWN_STEPS)
    assert f"left out: {listed}; name them to run them" in shown


def _is_a_room(path: Path) -> bool:
    return path.is_dir() and path.name not in OWN_STEPS
