"""What follows the activation of ``rollout emergency``: takeover, proof, restart, records, people (EMG-1 to EMG-3)."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

from rollout.approvals.obligations import ObligationKind, open_of, owe
from rollout.audit.seal import conclude
from rollout.changes import limits, restart, weights
from rollout.changes.backup import active_provider, is_same_provider
from rollout.changes.read_back import READ_BACK_S, Remedy, remedied
from rollout.config.load import load
from rollout.context import RolloutContext
from rollout.core.caller import caller
from rollout.core.canary_stages import ALL, share_of, show_weights
from rollout.core.clock import NEVER, SystemClock, format_utc
from rollout.core.errors import ExitCode, GatewayError, JournalError, RolloutError
from rollout.core.request import Request, as_opened
from rollout.core.scenario import ProviderChange
from rollout.engine.closing_snapshot import capture
from rollout.engine.closure import Closure
from rollout.engine.credentials import learn_env_files, redactor_for, token_of
from rollout.engine.embedded_gateway import described
from rollout.engine.emergency import Order, Say, Sent, opening
from rollout.engine.session import others_here
from rollout.gateway import manual_commands
from rollout.gateway.client import Gateway
from rollout.gateway.embedded_proof import doubt_request
from rollout.gateway.expectations import answered_by, named
from rollout.gateway.responses import Governance
from rollout.journal.chain import Entry
from rollout.journal.endings import AlreadyEnded
from rollout.journal.journal import Journal
from rollout.journal.leases import LEASE_S, LeaseLost
from rollout.journal.record import Decision, Kind, RolloutRecord, What
from rollout.journal.replay import REPLAYED, replay
from rollout.journal.spool import SPOOL, reconcile
from rollout.journal.store import Store
from rollout.reporting import messages
from rollout.reporting.change_record import write_change_record
from rollout.reporting.documents import document, log_operation, undocumented
from rollout.reporting.messages import Message
from rollout.reporting.notifications import announce, page

DONE, NOT_VERIFIED = "EMERGENCY DONE", "EMERGENCY NOT VERIFIED"


class Unreachable(Store):
    """Stands in for a database that cannot be reached: every call says why, so that what is written is spooled."""

    def __init__(self, error: JournalError) -> None:
        """Keep the reason."""
        self._error = error

    def read(self) -> NoReturn:
        """Refuse."""
        raise self._error

    def write(self) -> NoReturn:
        """Refuse."""
        raise self._error

    def close(self) -> None:
        """Do nothing: nothing is open."""


@dataclass(slots=True)
class _Work:
    """The emergency at work.

    Attributes:
        rollout: it, as a rollout.
        order: what was asked for.
        to: where to go.
        say: tells the person at the terminal.
        taken: the rollouts that were in flight there, and are taken over.
        before: what was active before it: as it was read, or as the journal knows it; None where neither does.
        answered: what shows who answered the request; empty before it was answered.
        problem: why it is not verified, latest first; empty when it is.
    """

    rollout: RolloutContext
    order: Order
    to: ProviderChange
    say: Say
    taken: tuple[RolloutRecord, ...] = ()
    before: str | None = None
    answered: str = ""
    problem: str = ""

    def step(self, clause: str, outcome: str, message: str) -> None:
        """Record a step and say it."""
        message = self.rollout.redactor.text(message)
        self.rollout.note(Kind.STEP, clause=clause, outcome=outcome, message=message)
        self.say(f"{clause} {outcome}: {message}")


def finish(order: Order, sent: Sent, env: Mapping[str, str], say: Say) -> int:
    """Take over, prove, restart if needed, record and tell; return the exit code: 0 verified, 11 not."""
    rollout, intent = _opened(order, env)
    try:
        work = _Work(rollout, order, ProviderChange(order.provider, order.model), say)
        rollout.note(Kind.OUTCOME, intent=intent, result=sent.result, detail=sent.detail)
        _owe_approval(rollout)
        _recall(work)
        _take_over(work)
        _prove(work, refused=sent.result == "refused")
        _close_taken(work)
        code = _closed(work, env)
        sealed = conclude(rollout.journal, rollout.id, rollout.folder, env, by=rollout.run).line
        if sealed:
            say(sealed)
        return code
    finally:
        rollout.release_lease()
        rollout.gateway.close()
        rollout.journal.close()


def _owe_approval(rollout: RolloutContext) -> None:
    """Leave a retrospective approval open, where the policy asks for approvals at all."""
    if "PRE-2.2" not in rollout.policy.not_demanded and ObligationKind.APPROVAL not in rollout.last_known_record().owed:
        owe(rollout, ObligationKind.APPROVAL, rollout.policy.retrospective_within_s)


def settle(rollout: RolloutContext, why: str, env: Mapping[str, str]) -> Closure:
    """Close an emergency whose process died: done if the gateway is where it was to go, else a person is needed.

    Nothing is sent to the gateway: whoever called it has seen it die, and may have gone elsewhere since.
    """
    to = rollout.expected_active
    _owe_approval(rollout)
    problem = _elsewhere(rollout, to) or _shared(rollout, to)
    decision, word = (Decision.ROLLBACK_FAILED, NOT_VERIFIED) if problem else (Decision.KEPT, DONE)
    said = f"{why}; {problem or f'{to} is active'}"
    commands = _commands(rollout, to) if problem else ()
    facts = {"decision": decision, "word": word, "why": said, "not_passed": {}, "rollback": [], "commands": [*commands]}
    try:
        rollout.end(spools=True, **facts)
    except (LeaseLost, AlreadyEnded) as error:
        return Closure(None, "LEFT ALONE", f"another process has ended it or has taken it over: {error}")
    page(rollout, "emergency settled", messages.emergency(rollout, word, [("Why", said)], commands), env, everyone=True)
    written = document(rollout, "DOC-1", lambda: str(write_change_record(rollout, rollout.last_known_record(), facts)))
    capture(rollout)
    return Closure(decision, word, said, commands=commands, undocumented=undocumented([written]))


def _commands(rollout: RolloutContext, to: ProviderChange) -> tuple[str, ...]:
    """Return what a person can paste, the look last: the activation leaves weights to themselves."""
    target = rollout.target
    split = (manual_commands.weights(target, target.routing, weights.whole(rollout, to)),) if target.routing else ()
    return (*split, manual_commands.activation(target, to), manual_commands.look(target))


def _opened(order: Order, env: Mapping[str, str]) -> tuple[RolloutContext, int | str]:
    """Return the emergency as a rollout, and the number of its intent; 0 where the journal cannot be written."""
    request, clock = _request(order, env), SystemClock()
    redactor = redactor_for(replace(request, scenario=replace(request.scenario, notify=order.channels)), env)
    learn_env_files(redactor, request.target, None)
    try:
        journal = Journal.open(order.journal, clock=clock, redact=redactor.value)
        reconcile(journal, order.reports)
        record = replay(order.id, journal.entries(order.id, *REPLAYED))
    except JournalError as error:
        journal = Journal(Unreachable(error), clock=clock, redact=redactor.value, host=platform.node())
        record = replay(order.id, (Entry(0, order.id, order.at, kind, body, "", "") for kind, body in opening(order)))
    token = token_of(request.target.token_env, env)
    rollout = RolloutContext(
        id=order.id,
        run=f"{order.id}-{os.getpid()}",
        scenario=replace(request.scenario, notify=tuple(dict.fromkeys((*order.channels, *request.policy.channels)))),
        target=request.target,
        policy=request.policy,
        digest=order.id,
        folder=order.reports / order.id,
        journal=journal,
        gateway=Gateway(request.target, token=token, clock=clock, redactor=redactor, rollout_id=order.id),
        clock=clock,
        stop=NEVER,
        redactor=redactor,
        env=env,
        is_emergency=True,
        _known=record,
    )
    return rollout, record.writes[-1].seq if record.writes else 0


def _request(order: Order, env: Mapping[str, str]) -> Request:
    """Return target and policy as the files say; as the order says where the files cannot be used as they are."""
    opened = as_opened(dict(opening(order))["opened"])
    name, gateway = order.wanted
    try:
        request = load(
            scenario=None,
            activate=order.to,
            ticket=None,
            target=name,
            gateway=gateway,
            directory=Path(order.targets).parent,
            env=env,
            doubt=doubt_request,
        )
    except RolloutError:
        return replace(opened, target=described(opened.target))
    target = described(replace(request.target, url=opened.target.url))
    return Request(opened.scenario, target, request.policy)


def _recall(work: _Work) -> None:
    """Find out what was active before: the journal may know what the gateway did not say in time."""
    rollout = work.rollout
    work.before = work.order.before
    if work.before is not None:
        return
    try:
        found = _left_by_others(rollout)
    except JournalError:
        return
    if found is not None:
        who, work.before = found
        text = f"what was active could not be read in time; the entries of rollout {who} say {work.before}"
        rollout.note(Kind.FINDING, clause="EMG-1", text=text, before=work.before)
        work.say(text)


def _left_by_others(rollout: RolloutContext) -> tuple[str, str] | None:
    """Return the rollout that was the last to write here which provider is active, and which one; None for none.

    Where none has written it, what the latest backup found counts.
    """
    others = others_here(rollout)
    confirmed = [
        (write.at, other.id, write.to)
        for other in others
        for write in other.writes
        if write.what is What.PROVIDER and write.result == "done"
    ]
    if confirmed:
        _, who, place = max(confirmed)
        return who, place
    saved = [(other.id, other.previous) for other in others if other.backup is not None]
    return saved[-1] if saved else None


def _take_over(work: _Work) -> None:
    """Get the newest fencing token, so that a run that is under way leaves the gateway alone."""
    rollout = work.rollout
    try:
        asked_s, holder = rollout.clock.monotonic(), f"{rollout.run}@{rollout.journal.host} ({caller()})"
        rollout.adopt(rollout.journal.preempt_lease(rollout.place, rollout.id, holder, LEASE_S), asked_s)
        work.taken = tuple(other for other in others_here(rollout) if other.in_flight)
    except JournalError as error:
        work.say(f"the journal cannot be reached, so a rollout under way is not told; stop it by hand. {error}")
    for record in work.taken:
        work.say(f"taken over: {record.id} ({record.opened['change']})")


def _prove(work: _Work, *, refused: bool) -> None:
    """See the provider active, with a remedy for each deadline that passes, and one request answered by it (EMG-2)."""
    waits_for_restart = work.rollout.target.restarts(work.to.provider)
    remedies = [] if refused or waits_for_restart else [Remedy("once more", lambda: _again(work))]
    if work.rollout.target.service is not None and not refused and not work.order.restart:
        remedies.append(Remedy("restart", lambda: _restart(work)))
    restarted = _tried(lambda: _restart(work)) if work.order.restart else "not needed"
    problem, tried = remedied(
        lambda: _elsewhere(work.rollout, work.to),
        remedies,
        within_s=0.0 if refused or waits_for_restart else READ_BACK_S,
        clock=work.rollout.clock,
    )
    for each in tried:
        outcome = f"failed: {each.outcome}" if each.failed else each.outcome
        work.say(f"{each.because}; {each.name}: {outcome}")
        restarted = outcome if each.name == "restart" else restarted
    problem = problem or _outlast(work) or _give_all(work) or _request_problem(work)
    problem = problem or _elsewhere(work.rollout, work.to)
    work.problem = problem
    work.step(
        "EMG-1",
        "failed" if problem else "passed",
        problem or f"{work.to} is active; a request was answered: {work.answered}",
    )
    failed = restarted.startswith("failed")
    work.problem = work.problem or (restarted if failed else "")
    work.step("EMG-2", "failed" if failed else "passed", restarted)


def _outlast(work: _Work) -> str:
    """Read again when nothing can land any more that a rollout which was taken over had under way (safety rule 9).

    Its process may have been paused between announcing a write and sending it, or its answer was lost while the
    gateway is still at it; and the gateway knows no fencing.

    Returns:
        why the provider is not active then, although it was activated once more; empty if it is.
    """
    clock, longest_s = work.rollout.clock, work.rollout.target.timeouts.activate_s
    under_way = [write for record in work.taken for write in record.writes if write.result in (None, "unknown")]
    lands = max((datetime.fromisoformat(write.at) for write in under_way), default=clock.now())
    left_s = (lands - clock.now()).total_seconds() + longest_s if under_way else 0.0
    if left_s <= 0:
        return ""
    work.say(f"{work.to} is active; a write that was under way may land for {left_s:.0f} s more, then it is read again")
    clock.wait(left_s)
    problem, _ = remedied(
        lambda: _elsewhere(work.rollout, work.to),
        [Remedy("once more", lambda: _again(work))],
        within_s=work.rollout.target.stale_for_s,
        clock=clock,
    )
    return problem


def _elsewhere(rollout: RolloutContext, to: ProviderChange) -> str:
    """Return why the gateway is not seen where it should be, empty if it is."""
    try:
        here = active_provider(rollout.gateway, rollout.target)
    except RolloutError as error:
        return str(error)
    return "" if is_same_provider(here, to) else f"the gateway reports {here} active instead of {to}"


def _give_all(work: _Work) -> str:
    """Take what weights still send elsewhere, as a canary's may; return why that is not verified, empty if it is."""
    rollout = work.rollout
    elsewhere = _shared(rollout, work.to)
    if not elsewhere:
        return ""
    try:
        weights.send(rollout, rollout.gateway, weights.whole(rollout, work.to), step="EMG-1", direction="back")
    except RolloutError as error:
        return f"{elsewhere}, and setting the weights failed: {error}"
    work.say(f"{elsewhere}; the weights were set: all requests go to {work.to}")
    return _shared(rollout, work.to)


