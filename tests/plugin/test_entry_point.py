"""The plugin of an installed package: asleep in a project that has not adopted the suite, at work in one that has."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from tests.support.runs import POLICY, ROOT, SCENARIO, Lab, Run, inherited_environment, reports_in

OWN_TEST = "def check_own(pytestconfig):\n    assert pytestconfig.rootpath.name == 'demo'\n"
# Whatever a project says about its own tests must leave the checks as they are.
ADOPTED = """
[tool.pytest.ini_options]
testpaths = ["own"]
python_files = ["check_*.py"]
python_functions = ["check_*"]
addopts = "--strict-markers --strict-config -p no:hypothesispytest -p no:anyio -p no:pytest_cov"
filterwarnings = ["error"]

[tool.rollout]
scenarios = "changes"
targets = "gateways.yaml"
policy = "rules.yaml"
reports = "evidence"
"""


def call(folder: Path, *args: str, env: Mapping[str, str] | None = None) -> Run:
    """Run ``python -m pytest ARGS`` in a folder."""
    inherited = inherited_environment()
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *args],
        cwd=folder,
        env={**inherited, "PYTHONPATH": str(ROOT), **(env or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    return Run(done.returncode, done.stdout + done.stderr, folder / "evidence")


@pytest.fixture
def demo(tmp_path: Path) -> Path:
    """A project that has adopted the suite, with a test of its own."""
    folder = tmp_path / "demo"
    (folder / "own").mkdir(parents=True)
    (folder / "own" / "check_it.py").write_text(OWN_TEST)
    (folder / "pyproject.toml").write_text(ADOPTED)
    return folder


def test_a_project_without_the_table_is_left_alone(tmp_path: Path):
    (tmp_path / "conftest.py").write_text(
        "def pytest_addoption(parser):\n    parser.addoption('--target')\n    parser.addoption('--scenario')\n"
    )
    (tmp_path / "test_own.py").write_text(
        "def test_own(pytestconfig):\n"
        "    assert pytestconfig.getoption('--target') == 'mine'\n"
        "    assert not any('precheck' in line for line in pytestconfig.getini('markers'))\n"
        "    assert pytestconfig.pluginmanager.has_plugin('rollout.plugin.entry_point')\n"
        "    assert not pytestconfig.pluginmanager.has_plugin('rollout.plugin.hooks')\n"
    )
    run = call(tmp_path, "--target=mine", "--strict-markers", "-p", "no:cacheprovider")
    assert run.code == 0, run.out
    assert "1 passed" in run.out
    assert call(tmp_path, "-m", "precheck", "-p", "no:cacheprovider").code == pytest.ExitCode.NO_TESTS_COLLECTED


def test_an_adopting_project_s_own_tests_are_its_own(demo: Path):
    run = call(demo)
    assert run.code == 0, run.out
    assert "1 passed" in run.out
    assert "rollout: no check is run; name a phase (-m precheck) or a scenario (--scenario=FILE)" in run.out
    assert not (demo / "evidence").exists()


def test_a_phase_runs_in_the_project_and_leaves_its_evidence_there(demo: Path, tmp_path: Path):
    with Lab(tmp_path / "lab") as lab:
        (demo / "changes").mkdir()
        (demo / "changes" / "first.yaml").write_text(yaml.safe_dump(dict(SCENARIO)))
        (demo / "gateways.yaml").write_text(yaml.safe_dump({"lab": lab.target}))
        (demo / "rules.yaml").write_text(yaml.safe_dump(dict(POLICY)))
        # The author's own policy does not replace the project's.
        (demo / "changes" / "policy.yaml").write_text("sandbox: {window_at_least: 2h}\n")
        run = call(demo, "-m", "precheck", "--scenario=changes/first.yaml")
    assert run.code == 0, run.out
    assert run.word == "CLEARED"
    assert run.failed == {}
    assert {"PRE-1.1", "PRE-3.3", "PRE-5.4"} <= run.results.keys()
    assert (demo / "evidence" / "journal.sqlite").is_file()
    assert run.folder.parent == demo / "evidence"
    assert str(ROOT) not in json.dumps([dict(each.labels) for each in run.results.values()])


def test_a_mistake_in_the_project_s_file_ends_the_run_before_anything(demo: Path):
    (demo / "pyproject.toml").write_text(ADOPTED + 'polizy = "x"\n')
    run = call(demo, "-m", "precheck")
    assert run.code == pytest.ExitCode.USAGE_ERROR
    line = len((ADOPTED + "polizy").splitlines())
    assert f"{demo}/pyproject.toml:{line}: polizy: there is no such key; did you mean 'policy'?" in run.out
    assert not (demo / "evidence").exists()


@pytest.mark.parametrize(
    ("args", "env", "code", "words"),
    [
        (["-m", "precheck", "--collect-only"], {}, 5, "NOTHING CHECKED: --collect-only"),
        (["-m", "precheck", "--help"], {}, 5, "NOTHING CHECKED: --help"),
        (["-m", "precheck"], {"PYTEST_ADDOPTS": "own"}, 4, "PYTEST_ADDOPTS leads to own in the place of the checks"),
        (["-m", "precheck", "own"], {}, 5, "1 deselected"),
        (["--collect-only", "-q"], {}, 0, "own/check_it.py::check_own"),
    ],
)
def test_a_session_that_checks_nothing_is_not_green(
    demo: Path, args: list[str], env: Mapping[str, str], code: int, words: str
):
    run = call(demo, *args, env=env)
    assert (run.code, words in run.out) == (code, True), run.out
    assert not (demo / "evidence").exists()


@pytest.mark.parametrize("autoload", [True, False], ids=["installed", "without installation"])
def test_the_checkout_s_own_conftest_works_beside_it(autoload: bool):
    plugins = ["-p", "allure_pytest.plugin", "-p", "xdist.plugin", "-p", "pytest_timeout"]
    env = {} if autoload else {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    run = call(ROOT, "--collect-only", "-q", "-p", "no:cacheprovider", *([] if autoload else plugins), env=env)
    assert run.code == 0, run.out
    assert "checks/closure/test_closure.py" in run.out


def test_a_folder_of_the_checkout_is_reached_from_elsewhere(tmp_path: Path):
    """Pytest's root leads to the project where the command line names a folder of it."""
    with reports_in(tmp_path) as reports:
        run = call(tmp_path, str(ROOT / "checks"), "-m", "precheck", "--activate=openai", f"--reports={reports}")
    assert run.code == pytest.ExitCode.USAGE_ERROR
    assert "names no model" in run.out
