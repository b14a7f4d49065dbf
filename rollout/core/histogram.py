"""Cumulative latency histograms, as Prometheus keeps them, and the percentile of a stretch of time (MON-3).

The quantile is that of PromQL's ``histogram_quantile``: the bucket that holds the rank is found, and within it the
value is interpolated linearly between its bounds. In the bucket without an upper bound nothing can be interpolated:
then only a lower bound is known, and `Quantile.at_least` is set.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

NO_BOUND = "+Inf"
"""How Prometheus spells the bound of the last bucket."""


@dataclass(frozen=True, slots=True)
class Quantile:
    """A quantile that was estimated from buckets.

    Attributes:
        seconds: the estimate; if `at_least`, the highest finite bound, which the true value lies above.
        at_least: whether only that lower bound is known.
        from_s: lower bound of the bucket it lies in, in seconds.
        to_s: its upper bound, infinite if `at_least`.
    """

    seconds: float
    at_least: bool
    from_s: float
    to_s: float


@dataclass(frozen=True, slots=True)
class Histogram:
    """How many requests took at most so long.

    Attributes:
        buckets: pairs of an upper bound in seconds and the requests at or below it, ascending; the last bound is
            infinite, so that its count is that of all requests.
    """

    buckets: tuple[tuple[float, float], ...]

    @classmethod
    def of(cls, counts: Mapping[float, float]) -> Histogram:
        """Make one of bound -> count; a count below that of a lower bound is raised to it, as Prometheus does.

        A scrape may see a request in one bucket and not yet in the next.

        Raises:
            ValueError: there is no infinite bound.
        """
        if math.inf not in counts:
            raise ValueError(f'there is no bucket le="{NO_BOUND}", so the number of requests is unknown')
        bounds = sorted(counts)
        return cls(tuple(zip(bounds, accumulate((counts[bound] for bound in bounds), max), strict=True)))

    @property
    def count(self) -> float:
        """Return the number of all requests."""
        return self.buckets[-1][1]

    def since(self, earlier: Histogram) -> Histogram:
        """Return what was added since `earlier`, by the bounds that both have."""
        before = dict(earlier.buckets)
        return Histogram.of({bound: max(0.0, n - before[bound]) for bound, n in self.buckets if bound in before})

    def plus(self, other: Histogram) -> Histogram:
        """Return both together, by the bounds that both have."""
        more = dict(other.buckets)
        return Histogram.of({bound: n + more[bound] for bound, n in self.buckets if bound in more})

    def went_down(self, earlier: Histogram) -> bool:
        """Return whether any count is smaller than in `earlier`: counting began anew."""
        before = dict(earlier.buckets)
        return any(n < before.get(bound, 0.0) for bound, n in self.buckets)

    def quantile(self, share: float) -> Quantile | None:
        """Return the quantile at `share` (0-1); None without a request, or without a finite bound."""
        if self.count <= 0 or len(self.buckets) == 1:
            return None
        rank = share * self.count
        index = next(i for i, (_, count) in enumerate(self.buckets) if count >= rank)
        bound, count = self.buckets[index]
        start, below = self.buckets[index - 1] if index else (min(0.0, bound), 0.0)
        if math.isinf(bound):
            return Quantile(start, at_least=True, from_s=start, to_s=bound)
        value = bound if count == below else start + (bound - start) * (rank - below) / (count - below)
        return Quantile(value, at_least=False, from_s=start, to_s=bound)

    def summary(self) -> str:
        """Return the number of requests, of buckets, and the highest finite bound, as text."""
        finite = [bound for bound, _ in self.buckets[:-1]]
        reach = f"up to {finite[-1]:g} s" if finite else "without a finite bound"
        return f"{self.count:g} in {len(self.buckets)} buckets {reach}"

    def record(self) -> dict[str, float]:
        """Return it as JSON types: bound -> count, bounds spelled as Prometheus does."""
        return {NO_BOUND if math.isinf(bound) else repr(bound).removesuffix(".0"): n for bound, n in self.buckets}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Histogram:
        """Read `record` back. Raises ValueError."""
        return cls.of({float(bound): float(count) for bound, count in record.items()})


@dataclass(frozen=True, slots=True)
class HistogramDelta:
    """A histogram of a stretch of time, which lasts from `from_s` to `to_s` in seconds of the window."""

    histogram: Histogram
    from_s: float
    to_s: float


@dataclass(slots=True)
class Histograms:
    """The histograms of a window, one a poll; counts that went down begin anew, and earlier counts are kept."""

    _times: list[float] = field(default_factory=list)
    _sums: list[Histogram] = field(default_factory=list)
    _last: Histogram | None = None
    _before: Histogram | None = None

    def add(self, at_s: float, now: Histogram) -> None:
        """Add the histogram of one poll, `at_s` seconds into the window."""
        if self._last is not None and now.went_down(self._last):
            self._before = self._sums[-1]
        self._times.append(max(at_s, self._times[-1]) if self._times else at_s)
        self._sums.append(now if self._before is None else now.plus(self._before))
        self._last = now

    def deltas(self, start: int) -> Iterator[HistogramDelta]:
        """Yield what each poll has added to the one before, without the first `start` of them."""
        for later in range(start + 1, len(self._sums)):
            yield HistogramDelta(
                self._sums[later].since(self._sums[later - 1]), self._times[later - 1], self._times[later]
            )

    def latest(self, seconds: float | None = None) -> HistogramDelta | None:
        """Return the last `seconds` up to the latest poll, or the entire window; None before the first poll.

        Counted from the latest poll that is at least so old, as `rollout.monitoring.aggregates.Counters` does.
        """
        if not self._times:
            return None
        to_s = self._times[-1]
        base = 0 if seconds is None else max(0, bisect_right(self._times, to_s - seconds) - 1)
        return HistogramDelta(self._sums[-1].since(self._sums[base]), self._times[base], to_s)
