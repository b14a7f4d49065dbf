"""A provider or model that the gateway does not list is refused before any other step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rollout.core.clock import SystemClock
from rollout.core.errors import InvalidInput
from rollout.core.policy import Policy
from rollout.core.redaction import Redactor
from rollout.core.request import Origin, Request
from rollout.core.scenario import LimitChange, ProviderChange, Scenario
from rollout.core.target import OtherCall, Target
from rollout.engine.listed_names import look_up, refuse_unlisted

LISTED: Mapping[str, Sequence[str]] = {"ollama": ("gemma3:4b",), "openai": ("gpt-4o", "gpt-4.1"), "vllm": ()}
TARGET = Target("prod", "production", url="http://127.0.0.1:9")


def _request(provider: str, model: str, *others: Any, target: Target = TARGET, **parts: Any) -> Request:
    source = parts.pop("source", "scenarios/a.yaml")
    changes = (ProviderChange(provider, model), *others)
    scenario = Scenario(name="a", source=source, target=target.name, changes=changes, author="alice", **parts)
    return Request(scenario, target, Policy(target.environment), Origin(targets=Path("scenarios/targets.yaml")))


def _refused(request: Request, listed: Mapping[str, Sequence[str]] = LISTED) -> list[str]:
    with pytest.raises(InvalidInput) as caught:
        refuse_unlisted(request, listed)
    return str(caught.value).splitlines()


def test_a_provider_that_is_not_listed_is_refused_with_the_nearest_name() -> None:
    """File, place, word, the nearest name, and the list."""
    (line,) = _refused(_request("opnai", "gpt-4o"))
    assert line == (
        "scenarios/a.yaml: change.activate: the gateway lists no provider 'opnai'; did you mean 'openai'? it lists "
        "ollama, openai, vllm"
    )


def test_a_model_that_is_not_listed_is_refused_with_the_nearest_name() -> None:
    """A model's name is case-sensitive; an option has no place in a file."""
    assert _refused(_request("OpenAI", "gpt4o", source="--activate")) == [
        "--activate: the gateway lists no model 'gpt4o' for 'OpenAI'; did you mean 'gpt-4o'? it lists gpt-4o, gpt-4.1"
    ]


def test_no_name_is_suggested_where_none_is_near() -> None:
    """The list is shown without a guess."""
    assert "did you mean" not in _refused(_request("xyz", "gpt-4o"))[0]


def test_what_is_listed_passes_in_any_capitals() -> None:
    """Names of providers are case-insensitive (docs/GATEWAY_API.md)."""
    assert refuse_unlisted(_request("OPENAI", "gpt-4.1"), LISTED) == ()


def test_where_no_models_are_listed_that_is_reported_and_nothing_is_refused() -> None:
    """A list that is not known is not an empty one."""
    unchecked = ("the gateway lists no models for vllm, so the model is not checked",)
    assert refuse_unlisted(_request("vllm", "whatever"), LISTED) == unchecked


def test_a_gateway_that_lists_nothing_decides_nothing() -> None:
    """An empty list of providers is reported, and no name is refused for it."""
    assert refuse_unlisted(_request("openai", "gpt-4o"), {}) == (
        "the gateway lists no providers, so neither provider nor model is checked",
    )


def test_the_rollback_providers_are_checked_too_and_all_problems_are_named_at_once() -> None:
    """The scenario's rollback provider and the target's safe provider are checked before they are needed."""
    target = replace(TARGET, safe=ProviderChange("olama", "gemma3:4b"))
    limit = LimitChange("cost", "openai", {"soft_limit_usd": 1.0})
    request = _request("openai", "gpt-9", limit, target=target, rollback_to=ProviderChange("ollama", "gemma3:4"))
    assert [line.partition("; did")[0] for line in _refused(request)] == [
        "scenarios/a.yaml: change[0].model: the gateway lists no model 'gpt-9' for 'openai'",
        "scenarios/a.yaml: rollback_to.model: the gateway lists no model 'gemma3:4' for 'ollama'",
        "scenarios/targets.yaml: prod.safe.activate: the gateway lists no provider 'olama'",
    ]


def test_a_provider_that_is_listed_as_it_is_reported_is_known() -> None:
    """Deviation 14: ``google`` may stand in the list as ``google-gemini``."""
    target = replace(TARGET, reported_as={"google": "google-gemini"})
    assert refuse_unlisted(_request("google", "pro", target=target), {"google-gemini": ("pro",)}) == ()


def test_a_provider_with_a_call_of_its_own_needs_no_entry_in_the_list() -> None:
    """Deviation 13: a target that states the activation knows the provider; its precheck judges it."""
    target = replace(TARGET, activate_with={"Local": OtherCall("/x", {})})
    assert refuse_unlisted(_request("local", "m", target=target), LISTED) == ()


def test_a_long_list_is_cut() -> None:
    """Twelve names, and how many more there are; what cannot be printed is escaped."""
    (line,) = _refused(_request("zzz", "m"), {f"provider{n}": () for n in range(20)} | {"\x1b[2J": ()})
    assert line.endswith("provider11 and 9 more")
    assert "\x1b" not in _refused(_request("zzz", "m"), {"\x1b[2J": ()})[0]


def test_a_gateway_that_cannot_be_read_refuses_nothing() -> None:
    """The prechecks report that no gateway listens there."""
    assert look_up(_request("opnai", "x"), {}, clock=SystemClock(), redactor=Redactor()) == ()


def test_an_embedded_gateway_is_not_started_to_be_asked() -> None:
    """Its catalogue is known before it runs."""
    request = _request("opnai", "gpt-4o", target=Target("embedded", "sandbox"))
    with pytest.raises(InvalidInput, match="did you mean 'openai'"):
        look_up(request, {}, clock=SystemClock(), redactor=Redactor())
