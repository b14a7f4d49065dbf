"""The worlds of the record, and how many windows of each are watched."""

from __future__ import annotations

from collections.abc import Sequence

from bench.characteristic.worlds import DAY_S, LIMIT, Cluster, Latency, World

FALSE_ALARMS, DETECTIONS, DAYS = 10_000, 1_000, 200
RATES = (1 / 60, 0.1, 1.0, 10.0, 1000.0)
BUSY = (1.0, 10.0, 1000.0)
CLUSTERS = (Cluster.BROWNOUTS, Cluster.RETRIES, Cluster.BATCHES)
MEANS = (0.03, 0.04)
MULTIPLES = (1.2, 1.5, 2.0, 3.0, 5.0, 20.0)
"""The last one is an outage."""

BASELINES = (20, 1_000, 10_000)
MINUTE_20_S, HOUR_23_S = 1200, 23 * 3600
ONSETS_S = (0, MINUTE_20_S, HOUR_23_S)

PLAIN = [World(rate, share) for share in (0.01, 0.02, 0.03, 0.04) for rate in RATES]
NEAR_LIMIT = [World(rate, share) for share in (0.045, 0.049) for rate in RATES]
SLOW_BUT_WITHIN = [
    World(rate, latency=Latency(slower, baseline))
    for slower in (1.0, 1.5, 1.8)
    for baseline in BASELINES
    for rate in BUSY
]
SLOWLY_DRIFTING, DRIFTING = (
    [World(rate, latency=Latency(1.0, 10_000, drift)) for rate in BUSY] for drift in (0.25, 0.5)
)
"""At 0.25, five minutes above the limit are rare; at 0.5, they are frequent, and single minutes above it more so."""

CLUSTERED = [
    World(rate, mean, cluster=cluster) for cluster in CLUSTERS for mean in MEANS for rate in (0.1, 1.0, 10.0, 1000.0)
]
HEALTHY_DAYS = [
    *(World(1.0, share, window_s=DAY_S, is_diurnal=True) for share in (0.01, 0.03, 0.04)),
    *(World(1.0, latency=Latency(slower, 10_000), window_s=DAY_S, is_diurnal=True) for slower in (1.0, 1.5, 1.8)),
]
TOO_SLOW = [
    World(rate, latency=Latency(slower, baseline))
    for slower in (3.0, 4.0, 6.0)
    for baseline in BASELINES
    for rate in BUSY
]


def failing(rate_per_s: float, multiple: float, onset_s: int = 0) -> World:
    """Return the world in which errors reach a multiple of the limit: in a day where they begin after 23 h."""
    share = round(LIMIT * multiple, 4)
    if onset_s == HOUR_23_S:
        return World(rate_per_s, share, onset_s=onset_s, window_s=DAY_S)
    return World(rate_per_s, share, onset_s=onset_s)


FAILING = [failing(rate, multiple, onset_s) for onset_s in ONSETS_S for multiple in MULTIPLES for rate in RATES]
WITHIN = (*PLAIN, *NEAR_LIMIT, *SLOW_BUT_WITHIN, *SLOWLY_DRIFTING, *CLUSTERED, *HEALTHY_DAYS)


def windows(divisor: int = 1) -> dict[World, int]:
    """Return how many windows of each world are watched, the longest first; a divisor of 100 is a hundredth."""
    counts = {world: _windows(world) for world in (*WITHIN, *DRIFTING, *FAILING, *TOO_SLOW)}
    ordered = sorted(counts, key=lambda world: -world.window_s)
    return {world: max(1, counts[world] // divisor) for world in ordered}


def _windows(world: World) -> int:
    if world.window_s == DAY_S:
        return DAYS
    return FALSE_ALARMS if world in {*WITHIN, *DRIFTING} else DETECTIONS


def name_rate(rate_per_s: float) -> str:
    """Return a rate as people say it."""
    return f"{rate_per_s:,g}/s" if rate_per_s * 60 > 1 else "1/min"


def name_world(world: World) -> str:
    """Return what is true in a world, without its rate and its onset."""
    if world.latency is not None:
        drift = f", drifting by {world.latency.drift:g}" if world.latency.drift else ""
        return f"latencies {world.latency.slower:g} x{drift}, baseline of {world.latency.baseline:,}"
    if world.share == 1.0:
        return "outage"
    if world.cluster is not Cluster.NONE:
        return f"{world.cluster.value}, mean {name_share(world.share)}"
    return f"errors {name_share(world.share)}"


def name_share(share: float) -> str:
    """Return a share in per cent."""
    return f"{100 * share:.3g} %"


def name_worlds(worlds: Sequence[World]) -> str:
    """Return worlds with their rates, in one line."""
    return "; ".join(f"{name_world(world)} at {name_rate(world.rate_per_s)}" for world in worlds)


def name_onset(onset_s: int) -> str:
    """Return when a fault begins."""
    return {0: "from the start", MINUTE_20_S: "from minute 20", HOUR_23_S: "after 23 h"}[onset_s]
