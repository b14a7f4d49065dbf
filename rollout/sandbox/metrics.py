"""The counters of the requests that the gateway served, and the two forms in which they are answered."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

SAMPLES = 1000
"""Percentiles cover this many last requests."""

RECENT_S = 60.0
"""Requests younger than this are *recent*: alerts judge them."""

BOUNDS_MS = (10, 25, 50, 75, 100, 150, 200, 300, 500, 750, 1000, 2500, 5000, 10_000)
"""Upper bounds of the latency histogram's buckets; a last one without a bound follows."""

TIMEOUT = "timeout"
"""The code of a request that the provider did not answer."""

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""The type of Prometheus' text format."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it was served.

    Attributes:
        at: when it ended, in the clock's monotonic seconds.
        latency_ms: how long it took.
        code: why it failed, such as ``http_502``; None where it succeeded.
        offline: whether it failed because the provider was offline.
        tokens: tokens of prompt and answer.
        usd: its cost.
    """

    at: float
    latency_ms: float
    code: str | None = None
    offline: bool = False
    tokens: int = 0
    usd: float = 0.0


@dataclass(slots=True)
class Metrics:
    """Counters of one provider, cumulative since the process started; lost on a restart (deviations 2 and 4)."""

    total: int = 0
    total_usd: float = 0.0
    total_tokens: int = 0
    total_latency_ms: float = 0.0
    bucket_counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS_MS) + 1))
    codes: Counter[str] = field(default_factory=Counter)
    latencies_ms: deque[float] = field(default_factory=lambda: deque(maxlen=SAMPLES))
    _recent: deque[Request] = field(default_factory=deque)

    @property
    def failed(self) -> int:
        """Return how many requests failed."""
        return self.codes.total()

    @property
    def error_rate(self) -> float:
        """Return the fraction 0-1 of requests that failed, 0 where there were none."""
        return self.failed / self.total if self.total else 0.0

    def count(self, request: Request) -> None:
        """Count one request."""
        self.total += 1
        self.total_usd += request.usd
        self.total_tokens += request.tokens
        self.total_latency_ms += request.latency_ms
        self.bucket_counts[bisect_left(BOUNDS_MS, request.latency_ms)] += 1
        self.latencies_ms.append(request.latency_ms)
        if request.code:
            self.codes[request.code] += 1
        self._recent.append(request)
        self.recent(request.at)

    def recent(self, now: float) -> Sequence[Request]:
        """Return the requests of the last `RECENT_S` seconds, oldest first."""
        while self._recent and self._recent[0].at < now - RECENT_S:
            self._recent.popleft()
        return self._recent

    def as_answer(self, provider: str) -> dict[str, Any]:
        """Return the ``metrics`` part of the answer: rates in percent (deviation 1), percentiles null without data."""
        answer = {
            "total_requests": self.total,
            "successful_requests": self.total - self.failed,
            "failed_requests": self.failed,
            "success_rate": _percent(self.total - self.failed, self.total),
            "error_rate": _percent(self.failed, self.total),
            "latency": {
                "p50_ms": percentile(self.latencies_ms, 50),
                "p95_ms": percentile(self.latencies_ms, 95),
                "p99_ms": percentile(self.latencies_ms, 99),
                "samples": len(self.latencies_ms),
            },
            "errors": {
                "total": self.failed,
                "timeouts": self.codes[TIMEOUT],
                "auth_errors": 0,
                "budget_errors": 0,
                "by_code": dict(self.codes),
            },
            "cost": {"total_usd": round(self.total_usd, 6), "total_tokens": self.total_tokens},
        }
        # The metrics of a provider without traffic do not name it, as recorded.
        return {"provider": provider, **answer} if self.total else answer


def percentile(latencies_ms: Iterable[float], percent: int) -> float | None:
    """Return the percentile as the recorded gateway computes it, None without data.

    The rank is ``n * percent / 100``, between two ranks it interpolates linearly, a whole rank is the midpoint to the
    next one; from the 99th on it is the slowest request. So 1…100 gives 50.5, 95.5 and 100.
    """
    ordered = sorted(latencies_ms)
    if not ordered:
        return None
    rank, rest = divmod(len(ordered) * percent, 100)
    if percent >= 99 or rank >= len(ordered):  # noqa: PLR2004 - the docstring's "99th"
        return round(ordered[-1], 2)
    if rank == 0:
        return round(ordered[0], 2)
    lower, upper = ordered[rank - 1], ordered[rank]
    return round(lower + (upper - lower) * (rest / 100 or 0.5), 2)


def _percent(part: int, total: int) -> float:
    return round(100 * part / total, 2) if total else 0.0


def exposition(metrics: Mapping[str, Metrics]) -> str:
    """Return every provider's counters, at 0 before its first request, and its latency histogram, for a Prometheus."""
    lines = (
        "# HELP llm_requests_total Requests that were served, by provider and result.",
        "# TYPE llm_requests_total counter",
        *(
            f'llm_requests_total{{provider="{name}",status="{status}"}} {count}'
            for name, counted in metrics.items()
            for status, count in (("success", counted.total - counted.failed), ("error", counted.failed))
        ),
        "# HELP llm_latency_seconds How long requests took, failed ones included.",
        "# TYPE llm_latency_seconds histogram",
        *(line for name, counted in metrics.items() for line in _histogram(name, counted)),
    )
    return "".join(f"{line}\n" for line in lines)


def _histogram(name: str, counted: Metrics) -> Iterator[str]:
    for bound_ms, below in zip(BOUNDS_MS, accumulate(counted.bucket_counts), strict=False):
        yield f'llm_latency_seconds_bucket{{provider="{name}",le="{bound_ms / 1000:g}"}} {below}'
    yield f'llm_latency_seconds_bucket{{provider="{name}",le="+Inf"}} {counted.total}'
    yield f'llm_latency_seconds_sum{{provider="{name}"}} {counted.total_latency_ms / 1000:.6f}'
    yield f'llm_latency_seconds_count{{provider="{name}"}} {counted.total}'
