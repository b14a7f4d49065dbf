"""The increases of counters since a beginning, series by series, and those of one provider and model together.

PromQL's ``increase()`` takes the first value of a series as its beginning, and so loses the counts before the first
scrape: the first failure of its kind would not be counted. Here a series that appears after the beginning counts from
zero.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, TypeAlias

from rollout.core.histogram import Histogram
from rollout.gateway.responses import Latency

Series: TypeAlias = frozenset[tuple[str, str]]
"""A series' labels, its name among them as ``__name__``."""

Vector: TypeAlias = Mapping[Series, float]

_BOUND = "le"
P50, P95, P99 = 0.5, 0.95, 0.99


@dataclass(slots=True)
class Increase:
    """The increase of every series since the beginning.

    A series that goes down was reset and counts from zero. A series that disappears keeps its count, and continues from
    its last value if it appears again.

    Attributes:
        counted: the increase of each series.
        last: the last value of each series, by a digest: a label may hold what a journal redacts.
    """

    counted: dict[Series, float] = field(default_factory=lambda: defaultdict(float))
    last: dict[str, float] = field(default_factory=dict)

    @classmethod
    def since(cls, beginning: Vector) -> Increase:
        """Return an increase that begins at these values."""
        return cls(last={_digest(series): value for series, value in beginning.items()})

    def add(self, now: Vector) -> None:
        """Add the increases since the values before."""
        for series, value in now.items():
            key = _digest(series)
            before = self.last.get(key, 0.0)
            self.counted[series] += value if value < before else value - before
            self.last[key] = value

    @property
    def total(self) -> float:
        """Return the increase of all series together."""
        return sum(self.counted.values())

    def by_label(self, label: str) -> dict[str, float]:
        """Return the increase of each value of a label; a series without the label counts for none."""
        found: dict[str, float] = defaultdict(float)
        for series, increase in self.counted.items():
            if (value := dict(series).get(label)) is not None:
                found[value] += increase
        return dict(found)


def histogram(counts: Vector) -> Histogram | None:
    """Return the buckets of all series in one histogram, by the bounds that all of them have; None without a series.

    Raises:
        ValueError: the series are no histogram's buckets.
    """
    groups: dict[Series, dict[float, float]] = defaultdict(dict)
    for series, count in counts.items():
        groups[frozenset((name, value) for name, value in series if name != _BOUND)][_bound(dict(series))] = count
    if not groups:
        return None
    shared = set.intersection(*(set(group) for group in groups.values()))
    return Histogram.of({bound: sum(group[bound] for group in groups.values()) for bound in shared})


def shown(series: Series) -> str:
    """Return a series' labels in PromQL's notation, its name in front."""
    labels = dict(series)
    name = labels.pop("__name__", "")
    return f"{name}{{{', '.join(f'{label}={value!r}' for label, value in sorted(labels.items()))}}}"


@dataclass(slots=True)
class RequestCounts:
    """The increases of one provider and model since the first poll, and the counts of earlier calls."""

    requests: Increase
    errors: Increase
    buckets: Increase
    total_before: float = 0.0
    failed_before: float = 0.0
    histogram_before: Histogram | None = None
    slices_before: Mapping[str, Sequence[float]] = field(default_factory=dict)

    @property
    def total(self) -> float:
        """The requests, those of an earlier call included."""
        return self.total_before + self.requests.total

    @property
    def failed(self) -> float:
        """The failed requests, those of an earlier call included."""
        return self.failed_before + self.errors.total

    def histogram(self) -> Histogram | None:
        """Return all latencies; None without a histogram.

        Raises:
            ValueError: the series are no histogram's buckets.
        """
        now, before = histogram(self.buckets.counted), self.histogram_before
        return now.plus(before) if now is not None and before is not None else now or before

    def slices(self, label: str) -> dict[str, tuple[int, int]]:
        """Return the requests and the failed ones of each value of a label, those of an earlier call included."""
        requests, errors = self.requests.by_label(label), self.errors.by_label(label)
        found = {}
        for value in sorted({*requests, *errors, *self.slices_before}):
            total, failed = self.slices_before.get(value, (0.0, 0.0))
            failed += errors.get(value, 0.0)
            found[value] = (round(max(failed, total + requests.get(value, 0.0))), round(failed))
        return found

    def memory(self, label: str | None = None) -> dict[str, Any]:
        """Return what a later call needs to continue the counting, as JSON types; `label` is that of the slices."""
        latencies = self.histogram()
        return {
            "last": {
                "requests": dict(self.requests.last),
                "errors": dict(self.errors.last),
                "buckets": dict(self.buckets.last),
            },
            "total": self.total,
            "failed": self.failed,
            "histogram": None if latencies is None else latencies.record(),
            **({} if label is None else {"slices": {name: list(part) for name, part in self.slices(label).items()}}),
        }

    @classmethod
    def after(cls, memory: Mapping[str, Any]) -> RequestCounts:
        """Return the counts that continue from the `memory` of an earlier call."""
        last, buckets = memory["last"], memory["histogram"]
        return cls(
            Increase(last=dict(last["requests"])),
            Increase(last=dict(last["errors"])),
            Increase(last=dict(last["buckets"])),
            total_before=memory["total"],
            failed_before=memory["failed"],
            histogram_before=None if buckets is None else Histogram.from_record(buckets),
            slices_before=memory.get("slices", {}),
        )


def percentiles(latencies: Histogram | None) -> Latency:
    """Return P50, P95 and P99 in ms; None for one above the highest bound, and for all without a histogram."""
    if latencies is None:
        return Latency(None, None, None, 0)
    p50, p95, p99 = (_ms(latencies, share) for share in (P50, P95, P99))
    return Latency(p50, p95, p99, round(latencies.count))


def _ms(latencies: Histogram, share: float) -> float | None:
    found = latencies.quantile(share)
    return None if found is None or found.at_least else found.seconds * 1000


def _digest(series: Series) -> str:
    return sha256(repr(sorted(series)).encode()).hexdigest()[:16]


def _bound(labels: Mapping[str, str]) -> float:
    text = labels.get(_BOUND)
    if text is None:
        raise ValueError("a series has no label `le`; a histogram's buckets are called …_bucket")
    try:
        bound = float(text)
    except ValueError:
        bound = math.nan
    if math.isnan(bound):
        raise ValueError(f"a bucket's bound is le={text!r}, which is no number")
    return bound
