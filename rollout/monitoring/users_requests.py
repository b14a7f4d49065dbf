"""Users' requests of a window: what the gateway counted, without the suite's own requests (MON-2, MON-3)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from rollout.core.histogram import Histogram, Histograms
from rollout.monitoring.counters import Counters, Span
from rollout.monitoring.effective_limit import count_slower
from rollout.monitoring.own_requests import Requests
from rollout.monitoring.share_stream import ShareStream


def of_users(span: Span | None, own: Requests) -> Span | None:
    """Return the gateway's count without the synthetic requests, which are judged separately."""
    if span is None:
        return None
    requests, failures = own.counted(span.from_s, span.to_s)
    failed = max(0, span.failures - failures)
    return replace(span, requests=max(failed, span.requests - requests), failures=failed)


@dataclass(slots=True)
class UsersErrors:
    """Users' requests and failures, poll by poll of the gateway's counters.

    A synthetic request may be counted by the gateway before its own sample is added. It is subtracted from the next
    poll then.

    Attributes:
        stream: the polls.
    """

    stream: ShareStream = field(default_factory=ShareStream)

    def add(self, counters: Counters, own: Requests, unwatched_s: float) -> None:
        """Add what the latest reading of the counters has counted since the one before.

        Args:
            counters: the counters, with that reading.
            own: the suite's own requests so far.
            unwatched_s: how many seconds of the window were not watched until then, according to the source's polls.
        """
        span = of_users(counters.latest(), own)
        if span is None:
            return
        known = self.stream.window
        failures = max(0.0, span.failures - known.failures)
        requests = max(failures, span.requests - known.requests)
        self.stream.add_up_to(span.to_s - unwatched_s, requests, failures)


@dataclass(slots=True)
class SlowStream:
    """Users' requests that are slower than a limit, poll by poll of a histogram.

    Attributes:
        slower: the requests that are slower, interpolated within the limit's bucket.
        perhaps: those of `slower`, and those above the highest finite bound where the limit is above it too.
    """

    slower: ShareStream = field(default_factory=ShareStream)
    perhaps: ShareStream = field(default_factory=ShareStream)

    @property
    def is_known(self) -> bool:
        """Return whether the histogram shows of each request whether it is slower."""
        return self.perhaps.window.failures == self.slower.window.failures


@dataclass(slots=True)
class SlowUsers:
    """The streams of a window's histograms, one for each limit that they are compared with."""

    histograms: Histograms
    _streams: dict[float, SlowStream] = field(default_factory=dict)
    _unwatched_s: list[float] = field(default_factory=list)

    def add(self, at_s: float, histogram: Histogram, unwatched_s: float) -> None:
        """Add the histogram of one poll.

        Args:
            at_s: when it was read, in seconds of the window.
            histogram: the users' latencies.
            unwatched_s: how many seconds of the window were not watched until then, according to the source's polls.
        """
        self.histograms.add(at_s, histogram)
        self._unwatched_s.append(unwatched_s)

    def stream(self, limit_ms: float) -> SlowStream:
        """Return the requests that are slower than the limit, up to the latest poll."""
        found = self._streams.setdefault(limit_ms, SlowStream())
        start = len(found.slower.polls)
        for number, part in enumerate(self.histograms.deltas(start), start):
            counted = count_slower(part.histogram, limit_ms)
            unwatched_s = self._unwatched_s[number + 1] - self._unwatched_s[number]
            seconds = max(0.0, part.to_s - part.from_s - unwatched_s)
            slower = min(max(0.0, counted.failures), counted.requests)
            found.slower.add(seconds, counted.requests, slower)
            found.perhaps.add(seconds, counted.requests, min(counted.requests, slower + counted.unknown))
        return found
