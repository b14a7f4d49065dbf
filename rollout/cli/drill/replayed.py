"""``rollout drill``: whether each rollback trigger can fire, and how soon, with a scenario's own limits and paces.

Each trigger's breach is injected into the judge itself: the window's own loop, sources and triggers, on a clock of the
drill's that takes no time, against a provider that is healthy until the breach. No gateway is needed, and none is
touched. A trigger that cannot fire is a finding; what was left out is named, and is none that fired.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from rollout.cli.drill.simulated import (
    HEALTHY,
    RESERVOIR,
    TWICE,
    USERS_PER_S,
    Injected,
    SimulatedClock,
    SimulatedProvider,
    healthy_latency_ms,
    latency_limit_ms,
)
from rollout.core.clock import StopFlag
from rollout.core.request import Request
from rollout.core.scenario import MINUTE_S, Monitor, Probe, ProviderChange
from rollout.core.target import Target
from rollout.monitoring.samples import Baseline, Context, SourceName
from rollout.monitoring.sources.registry import Source, gateway_sources
from rollout.monitoring.verdict import show_span
from rollout.monitoring.window import watch
from rollout.sandbox.settings import SandboxSettings

LONGEST_CONTROL_S = 3600.0
FACTORS = (TWICE, 3.0, 5.0, 10.0, 20.0)
"""Of the error rates at these multiples of the limit, the least that the window tells from chance is the breach."""

_WORDS = {True: "fired", False: "FINDING", None: "left out"}


@dataclass(frozen=True, slots=True)
class Drilled:
    """The result of one breach.

    Attributes:
        clause: the trigger that had to fire; ``none`` for the control without a breach, in which none may.
        what: the breach, described.
        fired: whether it ended the window, or, for the control, nothing did; None where it was left out.
        by: the trigger that ended the window, None where none did.
        after_s: seconds from the breach to the verdict, None without one.
        back_after_s: seconds from the verdict to the proof of the rollback; None without one.
        why: the verdict's sentence, or why it was left out.
    """

    clause: str
    what: str
    fired: bool | None
    by: str | None = None
    after_s: float | None = None
    back_after_s: float | None = None
    why: str = ""

    @property
    def is_finding(self) -> bool:
        """Whether the trigger did not fire, another one did in its place, or one fired without a breach."""
        return self.fired is False

    def __str__(self) -> str:
        """Return it as one line of a table."""
        word = "quiet" if self.clause == "none" and self.fired else _WORDS[self.fired]
        after = "" if self.after_s is None else f"after {_seconds(self.after_s)}"
        back = "" if self.back_after_s is None else f"back after {_seconds(self.back_after_s)}"
        reason = self.why if self.fired is not True else ""
        return f"{self.clause:<6} {word:<8} {'  '.join(filter(None, (self.what, after, back, reason)))}"


def _seconds(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < MINUTE_S else show_span(seconds)


def judged(request: Request) -> Iterator[Drilled]:
    """Yield the result of each trigger's breach, a healthy control first, with the scenario's own limits.

    Users make as many requests as the embedded gateway's would, where the scenario goes to it, else one a second.
    """
    scenario = request.scenario
    change = next((c for c in scenario.changes if isinstance(c, ProviderChange)), ProviderChange("new", "model"))
    monitor = _agreeable(scenario.monitor)
    users_per_s = USERS_PER_S
    if request.target.url is None:
        users_per_s = SandboxSettings.from_mapping(scenario.sandbox).users_per_s
    yield _control(change, monitor, users_per_s)
    for breach in breaches(monitor, users_per_s):
        if why := _left_out(breach, monitor):
            yield Drilled(breach.clause, breach.what, None, why=why)
        elif 0 < breach.error_share < 1:
            yield from _raise_errors(breach, change, monitor)
        else:
            yield _inject(breach, change, monitor)[0]
    yield from _read_elsewhere(request.target)


def breaches(monitor: Monitor, users_per_s: float = USERS_PER_S) -> list[Injected]:
    """Return every breach that is injected, at least one a trigger: with so many users, or without any."""
    slower = TWICE * latency_limit_ms(monitor) / healthy_latency_ms(monitor)
    longer = f"latencies are {slower:.3g} times as long"
    with_users = partial(Injected, users_per_s=users_per_s)
    without_users = partial(Injected, users_per_s=0.0)
    unavailable = (SourceName.STATUS, SourceName.METRICS, SourceName.ALERTS, SourceName.FALLBACKS)
    return [
        with_users("MON-1", "the provider is offline", status="offline"),
        with_users("MON-1", "the provider is degraded", status="degraded"),
        _failing(with_users("MON-2", ""), min(1.0, TWICE * monitor.limits.error_rate)),
        # With a few requests of the suite alone, twice the limit differs from chance only after a long time.
        without_users("MON-2", "every request fails, no users", error_share=1.0),
        with_users("MON-3", longer, slower=slower),
        without_users("MON-3", f"{longer}, no users", slower=slower),
        with_users("MON-4", "a critical alert fires", event="alert"),
        with_users("MON-5", "an operator asks for an abort", event="abort"),
        with_users("MON-5", "the gateway falls back", event="fallback"),
        with_users("MON-5", "another model answers", event="wrong model"),
        with_users("MON-5", "the log matches the error pattern", event="log line"),
        *(with_users("MON-6", f"{source} gives no data", no_data=source) for source in unavailable),
        with_users("MON-7", "the run is asked to stop", event="stop"),
    ]


def _failing(breach: Injected, share: float) -> Injected:
    return replace(breach, what=f"{share:.0%} of the requests fail", error_share=share)


def text(rows: Sequence[Drilled], heading: str) -> str:
    """Return rows as lines under a heading, and their totals."""
    return "\n".join([heading, *(f"  {row}" for row in rows), f"  {totals(rows)}"])


def totals(rows: Sequence[Drilled]) -> str:
    """Return how many breaches fired, how many are findings, and how many were left out."""
    count = Counter(row.fired for row in rows)
    return f"{count[True]} as they should, {count[False]} findings, {count[None]} left out"


def _read_elsewhere(target: Target) -> Iterator[Drilled]:
    """Yield what the drill leaves out: the servers that this target's numbers or alerts are read from."""
    why = "the drill's provider answers as the gateway's own API does; PRE-2.5 checks whether this source answers"
    if target.sources.prometheus is not None:
        yield from (Drilled(clause, "read from Prometheus", None, why=why) for clause in ("MON-2", "MON-3"))
    if target.sources.alertmanager is not None:
        yield Drilled("MON-4", "read from Alertmanager", None, why=why)


