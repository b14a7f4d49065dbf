"""Critical alerts from Alertmanager (API v2), in the place of the gateway's own (MON-4, PRE-5.3).

A silenced or inhibited alert does not count.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, TypeAdapter

from rollout.core.target import AlertmanagerSource
from rollout.gateway.responses import Alert
from rollout.monitoring.sources.http_endpoint import Endpoint, Query

_ALERTS = "/api/v2/alerts"
# An alert that Alertmanager has not processed yet fires too.
_FIRING: Query = [("active", "true"), ("unprocessed", "true"), ("silenced", "false"), ("inhibited", "false")]


class _Status(BaseModel):
    state: str
    silencedBy: list[str]  # noqa: N815 - the API's own spelling
    inhibitedBy: list[str]  # noqa: N815


class _Alert(BaseModel):
    fingerprint: str
    labels: dict[str, str]
    annotations: dict[str, str]
    startsAt: str  # noqa: N815
    endsAt: str  # noqa: N815
    status: _Status


_ANSWER = TypeAdapter(list[_Alert])


class Alertmanager:
    """The alerts from Alertmanager, in the gateway's own types."""

    def __init__(self, source: AlertmanagerSource, endpoint: Endpoint) -> None:
        """Prepare; nothing is sent yet."""
        self._source, self._endpoint = source, endpoint

    def alerts(self, severity: str) -> tuple[Alert, ...]:
        """Return the alerts that fire and match; all of them get this `severity`.

        An alert's type is its label ``alertname``, its provider the label ``provider``.

        Raises:
            SourceError: Alertmanager gives no reliable answer, or the heartbeat does not fire.
        """
        if self._source.heartbeat is not None and not self._firing([self._source.heartbeat]):
            raise self._endpoint.error(
                f"no alert {self._source.heartbeat} fires, and one always should: no alerts reach it, "
                "so that none fires proves nothing; check Prometheus' alerting settings"
            )
        return tuple(_alert(each, severity) for each in self._firing(self._source.match))

    def sample(self) -> Mapping[str, Any]:
        """Return the alerts of one poll, so that the operator can check the matchers (PRE-2.5).

        Raises:
            SourceError: as `alerts`.
        """
        return {
            "firing": [alert.key for alert in self.alerts("critical")],
            "match": list(self._source.match),
            "heartbeat": self._source.heartbeat or "none is named",
        }

    def _firing(self, match: list[str] | tuple[str, ...]) -> list[_Alert]:
        found = self._endpoint.get(_ALERTS, [*_FIRING, *(("filter", one) for one in match)], answer=_ANSWER)
        return [each for each in found if not each.status.silencedBy and not each.status.inhibitedBy]


def _alert(found: _Alert, severity: str) -> Alert:
    labels, notes = found.labels, found.annotations
    name = labels.get("alertname", "unnamed")
    message = notes.get("summary") or notes.get("message") or notes.get("description") or name
    details = notes.get("description")
    return Alert(
        id=found.fingerprint,
        severity=severity,
        alert_type=name,
        provider=labels.get("provider") or None,
        message=message,
        technical_details=None if details == message else details,
        timestamp=found.startsAt,
        expires_at=found.endsAt,
    )
