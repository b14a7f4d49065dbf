"""The decision: kept, rolled back, or still in flight; and the records that say why (safety rule 1)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from rollout.changes.backup import Backup, recorded
from rollout.changes.catalogue import changed_since, no_longer_in_effect
from rollout.changes.rollback import RolledBack, roll_back, table
from rollout.context import RolloutContext
from rollout.core.canonical_json import to_json
from rollout.core.clauses import PHASES, Clause, is_document
from rollout.core.clock import format_utc
from rollout.core.errors import ExitCode, JournalError, RolloutError
from rollout.core.policy import WAIT
from rollout.engine.closing_snapshot import capture
from rollout.gateway.diagnosis import diagnose_provider, diagnosed
from rollout.journal.endings import AlreadyEnded
from rollout.journal.leases import LeaseHeld, LeaseLost
from rollout.journal.record import EVIDENCE_OWED, Decision, Kind, RolloutRecord
from rollout.journal.spool import SPOOL
from rollout.monitoring.aggregates import BAD_STATUS
from rollout.monitoring.bake import IN_PROGRESS
from rollout.monitoring.hold import describe_holds
from rollout.monitoring.verdict import State, show_span
from rollout.reporting import messages
from rollout.reporting.change_record import write_change_record
from rollout.reporting.documents import document, errors_seen, last_status, log_operation, undocumented
from rollout.reporting.notifications import announce
from rollout.reporting.post_mortem import write_post_mortem

WORDS = {
    Decision.KEPT: "KEPT",
    Decision.ROLLED_BACK: "ROLLED BACK, verified",
    Decision.ROLLBACK_FAILED: "ROLLBACK FAILED",
    Decision.NOTHING_APPLIED: "NOTHING APPLIED",
}

EXIT_CODES: Mapping[Decision | None, ExitCode] = {
    Decision.ROLLED_BACK: ExitCode.ROLLED_BACK,
    Decision.ROLLBACK_FAILED: ExitCode.ROLLBACK_FAILED,
}
"""What a process answers once the change was taken back, or should have been."""

_TAKEN_OVER_CODES: Mapping[Decision | None, ExitCode] = {
    None: ExitCode.IN_PROGRESS,
    Decision.KEPT: ExitCode.KEPT,
    **EXIT_CODES,
}

_OUT_OF_REACH = frozenset({"MON-1", "VER-1", "APP-1.1"})
"""Clauses whose failure says that the new provider is out of reach."""


Lacking = Callable[[], tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Closure:
    """How this run leaves the rollout.

    Attributes:
        decision: None while the rollout stays open for its next phase.
        word: the verdict, the first thing that people read.
        why: the deciding value and its limit, or what is missing.
        not_passed: clause id -> why it is not a recorded pass; whatever was not reached is named.
        next_step: what a person does now.
        rollback: the steps of the way back, as rows.
        commands: what a person can paste after a failed rollback.
        code: what the process answers, where that does not follow from the decision.
        due: until when the next call must have begun, or the watchdog takes the change back; None hands nothing over.
        undocumented: which evidence could not be written, and why (DOC, RBK-5): of a change that passed, the policy
            says what that is worth; of every other, it changes nothing else.
    """

    decision: Decision | None
    word: str
    why: str
    not_passed: Mapping[str, str] = field(default_factory=dict)
    next_step: str = ""
    rollback: Sequence[Mapping[str, Any]] = ()
    commands: tuple[str, ...] = ()
    code: ExitCode | None = None
    due: datetime | None = None
    undocumented: tuple[str, ...] = ()

    @property
    def is_kept(self) -> bool:
        """Whether the change is kept."""
        return self.decision is Decision.KEPT

    def facts(self) -> dict[str, Any]:
        """Return it as JSON types, for records."""
        return {
            "decision": self.decision,
            "word": self.word,
            "why": self.why,
            "not_passed": dict(self.not_passed),
            "rollback": list(self.rollback),
            "commands": list(self.commands),
        }


def not_passed(record: RolloutRecord, plan: Iterable[Clause], run: str) -> dict[str, str]:
    """Return every clause of the plan without a pass of its own from this run, and why (safety rule 1).

    One that is waived or owed is not among them: it is named wherever the rollout is told.
    """
    missing: dict[str, str] = {}
    for clause in plan:
        outcome = record.clauses.get(clause.id)
        if outcome is None or outcome.run != run:
            missing[clause.id] = "NOT RUN: it was never reached"
        elif not outcome.stands:
            missing[clause.id] = outcome.message
    return missing


def close(
    rollout: RolloutContext,
    phases: Sequence[str],
    plan: Sequence[Clause],
    env: Mapping[str, str],
    trouble: str | None = None,
    lacking: Lacking = tuple,
) -> Closure:
    """Decide, roll back where the change was not earned, write the records, and return the decision.

    Idempotent: of a rollout that is closed already the ending is repeated. A process that is superseded only says so.

    Args:
        rollout: the rollout.
        phases: the phases that this run was asked for.
        plan: the clauses that must have passed in it.
        env: where channels find their URLs.
        trouble: what kept an outcome from being recorded; it is the reason then, and not the outcome that is missing.
        lacking: returns what of this run's evidence is not on disk, and cannot be written now.
    """
    try:
        record, superseded = rollout.record(), rollout.superseded()
    except JournalError as error:
        return _without_journal(rollout, plan, error, env)
    missing = not_passed(record, plan, rollout.run)
    if superseded or record.closed is not None:
        return superseded_closure(record, missing) if superseded else already_closed(record, missing)
    if not record.wrote and not _in_effect_without_a_write(record, missing, phases):
        return _nothing_applied(rollout, missing, phases, env, trouble)
    if missing or rollout.stop:
        paused = record.pauses and not rollout.stop and all(why.startswith(IN_PROGRESS) for why in missing.values())
        why = trouble or why_not(rollout, record, missing)
        return _go_on(rollout, record) if paused else roll_back_and_close(rollout, why, missing, env)
    return _keep(rollout, record, env, lacking) if tuple(phases)[-1:] == PHASES[-1:] else _hand_over(rollout, phases)


def superseded_closure(record: RolloutRecord, missing: Mapping[str, str]) -> Closure:
    """Return the closure of a run that somebody with a newer token has taken over: it leaves the gateway alone.

    Its exit code is true of its own rollout: how the newer process has ended it, or 12 while it has not.
    """
    why = "another process has taken this rollout over, and decides about it now; `rollout status` shows it"
    why = str(record.closed["why"]) if record.closed else why
    return Closure(record.decision, "TAKEN OVER", why, missing, code=_TAKEN_OVER_CODES.get(record.decision))


def _superseded(rollout: RolloutContext, missing: Mapping[str, str]) -> Closure:
    """Return the closure of a process that lost its target while it was closing."""
    try:
        record = rollout.record()
    except JournalError:
        record = rollout.last_known_record()
    return superseded_closure(record, missing)


def _without_journal(
    rollout: RolloutContext, plan: Iterable[Clause], error: JournalError, env: Mapping[str, str]
) -> Closure:
    """Close from memory: what was written is taken back, as long as the lease makes this process the sole owner."""
    record = rollout.last_known_record()
    missing = not_passed(record, plan, rollout.run)
    why = f"without its journal nothing is kept: {error}"
    if record.closed is not None:
        return already_closed(record, missing)
    if not record.wrote:
        # A phase whose verdict is on no disk has not passed, whatever its checks did.
        missing = missing or {"closure": why}
        return Closure(Decision.NOTHING_APPLIED, WORDS[Decision.NOTHING_APPLIED], why, missing, "mend the journal")
    if not rollout.lease_runs():
        why += "; and the lease has run out, so somebody else may own the target by now: hands off"
        return Closure(Decision.ROLLBACK_FAILED, WORDS[Decision.ROLLBACK_FAILED], why, missing, "A PERSON IS NEEDED")
    return roll_back_and_close(rollout, why, missing, env)


def roll_back_and_close(
    rollout: RolloutContext, why: str, missing: Mapping[str, str], env: Mapping[str, str]
) -> Closure:
    """Roll back, close, and record; whatever fails on the way is in the closure.

    A process that is superseded meanwhile sends nothing more and leaves the ending to its successor.
    """
    try:
        result = roll_back(rollout, why)
    except LeaseLost:
        return _superseded(rollout, missing)
    if result.superseded:
        return _superseded(rollout, missing)
    _diagnose(rollout, why)
    steps = table(result.steps)
    steps += _documented(rollout, why, steps)
    closure = Closure(
        result.decision,
        WORDS[result.decision],
        why if result.verified else f"{why}; and the way back is not verified: {_unproven(result)}",
        missing,
        _next(rollout, result, steps),
        steps,
        result.commands,
        undocumented=undocumented(row for row in steps if is_document(row["clause"])),
    )
    return _record(rollout, closure, env)


def _diagnose(rollout: RolloutContext, why: str) -> None:
    """Look why the new provider is out of reach, where it is: briefly, after the way back; nothing depends on it."""
    try:
        status = last_status(rollout)
        bad = status is not None and status.status.casefold() in BAD_STATUS
        if not bad and why.partition(":")[0] not in _OUT_OF_REACH:
            return
        provider = rollout.expected_active.provider
        seen = diagnose_provider(rollout.gateway.uninterruptible(), provider, status if bad else None, rollout.clock)
        found = diagnosed(provider, seen)
        if found is not None:
            rollout.note(Kind.DIAGNOSIS, **to_json(found), text=found.text())
    except JournalError:
        return
    except Exception as error:  # noqa: BLE001 - a diagnosis that fails must not stop the closure, whatever it is
        rollout.note(Kind.DIAGNOSIS, text=f"there is no diagnosis: {error!r}")


def _documented(rollout: RolloutContext, why: str, steps: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Capture the errors and draft the post-mortem; neither can stop the closure."""
    works: dict[str, Callable[[], str]] = {
        "RBK-5.2": lambda: "; ".join(map(str, errors_seen(rollout))) or "no error was seen",
        "RBK-5.3": lambda: str(write_post_mortem(rollout, why, steps)),
        "RBK-5.4": lambda: _trail(rollout),
    }
    return [document(rollout, clause, work) for clause, work in works.items()]


