"""The counters of a gateway, as sums since a window's first poll (MON-2)."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field

from rollout.gateway.responses import Metrics


@dataclass(frozen=True, slots=True)
class Span:
    """The requests of a span of time.

    Attributes:
        requests: their number.
        failures: how many of them failed.
        from_s: where the span begins, in seconds of the window.
        to_s: where it ends.
    """

    requests: int
    failures: int
    from_s: float
    to_s: float


@dataclass(slots=True)
class Counters:
    """The gateway's counters as sums since the window's first sample; they never decrease.

    A counter that went down is a reset (deviation 2): it counts from zero, so that all of its value is new, and the
    earlier sum remains.

    Attributes:
        first: the first reading of the window.
        last: the latest reading.
        resets: the number of resets.
        moved_by_s: the end of the latest poll in which the counters differed from before; None before the first. Its
            reading may be of any moment of the poll, which a rate limit makes long.
        alternations: how often a lower reading was followed by one that was as high as before.
    """

    first: Metrics | None = None
    last: Metrics | None = None
    resets: int = 0
    moved_by_s: float | None = None
    alternations: int = 0
    _dropped: Metrics | None = None
    _times: list[float] = field(default_factory=list)
    _requests: list[int] = field(default_factory=list)
    _failures: list[int] = field(default_factory=list)

    def add(self, at_s: float, now: Metrics, took_s: float = 0.0) -> None:
        """Add one reading of a poll that began at `at_s` and took `took_s` seconds."""
        before = self.last
        if before is not None and now.total_requests != before.total_requests:
            self.moved_by_s = at_s + took_s
        requests, failures = self._count(now)
        self._times.append(max(at_s, self._times[-1]) if self._times else at_s)
        self._requests.append(requests + (self._requests[-1] if self._requests else 0))
        self._failures.append(failures + (self._failures[-1] if self._failures else 0))

    def _count(self, now: Metrics) -> tuple[int, int]:
        """Return the requests and failures that a reading adds.

        A lower reading counts once the next one confirms it: where several processes answer in turn, the next one is
        as high as before, and nothing began anew.
        """
        before, dropped = self.last, self._dropped
        if before is None:
            self.first = self.last = now
            return 0, 0
        self._dropped = None
        if not _is_lower(now, before):
            self.alternations += dropped is not None
            self.last = now
            return _added(now, before)
        if dropped is None:
            self._dropped = now
            return 0, 0
        self.resets += 1
        if not _is_lower(now, dropped):
            self.last = now
            return _added(now, None)
        self.last, self._dropped = dropped, now
        return _added(dropped, None)

    def latest(self, seconds: float | None = None) -> Span | None:
        """Return the last `seconds` up to the latest reading, or the whole window; None before the first reading.

        The span begins at the latest reading that is at least so old, so that no request falls between two spans.
        """
        if not self._times:
            return None
        to_s = self._times[-1]
        base = 0 if seconds is None else max(0, bisect_right(self._times, to_s - seconds) - 1)
        return Span(
            requests=self._requests[-1] - self._requests[base],
            failures=self._failures[-1] - self._failures[base],
            from_s=self._times[base],
            to_s=to_s,
        )


def _is_lower(now: Metrics, before: Metrics) -> bool:
    return now.total_requests < before.total_requests or now.failed_requests < before.failed_requests


def _added(now: Metrics, before: Metrics | None) -> tuple[int, int]:
    """Return the requests and failures since `before`; since zero without it."""
    total, failed = (0, 0) if before is None else (before.total_requests, before.failed_requests)
    failures = now.failed_requests - failed
    # The two may be read at slightly different moments; each failure is a request too.
    return max(failures, now.total_requests - total), failures
