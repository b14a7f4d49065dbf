"""An edit of a service's file that the service has not read yet, seen in the configuration (RBK-1.1)."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest

from rollout.changes import executor, foreign_edits
from rollout.core.errors import ConcurrentChange
from rollout.core.redaction import REDACTED, Redactor
from rollout.core.scenario import ProviderChange
from rollout.core.target import Target
from rollout.gateway.drivers.file_settings import FileSettings
from rollout.gateway.responses import RuntimeConfig
from tests.support.clocks import SimulatedClock
from tests.support.file_subjects import FileService

SECRET = "hunter2-planted-9f3c2b7a"
BEFORE = {"llm.provider": "Ollama", "llm.model": "gemma3", "llm.timeout": "30"}
OWN = (ProviderChange("ollama", "gemma3"), ProviderChange("openai", "gpt-4o"), ProviderChange("gone", "x"))
SETTINGS = FileSettings.model_validate(
    {
        "path": "/srv/llm.yaml",
        "provider_key": "llm.provider",
        "model_key": "llm.model",
        "providers": {"ollama": ["gemma3"], "openai": ["gpt-4o"]},
        "apply": "restart",
        "health": "/healthz",
        "served_by": {"provider": "provider"},
    }
)
BEHIND_A_FILE = Target("lab", "lab", kind="file", settings=SETTINGS.model_dump(mode="json"))


def rollout_on(target: Target) -> Any:
    """Return what of a rollout is needed here."""
    return SimpleNamespace(target=target, redactor=Redactor([SECRET]), clock=SimulatedClock())


def judge(config: dict[str, str], before: dict[str, str] = BEFORE) -> None:
    """Judge a configuration against what this rollout found and wrote."""
    gateway: Any = SimpleNamespace(runtime_config=lambda: RuntimeConfig(config, {}))
    backup: Any = SimpleNamespace(config=before)
    foreign_edits.refuse(rollout_on(BEHIND_A_FILE), gateway, backup, OWN)


@pytest.mark.parametrize("provider", ["Ollama", "ollama", "openai"])
@pytest.mark.parametrize("model", ["gemma3", "gpt-4o"])
def test_what_this_rollout_found_or_wrote_is_its_own(provider: str, model: str):
    """Provider and model are judged by themselves: a read may come between two writes."""
    judge({"llm.provider": provider, "llm.model": model, "llm.timeout": "99"})


@pytest.mark.parametrize("foreign", [{"llm.provider": "vllm"}, {"llm.model": "gpt-5"}, {"llm.model": ""}])
def test_another_value_of_an_edited_key_is_an_operators(foreign: dict[str, str]):
    with pytest.raises(ConcurrentChange, match="is not overwritten; an operator must decide"):
        judge(BEFORE | foreign)


def test_a_value_that_is_redacted_in_the_backup_is_compared_redacted():
    judge(BEFORE | {"llm.model": SECRET}, before=BEFORE | {"llm.model": REDACTED})
    with pytest.raises(ConcurrentChange) as refused:
        judge(BEFORE | {"llm.model": SECRET})
    assert SECRET not in str(refused.value)


def test_a_key_that_is_gone_is_an_operators():
    with pytest.raises(ConcurrentChange, match=r"llm\.model holds None"):
        judge({"llm.provider": "ollama"})


def test_a_key_that_the_configuration_never_showed_is_not_judged():
    judge({"llm.provider": "vllm", "llm.model": "gemma3"}, before={"llm.model": "gemma3"})


def test_a_gateway_whose_activation_edits_no_file_is_not_read():
    def read() -> NoReturn:
        raise AssertionError("it is read")

    gateway: Any = SimpleNamespace(runtime_config=read)
    backup: Any = SimpleNamespace(config={"ACTIVE_PROVIDER": "ollama"})
    foreign_edits.refuse(rollout_on(Target("lab", "lab", url="http://127.0.0.1:1")), gateway, backup, OWN)


# What the service would not start with

BREAKS: dict[str, tuple[str, bytes, int]] = {
    "yaml": ("keep: [one, two]", b"keep: [one, two", 7),
    "json": ('"keep": [1, 2]', b'"keep": [1, 2', 4),
    "toml": ("keep = [1, 2]", b"keep = [1, 2", 8),
}
"""Codec -> a part of its file, what an operator leaves there, and a line that a parser may name."""


def behind(on: FileService) -> Any:
    """Return a rollout whose target is behind this file; its service does not run."""
    return rollout_on(on.target())


@pytest.mark.parametrize("codec", BREAKS)
def test_a_file_that_is_broken_is_refused_with_its_line(codec: str, tmp_path: Path):
    on = FileService(tmp_path, codec)
    foreign_edits.refuse_unstartable(behind(on), OWN)
    old, new, last = BREAKS[codec]
    broken = on.file.read_bytes().replace(old.encode(), new)
    on.file.write_bytes(broken)
    with pytest.raises(ConcurrentChange) as refused:
        foreign_edits.refuse_unstartable(behind(on), OWN)
    line = re.match(rf"{re.escape(str(on.file))}:(\d+): ", str(refused.value))
    assert line, refused.value
    assert 1 < int(line[1]) <= last
    assert "an operator must correct the file, and then run the manual commands" in str(refused.value)
    assert on.file.read_bytes() == broken


def test_a_value_that_the_driver_refuses_is_refused_likewise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    on = FileService(tmp_path)
    driver = SimpleNamespace(validate=lambda held: [f"{path}: {len(content)} is odd" for path, content in held.items()])
    monkeypatch.setattr(executor, "driver_of", lambda _: driver)
    with pytest.raises(ConcurrentChange, match=f"{on.file}: {len(on.file.read_bytes())} is odd"):
        foreign_edits.refuse_unstartable(behind(on), OWN)


def test_an_edit_that_is_under_way_may_end(tmp_path: Path):
    on, rollout = FileService(tmp_path), behind(FileService(tmp_path / "other"))
    rollout.target = on.target()
    whole = on.file.read_bytes()
    on.file.write_bytes(whole.replace(b"[one, two]", b"[one"))
    rollout.clock.later(0.5, lambda: on.file.write_bytes(whole))
    foreign_edits.refuse_unstartable(rollout, OWN)
    assert rollout.clock.monotonic() >= 0.5


def test_a_gateway_without_a_file_of_its_own_starts_with_anything():
    foreign_edits.refuse_unstartable(rollout_on(Target("lab", "lab", url="http://127.0.0.1:1")), OWN)
