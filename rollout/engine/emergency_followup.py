"""What follows the activation of ``rollout emergency``: takeover, proof, records, notifications (EMG-1 to EMG-3)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from rollout.approvals.obligations import ObligationKind, open_obligation, open_of
from rollout.audit.seal import conclude
from rollout.changes import weights
from rollout.context import RolloutContext
from rollout.core.clock import format_utc
from rollout.core.errors import ExitCode, RolloutError
from rollout.core.scenario import ProviderChange
from rollout.core.wishes import Activate, Split
from rollout.engine.closing_snapshot import capture
from rollout.engine.closure import Closure
from rollout.engine.emergency import Say, Sent
from rollout.engine.emergency_order import Order
from rollout.engine.emergency_proof import doubt_active, doubt_weights, prove
from rollout.engine.emergency_rollout import (
    EmergencyRun,
    close_taken_over,
    find_previous,
    open_rollout,
    take_over,
)
from rollout.gateway import manual_commands
from rollout.gateway.drivers.selection import splits_requests
from rollout.journal.endings import AlreadyEnded
from rollout.journal.leases import LeaseLost
from rollout.journal.record import Decision, Kind
from rollout.journal.spool import SPOOL
from rollout.reporting import messages
from rollout.reporting.change_record import write_change_record
from rollout.reporting.documents import document, log_operation, undocumented
from rollout.reporting.messages import Message
from rollout.reporting.notifications import announce, page

DONE, NOT_VERIFIED = "EMERGENCY DONE", "EMERGENCY NOT VERIFIED"


def finish(order: Order, sent: Sent, env: Mapping[str, str], say: Say) -> int:
    """Take over, prove, restart if needed, record and notify; return the exit code: 0 verified, 11 not."""
    rollout, intent = open_rollout(order, env)
    try:
        run = EmergencyRun(rollout, order, ProviderChange(order.provider, order.model), say)
        rollout.append_or_spool(Kind.OUTCOME, intent=intent, result=sent.result, detail=sent.detail)
        _open_approval(rollout)
        find_previous(run)
        take_over(run)
        prove(run, refused=sent.result == "refused")
        close_taken_over(run)
        code = _close(run, env)
        sealed = conclude(rollout.journal, rollout.id, rollout.folder, env, by=rollout.run).line
        if sealed:
            say(sealed)
        return code
    finally:
        rollout.release_lease()
        rollout.gateway.close()
        rollout.journal.close()


def _open_approval(rollout: RolloutContext) -> None:
    """Open the obligation of a retrospective approval, where the policy demands approvals."""
    if "PRE-2.2" not in rollout.policy.not_demanded and ObligationKind.APPROVAL not in rollout.last_known_record().owed:
        open_obligation(rollout, ObligationKind.APPROVAL, rollout.policy.retrospective_within_s)


def close_emergency(rollout: RolloutContext, why: str, env: Mapping[str, str]) -> Closure:
    """Close an emergency whose process died: done if its provider is active, else an operator must act.

    Nothing is sent to the gateway: the operator has seen the process die, and may have changed the provider since.
    """
    to = rollout.expected_active
    _open_approval(rollout)
    problem = doubt_active(rollout, to) or doubt_weights(rollout, to)
    decision, word = (Decision.ROLLBACK_FAILED, NOT_VERIFIED) if problem else (Decision.KEPT, DONE)
    reason = f"{why}; {problem or f'{to} is active'}"
    closure = Closure(decision, word, reason, commands=_commands(rollout, to) if problem else ())
    facts = closure.facts()
    try:
        rollout.end(spools=True, **facts)
    except (LeaseLost, AlreadyEnded) as error:
        return Closure(None, "LEFT ALONE", f"another process has ended it or taken it over: {error}")
    message = messages.emergency(rollout, word, [("Why", reason)], closure.commands)
    page(rollout, "emergency settled", message, env, everyone=True)
    written = document(rollout, "DOC-1", lambda: str(write_change_record(rollout, rollout.last_known_record(), facts)))
    capture(rollout)
    return replace(closure, undocumented=undocumented([written]))


def _commands(rollout: RolloutContext, to: ProviderChange) -> tuple[str, ...]:
    """Return the manual commands, the read last; weights are set first, because the activation does not change them."""
    target = rollout.target
    split = Split(weights.all_weights(rollout, to)) if splits_requests(target) else None
    shares = manual_commands.carry_out(target, split) if split else ()
    activation = manual_commands.carry_out(target, Activate(to.provider, to.model))
    return (*shares, *activation, manual_commands.read_command(target))


def _close(run: EmergencyRun, env: Mapping[str, str]) -> int:
    """Write the record, print the ending, notify every channel, and return the exit code (EMG-3)."""
    rollout, order = run.rollout, run.order
    commands = _commands(rollout, run.to) if run.problem else ()
    word = NOT_VERIFIED if run.problem else DONE
    undo = _undo_command(order, run.before)
    why = (
        run.problem
        or f"{run.to} is active; a request was answered: {run.answered}; before: {run.before or 'not known'}"
    )
    decision = Decision.ROLLBACK_FAILED if run.problem else Decision.KEPT
    facts = Closure(decision, word, why, commands=commands).facts()
    # A superseded emergency leaves the ending to its successor.
    with suppress(LeaseLost, AlreadyEnded):
        rollout.end(spools=True, **facts)
    # Before the notifications: a channel may be slow.
    run.say(f"{word} at {format_utc(rollout.clock.now())}: {why}")
    if run.problem:
        run.say("A PERSON IS NEEDED. Check the gateway, then run:\n  " + "\n  ".join(reversed(commands)))
    run.say(f"to undo: {undo}")
    obligations = "; ".join(each.describe(rollout.clock.now()) for each in open_of(rollout.last_known_record()))
    if obligations:
        run.say(f"owed: {obligations}")
    parts = [
        ("Why", f"{order.by}: {order.reason}"),
        ("Now", why),
        ("Taken over", ", ".join(record.id for record in run.taken)),
        ("To undo", undo),
        ("Owed", obligations),
    ]
    message = messages.emergency(rollout, word, parts, commands)
    problems = list(
        _write_records(rollout, facts, f"{message.subject}: {order.by}: {order.reason}. {why}. to undo: {undo}")
    )
    notified = _notify(rollout, message, env, problems)
    run.step("EMG-3", "failed" if problems else "passed", "; ".join(problems) or f"notified: {notified}")
    if (rollout.folder / SPOOL).exists():
        run.say(f"recorded in {rollout.folder}, to be entered by the next run that reaches the journal")
    capture(rollout)
    return ExitCode.ROLLBACK_FAILED if run.problem else ExitCode.KEPT


def _write_records(rollout: RolloutContext, facts: Mapping[str, Any], line: str) -> Iterator[str]:
    """Write the change record and the line of the operations log; yield why one of them cannot be written."""
    works: tuple[Callable[[], Path], ...] = (
        lambda: log_operation(rollout, line),
        lambda: write_change_record(rollout, rollout.last_known_record(), facts),
    )
    for work in works:
        try:
            work()
        except Exception as error:  # noqa: BLE001 - every channel is notified, even where the record fails
            yield str(error) if isinstance(error, (OSError, RolloutError)) else repr(error)


def _notify(rollout: RolloutContext, message: Message, env: Mapping[str, str], problems: list[str]) -> str:
    """Notify every channel; return those that accepted it, and add the others to `problems`."""
    try:
        sent = announce(rollout, "emergency", message, env, everyone=True)
    except (OSError, RolloutError) as error:
        problems.append(str(error))
        return ""
    problems += [f"{each.channel}: {each.detail}" for each in sent if not each.accepted]
    return ", ".join(["the operations log", *(each.channel for each in sent)])


def _undo_command(order: Order, before: str | None) -> str:
    """Return the command that activates the provider that was active before."""
    if before is None:
        return "what was active could not be read; the gateway's audit log and `rollout status --all` may know"
    provider, _, model = before.partition(":")
    name, gateway = order.wanted
    where = " ".join(f"--{key}={value}" for key, value in (("target", name), ("gateway", gateway)) if value)
    return f"rollout emergency {where} --provider={provider} --model={model} --yes --reason='undo {order.id}'"