def _trail(rollout: RolloutContext) -> str:
    """Say how much the journal holds, if it holds all there was to say."""
    held = f"{len(rollout.journal.entries(rollout.id))} entries in the journal"
    if rollout.unwritten:
        raise JournalError(f"{held}, and {len(rollout.unwritten)} that it did not take wait in {SPOOL}")
    return f"{held}, the closure follows"


def _in_history(rollout: RolloutContext, decision: Decision | None) -> str:
    """Say what the journal's history holds of this closure, if that is the decision."""
    record = rollout.record()
    if record.decision is not decision:
        raise JournalError(f"the journal's history holds {record.decision or 'no decision'} instead of {decision}")
    return f"the journal's history holds {record.decision} at {record.closed_at}"


def why_not(rollout: RolloutContext, record: RolloutRecord, missing: Mapping[str, str]) -> str:
    """Return the reason that comes first: an abort, the breach, or the first clause that did not pass."""
    if rollout.stop and not record.wrote:
        return f"interrupted before anything was written, so there is nothing to undo: {rollout.stop.reason}"
    if rollout.stop:
        return f"MON-7: {rollout.stop.reason}"
    if record.breach is not None:
        return f"{record.breach['clause']}: {record.breach['message']}"
    real = {clause: why for clause, why in missing.items() if not why.startswith("NOT RUN")}
    clause, why = next(iter((real or missing).items()), ("", "the run ended before it was decided"))
    return f"{clause}: {why}" if clause else why


