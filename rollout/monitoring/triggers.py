"""The rollback triggers (MON): pure functions from aggregates and limits to a verdict.

Only a finite value from enough samples can hold: no data, NaN and too few requests are verdicts of their own, and none
is a pass. A value above the limit fires; a value at the limit does not.
The P95 of a window is the latency that at most 5 % of its requests exceed. That of a baseline is interpolated between
the two closest ranks of the sorted samples, at rank 0.95 x (n - 1).
"""

from __future__ import annotations

from collections.abc import Sequence

from rollout.core.capabilities import Capability
from rollout.gateway.responses import Alert, Connection
from rollout.monitoring.aggregates import GOOD_STATUS, Aggregates
from rollout.monitoring.behaviour import BEHAVIOUR, judge_behaviour
from rollout.monitoring.data_quality import judge_data
from rollout.monitoring.error_rise import judge_error_rate
from rollout.monitoring.latency import judge_latency
from rollout.monitoring.samples import Context, SourceName
from rollout.monitoring.verdict import NONE, Judge, State, Verdict, _no_data, _not_applicable

# Two polls a second apart are never exactly a second apart.
TOLERANCE = 0.9


def judge(aggregates: Aggregates, context: Context, now_s: float) -> tuple[Verdict, ...]:
    """Return the verdicts of MON-1 to MON-6, in this order, `now_s` seconds into the window."""
    return tuple(trigger(aggregates, context, now_s) for trigger, _ in TRIGGERS)


def judge_again(
    verdicts: Sequence[Verdict], source: str, aggregates: Aggregates, context: Context, now_s: float
) -> tuple[Verdict, ...]:
    """Return what `judge` would after one more sample of `source`, judging only the triggers that read it."""
    return tuple(
        trigger(aggregates, context, now_s) if not reads or source in reads else verdict
        for verdict, (trigger, reads) in zip(verdicts, TRIGGERS, strict=True)
    )


def judge_status(aggregates: Aggregates, context: Context, _now_s: float) -> Verdict:
    """Judge MON-1: the provider is connected; a bad status counts once a second poll confirms it."""
    if why := context.why_lacking(Capability.STATUS):
        return _not_applicable("MON-1", SourceName.STATUS, why)
    provider, limit = context.change.provider, GOOD_STATUS
    good = aggregates.good(SourceName.STATUS)
    if good is None or not isinstance(good.reading, Connection):
        return _no_data("MON-1", SourceName.STATUS, limit, f"the status of {provider} was not seen once")
    status, run = good.reading.status.casefold(), aggregates.status
    why = f" ({good.reading.message})" if good.reading.message else ""

    def say(state: State, samples: int, message: str) -> Verdict:
        return Verdict("MON-1", state, status, limit, samples, SourceName.STATUS, "latest looks", good.at, message)

    if run.bad_since is not None:
        apart = good.at_s - run.bad_since.at_s
        if run.bad_polls > 1 and apart >= TOLERANCE * context.monitor.confirm_after_s:
            message = f"{provider} is {status}{why}, read {run.bad_polls} times in a row over {apart:.1f} s"
            return say(State.BREACHED, run.bad_polls, message)
        return say(State.INCONCLUSIVE, run.bad_polls, f"{provider} is {status}{why}; it is being read again")
    seen = aggregates.polls[SourceName.STATUS].succeeded
    if status == GOOD_STATUS:
        return say(State.HOLDING, seen, f"{provider} is connected ({seen} looks)")
    return say(State.INCONCLUSIVE, seen, f"the status of {provider} is {status}{why}, which says nothing")


def judge_alerts(aggregates: Aggregates, context: Context, _now_s: float) -> Verdict:
    """Judge MON-4: no critical alert fires that was not firing before; one that cleared meanwhile counts."""
    if why := context.why_lacking(Capability.ALERTS):
        return _not_applicable("MON-4", SourceName.ALERTS, why)
    good = aggregates.good(SourceName.ALERTS)
    if good is None:
        return _no_data("MON-4", SourceName.ALERTS, NONE, "the critical alerts were not seen once")
    seen = aggregates.polls[SourceName.ALERTS].succeeded
    fired = next(((s, a) for s, a in aggregates.alerts.values() if _trips(a, context)), None)
    if fired is None:
        carried = f", {len(aggregates.alerts)} that do not count" if aggregates.alerts else ""
        message = f"no new critical alert in {seen} looks{carried}"
        return Verdict("MON-4", State.HOLDING, NONE, NONE, seen, SourceName.ALERTS, "the window", good.at, message)
    sample, alert = fired
    detail = f"{alert.message} {alert.technical_details or ''}".strip()
    message = f"critical alert {alert.key} fires and was not firing before: {detail}"
    return Verdict("MON-4", State.BREACHED, alert.key, NONE, seen, SourceName.ALERTS, "the window", sample.at, message)


def _trips(alert: Alert, context: Context) -> bool:
    provider = (alert.provider or "").casefold()
    new, previous = context.change.provider.casefold(), context.previous.provider.casefold()
    known = {key.casefold() for key in context.alerts_before | context.fixes}
    # Where the change fixes the new provider itself, other alerts of that provider count.
    if alert.key.casefold() in known or (provider in known and provider != new):
        return False
    return context.monitor.alerts != "related" or provider in {new, previous, ""}


TRIGGERS: tuple[tuple[Judge, frozenset[str]], ...] = (
    (judge_status, frozenset({SourceName.STATUS})),
    (judge_error_rate, frozenset({SourceName.METRICS, SourceName.SYNTHETIC, SourceName.CONTROL})),
    (judge_latency, frozenset({SourceName.METRICS, SourceName.SYNTHETIC, SourceName.CONTROL})),
    (judge_alerts, frozenset({SourceName.ALERTS})),
    (judge_behaviour, frozenset({*BEHAVIOUR, SourceName.METRICS, SourceName.SIGNALS})),
    # Without a source named, it reads all.
    (judge_data, frozenset()),
)
"""Each trigger, and the sources whose samples can change its verdict."""
