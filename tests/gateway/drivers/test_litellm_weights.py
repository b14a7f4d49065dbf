"""A model_name whose deployments share the requests by weights: its edits, its faults, and what a proxy answers."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from rollout.changes.foreign_edits import refuse
from rollout.core.capabilities import Capability
from rollout.core.errors import ConcurrentChange, GatewayError
from rollout.core.redaction import Redactor
from rollout.core.scenario import ProviderChange
from rollout.core.target import Target
from rollout.core.wishes import Activate, Split
from rollout.core.writes import FileEdit, Read, Restart
from rollout.gateway.documents import InvalidResponse
from rollout.gateway.drivers.litellm import LiteLLM
from rollout.gateway.drivers.litellm_in_effect import Deployments, SplitInEffect
from rollout.gateway.drivers.litellm_settings import LiteLLMSettings
from rollout.gateway.drivers.litellm_weights import (
    configured_active,
    find_weight_faults,
    show_configured,
    without_weights,
)
from rollout.gateway.host.settings_file import compose_content
from rollout.gateway.responses import RuntimeConfig

CONFIG = """\
# of the operators
model_list:
  - model_name: chat
    litellm_params: {model: openai/gpt-4o, weight: 100}
    model_info: {id: prod-a, active: true}
  - model_name: chat  # the new one
    litellm_params: {model: azure/gpt-4o}
    model_info: {id: prod-b}