def _passed(record: RolloutRecord, phase: str) -> bool:
    return phase in record.phases and record.phases[phase].passed


def _in_effect_without_a_write(record: RolloutRecord, missing: Mapping[str, str], phases: Sequence[str]) -> bool:
    """Tell whether the change was found in effect (APP-4.1), so that the rollout goes on without a write."""
    return not missing and (_passed(record, "apply") or "apply" in phases)


def already_closed(record: RolloutRecord, missing: Mapping[str, str]) -> Closure:
    """Return the closure of a rollout that has ended: how the journal tells it."""
    decision = record.decision
    body = record.closed or {}
    word = body.get("word") or (WORDS[decision] if decision else "")
    return Closure(
        decision, f"{word} at {record.closed_at}", body.get("why", ""), missing, "", body.get("rollback", ())
    )


def _nothing_applied(
    rollout: RolloutContext,
    missing: Mapping[str, str],
    phases: Sequence[str],
    env: Mapping[str, str],
    trouble: str | None,
) -> Closure:
    if not missing:
        why = f"every precheck that is owed passed{_but(rollout.last_known_record())}"
        return Closure(None, "CLEARED", why, {}, "pytest -m apply")
    why = trouble or why_not(rollout, rollout.record(), missing)
    step = "run it again" if rollout.stop else "mend it and run again"
    closure = Closure(Decision.NOTHING_APPLIED, WORDS[Decision.NOTHING_APPLIED], why, missing, step)
    if "apply" in phases:
        return _record(rollout, closure, env)
    # The rollout stays open for the next try; what blocked this one is worth a record all the same.
    return replace(closure, undocumented=undocumented([_change_record(rollout, closure)]))


