"""The rule of the triggers for shares (docs/JUDGING.md), over many windows at once.

It is written independently of `rollout.monitoring.share_test`, which judges one window; a test proves that both decide
alike.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from bench.characteristic.binomial import Floats, Ints, lower_tail

MULTIPLES = (1.2, 1.5, 2.0, 3.0, 5.0, 10.0, 19.0)
HIGHEST = 0.95
CAP = 1.5
GROSS_MULTIPLE = 5.0
GROSS_ALTERNATIVES = (0.5, 0.75, 0.95)
GROSS_BELOW = 0.5
GROSS_DISCOUNT = 0.23
"""With 0.25, two batches of 20 requests that fail as one would breach a window of 30 minutes."""

RISK = 0.05
RECHECK = 30
LAST_POLLS = 30
LAST_REQUESTS = 120
_COMPACT_EVERY = 30


@dataclass(frozen=True, slots=True)
class Rule:
    """What a trigger is judged by.

    Attributes:
        limit: the highest share of bad requests that is acceptable.
        alpha: the probability of a false breach, over the whole window with its extension.
        polls: the polls of the window with its longest extension.
    """

    limit: float
    alpha: float
    polls: int


@dataclass(slots=True)
class _Detector:
    """The evidence against one limit: of every window so far, for each of several higher shares.

    Attributes:
        per_bad: what one bad request adds to the logarithm of the evidence, of shape (shares, 1).
        per_good: what one good request adds.
        cap: what one poll adds at most.
        restarting: the Shiryaev-Roberts process, of shape (shares, windows): the sum of the likelihood ratios since
            each poll with requests.
    """

    per_bad: Floats
    per_good: Floats
    cap: float
    restarting: Floats

    def add(self, requests: Ints, bad: Ints) -> Floats:
        """Add a poll of every window, and return its likelihood ratios."""
        # Beyond the largest float the evidence is infinite, which is a breach, and below the smallest it is none.
        with np.errstate(over="ignore", under="ignore"):
            ratios = np.exp(np.minimum(self.cap, bad * self.per_bad + (requests - bad) * self.per_good))
            self.restarting = (self.restarting + (requests > 0)) * ratios
        return np.asarray(ratios, float)


def _detector(limit: float, shares: list[float], cap: float, weight: float, windows: int) -> _Detector:
    per_bad = weight * np.log(np.array(shares) / limit)[:, None]
    per_good = weight * np.log((1 - np.array(shares)) / (1 - limit))[:, None]
    return _Detector(per_bad, per_good, cap, np.zeros((len(shares), windows)))


@dataclass(slots=True)
class Evidence:
    """The evidence of many windows that a limit is exceeded: since their start, and since a change at any poll."""

    rule: Rule
    windows: int
    _shift: _Detector = field(init=False)
    _whole: Floats = field(init=False)
    _gross: _Detector | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        """Begin without evidence."""
        limit = self.rule.limit
        alternatives = {min(HIGHEST, limit * multiple) for multiple in MULTIPLES}
        self._shift = _detector(limit, sorted(each for each in alternatives if each > limit), CAP, 1.0, self.windows)
        self._whole = np.ones_like(self._shift.restarting)
        gross = GROSS_MULTIPLE * limit
        if gross < GROSS_BELOW:
            self._gross = _detector(gross, list(GROSS_ALTERNATIVES), math.inf, GROSS_DISCOUNT, self.windows)

    def add(self, requests: Ints, bad: Ints) -> npt.NDArray[np.bool_]:
        """Add a poll of every window, and return in which the limit is breached."""
        alpha, polls = self.rule.alpha, self.rule.polls
        self._whole *= self._shift.add(requests, bad)
        mixed = self._whole.mean(axis=0) / 2 + self._shift.restarting.mean(axis=0) / 2 / polls
        breached = mixed >= 4 / (3 * alpha)
        if self._gross is not None:
            self._gross.add(requests, bad)
            breached |= self._gross.restarting.mean(axis=0) >= 4 * polls / alpha
        return np.asarray(breached)

    def keep(self, stays: npt.NDArray[np.bool_]) -> None:
        """Forget the windows that have ended."""
        self._whole = self._whole[:, stays]
        self._shift.restarting = self._shift.restarting[:, stays]
        if self._gross is not None:
            self._gross.restarting = self._gross.restarting[:, stays]


@dataclass(frozen=True, slots=True)
class Ends:
    """How windows ended.

    Attributes:
        breached: the poll of the breach, from 1 on, or 0.
        held: the poll at which the window was kept, or 0; where both are 0, it was inconclusive to its last extension.
    """

    breached: Ints
    held: Ints


def judge(requests: Ints, bad: Ints, rule: Rule, window_polls: int) -> Ends:
    """Return how each window ends: at its first breach, when it holds, or inconclusive after its extension.

    Args:
        requests: the requests of each poll of the window and its extension, of shape (polls, windows).
        bad: those of them that are bad.
        rule: what they are judged by.
        window_polls: the polls before the first decision about holding.
    """
    held = first_held(requests, bad, rule.limit, window_polls)
    breached = first_breaches(requests, bad, rule, np.where(held > 0, held, len(requests)))
    return Ends(breached, np.where(breached > 0, 0, held))


def first_breaches(requests: Ints, bad: Ints, rule: Rule, until: Ints) -> Ints:
    """Return the poll of each window's first breach, from 1 on, or 0 where there is none up to its poll `until`."""
    found = np.zeros(requests.shape[1], np.int64)
    going = np.arange(requests.shape[1])
    evidence = Evidence(rule, going.size)
    for poll, (made, failed) in enumerate(zip(requests, bad, strict=True), start=1):
        if not going.size:
            break
        breached = evidence.add(made[going], failed[going])
        found[going[breached]] = poll
        if breached.any() or poll % _COMPACT_EVERY == 0:
            stays = ~breached & (until[going] > poll)
            going = going[stays]
            evidence.keep(stays)
    return np.where(found <= until, found, 0)


