"""Every recorded exchange is read as what it is, or gives the message that the operator needs."""

import json
from dataclasses import dataclass
from typing import Any

import pytest

from rollout.core.errors import GatewayError, Refused
from rollout.gateway import documents, parsing, shapes
from rollout.gateway.http_errors import RateLimited, fault
from rollout.gateway.responses import Completion, Connection, ConnectionTest, Latency
from rollout.gateway.transport import Answer
from tests.support.forks import ROOT

SAMPLES = ROOT / "tests" / "gateway-samples"


def acknowledged(answer):
    """Read an answer that no parser exists for; only an error in its own `status` is found."""
    documents.read_shape(answer, shapes.Shape)
    return "acknowledged"


@dataclass(frozen=True)
class Row:
    """What is expected: `sees` of the typed answer is `value`; where there is none, `error` with the text `value`."""

    parse: Any
    value: Any
    sees: Any = None
    error: type[Exception] | None = None


def gives(parse, value, sees=lambda answer: answer):
    return Row(parse, value, sees)


def says(parse, value, error=documents.InvalidResponse):
    return Row(parse, value, error=error)


def about(*fields):
    return lambda answer: tuple(getattr(answer, field) for field in fields)


CONNECTED = Connection("connected", "OpenAI API key configured")
counters = about("total_requests", "failed_requests", "error_rate", "latency")
keys = lambda alerts: [(alert.severity, alert.key) for alert in alerts]  # noqa: E731 - reads like the others
limits = about("cost_limits", "rate_limits")
ready = lambda answer: (answer.ready, [name for name, each in answer.checks.items() if not each.passed])  # noqa: E731
config = lambda answer: (len(answer.config), answer.config["OPENAI_API_KEY"], answer.config["ACTIVE_LLM_SERVER"])  # noqa: E731
active = lambda answer: (answer.active_provider, [each.name for each in answer.providers if each.is_active])  # noqa: E731
RATE = {"max_requests_per_minute": 100, "max_tokens_per_minute": 100000}
CRITICAL = [("critical", "AVAILABILITY_DROP/openai"), ("critical", "ERROR_SPIKE/openai")]