def _shared(rollout: RolloutContext, to: ProviderChange) -> str:
    """Return why not every request is seen to go there, empty if they do, or the target splits none."""
    if rollout.target.routing is None:
        return ""
    try:
        shares = rollout.gateway.weights().shares
    except RolloutError as error:
        return f"how the requests are split is not known: {error}"
    share = share_of(shares, weights.named(rollout, to), is_active=True)
    return "" if share == ALL else f"the activation left the requests split by {show_weights(shares)}"


def _again(work: _Work) -> str:
    with (
        work.rollout.journaled_write("EMG-1", "back", str(work.to), what=What.PROVIDER),
        work.rollout.gateway.allow_writes("EMG-1"),
    ):
        work.rollout.gateway.activate(work.to.provider, work.to.model)
    return "the gateway answered success"


def _restart(work: _Work) -> str:
    rollout = work.rollout
    try:
        before, unread = rollout.gateway.governance(), ""
    except RolloutError as error:
        # What cannot be read cannot be put back, and does not stop an emergency.
        before, unread = Governance({}, {}, ()), f"; whether limits were lost is not known: {error}"
    restart.commands(rollout, NEVER, step="EMG-2", direction="back")
    healthy = restart.await_health(rollout, rollout.gateway, NEVER, back=True)
    lost = limits.put_back(rollout, rollout.gateway, before, step="EMG-2", direction="back")
    again = f"; it lost limits, which were put back: {', '.join(lost)}" if lost else ""
    return f"restarted, {healthy}{again}{unread}"


