"""Binomial tails and bounds over arrays, of scipy, which is imported when they are needed: that takes half a second."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def lower_tail(successes: npt.ArrayLike, trials: npt.ArrayLike, share: float) -> Floats:
    """Return P(Bin(trials, share) <= successes) of each pair, of shapes that fit."""
    from scipy import special  # noqa: PLC0415

    return np.asarray(special.bdtr(successes, trials, share), float)


def upper_bound(successes: int, trials: int, risk: float) -> float:
    """Return the largest share that so many successes do not exclude at this risk (Clopper and Pearson, one-sided)."""
    from scipy import special  # noqa: PLC0415

    return float(special.betaincinv(successes + 1, trials - successes, 1 - risk))