EXPECTED = {
    "activate_openai.json": gives(parsing.activated, None),
    # Indistinguishable from an activation with effect: only the read-back shows the difference (deviation 6).
    "activate_openai_env_missing_FALSE_SUCCESS.json": gives(parsing.activated, None),
    "rollback_activate_openai_nobody.json": gives(parsing.activated, None),
    "err_activate_malformed_json.json": says(parsing.activated, "refused (422: 10: JSON decode error)", Refused),
    "err_activate_ollama.json": says(parsing.activated, "(400: Local runtime ollama activation should use", Refused),
    "rollback_activate_ollama_400.json": says(parsing.activated, "/system/llm-servers/active endpoint)", Refused),
    "err_unknown_provider_activate.json": says(parsing.activated, "refused (404: Unknown provider: nosuch)", Refused),
    "ollama_down_activate.json": says(
        parsing.activated, "the gateway failed (503: Provider ollama is offline: Unable to connect", GatewayError
    ),
    "admin_audit_limit5.json": gives(
        parsing.audit,
        [
            ("preflight_check", "unknown", "google", {"overall_status": "ready"}),
            ("test_connection", "unknown", "google", {"status": "connected", "latency_ms": None}),
            ("preflight_check", "unknown", "openai", {"overall_status": "ready"}),
            ("test_connection", "alice", "openai", {"status": "connected", "latency_ms": None}),
            ("preflight_check", "unknown", "vllm", {"overall_status": "ready"}),
        ],
        lambda entries: [about("action", "user", "provider", "details")(entry) for entry in entries],
    ),
    "audit_stream_after_activate.json": says(parsing.audit, "entries.0.user is missing"),
    "alerts_critical.json": gives(parsing.alerts, ()),
    "alerts_empty.json": gives(parsing.alerts, ()),
    "alerts_with_data.json": gives(
        parsing.alerts,
        [("warning", "SLO_BREACH/openai"), *CRITICAL, ("warning", "HIGH_LATENCY/openai")],
        keys,
    ),
    "alerts_with_data_critical.json": gives(parsing.alerts, CRITICAL, keys),
    "err_alerts_bad_severity.json": says(parsing.alerts, "(400: Invalid severity: fatal. Must be info", Refused),
    # Only the text names the model, which is no statement of the gateway's.
    "chat_after_restart_openai.json": gives(
        parsing.completion, Completion("pong from 11434 model=gpt-4o-mini ", None, None, 0, 53.3, first_token_ms=53.3)
    ),
    "chat_ollama_down.json": says(
        parsing.completion,
        "the stream of events says error: llm_connection_error: Błąd połączenia z LLM (ollama): Server disconnected",
    ),
    # The stream begins and ends without content: a check judges an empty answer (deviation 10).
    "chat_ollama_garbage.json": gives(parsing.completion, Completion("", None, None, 0, 48.7)),
    "chat_completions_404.json": says(parsing.completion, "no such path (404); check the target's url", Refused),
    "config_runtime_get.json": gives(
        parsing.runtime_config, (169, "sk-d************************cdef", "ollama"), config
    ),
    "config_runtime_after_activate.json": gives(
        parsing.runtime_config, (169, "sk-d************************cdef", "openai"), config
    ),
    "config_backups_after.json": gives(acknowledged, "acknowledged"),
    "config_post_ok.json": gives(acknowledged, "acknowledged"),
    "config_restore_masked_secrets_ACCEPTED.json": gives(acknowledged, "acknowledged"),
    "config_restore_verbatim_get_body.json": says(
        acknowledged, 'status "error": Błąd walidacji: 1 validation error for ConfigUpdateRequest'
    ),
    "err_config_post_invalid_value.json": says(
        acknowledged, 'answered 200, but with status "error": Błąd walidacji: 1 validation error'
    ),
    "limits_cost_openai_ok.json": gives(parsing.limit_set, None),
    "limits_rate_openai_ok.json": gives(parsing.limit_set, None),
    # The other call that activates (deviation 13) has none of the documented fields.
    "llm_servers_active_ollama.json": gives(parsing.activated_otherwise, None),
    "err_limits_negative.json": says(
        parsing.limit_set, "refused (422: hard_limit_usd: Input should be greater than 0)", Refused
    ),
    "err_limits_per_provider_as_in_seed.json": says(
        parsing.limit_set, "(400: Invalid limit_type: per_provider. Use 'cost' or 'rate')", Refused
    ),
    "err_limits_soft_gt_hard.json": says(
        parsing.limit_set, "(400: Soft limit cannot be greater than hard limit)", Refused
    ),
    "err_429.json": says(parsing.metrics, "rate limit refused it (429: Rate limit exceeded for default.", RateLimited),
    "governance_status.json": gives(
        parsing.governance,
        ({"global": {"soft_limit_usd": 10.0, "hard_limit_usd": 50.0}}, {"global": RATE}),
        limits,
    ),
    "governance_status_after.json": gives(
        parsing.governance,
        (
            {
                "global": {"soft_limit_usd": 10.0, "hard_limit_usd": 50.0},
                "provider:openai": {"soft_limit_usd": 150.0, "hard_limit_usd": 250.0},
                "provider:nosuch": {"soft_limit_usd": 10.0, "hard_limit_usd": 1000.0},
                "provider:gpt-4o": {"soft_limit_usd": 10.0, "hard_limit_usd": 50.0},
            },
            {"global": RATE, "provider:openai": {**RATE, "max_requests_per_minute": 60}},
        ),
        limits,
    ),
    "health_404.json": says(parsing.health, "or set its paths.the_call", Refused),
    "healthz.json": gives(parsing.health, None),
    "health_openai_degraded.json": gives(
        parsing.provider_health,
        ("critical", 20.0, 0.9286, 9000.0, 0.07139999999999999, 3),
        lambda health: (
            *about("health_status", "health_score", "availability", "latency_p99_ms", "error_rate")(health),
            len(health.slo_breaches),
        ),
    ),
    "metrics_openai_100_samples_1to100.json": gives(
        parsing.metrics, (100, 0, 0.0, Latency(50.5, 95.5, 100.0, 100)), counters
    ),
    "metrics_openai_cumulative_vs_reservoir.json": gives(
        parsing.metrics, (1400, 100, pytest.approx(0.0714), Latency(50.0, 9000.0, 9000.0, 1000)), counters
    ),
    "provider_google_metrics_while_google_active.json": gives(
        parsing.metrics, (0, 0, 0.0, Latency(None, None, None, 0)), counters
    ),
    "provider_openai_metrics_empty.json": gives(parsing.metrics, (0, 0, 0.0, Latency(None, None, None, 0)), counters),
    "provider_ollama_metrics_after_failures.json": gives(
        parsing.metrics, (4, 3, 0.75, Latency(239.51, 434.07, 434.16, 4)), counters
    ),
    "ollama_down_preflight.json": gives(parsing.preflight, (False, ["connection"]), ready),
    "openai_nokey_preflight.json": gives(parsing.preflight, (False, ["connection", "credentials"]), ready),
    "provider_openai_preflight.json": gives(parsing.preflight, (True, []), ready),
    "ollama_down_status.json": gives(
        parsing.status, Connection("offline", "Unable to connect to Ollama server", "connection_failed")
    ),
    "ollama_http503_status.json": gives(
        parsing.status, Connection("degraded", "HTTP 503", "http_error", 22.28487499996845)
    ),
    "provider_openai_status.json": gives(parsing.status, CONNECTED),
    "ollama_down_test_connection.json": gives(
        parsing.connection_test,
        ConnectionTest(
            succeeded=False,
            connection_status="offline",
            latency_ms=None,
            message="Unable to connect to Ollama server",
            reason_code="connection_failed",
        ),
    ),
    "openai_nokey_test_connection.json": gives(
        parsing.connection_test,
        ConnectionTest(
            succeeded=False,
            connection_status="offline",
            latency_ms=None,
            message="OPENAI_API_KEY not configured",
            reason_code="missing_api_key",
        ),
    ),
    "provider_openai_test_connection.json": gives(
        parsing.connection_test,
        ConnectionTest(
            succeeded=True, connection_status="connected", latency_ms=None, message="OpenAI API key configured"
        ),
    ),
    "providers_list.json": gives(parsing.providers, ("ollama", ["ollama"]), active),
    "providers_list_after_restart_openai.json": gives(parsing.providers, ("openai", ["openai"]), active),
    "system_status.json": gives(parsing.boot_id, "ad12af0a8a8643bd9fbf67bca388f6b6"),
}

FILES = sorted(SAMPLES.glob("*.json"))


def recorded(file):
    sample = json.loads(file.read_text(encoding="utf-8"))["response"]
    body = sample["body"]
    sent = body if isinstance(body, str) else json.dumps(body)
    return Answer(sample["status"], {"content-type": sample["content_type"]}, sent.encode(), sample["elapsed_ms"])


def read(parse, answer):
    problem = fault("GET /x", "paths.the_call", answer, "about the token")
    if problem is not None:
        raise problem
    return parse(answer)


def test_the_table_names_exactly_the_recorded_files():
    assert {file.name for file in FILES} == set(EXPECTED)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_recorded_exchange_is_read_as_expected(file):
    row = EXPECTED.get(file.name) or pytest.fail(f"{file.name} has no row in EXPECTED")
    if row.error is None:
        assert row.sees(read(row.parse, recorded(file))) == row.value
        return
    with pytest.raises(row.error) as caught:
        read(row.parse, recorded(file))
    assert type(caught.value) is row.error
    assert row.value in str(caught.value)
    assert "\n" not in str(caught.value)