def _request_problem(work: _Work) -> str:
    rollout = work.rollout
    try:
        answer = rollout.gateway.chat(rollout.scenario.monitor.prompt)
    except RolloutError as error:
        return str(error)
    work.answered = named(answer)
    return answered_by(answer, work.to, rollout.target) or ""


def _tried(work: Callable[[], str]) -> str:
    try:
        return work()
    except (RolloutError, GatewayError) as error:
        return f"failed: {error}"


def _close_taken(work: _Work) -> None:
    """Close the rollouts that were in flight: the safe provider is a way back, but of the provider alone."""
    rollout = work.rollout
    for record in work.taken:
        scenario = as_opened(record.opened).scenario if "scenario" in record.opened else None
        others = [str(c) for c in scenario.changes if not isinstance(c, ProviderChange)] if scenario else []
        stays = (
            scenario is not None and scenario.activation is not None and is_same_provider(scenario.activation, work.to)
        )
        why = f"taken over by emergency {rollout.id} ({work.order.by}: {work.order.reason}), which went to {work.to}"
        if others:
            why += f"; not taken back: {', '.join(others)}; `rollout rollback {record.id}` does that"
        if stays:
            why += "; that is what this rollout activates, so its change is not taken back"
        if work.problem:
            why += f"; and that is not verified: {work.problem}"
        decision = Decision.ROLLBACK_FAILED if others or stays or work.problem else Decision.ROLLED_BACK
        facts = {
            "decision": decision,
            "word": "TAKEN OVER",
            "why": why,
            "not_passed": {},
            "rollback": [],
            "commands": [],
        }
        if rollout.lease is not None:
            with suppress(RolloutError):
                rollout.journal.append_ending(rollout.lease, record.id, {**facts, "fence": rollout.lease.token})


