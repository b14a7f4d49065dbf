"""Alertmanager as the source of critical alerts, against the real server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from rollout.core.redaction import Redactor
from rollout.core.target import AlertmanagerSource, Tls
from rollout.monitoring.sources.alertmanager import Alertmanager
from rollout.monitoring.sources.http_endpoint import Endpoint, SourceError
from tests.monitoring.servers import AlertmanagerServer

Client = Callable[..., Alertmanager]


@pytest.fixture
def client(alertmanager: AlertmanagerServer) -> Iterator[Client]:
    opened: list[Endpoint] = []

    def make(**parts: Any) -> Alertmanager:
        source = AlertmanagerSource(**{"url": alertmanager.url, **parts})
        endpoint = Endpoint(
            "Alertmanager", "sources.alertmanager", source.url, tls=Tls(), token=None, token_env=None,
            deadline_s=5.0, redact=Redactor().text,
        )  # fmt: skip
        opened.append(endpoint)
        return Alertmanager(source, endpoint)

    yield make
    for one in opened:
        one.close()


def keys(client: Alertmanager) -> set[str]:
    return {alert.key for alert in client.alerts("critical")}


def test_what_matches_is_critical_and_distinguished_by_type_and_provider(
    client: Client, alertmanager: AlertmanagerServer
) -> None:
    alertmanager.fire("ErrorSpike", severity="critical", provider="openai", instance="a")
    alertmanager.fire("ErrorSpike", severity="critical", provider="openai", instance="b")
    alertmanager.fire("DiskFull", severity="critical")
    alertmanager.fire("Slow", severity="warning", provider="openai")
    found = client().alerts("critical")
    assert {alert.key for alert in found} == {"ErrorSpike/openai", "DiskFull/-"}
    assert len({alert.id for alert in found}) == 3
    spike = next(alert for alert in found if alert.alert_type == "ErrorSpike")
    assert (spike.severity, spike.message, spike.technical_details) == (
        "critical",
        "ErrorSpike by hand",
        "too much of it",
    )
    assert keys(client(match=('severity="warning"', 'provider=~"open.*"'))) == {"Slow/openai"}


def test_a_silenced_alert_does_not_count(client: Client, alertmanager: AlertmanagerServer) -> None:
    alertmanager.fire("Known", team="silenced")
    mine = client(match=('team="silenced"',))
    assert keys(mine) == {"Known/-"}
    alertmanager.silence("Known")
    assert keys(mine) == set()


def test_a_resolved_alert_does_not_count(client: Client, alertmanager: AlertmanagerServer) -> None:
    alertmanager.fire("Over", team="resolved")
    alertmanager.resolve("Over", team="resolved")
    assert keys(client(match=('team="resolved"',))) == set()


def test_none_firing_is_a_reading(client: Client) -> None:
    assert client(match=('team="nobody"',)).alerts("critical") == ()


def test_without_its_heartbeat_silence_is_no_reading(client: Client, alertmanager: AlertmanagerServer) -> None:
    mine = client(match=('team="nobody"',), heartbeat='alertname="Watchdog"')
    with pytest.raises(SourceError, match=r'no alert alertname="Watchdog" fires, and one always should'):
        mine.alerts("critical")
    alertmanager.fire("Watchdog")
    assert mine.alerts("critical") == ()
    alertmanager.resolve("Watchdog")


def test_a_matcher_that_the_server_refuses_says_why(client: Client) -> None:
    with pytest.raises(SourceError, match=r"Alertmanager at .*: refused \(400: .*\); check sources.alertmanager"):
        client(match=('a=~"["',)).alerts("critical")


def test_a_server_that_is_gone_is_a_failed_poll(client: Client) -> None:
    with pytest.raises(SourceError, match=r"connection refused\); is Alertmanager running\?"):
        client(url="http://127.0.0.1:9").alerts("critical")


def test_the_sample_of_the_precheck_says_what_is_asked_for(client: Client) -> None:
    expected = {"firing": [], "match": ['team="nobody"'], "heartbeat": "none is named"}
    assert client(match=('team="nobody"',)).sample() == expected
