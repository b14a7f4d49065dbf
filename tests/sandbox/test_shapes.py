"""The sandbox's answers have the recorded shapes of a gateway of this family."""

from __future__ import annotations

import httpx
import pytest

from .conftest import ask, sample

# The sandbox adds these; a client that knows the documents ignores them.
ADDED = {"models", "default_model"}
MAY_BE_NULL = {"latency_ms", "reason_code", "runtime_version", "endpoint", "error_message", "provider"}
# Their keys come from configuration or traffic, not from the document.
BY_NAME = {"config", "config_sources", "cost_limits", "rate_limits", "by_provider", "by_code", "details", "metadata"}


def differences(expected: object, actual: object, path: str = "") -> list[str]:
    """Return every key that is missing or unknown, and every value of another type."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        if path.rpartition(".")[2] in BY_NAME:
            pattern = next(iter(expected.values()), None)
            return [
                found for value in actual.values() if pattern is not None for found in _member(path, pattern, value)
            ]
        missing = [f"{path}.{key} is missing" for key in expected.keys() - actual.keys()]
        unknown = [f"{path}.{key} was not recorded" for key in actual.keys() - expected.keys() - ADDED]
        common = expected.keys() & actual.keys()
        return (
            missing
            + unknown
            + [found for key in common for found in differences(expected[key], actual[key], f"{path}.{key}")]
        )
    if isinstance(expected, list) and isinstance(actual, list):
        return [found for item in actual for found in differences(expected[0] if expected else item, item, f"{path}[]")]
    return (
        []
        if _kind(expected) == _kind(actual) or _null_is_fine(path, expected, actual)
        else [f"{path}: {expected!r} / {actual!r}"]
    )


def _member(path: str, pattern: object, value: object) -> list[str]:
    return differences(pattern, value, f"{path}.*") if isinstance(pattern, dict) else []


def _kind(value: object) -> str:
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__


def _null_is_fine(path: str, expected: object, actual: object) -> bool:
    return path.rpartition(".")[2] in MAY_BE_NULL and None in (expected, actual)


def assert_like(name: str, response: httpx.Response) -> None:
    recorded = sample(name)
    assert response.status_code == recorded["status"]
    assert response.headers["content-type"] == recorded["content_type"]
    assert differences(recorded["body"], response.json()) == []


def test_the_comparison_itself_sees_missing_unknown_and_retyped_values():
    """A key less, a key more and a string for a number are three differences."""
    assert differences({"a": 1, "b": {"c": 1}}, {"b": {"c": "1", "d": 2}}) == [
        ".a is missing",
        ".b.d was not recorded",
        ".b.c: 1 / '1'",
    ]


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("providers_list", "/api/v1/providers"),
        ("provider_openai_status", "/api/v1/providers/openai/status"),
        ("config_runtime_get", "/api/v1/config/runtime"),
        ("governance_status", "/api/v1/governance/status"),
        ("system_status", "/api/v1/system/status"),
        ("provider_openai_metrics_empty", "/api/v1/providers/huggingface/metrics"),
        ("alerts_empty", "/twin/api/v1/alerts"),
        ("alerts_critical", "/twin/api/v1/alerts?severity=critical"),
        ("err_alerts_bad_severity", "/api/v1/alerts?severity=fatal"),
        ("chat_completions_404", "/api/v1/nowhere"),
    ],
)
def test_a_read_is_answered_as_recorded(api: httpx.Client, name: str, path: str):
    assert_like(name, api.get(path))


@pytest.mark.parametrize(
    ("name", "path", "body"),
    [
        ("provider_openai_test_connection", "openai/test-connection", None),
        ("provider_openai_preflight", "openai/preflight", None),
        ("activate_openai", "openai/activate", {"model": "gpt-4o-mini"}),
        ("rollback_activate_openai_nobody", "openai/activate", None),
        ("err_activate_ollama", "huggingface/activate", None),
        ("err_unknown_provider_activate", "nosuch/activate", None),
    ],
)
def test_a_call_on_a_provider_is_answered_as_recorded(api: httpx.Client, name: str, path: str, body: object):
    assert_like(name, api.post(f"/api/v1/providers/{path}", json=body))


def test_an_activation_without_a_body_resets_the_model_to_the_default(api: httpx.Client):
    """The recorded default of openai is gpt-4o (deviation 8)."""
    api.post("/api/v1/providers/openai/activate", json={"model": "gpt-4.1"})
    answer = api.post("/api/v1/providers/openai/activate")
    assert answer.json() == sample("rollback_activate_openai_nobody")["body"]


def test_a_malformed_activation_is_answered_as_recorded(api: httpx.Client):
    answer = api.post("/api/v1/providers/openai/activate", content=b'{"model": ')
    assert (answer.status_code, answer.json()) == (422, sample("err_activate_malformed_json")["body"])


@pytest.mark.parametrize("body", [b'{"model": 5}', b"[]", b"\xff", b'"gpt-4o"'])
def test_an_activation_of_a_wrong_type_is_refused_and_changes_nothing(api: httpx.Client, body: bytes):
    answer = api.post("/api/v1/providers/openai/activate", content=body)
    assert answer.status_code == 422
    assert {"type", "loc", "msg", "input"} <= answer.json()["detail"][0].keys()
    assert api.get("/api/v1/providers").json()["active_provider"] == "ollama"


def test_an_unknown_model_is_refused_with_the_available_models(api: httpx.Client):
    answer = api.post("/api/v1/providers/openai/activate", json={"model": "gpt-9"})
    assert answer.status_code == 400
    assert answer.json()["detail"] == (
        "Model gpt-9 is not available for provider openai; available: gpt-4o, gpt-4o-mini, gpt-4.1"
    )


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("ollama_down_status", "status"),
        ("ollama_down_test_connection", "test-connection"),
        ("ollama_down_preflight", "preflight"),
        ("ollama_down_activate", "activate"),
    ],
)
def test_a_provider_that_is_offline_is_answered_as_recorded(api: httpx.Client, name: str, path: str):
    api.put("/sandbox/faults", json=[{"provider": "ollama", "status": "offline"}])
    answer = api.request("GET" if path == "status" else "POST", f"/api/v1/providers/ollama/{path}")
    assert_like(name, answer)
    recorded = sample(name)["body"]
    assert {key: answer.json().get(key) for key in ("status", "detail")} == {
        key: recorded.get(key) for key in ("status", "detail")
    }


def test_a_degraded_provider_is_answered_as_recorded(api: httpx.Client):
    api.put("/sandbox/faults", json=[{"provider": "ollama", "status": "degraded"}])
    answer = api.get("/api/v1/providers/ollama/status")
    assert_like("ollama_http503_status", answer)
    assert answer.json()["connection_status"]["status"] == "degraded"


def test_metrics_and_health_of_a_provider_with_failures_are_answered_as_recorded(api: httpx.Client):
    """Metrics count in percent, health in fractions (deviation 1)."""
    api.post("/api/v1/providers/google/activate")
    ask(api)
    api.put("/sandbox/faults", json=[{"provider": "google", "error_share": 1}])
    assert ask(api).status_code == 502
    metrics = api.get("/api/v1/providers/google/metrics")
    assert_like("provider_ollama_metrics_after_failures", metrics)
    assert metrics.json()["metrics"]["error_rate"] == 50.0
    assert metrics.json()["metrics"]["errors"]["by_code"] == {"http_502": 1}
    health = api.get("/api/v1/providers/google/health")
    assert_like("health_openai_degraded", health)
    assert health.json()["health"]["error_rate"] == 0.5
    assert health.json()["health"]["health_status"] == "critical"


def test_an_alert_is_answered_as_recorded_and_filtered_by_severity_and_provider(api: httpx.Client):
    for severity, provider in (("critical", "openai"), ("warning", "vllm")):
        alert = {"severity": severity, "alert_type": f"A_{severity}", "provider": provider}
        assert api.post("/sandbox/alerts", json=alert).json() == {"fired": True}
    assert_like("alerts_with_data", api.get("/api/v1/alerts"))
    critical = api.get("/api/v1/alerts?severity=critical")
    assert_like("alerts_with_data_critical", critical)
    # What other tests let fail on the shared gateway may have an alert of its own.
    assert [a["alert_type"] for a in critical.json()["alerts"] if a["alert_type"] != "ERROR_SPIKE"] == ["A_critical"]
    assert [a["provider"] for a in api.get("/api/v1/alerts?provider=VLLM").json()["alerts"]] == ["vllm"]


def test_limits_are_set_and_reported_as_recorded(api: httpx.Client):
    """The documented ``per_provider`` and the recorded ``cost`` mean the same (deviation 20)."""
    body = {"scope": "openai", "soft_limit_usd": 200.0, "hard_limit_usd": 250.0}
    for limit_type in ("per_provider", "cost"):
        answer = api.post("/api/v1/governance/limits", json={"limit_type": limit_type, **body})
        assert_like("limits_cost_openai_ok", answer)
        assert answer.json() == sample("limits_cost_openai_ok")["body"]
    rate = api.post(
        "/api/v1/governance/limits", json={"limit_type": "rate", "scope": "openai", "max_requests_per_minute": 60}
    )
    assert_like("limits_rate_openai_ok", rate)
    status = api.get("/api/v1/governance/status")
    assert_like("governance_status_after", status)
    assert status.json()["cost_limits"]["provider:openai"]["hard_limit_usd"] == 250.0
    assert status.json()["rate_limits"]["provider:openai"]["max_requests_per_minute"] == 60


def test_a_limit_that_is_not_given_stays_as_it_is(api: httpx.Client):
    limits = {"limit_type": "cost", "scope": "provider:vllm"}
    api.post("/api/v1/governance/limits", json=limits | {"soft_limit_usd": 3.0, "hard_limit_usd": 4.0})
    answer = api.post("/api/v1/governance/limits", json=limits | {"hard_limit_usd": 5.0})
    assert answer.json()["limit"] == {"soft_limit_usd": 3.0, "hard_limit_usd": 5.0}


def test_rate_limits_are_set_per_scope_and_move_no_others(api: httpx.Client):
    before = api.get("/api/v1/governance/status").json()
    limit = {"max_requests_per_minute": 120, "max_tokens_per_minute": 50_000}
    answer = api.post("/api/v1/governance/limits", json={"limit_type": "rate", "scope": "provider:google", **limit})
    assert answer.json()["limit"] == limit
    after = api.get("/api/v1/governance/status").json()
    assert {key: after["rate_limits"]["provider:google"][key] for key in limit} == limit
    assert after["rate_limits"]["global"] == before["rate_limits"]["global"]
    assert after["cost_limits"] == before["cost_limits"]
    zero = {"limit_type": "rate", "scope": "provider:google", "max_requests_per_minute": 0}
    assert api.post("/api/v1/governance/limits", json=zero).status_code == 422


def test_invalid_limits_are_refused_as_recorded(api: httpx.Client):
    before = api.get("/api/v1/governance/status").json()["cost_limits"]
    path, scope = "/api/v1/governance/limits", {"limit_type": "cost", "scope": "openai"}
    crossed = api.post(path, json=scope | {"soft_limit_usd": 300.0, "hard_limit_usd": 250.0})
    assert (crossed.status_code, crossed.json()) == (400, sample("err_limits_soft_gt_hard")["body"])
    negative = api.post(path, json=scope | {"hard_limit_usd": -1})
    assert (negative.status_code, negative.json()) == (422, sample("err_limits_negative")["body"])
    unknown = api.post(path, json=scope | {"limit_type": "per_planet"})
    assert unknown.status_code == 400
    assert api.post(path, json={"scope": "openai"}).status_code == 422
    nan = api.post(path, content=b'{"limit_type": "cost", "scope": "openai", "hard_limit_usd": NaN}')
    assert nan.status_code == 422
    assert api.get("/api/v1/governance/status").json()["cost_limits"] == before


def test_the_audit_log_is_answered_as_recorded_newest_first(api: httpx.Client):
    """Its user comes from the headers (deviation 19), and a refused activation is in it."""
    api.post("/api/v1/providers/OpenAI/test-connection", headers={"X-User": "alice"})
    api.post("/api/v1/providers/openai/preflight", headers={"X-Authenticated-User": "bob", "X-User": "alice"})
    api.post("/api/v1/providers/openai/activate", json={"model": "gpt-9"})
    answer = api.get("/api/v1/admin/audit?limit=3")
    assert_like("admin_audit_limit5", answer)
    entries = answer.json()["entries"]
    assert [(entry["action"], entry["user"], entry["result"]) for entry in entries] == [
        ("activate_provider", "unknown", "failure"),
        ("preflight_check", "bob", "success"),
        ("test_connection", "alice", "success"),
    ]
    only = api.get("/api/v1/admin/audit?action=test_connection&provider=OPENAI&limit=1").json()["entries"]
    assert [entry["user"] for entry in only] == ["alice"]
    assert api.get("/api/v1/admin/audit?limit=0").status_code == 422


def test_secrets_are_masked_the_recorded_way(api: httpx.Client):
    """First four, last four, one star for each character between (deviation 12)."""
    answer = api.get("/api/v1/config/runtime").json()
    recorded = sample("config_runtime_get")["body"]["config"]["OPENAI_API_KEY"]
    ours = answer["config"]["OPENAI_API_KEY"]
    assert (ours[:4], set(ours[4:-4]), ours[-4:]) == (recorded[:4], {"*"}, recorded[-4:])
    assert answer["config"]["MAX_CONTEXT_TOKENS"] == "4000"
    assert answer["config_sources"]["MAX_CONTEXT_TOKENS"] == "env"
    assert answer["config_sources"]["EMBEDDING_MODEL"] == "default"


def test_a_completion_is_answered_by_the_active_provider_and_model(api: httpx.Client):
    """A cloud provider reports a dated snapshot of the model."""
    api.post("/api/v1/providers/openai/activate", json={"model": "gpt-4o"})
    answer = ask(api).json()
    assert answer["choices"][0]["message"] == {"role": "assistant", "content": "pong"}
    assert (answer["provider"], answer["model"]) == ("openai", "gpt-4o-2024-08-06")
    assert answer["usage"]["total_tokens"] == answer["usage"]["prompt_tokens"] + answer["usage"]["completion_tokens"]


@pytest.mark.parametrize("body", [{}, {"messages": []}, {"messages": "hi"}, {"messages": [{"role": "user"}]}])
def test_a_completion_without_a_message_is_refused(api: httpx.Client, body: object):
    assert api.post("/api/v1/chat/completions", json=body).status_code == 422


def test_the_service_is_up_under_its_documented_path(api: httpx.Client):
    assert api.get("/health").json()["status"] == sample("healthz")["body"]["status"]
