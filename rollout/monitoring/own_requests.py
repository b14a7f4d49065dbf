"""The suite's own requests of a window: their failures, latencies and answers (MON-2, MON-3, MON-5)."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import itemgetter

from rollout.monitoring.counters import Span
from rollout.monitoring.samples import Sample, SyntheticReading
from rollout.monitoring.share_stream import ShareStream

_END = itemgetter(0)


@dataclass(slots=True)
class Requests:
    """The synthetic requests.

    Attributes:
        answered: how many were answered.
        errors: each request, and whether it failed.
    """

    answered: int = 0
    errors: ShareStream = field(default_factory=ShareStream)
    _times: list[float] = field(default_factory=list)
    _failures: list[int] = field(default_factory=list)
    _all: list[SyntheticReading] = field(default_factory=list)
    _ended: list[tuple[float, float, SyntheticReading]] = field(default_factory=list)
    _counted_ends: list[float] = field(default_factory=list)
    _failed_ends: list[float] = field(default_factory=list)
    _slow: dict[float, ShareStream] = field(default_factory=dict)
    _ok_ms: list[float] = field(default_factory=list)
    _failed_ms: list[float] = field(default_factory=list)

    def add(self, sample: Sample, reading: SyntheticReading, unwatched_s: float = 0.0) -> None:
        """Add one request, as `rollout.monitoring.samples.excuse_lateness` leaves it.

        Args:
            sample: its sample.
            reading: its result.
            unwatched_s: how many seconds of the window were not watched until then, according to the source's polls.
        """
        self._times.append(max(sample.at_s, self._times[-1]) if self._times else sample.at_s)
        self.errors.add_up_to(self._times[-1] - unwatched_s, 1, not reading.ok)
        self._failures.append((not reading.ok) + (self._failures[-1] if self._failures else 0))
        self._all.append(reading)
        # A poll that ended late ended after those that began later.
        # The poll takes longer than the request: it waits first where the gateway's rate limit refuses the request.
        end_s = sample.at_s + max(sample.took_s, (reading.latency_ms or 0.0) / 1000)
        insort(self._ended, (end_s, sample.at_s, reading), key=_END)
        if reading.ok or reading.status is not None:
            insort(self._counted_ends, end_s)
            if not reading.ok:
                insort(self._failed_ends, end_s)
        if reading.latency_ms is not None:
            insort(self._ok_ms if reading.ok else self._failed_ms, reading.latency_ms)
        self.answered += reading.ok

    def counted(self, from_s: float, to_s: float) -> tuple[int, int]:
        """Return how many the gateway has counted between two readings of its counters, and how many as failed.

        The gateway counts a request when it ends. A request that failed without an HTTP answer may not have reached it.
        """
        ends = (self._counted_ends, self._failed_ends)
        requests, failures = (bisect_right(part, to_s) - bisect_left(part, from_s) for part in ends)
        return requests, failures

    def answered_within(self, from_s: float, to_s: float) -> int:
        """Return how many requests were both sent and answered between the two moments."""
        return sum(reading.ok and began_s >= from_s for _, began_s, reading in self._ended_between(from_s, to_s))

    def count(self, from_s: float, to_s: float) -> int:
        """Return how many requests began between the two moments, both included."""
        return bisect_right(self._times, to_s) - bisect_left(self._times, from_s)

    def latest(self, seconds: float | None = None) -> Span | None:
        """Return the last `seconds` up to the latest request, or the whole window; None before the first request."""
        if not self._times:
            return None
        first = self._first(seconds)
        return Span(
            requests=len(self._times) - first,
            failures=self._failures[-1] - (self._failures[first - 1] if first else 0),
            from_s=self._times[first],
            to_s=self._times[-1],
        )

    def latencies(self, slow_ms: float, seconds: float | None = None) -> Sequence[float]:
        """Return the latencies in ms of the last `seconds`, the smallest first.

        A failed request counts if it took longer than `slow_ms`; a fast one would only lower the percentile.
        """
        first = self._first(seconds)
        if first:
            timed = ((each.ok, each.latency_ms) for each in self._all[first:])
            return sorted(ms for ok, ms in timed if ms is not None and (ok or ms > slow_ms))
        slow = self._failed_ms[bisect_right(self._failed_ms, slow_ms) :]
        return sorted(self._ok_ms + slow) if slow else self._ok_ms

    def slow(self, limit_ms: float) -> ShareStream:
        """Return each timed request, and whether it took longer than the limit; a fast failure is not among them."""
        stream = self._slow.setdefault(limit_ms, ShareStream())
        known = len(stream.polls)
        for poll, reading in zip(self.errors.polls[known:], self._all[known:], strict=True):
            is_slow = reading.latency_ms is not None and reading.latency_ms > limit_ms
            is_timed = is_slow or (reading.ok and reading.latency_ms is not None)
            stream.add(poll.seconds, is_timed, is_slow)
        return stream

    def _ended_between(self, from_s: float, to_s: float) -> list[tuple[float, float, SyntheticReading]]:
        return self._ended[bisect_left(self._ended, from_s, key=_END) : bisect_right(self._ended, to_s, key=_END)]

    def _first(self, seconds: float | None) -> int:
        return 0 if seconds is None or not self._times else bisect_left(self._times, self._times[-1] - seconds)
