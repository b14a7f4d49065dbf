"""The decision: kept, rolled back, or still in flight (safety rule 1)."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from rollout.changes.backup import Backup, recorded
from rollout.changes.catalogue import changed_since, no_longer_in_effect
from rollout.config.config_files import display_path
from rollout.context import RolloutContext
from rollout.core.clauses import PHASES, Clause
from rollout.core.clock import format_utc
from rollout.core.errors import ExitCode, JournalError, RolloutError
from rollout.core.policy import WAIT
from rollout.engine.closing_records import close_superseded, describe_undo, document_change, publish, record_ending
from rollout.engine.closure import WORDS, Closure, already_closed, not_passed, superseded_closure
from rollout.engine.rollback_closure import roll_back_and_close
from rollout.journal.endings import AlreadyEnded
from rollout.journal.leases import LeaseLost
from rollout.journal.record import EVIDENCE_OWED, Decision, Kind, RolloutRecord
from rollout.monitoring.extension import Extension
from rollout.monitoring.hold import describe_holds
from rollout.monitoring.verdict import State, show_span
from rollout.monitoring.window_outcome import IN_PROGRESS
from rollout.reporting import messages
from rollout.reporting.documents import undocumented
from rollout.reporting.notifications import announce

Lacking = Callable[[], tuple[str, ...]]


def close(
    rollout: RolloutContext,
    phases: Sequence[str],
    plan: Sequence[Clause],
    env: Mapping[str, str],
    trouble: str | None = None,
    lacking: Lacking = tuple,
) -> Closure:
    """Decide, roll back a change that did not pass, write the records, and return the closure.

    Idempotent: a rollout that is closed already keeps its ending. A superseded process decides nothing.

    Args:
        rollout: the rollout.
        phases: the phases of this run.
        plan: the clauses that must have passed in it.
        env: the environment variables, for the channels' URLs.
        trouble: why an outcome could not be recorded; then it is the reason, instead of the missing outcome.
        lacking: returns which evidence of this run is not on disk and cannot be written now.
    """
    try:
        record, superseded = rollout.record(), rollout.superseded()
    except JournalError as error:
        return _without_journal(rollout, plan, error, env)
    missing = not_passed(record, plan, rollout.run)
    if superseded or record.closed is not None:
        return superseded_closure(record, missing) if superseded else already_closed(record, missing)
    if not record.wrote and not _is_in_effect_without_write(record, missing, phases):
        return _nothing_applied(rollout, missing, phases, env, trouble)
    if missing or rollout.stop:
        paused = record.pauses and not rollout.stop and all(why.startswith(IN_PROGRESS) for why in missing.values())
        why = trouble or why_not(rollout, record, missing)
        return _pause(rollout, record) if paused else roll_back_and_close(rollout, why, missing, env)
    return _keep(rollout, record, env, lacking) if tuple(phases)[-1:] == PHASES[-1:] else _hand_over(rollout, phases)


def _without_journal(
    rollout: RolloutContext, plan: Iterable[Clause], error: JournalError, env: Mapping[str, str]
) -> Closure:
    """Close from memory: a write is rolled back, as long as the lease makes this process the sole owner."""
    record = rollout.last_known_record()
    missing = not_passed(record, plan, rollout.run)
    why = f"without its journal nothing is kept: {error}"
    if record.closed is not None:
        return already_closed(record, missing)
    if not record.wrote:
        # A phase without a journaled verdict has not passed, whatever its checks did.
        missing = missing or {"closure": why}
        return Closure(Decision.NOTHING_APPLIED, WORDS[Decision.NOTHING_APPLIED], why, missing, "mend the journal")
    if not rollout.lease_runs():
        why += "; and the lease has run out: another process may own the target, so an operator must decide"
        return Closure(Decision.ROLLBACK_FAILED, WORDS[Decision.ROLLBACK_FAILED], why, missing, "A PERSON IS NEEDED")
    return roll_back_and_close(rollout, why, missing, env)


def why_not(rollout: RolloutContext, record: RolloutRecord, missing: Mapping[str, str]) -> str:
    """Return the first reason: an abort, the breach, or the first clause that did not pass."""
    if rollout.stop and not record.wrote:
        return f"interrupted before anything was written, so there is nothing to undo: {rollout.stop.reason}"
    if rollout.stop:
        return f"MON-7: {rollout.stop.reason}"
    if record.breach is not None:
        return f"{record.breach['clause']}: {record.breach['message']}"
    real = {clause: why for clause, why in missing.items() if not why.startswith("NOT RUN")}
    clause, why = next(iter((real or missing).items()), ("", "the run ended before it was decided"))
    return f"{clause}: {why}" if clause else why


def _has_passed(record: RolloutRecord, phase: str) -> bool:
    return phase in record.phases and record.phases[phase].passed


def _is_in_effect_without_write(record: RolloutRecord, missing: Mapping[str, str], phases: Sequence[str]) -> bool:
    """Return whether the change is in effect already (APP-4.1), so that the rollout goes on without a write."""
    return not missing and (_has_passed(record, "apply") or "apply" in phases)


def _nothing_applied(
    rollout: RolloutContext,
    missing: Mapping[str, str],
    phases: Sequence[str],
    env: Mapping[str, str],
    trouble: str | None,
) -> Closure:
    if not missing:
        why = f"every precheck that is owed passed{_describe_excepted(rollout.last_known_record())}"
        return Closure(None, "CLEARED", why, {}, _next_call(rollout, "apply"))
    why = trouble or why_not(rollout, rollout.record(), missing)
    step = "run it again" if rollout.stop else "mend it and run again"
    closure = Closure(Decision.NOTHING_APPLIED, WORDS[Decision.NOTHING_APPLIED], why, missing, step)
    if "apply" in phases:
        return record_ending(rollout, closure, env)
    # The rollout stays open for the next try; what blocked this one is recorded all the same.
    return replace(closure, undocumented=undocumented([document_change(rollout, closure)]))


def _keep(rollout: RolloutContext, record: RolloutRecord, env: Mapping[str, str], lacking: Lacking) -> Closure:
    failed = [phase for phase in PHASES if not _has_passed(record, phase)]
    if failed:
        return roll_back_and_close(rollout, f"the journal holds no pass of {', '.join(failed)}", {}, env)
    moved = _find_deviations(rollout, recorded(record.backup))
    if moved:
        return roll_back_and_close(rollout, f"VER-4, once more before the change is kept: {moved}", {}, env)
    missing = lacking()
    if missing and rollout.policy.on_missing_evidence == WAIT:
        return _wait_for_evidence(rollout, record, missing, env)
    why = "; ".join(
        filter(None, (f"every clause of the plan passed{_describe_excepted(record)}", describe_holds(record)))
    )
    closure = Closure(Decision.KEPT, WORDS[Decision.KEPT], why, {}, describe_undo(rollout), undocumented=missing)
    if missing:
        rollout.append_or_spool(Kind.EVIDENCE, run=rollout.run, missing=list(missing), due=None)
    try:
        rollout.end(spools=False, **closure.facts())
    except (LeaseLost, AlreadyEnded):
        return close_superseded(rollout, {})
    except JournalError as error:
        if not _is_kept_on_disk(rollout):
            return roll_back_and_close(rollout, f"that the change is kept could not be recorded: {error}", {}, env)
    return publish(rollout, closure, env)


def _wait_for_evidence(
    rollout: RolloutContext, record: RolloutRecord, missing: tuple[str, ...], env: Mapping[str, str]
) -> Closure:
    """Leave the rollout open until its evidence can be written, at the longest until the first call's deadline."""
    due = evidence_due(record) or _deadline(rollout)
    if due <= rollout.clock.now():
        return roll_back_and_close(
            rollout, f"its evidence was owed until {format_utc(due)}: {'; '.join(missing)}", {}, env
        )
    rollout.append(Kind.EVIDENCE, run=rollout.run, missing=list(missing), due=format_utc(due))
    passed = f"every clause of the plan passed{_describe_excepted(record)}"
    why = f"{passed}, and evidence cannot be written: {'; '.join(missing)}"
    step = (
        f"make room, then pytest -m {PHASES[-1]}, due by {format_utc(due)}; without evidence by then it is rolled back"
    )
    announce(rollout, EVIDENCE_OWED, messages.trouble(rollout, EVIDENCE_OWED, f"{why}. Next: {step}"), env)
    return Closure(None, EVIDENCE_OWED, why, {}, step, code=ExitCode.IN_PROGRESS, due=due, undocumented=missing)


