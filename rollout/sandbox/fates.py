"""Which calls fail, and how long answers take, by seeded generators: the same seed gives the same sequence.

A share is kept within few calls: a share of 0.15 fails 3 of every 20 calls. The seed decides which of them.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

STRATUM = 20
"""In every so many calls the share is kept, to a call."""

PERSISTENCE = 0.9
"""How much of a drift remains after a minute."""

_MINUTE_S = 60.0
_SLOW_SHARE = 0.15
_FAST_S, _FAST_SIGMA = 1.2, 0.6
_SLOW_S, _SLOW_SIGMA = 12.0, 0.7


@dataclass(frozen=True, slots=True)
class Batch:
    """Calls that share one fate.

    Attributes:
        of: how many calls in a row are a batch.
        share: fraction 0-1 of the batches whose calls all fail or all succeed; the others' calls fail one by one.
    """

    of: int
    share: float = 1.0


class Fates:
    """The fates of calls of which a share fails."""

    def __init__(self, seed: str, share: float) -> None:
        """Start; `share` is a fraction 0-1."""
        self._random = random.Random(seed)
        self._share = share
        self._owed = 0.5
        self._stratum: list[bool] = []

    def is_next_failing(self) -> bool:
        """Return whether the next call fails."""
        if not self._stratum:
            self._owed += STRATUM * self._share
            failing = math.floor(self._owed)
            self._owed -= failing
            self._stratum = [True] * failing + [False] * (STRATUM - failing)
            self._random.shuffle(self._stratum)
        return self._stratum.pop()


class BatchedFates:
    """The fates of calls of which a share fails, and some of them in batches; the share is the same in both."""

    def __init__(self, seed: str, share: float, batch: Batch) -> None:
        """Start; `share` is a fraction 0-1."""
        self._of = batch.of
        self._is_united = Fates(f"{seed}/united", batch.share)
        self._of_batches, self._of_calls = Fates(f"{seed}/batches", share), Fates(f"{seed}/calls", share)
        self._left = 0
        self._fate: bool | None = None

    def is_next_failing(self) -> bool:
        """Return whether the next call fails."""
        if not self._left:
            self._left = self._of
            self._fate = self._of_batches.is_next_failing() if self._is_united.is_next_failing() else None
        self._left -= 1
        return self._of_calls.is_next_failing() if self._fate is None else self._fate


class Drift:
    """A factor on latencies that wanders from minute to minute: its logarithm is autoregressive of order 1."""

    def __init__(self, seed: str, deviation: float) -> None:
        """Start; `deviation` is the standard deviation of the factor's logarithm."""
        self._random = random.Random(seed)
        self._deviation = deviation
        self._logs = [deviation * self._random.gauss()]

    def factor(self, elapsed_s: float) -> float:
        """Return the factor so many seconds after the beginning."""
        minute = int(elapsed_s // _MINUTE_S)
        while len(self._logs) <= minute:
            fresh = self._deviation * math.sqrt(1 - PERSISTENCE**2) * self._random.gauss()
            self._logs.append(PERSISTENCE * self._logs[-1] + fresh)
        return math.exp(self._logs[minute])


def draw_heavy_tail_ms(generator: random.Random) -> float:
    """Return a latency of a heavy tail: 85 % lognormal, median 1.2 s, sigma 0.6; 15 % median 12 s, sigma 0.7."""
    is_slow = generator.random() < _SLOW_SHARE
    median_s, sigma = (_SLOW_S, _SLOW_SIGMA) if is_slow else (_FAST_S, _FAST_SIGMA)
    return 1000 * median_s * math.exp(sigma * generator.gauss())
