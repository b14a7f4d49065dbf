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
    """

    first: Metrics | None = None
    last: Metrics | None = None
    resets: int = 0
    moved_by_s: float | None = None
    _times: list[float] = field(default_factory=list)
    _requests: list[int] = field(default_factory=list)
    _failures: list[int] = field(default_factory=list)

    def add(self, at_s: float, now: Metrics, took_s: float = 0.0) -> None:
        """Add one reading of a poll that began at `at_s` and took `took_s` seconds."""
        before = self.last
        requests = failures = 0
        if before is None:
            self.first = now
        elif now.total_requests < before.total_requests or now.failed_requests < before.failed_requests:
            self.resets += 1
            requests, failures = max(now.failed_requests, now.total_requests), now.failed_requests
        else:
            failures = now.failed_requests - before.failed_requests
            # The two may be read at slightly different moments; each failure is a request too.
            requests = max(failures, now.total_requests - before.total_requests)
        if before is not None and now.total_requests != before.total_requests:
            self.moved_by_s = at_s + took_s
        self._times.append(max(at_s, self._times[-1]) if self._times else at_s)
        self._requests.append(requests + (self._requests[-1] if self._requests else 0))
        self._failures.append(failures + (self._failures[-1] if self._failures else 0))
        self.last = now

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