def _keep(rollout: RolloutContext, record: RolloutRecord, env: Mapping[str, str], lacking: Lacking) -> Closure:
    failed = [phase for phase in PHASES if not _passed(record, phase)]
    if failed:
        return roll_back_and_close(rollout, f"the journal holds no pass of {', '.join(failed)}", {}, env)
    moved = _moved(rollout, recorded(record.backup))
    if moved:
        return roll_back_and_close(rollout, f"VER-4, once more before the change is kept: {moved}", {}, env)
    missing = lacking()
    if missing and rollout.policy.on_missing_evidence == WAIT:
        return _wait_for_evidence(rollout, record, missing, env)
    why = "; ".join(filter(None, (f"every clause of the plan passed{_but(record)}", describe_holds(record))))
    closure = Closure(Decision.KEPT, WORDS[Decision.KEPT], why, {}, _undo(rollout), undocumented=missing)
    if missing:
        rollout.note(Kind.EVIDENCE, run=rollout.run, missing=list(missing), due=None)
    try:
        rollout.end(spools=False, **closure.facts())
    except (LeaseLost, AlreadyEnded):
        return _superseded(rollout, {})
    except JournalError as error:
        if not _is_on_disk(rollout):
            return roll_back_and_close(rollout, f"that the change is kept could not be recorded: {error}", {}, env)
    return _publish(rollout, closure, env)


def _wait_for_evidence(
    rollout: RolloutContext, record: RolloutRecord, missing: tuple[str, ...], env: Mapping[str, str]
) -> Closure:
    """Leave the rollout open until its evidence can be written, at the longest until the first call's deadline."""
    due = evidence_due(record) or _due(rollout)
    if due <= rollout.clock.now():
        return roll_back_and_close(
            rollout, f"its evidence was owed until {format_utc(due)}: {'; '.join(missing)}", {}, env
        )
    rollout.write(Kind.EVIDENCE, run=rollout.run, missing=list(missing), due=format_utc(due))
    why = f"every clause of the plan passed{_but(record)}, and evidence cannot be written: {'; '.join(missing)}"
    step = (
        f"make room, then pytest -m {PHASES[-1]}, due by {format_utc(due)}; without evidence by then it is taken back"
    )
    announce(rollout, EVIDENCE_OWED, messages.trouble(rollout, EVIDENCE_OWED, f"{why}. Next: {step}"), env)
    return Closure(None, EVIDENCE_OWED, why, {}, step, code=ExitCode.IN_PROGRESS, due=due, undocumented=missing)


def evidence_due(record: RolloutRecord) -> datetime | None:
    """Return until when the evidence of an open rollout is waited for; None where it is not."""
    if record.evidence is None or not record.awaits_evidence:
        return None
    return datetime.fromisoformat(record.evidence["due"]).astimezone(UTC)