def _closed(work: _Work, env: Mapping[str, str]) -> int:
    """Write the record, say how it ended, tell people, and return the exit code (EMG-3)."""
    rollout, order = work.rollout, work.order
    commands = _commands(rollout, work.to) if work.problem else ()
    word = NOT_VERIFIED if work.problem else DONE
    undo = _undo(order, work.before)
    why = (
        work.problem
        or f"{work.to} is active; a request was answered: {work.answered}; before: {work.before or 'not known'}"
    )
    decision = Decision.ROLLBACK_FAILED if work.problem else Decision.KEPT
    facts = {"decision": decision, "word": word, "why": why, "not_passed": {}, "rollback": [], "commands": [*commands]}
    _end(rollout, facts)
    # First of all to whoever called it: a channel may take its time.
    work.say(f"{word} at {format_utc(rollout.clock.now())}: {why}")
    if work.problem:
        work.say("A PERSON IS NEEDED. Look, then paste:\n  " + "\n  ".join(reversed(commands)))
    work.say(f"to undo: {undo}")
    owed = "; ".join(each.told(rollout.clock.now()) for each in open_of(rollout.last_known_record()))
    if owed:
        work.say(f"owed: {owed}")
    taken = ", ".join(record.id for record in work.taken)
    parts = [
        ("Why", f"{order.by}: {order.reason}"),
        ("Now", why),
        ("Taken over", taken),
        ("To undo", undo),
        ("Owed", owed),
    ]
    letter = messages.emergency(rollout, word, parts, commands)
    problems = [*_recorded(rollout, facts, f"{letter.subject}: {order.by}: {order.reason}. {why}. to undo: {undo}")]
    told = _told(rollout, letter, env, problems)
    work.step("EMG-3", "failed" if problems else "passed", "; ".join(problems) or f"told: {told}")
    if (rollout.folder / SPOOL).exists():
        work.say(f"recorded in {rollout.folder}, to be entered by the next run that reaches the journal")
    capture(rollout)
    return ExitCode.ROLLBACK_FAILED if work.problem else ExitCode.KEPT


