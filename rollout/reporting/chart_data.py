"""What the chart of a window draws, as numbers: curves, states and gaps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

from rollout.core.scenario import Monitor
from rollout.gateway.responses import Latency, Metrics
from rollout.monitoring.counters import Counters, Span
from rollout.monitoring.own_requests import Requests
from rollout.monitoring.samples import Baseline, Sample, SourceName, SyntheticReading
from rollout.monitoring.verdict import percentile

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
    """

    title: str
    subtitle: str
    monitor: Monitor
    baseline: Baseline | None
    samples: Sequence[Mapping[str, Any]]
    verdicts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def of(self, source: str) -> list[Mapping[str, Any]]:
        """Return one source's samples; beside a canary, without the requests that the control group had."""
        return [sample for sample in self.samples if sample["source"] == source and not sample.get("control")]

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


def error_rates(bake: Bake, source: str) -> Curve:
    """Return the error rate as MON-2 saw it: the worse of the shorter span and the window so far.

    Args:
        bake: the window.
        source: ``users`` or ``synthetic``.
    """
    curve = Curve([], [], [])
    least = bake.monitor.min_requests if source == "users" else bake.monitor.min_samples
    for at_s, spans in _spans(bake, source):
        seen = [span for span in spans if span is not None and span.requests]
        enough = [span for span in seen if span.requests >= least]
        if seen:
            worst = max(span.failures / span.requests for span in enough or seen[-1:])
            curve.add(at_s, worst, is_enough=bool(enough))
    return curve


def latencies(bake: Bake, source: str) -> Curve:
    """Return P95 in ms as MON-3 saw it: the gateway's own for ``users``, the worse of both spans for ``synthetic``."""
    curve, least, span_s = Curve([], [], []), bake.monitor.min_samples, bake.monitor.short_span_s
    if source == "users":
        for sample in bake.of(SourceName.METRICS):
            if sample.get("p95_ms") is not None:
                curve.add(sample["at_s"], sample["p95_ms"], is_enough=sample["samples"] >= least)
        return curve
    own, limit = Requests(), latency_limit(bake, "synthetic") or float("inf")
    for taken, reading in own_requests(bake):
        own.add(taken, reading)
        seen = [part for part in (own.latencies(limit, span_s), own.latencies(limit)) if part]
        enough = [part for part in seen if len(part) >= least]
        if seen:
            worst = max(percentile(part) for part in enough or seen[-1:])
            curve.add(taken.at_s, worst, is_enough=bool(enough))
    return curve


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


def _spans(bake: Bake, source: str) -> Iterator[tuple[float, tuple[Span | None, Span | None]]]:
    """Yield the shorter span and the window as they were at each moment."""
    span_s = bake.monitor.short_span_s
    if source == "users":
        counters = Counters()
        for sample in bake.of(SourceName.METRICS):
            if "total" in sample:
                latency = Latency(None, None, None, 0)
                total, failed = sample["total"], sample["failed"]
                counters.add(sample["at_s"], Metrics(total, total - failed, failed, 0.0, latency, {}))
                yield sample["at_s"], (counters.latest(span_s), counters.latest())
        return
    own = Requests()
    for taken, reading in own_requests(bake):
        own.add(taken, reading)
        yield taken.at_s, (own.latest(span_s), own.latest())


def own_requests(bake: Bake) -> Iterator[tuple[Sample, SyntheticReading]]:
    """Yield the suite's own requests."""
    for sample in bake.of(SourceName.SYNTHETIC):
        if "ok" in sample:
            reading = SyntheticReading(sample["ok"], sample.get("latency_ms"))
            yield Sample(SourceName.SYNTHETIC, sample["at_s"], sample["at"], reading), reading


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


def gaps(bake: Bake) -> list[tuple[float, float]]:
    """Return when no source was polled, between two calls, as (from, to) in seconds."""
    polled_at = sorted(float(sample["at_s"]) for sample in bake.samples)
    longest = max(_MISSED * bake.monitor.metrics_every_s, 1.0)
    return [(before, after) for before, after in pairwise(polled_at) if after - before > longest]
