"""An edit of a service's file that the service has not read yet, seen in the configuration (RBK-1.1)."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, NoReturn

import pytest

from rollout.changes import foreign_edits
from rollout.core.errors import ConcurrentChange
from rollout.core.redaction import REDACTED, Redactor
from rollout.core.scenario import ProviderChange
from rollout.core.target import Target
from rollout.gateway.drivers.file_settings import FileSettings
from rollout.gateway.responses import RuntimeConfig

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
    return SimpleNamespace(target=target, redactor=Redactor([SECRET]))


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
