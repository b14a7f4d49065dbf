"""Alerts fire from the gateway's own metrics, once, and expire."""

from __future__ import annotations

from collections.abc import Sequence

import httpx

from rollout.sandbox.alerts import Alerts, Finding, budget_findings, findings_in
from rollout.sandbox.metrics import Request
from rollout.sandbox.providers import PROVIDERS

from .conftest import FakeClock

SPIKE = Finding("critical", "ERROR_SPIKE", "openai", "message")


def requests(good: int, bad: int = 0, latency_ms: float = 50.0, *, offline: bool = False) -> Sequence[Request]:
    code = "http_503" if offline else "http_502"
    return [Request(0.0, latency_ms)] * good + [Request(0.0, latency_ms, code, offline=offline)] * bad


def fired(recent: Sequence[Request], *, is_active: bool = True) -> dict[str, str]:
    found = findings_in(PROVIDERS["openai"], recent, 0.25, is_active=is_active)
    return {finding.alert_type: finding.severity for finding in found}


def test_healthy_requests_fire_nothing():
    assert fired(requests(good=100)) == {}


def test_an_error_spike_fires_strictly_above_its_share():
    """Exactly a quarter fires no ERROR_SPIKE; the service level is missed long before."""
    assert fired(requests(good=75, bad=25)) == {"SLO_BREACH": "warning"}
    assert fired(requests(good=74, bad=26)) == {"ERROR_SPIKE": "critical", "SLO_BREACH": "warning"}


def test_fewer_than_twenty_requests_fire_nothing():
    assert fired(requests(good=0, bad=19)) == {}
    assert "ERROR_SPIKE" in fired(requests(good=0, bad=20))


def test_slow_answers_fire_warnings():
    assert fired(requests(good=20, latency_ms=2001.0)) == {"HIGH_LATENCY": "warning", "SLO_BREACH": "warning"}


def test_only_the_active_provider_is_reported_offline():
    recent = requests(good=980, bad=20, offline=True)
    assert fired(recent)["PROVIDER_OFFLINE"] == "critical"
    assert "PROVIDER_OFFLINE" not in fired(recent, is_active=False)
    assert "PROVIDER_OFFLINE" not in fired(requests(good=980, bad=19, offline=True))


def test_a_budget_is_exceeded_strictly_above_the_hard_limit():
    assert list(budget_findings("provider:openai", 1.0, 1.0)) == []
    [finding] = budget_findings("provider:openai", 1.01, 1.0)
    assert finding is not None
    assert (finding.severity, finding.alert_type, finding.provider) == ("critical", "BUDGET_EXCEEDED", "openai")


def test_an_alert_fires_once_per_type_and_provider_until_it_expires(fake_clock: FakeClock):
    """A new alert after that has another id: ids carry the time."""
    alerts = Alerts(fake_clock, ttl_s=3600)
    assert alerts.fire(SPIKE)
    first = alerts.active()[0].as_answer()["id"]
    fake_clock.elapsed_s = 3599
    assert not alerts.fire(SPIKE)
    assert len(alerts.active()) == 1
    fake_clock.elapsed_s = 3600
    assert alerts.active() == []
    assert alerts.fire(SPIKE)
    assert alerts.active()[0].as_answer()["id"] != first


def test_the_alerts_of_a_type_can_be_removed(api: httpx.Client):
    for kind in ("DRILL", "OTHER"):
        api.post("/sandbox/alerts", json={"severity": "critical", "alert_type": kind})
    assert [api.delete("/sandbox/alerts/DRILL").json()["cleared"] for _ in range(2)] == [1, 0]
    types = {alert["alert_type"] for alert in api.get("/api/v1/alerts").json()["alerts"]}
    assert "DRILL" not in types
    assert "OTHER" in types
    api.delete("/sandbox/alerts/OTHER")
