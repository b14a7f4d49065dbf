"""Counters are cumulative, percentiles cover the last thousand requests."""

from __future__ import annotations

import httpx
import pytest

from rollout.sandbox.metrics import CONTENT_TYPE, Counters, Metrics, Request, exposition, percentile

from .conftest import ask, sample


def counted(*requests: Request) -> Metrics:
    metrics = Metrics()
    for request in requests:
        metrics.count(request)
    return metrics


def test_one_to_hundred_gives_the_recorded_percentiles():
    """p50 50.5, p95 95.5, p99 100, and every other value of the recorded answer."""
    metrics = counted(*(Request(at=0.0, latency_ms=float(value)) for value in range(100, 0, -1)))
    assert metrics.as_answer("openai") == sample("metrics_openai_100_samples_1to100")["body"]["metrics"]


def test_old_samples_leave_the_percentiles_and_stay_in_the_counters():
    """1,400 requests, the last 100 failed after 9 s: as recorded (deviation 2)."""
    fine = [Request(at=0.0, latency_ms=50.0)] * 1300
    failed = [Request(at=0.0, latency_ms=9000.0, code="http_500")] * 100
    assert (
        counted(*fine, *failed).as_answer("openai")
        == sample("metrics_openai_cumulative_vs_reservoir")["body"]["metrics"]
    )


def test_between_two_ranks_the_percentile_is_interpolated():
    assert percentile([40.0, 10.0, 20.0, 30.0], 95) == 38.0


@pytest.mark.parametrize("percent", [50, 95, 99])
def test_one_sample_is_every_percentile_and_no_sample_is_none(percent: int):
    assert percentile([7.0], percent) == 7.0
    assert percentile([], percent) is None


def test_requests_older_than_a_minute_are_not_recent():
    metrics = counted(Request(at=0.0, latency_ms=1.0), Request(at=30.0, latency_ms=2.0))
    assert [request.at for request in metrics.recent(61.0)] == [30.0]


def test_a_timeout_is_counted_as_one():
    answer = counted(Request(at=0.0, latency_ms=60_000.0, code="timeout")).as_answer("vllm")
    assert (answer["errors"]["timeouts"], answer["error_rate"]) == (1, 100.0)


def test_the_exposition_has_cumulative_buckets_and_both_results_from_the_start():
    counted_ones = counted(
        Request(at=0.0, latency_ms=10.0), Request(at=0.0, latency_ms=11.0), Request(0.0, 60_000.0, code="timeout")
    )
    lines = exposition({"openai": counted_ones, "ollama": Metrics()}).splitlines()
    for line in (
        'llm_requests_total{provider="openai",status="success"} 2',
        'llm_requests_total{provider="openai",status="error"} 1',
        'llm_requests_total{provider="ollama",status="error"} 0',
        # A bound is in its own bucket.
        'llm_latency_seconds_bucket{provider="openai",le="0.01"} 1',
        'llm_latency_seconds_bucket{provider="openai",le="0.025"} 2',
        'llm_latency_seconds_bucket{provider="openai",le="10"} 2',
        'llm_latency_seconds_bucket{provider="openai",le="+Inf"} 3',
        'llm_latency_seconds_sum{provider="openai"} 60.021000',
        'llm_latency_seconds_count{provider="openai"} 3',
    ):
        assert line in lines


def test_the_exposition_tells_the_models_of_a_provider_the_codes_tokens_and_cost_apart():
    metrics = Metrics(models={"gpt-4o": Counters(), "gpt-4o-mini": Counters(), "gpt-4.1": Counters()})
    for request in (
        Request(0.0, 40.0, tokens=30, usd=0.015, model="gpt-4o"),
        Request(0.0, 80.0, code="http_429", model="gpt-4o"),
        Request(0.0, 90.0, code="http_409", model="gpt-4o"),
        Request(0.0, 60_000.0, code="timeout", model="gpt-4o-mini"),
        Request(0.0, 20.0, tokens=7, usd=0.0005, model="gpt-4o-mini"),
    ):
        metrics.count(request)
    lines = exposition({"openai": metrics}).splitlines()
    for line in (
        'llm_requests_total{provider="openai",model="gpt-4o",status="success"} 1',
        'llm_requests_total{provider="openai",model="gpt-4o",status="error"} 2',
        'llm_requests_total{provider="openai",model="gpt-4.1",status="error"} 0',
        'llm_failures_total{provider="openai",model="gpt-4o",code="429"} 1',
        'llm_failures_total{provider="openai",model="gpt-4o",code="409"} 1',
        'llm_failures_total{provider="openai",model="gpt-4o",code="504"} 0',
        'llm_failures_total{provider="openai",model="gpt-4o-mini",code="504"} 1',
        'llm_tokens_total{provider="openai",model="gpt-4o"} 30',
        'llm_cost_usd_total{provider="openai",model="gpt-4o-mini"} 0.0005',
        'llm_latency_seconds_bucket{provider="openai",model="gpt-4o",le="0.05"} 1',
        'llm_latency_seconds_bucket{provider="openai",model="gpt-4o-mini",le="60"} 2',
        'llm_latency_seconds_count{provider="openai",model="gpt-4o-mini"} 2',
    ):
        assert line in lines
    assert (metrics.total, metrics.failed, metrics.total_tokens) == (5, 3, 37), "the provider has them all"
    assert not [line for line in lines if "{provider=" in line and "model=" not in line]


def test_a_prometheus_may_scrape_it(api: httpx.Client):
    ask(api)
    answer = api.get("/metrics")
    assert (answer.status_code, answer.headers["content-type"]) == (200, CONTENT_TYPE)
    assert 'llm_requests_total{provider="ollama",model="gemma3:4b",status="success"}' in answer.text
    assert 'llm_requests_total{provider="huggingface",status="error"} 0' in answer.text.splitlines()