def first_held(requests: Ints, bad: Ints, limit: float, window_polls: int) -> Ints:
    """Return the poll at which each window holds, from its end on and every five minutes, or 0."""
    made, failed = _totals(requests), _totals(bad)
    found = np.zeros(requests.shape[1], np.int64)
    for poll in range(window_polls, len(requests) + 1, RECHECK):
        open_ = np.flatnonzero(found == 0)
        if not open_.size:
            break
        holds = is_holding(made[: poll + 1, open_], failed[: poll + 1, open_], limit)
        found[open_[holds]] = poll
    return found


def is_holding(made: Ints, failed: Ints, limit: float) -> npt.NDArray[np.bool_]:
    """Return which windows hold now.

    For the whole window and for its last stretch (five minutes or 120 requests, the longer), the estimate is at or
    below the limit, and twice the limit is excluded.

    Args:
        made: the requests up to each poll, from zero on, of shape (polls + 1, windows).
        failed: those of them that are bad.
        limit: the limit of the share.
    """
    total, total_bad = made[-1], failed[-1]
    long_ago = made[: max(1, len(made) - LAST_POLLS)] <= total - LAST_REQUESTS
    start = np.maximum(long_ago.sum(axis=0) - 1, 0)
    columns = np.arange(total.size)
    last, last_bad = total - made[start, columns], total_bad - failed[start, columns]
    holds = (total_bad / np.maximum(total, 1) <= limit) & (lower_tail(total_bad, total, 2 * limit) <= RISK)
    holds &= last_bad / np.maximum(last, 1) <= limit
    return np.asarray(holds & (lower_tail(last_bad, last, 2 * limit) <= RISK))


def _totals(counts: Ints) -> Ints:
    return np.vstack([np.zeros((1, counts.shape[1]), np.int64), counts.cumsum(axis=0)])
