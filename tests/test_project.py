"""What a project has: one version everywhere, a licence, and types for those who import it."""

import re
import subprocess
import sys
import tomllib

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
