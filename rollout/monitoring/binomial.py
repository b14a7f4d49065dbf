"""Shares of requests: exact binomial tails, an upper bound, and a confidence sequence (MON-2, MON-3, MON-5).

The tails are sums of exact probabilities, to twelve digits up to 10^9 requests. A probability is computed from its
deviance, not from differences of log-gamma, which lose seven digits at 10^9 (C. Loader, *Fast and accurate computation
of binomial probabilities*, 2000). scipy has all of this, and is a wheel of 35 MB that takes longer to import than the
command `rollout` to start; the tests compare with scipy.
"""

from __future__ import annotations

import math
from collections.abc import Callable

_HALF_LOG_TWO_PI = 0.5 * math.log(2.0 * math.pi)
_LOG_PI = math.log(math.pi)
_LAST_TABULATED = 15
_SMALLEST_TERM = 1e-17
_PRECISION = 1e-14
_SHOWN_PRECISION = 1e-6
_HALF = 0.5


def log_probability(failures: int, requests: int, share: float) -> float:
    """Return the natural logarithm of P(Bin(`requests`, `share`) = `failures`); minus infinity if it is impossible."""
    return _log_probability(failures, requests, share, 1.0 - share)


def lower_tail(failures: int, requests: int, share: float) -> float:
    """Return P(Bin(`requests`, `share`) <= `failures`)."""
    return _lower_tail(failures, requests, share, 1.0 - share)


def upper_tail(failures: int, requests: int, share: float) -> float:
    """Return P(Bin(`requests`, `share`) >= `failures`)."""
    return _lower_tail(requests - failures, requests, 1.0 - share, share)


def upper_bound(failures: int, requests: int, alpha: float) -> float:
    """Return the share at which so few `failures` or fewer have the probability `alpha` (Clopper and Pearson, 1934).

    The true share lies above the bound with a probability of at most `alpha`, for a number of requests that was fixed
    beforehand. The bound is the 1 - `alpha` quantile of Beta(`failures` + 1, `requests` - `failures`); it is 1 if all
    requests failed.
    """
    if failures >= requests:
        return 1.0
    return _bisect(lambda share: lower_tail(failures, requests, share) > alpha, 0.0, 1.0)


def divergence(share: float, limit: float) -> float:
    """Return the Kullback-Leibler divergence of a share from a limit (both 0-1, exclusive), in nats a request."""
    return share * math.log(share / limit) + (1.0 - share) * (math.log1p(-share) - math.log1p(-limit))


def confidence_sequence(requests: float, failures: float, alpha: float = 0.05) -> tuple[float, float]:
    """Return bounds that hold the true share at every poll of a window at once, except with probability `alpha`.

    Robbins's mixture (*Statistical methods related to the law of the iterated logarithm*, 1970) with a
    Beta(1/2, 1/2) distribution: a share is excluded when its likelihood is less than `alpha` times the mixture's, and
    Ville's inequality covers every stopping time. It holds for independent requests of one share. Two numbers are its
    whole state. `failures` may be a fraction, which an interpolated histogram gives.
    """
    passed = requests - failures
    mixture = math.lgamma(failures + 0.5) + math.lgamma(passed + 0.5) - math.lgamma(requests + 1.0) - _LOG_PI
    least = mixture + math.log(alpha)

    def is_inside(share: float) -> bool:
        return failures * math.log(share) + passed * math.log1p(-share) >= least

    estimate = failures / requests if requests else 0.5
    low = _bisect(lambda share: not is_inside(share), 0.0, estimate, _SHOWN_PRECISION) if failures else 0.0
    high = _bisect(is_inside, estimate, 1.0, _SHOWN_PRECISION) if passed else 1.0
    return low, high


def _bisect(is_below: Callable[[float], bool], low: float, high: float, precision: float = _PRECISION) -> float:
    """Return the number between `low` and `high` up to which `is_below` is true, to 14 digits or fewer."""
    while high - low > precision * high:
        middle = 0.5 * (low + high)
        low, high = (middle, high) if is_below(middle) else (low, middle)
    return 0.5 * (low + high)


def _lower_tail(failures: int, requests: int, share: float, rest: float) -> float:
    """Return the tail; `rest` is 1 - `share`, which a small share would lose."""
    if failures < 0:
        return 0.0
    if failures >= requests:
        return 1.0
    if failures > requests * share:
        return 1.0 - _lower_tail(requests - failures - 1, requests, rest, share)
    total = term = 1.0
    for count in range(failures, 0, -1):
        term *= count * rest / ((requests - count + 1) * share)
        total += term
        if term < _SMALLEST_TERM * total:
            break
    return math.exp(_log_probability(failures, requests, share, rest)) * total


def _log_probability(failures: int, requests: int, share: float, rest: float) -> float:
    passed = requests - failures
    if share <= 0.0 or rest <= 0.0:
        return 0.0 if (failures if share <= 0.0 else passed) == 0 else -math.inf
    if not failures:
        return requests * _log(rest, share)
    if not passed:
        return requests * _log(share, rest)
    stirling = _stirling_error(requests) - _stirling_error(failures) - _stirling_error(passed)
    deviances = _deviance(failures, requests * share) + _deviance(passed, requests * rest)
    return stirling - deviances - _HALF_LOG_TWO_PI - 0.5 * (math.log(failures) + math.log(passed / requests))


def _log(share: float, rest: float) -> float:
    return math.log1p(-rest) if rest < _HALF else math.log(share)


def _stirling_error(count: int) -> float:
    """Return by how much ln `count`! exceeds Stirling's formula."""
    if count <= _LAST_TABULATED:
        return math.lgamma(count + 1.0) - (count + 0.5) * math.log(count) + count - _HALF_LOG_TWO_PI
    square = float(count) * count
    return (1 / 12 - (1 / 360 - (1 / 1260 - (1 / 1680 - 1 / 1188 / square) / square) / square) / square) / count


def _deviance(count: float, mean: float) -> float:
    """Return `count` ln(`count` / `mean`) + `mean` - `count` without cancellation."""
    difference, total = count - mean, count + mean
    if abs(difference) >= 0.1 * total:
        return count * math.log(count / mean) - difference
    ratio = difference / total
    result, term = difference * ratio, 2.0 * count * ratio
    for divisor in range(3, 100, 2):
        term *= ratio * ratio
        result += term / divisor
    return result
