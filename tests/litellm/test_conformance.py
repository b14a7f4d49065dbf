"""The conformance kit passes for the driver of a real LiteLLM proxy."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.litellm.environment import litellm_python
from tests.support.forks import ROOT


def test_the_driver_passes(tmp_path: Path) -> None:
    litellm_python()  # a LiteLLM that cannot be had is told here, and not by the kit's own run
    about = tmp_path / "litellm_subject-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: litellm-subject\nVersion: 1.0\n", encoding="utf-8")
    (about / "entry_points.txt").write_text(
        "[rollout.conformance]\nlitellm = tests.litellm.subject:LiteLLMSubject\n", encoding="utf-8"
    )
    command = [sys.executable, "-m", "pytest", "--pyargs", "rollout.testing.conformance", "--driver=litellm"]
    ran = subprocess.run(
        [*command, "-q", "-rfs", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}:{ROOT}"},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert re.search(r"\d{2} passed", ran.stdout), ran.stdout
    assert "no weights: an alias leads to one model_name" in ran.stdout