def write_evidence(rollout: RolloutContext, env: Mapping[str, str], lacking: Lacking) -> Closure:
    """Write the evidence that an earlier run could not, and keep the change then; no check runs again.

    The gateway is compared with the backup once more (VER-4), and an abort that was asked for meanwhile counts.

    Raises:
        JournalError: the journal cannot be read.
    """
    record = rollout.record()
    if rollout.superseded():
        return superseded_closure(record, {})
    if record.decision is not None:
        return _publish(rollout, already_closed(record, {}), env)
    if rollout.stop or record.abort is not None:
        abort = "" if record.abort is None else f"MON-5: {record.abort['reason']}"
        return roll_back_and_close(rollout, abort or why_not(rollout, record, {}), {}, env)
    return _keep(rollout, record, env, lacking)


def _is_on_disk(rollout: RolloutContext) -> bool:
    """Tell whether "kept" of this process is in the journal although its call failed: a commit may go through."""
    try:
        record = rollout.record()
    except JournalError:
        return False
    return record.decision is Decision.KEPT and rollout.lease is not None and record.fence == rollout.lease.token


def _undo(rollout: RolloutContext) -> str:
    return f"to undo: rollout rollback {rollout.id}"


def publish_late(rollout: RolloutContext, env: Mapping[str, str]) -> bool:
    """Write the documents and tell people where the run died between its verdict and that; return whether it had.

    Its last trace in the journal says that all was told: a run that died shortly before that is told twice.

    Raises:
        JournalError: the journal cannot be read.
    """
    record = rollout.record()
    body = record.closed or {}
    is_ours = rollout.lease is not None and body.get("fence") == rollout.lease.token
    if not is_ours or not record.wrote or rollout.journal.entries(rollout.id, Kind.TRACES):
        return False
    next_step = _undo(rollout) if record.decision is Decision.KEPT else "; ".join(body["commands"])
    told = (body["word"], body["why"], body["not_passed"], next_step, body["rollback"], tuple(body["commands"]))
    _publish(rollout, Closure(record.decision, *told), env)
    return True


def _but(record: RolloutRecord) -> str:
    """Say which clauses did not pass, and are excused; empty where none is."""
    words = [f"{id_} ({outcome.outcome.upper()})" for id_, outcome in record.excused.items()]
    return f", but {', '.join(words)}" if words else ""


def _moved(rollout: RolloutContext, backup: Backup) -> str:
    """Say what somebody has changed since the change was verified; empty if nobody did."""
    try:
        found = changed_since(rollout, backup) | no_longer_in_effect(rollout)
    except RolloutError as error:
        return str(error)
    return "; ".join(f"{what}: {how}" for what, how in found.items())


def _hand_over(rollout: RolloutContext, phases: Sequence[str]) -> Closure:
    nxt = PHASES[PHASES.index(tuple(phases)[-1]) + 1]
    minutes = rollout.policy.confirm_within_s / 60
    why = f"{', '.join(phases)} passed; the change is in effect and not kept yet"
    return Closure(None, "IN FLIGHT", why, {}, f"pytest -m {nxt}, within {minutes:.0f} min", due=_due(rollout))


def _go_on(rollout: RolloutContext, record: RolloutRecord) -> Closure:
    """Leave the rest of the window to a later call."""
    due, pause = _due(rollout), record.pauses[-1]
    left, window = show_span(pause["left_s"]), show_span(rollout.scenario.monitor.window_s)
    odd = [f"{clause} is {word}" for clause, word in pause["standing"].items() if not word.startswith(State.HOLDING)]
    why = f"{left} of the window's {window} are left; {'; '.join(odd) or 'every trigger holds so far'}"
    step = f"pytest -m {PHASES[-1]}, due by {format_utc(due)}; a change that nobody watches by then is taken back"
    return Closure(None, "IN PROGRESS", why, {}, step, code=ExitCode.IN_PROGRESS, due=due)


def _due(rollout: RolloutContext) -> datetime:
    return rollout.clock.now() + timedelta(seconds=rollout.policy.confirm_within_s)


