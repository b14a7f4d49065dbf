"""The conformance kit passes for our driver and for the page's, and a defective driver fails the test that says why."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.page_driver import install_page_driver
from tests.support.runs import BARE


def run_kit(folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    """Run the kit in a folder of its own, with what is installed there."""
    command = [sys.executable, "-m", "pytest", "--pyargs", "rollout.testing.conformance", "-q", "-rfs", *args]
    env = {**os.environ, "PYTHONPATH": str(folder)}
    return subprocess.run([*command, *BARE], cwd=folder, env=env, capture_output=True, text=True, check=False)


def test_the_documented_driver_passes(tmp_path: Path):
    ran = run_kit(tmp_path, "--driver=documented")
    assert ran.returncode == 0, ran.stdout
    assert re.search(r"\d{2} passed in", ran.stdout), ran.stdout


def test_the_driver_of_the_page_passes(tmp_path: Path):
    install_page_driver(tmp_path)
    ran = run_kit(tmp_path, "--driver=toy")
    assert ran.returncode == 0, ran.stdout
    assert "no weights: the toy gateway has no weights" in ran.stdout


DEFECTS = {
    "test_an_activation_without_a_model_is_not_described": (
        "if not isinstance(wish, Activate) or not wish.model:",
        "if not isinstance(wish, Activate):",
    ),
    "test_an_activation_takes_effect_is_read_back_and_undone": (
        'body = {"provider": wish.provider, "model": wish.model}',
        'body = {"provider": "ollama", "model": "gemma3"}',
    ),
    "test_it_answers_for_every_capability": ("for each in Capability}", "for each in HAS}"),
    "test_garbage_is_an_error": (
        "lambda got: read_shape(got, Active)",
        "lambda got: Active(provider='ollama', model='gemma3')",
    ),
}
"""Test -> a fragment of the page's driver, and the defect in its place that this test finds."""


@pytest.mark.parametrize(("failing", "defect"), DEFECTS.items(), ids=DEFECTS)
def test_a_defective_driver_fails(tmp_path: Path, failing: str, defect: tuple[str, str]):
    install_page_driver(tmp_path, defect)
    ran = run_kit(tmp_path, "--driver=toy", "-x", "-k", failing)
    assert ran.returncode == 1, ran.stdout
    assert f"::{failing}" in ran.stdout


def test_a_kind_without_a_subject_is_refused(tmp_path: Path):
    install_page_driver(tmp_path)
    (tmp_path / "toy_driver-1.0.dist-info" / "entry_points.txt").write_text(
        "[rollout.drivers]\ntoy = toy_driver:Toy\n", encoding="utf-8"
    )
    ran = run_kit(tmp_path, "--driver=toy")
    assert ran.returncode == 4
    assert "the kit needs a gateway of kind 'toy' to try its driver on, and 0 packages bring one" in ran.stderr


def test_an_unknown_kind_is_refused(tmp_path: Path):
    ran = run_kit(tmp_path, "--driver=documentd")
    assert ran.returncode == 4
    assert "did you mean 'documented'" in ran.stderr


def test_without_assertions_nothing_is_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PYTHONOPTIMIZE", "1")
    ran = run_kit(tmp_path, "--driver=documented")
    assert ran.returncode == 4
    assert "PYTHONOPTIMIZE is set" in ran.stderr
