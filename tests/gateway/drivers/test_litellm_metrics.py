"""The counters of deployments, from the text that the library of LiteLLM's own callback writes."""

from __future__ import annotations

import math

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.samples import Sample

from rollout.gateway.documents import InvalidResponse
from rollout.gateway.drivers.litellm_metrics import count_fallbacks, deployment_metrics, process_start, read_samples
from rollout.gateway.transport import Answer

LABELS = ["model_id", "api_key_alias"]


class Served:
    """Counters as the callback keeps them."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = self._counter("litellm_deployment_total_requests", LABELS)
        self.failures = self._counter("litellm_deployment_failure_responses", [*LABELS, "exception_status"])
        self.spend = self._counter("litellm_spend_metric", LABELS)
        self.tokens = self._counter("litellm_total_tokens_metric", LABELS)
        self.latency = Histogram(
            "litellm_request_total_latency_metric", "-", LABELS, buckets=(0.1, 1.0), registry=self.registry
        )

    def _counter(self, name: str, labels: list[str]) -> Counter:
        return Counter(name, "-", labels, registry=self.registry)

    def samples(self) -> list[Sample]:
        """What is read of the proxy's answer."""
        return read_samples(Answer(200, {"content-type": "text/plain"}, generate_latest(self.registry), 1.0))


def test_a_deployment_without_requests_counts_as_none():
    found = deployment_metrics(Served().samples(), {"a"})
    assert (found.total_requests, found.failed_requests, found.error_rate) == (0, 0, 0.0)
    assert found.histogram is None
    assert found.latency.p95_ms is None


def test_the_series_of_a_deployment_are_added_up_and_others_left_out():
    served = Served()
    for deployment, key, requests in (("a", "x", 6), ("a", "y", 2), ("b", "x", 50), ("", "health", 9)):
        served.requests.labels(deployment, key).inc(requests)
    served.failures.labels("a", "x", "500").inc(2)
    served.failures.labels("a", "y", "429").inc(1)
    served.failures.labels("b", "x", "500").inc(40)
    served.spend.labels("a", "x").inc(0.25)
    served.tokens.labels("a", "x").inc(30)
    for key, seconds in (("x", 0.05), ("x", 0.5), ("y", 0.5), ("y", 5.0)):
        served.latency.labels("a", key).observe(seconds)
    found = deployment_metrics(served.samples(), {"a"})
    assert (found.total_requests, found.successful_requests, found.failed_requests) == (8, 5, 3)
    assert found.errors_by_code == {"429": 1, "500": 2}
    assert (found.total_usd, found.total_tokens) == (0.25, 30)
    assert found.histogram is not None
    assert found.histogram.buckets == ((0.1, 1.0), (1.0, 3.0), (math.inf, 4.0))
    assert found.latency.p50_ms == pytest.approx(550)
    assert found.latency.p95_ms is None, "it lies above the highest bound"


def test_a_deployment_whose_series_are_yet_to_come_has_the_bounds_of_the_others():
    served = Served()
    served.latency.labels("b", "x").observe(0.5)
    found = deployment_metrics(served.samples(), {"a"})
    assert found.histogram is not None
    assert found.histogram.buckets == ((0.1, 0.0), (1.0, 0.0), (math.inf, 0.0))


def test_several_deployments_of_one_name_are_one_provider():
    served = Served()
    served.requests.labels("a", "x").inc(3)
    served.requests.labels("b", "x").inc(4)
    assert deployment_metrics(served.samples(), {"a", "b"}).total_requests == 7


def test_a_failure_that_is_counted_before_its_request_is_no_negative_success():
    served = Served()
    served.failures.labels("a", "x", "500").inc()
    found = deployment_metrics(served.samples(), {"a"})
    assert (found.total_requests, found.successful_requests, found.failed_requests) == (1, 0, 1)


@pytest.mark.parametrize("body", [b"", b"<html>It works!</html>", b"{}", b"up 1\n", b"x{ 1\n", b"\xff\xfe"])
def test_what_holds_no_counters_of_deployments_is_an_error(body: bytes):
    with pytest.raises(InvalidResponse):
        read_samples(Answer(200, {}, body, 1.0))


def test_fallbacks_are_those_from_what_was_asked_for():
    served = Served()
    counter = served._counter("litellm_deployment_successful_fallbacks", ["requested_model", "fallback_model"])
    assert count_fallbacks(served.samples(), {"chat"}) == 0
    for asked, other, times in (("chat", "prod-a", 3), ("chat", "prod-c", 1), ("prod-b", "prod-a", 2), ("x", "y", 9)):
        counter.labels(asked, other).inc(times)
    assert count_fallbacks(served.samples(), {"chat", "prod-b"}) == 6


def test_the_process_is_known_by_its_start():
    served = Served()
    assert process_start(served.samples()) is None
    Gauge("process_start_time_seconds", "-", registry=served.registry).set(1796065366.77)
    assert process_start(served.samples()) == "1796065366.77"
