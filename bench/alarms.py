"""(f) How often the triggers fire when nothing is wrong, and how soon when something is, in windows of 30 minutes.

`rollout.monitoring.window.watch` itself, with the sources and triggers of a real window at their default settings, on
a clock that takes no time. The gateway is simulated: users arrive at random (Poisson), a share of their requests
fails, and latencies are log-normal (sigma 0.4, so that P95 is 1.9 times the median). Every window has a seed of its
own: the numbers are the same on every machine.
"""

from __future__ import annotations

import math
import random
from collections import deque
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from statistics import median, quantiles

from bench.table import Row
from rollout.core.clock import StopFlag
from rollout.core.errors import GatewayError
from rollout.core.scenario import Monitor
from rollout.gateway.responses import Completion, Metrics
from rollout.monitoring.samples import Baseline
from rollout.monitoring.sources.registry import gateway_sources
from rollout.monitoring.verdict import percentile
from rollout.monitoring.window import watch
from tests.support.clocks import SimulatedClock
from tests.support.windows import TARGET, FakeGateway, context, metrics

WINDOWS = 1000
USERS_PER_S = 1.0
HEALTHY = 0.01
SIGMA = 0.4
MEDIAN_MS = 400.0
RESERVOIR = 1000


@dataclass(frozen=True, slots=True)
class World:
    """The conditions of a window.

    Attributes:
        error_rate: the share of requests that fail.
        slower: the factor on every latency.
        users_per_s: how many requests users make.
    """

    error_rate: float = HEALTHY
    slower: float = 1.0
    users_per_s: float = USERS_PER_S


class Simulated(FakeGateway):
    """A gateway of such a world; its counters and percentiles cover the time since its start."""

    def __init__(self, world: World, clock: SimulatedClock, seed: int) -> None:
        """Start without requests."""
        super().__init__()
        self._world, self._clock = world, clock
        self._random = random.Random(seed)
        self._total = self._failed = 0
        self._latencies: deque[float] = deque(maxlen=RESERVOIR)
        self._seen_s = 0.0

    def metrics(self, provider: str, /) -> Metrics:
        """Add the users' requests since the last poll, and return the counters."""
        now_s = self._clock.monotonic()
        for _ in range(_poisson(self._random, self._world.users_per_s * (now_s - self._seen_s))):
            self._request()
        self._seen_s = now_s
        p95_ms = percentile(sorted(self._latencies)) if self._latencies else None
        self.counters = metrics(self._total, self._failed, p95_ms, len(self._latencies))
        return super().metrics(provider)

    def chat(self, prompt: str, /, *, max_tokens: int = 16) -> Completion:
        """Answer one synthetic request, or fail."""
        latency_ms = self._request()
        if latency_ms is None:
            raise GatewayError("POST /api/v1/chat/completions", "the gateway failed (502)", status=502)
        self.completion = replace(self.completion, elapsed_ms=latency_ms)
        return super().chat(prompt, max_tokens=max_tokens)

    def _request(self) -> float | None:
        self._total += 1
        if self._random.random() < self._world.error_rate:
            self._failed += 1
            return None
        latency_ms = MEDIAN_MS * self._world.slower * self._random.lognormvariate(0.0, SIGMA)
        self._latencies.append(latency_ms)
        return latency_ms


@dataclass(frozen=True, slots=True)
class Ended:
    """How a window ended: the trigger that fired and when, or, with neither, whether it passed."""

    fired: str | None
    after_s: float
    passed: bool


def measure(windows: int) -> list[Row]:
    """Return false alarms, detections and delays, each of so many windows."""
    healthy = _ended(World(), windows)
    failing = _ended(World(error_rate=2 * Monitor().limits.error_rate), windows)
    slow = _ended(World(slower=2 * Monitor().limits.latency_factor), windows)
    quiet = _ended(World(users_per_s=0.1), windows)
    alarms = sum(each.fired is not None for each in healthy)
    few = sum(each.fired is not None for each in quiet)
    traffic = f"{USERS_PER_S:g} request/s, {HEALTHY:.0%} fail"
    return [
        Row(
            "f", f"false alarms in healthy windows of 30 min ({traffic})", f"{alarms} of {windows}", "0", met=not alarms
        ),
        _detected("MON-2", f"error rate {2 * Monitor().limits.error_rate:.0%}, twice the limit", failing),
        _detected("MON-3", "latencies 4 times the baseline's, twice the limit", slow),
        Row("f", "false alarms where users are few (0.1 request/s, 1% fail)", f"{few} of {windows}", "none is set"),
    ]


def _detected(clause: str, what: str, found: list[Ended]) -> Row:
    delays = sorted(each.after_s for each in found if each.fired == clause)
    fired = sum(each.fired is not None for each in found)
    spread = "none"
    if len(delays) > 1:
        spread = f"median {median(delays):.0f} s, P95 {quantiles(delays, n=20)[-1]:.0f} s, longest {delays[-1]:.0f} s"
    measured = f"{fired} of {len(found)} fired, {len(delays)} of them {clause}; {spread}"
    return Row("f", f"detection: {what}", measured, f"{len(found)} of {len(found)}", met=fired == len(found))


def _ended(world: World, windows: int) -> list[Ended]:
    with ProcessPoolExecutor() as pool:
        return list(pool.map(partial(one, world), range(windows), chunksize=max(1, windows // 50)))


def one(world: World, seed: int) -> Ended:
    """Watch one window, at the default settings, against a baseline of the healthy world."""
    clock, monitor = SimulatedClock(), Monitor()
    gateway = Simulated(world, clock, seed)
    known = context(monitor, baseline=_baseline(seed), counters_before=metrics(0, 0, None, 0))
    watched = watch(
        gateway_sources(gateway, known, TARGET, operator=lambda: None, clock=clock),
        known,
        clock=clock,
        stop=StopFlag(),
        window_s=monitor.window_s,
        on_sample=lambda _sample: None,
        on_verdicts=lambda _verdicts, _now_s: None,
        start=lambda poll: poll(),
    )
    return Ended(watched.breach and watched.breach.clause, watched.watched_s, watched.passed)


def _baseline(seed: int) -> Baseline:
    """Return the baseline of a precheck: of users, and of twenty synthetic requests."""
    chance = random.Random(-seed - 1)
    users, own = (_p95(chance, count) for count in (RESERVOIR, Monitor().min_samples))
    return Baseline("ollama", users, RESERVOIR, HEALTHY, 10_000, own, Monitor().min_samples)


def _p95(chance: random.Random, count: int) -> float:
    return percentile(sorted(MEDIAN_MS * chance.lognormvariate(0.0, SIGMA) for _ in range(count)))


def _poisson(chance: random.Random, mean: float) -> int:
    """Return how many arrive where `mean` do on average."""
    if not mean:
        return 0
    limit, count, product = math.exp(-mean), 0, chance.random()
    while product > limit:
        count += 1
        product *= chance.random()
    return count
