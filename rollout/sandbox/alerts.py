"""Alerts that the gateway fires from its own metrics, and that expire."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from rollout.core.clock import Clock
from rollout.sandbox.metrics import Request, percentile
from rollout.sandbox.providers import Provider

SEVERITIES = ("info", "warning", "critical")
AT_LEAST = 20
"""Fewer recent requests than this are not judged."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something to alert about.

    Attributes:
        severity: ``info``, ``warning`` or ``critical``.
        alert_type: such as ``ERROR_SPIKE``.
        provider: the provider that it concerns; None where it concerns none in particular.
        message: the key of a message, as gateways of this family send it, or a plain text.
        details: the deciding value and its limit, as text.
        metadata: the same as numbers.
    """

    severity: str
    alert_type: str
    provider: str | None
    message: str
    details: str | None = None
    metadata: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Alert:
    """A finding that fired."""

    finding: Finding
    fired_at: datetime
    expires_at: datetime

    def as_answer(self) -> dict[str, Any]:
        """Return one alert of the answer; its id carries the time, as recorded."""
        finding = self.finding
        return {
            "id": f"{finding.provider or 'global'}_{finding.alert_type.lower()}_{self.fired_at.timestamp():.6f}",
            "severity": finding.severity,
            "alert_type": finding.alert_type,
            "provider": finding.provider,
            "message": finding.message,
            "technical_details": finding.details,
            # Without an offset, as recorded; it is UTC.
            "timestamp": self.fired_at.replace(tzinfo=None).isoformat(),
            "expires_at": self.expires_at.replace(tzinfo=None).isoformat(),
            "metadata": dict(finding.metadata),
        }


class Alerts:
    """The alerts that are active: at most one of each type and provider.

    Attributes:
        ttl_s: seconds that an alert lasts which fires from now on.
    """

    def __init__(self, clock: Clock, ttl_s: float) -> None:
        """Start without alerts."""
        self._clock = clock
        self.ttl_s = ttl_s
        self._active: dict[tuple[str, str | None], Alert] = {}

    def fire(self, finding: Finding) -> bool:
        """Fire, and return whether the alert is new: an active one of the same type and provider stays unchanged."""
        key = (finding.alert_type, finding.provider)
        self._expire()
        if key in self._active:
            return False
        now = self._clock.now()
        self._active[key] = Alert(finding, now, now + timedelta(seconds=self.ttl_s))
        return True

    def clear(self, alert_type: str) -> int:
        """Remove the active alerts of a type, and return how many there were."""
        found = [key for key in self._active if key[0] == alert_type]
        for key in found:
            del self._active[key]
        return len(found)

    def active(self) -> list[Alert]:
        """Return the active alerts, newest first."""
        self._expire()
        return sorted(self._active.values(), key=lambda alert: alert.fired_at, reverse=True)

    def _expire(self) -> None:
        now = self._clock.now()
        self._active = {key: alert for key, alert in self._active.items() if alert.expires_at > now}


def summary(alerts: Iterable[Alert]) -> dict[str, Any]:
    """Return the ``summary`` part of the answer."""
    findings = [alert.finding for alert in alerts]
    severities = Counter(finding.severity for finding in findings)
    return {
        "total_active": len(findings),
        "by_severity": {severity: severities[severity] for severity in SEVERITIES},
        "by_provider": dict(Counter(finding.provider or "global" for finding in findings)),
    }


def findings_in(
    provider: Provider, recent: Sequence[Request], error_share: float, *, is_active: bool
) -> Iterator[Finding]:
    """Yield the findings in a provider's recent requests: errors above `error_share`, latency, service level.

    Fewer requests than `AT_LEAST` yield none.

    PROVIDER_OFFLINE is for the active provider alone.
    """
    name, level = provider.name, provider.service_level
    if is_active and (offline := sum(request.offline for request in recent)) >= AT_LEAST:
        yield Finding(
            "critical", "PROVIDER_OFFLINE", name, "providers.alerts.providerOffline", f"offline_failures={offline}"
        )
    if len(recent) < AT_LEAST:
        return
    errors = sum(request.code is not None for request in recent) / len(recent)
    p99_ms = percentile((request.latency_ms for request in recent), 99)
    if errors > error_share:
        yield Finding(
            "critical",
            "ERROR_SPIKE",
            name,
            "providers.alerts.errorSpike",
            f"error_rate={errors:.1%} threshold={error_share:.1%}",
            {"rate": 100 * errors, "threshold": 100 * error_share},
        )
    if p99_ms is not None and p99_ms > level.p99_ms:
        yield Finding(
            "warning",
            "HIGH_LATENCY",
            name,
            "providers.alerts.highLatency",
            f"p99={p99_ms:.0f}ms threshold={level.p99_ms:.0f}ms",
            {"latency": p99_ms, "threshold": level.p99_ms},
        )
    if breaches := slo_breaches(provider, errors, p99_ms, usd=0.0):
        metric = ", ".join(breaches)
        yield Finding(
            "warning",
            "SLO_BREACH",
            name,
            "providers.alerts.sloBreached",
            f"breaches: {metric}",
            {"metric": metric, "breaches": breaches},
        )


def slo_breaches(provider: Provider, error_rate: float, p99_ms: float | None, usd: float) -> list[str]:
    """Return the parts of its service level that a provider misses; `error_rate` is a fraction 0-1."""
    level, availability = provider.service_level, 1 - error_rate
    found = []
    if availability < level.availability:
        found.append(f"availability_{availability:.1%}_below_{level.availability:.1%}")
    if p99_ms is not None and p99_ms > level.p99_ms:
        found.append(f"latency_p99_{p99_ms:.0f}ms_above_{level.p99_ms:.0f}ms")
    if error_rate > level.error_rate:
        found.append(f"error_rate_{error_rate:.1%}_above_{level.error_rate:.1%}")
    if 0 < level.budget_usd < usd:
        found.append(f"cost_${usd:.2f}_above_${level.budget_usd:.2f}")
    return found


def budget_findings(scope: str, usage_usd: float, hard_limit_usd: float) -> Iterator[Finding]:
    """Yield a finding where a scope's cost is above its hard limit."""
    if usage_usd > hard_limit_usd:
        yield Finding(
            "critical",
            "BUDGET_EXCEEDED",
            None if scope == "global" else scope.removeprefix("provider:"),
            "providers.alerts.budgetExceeded",
            f"scope={scope} usage=${usage_usd:.4f} hard_limit=${hard_limit_usd:.4f}",
            {"current": usage_usd, "limit": hard_limit_usd},
        )
