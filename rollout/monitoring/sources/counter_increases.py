"""The increases of counters since a beginning, series by series.

PromQL's ``increase()`` takes the first value of a series as its beginning, and so loses the counts before the first
scrape: the first failure of its kind would not be counted. Here a series that appears after the beginning counts from
zero.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TypeAlias

from rollout.core.histogram import NO_BOUND, Histogram

Series: TypeAlias = frozenset[tuple[str, str]]
"""A series' labels, its name among them as ``__name__``."""

Vector: TypeAlias = Mapping[Series, float]

_BOUND = "le"


@dataclass(slots=True)
class Increase:
    """The increase of every series since the beginning.

    A series that goes down was reset and counts from zero. A series that disappears keeps its count, and continues from
    its last value if it appears again.
    """

    counted: dict[Series, float] = field(default_factory=lambda: defaultdict(float))
    _last: dict[str, float] = field(default_factory=dict)

    @classmethod
    def since(cls, beginning: Vector) -> Increase:
        """Return an increase that begins at these values."""
        return cls(_last={_digest(series): value for series, value in beginning.items()})

    @classmethod
    def after(cls, memory: Mapping[str, float]) -> Increase:
        """Return an increase that continues from the `memory` of another; its counts are not counted again."""
        return cls(_last=dict(memory))

    def add(self, now: Vector) -> None:
        """Add the increases since the values before."""
        for series, value in now.items():
            key = _digest(series)
            before = self._last.get(key, 0.0)
            self.counted[series] += value if value < before else value - before
            self._last[key] = value

    def memory(self) -> dict[str, float]:
        """Return the last value of each series, by a digest: a label may hold what a journal redacts."""
        return dict(self._last)

    @property
    def total(self) -> float:
        """Return the increase of all series together."""
        return sum(self.counted.values())


def histogram(counts: Vector) -> Histogram | None:
    """Return the buckets of all series in one histogram, by the bounds that all of them have; None without a series.

    Raises:
        ValueError: the series are no histogram's buckets.
    """
    groups: dict[Series, dict[float, float]] = defaultdict(dict)
    for series, count in counts.items():
        labels = dict(series)
        groups[frozenset((name, value) for name, value in series if name != _BOUND)][_bound(labels)] = count
    if not groups:
        return None
    shared = set.intersection(*(set(group) for group in groups.values()))
    return Histogram.of({bound: sum(group[bound] for group in groups.values()) for bound in shared})


def shown(series: Series) -> str:
    """Return a series' labels in PromQL's notation, its name in front."""
    labels = dict(series)
    name = labels.pop("__name__", "")
    return f"{name}{{{', '.join(f'{label}={value!r}' for label, value in sorted(labels.items()))}}}"


def _digest(series: Series) -> str:
    return sha256(repr(sorted(series)).encode()).hexdigest()[:16]


def _bound(labels: Mapping[str, str]) -> float:
    text = labels.get(_BOUND)
    if text is None:
        raise ValueError("a series has no label `le`; a histogram's buckets are called …_bucket")
    if text == NO_BOUND:
        return math.inf
    try:
        bound = float(text)
    except ValueError:
        bound = math.nan
    if math.isnan(bound):
        raise ValueError(f"a bucket's bound is le={text!r}, which is no number")
    return bound
