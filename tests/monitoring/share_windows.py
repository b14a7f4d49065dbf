"""The rule of `rollout.monitoring.share_test` over many simulated windows at once, in numpy.

`test_the_simulation_is_the_rule` compares it with the rule itself, stream by stream.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from rollout.monitoring.share_test import CAP, GROSS_DISCOUNT, GROSS_SHARES, ShareEvidence, ShareTest, weights

Numbers = NDArray[np.float64]
Poll = Callable[[int], tuple[Numbers, Numbers]]
"""Number of the poll -> requests and failures, an array each with one number a window."""

NEVER = -1
_HIGHEST = 600.0


def first_breaches(test: ShareTest, polls: Iterable[tuple[Numbers, Numbers]]) -> NDArray[np.int64]:
    """Return for each window the number of the poll that breached it, from 1; `NEVER` where none did."""
    ratios = np.array(weights(test.limit, test.alternatives))
    gross_ratios = np.array(weights(test.gross_limit, GROSS_SHARES)) if test.gross_limit else np.empty((0, 2))
    since_start = since_change = gross = None
    breached = np.empty(0, dtype=np.int64)
    for number, (requests, failures) in enumerate(polls, 1):
        if since_start is None:
            since_start = np.zeros((len(requests), len(ratios)))
            since_change = np.full_like(since_start, -np.inf)
            gross = np.full((len(requests), len(gross_ratios)), -np.inf)
            breached = np.full(len(requests), NEVER)
        some = (requests > 0)[:, None]
        steps = np.minimum(CAP, _log_ratios(ratios, requests, failures))
        since_start = since_start + steps
        since_change = np.where(some, np.logaddexp(0.0, since_change) + steps, since_change)
        gross = np.where(
            some, np.logaddexp(0.0, gross) + GROSS_DISCOUNT * _log_ratios(gross_ratios, requests, failures), gross
        )
        evidence = 0.5 * (_mean_exp(since_start) + _mean_exp(since_change) / test.polls)
        is_gross = _mean_exp(gross) >= 4.0 * test.polls / test.alpha if len(gross_ratios) else False
        is_over = (evidence >= 4.0 / (3.0 * test.alpha)) | is_gross
        breached = np.where((breached == NEVER) & is_over, number, breached)
    return breached


def _log_ratios(ratios: Numbers, requests: Numbers, failures: Numbers) -> Numbers:
    return failures[:, None] * ratios[:, 0] + (requests - failures)[:, None] * ratios[:, 1]


def _mean_exp(values: Numbers) -> Numbers:
    return np.exp(np.minimum(values, _HIGHEST)).mean(axis=1)


def evenly(requests: int, polls: int) -> list[int]:
    """Return the requests of each poll where so many are spread evenly."""
    return [requests * (poll + 1) // polls - requests * poll // polls for poll in range(polls)]


def fixed_traffic(
    rng: np.random.Generator, share: float, sizes: Iterable[int], windows: int
) -> Iterable[tuple[Numbers, Numbers]]:
    """Yield the polls of windows whose requests are counted beforehand and fail with the probability `share`."""
    for size in sizes:
        yield np.full(windows, float(size)), rng.binomial(size, share, windows).astype(float)


def random_traffic(
    rng: np.random.Generator, share: Callable[[int], float], mean: float, polls: int, windows: int
) -> Iterable[tuple[Numbers, Numbers]]:
    """Yield the polls of windows whose requests arrive at random (Poisson); `share` is a function of the poll."""
    for poll in range(polls):
        requests = rng.poisson(mean, windows)
        yield requests.astype(float), rng.binomial(requests, share(poll)).astype(float)


def breach_of(test: ShareTest, polls: Iterable[tuple[float, float]]) -> int:
    """Return the number of the poll at which the rule itself breaches, from 1, or `NEVER`."""
    evidence = ShareEvidence(test)
    for number, (requests, failures) in enumerate(polls, 1):
        evidence.add(requests, failures)
        if evidence.is_breached:
            return number
    return NEVER
