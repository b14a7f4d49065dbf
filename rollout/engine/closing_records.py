"""The records of a closure: the ending in the journal, the documents, the notifications and the closing snapshot."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from rollout.context import RolloutContext
from rollout.core.errors import JournalError
from rollout.engine.closing_snapshot import capture
from rollout.engine.closure import Closure, superseded_closure
from rollout.journal.endings import AlreadyEnded
from rollout.journal.leases import LeaseHeld, LeaseLost
from rollout.journal.record import Decision, Kind
from rollout.reporting import messages
from rollout.reporting.change_record import write_change_record
from rollout.reporting.documents import document, log_operation, undocumented
from rollout.reporting.notifications import announce


def close_superseded(rollout: RolloutContext, missing: Mapping[str, str]) -> Closure:
    """Return the closure of a process that loses its lease while it closes."""
    return superseded_closure(rollout.last_known_record(), missing)


def _confirm_ending(rollout: RolloutContext, decision: Decision | None) -> str:
    """Return which decision the journal holds, and since when.

    Raises:
        JournalError: the journal holds another decision, or cannot be read.
    """
    record = rollout.record()
    if record.decision is not decision:
        raise JournalError(f"the journal's history holds {record.decision or 'no decision'} instead of {decision}")
    return f"the journal's history holds {record.decision} at {record.closed_at}"


def describe_undo(rollout: RolloutContext) -> str:
    """Return the command that undoes a change that was kept."""
    return f"to undo: rollout rollback {rollout.id}"


def publish_late(rollout: RolloutContext, env: Mapping[str, str]) -> bool:
    """Publish the ending of a run that died between its verdict and its documents; return whether it is published.

    The closing snapshot is a run's last entry. A run that died just before it is published twice.

    Raises:
        JournalError: the journal cannot be read.
    """
    record = rollout.record()
    body = record.closed or {}
    is_ours = rollout.lease is not None and body.get("fence") == rollout.lease.token
    if not is_ours or not record.wrote or rollout.journal.entries(rollout.id, Kind.TRACES):
        return False
    next_step = describe_undo(rollout) if record.decision is Decision.KEPT else "; ".join(body["commands"])
    ending = (body["word"], body["why"], body["not_passed"], next_step, body["rollback"], tuple(body["commands"]))
    publish(rollout, Closure(record.decision, *ending), env)
    return True


def record_ending(rollout: RolloutContext, closure: Closure, env: Mapping[str, str]) -> Closure:
    """Write the ending into the journal and publish it; return the closure, a superseded one where it is superseded."""
    try:
        _end(rollout, closure)
    except (LeaseLost, LeaseHeld, AlreadyEnded):
        return close_superseded(rollout, closure.not_passed)
    return publish(rollout, closure, env)


def _end(rollout: RolloutContext, closure: Closure) -> None:
    """Write the ending, once more where this process's "kept" is on disk although its call failed.

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
        # A journal that fails again keeps "kept", and DOC-3 names that.
        with suppress(JournalError):
            rollout.take_lease(after=lease.token)
            rollout.end(spools=True, **closure.facts())


def publish(rollout: RolloutContext, closure: Closure, env: Mapping[str, str]) -> Closure:
    """Write every document and notify; one that fails does not stop the others, and none changes the decision.

    Return the closure with what could not be written.
    """
    summary = f"{closure.word}: {rollout.change_text} on {rollout.target.name}: {closure.why}"
    rows = {
        "DOC-2": document(rollout, "DOC-2", lambda: str(log_operation(rollout, summary))),
        "DOC-3": document(rollout, "DOC-3", lambda: _confirm_ending(rollout, closure.decision)),
        # After the others: it names those that failed.
        "DOC-1": document_change(rollout, closure),
    }
    missing = (*closure.undocumented, *undocumented(rows.values()))
    if _notify(rollout, replace(closure, undocumented=missing), env):
        # Once more, with the notifications; the first writing does not wait for a slow channel.
        rows["DOC-1"] = document_change(rollout, closure)
    # Last of all, for the review, which reports that there is no snapshot where it cannot be read what was written.
    with suppress(JournalError):
        if rollout.last_known_record().wrote:
            capture(rollout)
    return replace(closure, undocumented=(*closure.undocumented, *undocumented(rows.values())))


def document_change(rollout: RolloutContext, closure: Closure) -> Mapping[str, Any]:
    """Write the change record; return its row."""
    return document(
        rollout, "DOC-1", lambda: str(write_change_record(rollout, rollout.last_known_record(), closure.facts()))
    )


def _notify(rollout: RolloutContext, closure: Closure, env: Mapping[str, str]) -> bool:
    """Notify the channels of the ending; return whether there is any channel."""
    event, failed = str(closure.decision), closure.decision is Decision.ROLLBACK_FAILED
    try:
        message = messages.verdict(
            rollout, rollout.last_known_record(), closure.facts(), closure.next_step, closure.undocumented
        )
        return bool(announce(rollout, event, message, env, everyone=failed))
    except Exception as error:  # noqa: BLE001 - a notification that fails must not change the decision, whatever it is
        rollout.append_or_spool(Kind.NOTIFIED, event=event, channel="any", accepted=False, detail=repr(error))
        return True
