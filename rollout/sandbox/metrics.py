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

BOUNDS_MS = (10, 25, 50, 75, 100, 150, 200, 300, 500, 750, 1000, 2500, 5000, 10_000, 15_000, 20_000, 30_000, 60_000)
"""Upper bounds of the latency histogram's buckets; a last one without a bound follows."""

TIMEOUT = "timeout"
"""The code of a request that the provider did not answer."""

_STATUS = "http_"
_ALWAYS_SHOWN = ("429", "502", "503", "504")

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
        model: the model that it was sent to.
    """

    at: float
    latency_ms: float
    code: str | None = None
    offline: bool = False
    tokens: int = 0
    usd: float = 0.0
    model: str = ""


@dataclass(slots=True)
class Counters:
    """Counters of a provider, or of one of its models, cumulative since the process started."""

    total: int = 0
    total_usd: float = 0.0
    total_tokens: int = 0
    total_latency_ms: float = 0.0
    bucket_counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS_MS) + 1))
    codes: Counter[str] = field(default_factory=Counter)

    @property
    def failed(self) -> int:
        """Return how many requests failed."""
        return self.codes.total()

    def add(self, request: Request) -> None:
        """Add one request."""
        self.total += 1
        self.total_usd += request.usd
        self.total_tokens += request.tokens
        self.total_latency_ms += request.latency_ms
        self.bucket_counts[bisect_left(BOUNDS_MS, request.latency_ms)] += 1
        if request.code:
            self.codes[request.code] += 1


@dataclass(slots=True)
class Metrics(Counters):
    """The counters of one provider and of its models, and its last requests; lost on a restart (deviations 2 and 4).

    Attributes:
        models: model -> its counters.
    """

    models: dict[str, Counters] = field(default_factory=dict)
    latencies_ms: deque[float] = field(default_factory=lambda: deque(maxlen=SAMPLES))
    _recent: deque[Request] = field(default_factory=deque)

    @property
    def error_rate(self) -> float:
        """Return the fraction 0-1 of requests that failed, 0 where there were none."""
        return self.failed / self.total if self.total else 0.0

    def count(self, request: Request) -> None:
        """Count one request."""
        self.add(request)
        if request.model:
            self.models.setdefault(request.model, Counters()).add(request)
        self.latencies_ms.append(request.latency_ms)
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
    if percent >= 99:  # noqa: PLR2004 - the docstring's "99th"
        slowest = max(latencies_ms, default=None)
        return None if slowest is None else round(slowest, 2)
    ordered = sorted(latencies_ms)
    if not ordered:
        return None
    rank, rest = divmod(len(ordered) * percent, 100)
    if rank == 0:
        return round(ordered[0], 2)
    lower, upper = ordered[rank - 1], ordered[rank]
    return round(lower + (upper - lower) * (rest / 100 or 0.5), 2)


def _percent(part: int, total: int) -> float:
    return round(100 * part / total, 2) if total else 0.0


def exposition(metrics: Mapping[str, Metrics]) -> str:
    """Return the counters and the latency histogram of every model, at 0 before its first request, for a Prometheus.

    The labels are ``provider`` and ``model``; a provider that serves no model has no label ``model``.
    """
    lines = [line for family in _families(_series(metrics)) for line in family]
    return "".join(f"{line}\n" for line in lines)


def _series(metrics: Mapping[str, Metrics]) -> list[tuple[str, Counters]]:
    """Return the labels of each series, and its counters."""
    return [
        (f'provider="{name}",model="{model}"' if model else f'provider="{name}"', counters)
        for name, counted in metrics.items()
        for model, counters in (counted.models or {"": counted}).items()
    ]


def _families(series: list[tuple[str, Counters]]) -> Iterator[list[str]]:
    requests = [
        (f'{labels},status="{status}"', count)
        for labels, counted in series
        for status, count in (("success", counted.total - counted.failed), ("error", counted.failed))
    ]
    failures = [
        (f'{labels},code="{code}"', count) for labels, counted in series for code, count in _by_status(counted).items()
    ]
    tokens = [(labels, counted.total_tokens) for labels, counted in series]
    usd = [(labels, round(counted.total_usd, 9)) for labels, counted in series]
    yield _counter("llm_requests_total", "Requests that were served, by result.", requests)
    yield _counter("llm_failures_total", "Requests that failed, by HTTP status; 504 is a timeout.", failures)
    yield _counter("llm_tokens_total", "Tokens of prompts and answers.", tokens)
    yield _counter("llm_cost_usd_total", "Cost of the requests, in USD.", usd)
    yield [
        "# HELP llm_latency_seconds How long requests took, failed ones included.",
        "# TYPE llm_latency_seconds histogram",
        *(line for labels, counted in series for line in _histogram(labels, counted)),
    ]


def _counter(name: str, meaning: str, values: Iterable[tuple[str, float]]) -> list[str]:
    return [
        f"# HELP {name} {meaning}",
        f"# TYPE {name} counter",
        *(f"{name}{{{labels}}} {value}" for labels, value in values),
    ]


def _by_status(counted: Counters) -> dict[str, int]:
    """Return HTTP status -> failures; a timeout is 504."""
    found = dict.fromkeys(_ALWAYS_SHOWN, 0)
    for code, count in counted.codes.items():
        status = "504" if code == TIMEOUT else code.removeprefix(_STATUS)
        found[status] = found.get(status, 0) + count
    return found


def _histogram(labels: str, counted: Counters) -> Iterator[str]:
    for bound_ms, below in zip(BOUNDS_MS, accumulate(counted.bucket_counts), strict=False):
        yield f'llm_latency_seconds_bucket{{{labels},le="{bound_ms / 1000:g}"}} {below}'
    yield f'llm_latency_seconds_bucket{{{labels},le="+Inf"}} {counted.total}'
    yield f"llm_latency_seconds_sum{{{labels}}} {counted.total_latency_ms / 1000:.6f}"
    yield f"llm_latency_seconds_count{{{labels}}} {counted.total}"
