"""Answers that a healthy server never gives, or not to order: each is a failed poll with a message, never a number."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from rollout.core.clock import StopFlag, SystemClock
from rollout.core.errors import Interrupted
from rollout.core.redaction import Redactor
from rollout.core.scenario import ProviderChange
from rollout.core.target import AlertmanagerSource, PrometheusSource, Tls
from rollout.monitoring.sources.alertmanager import Alertmanager
from rollout.monitoring.sources.http_endpoint import Endpoint, SourceError
from rollout.monitoring.sources.prometheus import Prometheus
from tests.support.stub import Stub

NEW = ProviderChange("openai", "gpt-4o")
QUERY, ALERTS = ("GET", "/api/v1/query"), ("GET", "/api/v2/alerts")
TOKEN = "hunter2-hunter2"
LABELS = {"__name__": "requests_total"}


@pytest.fixture
def stub() -> Iterator[Stub]:
    with Stub() as one:
        yield one


def endpoint(stub: Stub, name: str, *, token: str | None = None, stop: StopFlag | None = None) -> Endpoint:
    return Endpoint(
        name, f"sources.{name.casefold()}", stub.url, tls=Tls(), token=token, token_env="A_TOKEN" if token else None,
        deadline_s=5.0, stop=stop or StopFlag(), redact=Redactor([TOKEN]).text,
    )  # fmt: skip


def prometheus(stub: Stub, **options: Any) -> Prometheus:
    source = PrometheusSource(stub.url, "requests_total", 'requests_total{status="error"}')
    return Prometheus(source, endpoint(stub, "Prometheus", **options), SystemClock())


def vector(*samples: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"status": "success", "data": {"resultType": "vector", "result": list(samples)}, **more}


def sample(value: str = "5", at: float | None = None) -> dict[str, Any]:
    return {"metric": LABELS, "value": [time.time() if at is None else at, value]}


def why(stub: Stub, status: int, document: Any, **options: Any) -> str:
    stub.answers = {QUERY: (status, document)}
    client = prometheus(stub, **options)
    with pytest.raises(SourceError) as failed:
        client.metrics(NEW)
    client._endpoint.close()
    text = str(failed.value)
    assert text.startswith(f"Prometheus at {stub.url.removeprefix('http://')}: ")
    assert TOKEN not in text
    return text.partition(": ")[2]


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (vector(sample(), warnings=["store gateway unreachable"]), "may be partial; it warns: store gateway unreach"),
        ({"metric": 1}, "does not answer as Prometheus does (status: Field required)"),
        ([], "does not answer as Prometheus does"),
        ({"status": "success", "data": {"resultType": "scalar", "result": [1, "1"]}}, "(data.resultType: Input"),
        (vector({"metric": LABELS, "histogram": [1, {}]}), "requests_total{} is a native histogram"),
        (vector(sample("a lot")), "requests_total{} is a lot, which no counter is"),
        (vector(sample(at=time.time() - 86_400)), "s before this machine's: a cached answer, or one of the two clocks"),
        # A day: the tests may run for longer than an hour after they were collected.
        (vector(sample(at=time.time() + 86_400)), "s after this machine's"),
        (vector(), "no series matches requests_total; if its counters are born with the first request"),
    ],
)
def test_an_answer_to_rely_on_is_none_of_these(stub: Stub, document: Any, words: str) -> None:
    assert words in why(stub, 200, document)


@pytest.mark.parametrize(
    ("status", "document", "words"),
    [
        (400, {"status": "error", "errorType": "bad_data", "error": "parse error"}, "(400: bad_data: parse error)"),
        (503, {"status": "error", "errorType": "timeout", "error": "took too long"}, "(503: timeout: took too long)"),
        (401, "who?", "asks for a token (401: who?), and none was sent; set sources.prometheus.token_env"),
        (302, {}, "redirects to nowhere (302), which is not followed"),
        (404, {}, "has no such path (404); is sources.prometheus.url the base URL of Prometheus?"),
    ],
)
def test_an_error_says_what_why_and_how_to_mend(stub: Stub, status: int, document: Any, words: str) -> None:
    assert words in why(stub, status, document)


def test_the_token_is_sent_and_never_shown(stub: Stub) -> None:
    message = why(stub, 403, f"no entry for {TOKEN}", token=TOKEN)
    assert "it was sent the one in A_TOKEN" in message
    assert stub.seen[0][2]["authorization"] == f"Bearer {TOKEN}"


def test_a_poll_ends_when_the_run_is_asked_to_stop(stub: Stub) -> None:
    stop = StopFlag()
    stop.set("enough")
    with pytest.raises(Interrupted):
        prometheus(stub, stop=stop).metrics(NEW)
    assert stub.seen == []


def test_a_failed_poll_changes_nothing_of_what_was_counted(stub: Stub) -> None:
    stub.answers = {QUERY: (200, vector(sample("5")))}
    client = prometheus(stub)
    client._scrapes = lambda _of: type("V", (), {"at": None, "values": {}})()  # type: ignore[method-assign]
    client._age_s = lambda *_: 0.0  # type: ignore[method-assign]
    assert client.metrics(NEW).total_requests == 0
    stub.answers = {QUERY: (200, vector(sample("NaN")))}
    with pytest.raises(SourceError):
        client.metrics(NEW)
    stub.answers = {QUERY: (200, vector(sample("8")))}
    assert client.metrics(NEW).total_requests == 3


@pytest.mark.parametrize(
    ("status", "document", "words"),
    [
        (200, {"alerts": []}, "does not answer as Alertmanager does"),
        (200, [{"labels": {}}], "does not answer as Alertmanager does (0.fingerprint: Field required)"),
        (400, "bad matcher format: x", "refused (400: bad matcher format: x); check sources.alertmanager"),
    ],
)
def test_alerts_that_cannot_be_read_are_not_no_alerts(stub: Stub, status: int, document: Any, words: str) -> None:
    stub.answers = {ALERTS: (status, document)}
    with pytest.raises(SourceError) as failed:
        Alertmanager(AlertmanagerSource(stub.url), endpoint(stub, "Alertmanager")).alerts("critical")
    assert words in str(failed.value)


def test_an_alertmanager_that_ignores_what_it_is_asked_is_not_believed(stub: Stub) -> None:
    def alert(**status: list[str]) -> dict[str, Any]:
        state = {"state": "active", "silencedBy": [], "inhibitedBy": []} | status
        times = {"startsAt": "2026-11-23T12:00:00Z", "endsAt": "2026-11-23T13:00:00Z"}
        return {"fingerprint": "f", "labels": {"alertname": "A"}, "annotations": {}, "status": state, **times}

    stub.answers = {ALERTS: (200, [alert(), alert(silencedBy=["s"]), alert(inhibitedBy=["i"])])}
    client = Alertmanager(AlertmanagerSource(stub.url), endpoint(stub, "Alertmanager"))
    assert [found.message for found in client.alerts("critical")] == ["A"]
    asked = stub.seen[0][1]
    assert "silenced=false" in asked
    assert "filter=severity%3D%22critical%22" in asked
