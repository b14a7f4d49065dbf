"""How long a restart and a runtime switch take, and what they cost, as the target states."""

from __future__ import annotations

import pytest

from rollout.core.downtime import proof_price, startup_s
from rollout.core.scenario import EnvironmentChange, LimitChange, ProviderChange
from rollout.core.target import OtherCall, ProviderRestart, Target, Timeouts
from rollout.gateway.drivers.selection import takes_restart

TARGET = Target(
    "t",
    "production",
    timeouts=Timeouts(activate_s=22.0),
    startup_s=20.0,
    providers={
        "Ollama": ProviderRestart(restart=True, startup_s=60.0),
        "vllm": ProviderRestart(restart=True),
        "google": ProviderRestart(startup_s=5.0),
    },
    activate_with={"LlamaCpp": OtherCall("/switch", {}), "vllm": OtherCall("/switch", {})},
    safe=ProviderChange("claude", "m", restart=True),
)
LIMIT = LimitChange("rate", "global", {"max_tokens_per_minute": 1.0})


@pytest.mark.parametrize(
    ("changes", "seconds"),
    [
        ([], 20.0),
        ([LIMIT], 20.0),
        ([ProviderChange("openai", "m")], 20.0),
        ([ProviderChange("ollama", "m")], 60.0),
        ([ProviderChange("google", "m", restart=True)], 5.0),
        ([ProviderChange("google", "m", restart=True, startup_s=70.0)], 70.0),
        ([ProviderChange("openai", "m"), ProviderChange("OLLAMA", "m"), LIMIT], 60.0),
        ([EnvironmentChange({"A": "b"})], 60.0),
        ([EnvironmentChange({"A": "b"}, startup_s=90.0)], 90.0),
    ],
)
def test_a_restart_may_take_the_longest_of_what_the_target_and_the_changes_say(changes, seconds):
    """After an edit of the `.env` file any provider may be the active one, so the slowest counts."""
    assert startup_s(TARGET, changes) == seconds


@pytest.mark.parametrize(
    ("previous", "price"),
    [
        (ProviderChange("openai", "m"), None),
        (ProviderChange("ollama", "m"), "a restart of the service, up to 60 s"),
        (ProviderChange("openai", "m", restart=True), "a restart of the service, up to 20 s"),
        (ProviderChange("Claude", "m"), "a restart of the service, up to 20 s"),
        (ProviderChange("llamacpp", "m"), "a runtime switch, up to 22 s of refused requests"),
        (
            ProviderChange("vllm", "m"),
            "a runtime switch, up to 22 s of refused requests, and a restart of the service, up to 20 s",
        ),
    ],
)
def test_the_price_of_a_proof_is_the_restart_and_the_runtime_switch_of_the_active_provider(previous, price):
    """None where activating what is active costs users nothing."""
    assert proof_price(TARGET, previous, restarts=takes_restart(TARGET, previous)) == price


@pytest.mark.parametrize(
    ("provider", "restarts"), [("OLLAMA", True), ("google", False), ("claude", True), ("openai", False)]
)
def test_a_provider_restarts_where_the_target_says_so_of_it_or_of_its_safe_provider(provider, restarts):
    """In any capitals; one that is not named is as the target is."""
    assert TARGET.restarts(provider) is restarts


def test_a_provider_may_be_exempt_from_the_restarts_of_its_target():
    """Local runtimes switch live where cloud providers need a restart."""
    target = Target("t", "production", restart=True, providers={"ollama": ProviderRestart(restart=False)})
    assert (target.restarts("openai"), target.restarts("Ollama")) == (True, False)