def evidence_due(record: RolloutRecord) -> datetime | None:
    """Return the deadline of an open rollout's missing evidence, UTC; None where none is awaited."""
    if record.evidence is None or not record.awaits_evidence:
        return None
    return datetime.fromisoformat(record.evidence["due"]).astimezone(UTC)


def write_evidence(rollout: RolloutContext, env: Mapping[str, str], lacking: Lacking) -> Closure:
    """Write the evidence that an earlier run could not write, then keep the change; no check runs again.

    The gateway is compared with the backup once more (VER-4), and an abort that was requested meanwhile counts.

    Raises:
        JournalError: the journal cannot be read.
    """
    record = rollout.record()
    if rollout.superseded():
        return superseded_closure(record, {})
    if record.decision is not None:
        return publish(rollout, already_closed(record, {}), env)
    if rollout.stop or record.abort is not None:
        abort = "" if record.abort is None else f"MON-5: {record.abort['reason']}"
        return roll_back_and_close(rollout, abort or why_not(rollout, record, {}), {}, env)
    return _keep(rollout, record, env, lacking)


def _is_kept_on_disk(rollout: RolloutContext) -> bool:
    """Return whether this process's "kept" is in the journal although its call failed: the commit may succeed."""
    try:
        record = rollout.record()
    except JournalError:
        return False
    return record.decision is Decision.KEPT and rollout.lease is not None and record.fence == rollout.lease.token


