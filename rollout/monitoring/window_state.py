"""The start of one call of a window, from the journal: its triggers' context and its samples so far (MON)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from rollout.changes.backup import recorded
from rollout.context import RolloutContext
from rollout.core.canary_stages import Stage, stages
from rollout.core.clock import format_utc
from rollout.core.policy import ALPHA
from rollout.core.scenario import AT_MOST, Scenario
from rollout.gateway.responses import Latency, Metrics
from rollout.journal.record import Entry, Kind, RolloutRecord
from rollout.monitoring.aggregates import Aggregates
from rollout.monitoring.extension import find_obstacle
from rollout.monitoring.samples import Baseline, Context, Sample, SourceName
from rollout.monitoring.synthetic_pace import raise_pace
from rollout.monitoring.window_result import WindowState

JUDGE = 2
"""The rule that judges a window, kept with it: 2 is the test for shares; a window without a number had fixed counts."""


def trigger_context(
    scenario: Scenario, record: RolloutRecord, stage: Stage | None = None, control_ms: Sequence[float] | None = None
) -> Context:
    """Return the context of the triggers, from scenario and journal.

    Args:
        scenario: the scenario.
        record: the rollout.
        stage: the stage of a canary; None where the change is made all at once.
        control_ms: the latencies of the control group before this window; None where the journal's window has them.

    Raises:
        NotCleared: the journal holds no backup.
    """
    previous, target = recorded(record.backup).previous, record.opened.get("target", {})
    context = Context(
        change=scenario.activation or previous,
        previous=previous,
        monitor=scenario.monitor,
        baseline=None if record.baseline is None else Baseline.from_record(record.baseline),
        alerts_before=frozenset((record.alerts or {}).get("keys", ())),
        fixes=frozenset(scenario.fixes),
        counters_before=counters_before(record),
        fallbacks_before=(record.counters or {}).get("fallbacks", 0),
        log_unread_from_s=_log_unread(record) if has_begun(record, stage) else (),
        control=None if stage is None or stage.is_all else previous,
        window_s=scenario.monitor.window_s if stage is None else stage.lasts_s,
        alpha=float(record.opened.get("policy", {}).get("alpha", ALPHA)),
        stages=1 if stage is None else len(stages(scenario)),
        share=1.0 if stage is None else stage.share,
        control_latencies_ms=tuple((record.window or {}).get("control_ms", ()) if control_ms is None else control_ms),
        fallbacks_are_normal=bool(target.get("fallbacks_are_normal")),
        counts_codes=(target.get("sources") or {}).get("prometheus") is None,
        lacking=tuple(record.lacking.items()),
    )
    return raise_pace(context)


def _log_unread(record: RolloutRecord) -> tuple[float, ...]:
    """Return when each call ended that another call followed, where it recorded no position of the log to resume at."""
    return tuple(
        pause["watched_s"]
        for pause in record.pauses
        if pause["left_s"] and pause["memory"].get(SourceName.LOG, ()) is None
    )


def counters_before(record: RolloutRecord) -> Metrics | None:
    """Return the new provider's counters as they were right before its activation; None where they were not read."""
    body = (record.counters or {}).get("metrics")
    return None if body is None else Metrics(**{**body, "latency": Latency(**body["latency"])})


def control_latencies(rollout: RolloutContext, record: RolloutRecord, stage: Stage | None) -> tuple[float, ...]:
    """Return the latencies in ms of the control group before a stage begins, ascending: of the stage before.

    A stage that an earlier call has begun keeps those that it began with: its latency limit does not move. A request of
    which this machine's lateness leaves nothing has no latency of the gateway (`rollout.monitoring.samples`).
    """
    if stage is None or record.window is None or not record.pauses:
        return ()
    if has_begun(record, stage):
        return tuple(record.window.get("control_ms", ()))
    samples = rollout.journal.entries(rollout.id, Kind.SAMPLE)
    before = replay_samples(samples, record, record.pauses[-1]["sources"])
    return tuple(latency_ms for latency_ms in before.control_requests.latencies(math.inf) if latency_ms > 0.0)


def take_up_window(
    rollout: RolloutContext,
    record: RolloutRecord,
    names: Iterable[str],
    stage: Stage | None,
    known: Context,
    later_s: float,
) -> WindowState:
    """Return the state of the window; one that no earlier call has paused begins now, with an entry in the journal.

    Args:
        rollout: the rollout.
        record: the rollout as the journal has it.
        names: the sources that the window expects.
        stage: the stage of a canary, whose window it is; None where the change was made all at once.
        known: the context of its triggers.
        later_s: the watched time of the stages after it, in seconds, for which the change window must be open too.
    """
    if record.window is None or not has_begun(record, stage):
        return _begin_window(rollout, names, stage, known, later_s)
    return WindowState(
        began_at=datetime.fromisoformat(record.window["began_at"]).astimezone(UTC),
        aggregates=replay_samples(rollout.journal.entries(rollout.id, Kind.SAMPLE), record, names),
        left_at_s=record.pauses[-1]["watched_s"],
        # A window of version 0.2 has neither: its change window was not compared with an extension.
        extended_s=record.pauses[-1].get("extended_s", 0.0),
        extends=record.window.get("extends", False),
    )


def _begin_window(
    rollout: RolloutContext, names: Iterable[str], stage: Stage | None, known: Context, later_s: float
) -> WindowState:
    began_at = rollout.clock.now()
    obstacle = find_obstacle(rollout.scenario, rollout.target, began_at, AT_MOST * known.lasts_s + later_s)
    facts = {} if stage is None else {"stage": stage.name, "control_ms": list(known.control_latencies_ms)}
    if obstacle:
        facts["obstacle"] = obstacle
    rollout.append(
        Kind.WINDOW,
        began_at=format_utc(began_at),
        judge=JUDGE,
        window_s=known.lasts_s,
        extends=not obstacle,
        **facts,
    )
    return WindowState(began_at, Aggregates(names), extends=not obstacle)


def has_begun(record: RolloutRecord, stage: Stage | None) -> bool:
    """Return whether an earlier call has watched a part of this window."""
    name = None if stage is None else stage.name
    return record.window is not None and bool(record.pauses) and record.window.get("stage") == name


def replay_samples(samples: Iterable[Entry], record: RolloutRecord, names: Iterable[str]) -> Aggregates:
    """Return the aggregates of the record's window so far: the samples since it began, and the polls without an entry.

    Args:
        samples: the rollout's sample entries, in order.
        record: the rollout; its window has begun.
        names: the sources that the window expects.
    """
    aggregates = Aggregates(names)
    began = 0 if record.window is None else record.window["seq"]
    for entry in samples:
        if entry.seq > began:
            aggregates.add(Sample.from_record(entry.body))
    for pause in record.pauses:
        for source, polls in pause["quiet"].items():
            aggregates.add_quiet_polls(source, polls["looks"], Sample(source, polls["at_s"], polls["at"], None))
    return aggregates
