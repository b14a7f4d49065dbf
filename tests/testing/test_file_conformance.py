"""The conformance kit passes for the kinds of docs/SERVICE-BEHIND-A-FILE.md and docs/COMMANDS.md."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.file_subjects import install_subject
from tests.support.runs import BARE


def run_kit(folder: Path, kind: str, subject: str, *args: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the kit in a folder of its own, with a subject of this repository."""
    command = [sys.executable, "-m", "pytest", "--pyargs", "rollout.testing.conformance", "-q", "-rfs"]
    return subprocess.run(
        [*command, f"--driver={kind}", *BARE, *args],
        cwd=folder,
        env=install_subject(folder, kind, f"tests.support.{subject}") | environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("subject", ["yaml-restart", "env-command"])
def test_the_driver_of_a_service_behind_a_file_passes(tmp_path: Path, subject: str):
    ran = run_kit(tmp_path, "file", "file_subjects:FileSubject", FILE_SUBJECT=subject)
    assert ran.returncode == 0, ran.stdout
    assert int(re.findall(r"(\d+) passed", ran.stdout)[0]) >= 35, ran.stdout
    skipped = re.findall(r"SKIPPED .*?: (no .*)", ran.stdout)
    assert skipped
    assert all("a service behind a file" in each or "requests cannot be split" in each for each in skipped), skipped


def test_the_driver_of_commands_passes(tmp_path: Path):
    ran = run_kit(tmp_path, "command", "file_subjects:CommandSubject")
    assert ran.returncode == 0, ran.stdout
    assert int(re.findall(r"(\d+) passed", ran.stdout)[0]) >= 45, ran.stdout
    assert "no weights: the target's commands do not split requests" in ran.stdout
    assert "NotOffered" not in ran.stdout