def _left_out(breach: Injected, monitor: Monitor) -> str:
    """Return why a breach is left out with this scenario; empty if it is not."""
    if breach.event == "log line" and monitor.error_pattern is None:
        return "the scenario names no monitor.error_pattern"
    if not monitor.in_turn and (breach.event == "wrong model" or breach.users_per_s == 0):
        return "probes are off: without users the window stays inconclusive, and the change is rolled back at its end"
    return ""


def _agreeable(monitor: Monitor) -> Monitor:
    """Return the monitor without signals and expectations of answers: the drill's gateway satisfies neither."""
    probes = None if monitor.probes is None else tuple(Probe(probe.prompt) for probe in monitor.probes)
    return replace(monitor, expect=None, probes=probes, signals=None)


def _control(change: ProviderChange, monitor: Monitor, users_per_s: float) -> Drilled:
    # A healthy day shows no more than a healthy hour, and takes longer.
    short = replace(monitor, window_s=min(monitor.window_s, LONGEST_CONTROL_S))
    ended = _window(replace(HEALTHY, users_per_s=users_per_s), change, short, math.inf)
    return Drilled(HEALTHY.clause, HEALTHY.what, ended.by is None, ended.by, why=ended.why)


def _raise_errors(breach: Injected, change: ProviderChange, monitor: Monitor) -> Iterator[Drilled]:
    """Yield the least error rate that ends the window; lower ones that it cannot tell from chance are left out."""
    for share in sorted({1.0, *(min(1.0, factor * monitor.limits.error_rate) for factor in FACTORS)}):
        row, is_undecided = _inject(_failing(breach, share), change, monitor)
        if not is_undecided or share == 1.0:
            yield row
            return
        yield replace(row, fired=None, why=f"rolled back at the window's end all the same: {row.why}")


def _inject(breach: Injected, change: ProviderChange, monitor: Monitor) -> tuple[Drilled, bool]:
    """Return the result of a breach, and whether its trigger was undecided to the end."""
    # Late enough that health is known, early enough that a window of hours is drilled in minutes.
    at_s = min(monitor.window_s / 3, 2 * monitor.short_span_s)
    ended = _window(breach, change, monitor, at_s)
    after_s = max(0.0, ended.watched_s - at_s) if ended.by else None
    row = Drilled(breach.clause, breach.what, ended.by == breach.clause, ended.by, after_s, why=ended.why)
    return row, ended.is_undecided


@dataclass(frozen=True, slots=True)
class _Ended:
    """The end of a window.

    Attributes:
        by: the trigger that ended it, None where none did.
        watched_s: when it ended, in seconds.
        why: the sentence of its verdict, or of the verdicts of the trigger that should have ended it.
        is_undecided: whether that trigger was undecided to the end, which rolls back.
    """

    by: str | None
    watched_s: float
    why: str
    is_undecided: bool = False


def _window(breach: Injected, change: ProviderChange, monitor: Monitor, at_s: float) -> _Ended:
    """Watch a window in which the breach begins at `at_s`."""
    clock, stop = SimulatedClock(), StopFlag()
    previous = ProviderChange(f"not-{change.provider}", "model")
    provider = SimulatedProvider(breach, change, monitor, clock, at_s)
    base = Baseline(
        previous.provider,
        users_p95_ms=healthy_latency_ms(monitor),
        users_samples=RESERVOIR,
        synthetic_p95_ms=healthy_latency_ms(monitor),
        synthetic_samples=max(monitor.min_samples, 1),
        synthetic_latencies_ms=(healthy_latency_ms(monitor),) * max(monitor.min_samples, 1),
    )
    known = Context(change, previous, monitor, base, counters_before=provider.metrics(change.provider))
    target = Target(name="drill", environment="drill")
    sources = list(gateway_sources(provider, known, target, operator=provider.abort, clock=clock))
    if monitor.error_pattern is not None:
        sources.append(Source(SourceName.LOG, monitor.log_every_s, provider.lines))
    if breach.event == "stop":
        clock.at(at_s, lambda: stop.set("the drill asks the run to stop"))
    watched = watch(
        sources,
        known,
        clock=clock,
        stop=stop,
        window_s=monitor.window_s,
        on_sample=lambda _: None,
        on_verdicts=lambda *_: None,
        start=lambda work: work(),
    )
    if watched.breach is not None:
        return _Ended(watched.breach.clause, watched.watched_s, watched.breach.message)
    own = next((verdict for verdict in watched.verdicts if verdict.clause == breach.clause), None)
    why = "" if own is None else f"{own.clause} {own.state}: {own.message}"
    return _Ended(None, watched.watched_s, why, is_undecided=own is not None and own.undecided)