def _end(rollout: RolloutContext, facts: Mapping[str, Any]) -> None:
    """End the emergency's own rollout; one that was superseded meanwhile leaves that to its successor."""
    with suppress(LeaseLost, AlreadyEnded):
        rollout.end(spools=True, **facts)


def _recorded(rollout: RolloutContext, facts: Mapping[str, Any], line: str) -> Iterator[str]:
    """Write the change record and the line of the operations log; yield why one of them cannot be written."""
    works: tuple[Callable[[], Path], ...] = (
        lambda: log_operation(rollout, line),
        lambda: write_change_record(rollout, rollout.last_known_record(), facts),
    )
    for work in works:
        try:
            work()
        except Exception as error:  # noqa: BLE001 - people must hear of the emergency, whatever its record does
            yield str(error) if isinstance(error, (OSError, RolloutError)) else repr(error)


def _told(rollout: RolloutContext, letter: Message, env: Mapping[str, str], problems: list[str]) -> str:
    """Tell every channel; return who heard, and add to `problems` who did not."""
    try:
        sent = announce(rollout, "emergency", letter, env, everyone=True)
    except (OSError, RolloutError) as error:
        problems.append(str(error))
        return ""
    problems += [f"{each.channel}: {each.detail}" for each in sent if not each.accepted]
    return ", ".join(["the operations log", *(each.channel for each in sent)])


def _undo(order: Order, before: str | None) -> str:
    """Return the command that goes back to what was active."""
    if before is None:
        return "what was active could not be read; the gateway's audit log and `rollout status --all` may know"
    provider, _, model = before.partition(":")
    name, gateway = order.wanted
    where = " ".join(f"--{key}={value}" for key, value in (("target", name), ("gateway", gateway)) if value)
    return f"rollout emergency {where} --provider={provider} --model={model} --yes --reason='undo {order.id}'"
