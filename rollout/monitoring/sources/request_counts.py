"""The increases of the counters of one provider and model since the first poll."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rollout.core.histogram import Histogram
from rollout.gateway.responses import Latency
from rollout.monitoring.sources.counter_increases import Increase, histogram

P50, P95, P99 = 0.5, 0.95, 0.99


@dataclass(slots=True)
class RequestCounts:
    """The increases of one provider and model since the first poll, and the counts of earlier calls."""

    requests: Increase
    errors: Increase
    buckets: Increase
    total_before: float = 0.0
    failed_before: float = 0.0
    histogram_before: Histogram | None = None

    @property
    def total(self) -> float:
        """The requests, those of an earlier call included."""
        return self.total_before + self.requests.total

    @property
    def failed(self) -> float:
        """The failed requests, those of an earlier call included."""
        return self.failed_before + self.errors.total

    def histogram(self) -> Histogram | None:
        """Return all latencies; None without a histogram.

        Raises:
            ValueError: the series are no histogram's buckets.
        """
        now, before = histogram(self.buckets.counted), self.histogram_before
        return now.plus(before) if now is not None and before is not None else now or before

    def memory(self) -> dict[str, Any]:
        """Return what a later call needs to continue the counting, as JSON types."""
        latencies = self.histogram()
        return {
            "last": {
                "requests": self.requests.memory(),
                "errors": self.errors.memory(),
                "buckets": self.buckets.memory(),
            },
            "total": self.total,
            "failed": self.failed,
            "histogram": None if latencies is None else latencies.record(),
        }

    @classmethod
    def after(cls, memory: Mapping[str, Any]) -> RequestCounts:
        """Return the counts that continue from the `memory` of an earlier call."""
        last, buckets = memory["last"], memory["histogram"]
        return cls(
            Increase.after(last["requests"]),
            Increase.after(last["errors"]),
            Increase.after(last["buckets"]),
            total_before=memory["total"],
            failed_before=memory["failed"],
            histogram_before=None if buckets is None else Histogram.from_record(buckets),
        )


def percentiles(latencies: Histogram | None) -> Latency:
    """Return P50, P95 and P99 in ms; None for one above the highest bound, and for all without a histogram."""
    if latencies is None:
        return Latency(None, None, None, 0)
    p50, p95, p99 = (_ms(latencies, share) for share in (P50, P95, P99))
    return Latency(p50, p95, p99, round(latencies.count))


def _ms(latencies: Histogram, share: float) -> float | None:
    found = latencies.quantile(share)
    return None if found is None or found.at_least else found.seconds * 1000
