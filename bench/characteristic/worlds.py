"""Worlds with a known truth, and the requests that a trigger reads in them, window by window.

Users arrive at random (Poisson), and a poll every ten seconds reads how many requests were made and how many of them
are bad: failed, or slower than the limit. A stream covers a window and an extension as long again. Every block of
windows has a seed of its own: the numbers are the same on every machine.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

import numpy as np

from bench.characteristic import latency
from bench.characteristic.binomial import Floats, Ints

POLL_S = 10
MINUTE = 6
FIVE_MINUTES = 5 * MINUTE
WINDOW_S = 1800
DAY_S = 86_400
LIMIT = 0.05
BEFORE = 0.01
"""The share of bad requests before the onset of a fault."""

_SWING = 0.8
_BROWNOUT, _BROWNOUT_S, _BROWNOUT_EVERY_S = 0.25, 15, 600
_TRIES = 4
_BATCH, _ONE_FATE = 20, 0.3
_PERSISTENCE = 0.9


class Cluster(Enum):
    """How the fates of requests depend on each other."""

    NONE = "independent"
    BROWNOUTS = "brownouts"
    RETRIES = "retries"
    BATCHES = "batches"


@dataclass(frozen=True, slots=True)
class Latency:
    """What MON-3 reads.

    Attributes:
        slower: the factor on every latency, against the baseline's.
        baseline: the number of the baseline's requests.
        drift: the standard deviation of the logarithm of a further factor, which wanders from minute to minute.
    """

    slower: float
    baseline: int
    drift: float = 0.0


@dataclass(frozen=True, slots=True)
class World:
    """What is true while a window is watched.

    Attributes:
        rate_per_s: how many requests users make a second.
        share: the true share of failed requests, or its mean; 0 where latencies are judged.
        latency: what MON-3 reads; None where MON-2 judges failures.
        cluster: how the fates of requests depend on each other.
        onset_s: when the fault begins; before that, the provider is healthy.
        window_s: how long the window is, without its extension.
        is_diurnal: whether the load swings by 80 % within a day, from a random hour on.
    """

    rate_per_s: float
    share: float = 0.0
    latency: Latency | None = None
    cluster: Cluster = Cluster.NONE
    onset_s: int = 0
    window_s: int = WINDOW_S
    is_diurnal: bool = False

    @property
    def window_polls(self) -> int:
        """The polls of the window, without its extension."""
        return self.window_s // POLL_S

    @property
    def polls(self) -> int:
        """The polls of the window and its longest extension."""
        return 2 * self.window_polls


@dataclass(frozen=True, slots=True)
class Streams:
    """The polls of many windows.

    Attributes:
        requests: the requests of each poll and window, of shape (polls, windows).
        bad: those of them that failed or were slow.
        right_from: the first poll, from 1 on, at which a breach is right, of each window; above all polls if none is.
    """

    requests: Ints
    bad: Ints
    right_from: Ints


def draw(world: World, windows: int, seed: int, alpha: float) -> Streams:
    """Return the streams of so many windows; alpha is the trigger's, half of which is the baseline's."""
    rng = np.random.default_rng(seed)
    shares, right_from = _failed(world, windows) if world.latency is None else _slow(world, windows, alpha, rng)
    load = np.broadcast_to(_load(world, windows, rng), (world.polls, windows))
    match world.cluster:
        case Cluster.RETRIES:
            requests, bad = _retried(load, world.share, rng)
        case Cluster.BATCHES:
            requests, bad = _batched(load, world.share, rng)
        case _:
            shares = _with_brownouts(world, windows, rng) if world.cluster is Cluster.BROWNOUTS else shares
            requests = rng.poisson(load)
            bad = rng.binomial(requests, shares)
    return Streams(requests, bad, right_from)


def _load(world: World, windows: int, rng: np.random.Generator) -> Floats:
    """Return the expected requests of each poll, of shape (polls or 1, windows or 1)."""
    mean = world.rate_per_s * POLL_S
    if not world.is_diurnal:
        return np.full((1, 1), mean)
    turns = np.arange(world.polls)[:, None] * (POLL_S / DAY_S) + rng.random(windows)
    return mean * (1 + _SWING * np.sin(2 * math.pi * turns))


def _failed(world: World, windows: int) -> tuple[Floats, Ints]:
    """Return the share of failures of each poll, of shape (polls, 1), and from when on a breach is right."""
    onset = world.onset_s // POLL_S
    shares = np.where(np.arange(world.polls) < onset, BEFORE, world.share)[:, None]
    return shares, _right_from(world, windows, is_wrong=world.share > LIMIT)


def _slow(world: World, windows: int, alpha: float, rng: np.random.Generator) -> tuple[Floats, Ints]:
    """Return the share of slow requests, of shape (polls, windows), and from when on a breach is right."""
    if world.latency is None:
        raise ValueError("the world has no latencies")
    bound = latency.baseline_bound(world.latency.baseline, alpha)
    limits_s = latency.draw_limits_s(bound, world.latency.baseline, windows, rng)
    factors = np.where(np.arange(world.polls) < world.onset_s // POLL_S, 1.0, world.latency.slower)[:, None]
    true_limit_s = latency.FACTOR * latency.quantile_s(1 - latency.SHARE)
    if not world.latency.drift:
        is_wrong = world.latency.slower > latency.FACTOR
        return latency.slower_share(limits_s / factors), _right_from(world, windows, is_wrong=is_wrong)
    factors = factors * _drift(world.latency.drift, world.polls, windows, rng)
    return latency.slower_share(limits_s / factors), _first_excess(latency.slower_share(true_limit_s / factors))


def _right_from(world: World, windows: int, *, is_wrong: bool) -> Ints:
    return np.full(windows, world.onset_s // POLL_S + 1 if is_wrong else world.polls + 1)


def _drift(deviation: float, polls: int, windows: int, rng: np.random.Generator) -> Floats:
    """Return factors that wander by the minute: their logarithms are autoregressive of order 1."""
    logs = np.empty((-(-polls // MINUTE), windows))
    logs[0] = deviation * rng.standard_normal(windows)
    for minute in range(1, len(logs)):
        fresh = deviation * math.sqrt(1 - _PERSISTENCE**2) * rng.standard_normal(windows)
        logs[minute] = _PERSISTENCE * logs[minute - 1] + fresh
    return np.repeat(np.exp(logs), MINUTE, axis=0)[:polls]


def _first_excess(shares: Floats) -> Ints:
    """Return the first poll of five minutes whose true share is above the limit, or a number above all polls."""
    sums = np.vstack([np.zeros(shares.shape[1]), shares.cumsum(axis=0)])
    exceeds = (sums[FIVE_MINUTES:] - sums[:-FIVE_MINUTES]) / FIVE_MINUTES > latency.SHARE
    return np.where(exceeds.any(axis=0), exceeds.argmax(axis=0) + 1, len(shares) + 1)


def _with_brownouts(world: World, windows: int, rng: np.random.Generator) -> Floats:
    """Return shares with the world's mean: 25 % for 15 s in every 600 s, from a random moment on."""
    base = (world.share * _BROWNOUT_EVERY_S - _BROWNOUT * _BROWNOUT_S) / (_BROWNOUT_EVERY_S - _BROWNOUT_S)
    starts_s = np.arange(world.polls)[:, None] * POLL_S
    into_s = (starts_s - rng.random(windows) * _BROWNOUT_EVERY_S) % _BROWNOUT_EVERY_S
    ends_s = into_s + POLL_S - _BROWNOUT_EVERY_S
    within_s = np.clip(_BROWNOUT_S - into_s, 0, POLL_S) + np.clip(ends_s, 0, POLL_S)
    return base + (_BROWNOUT - base) * within_s / POLL_S


def _retried(load: Floats, mean: float, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Return requests of which each that fails is made, and fails, four times within its poll."""
    share = mean / (_TRIES - (_TRIES - 1) * mean)
    wanted = rng.poisson(load / (1 + (_TRIES - 1) * share))
    failed = rng.binomial(wanted, share)
    return wanted + (_TRIES - 1) * failed, _TRIES * failed


def _batched(load: Floats, mean: float, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Return requests that come in batches of 20, of which three in ten succeed or fail as one."""
    batches = rng.poisson(load / _BATCH)
    united = rng.binomial(batches, _ONE_FATE)
    failed = rng.binomial(united, mean)
    return _BATCH * batches, _BATCH * failed + rng.binomial(_BATCH * (batches - united), mean)
