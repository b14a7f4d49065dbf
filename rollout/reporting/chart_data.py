"""What the chart of a window draws, as numbers: curves, states and gaps."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, NamedTuple

from rollout.core.histogram import Histogram, Histograms
from rollout.core.scenario import Monitor
from rollout.gateway.responses import Latency, Metrics
from rollout.monitoring.binomial import confidence_sequence
from rollout.monitoring.counters import Counters, Span
from rollout.monitoring.data_quality import NOT_JUDGED, SHOWN_S
from rollout.monitoring.latency import nearest_rank
from rollout.monitoring.own_requests import Requests
from rollout.monitoring.samples import Baseline, Sample, SourceName, SyntheticReading, excuse_lateness
from rollout.monitoring.share_test import fewest_requests
from rollout.monitoring.users_requests import of_users
from rollout.monitoring.verdict import P95

_BOUNDS = 150
_LONGER = 0.01
_MISSED = 3
"""A gap is longer than this many intervals between two polls of the metrics."""


@dataclass(frozen=True, slots=True)
class Bake:
    """The data of one chart.

    Attributes:
        title: the verdict.
        subtitle: from → to, where, which rollout.
        monitor: the intervals of the polls, and the limits.
        baseline: None where none was measured.
        samples: the bodies of the journal's samples, in order.
        verdicts: clause id -> the body of its verdict at the window's end.
        extended_at_s: when the window was undecided and went on, in its seconds.
        stages_at_s: when each stage of a canary began, in its seconds; empty without stages.
        stage_names: the names of these stages, such as ``CAN-2.1 10%``.
    """

    title: str
    subtitle: str
    monitor: Monitor
    baseline: Baseline | None
    samples: Sequence[Mapping[str, Any]]
    verdicts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    extended_at_s: Sequence[float] = ()
    stages_at_s: Sequence[float] = ()
    stage_names: Sequence[str] = ()

    def of(self, source: str) -> list[Mapping[str, Any]]:
        """Return one source's samples; beside a canary, without the requests that the control group had."""
        return [sample for sample in self.samples if sample["source"] == source and not sample.get("control")]

    @property
    def windows(self) -> Iterator[Bake]:
        """The stages of a canary, each with its own samples: a trigger judges each from its beginning."""
        begins = (*(self.stages_at_s or (0.0,)), math.inf)
        for number, (begin, end) in enumerate(pairwise(begins)):
            first = begin if number else -math.inf
            yield replace(self, samples=[sample for sample in self.samples if first <= sample["at_s"] < end])

    @property
    def breach(self) -> Mapping[str, Any] | None:
        """The verdict that ended the window."""
        return next((verdict for verdict in self.verdicts.values() if verdict["decided"]), None)

    @property
    def watched_s(self) -> float:
        """How long the window was."""
        latest = max(float(sample["at_s"]) for sample in self.samples)
        return max([latest, *(float(verdict["watched_s"]) for verdict in self.verdicts.values())])


class Curve(NamedTuple):
    """A line: seconds, values, and whether there were enough requests for a trigger to judge by the value."""

    at_s: list[float]
    values: list[float]
    enough: list[bool]

    def add(self, at_s: float, value: float, *, is_enough: bool) -> None:
        """Add a point."""
        self.at_s.append(at_s)
        self.values.append(value)
        self.enough.append(is_enough)

    @property
    def judged(self) -> list[float]:
        """The values from enough requests; all where there never were enough."""
        return [value for value, is_enough in zip(self.values, self.enough, strict=True) if is_enough] or self.values


class Band(NamedTuple):
    """A confidence band: seconds, lower and upper bounds."""

    at_s: list[float]
    low: list[float]
    high: list[float]


def error_rates(bake: Bake, source: str) -> Curve:
    """Return the error rate of the window so far, which MON-2 holds against its limit.

    Args:
        bake: the window.
        source: ``users`` or ``synthetic``.
    """
    curve, least = Curve([], [], []), _least(bake, source)
    for at_s, _, span in _spans(bake, source):
        if span.requests:
            curve.add(at_s, span.failures / span.requests, is_enough=span.requests >= least)
    return curve


def control_error_rates(bake: Bake) -> Curve:
    """Return the error rate of a canary's control group, each stage by itself; empty without a control group."""
    curve = Curve([], [], [])
    for window in bake.windows:
        counters = Counters()
        for sample in window.of(SourceName.CONTROL):
            if "total" in sample:
                counters.add(sample["at_s"], _counted(sample))
                span = counters.latest()
                if span is not None and span.requests:
                    curve.add(sample["at_s"], span.failures / span.requests, is_enough=True)
    return curve


