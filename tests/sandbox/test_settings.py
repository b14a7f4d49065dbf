"""Settings are read completely, or refused with every problem."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict

import pytest

from rollout.sandbox.faults import Fault
from rollout.sandbox.settings import InvalidSettings, SandboxSettings


def problems(mapping: object) -> dict[str, str]:
    with pytest.raises(InvalidSettings) as caught:
        SandboxSettings.from_mapping(mapping)  # type: ignore[arg-type]
    return dict(caught.value.problems)


def test_nothing_given_means_the_defaults():
    assert SandboxSettings.from_mapping({}) == SandboxSettings()


def test_settings_survive_the_way_through_json():
    settings = SandboxSettings(
        users_per_s=5,
        faults=(
            Fault(
                "openai",
                since="activation",
                after_s=2,
                for_s=3,
                latency_ms=400,
                calls=("chat", "alerts"),
                when={"A": "b"},
            ),
        ),
        limits={"provider:openai": {"soft_limit_usd": 1.0, "hard_limit_usd": 2.0}},
        usd_per_1k_tokens={"openai": 3.0},
        initial="openai:gpt-4o",
    )
    assert SandboxSettings.from_mapping(json.loads(json.dumps(asdict(settings)))) == settings


def test_every_problem_is_listed_with_its_path():
    found = problems(
        {
            "user_per_s": 3,
            "users_per_s": -1,
            "alert_error_share": "high",
            "alert_ttl_s": 0,
            "seed": 1.5,
            "initial": "openai:gpt-9",
            "faults": [{"provider": "opnai", "error_share": 2}, {"status": "gone", "calls": ["chatt"]}, "x"],
            "limits": {"openai": {}, "global": {"soft_limit_usd": 9, "hard_limit_usd": 5}},
            "usd_per_1k_tokens": {"openai": float("nan")},
        }
    )
    assert set(found) == {
        "user_per_s",
        "users_per_s",
        "alert_error_share",
        "alert_ttl_s",
        "seed",
        "initial",
        "faults[0].provider",
        "faults[0].error_share",
        "faults[0]",
        "faults[1].provider",
        "faults[1].status",
        "faults[1].calls",
        "faults[1]",
        "faults[2]",
        "limits.openai",
        "limits.global.soft_limit_usd",
        "usd_per_1k_tokens.openai",
    }
    assert "did you mean users_per_s?" in found["user_per_s"]
    assert "did you mean openai?" in found["faults[0].provider"]
    assert "available: gpt-4o" in found["initial"]


@pytest.mark.parametrize("initial", ["huggingface:x", "nosuch:x", "openai", "", 5, ["openai"]])
def test_an_initial_provider_that_cannot_serve_is_refused(initial: object):
    assert "Write PROVIDER:MODEL" in problems({"initial": initial})["initial"]


@pytest.mark.parametrize("raw", [[], "fast", 3])
def test_settings_that_are_no_mapping_are_refused(raw: object):
    assert problems(raw)[""].startswith("must be a mapping")


@pytest.mark.parametrize(
    "fault",
    [
        {"provider": ["openai"], "hang": True},
        {"provider": "openai", "hang": "yes"},
        {"provider": "openai", "calls": "chat", "hang": True},
        {"provider": "openai", "calls": [["chat"]], "hang": True},
        {"provider": "openai", "latency_ms": float("inf")},
        {"provider": "openai", "for_s": 0, "hang": True},
        {"provider": "openai", "when": {"MAX_CONTEXT_TOKENS": 8000}, "hang": True},
        {"provider": "openai", "when": "always", "hang": True},
        {"provider": "openai"},
    ],
)
def test_an_invalid_fault_is_refused(fault: object):
    assert problems({"faults": [fault]})


def test_settings_are_read_without_the_servers_libraries():
    code = (
        "import sys, rollout.sandbox.settings, rollout.sandbox.process, rollout.sandbox.command\n"
        "print([name for name in ('starlette', 'uvicorn', 'pydantic', 'httpx') if name in sys.modules])"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert output.stdout.strip() == "[]"
