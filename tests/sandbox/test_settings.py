"""Settings are read completely, or refused with every problem."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict

import pytest

from rollout.sandbox.fates import Batch
from rollout.sandbox.faults import Brownout, Fault
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
            Fault(
                "openai",
                model="gpt-4o",
                first_token_ms=300,
                between_tokens_ms=20,
                heavy_tail=0.01,
                drift=0.25,
                error_share=0.03,
                error_status=429,
                batch=Batch(of=20, share=0.3),
                brownout=Brownout(every_s=600, lasts_s=15, error_share=0.25),
                retries=3,
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


@pytest.mark.parametrize(
    ("fault", "path", "message"),
    [
        ({"error_share": 0.1, "error_status": 404}, "error_status", "must be one of 429, 500, 502, 503, 504"),
        ({"error_share": 0.1, "error_status": "429"}, "error_status", "must be one of 429, 500, 502, 503, 504"),
        ({"error_share": 0.1, "error_status": [429]}, "error_status", "must be one of 429, 500, 502, 503, 504"),
        ({"hang": True, "error_status": 429}, "error_status", "says how calls fail, and none does; give error_share"),
        ({"hang": True, "retries": 2}, "retries", "says how calls fail, and none does; give error_share or brownout"),
        ({"error_share": 0.1, "retries": 1.5}, "retries", "must be a whole number from 0 to 100, not 1.5 (float)"),
        ({"error_share": 0.1, "retries": 101}, "retries", "must be a whole number from 0 to 100, not 101 (int)"),
        ({"error_share": 0.1, "retries": True}, "retries", "must be a whole number from 0 to 100, not True (bool)"),
        ({"error_share": 0.1, "batch": 20}, "batch", "must be a mapping, not 20 (int)"),
        ({"error_share": 0.1, "batch": {"share": 0.3}}, "batch.of", "is missing; give how many calls in a row"),
        ({"error_share": 0.1, "batch": {"of": 1}}, "batch.of", "must be a whole number from 2 to 10000, not 1 (int)"),
        ({"error_share": 0.1, "batch": {"of": 5, "share": 3}}, "batch.share", "is 3; it must be at most 1"),
        (
            {"error_share": 0.1, "batch": {"of": 5, "shares": 1}},
            "batch.shares",
            "is not a known key (did you mean share",
        ),
        ({"hang": True, "batch": {"of": 20}}, "batch", "says how calls fail, and none does; give error_share"),
        ({"brownout": {"every_s": 60, "error_share": 1}}, "brownout.lasts_s", "is missing; give every_s, lasts_s and"),
        (
            {"brownout": {"every_s": 60, "lasts_s": 60, "error_share": 1}},
            "brownout.lasts_s",
            "is 60; it must be less than every_s, 60",
        ),
        (
            {"brownout": {"every_s": 60, "lasts_s": 5, "error_share": 0}},
            "brownout.error_share",
            "is 0; it must be greater than 0",
        ),
        ({"drift": 3}, "drift", "is 3; it must be at most 2"),
        ({"drift": 0.2, "calls": ["alerts"]}, "drift", "is for completions; add chat to calls, or leave calls out"),
        ({"first_token_ms": -1}, "first_token_ms", "is -1; it must not be negative"),
        ({"heavy_tail": "yes"}, "heavy_tail", "must be a number, not 'yes' (str)"),
        ({"hang": True, "model": "gpt-9"}, "model", "it must be one of gemma3:4b"),
        ({"hang": True, "model": "gemini-2.5-pro"}, "model", "is none of provider openai; its models: gpt-4o, "),
        ({"status": "offline", "model": "gpt-4o"}, "model", "is for completions only; leave out status and calls"),
    ],
)
def test_what_a_fault_cannot_mean_is_refused_with_its_path(fault: dict[str, object], path: str, message: str):
    found = problems({"faults": [{"provider": "openai", **fault}]})
    assert message in found[f"faults[0].{path}"]


def test_settings_are_read_without_the_servers_libraries():
    code = (
        "import sys, rollout.sandbox.settings, rollout.sandbox.process, rollout.sandbox.command\n"
        "print([name for name in ('starlette', 'uvicorn', 'pydantic', 'httpx') if name in sys.modules])"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert output.stdout.strip() == "[]"
