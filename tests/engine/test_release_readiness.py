"""The pre-release checklist's judgments, without a gateway."""

from __future__ import annotations

import pytest

from rollout.engine.release_readiness import Checked, connections, credentials, fallback, limits, preflights
from rollout.gateway.responses import (
    Connection,
    ConnectionTest,
    Governance,
    Preflight,
    PreflightCheck,
    Provider,
    RuntimeConfig,
)


def provider(name: str = "openai", kind: str = "cloud_provider", **changes: object) -> Checked:
    listed = Provider(name, kind, {"activate": True, "inference": True}, Connection("connected"), is_active=False)
    tested = ConnectionTest(succeeded=True, connection_status="connected", latency_ms=None, message="")
    defaults = {
        "provider": listed,
        "tested": tested,
        "ready": Preflight(ready=True, checks={}),
        "elapsed_ms": 1.0,
        "failed": {},
    }
    return Checked(**{**defaults, **changes})  # type: ignore[arg-type]


MISSING = Preflight(
    ready=False, checks={"credentials": PreflightCheck(passed=False, status="missing", message="no key")}
)


def problems_of(value: str, *, in_env: bool = True) -> list[str]:
    config = RuntimeConfig({"OPENAI_API_KEY": value}, {})
    return list(credentials(config, {"OPENAI_API_KEY": value} if in_env else None, "no file", [provider()]).problems)


@pytest.mark.parametrize(
    "value",
    ["changeme", "change-me-please", "your-key-here", "your_api_key", "sk-xxx", "sk-xxxxxxxx", "TODO",
     "TODO: ask ops", "<api key>", "${OPENAI_API_KEY}", "{{ key }}", "placeholder", "XXXX", "dummy", "example-key",
     "REPLACE_ME", "secret", "..."],
)  # fmt: skip
def test_a_placeholder_is_found(value: str):
    assert problems_of(value) == ["OPENAI_API_KEY is a placeholder"]


@pytest.mark.parametrize("value", ["sk-proj-9fK2mQz7", "AIzaSyD-made-up", "made-up-too", "hvs.CAESI", "Tr0ub4dor&3"])
def test_what_may_be_a_credential_is_none(value: str):
    assert problems_of(value) == []


def test_padded_and_masked_ones_are_named_without_a_character_of_them():
    assert problems_of(" sk-proj-9fK2mQz7 ") == ["OPENAI_API_KEY is padded with spaces"]
    (masked,) = problems_of("sk-p****Qz7")
    assert "is masked where it should be complete" in masked
    assert "sk-p" not in masked


def test_a_masked_credential_is_judged_by_its_beginning_or_not_checked():
    (unchecked,) = problems_of("sk-p****Qz7", in_env=False)
    assert unchecked == "OPENAI_API_KEY is masked, and no file: it is not checked"
    assert problems_of("chan****eme!", in_env=False) == ["OPENAI_API_KEY is a placeholder, by what its mask shows"]


def test_a_provider_in_the_cloud_without_a_visible_credential_is_not_checked():
    assert credentials(RuntimeConfig({}, {}), None, None, [provider("vllm", "local_runtime")]).problems == []
    (problem,) = credentials(RuntimeConfig({}, {}), None, None, [provider()]).problems
    assert problem == "openai must have credentials, and none can be read: they are not checked"


def test_a_provider_that_is_not_configured_is_named_and_none_is_no_pass():
    unset = provider(
        ready=MISSING, tested=ConnectionTest(succeeded=False, connection_status="offline", latency_ms=None, message="")
    )
    assert connections([unset, provider("vllm", "local_runtime")]).problems == []
    assert connections([unset]).rows[0]["seen"] == "not configured: no key"
    assert connections([unset]).problems == preflights([unset]).problems == ["no provider is configured"]


def test_a_test_that_the_gateway_did_not_time_is_timed_here():
    assert connections([provider(elapsed_ms=5000.0)]).problems == []
    assert connections([provider(elapsed_ms=5000.1)]).problems == ["openai connects in 5000 ms, above 5000 ms"]
    assert connections([provider("ollama", "catalog_integrator", elapsed_ms=2000.1)]).problems


def test_limits_cover_every_provider_that_costs():
    budget, rate = {"soft_limit_usd": 1.0, "hard_limit_usd": 2.0}, {"max_requests_per_minute": 60.0}
    of = {"provider:openai": budget}
    assert limits(Governance(of, {"global": rate}, ()), [provider()]).problems == []
    (problem,) = limits(Governance(of, {"global": rate}, ()), [provider(), provider("google")]).problems
    assert problem == "there is no budget that covers every provider: neither a global one nor one of provider:google"
    (problem,) = limits(Governance({"global": budget}, {"global": {"max_requests_per_minute": 0.0}}, ()), []).problems
    assert problem == "the rate limit of global limits nothing"


def test_a_fallback_is_one_that_the_policy_names_else_any_that_connects():
    failed = ConnectionTest(succeeded=False, connection_status="offline", latency_ms=None, message="")
    sick, well = provider("vllm", tested=failed), provider("google")
    ruled = Governance({}, {}, (), {"fallback_order": ["openai", "vllm"]})
    assert fallback(Governance({}, {}, ()), [provider(), sick, well], "openai").problems == []
    assert fallback(ruled, [provider(), sick, well], "openai").problems == [
        "the fallback policy names vllm, and none of them connects"
    ]