def _unproven(result: RolledBack) -> str:
    return "; ".join(f"{step.clause} {step.message}" for step in result.steps if step.outcome == "failed")


def _next(rollout: RolloutContext, result: RolledBack, steps: Sequence[Mapping[str, Any]]) -> str:
    if result.verified and any(row["clause"] == "RBK-5.3" and row["outcome"] == "failed" for row in steps):
        return f"the post-mortem could not be drafted, so read what the journal tells: rollout report {rollout.id}"
    if result.verified:
        return f"read {rollout.folder / 'post-mortem.md'}"
    return "A PERSON IS NEEDED. Look, then paste: " + "  |  ".join(reversed(result.commands))


def _record(rollout: RolloutContext, closure: Closure, env: Mapping[str, str]) -> Closure:
    try:
        _end(rollout, closure)
    except (LeaseLost, LeaseHeld, AlreadyEnded):
        return _superseded(rollout, closure.not_passed)
    return _publish(rollout, closure, env)


def _end(rollout: RolloutContext, closure: Closure) -> None:
    """Write the ending; anew where "kept" of this very process turns out to be on disk, although its call failed.

    Raises:
        LeaseLost: this process is superseded.
        LeaseHeld: likewise.
        AlreadyEnded: another process has ended the rollout.
    """
    try:
        rollout.end(spools=True, **closure.facts())
    except AlreadyEnded as error:
        lease, stands = rollout.lease, error.ending
        if lease is None or (stands.decision, stands.fence) != (Decision.KEPT, lease.token):
            raise
        # A journal that fails again keeps "kept", and DOC-3 says so.
        with suppress(JournalError):
            rollout.take_lease(after=lease.token)
            rollout.end(spools=True, **closure.facts())


def _publish(rollout: RolloutContext, closure: Closure, env: Mapping[str, str]) -> Closure:
    """Write every document, and tell people; one that fails does not stop the others, and none changes the decision.

    Return the closure with what could not be written.
    """
    said = f"{closure.word}: {rollout.what} on {rollout.target.name}: {closure.why}"
    rows = {
        "DOC-2": document(rollout, "DOC-2", lambda: str(log_operation(rollout, said))),
        "DOC-3": document(rollout, "DOC-3", lambda: _in_history(rollout, closure.decision)),
        # After the others: it names those that are missing.
        "DOC-1": _change_record(rollout, closure),
    }
    missing = (*closure.undocumented, *undocumented(rows.values()))
    if _tell(rollout, replace(closure, undocumented=missing), env):
        # Once more, for who was told belongs to it; it was written before, because a channel may take its time.
        rows["DOC-1"] = _change_record(rollout, closure)
    _leave_traces(rollout)
    return replace(closure, undocumented=(*closure.undocumented, *undocumented(rows.values())))


def _change_record(rollout: RolloutContext, closure: Closure) -> Mapping[str, Any]:
    return document(
        rollout, "DOC-1", lambda: str(write_change_record(rollout, rollout.last_known_record(), closure.facts()))
    )


def _tell(rollout: RolloutContext, closure: Closure, env: Mapping[str, str]) -> bool:
    """Tell people how it ended, and return whether there was anybody to tell."""
    event, failed = str(closure.decision), closure.decision is Decision.ROLLBACK_FAILED
    try:
        letter = messages.verdict(
            rollout, rollout.last_known_record(), closure.facts(), closure.next_step, closure.undocumented
        )
        return bool(announce(rollout, event, letter, env, everyone=failed))
    except Exception as error:  # noqa: BLE001 - that nobody was told must not change the decision, whatever it is
        rollout.note(Kind.NOTIFIED, event=event, channel="any", accepted=False, detail=repr(error))
        return True


def _leave_traces(rollout: RolloutContext) -> None:
    """Look once more, for the review: last of all, because nobody waits for it."""
    try:
        if rollout.last_known_record().wrote:
            capture(rollout)
    except JournalError:
        # The journal cannot say what was written; the review will find no traces, and say so.
        return