def _describe_excepted(record: RolloutRecord) -> str:
    """Return which clauses are no pass and let the rollout go on; empty where none is."""
    words = [f"{id_} ({outcome.outcome.upper()})" for id_, outcome in record.excepted.items()]
    return f", but {', '.join(words)}" if words else ""


def _find_deviations(rollout: RolloutContext, backup: Backup) -> str:
    """Return what differs from the state that was verified; empty if nothing does."""
    try:
        found = changed_since(rollout, backup) | no_longer_in_effect(rollout)
    except RolloutError as error:
        return str(error)
    return "; ".join(f"{what}: {how}" for what, how in found.items())


def _hand_over(rollout: RolloutContext, phases: Sequence[str]) -> Closure:
    nxt = PHASES[PHASES.index(tuple(phases)[-1]) + 1]
    step = f"{_next_call(rollout, nxt)}, within {rollout.policy.confirm_within_s / 60:.0f} min"
    why = f"{', '.join(phases)} passed; the change is in effect and not kept yet"
    return Closure(None, "IN FLIGHT", why, {}, step, due=_deadline(rollout))


def _pause(rollout: RolloutContext, record: RolloutRecord) -> Closure:
    """Return the closure that leaves the rest of the window to a later call."""
    due, pause = _deadline(rollout), record.pauses[-1]
    left, window = show_span(pause["left_s"]), show_span(rollout.scenario.monitor.window_s)
    goes_on = "" if record.extension is None else f"; {Extension.from_record(record.extension)}"
    fine = (State.HOLDING, State.NOT_APPLICABLE)
    odd = [f"{clause} is {word}" for clause, word in pause["standing"].items() if not word.startswith(fine)]
    why = f"{left} of the window's {window} are left; {'; '.join(odd) or 'every trigger holds so far'}{goes_on}"
    step = f"{_next_call(rollout, PHASES[-1])}, due by {format_utc(due)}; a change without a run by then is rolled back"
    return Closure(None, "IN PROGRESS", why, {}, step, code=ExitCode.IN_PROGRESS, due=due)


def _next_call(rollout: RolloutContext, phase: str) -> str:
    """Return the command of a later phase, with the scenario and the options of this run."""
    origin = rollout.origin
    scenario = [] if origin.scenario is None else [f"--scenario={display_path(origin.scenario)}"]
    return shlex.join(["pytest", "-m", phase, *scenario, *origin.options])


def _deadline(rollout: RolloutContext) -> datetime:
    return rollout.clock.now() + timedelta(seconds=rollout.policy.confirm_within_s)
