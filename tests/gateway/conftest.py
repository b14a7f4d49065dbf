"""A stub that answers as documented, a liar in front of it, and a client that believes neither."""

import pytest

from rollout.core.clock import SystemClock
from rollout.core.redaction import Redactor
from rollout.core.target import Target, Timeouts
from rollout.core.wishes import Activate, SetLimit
from rollout.gateway.client import Gateway
from tests.support.liar import Liar
from tests.support.stub import Stub

CONNECTED = {"status": "connected", "reason_code": None, "message": "ok", "latency_ms": 12.5}


def provider(name, *, active=False):
    return {
        "name": name,
        "provider_type": "cloud_provider",
        "capabilities": {"activate": True, "inference": True},
        "connection_status": CONNECTED,
        "is_active": active,
        "endpoint": None,
    }


METRICS = {
    "total_requests": 100,
    "successful_requests": 93,
    "failed_requests": 7,
    "success_rate": 93.0,
    "error_rate": 7.0,
    "latency": {"p50_ms": 50.0, "p95_ms": 95.0, "p99_ms": 99.0, "samples": 100},
    "errors": {"by_code": {"http_500": 7}},
    "cost": {"total_usd": 0.5, "total_tokens": 1234},
}
CHECK = {"passed": True, "status": "ok", "message": "fine"}
ALERT = {
    "id": "1",
    "severity": "critical",
    "alert_type": "ERROR_SPIKE",
    "provider": "openai",
    "message": "spike",
    "technical_details": "error_rate=7%",
    "timestamp": "2026-11-23T11:27:23",
    "expires_at": None,
}
ENTRY = {
    "timestamp": "2026-11-23T11:25:44Z",
    "action": "activate",
    "user": "rollout",
    "provider": "openai",
    "details": {"model": "gpt-4o"},
    "result": "success",
    "error_message": None,
}
API = "/api/v1"
ANSWERS = {
    ("GET", "/health"): {"status": "ok"},
    ("GET", f"{API}/config/runtime"): {
        "status": "success",
        "config": {"LLM_MODEL_NAME": "gpt-4o", "OPENAI_API_KEY": "sk-d****cdef"},
        "config_sources": {"LLM_MODEL_NAME": "env", "OPENAI_API_KEY": "env"},
    },
    ("GET", f"{API}/providers"): {
        "providers": [provider("ollama"), provider("openai", active=True)],
        "active_provider": "openai",
        "count": 2,
    },
    ("GET", f"{API}/providers/openai/status"): {"provider": "openai", "connection_status": CONNECTED},
    ("POST", f"{API}/providers/openai/test-connection"): {
        "status": "success",
        "connection_status": "connected",
        "latency_ms": 12.5,
        "message": "ok",
    },
    ("POST", f"{API}/providers/openai/preflight"): {
        "status": "success",
        "overall_status": "ready",
        "ready_for_activation": True,
        "checks": dict.fromkeys(("connection", "credentials", "capabilities", "endpoint"), CHECK),
    },
    ("GET", f"{API}/providers/openai/metrics"): {"metrics": METRICS},
    ("GET", f"{API}/providers/openai/health"): {
        "health": {
            "health_status": "healthy",
            "health_score": 99.0,
            "availability": 0.99,
            "latency_p99_ms": 99.0,
            "error_rate": 0.01,
            "slo_target": {},
            "slo_breaches": [],
        }
    },
    ("GET", f"{API}/alerts"): {"alerts": [ALERT, {**ALERT, "id": "2", "severity": "info"}], "count": 2},
    ("GET", f"{API}/governance/status"): {
        "cost_limits": {"global": {"soft_limit_usd": 10, "hard_limit_usd": 50.5, "current_usage_usd": 1.0}},
        "rate_limits": {"global": {"max_requests_per_minute": 100, "current_requests": 3, "window": "1m"}},
        "recent_fallbacks": [{"from": "openai"}],
        "fallback_policy": {},
    },
    ("POST", f"{API}/governance/limits"): {
        "status": "success",
        "message": "updated",
        "limit": {"soft_limit_usd": 200, "hard_limit_usd": 250.0},
    },
    ("POST", f"{API}/chat/completions"): {
        "choices": [{"message": {"role": "assistant", "content": "pong"}}],
        "model": "gpt-4o-2026-08-06",
        "provider": "openai",
        "usage": {"total_tokens": 7},
    },
    ("GET", f"{API}/admin/audit"): {"entries": [ENTRY] * 60, "count": 60},
    ("GET", f"{API}/system/status"): {"status": "success", "boot_id": "boot-1"},
}

READS = {
    "health": lambda gateway: gateway.health(),
    "providers": lambda gateway: gateway.providers(),
    "status": lambda gateway: gateway.status("openai"),
    "test_connection": lambda gateway: gateway.test_connection("openai"),
    "preflight": lambda gateway: gateway.preflight("openai"),
    "metrics": lambda gateway: gateway.metrics("openai"),
    "alerts": lambda gateway: gateway.alerts(),
    "governance": lambda gateway: gateway.governance(),
    "audit": lambda gateway: gateway.audit(),
    "runtime_config": lambda gateway: gateway.runtime_config(),
    "system_status": lambda gateway: gateway.boot_id(),
}


def bring_about(gateway, wish):
    """Send the writes by which the driver of the gateway's target brings a wish about."""
    for write in gateway.driver.writes(wish):
        gateway.execute(write)


def activate(gateway):
    with gateway.allow_writes("APP-1.2"):
        bring_about(gateway, Activate("openai", "gpt-4o"))


def set_limit(gateway):
    with gateway.allow_writes("APP-3.1"):
        bring_about(gateway, SetLimit("cost", "openai", {"soft_limit_usd": 200.0, "hard_limit_usd": 250.0}))


CALLS = {
    **READS,
    "chat": lambda gateway: gateway.chat("ping"),
    "activate": activate,
    "set_limit": set_limit,
}


TWO_SECONDS = Timeouts(2.0, 2.0, 2.0)


@pytest.fixture
def stub():
    with Stub({key: (200, answer) for key, answer in ANSWERS.items()}) as stub:
        yield stub


@pytest.fixture
def liar(stub):
    with Liar(stub.url) as liar:
        yield liar


@pytest.fixture
def exchanges():
    return []


@pytest.fixture
def build(exchanges):
    """Return a function that makes gateways, closed at the end; 2 s for every call unless `timeouts` says otherwise."""
    made = []

    def make(url, *, timeouts=TWO_SECONDS, target=None, clock=None, redactor=None, **options):
        chosen = target or Target("test", "sandbox", timeouts=timeouts)
        gateway = Gateway(
            chosen,
            url=url,
            clock=clock or SystemClock(),
            redactor=redactor or Redactor(),
            on_exchange=exchanges.append,
            **options,
        )
        made.append(gateway)
        return gateway

    yield make
    for gateway in made:
        gateway.close()


@pytest.fixture
def gateway(build, liar):
    """A client of the liar."""
    return build(liar.url)
