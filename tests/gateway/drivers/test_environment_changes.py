"""A change of the `.env` file on a kind of gateway that takes activations alone is refused before anything is sent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.config.test_load import refusal
from tests.support import service_commands
from tests.support.behind_a_file import POLICY
from tests.support.file_subjects import FileService


@pytest.mark.parametrize("kind", ["file", "command"])
@pytest.mark.parametrize("change", ["{set: {LLM_TIMEOUT: '20'}}", "[{activate: openai, model: gpt-4o}, {remove: [A]}]"])
def test_a_change_of_the_environment_is_refused_with_its_line(kind: str, change: str, tmp_path: Path) -> None:
    """The target could be reached, restarted and edited: it is the kind that has no such change."""
    on = FileService(tmp_path / "service", "env")
    settings = on.settings if kind == "file" else service_commands.settings(on.folder)
    target: dict[str, Any] = {"url": on.url, "environment": "lab", "kind": kind, "settings": settings}
    target |= {"service": on.service, "env_file": str(on.file)}
    (tmp_path / "targets.yaml").write_text(yaml.safe_dump({"gw": target}), encoding="utf-8")
    (tmp_path / "policy.yaml").write_text(POLICY, encoding="utf-8")
    scenario = tmp_path / "scenario.yaml"
    scenario.write_text(f"target: gw\nauthor: alice\nchange: {change}\n", encoding="utf-8")
    said = refusal(scenario=scenario, directory=tmp_path).splitlines()
    (line,) = [each for each in said if "cannot be made on target 'gw'" in each]
    assert line.startswith(f"{scenario}:3: change")
    assert "activations alone, and no SetEnvironment; remove it, and edit the service's file by hand" in line
