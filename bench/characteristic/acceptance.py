"""What the rule must achieve, beside what it does."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from bench.characteristic import catalogue
from bench.characteristic.catalogue import BUSY, failing, name_onset, name_worlds
from bench.characteristic.latency import FACTOR
from bench.characteristic.rivals import ARGO, FLAGGER
from bench.characteristic.tally import ALPHA, Alarms, Tally
from bench.characteristic.worlds import LIMIT, POLL_S, Latency, World
from bench.table import Row

Tallies = Mapping[World, Tally]

_OF = 10_000
_TWICE_THE_LIMIT = 2 * FACTOR


def rows(tallies: Tallies) -> list[Row]:
    """Return the acceptance figures of the rule, each with its limit."""
    return [
        *_false_breaches(tallies),
        *_inconclusive(tallies),
        *_near_limit(tallies),
        _kept_too_bad(tallies),
        _kept_above(tallies),
        *_delays(tallies),
        _slow_detected(tallies),
        *_against_others(tallies),
    ]


def bound_s(world: World) -> float:
    """Return the mean delay, in seconds, that no test of this alpha beats: ln(1/alpha) / KL, in whole polls."""
    share = world.share
    divergence = share * math.log(share / LIMIT)
    if share < 1:
        divergence += (1 - share) * math.log((1 - share) / (1 - LIMIT))
    return math.ceil(math.log(1 / ALPHA) / divergence / world.rate_per_s / POLL_S) * float(POLL_S)


def show_delays(alarms: Alarms) -> str:
    """Return the median and the 95th percentile of delays, in seconds."""
    if not alarms.delays_s.size:
        return "none"
    middle, late = np.percentile(alarms.delays_s, (50, 95))
    return f"{middle:,.0f} / {late:,.0f} s"


def _median_s(alarms: Alarms) -> float:
    return float(np.median(alarms.delays_s)) if alarms.delays_s.size else math.inf


def _false_breaches(tallies: Tallies) -> list[Row]:
    clustered = {mean: [each for each in catalogue.CLUSTERED if each.share == mean] for mean in catalogue.MEANS}
    groups = [
        ("errors of 1 to 4 %", catalogue.PLAIN, 10, _OF),
        ("latencies up to 1.8 x", catalogue.SLOW_BUT_WITHIN, 10, _OF),
        ("drifting latencies, without 5 minutes above the limit", catalogue.SLOWLY_DRIFTING, 10, _OF),
        ("clustered errors, mean 3 %", clustered[0.03], 50, _OF),
        ("clustered errors, mean 4 %", clustered[0.04], 250, _OF),
        ("healthy days, diurnal load", catalogue.HEALTHY_DAYS, 1, catalogue.DAYS),
    ]
    return [
        _worst(f"breached within the limit: {what}", tallies, worlds, _wrong, (most, of))
        for what, worlds, most, of in groups
    ]


def _inconclusive(tallies: Tallies) -> list[Row]:
    return [
        _worst(
            f"inconclusive to the end: errors {catalogue.name_share(share)} at 1/s",
            tallies,
            [World(1.0, share)],
            lambda tally: tally.inconclusive,
            (most, _OF),
        )
        for share, most in ((0.03, 20), (0.04, 50))
    ]


def _near_limit(tallies: Tallies) -> list[Row]:
    """Return what becomes of providers that no rule can tell from one at the limit."""
    worlds = [world for world in catalogue.NEAR_LIMIT if world.rate_per_s in BUSY]
    return [
        Row(
            "f",
            f"near the limit: {name_worlds([world])}",
            f"breached {tallies[world].breached.count}, inconclusive {tallies[world].inconclusive} "
            f"of {tallies[world].windows:,}",
        )
        for world in worlds
    ]


def _wrong(tally: Tally) -> int:
    return tally.breached.wrong


def _worst(
    what: str, tallies: Tallies, worlds: Sequence[World], count: Callable[[Tally], int], most: tuple[int, int]
) -> Row:
    """Return the row of the world with the highest count, and whether its share of the windows is allowed."""
    worst = max(worlds, key=lambda world: count(tallies[world]) / tallies[world].windows)
    counted, windows = count(tallies[worst]), tallies[worst].windows
    measured = f"{counted} of {windows:,}"
    if len(worlds) > 1:
        what = f"{what}; the worst of {len(worlds)} worlds"
        measured += f" ({name_worlds([worst])})" if counted else ""
    return Row("f", what, measured, f"<= {most[0]} of {most[1]:,}", met=counted * most[1] <= most[0] * windows)


def _kept_too_bad(tallies: Tallies) -> Row:
    worlds = [failing(rate, 1.2) for rate in BUSY]
    return _worst("kept: errors at 1.2 x the limit, from 1/s on", tallies, worlds, lambda tally: tally.kept, (5, 100))


def _kept_above(tallies: Tallies) -> Row:
    kept = sum(tally.kept_above for tally in tallies.values())
    windows = sum(tally.windows for tally in tallies.values())
    return Row("f", "kept with an estimate above the limit", f"{kept} of {windows:,}", "0", met=kept == 0)


def _delays(tallies: Tallies) -> list[Row]:
    twice = [failing(rate, 2.0) for rate in BUSY]
    detected = [tallies[world].breached.delays_s.size for world in twice]
    windows = [tallies[world].windows for world in twice]
    limits = ((1.0, 2.0, 400), (10.0, 2.0, 90), (1.0, 5.0, 100))
    return [
        Row(
            "f",
            "breached: errors at twice the limit, from 1/s on",
            f"{sum(detected):,} of {sum(windows):,}",
            "all",
            met=detected == windows,
        ),
        *(_median_delay(tallies, failing(rate, multiple), most_s) for rate, multiple, most_s in limits),
        *(_late_delay(tallies, failing(rate, 20.0), most_s) for rate, most_s in ((10.0, POLL_S), (1.0, 60))),
    ]


def _median_delay(tallies: Tallies, world: World, most_s: float) -> Row:
    alarms = tallies[world].breached
    return Row(
        "f",
        f"delay: {name_worlds([world])} (bound {bound_s(world):g} s)",
        f"median / P95 {show_delays(alarms)}",
        f"median <= {most_s:g} s",
        met=_median_s(alarms) <= most_s,
    )


def _late_delay(tallies: Tallies, world: World, most_s: float) -> Row:
    alarms = tallies[world].breached
    late = float(np.percentile(alarms.delays_s, 95)) if alarms.delays_s.size else math.inf
    return Row(
        "f",
        f"delay: {name_worlds([world])}",
        f"median / P95 {show_delays(alarms)}",
        f"P95 <= {most_s:g} s",
        met=late <= most_s and alarms.count == tallies[world].windows,
    )


def _slow_detected(tallies: Tallies) -> Row:
    baseline = max(catalogue.BASELINES)
    worlds = [World(rate, latency=Latency(_TWICE_THE_LIMIT, baseline)) for rate in BUSY]
    found = sum(tallies[world].breached.delays_s.size for world in worlds)
    windows = sum(tallies[world].windows for world in worlds)
    what = f"breached: latencies {_TWICE_THE_LIMIT:g} x, baseline of {baseline:,}, from 1/s on"
    return Row("f", what, f"{found:,} of {windows:,}", "all", met=found == windows)


def _against_others(tallies: Tallies) -> list[Row]:
    """Return the rows on false rollbacks, breached or inconclusive, by the rate of requests, and on delays."""
    few, some, *busy = catalogue.RATES
    rates = {"1/min": (few,), "0.1/s": (some,), "1/s and more": tuple(busy)}
    return [
        _fewer("breaches", tallies, catalogue.WITHIN, _wrong),
        *(
            _fewer(
                f"rollbacks, at {name},",
                tallies,
                [world for world in catalogue.WITHIN if world.rate_per_s in chosen],
                _wrongly_rolled_back,
            )
            for name, chosen in rates.items()
        ),
        _sooner(tallies),
    ]


def _wrongly_rolled_back(tally: Tally) -> int:
    return tally.breached.wrong + tally.inconclusive


def _fewer(what: str, tallies: Tallies, worlds: Sequence[World], count: Callable[[Tally], int]) -> Row:
    """Return in how many worlds within the limit the rule alarms more often than either of the others."""
    more = [
        world
        for world in worlds
        if count(tallies[world]) > min(tallies[world].rivals[rival].wrong for rival in (ARGO, FLAGGER))
    ]
    named = f": {name_worlds(more)}" if more else ""
    return Row(
        "f",
        f"worlds within the limit with more {what} than {ARGO} or {FLAGGER}",
        f"{len(more)} of {len(worlds)}{named}",
        "0",
        met=not more,
    )


def _sooner(tallies: Tallies) -> Row:
    worlds = list(_compared())
    later = [
        world
        for world in worlds
        if _median_s(tallies[world].breached)
        >= min(_median_of_most_s(tallies[world], each) for each in (ARGO, FLAGGER))
    ]
    named = "".join(f"; {name_worlds([each])}, {name_onset(each.onset_s)}" for each in later)
    return Row(
        "f",
        f"faults that {ARGO} or {FLAGGER} sees as soon: twice the limit from 10/s, five times from 1/s",
        f"{len(later)} of {len(worlds)}{named}",
        "0",
        met=not later,
    )


def _median_of_most_s(tally: Tally, rival: str) -> float:
    """Return a rival's median delay; infinite where it has not seen most faults, or had rolled back before them."""
    alarms = tally.rivals[rival]
    return _median_s(alarms) if 2 * alarms.delays_s.size > tally.windows else math.inf


def _compared() -> Iterable[World]:
    for onset_s in catalogue.ONSETS_S:
        yield from (failing(rate, 2.0, onset_s) for rate in BUSY[1:])
        yield from (failing(rate, 5.0, onset_s) for rate in BUSY)
