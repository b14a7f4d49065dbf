"""The aggregates of a window's samples, by which a trigger judges without reading all samples again.

They are append-only: counters are running sums, and spans are found by bisection. Judging after each of 10,000 polls
stays cheap.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from rollout.core.histogram import Histogram, Histograms
from rollout.gateway.responses import Alert, Connection, Metrics
from rollout.monitoring.answer_kinds import Unexpected
from rollout.monitoring.counters import Counters
from rollout.monitoring.errors_of_both import ErrorsOfBoth
from rollout.monitoring.fallback_share import FallbackShare
from rollout.monitoring.own_requests import Requests
from rollout.monitoring.percentile_polls import PercentilePolls
from rollout.monitoring.sample_validation import validate_sample
from rollout.monitoring.samples import Sample, SourceName, SyntheticReading, excuse_lateness
from rollout.monitoring.signal_samples import Levels
from rollout.monitoring.signal_streams import SignalStreams
from rollout.monitoring.slice_streams import SliceStreams
from rollout.monitoring.unexpected_answers import UnexpectedAnswers
from rollout.monitoring.users_requests import SlowUsers, UsersErrors

BAD_STATUS = frozenset({"offline", "degraded"})
GOOD_STATUS = "connected"


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
        users: users' requests and failures, by these counters.
        both: the users' requests of the new provider beside those of the control group, during a canary.
        slices: the requests of each value of a label, where their source has labels.
        histograms: the users' latencies, where their source has histograms.
        slow_users: the users' requests that are slower than a limit, by these histograms.
        percentiles: the gateway's own percentiles, where it has no histograms.
        requests: the synthetic requests; during a canary those of the new provider.
        control: the previous provider's counters, during a canary.
        control_requests: the synthetic requests of the previous provider, during a canary.
        answers: the answers to the synthetic requests that are unexpected; during a canary those of the new provider.
        fallback_share: the gateway's fallbacks, each with the requests that it is one of.
        signals: what the scenario's signals are measured by.
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
        self.users = UsersErrors()
        self.both = ErrorsOfBoth()
        self.slices = SliceStreams()
        self.histograms = Histograms()
        self.slow_users = SlowUsers(self.histograms)
        self.percentiles = PercentilePolls()
        self.requests = Requests()
        self.answers = UnexpectedAnswers()
        self.fallback_share = FallbackShare()
        self.signals = SignalStreams()
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
        unwatched_s = self.polls[str(sample.source)].unwatched_s
        match sample.reading:
            case Connection() as connection:
                self.status.add(sample, connection)
            case Metrics() as metrics:
                # Values that were scraped before the poll do not cover the requests since then.
                at_s = max(0.0, sample.at_s - metrics.age_s)
                if sample.source == SourceName.CONTROL:
                    self.control.add(at_s, metrics)
                    self.both.add_control(self.control, self.control_requests)
                    return
                self.counters.add(at_s, metrics, sample.took_s)
                self.users.add(self.counters, self.requests, unwatched_s)
                polled = self.users.stream.polls[-1]
                self.both.add_treated(polled.requests, polled.failures)
                self.slices.add(metrics.slices or {}, polled.seconds)
                self.signals.add_metrics(at_s, metrics, polled.requests)
                if metrics.histogram is not None:
                    self._begin_histograms(metrics.histogram, unwatched_s)
                    self.slow_users.add(at_s, metrics.histogram, unwatched_s)
                else:
                    self.percentiles.add(self.counters, metrics.latency)
            case SyntheticReading() as request:
                self._read_request(sample, request, unwatched_s)
            case Levels() as levels:
                self.signals.add_levels(levels.values)
            case str(reason):
                self.abort = self.abort or (sample, reason)
            case int(count):
                self.fallbacks.add(count)
                self._pair_fallbacks(sample)
            case tuple(parts):
                self._read_list(sample, parts)

    def _read_request(self, sample: Sample, reading: SyntheticReading, unwatched_s: float) -> None:
        request = excuse_lateness(sample, reading)
        if request is None:
            return
        if not request.control:
            self.answers.add(sample, request)
            self.signals.add_request(request)
        if request.unexpected != Unexpected.RATE_LIMITED:
            # A request that no provider has received is no failure of one.
            (self.control_requests if request.control else self.requests).add(sample, request, unwatched_s)

    def _begin_histograms(self, histogram: Histogram, unwatched_s: float) -> None:
        """Let a provider's first histogram begin at zero, if its counters were read before it had a request."""
        first, span = self.counters.first, self.counters.latest()
        if first is None or span is None or first.histogram is not None or first.total_requests:
            return
        if self.histograms.latest() is None:
            nothing = Histogram.of({bound: 0.0 for bound, _ in histogram.buckets})
            self.slow_users.add(span.from_s, nothing, unwatched_s)

    def _pair_fallbacks(self, sample: Sample) -> None:
        counted = self.counters.latest()
        self.fallback_share.add(
            sample.at_s,
            fallbacks=self.fallbacks.risen - self.answers.fallbacks.window.failures,
            requests=self.users.stream.window.requests,
            counted_to_s=-math.inf if counted is None else counted.to_s,
        )

    def _read_list(self, sample: Sample, parts: tuple[Alert, ...] | tuple[str, ...]) -> None:
        for part in parts:
            if isinstance(part, Alert):
                self.alerts.setdefault(part.key.casefold(), (sample, part))
            else:
                self.log_hit = self.log_hit or (sample, part)
                self.log_hits += 1
