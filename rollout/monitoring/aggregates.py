"""The aggregates of a window's samples, by which a trigger judges without reading all samples again.

They are append-only: counters are running sums, and spans are found by bisection. Judging after each of 10,000 polls
stays cheap.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from operator import itemgetter

from rollout.core.histogram import Histograms
from rollout.gateway.responses import Alert, Connection, Metrics
from rollout.monitoring.fallback_share import FallbackShare
from rollout.monitoring.samples import Sample, SourceName, SyntheticReading, validate_sample
from rollout.monitoring.unexpected_answers import UnexpectedAnswers

BAD_STATUS = frozenset({"offline", "degraded"})
GOOD_STATUS = "connected"
_END = itemgetter(0)


@dataclass(slots=True)
class PollStats:
    """The number of polls of one source, and of those that failed.

    Attributes:
        total: all polls.
        failed: the failed polls.
        failed_in_a_row: the failed polls since the last that succeeded.
        earlier_rows: the length of each earlier row of failed polls, in order.
        last: the latest poll.
        good: the latest poll that succeeded.
        unwatched_s: how many seconds of the window were not watched, according to the polls.
    """

    total: int = 0
    failed: int = 0
    failed_in_a_row: int = 0
    earlier_rows: list[int] = field(default_factory=list)
    last: Sample | None = None
    good: Sample | None = None
    unwatched_s: float = 0.0

    @property
    def succeeded(self) -> int:
        """The polls that succeeded."""
        return self.total - self.failed

    def add(self, sample: Sample) -> None:
        """Count one poll."""
        self.total += 1
        self.unwatched_s += sample.unwatched_s
        self.last = sample
        if sample.error is None:
            if self.failed_in_a_row:
                self.earlier_rows.append(self.failed_in_a_row)
            self.failed_in_a_row = 0
            self.good = sample
        else:
            self.failed += 1
            self.failed_in_a_row += 1


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

    A counter that went down is a reset (deviation 2): counting starts again from that sample, and the earlier sum
    remains.

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


@dataclass(slots=True)
class Requests:
    """The synthetic requests.

    Attributes:
        answered: how many were answered.
    """

    answered: int = 0
    _times: list[float] = field(default_factory=list)
    _failures: list[int] = field(default_factory=list)
    _all: list[SyntheticReading] = field(default_factory=list)
    _ended: list[tuple[float, float, SyntheticReading]] = field(default_factory=list)
    _ok_ms: list[float] = field(default_factory=list)
    _failed_ms: list[float] = field(default_factory=list)

    def add(self, sample: Sample, reading: SyntheticReading) -> None:
        """Add one request."""
        self._times.append(max(sample.at_s, self._times[-1]) if self._times else sample.at_s)
        self._failures.append((not reading.ok) + (self._failures[-1] if self._failures else 0))
        self._all.append(reading)
        # A poll that ended late ended after those that began later.
        # The poll takes longer than the request: it waits first where the gateway's rate limit refuses the request.
        end_s = sample.at_s + max(sample.took_s, (reading.latency_ms or 0.0) / 1000)
        insort(self._ended, (end_s, sample.at_s, reading), key=_END)
        if reading.latency_ms is not None:
            insort(self._ok_ms if reading.ok else self._failed_ms, reading.latency_ms)
        self.answered += reading.ok

    def counted(self, from_s: float, to_s: float) -> tuple[int, int]:
        """Return how many the gateway has counted between two readings of its counters, and how many as failed.

        The gateway counts a request when it ends. A request that failed without an HTTP answer may not have reached it.
        """
        ended = (reading for _, _, reading in self._ended_between(from_s, to_s))
        seen = [reading for reading in ended if reading.ok or reading.status is not None]
        return len(seen), sum(not reading.ok for reading in seen)

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

    def _ended_between(self, from_s: float, to_s: float) -> list[tuple[float, float, SyntheticReading]]:
        return self._ended[bisect_left(self._ended, from_s, key=_END) : bisect_right(self._ended, to_s, key=_END)]

    def _first(self, seconds: float | None) -> int:
        return 0 if seconds is None or not self._times else bisect_left(self._times, self._times[-1] - seconds)


@dataclass(slots=True)
class StatusRun:
    """The provider's status, as MON-1 judges it.

    Attributes:
        bad_since: the first sample of the present run of bad ones, None while the latest is not bad.
        bad_polls: the number of samples of that run.
    """

    bad_since: Sample | None = None
    bad_polls: int = 0

    def add(self, sample: Sample, reading: Connection) -> None:
        """Add one reading; one that is not bad ends the run."""
        if reading.status.casefold() not in BAD_STATUS:
            self.bad_since, self.bad_polls = None, 0
            return
        self.bad_since = self.bad_since or sample
        self.bad_polls += 1


@dataclass(slots=True)
class Fallbacks:
    """The gateway's fallbacks: the first count, and how many were added since.

    Attributes:
        first: the first count of the window.
        risen: the sum of the increases since; a decrease does not count.
        last: the latest count.
    """

    first: int | None = None
    risen: int = 0
    last: int = 0

    def add(self, count: int) -> None:
        """Add one count."""
        if self.first is None:
            self.first = count
        else:
            self.risen += max(0, count - self.last)
        self.last = count


class Aggregates:
    """The aggregates of all samples of a window so far.

    Attributes:
        polls: source -> the statistics of its polls, for every expected source.
        status: the provider's status.
        counters: the gateway's counters.
        histograms: the users' latencies, where their source has histograms.
        requests: the synthetic requests; during a canary those of the new provider.
        control: the previous provider's counters, during a canary.
        control_requests: the synthetic requests of the previous provider, during a canary.
        answers: the answers to the synthetic requests that are unexpected; during a canary those of the new provider.
        fallback_share: the gateway's fallbacks, each with the requests that it is one of.
        alerts: key -> the first sample that has the alert, and the alert; kept when it clears.
        fallbacks: the gateway's fallbacks.
        log_hit: the first matching log line.
        log_hits: the number of matching log lines.
        abort: the first request to abort, and its reason.
    """

    def __init__(self, expected: Iterable[str]) -> None:
        """Start without a sample of the sources in `expected`."""
        self.polls = {str(name): PollStats() for name in expected}
        self.status = StatusRun()
        self.counters = Counters()
        self.histograms = Histograms()
        self.requests = Requests()
        self.answers = UnexpectedAnswers()
        self.fallback_share = FallbackShare()
        self.control = Counters()
        self.control_requests = Requests()
        self.alerts: dict[str, tuple[Sample, Alert]] = {}
        self.fallbacks = Fallbacks()
        self.log_hit: tuple[Sample, str] | None = None
        self.log_hits = 0
        self.abort: tuple[Sample, str] | None = None

    def add(self, sample: Sample) -> Sample:
        """Add a sample and return it as it counts: an invalid reading becomes a failed poll."""
        sample = validate_sample(sample)
        self.polls.setdefault(str(sample.source), PollStats()).add(sample)
        if sample.error is None:
            self._read(sample)
        return sample

    def add_quiet_polls(self, source: str, polls: int, last: Sample) -> None:
        """Count polls that have no sample of their own; `last` is the latest of them."""
        kept = self.polls.setdefault(str(source), PollStats())
        kept.total += polls
        if kept.last is None or last.at_s > kept.last.at_s:
            kept.good = kept.last = last

    def good(self, source: str) -> Sample | None:
        """Return the latest successful poll of `source`, None if there is none."""
        return self.polls[source].good if source in self.polls else None

    def _read(self, sample: Sample) -> None:
        match sample.reading:
            case Connection() as connection:
                self.status.add(sample, connection)
            case Metrics() as metrics:
                # Values that were scraped before the poll do not cover the requests since then.
                at_s = max(0.0, sample.at_s - metrics.age_s)
                if sample.source == SourceName.CONTROL:
                    self.control.add(at_s, metrics)
                    return
                self.counters.add(at_s, metrics, sample.took_s)
                if metrics.histogram is not None:
                    self.histograms.add(at_s, metrics.histogram)
            case SyntheticReading() as request:
                (self.control_requests if request.control else self.requests).add(sample, request)
                if not request.control:
                    self.answers.add(sample, request)
            case str(reason):
                self.abort = self.abort or (sample, reason)
            case int(count):
                self.fallbacks.add(count)
                self._pair_fallbacks(sample)
            case tuple(parts):
                self._read_list(sample, parts)

    def _pair_fallbacks(self, sample: Sample) -> None:
        counted = self.counters.latest()
        users = None if counted is None else counted.requests - self.requests.counted(counted.from_s, counted.to_s)[0]
        self.fallback_share.add(
            sample.at_s,
            fallbacks=self.fallbacks.risen - round(self.answers.fallbacks.window.failures),
            requests=users,
            counted_to_s=-math.inf if counted is None else counted.to_s,
        )

    def _read_list(self, sample: Sample, parts: tuple[Alert, ...] | tuple[str, ...]) -> None:
        for part in parts:
            if isinstance(part, Alert):
                self.alerts.setdefault(part.key.casefold(), (sample, part))
            else:
                self.log_hit = self.log_hit or (sample, part)
                self.log_hits += 1
