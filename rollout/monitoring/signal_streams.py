"""The signals of a window's samples: shares of requests, times to the first token, and numbers (MON-5)."""

from __future__ import annotations

from bisect import insort
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

from rollout.gateway.responses import Metrics
from rollout.monitoring.answer_kinds import Unexpected
from rollout.monitoring.samples import SyntheticReading
from rollout.monitoring.share_stream import ShareStream
from rollout.monitoring.signal_samples import RATE_LIMITED, TIMED_OUT, count_codes


def is_rate_limited(reading: SyntheticReading) -> bool:
    """Return whether the gateway's rate limit or a provider refused the request with 429."""
    return reading.unexpected == Unexpected.RATE_LIMITED or reading.status == HTTPStatus.TOO_MANY_REQUESTS


def is_timed_out(reading: SyntheticReading) -> bool:
    """Return whether the request ended at a deadline: the suite's, or one behind the gateway (408, 504)."""
    return reading.timed_out or reading.status in {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.GATEWAY_TIMEOUT}


@dataclass(slots=True)
class UsersFailures:
    """Users' failures of one kind, poll by poll of the gateway's codes.

    Attributes:
        stream: users' requests, and those that failed so.
        own: the suite's own failures of this kind, which the gateway counts too.
    """

    stream: ShareStream = field(default_factory=ShareStream)
    own: int = 0
    _known: int | None = None

    def add(self, counted: int, requests: float) -> None:
        """Add a reading of the gateway's count, and users' requests since the reading before."""
        before, self._known = self._known, counted
        if before is None:
            return
        # A count that went down was reset.
        newly = counted if counted < before else counted - before
        own = min(newly, self.own)
        self.own -= own
        self.stream.add(0.0, max(requests, newly - own), newly - own)


@dataclass(slots=True)
class SignalStreams:
    """The signals of a window so far.

    Attributes:
        own: the name of a share -> the suite's own requests.
        users: the name of a share -> users' requests, where their source counts codes.
        first_token_ms: the times to the first token of the suite's own requests, in order.
        ordered_first_tokens_ms: the same, ascending.
        levels: the name of a PromQL signal -> its numbers, in order.
        charges: the gateway's cost so far in US dollars and its requests so far, at each reading.
    """

    own: dict[str, ShareStream] = field(default_factory=lambda: {RATE_LIMITED: ShareStream(), TIMED_OUT: ShareStream()})
    users: dict[str, UsersFailures] = field(
        default_factory=lambda: {RATE_LIMITED: UsersFailures(), TIMED_OUT: UsersFailures()}
    )
    first_token_ms: list[float] = field(default_factory=list)
    levels: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    charges: list[tuple[float, float, int]] = field(default_factory=list)
    ordered_first_tokens_ms: list[float] = field(default_factory=list)
    _slow: dict[float, ShareStream] = field(default_factory=dict)

    def add_request(self, reading: SyntheticReading) -> None:
        """Add one request of the suite's own."""
        for name, is_bad in ((RATE_LIMITED, is_rate_limited(reading)), (TIMED_OUT, is_timed_out(reading))):
            self.own[name].add(0.0, 1, is_bad)
            # The provider's counters have no request that the gateway's rate limit refused, and perhaps none without
            # a status.
            is_counted = reading.status is not None and reading.unexpected != Unexpected.RATE_LIMITED
            self.users[name].own += is_bad and is_counted
        if reading.first_token_ms is not None:
            self.first_token_ms.append(reading.first_token_ms)
            insort(self.ordered_first_tokens_ms, reading.first_token_ms)

    def add_metrics(self, at_s: float, metrics: Metrics, users_requests: float) -> None:
        """Add one reading of the counters, and users' requests since the reading before."""
        for name, failures in self.users.items():
            failures.add(count_codes(name, metrics.errors_by_code), users_requests)
        self.charges.append((at_s, metrics.total_usd, metrics.total_requests))

    def add_levels(self, values: Mapping[str, float]) -> None:
        """Add the numbers of one poll."""
        for name, value in values.items():
            self.levels[name].append(value)

    def slow_first_tokens(self, limit_ms: float) -> ShareStream:
        """Return the streamed answers, and those whose first token came later than the limit."""
        stream = self._slow.setdefault(limit_ms, ShareStream())
        for took_ms in self.first_token_ms[len(stream.polls) :]:
            stream.add(0.0, 1, took_ms > limit_ms)
        return stream

    def costs_per_1k(self, least: int, polls: int) -> list[float]:
        """Return the cost of 1,000 requests at each of the latest polls: of the newest `least` requests or more."""
        found: list[float] = []
        for last in range(len(self.charges) - 1, 0, -1):
            _, usd, requests = self.charges[last]
            first = next((n for n in range(last - 1, -1, -1) if requests - self.charges[n][2] >= least), None)
            if first is None or len(found) == polls:
                break
            _, usd_before, before = self.charges[first]
            found.append(1000 * (usd - usd_before) / (requests - before))
        return found[::-1]
