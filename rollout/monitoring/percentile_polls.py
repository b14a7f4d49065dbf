"""The percentiles of a gateway that has no histogram: each covers its last requests, however old (deviation 2)."""

from __future__ import annotations

from dataclasses import dataclass, field

from rollout.gateway.responses import Latency
from rollout.monitoring.counters import Counters


@dataclass(slots=True)
class PercentilePolls:
    """The P95s that have no request in common, of a window's polls.

    Attributes:
        disjoint: the P95 in ms of each, in order.
    """

    disjoint: list[float] = field(default_factory=list)
    _counted: int = 0

    def add(self, counters: Counters, latency: Latency) -> None:
        """Add a poll; it is disjoint if at least as many requests were counted since the latest one as it covers."""
        span = counters.latest()
        if span is None or latency.p95_ms is None or not latency.samples:
            return
        if span.requests - self._counted >= latency.samples:
            self.disjoint.append(latency.p95_ms)
            self._counted = span.requests
