"""``GET /metrics``: the counters in Prometheus' text format, for a Prometheus that scrapes the gateway."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rollout.sandbox.metrics import BOUNDS_MS, Metrics

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def exposition(metrics: Mapping[str, Metrics]) -> str:
    """Return every provider's counters, at 0 before its first request, and its latency histogram."""
    return "".join(f"{line}\n" for line in _lines(metrics))


def _lines(metrics: Mapping[str, Metrics]) -> Iterator[str]:
    yield "# HELP llm_requests_total Requests that were served, by provider and result."
    yield "# TYPE llm_requests_total counter"
    for name, counted in metrics.items():
        yield f'llm_requests_total{{provider="{name}",status="success"}} {counted.total - counted.failed}'
        yield f'llm_requests_total{{provider="{name}",status="error"}} {counted.failed}'
    yield "# HELP llm_latency_seconds How long requests took, failed ones included."
    yield "# TYPE llm_latency_seconds histogram"
    for name, counted in metrics.items():
        yield from _histogram(name, counted)


def _histogram(name: str, counted: Metrics) -> Iterator[str]:
    below = 0
    for bound_ms, count in zip(BOUNDS_MS, counted.bucket_counts, strict=False):
        below += count
        yield f'llm_latency_seconds_bucket{{provider="{name}",le="{bound_ms / 1000:g}"}} {below}'
    yield f'llm_latency_seconds_bucket{{provider="{name}",le="+Inf"}} {counted.total}'
    yield f'llm_latency_seconds_sum{{provider="{name}"}} {counted.total_latency_ms / 1000:.6f}'
    yield f'llm_latency_seconds_count{{provider="{name}"}} {counted.total}'
