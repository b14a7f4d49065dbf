"""The rules of other tools, on the same requests: they judge the share of bad requests once a minute.

- Argo Rollouts: the error rate of the last minute, `failureLimit: 3`. The fourth failed measurement ends the analysis.
- Flagger: the same with `threshold: 5`. The fifth failed check ends the analysis.
- Burn rate: the limit is exceeded over the last hour and over the last five minutes. Where a budget burns 14.4 times
  too fast at the limit, the budget is 0.35 % of the requests. The hour begins with the window, and the first decision
  comes after five minutes.

Each ends with the window: none of them has an extension.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from bench.characteristic.binomial import Ints
from bench.characteristic.worlds import LIMIT, MINUTE

ARGO, FLAGGER, BURN_RATE = "Argo Rollouts", "Flagger", "burn rate"
_ARGO_TOLERATES = 3
_FLAGGER_THRESHOLD = 5
_HOUR, _SHORT = 60, 5


def first_rollbacks(requests: Ints, bad: Ints, window_polls: int) -> Mapping[str, Ints]:
    """Return the poll, from 1 on, at which each rule rolls back each window, or 0 where it does not.

    Args:
        requests: the requests of each poll, of shape (polls, windows).
        bad: those of them that are bad.
        window_polls: the polls of the window, a multiple of a minute's; those after it are not read.
    """
    made, failed = _by_minute(requests[:window_polls]), _by_minute(bad[:window_polls])
    return {name: _first(rule(made, failed)) * MINUTE for name, rule in _RULES.items()}


def _argo(made: Ints, failed: Ints) -> npt.NDArray[np.bool_]:
    return np.asarray((failed > LIMIT * made).cumsum(axis=0) > _ARGO_TOLERATES)


def _flagger(made: Ints, failed: Ints) -> npt.NDArray[np.bool_]:
    return np.asarray((failed > LIMIT * made).cumsum(axis=0) >= _FLAGGER_THRESHOLD)


def _burn_rate(made: Ints, failed: Ints) -> npt.NDArray[np.bool_]:
    exceeds = [_sliding(failed, minutes) > LIMIT * _sliding(made, minutes) for minutes in (_HOUR, _SHORT)]
    both = exceeds[0] & exceeds[1]
    both[: _SHORT - 1] = False
    return np.asarray(both)


_RULES: Mapping[str, Callable[[Ints, Ints], npt.NDArray[np.bool_]]] = {
    ARGO: _argo,
    FLAGGER: _flagger,
    BURN_RATE: _burn_rate,
}


def _by_minute(counts: Ints) -> Ints:
    return np.asarray(counts.reshape(-1, MINUTE, counts.shape[1]).sum(axis=1))


def _sliding(counts: Ints, minutes: int) -> Ints:
    """Return the sum of the last so many minutes, at each minute."""
    totals = counts.cumsum(axis=0)
    earlier = np.zeros_like(totals)
    earlier[minutes:] = totals[:-minutes]
    return np.asarray(totals - earlier)


def _first(fires: npt.NDArray[np.bool_]) -> Ints:
    """Return the number, from 1 on, of the first minute in which a rule fires, or 0."""
    return np.where(fires.any(axis=0), fires.argmax(axis=0) + 1, 0)
