"""What the driver of a LiteLLM proxy describes without one: writes, capabilities, and faults of a configuration."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from rollout.core.capabilities import Capability
from rollout.core.errors import GatewayError
from rollout.core.target import Target
from rollout.core.wishes import Activate, Split
from rollout.core.writes import FileEdit, Read, Restart
from rollout.gateway.drivers.litellm import LiteLLM
from rollout.gateway.drivers.litellm_config import configured_alias, deployed_models, find_faults, flatten
from rollout.gateway.drivers.litellm_settings import LiteLLMSettings
from rollout.gateway.drivers.litellm_weights import find_weight_faults
from rollout.gateway.host.settings_file import compose_content
from tests.support.forks import ROOT

CONFIG = """\
# of the operators
model_list:
  - model_name: prod-a
    litellm_params: {model: openai/gpt-4o, api_key: sk-1234567890abcdef}
  - model_name: prod-b
    litellm_params: {model: azure/gpt-4o, api_key: os.environ/AZURE_KEY}
router_settings:
  model_group_alias:
    chat: prod-a  # where users are led to
  routing_strategy: simple-shuffle
general_settings: {master_key: os.environ/LITELLM_MASTER_KEY}
"""
SETTINGS: dict[str, Any] = {
    "config": "/etc/litellm/config.yaml",
    "group": "chat",
    "providers": {"prod-a": "openai/gpt-4o", "prod-b": "azure/gpt-4o"},
}


def driver(**more: Any) -> LiteLLM:
    return LiteLLM(Target("proxy", "lab", url="http://127.0.0.1:4000", kind="litellm", settings={**SETTINGS, **more}))


def rows(*found: tuple[str, str, str]) -> dict[str, Any]:
    return {
        "data": [
            {"model_name": name, "model_info": {"id": own}, "litellm_params": {"model": model}}
            for name, own, model in found
        ]
    }


def test_an_activation_is_an_edit_of_one_key_and_a_restart():
    edit, restart = driver().writes(Activate("prod-b", "azure/gpt-4o"))
    assert edit == FileEdit(
        Path("/etc/litellm/config.yaml"), "yaml", {"router_settings.model_group_alias.chat": "prod-b"}
    )
    assert restart == Restart()
    edited = compose_content(edit, CONFIG.encode(), {}).decode()
    assert edited == CONFIG.replace("chat: prod-a", "chat: prod-b")


def test_a_group_with_a_dot_is_one_key():
    edit, _ = driver(group="gpt-4.1").writes(Activate("prod-b", "azure/gpt-4o"))
    assert isinstance(edit, FileEdit)
    assert list(edit.values) == ['router_settings.model_group_alias."gpt-4.1"']


@pytest.mark.parametrize(
    ("wish", "why"),
    [
        (Activate("prod-c", "openai/gpt-4o"), "it is not among the target's `settings: {providers: …}`"),
        (
            Activate("prod-b", "openai/gpt-4o"),
            "its model is azure/gpt-4o by the target, and openai/gpt-4o is",
        ),
        (Activate("prod-b", ""), "and none is asked for"),
        (Split({"prod-a": 1.0}), "cannot be asked for"),
    ],
)
def test_what_it_cannot_be_asked_for_is_refused(wish: Any, why: str):
    with pytest.raises(GatewayError, match=r".*") as refused:
        driver().writes(wish)
    assert why in str(refused.value)


def test_what_it_lacks_has_a_reason_and_counters_are_a_setting():
    said = driver().capabilities()
    assert {each for each, why in said.items() if why is None} == {
        Capability.COUNTERS,
        Capability.BOOT_ID,
        Capability.SERVED_BY,
    }
    assert "callbacks: [prometheus]" in str(driver(counters="none").capabilities()[Capability.COUNTERS])


def test_an_examination_is_paid_for_only_where_the_target_lets_it():
    assert [line.partition(":")[0] for line in driver().paid_reads()] == ["POST /v1/chat/completions"]
    assert driver().read_call(Read.TEST_CONNECTION, "prod-b").path == "/v1/model/info"
    paid = driver(examination="paid")
    assert [line.partition(":")[0] for line in paid.paid_reads()][1] == "GET /health?model=…"
    assert paid.read_call(Read.TEST_CONNECTION, "prod&b").path == "/health?model=prod%26b"


def test_the_active_provider_is_the_one_whose_deployments_the_alias_has():
    answer = rows(("prod-a", "1", "openai/gpt-4o"), ("prod-b", "2", "azure/gpt-4o"), ("chat", "2", "azure/gpt-4o"))
    assert str(driver().place_in([answer])) == "prod-b:azure/gpt-4o"
    assert driver().place_in([rows(("prod-a", "1", "openai/gpt-4o"))]) is None
    assert driver().place_in([{"data": "no list"}]) is None


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"config": "config.yaml"}, "is a relative path"),
        ({"group": "prod-a"}, "an alias cannot lead to itself"),
        ({"providers": {}}, "at least 1"),
        ({"master_key": "sk-1"}, "Extra inputs"),
        ({"providers": {"prod:a": "x"}}, "pattern"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(more: dict[str, Any], why: str):
    with pytest.raises(ValidationError, match=why):
        LiteLLMSettings.model_validate({**SETTINGS, **more})


# Faults of a configuration


def faults(*edits: tuple[str, str], **options: Any) -> str:
    text = CONFIG
    for old, new in edits:
        assert text.count(old) >= 1, old
        text = text.replace(old, new)
    return "; ".join(find_faults(yaml.safe_load(text), "chat", **options))


def test_a_sound_configuration_has_no_fault():
    assert faults() == ""


@pytest.mark.parametrize(
    ("edit", "fault"),
    [
        (("simple-shuffle", "simple-shufle"), "did you mean 'simple-shuffle'?"),
        (("chat: prod-a", "chat: prod-d"), "prod-d is no model_name of model_list"),
        (("chat: prod-a", "other: prod-a"), "so chat leads to no deployment"),
        (("chat: prod-a", "chat: {model: prod-a, hidden: true}"), "is a mapping"),
        (("model_name: prod-b", "model_name: chat"), "which is an alias too"),
        (("model_name: prod-b", "name: prod-b"), "model_list[1]: has no model_name"),
        (("{model: azure/gpt-4o, ", "{"), "model_list[1].litellm_params: has no model"),
        (("model_list:", "models:"), "model_list: there is no list of deployments"),
        (("general_settings: {", "general_settings: {database_url: os.environ/DB, "), "is database mode"),
        (("general_settings: {", "general_settings: {store_model_in_db: true, "), "is database mode"),
        (("general_settings:", "environment_variables: {DATABASE_URL: x}\ngeneral_settings:"), "is database mode"),
    ],
)
def test_a_configuration_that_would_not_start_or_lead_anywhere_is_named(edit: tuple[str, str], fault: str):
    assert fault in faults(edit)


def test_a_strategy_is_left_to_the_proxys_own_litellm_where_it_is_asked():
    assert faults(("simple-shuffle", "of-the-future"), judge_strategies=False) == ""


def test_a_misspelt_strategy_of_a_routing_group_is_named():
    group = "routing_groups: [{group_name: g, routing_strategy: latency}]\n  routing_strategy: simple-shuffle"
    assert "routing_groups[0].routing_strategy" in faults(("routing_strategy: simple-shuffle", group))


@pytest.mark.parametrize("document", [{}, {"model_list": 3}, {"router_settings": []}, {"router_settings": "x"}])
def test_garbage_is_faulty_and_no_traceback(document: Any):
    assert find_faults(document, "chat")
    assert configured_alias(document, "chat") is None


def test_the_configuration_is_read_without_its_secrets():
    read = flatten(yaml.safe_load(CONFIG) | {"environment_variables": {"LANGFUSE_HOST": "http://x"}})
    assert read["router_settings.model_group_alias.chat"] == "prod-a"
    assert read["model_list[0].litellm_params.model"] == "openai/gpt-4o"
    assert read["environment_variables.LANGFUSE_HOST"] == "[redacted]"
    assert not any("sk-1234567890abcdef" in value for value in read.values())


# docs/LITELLM.md


def test_the_pages_configuration_target_and_scenario_fit_each_other():
    page = (ROOT / "docs" / "LITELLM.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```(?:text|yaml)\n(.*?)```", page, re.DOTALL)
    config, target, scenario, shared = map(yaml.safe_load, blocks)
    settings = LiteLLMSettings.model_validate(target["litellm"]["settings"])
    assert find_faults(config, settings.group) == ()
    assert {name: ",".join(deployed_models(config, name)) for name in settings.providers} == settings.providers
    assert settings.providers[scenario["change"]["activate"]] == scenario["change"]["model"]
    by_weights = LiteLLMSettings(config=Path("/c"), model_name="chat", providers=settings.providers)
    assert list(find_weight_faults(shared, by_weights)) == []
    named = set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE))
    assert named == set(LiteLLMSettings.model_fields)
