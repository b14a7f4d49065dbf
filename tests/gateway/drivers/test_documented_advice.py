"""A refused write names the setting of the target that would mend it, against the embedded gateway and a liar."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest

from rollout.core.errors import Refused
from rollout.core.target import OtherCall, Target
from rollout.core.wishes import Activate, SetLimit
from rollout.gateway.client import Gateway
from rollout.sandbox.process import Running, start, stop
from rollout.sandbox.settings import SandboxSettings
from tests.gateway.conftest import TWO_SECONDS, bring_about
from tests.support import liar as lies

TARGET = Target("t", "sandbox", timeouts=TWO_SECONDS)
SWITCHED = ("local_activation_elsewhere", "limit_types_cost_rate")
OWN = "activate_with.openai: {path: …, body: {…}}"


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    settings = SandboxSettings.from_mapping({"users_per_s": 0, "deviations": list(SWITCHED)})
    running = start(tmp_path_factory.mktemp("gateway") / "state", settings=settings)
    yield running
    stop(running)


def refusal(gateway: Gateway, provider: str = "openai", model: str = "gpt-4o") -> str:
    """Return the message of a refused activation."""
    with gateway.allow_writes("APP-1.2"), pytest.raises(Refused) as caught:
        bring_about(gateway, Activate(provider, model))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def refused_limit(gateway: Gateway, kind: str = "cost") -> str:
    """Return the message of a refused limit."""
    with gateway.allow_writes("APP-3.1"), pytest.raises(Refused) as caught:
        bring_about(gateway, SetLimit(kind, "openai", {"hard_limit_usd": 10.0, "soft_limit_usd": 20.0}))
    return str(caught.value)


def test_a_local_runtime_that_wants_another_call_names_activate_with(embedded, build):
    """Deviation 13, and the call that the message names mends it."""
    message = refusal(build(embedded.url, target=TARGET), "ollama", "gemma3:4b")
    assert message.endswith(
        "refused (400: Local runtime ollama activation should use /system/llm-servers/active endpoint); where another "
        "call activates this provider, set the target's activate_with.ollama: {path: …, body: {…}}"
    )
    call = OtherCall("/api/v1/system/llm-servers/active", {"server_name": "{provider}", "model": "{model}"})
    mended = build(embedded.url, target=replace(TARGET, activate_with={"ollama": call}))
    with mended.allow_writes("APP-1.2"):
        bring_about(mended, Activate("ollama", "gemma3:4b"))


@pytest.mark.parametrize(
    ("path", "says"),
    [
        (
            "/api/v1/providers/{provider}/start",
            f"check the target's url, or set its paths.activate, or {OWN}, where another call activates this provider",
        ),
        (
            "/api/v1/providers/{provider}/status",
            f"this path takes no POST: set the target's paths.activate, or {OWN}",
        ),
    ],
)
def test_a_path_that_is_none_names_both_settings(embedded, build, path, says):
    target = replace(TARGET, paths={"activate": path})
    assert refusal(build(embedded.url, target=target)).endswith(says)


def test_a_provider_that_is_unknown_and_a_model_that_is_not_there(embedded, build):
    """A model is mended in the scenario, and by no setting."""
    gateway = build(embedded.url, target=TARGET)
    assert refusal(gateway, "no such").endswith(
        "(404: Unknown provider: no such); where another name or call activates this provider, set the target's "
        "activate_with.no such: {path: …, body: {…}}"
    )
    assert refusal(gateway, "openai", "gpt-9").partition("refused")[2].startswith(" (400: Model gpt-9 is not available")
    assert "activate_with" not in refusal(gateway, "openai", "gpt-9")


def test_another_body_names_activate_with(gateway, liar):
    missing = {"detail": [{"loc": ["body", "model_name"], "msg": "Field required"}]}
    liar.rule("/activate", lies.answer(422, missing))
    assert refusal(gateway).endswith(
        f"(422: model_name: Field required); where the gateway takes another body, set the target's {OWN}"
    )


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/v1/system/llm-servers/active", {"server": "{provider}", "model": "{model}"}),
        ("/api/v1/system/llm-servers/active", {"server_name": "no{provider}", "model": "{model}"}),
        ("/api/v1/config/runtime", {"model": "{model}"}),
    ],
    ids=["422", "404", "405"],
)
def test_a_call_of_the_targets_own_is_to_be_checked(embedded, build, path, body):
    gateway = build(embedded.url, target=replace(TARGET, activate_with={"Ollama": OtherCall(path, body)}))
    assert refusal(gateway, "ollama", "gemma3:4b").endswith(
        "; check path and body of the target's activate_with.Ollama"
    )


def test_a_limit_type_that_is_unknown_names_limit_types(embedded, build):
    """Deviation 20; another refusal of a limit is no matter of settings."""
    target = replace(TARGET, limit_types={"cost": "per_provider", "rate": "rate"})
    assert refused_limit(build(embedded.url, target=target)).endswith(
        "(400: Invalid limit_type: per_provider. Use 'cost' or 'rate'); set the target's limit_types.cost to the "
        "gateway's word for it"
    )
    assert refused_limit(build(embedded.url, target=TARGET)).endswith(
        "(400: Soft limit cannot be greater than hard limit)"
    )
    moved = replace(TARGET, paths={"limits": "/api/v1/governance/status"})
    assert refused_limit(build(embedded.url, target=moved)).endswith(
        "this path takes no POST: set the target's paths.limits"
    )


@pytest.mark.parametrize("status", [401, 403, 409, 429])
def test_other_refusals_name_no_setting_of_an_activation(gateway, liar, status):
    liar.rule("/activate", lies.answer(status, {"detail": "no activation now", "retry_after_seconds": 0}))
    assert "activate_with" not in refusal(gateway)


def test_a_refused_read_is_said_as_before(embedded, build):
    gateway = build(embedded.url, target=replace(TARGET, paths={"alerts": "/api/v1/governance/limits"}))
    with pytest.raises(Refused, match=r"refused \(405: Method Not Allowed\)$"):
        gateway.alerts()
    assert httpx.get(f"{embedded.url}/api/v1/governance/limits").status_code == 405
