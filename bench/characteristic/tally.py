"""The windows of a world, judged and counted."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np

from bench.characteristic import latency
from bench.characteristic.binomial import Floats, Ints
from bench.characteristic.judge import Ends, Rule, judge
from bench.characteristic.rivals import first_rollbacks
from bench.characteristic.worlds import LIMIT, POLL_S, Streams, World, draw

BLOCK = 1000
ALPHA = 0.01


@dataclass(frozen=True, slots=True)
class Alarms:
    """When a rule rolled back.

    Attributes:
        wrong: windows in which it did while the truth was within the limit.
        delays_s: seconds from the onset to each other rollback, of shape (rollbacks,).
    """

    wrong: int
    delays_s: Floats

    @property
    def count(self) -> int:
        """All windows that were rolled back."""
        return self.wrong + self.delays_s.size


@dataclass(frozen=True, slots=True)
class Tally:
    """What became of the windows of a world.

    Attributes:
        windows: how many were watched.
        breached: the breaches of the rule.
        inconclusive: windows that were rolled back after their extension, without a breach.
        kept_above: windows that were kept although their own estimate is above the limit.
        rivals: the rollbacks of each other rule.
    """

    windows: int
    breached: Alarms
    inconclusive: int
    kept_above: int
    rivals: Mapping[str, Alarms]

    @property
    def kept(self) -> int:
        """Windows that held."""
        return self.windows - self.breached.count - self.inconclusive

    @property
    def rolled_back(self) -> int:
        """Windows that were rolled back: by a breach, or inconclusive to the end."""
        return self.breached.count + self.inconclusive


def run(worlds: Mapping[World, int]) -> Mapping[World, Tally]:
    """Watch so many windows of each world, on all processors, and count how they end."""
    jobs = [
        (world, min(BLOCK, windows - seed * BLOCK), seed)
        for world, windows in worlds.items()
        for seed in range(math.ceil(windows / BLOCK))
    ]
    with ProcessPoolExecutor() as pool:
        tallies = pool.map(watch_block, *zip(*jobs, strict=True))
        found: dict[World, list[Tally]] = {world: [] for world in worlds}
        for (world, _, _), tally in zip(jobs, tallies, strict=True):
            found[world].append(tally)
    return {world: _merged(parts) for world, parts in found.items()}


def watch_block(world: World, windows: int, seed: int) -> Tally:
    """Watch a block of windows, and count how they end."""
    streams = draw(world, windows, seed, ALPHA)
    ends = judge(streams.requests, streams.bad, rule_of(world), world.window_polls)
    others = first_rollbacks(streams.requests, streams.bad, world.window_polls)
    return Tally(
        windows=windows,
        breached=_alarms(world, streams, ends.breached),
        inconclusive=int(((ends.breached == 0) & (ends.held == 0)).sum()),
        kept_above=_kept_above(streams, ends, rule_of(world)),
        rivals={name: _alarms(world, streams, polls) for name, polls in others.items()},
    )


def rule_of(world: World) -> Rule:
    """Return the rule of MON-2, or of MON-3, which spends half of its alpha on the baseline."""
    if world.latency is None:
        return Rule(LIMIT, ALPHA, world.polls)
    return Rule(latency.baseline_bound(world.latency.baseline, ALPHA).share, ALPHA / 2, world.polls)


def _alarms(world: World, streams: Streams, polls: Ints) -> Alarms:
    right = (polls > 0) & (polls >= streams.right_from)
    return Alarms(int(((polls > 0) & ~right).sum()), np.asarray(polls[right] * POLL_S - world.onset_s, float))


def _kept_above(streams: Streams, ends: Ends, rule: Rule) -> int:
    kept = np.flatnonzero(ends.held)
    bad, requests = (counts.cumsum(axis=0)[ends.held[kept] - 1, kept] for counts in (streams.bad, streams.requests))
    return int((bad > rule.limit * requests).sum())


def _merged(parts: list[Tally]) -> Tally:
    return Tally(
        windows=sum(part.windows for part in parts),
        breached=_joined(part.breached for part in parts),
        inconclusive=sum(part.inconclusive for part in parts),
        kept_above=sum(part.kept_above for part in parts),
        rivals={name: _joined(part.rivals[name] for part in parts) for name in parts[0].rivals},
    )


def _joined(parts: Iterable[Alarms]) -> Alarms:
    alarms = list(parts)
    return Alarms(sum(each.wrong for each in alarms), np.concatenate([each.delays_s for each in alarms]))