def control_latencies(bake: Bake) -> Curve:
    """Return the gateway's P95 in ms of a canary's control group; empty where it reports none."""
    reported = [sample for sample in bake.of(SourceName.CONTROL) if sample.get("p95_ms") is not None]
    curve = Curve([], [], [])
    for sample in reported:
        curve.add(sample["at_s"], sample["p95_ms"], is_enough=True)
    return curve


def recent_error_rates(bake: Bake, source: str) -> Curve:
    """Return the error rate of the shorter span where it has enough requests, once the window is longer than it."""
    curve, least = Curve([], [], []), _least(bake, source)
    for at_s, short, span in _spans(bake, source):
        if short.from_s > span.from_s and short.requests >= least:
            curve.add(at_s, short.failures / short.requests, is_enough=True)
    return curve


def error_band(bake: Bake, source: str) -> Band:
    """Return the confidence sequence of the error rate: at any time it holds the true share with 95 %."""
    spans = [(at_s, span) for at_s, _, span in _spans(bake, source) if span.requests]
    # The bounds are smooth: a day has no more of them than a picture can show.
    step = max(1, math.ceil(len(spans) / _BOUNDS))
    shown = spans[::-step][::-1]
    bounds = [confidence_sequence(span.requests, span.failures) for _, span in shown]
    return Band([at_s for at_s, _ in shown], [low for low, _ in bounds], [high for _, high in bounds])


def _least(bake: Bake, source: str) -> int:
    """Return from how many requests on MON-2 judges: the scenario's minimum, and enough to exclude twice the limit."""
    monitor = bake.monitor
    least = monitor.min_requests if source == "users" else monitor.min_samples
    return max(least, fewest_requests(monitor.limits.error_rate))


def latencies(bake: Bake, source: str) -> Curve:
    """Return P95 in ms as MON-3 saw it: the gateway's own or its histogram's for ``users``, the window's otherwise."""
    curve = Curve([], [], [])
    for window in bake.windows:
        (_add_users_p95s if source == "users" else _add_own_p95s)(curve, window)
    return curve


def _add_users_p95s(curve: Curve, bake: Bake) -> None:
    histograms = Histograms()
    for sample in bake.of(SourceName.METRICS):
        if "buckets" in sample:
            histograms.add(sample["at_s"], Histogram.from_record(sample["buckets"]))
            so_far = histograms.latest()
            quantile = None if so_far is None else so_far.histogram.quantile(P95)
            if so_far is not None and quantile is not None:
                is_enough = so_far.histogram.count >= bake.monitor.min_samples
                curve.add(sample["at_s"], quantile.seconds * 1000, is_enough=is_enough)
        elif sample.get("p95_ms") is not None:
            is_enough = sample["samples"] >= bake.monitor.min_samples
            curve.add(sample["at_s"], sample["p95_ms"], is_enough=is_enough)


def _add_own_p95s(curve: Curve, bake: Bake) -> None:
    own = Requests()
    limit = effective_limit(bake, "synthetic") or latency_limit(bake, "synthetic") or float("inf")
    for taken, reading in own_requests(bake):
        own.add(taken, reading)
        if timed := own.latencies(limit):
            curve.add(taken.at_s, nearest_rank(timed), is_enough=len(timed) >= bake.monitor.min_samples)


def latency_limit(bake: Bake, source: str) -> float | None:
    """Return the limit in ms that P95 of ``users`` or ``synthetic`` is held against; None without a baseline."""
    limits = bake.monitor.limits
    if limits.p95_ms is not None:
        return limits.p95_ms
    base = baseline_p95_ms(bake, source)
    return None if base is None else limits.latency_factor * base


def baseline_p95_ms(bake: Bake, source: str) -> float | None:
    """Return P95 of ``users`` or ``synthetic`` in the baseline; None where it was not measured."""
    if bake.baseline is None:
        return None
    return bake.baseline.users_p95_ms if source == "users" else bake.baseline.synthetic_p95_ms


def effective_limit(bake: Bake, source: str) -> float | None:
    """Return the limit in ms with the baseline's uncertainty in it, where MON-3 judged this source by it.

    None where it reads like the limit: its line would lie on the limit's.
    """
    verdict, limit = bake.verdicts.get("MON-3", {}), latency_limit(bake, source)
    effective = verdict.get("effective_limit") if verdict.get("source") == source else None
    if effective is None or (limit is not None and f"{effective:.0f}" == f"{limit:.0f}"):
        return None
    return float(effective)


def _spans(bake: Bake, source: str) -> Iterator[tuple[float, Span, Span]]:
    """Yield the moment of each reading, the shorter span up to it, and the window so far, or the stage."""
    for window in bake.windows:
        yield from _spans_of(window, source)


