"""A gateway's own percentiles: those that have no request in common, of all that its polls return."""

from __future__ import annotations

import pytest

from rollout.monitoring.counters import Counters
from rollout.monitoring.percentile_polls import PercentilePolls
from tests.support.windows import metrics


def disjoint(*seen: tuple[int, int, float | None]) -> list[float]:
    """Return the disjoint percentiles of polls ten seconds apart: (total, samples of the percentile, P95)."""
    counters, kept = Counters(), PercentilePolls()
    for tick, (total, samples, p95_ms) in enumerate(seen):
        reading = metrics(total, p95_ms=p95_ms, samples=samples)
        counters.add(tick * 10.0, reading)
        kept.add(counters, reading.latency)
    return kept.disjoint


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        ([(500, 100, 1.0)], []),
        ([(500, 100, 1.0), (599, 100, 2.0)], []),
        ([(500, 100, 1.0), (600, 100, 2.0)], [2.0]),
        ([(500, 100, 1.0), (600, 100, 2.0), (699, 100, 3.0), (700, 100, 4.0)], [2.0, 4.0]),
        ([(500, 100, 1.0), (900, 100, 2.0), (950, 100, 3.0), (1000, 100, 4.0)], [2.0, 4.0]),
    ],
    ids=["before the window", "one in common", "none in common", "two", "more than it covers"],
)
def test_a_percentile_is_disjoint_once_as_many_requests_were_counted_as_it_covers(
    seen: list[tuple[int, int, float | None]], expected: list[float]
) -> None:
    assert disjoint(*seen) == expected


def test_requests_after_a_reset_count_from_zero_and_those_before_it_stay_counted() -> None:
    assert disjoint((500, 100, 1.0), (560, 100, 2.0), (40, 40, 3.0), (140, 100, 4.0)) == [3.0, 4.0]


@pytest.mark.parametrize(("samples", "p95_ms"), [(0, 5.0), (100, None)])
def test_a_percentile_of_nothing_is_none(samples: int, p95_ms: float | None) -> None:
    assert disjoint((0, 0, None), (100, samples, p95_ms), (200, 100, 7.0)) == [7.0]
