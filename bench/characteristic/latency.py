"""Latencies with a heavy tail, and the limit that the baseline's uncertainty leaves.

Of all requests, 85 % are log-normal with median 1.2 s and sigma 0.6, and 15 % with median 12 s and sigma 0.7. MON-3
asks whether more than 5 % of the requests are slower than twice the baseline's P95. That P95 is an order statistic
of the baseline's requests, chosen such that it is below the true one with probability alpha / 2 at most.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from bench.characteristic.binomial import Floats, lower_tail, upper_bound

SHARE = 0.05
FACTOR = 2.0
_PARTS = ((0.85, 1.2, 0.6), (0.15, 12.0, 0.7))
_LN_S = np.linspace(math.log(1e-3), math.log(1e5), 20_001)


@dataclass(frozen=True, slots=True)
class Bound:
    """The limit of latencies that a baseline of so many requests supports.

    Attributes:
        order: which of the baseline's requests, from the fastest (1) on, stands for its P95.
        share: the limit of the share that is slower than twice that request.
    """

    order: int
    share: float


@cache
def baseline_bound(requests: int, alpha: float) -> Bound:
    """Return the bound that is too strict with probability alpha / 2 at most.

    Below 104 requests (at alpha = 0.01) no request is surely at or above the true P95: then the plug-in stands for it,
    and the limit of the share is as much higher.
    """
    tails = lower_tail(np.arange(requests // 20 + 1), requests, SHARE)
    excluded = np.flatnonzero(tails <= alpha / 2)
    if excluded.size:
        return Bound(requests - int(excluded[-1]), SHARE)
    order = plug_in_order(requests)
    return Bound(order, upper_bound(requests - order, requests, alpha / 2))


def plug_in_order(requests: int) -> int:
    """Return which request is the P95 where its uncertainty is ignored."""
    return -(-95 * requests // 100)


def slower_share(limits_s: npt.ArrayLike) -> Floats:
    """Return the share of the requests that are slower than these limits, in seconds."""
    return np.interp(np.log(limits_s), _LN_S, _tabulated())


def quantile_s(shares_below: npt.ArrayLike) -> Floats:
    """Return the latencies, in seconds, that these shares of the requests do not exceed."""
    slower = _tabulated()
    return np.exp(np.interp(1.0 - np.asarray(shares_below), slower[::-1], _LN_S[::-1]))


def draw_limits_s(bound: Bound, requests: int, windows: int, rng: np.random.Generator) -> Floats:
    """Return the limit of latencies, in seconds, of each window: twice the order statistic of a baseline of its own."""
    return FACTOR * quantile_s(rng.beta(bound.order, requests - bound.order + 1, windows))


@cache
def _tabulated() -> Floats:
    """Return the share that is slower than each of `_LN_S`."""
    from scipy import special  # noqa: PLC0415 - as in `bench.characteristic.binomial`

    parts = [share * special.ndtr((math.log(median_s) - _LN_S) / sigma) for share, median_s, sigma in _PARTS]
    return np.asarray(sum(parts), float)