"""
SETTINGS: dict[str, Any] = {
    "config": "/etc/litellm/config.yaml",
    "model_name": "chat",
    "providers": {"prod-a": "openai/gpt-4o", "prod-b": "azure/gpt-4o"},
}
PARSED = LiteLLMSettings.model_validate(SETTINGS)
OLD = ProviderChange("prod-a", "openai/gpt-4o")


def driver() -> LiteLLM:
    return LiteLLM(Target("proxy", "lab", url="http://127.0.0.1:4000", kind="litellm", settings=SETTINGS))


def edited(wish: Any, text: str = CONFIG) -> list[dict[str, Any]]:
    edit, restart = driver().writes(wish)
    assert isinstance(edit, FileEdit)
    assert restart == Restart()
    content = compose_content(edit, text.encode(), {}).decode()
    assert "# of the operators" in content
    found: list[dict[str, Any]] = yaml.safe_load(content)["model_list"]
    return found


def weights(deployments: list[dict[str, Any]]) -> list[tuple[float, bool | None]]:
    return [(each["litellm_params"]["weight"], each["model_info"].get("active")) for each in deployments]


def test_an_activation_gives_one_deployment_every_request_and_the_mark():
    assert weights(edited(Activate("prod-b", "azure/gpt-4o"))) == [(0, False), (1, True)]


def test_a_split_sets_the_weights_and_leaves_the_mark():
    assert weights(edited(Split({"prod-b": 0.1, "prod-a": 0.9}))) == [(0.9, True), (0.1, None)]


def test_no_split_leads_every_request_to_the_one_that_is_named():
    assert weights(edited(Split({}, rest="prod-b"))) == [(0, True), (1, None)]


@pytest.mark.parametrize("wish", [Split({}), Split({"prod-c": 0.1, "prod-a": 0.9}), Split({}, rest="prod-c")])
def test_a_split_among_others_than_the_targets_deployments_is_refused(wish: Split):
    with pytest.raises(GatewayError, match=r"providers: …}` are prod-a, prod-b"):
        driver().writes(wish)


def test_it_has_weights_and_asks_one_deployment_directly():
    assert driver().capabilities()[Capability.WEIGHTS] is None
    assert driver().asks_directly()
    assert driver().destination(OLD) == "prod-a"


def test_an_examination_that_is_paid_for_asks_one_deployment():
    paid = LiteLLM(Target("proxy", "lab", url="http://h", kind="litellm", settings={**SETTINGS, "examination": "paid"}))
    assert paid.read_call(Read.TEST_CONNECTION, "prod-b").path == "/health?model_id=prod-b"


@pytest.mark.parametrize("more", [{"group": "other"}, {"model_name": None}])
def test_an_alias_and_weights_exclude_each_other_and_one_is_needed(more: dict[str, Any]):
    with pytest.raises(ValueError, match="name either `group`"):
        LiteLLMSettings.model_validate({**SETTINGS, **more})


def faults(*edits: tuple[str, str]) -> str:
    text = CONFIG
    for before, after in edits:
        assert before in text
        text = text.replace(before, after)
    return "; ".join(find_weight_faults(yaml.safe_load(text), PARSED))


def test_a_sound_configuration_has_no_fault():
    assert faults() == ""


@pytest.mark.parametrize(
    ("edit", "fault"),
    [
        (("id: prod-b", "id: prod-c"), "the deployment prod-c of chat is not among the target's"),
        (("model_info: {id: prod-b}", ""), "give each a model_info.id, and list it"),
        (("id: prod-b", "id: prod-a"), "several deployments have the id prod-a"),
        (("weight: 100", "weight: 0"), "no deployment of chat has a litellm_params.weight above 0"),
        (("weight: 100", "weight: true"), "no deployment of chat has a litellm_params.weight above 0"),
        ((", active: true", ""), "0 deployments of chat are marked"),
        (("{id: prod-b}", "{id: prod-b, active: true}"), "2 deployments of chat are marked"),
        (("model_list:", "router_settings: {routing_strategy: least-busy}\nmodel_list:"), "does not split by weights"),
    ],
)
def test_a_configuration_that_would_not_split_by_weights_is_named(edit: tuple[str, str], fault: str):
    assert fault in faults(edit)


@pytest.mark.parametrize("document", [{}, {"model_list": 3}, {"model_list": [3, {"model_name": "chat"}]}])
def test_garbage_is_faulty_and_no_traceback(document: Any):
    assert any("are marked" in fault for fault in find_weight_faults(document, PARSED))
    assert configured_active(document, PARSED) == ("", "")
    assert set(show_configured(document, PARSED).values()) == {"0", "False"}


def test_weights_are_shown_as_fractions_so_that_a_rollback_reads_like_what_was_there():
    document = yaml.safe_load(CONFIG)
    after = {"model_list": edited(Activate("prod-a", "openai/gpt-4o"))}
    assert show_configured(document, PARSED) == show_configured(after, PARSED)
    assert show_configured(document, PARSED)["model_list[model_info.id=prod-a].litellm_params.weight"] == "1"
    assert without_weights(document, PARSED) == without_weights(after, PARSED)
    assert configured_active(document, PARSED) == ("prod-a", "openai/gpt-4o")


def running(*found: tuple[str, float | None, bool]) -> SplitInEffect:
    rows = [
        {
            "model_name": "chat",
            "model_info": {"id": own, "active": active},
            "litellm_params": {"model": "m", "weight": w},
        }
        for own, w, active in found
    ]
    return SplitInEffect("chat", tuple(Deployments.model_validate({"data": rows}).data))


def test_the_running_proxy_shows_fractions_and_nothing_where_the_active_one_gets_all():
    assert running(("prod-a", 9, True), ("prod-b", 1, False)).shares() == {"prod-a": 0.9, "prod-b": 0.1}
    assert running(("prod-a", 5, True), ("prod-b", 0, False)).shares() == {}
    assert running(("prod-a", None, True), ("prod-b", 1, False)).shares() == {"prod-b": 1.0}
    with pytest.raises(InvalidResponse, match="chooses among them at random"):
        running(("prod-a", 0, True), ("prod-b", None, False)).shares()


@pytest.mark.parametrize("marks", [(False, False), (True, True)])
def test_none_or_several_marks_show_no_active_deployment(marks: tuple[bool, bool]):
    found = running(("prod-a", 1, marks[0]), ("prod-b", 1, marks[1]))
    assert found.active({}) is None
    rows = {"data": [row.model_dump() for row in found.rows]}
    assert driver().place_in([rows]) is None
    with pytest.raises(GatewayError, match=re.escape("`model_info: {active: true}`")):
        driver().place(None, {})


def test_the_marked_deployment_is_the_active_one_for_an_emergency():
    rows = {"data": [row.model_dump() for row in running(("prod-a", 1, True), ("prod-b", 0, False)).rows]}
    assert driver().place_in([rows]) == ProviderChange("prod-a", "m")


def judge(config: dict[str, str]) -> None:
    """Judge the weights of a file against what a rollout found and wrote: a tenth for the new deployment."""
    document = yaml.safe_load(CONFIG)
    target = Target("proxy", "lab", url="http://127.0.0.1:4000", kind="litellm", settings=SETTINGS)
    rollout: Any = SimpleNamespace(target=target, redactor=Redactor())
    backup: Any = SimpleNamespace(config=show_configured(document, PARSED))
    gateway: Any = SimpleNamespace(runtime_config=lambda: RuntimeConfig({**backup.config, **config}, {}))
    refuse(rollout, gateway, backup, (OLD,), (Split({"prod-b": 0.1, "prod-a": 0.9}), Split({}, "prod-a")))


@pytest.mark.parametrize("share", ["0", "0.1"])
def test_a_weight_that_this_rollout_found_or_wrote_is_its_own(share: str):
    judge({"model_list[model_info.id=prod-b].litellm_params.weight": share})


@pytest.mark.parametrize(
    ("key", "value"), [("litellm_params.weight", "0.3"), ("litellm_params.weight", "1"), ("model_info.active", "True")]
)
def test_an_operators_edit_of_the_weights_that_the_proxy_has_not_read_is_not_overwritten(key: str, value: str):
    with pytest.raises(ConcurrentChange, match="is not overwritten; an operator must decide"):
        judge({f"model_list[model_info.id=prod-b].{key}": value})