def _spans_of(bake: Bake, source: str) -> Iterator[tuple[float, Span, Span]]:
    span_s = bake.monitor.short_span_s
    own = Requests()
    if source != "users":
        for taken, reading in own_requests(bake):
            own.add(taken, reading)
            yield from _both(taken.at_s, own.latest(span_s), own.latest())
        return
    for taken, reading in own_requests(bake):
        own.add(taken, reading)
    counters = Counters()
    for sample in bake.of(SourceName.METRICS):
        if "total" in sample:
            counters.add(sample["at_s"], _counted(sample))
            # The gateway counts the suite's own requests too.
            short, window = (of_users(counters.latest(seconds), own) for seconds in (span_s, None))
            yield from _both(sample["at_s"], short, window)


def _counted(sample: Mapping[str, Any]) -> Metrics:
    """Return the counters that a sample holds."""
    total, failed = sample["total"], sample["failed"]
    return Metrics(total, total - failed, failed, 0.0, Latency(None, None, None, 0), {})


def _both(at_s: float, short: Span | None, window: Span | None) -> Iterator[tuple[float, Span, Span]]:
    if short is not None and window is not None:
        yield at_s, short, window


def own_requests(bake: Bake) -> Iterator[tuple[Sample, SyntheticReading]]:
    """Yield the suite's own requests."""
    for sample in bake.of(SourceName.SYNTHETIC):
        if "ok" in sample:
            reading = SyntheticReading(sample["ok"], sample.get("latency_ms"), status=sample.get("status"))
            spans = {name: sample.get(name, 0.0) for name in ("took_s", "late_s")}
            taken = Sample(SourceName.SYNTHETIC, sample["at_s"], sample["at"], reading, **spans)
            if (kept := excuse_lateness(taken, reading)) is not None:
                yield taken, kept


def state_spans(bake: Bake, source: str, state: Callable[[Mapping[str, Any]], str]) -> list[tuple[float, float, str]]:
    """Return a source's states as (from, to, state) in seconds; each holds until the next poll."""
    samples = bake.of(source)
    if not samples:
        return []
    begins = [sample["at_s"] for sample in samples] + [bake.watched_s]
    found: list[tuple[float, float, str]] = []
    for (begin, end), sample in zip(pairwise(begins), samples, strict=True):
        now = state(sample)
        if found and found[-1][2] == now:
            found[-1] = (found[-1][0], end, now)
        else:
            found.append((begin, end, now))
    return found


def goes_on(bake: Bake) -> bool:
    """Return whether the window went on after its planned end, and a reason for that is recorded.

    It goes on where a verdict is undecided, for time that was not watched, and for a source that was unavailable. The
    stages of a canary last a little longer than planned for no such reason.
    """
    is_longer = bake.watched_s >= bake.monitor.window_s + max(SHOWN_S, bake.watched_s * _LONGER)
    return is_longer and bool(bake.extended_at_s or gaps(bake) or _has_dark_source(bake))


def _has_dark_source(bake: Bake) -> bool:
    """Return whether a source failed in so many polls in a row that it was unavailable."""
    for source in {sample["source"] for sample in bake.samples} - set(NOT_JUDGED):
        failed = 0
        for each in bake.of(source):
            failed = failed + 1 if "error" in each else 0
            if failed >= bake.monitor.dark_in_a_row:
                return True
    return False


def gaps(bake: Bake) -> list[tuple[float, float]]:
    """Return the stretches that were not watched, as (from, to) in seconds.

    Samples say for how long before them their source was not watched. In a journal without such samples, a gap is a
    stretch between two calls, in which no source was polled.
    """
    known = [
        (sample["at_s"] - sample["unwatched_s"], sample["at_s"])
        for sample in bake.samples
        if sample.get("unwatched_s", 0.0) >= SHOWN_S and sample["source"] not in NOT_JUDGED
    ]
    if known:
        return list(_united(sorted(known)))
    polled_at = sorted(float(sample["at_s"]) for sample in bake.samples)
    longest = max(_MISSED * bake.monitor.metrics_every_s, SHOWN_S)
    return [(before, after) for before, after in pairwise(polled_at) if after - before > longest]


def _united(stretches: Sequence[tuple[float, float]]) -> Iterator[tuple[float, float]]:
    """Yield stretches, the ones that overlap as one; they are sorted by their beginning."""
    (begin, end), *others = stretches
    for after, until in others:
        if after > end:
            yield begin, end
            begin, end = after, until
        end = max(end, until)
    yield begin, end
