"""The stages of a canary, from its first share to all of the traffic, each entered and watched before the next (CAN).

Each stage is a window of its own, so that a call may end within a stage and the next call continues it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from rollout.changes import canary
from rollout.context import RolloutContext
from rollout.core.canary_stages import Stage, is_staged, stages
from rollout.core.clock import format_utc
from rollout.core.errors import JournalError, RolloutError
from rollout.journal.leases import LeaseLost
from rollout.journal.record import Kind, RolloutRecord
from rollout.monitoring.aggregates import Aggregates
from rollout.monitoring.bake import run_window
from rollout.monitoring.live_view import View
from rollout.monitoring.triggers import judge
from rollout.monitoring.verdict import NONE, State, Verdict, show_span
from rollout.monitoring.window import OnOverrun, OnUnavailable
from rollout.monitoring.window_result import StageResult, WindowResult
from rollout.monitoring.window_state import trigger_context


def watch_stages(
    rollout: RolloutContext,
    view: View,
    for_s: float | None = None,
    page: OnUnavailable = lambda _source, _message: None,
    page_overrun: OnOverrun = lambda _message: None,
) -> WindowResult:
    """Watch the change for its bake time: in one window, or stage after stage where it is a canary.

    Args:
        rollout: the rollout.
        view: shows the window while it runs.
        for_s: watch for so many seconds, and leave the rest to a later call; None watches to the end.
        page: notifies, without waiting, that a source is unavailable (MON-6).
        page_overrun: notifies, without waiting, that this machine is too busy to watch.

    Returns:
        the result; of a canary, with the verdicts of the stage in which it ended. A breach leaves the traffic split:
        the caller rolls the change back.

    Raises:
        NotCleared: the journal holds no backup.
        JournalError: an entry cannot be recorded; nothing more was sent.
        LeaseLost: another run holds the lease of the target; nothing more was sent.
    """
    planned = stages(rollout.scenario)
    if not planned:
        return run_window(rollout, view, for_s, page, page_overrun)
    until_s = None if for_s is None else rollout.clock.monotonic() + for_s
    for number, stage in enumerate(planned):
        if number < len(planned) - 1 and held(rollout.record(), stage):
            continue
        left_s = None if until_s is None else max(0.0, until_s - rollout.clock.monotonic())
        watched = _watch_one(rollout, view, left_s, (page, page_overrun), planned, number)
        if not watched.passed:
            break
    return watched


def held(record: RolloutRecord, stage: Stage) -> bool:
    """Return whether every trigger held over the whole stage, according to the journal."""
    judged = record.judged.get(stage.name, {})
    return bool(judged) and all(State(body["state"]).allows_keeping for body in judged.values())


def _watch_one(
    rollout: RolloutContext,
    view: View,
    left_s: float | None,
    pages: tuple[OnUnavailable, OnOverrun],
    planned: Sequence[Stage],
    number: int,
) -> WindowResult:
    stage, passed_s = planned[number], sum(each.lasts_s for each in planned[:number])
    try:
        # After a request to stop the share must not rise; the window then ends at once.
        entered = canary.enter(rollout, stage) if is_staged(rollout.scenario) and not rollout.stop else str(stage)
    except (JournalError, LeaseLost):
        raise
    except RolloutError as error:
        watched = _not_entered(rollout, stage, rollout.redactor.text(str(error)))
    else:
        view.stage(f"{stage.clause} {entered}", passed_s)
        later_s = sum(each.lasts_s for each in planned[number + 1 :])
        watched = run_window(rollout, view, left_s, *pages, stage=stage, later_s=later_s)
    return replace(
        watched,
        stages=_stage_results(rollout.record(), planned, number, watched),
        watched_s=passed_s + watched.watched_s,
    )


def _stage_results(
    record: RolloutRecord, planned: Sequence[Stage], number: int, watched: WindowResult
) -> tuple[StageResult, ...]:
    """Return the result of each stage; `number` is the stage that was watched last."""
    now, why = planned[number], f"{planned[number].clause} ({planned[number]}) comes before it"
    return (
        *(_held(stage, record.judged[stage.name]) for stage in planned[:number]),
        _ended(now, watched),
        *(StageResult(stage.clause, "not reached", f"{stage}: {why}") for stage in planned[number + 1 :]),
    )


def _ended(stage: Stage, watched: WindowResult) -> StageResult:
    after = show_span(watched.watched_s)
    if watched.breach is not None:
        own = watched.breach.clause == stage.clause
        why = watched.breach.message if own else f"{watched.breach.clause} ended it after {after}"
        return StageResult(stage.clause, "failed", f"{stage}: {why}")
    if watched.left_s:
        return StageResult(stage.clause, "in progress", f"{stage}: {after} of it watched")
    odd = (verdict for verdict in watched.verdicts if not verdict.state.allows_keeping)
    if listed := "; ".join(f"{verdict.clause} is {verdict.state}: {verdict.message}" for verdict in odd):
        return StageResult(stage.clause, "failed", f"{stage}: {listed}")
    return _held(stage, {verdict.clause: verdict.record() for verdict in watched.verdicts})


def _held(stage: Stage, judged: Mapping[str, Mapping[str, Any]]) -> StageResult:
    errors, latency = judged["MON-2"]["message"], judged["MON-3"]["message"]
    return StageResult(stage.clause, "held", f"{stage}: every trigger held; {errors}; {latency}")


def _not_entered(rollout: RolloutContext, stage: Stage, why: str) -> WindowResult:
    """Return the result of a canary whose next stage could not be entered, and record its verdict."""
    known, at = trigger_context(rollout.scenario, rollout.record(), stage), format_utc(rollout.clock.now())
    breach = Verdict(
        clause=stage.clause,
        state=State.BREACHED,
        value=NONE,
        limit=None,
        samples=0,
        source="weights",
        span=stage.name,
        at=at,
        message=f"{stage} could not be entered: {why}",
    )
    asked = Verdict("MON-7", State.HOLDING, NONE, NONE, 1, "signals", stage.name, at, "nobody asked to stop")
    rollout.append(Kind.VERDICT, **breach.record(), decided=True, watched_s=0.0, stage=stage.name)
    return WindowResult(breach, (*judge(Aggregates(()), known, 0.0), asked), at, 0.0)
