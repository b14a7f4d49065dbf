"""The documented API's driver: a wish becomes calls, and nothing is sent for it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rollout.core.errors import GatewayError
from rollout.core.scenario import ProviderChange
from rollout.core.target import OtherCall, ProviderRestart, Routing, Target
from rollout.core.wishes import Activate, SetEnvironment, SetLimit, Split, Wish
from rollout.core.writes import Claim, Deadline, FileEdit, HttpCall, Read, ReadCall, Restart
from rollout.gateway.drivers.documented import Documented
from rollout.gateway.drivers.selection import describe_writes, takes_restart
from tests.support.rollouts import NEW, OLD

API = "/api/v1"
NEW_AS_OPENAI = ProviderChange("OpenAI", "gpt-4o")
OWN_CALL = OtherCall("/switch/{provider}", {"server": "{provider}", "model": "{model}"})


def target(**settings: Any) -> Target:
    return Target("lab", "sandbox", url="https://gateway.example", **settings)


def test_an_activation_is_one_call_that_must_claim_success():
    (call,) = Documented(target()).writes(Activate("openai", "gpt-4o"))
    assert call == HttpCall(
        "paths.activate",
        "POST",
        f"{API}/providers/openai/activate",
        {"model": "gpt-4o"},
        Deadline.ACTIVATE,
        "activations",
        Claim.ACTIVATED,
    )
    assert call.name == f"POST {API}/providers/openai/activate"


@pytest.mark.parametrize("spelling", ["ollama", "Ollama"])
def test_a_provider_with_a_call_of_its_own_is_activated_by_it(spelling: str):
    """Deviation 13: its answer is not documented, so only its status counts."""
    (call,) = describe_writes(target(activate_with={"OLLAMA": OWN_CALL}), Activate(spelling, "gemma3:4b"))
    assert (call.setting, call.path, call.body, call.claim) == (
        "activate_with.OLLAMA",
        f"/switch/{spelling}",
        {"server": spelling, "model": "gemma3:4b"},
        Claim.STATUS,
    )


@pytest.mark.parametrize(
    ("settings", "asked", "restarts"),
    [
        ({}, False, False),
        ({}, True, True),
        ({"restart": True}, False, True),
        ({"providers": {"OpenAI": ProviderRestart(restart=True)}}, False, True),
        ({"restart": True, "providers": {"openai": ProviderRestart(restart=False)}}, False, False),
    ],
)
def test_an_activation_carries_its_restart(settings: dict[str, Any], asked: bool, restarts: bool):
    """Deviation 7: the scenario, the target or the provider may say that it takes effect only after a restart."""
    writes = Documented(target(**settings)).writes(Activate("openai", "gpt-4o", restart=asked))
    assert list(writes[1:]) == ([Restart(if_needed=True)] if restarts else [])
    assert takes_restart(target(**settings), NEW) == (restarts and not asked)


def test_weights_are_set_by_the_targets_own_call():
    routing = Routing("/routes", "POST", {"split": "{weights}"}, percent=True)
    (call,) = describe_writes(target(routing=routing), Split({str(NEW): 0.1, str(OLD): 0.9}))
    assert (call.setting, call.name, call.body) == (
        "routing.set.path",
        "POST /routes",
        {"split": {"openai:gpt-4o": 10.0, "ollama:gemma3:4b": 90.0}},
    )
    assert (call.deadline, call.claim) == (Deadline.ACTIVATE, Claim.ACCEPTED)


def test_a_limit_is_sent_by_the_gateways_own_words():
    """Deviation 20: the kind is translated, and a scope as reported is asked for by the provider's name."""
    named = target(limit_types={"cost": "per_provider", "rate": "rate"})
    (call,) = describe_writes(named, SetLimit("cost", "provider:openai", {"hard_limit_usd": 5.0}))
    assert call.body == {"limit_type": "per_provider", "scope": "openai", "hard_limit_usd": 5.0}
    assert (call.deadline, call.claim) == (Deadline.READ, Claim.LIMIT_SET)


def test_an_edit_of_the_env_file_is_followed_by_a_restart_and_names_its_secrets_only():
    wish = SetEnvironment({"LOG_LEVEL": "debug"}, {"API_KEY": "NEW_KEY"}, ("OLD",))
    edit, restart = Documented(target()).writes(wish)
    assert edit == FileEdit(None, "env", {"LOG_LEVEL": "debug"}, {"API_KEY": "NEW_KEY"}, ("OLD",))
    assert restart == Restart(if_needed=False)


@pytest.mark.parametrize(
    ("wish", "says"),
    [
        (Activate("openai", ""), "no model is named"),
        (Activate("..", "gpt-4o"), "cannot be a provider's name"),
        (Split({}), "does not say how its requests are split"),
        (SetLimit("cost", "openai", {}), "nothing to set: give limits, of a kind among cost, rate"),
        (SetLimit("money", "openai", {"hard_limit_usd": 5.0}), "not 'money'"),
    ],
    ids=str,
)
def test_what_the_gateway_cannot_be_asked_for_is_not_described(wish: Wish, says: str):
    with pytest.raises(GatewayError, match=says):
        Documented(target()).writes(wish)


@pytest.mark.parametrize(
    ("settings", "read", "method", "path"),
    [
        ({}, Read.ACTIVE, "GET", f"{API}/providers"),
        ({"paths": {"providers": "/p"}}, Read.ACTIVE, "GET", "/p"),
        ({}, Read.HEALTH, "GET", f"{API}/system/status"),
        ({"paths": {"health": "/healthz"}}, Read.HEALTH, "GET", "/healthz"),
        ({}, Read.TEST_CONNECTION, "POST", f"{API}/providers/open%2Fai/test-connection"),
        ({}, Read.COMPLETION, "POST", f"{API}/chat/completions"),
        ({"chat_with": OtherCall("/stream", {"content": "{prompt}"})}, Read.COMPLETION, "POST", "/stream"),
    ],
)
def test_a_read_is_shown_as_it_is_asked_for(settings: dict[str, Any], read: Read, method: str, path: str):
    provider = "open/ai" if read is Read.TEST_CONNECTION else ""
    assert Documented(target(**settings)).read_call(read, provider) == ReadCall(method, path)


ALIASED = target(reported_as={"OpenAI": "azure"}, model_key="MODEL", provider_key="P", activation_rewrites=("URL",))


def test_the_active_provider_is_named_as_it_is_activated():
    """Deviation 14: the gateway reports it under another name."""
    driver = Documented(ALIASED)
    assert driver.place("Azure", {"MODEL": "gpt-4o"}) == ProviderChange("OpenAI", "gpt-4o")
    assert (driver.activated_as("AZURE"), driver.activated_as("vllm")) == ("OpenAI", "vllm")
    assert (driver.reported_as("openai"), driver.reported_as("vllm")) == ("azure", "vllm")
    assert driver.activation_keys() == ("P", "MODEL", "URL")


@pytest.mark.parametrize(
    ("reported", "configuration", "says"),
    [(None, {"MODEL": "m"}, "no provider is active"), ("azure", {}, "MODEL is not in the configuration")],
)
def test_an_active_provider_that_cannot_be_restored_is_none(
    reported: str | None, configuration: dict[str, str], says: str
):
    with pytest.raises(GatewayError, match=says):
        Documented(ALIASED).place(reported, configuration)


def test_an_emergency_reads_the_active_provider_in_two_answers():
    driver = Documented(ALIASED)
    assert [call.path for call in driver.active_calls()] == [f"{API}/providers", f"{API}/config/runtime"]
    assert driver.place_in([{"active_provider": "azure"}, {"config": {"MODEL": "gpt-4o"}}]) == NEW_AS_OPENAI


@pytest.mark.parametrize(
    "answers",
    [
        [],
        [None, None],
        [{"active_provider": 5}, {"config": {"MODEL": "m"}}],
        [{"active_provider": "azure"}, {"config": []}],
        [{"active_provider": "azure"}, "<html>"],
        [{"active_provider": "azure"}, {"config": {}}],
    ],
    ids=str,
)
def test_garbage_shows_no_active_provider(answers: list[Any]):
    assert Documented(ALIASED).place_in(answers) is None


def test_a_description_loads_neither_http_client_nor_pydantic():
    """`rollout emergency` describes its activation within its half second."""
    code = (
        "import sys; from rollout.gateway.drivers.selection import driver_of; "
        "print(sorted({'httpx', 'pydantic', 'yaml', 'importlib.metadata'} & set(sys.modules)))"
    )
    shown = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, check=True, cwd=_root())
    assert shown.stdout.strip() == "[]"


def _root() -> Path:
    return Path(__file__).parents[3]
