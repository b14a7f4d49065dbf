"""The way back: one idempotent `roll_back`, whoever calls it (RBK).

A step that fails does not stop the later ones, and a rollback that is not verified is a failed rollback.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from rollout import paste
from rollout.backup import Backup, differences, env_changed, recorded, same_place, where_it_is
from rollout.changes import environment, limits, provider, restart, weights
from rollout.clauses import CLAUSES
from rollout.clock import NEVER, stamp
from rollout.errors import GatewayError, JournalError, RolloutError, SomebodyIntervened
from rollout.expectation import answered_by
from rollout.gateway.client import Gateway
from rollout.record import Decision, Kind, Record, Write
from rollout.scenario import Change, EnvironmentChange, LimitChange, ProviderChange
from rollout.stages import is_staged, show_weights
from rollout.workspace import LEASE_S, SPOOL, Rollout

RESTARTS = ("APP-2.2", "RBK-3.2")
"""The steps that run the service's stop and start commands."""

TRIES = 3
AGAIN_AFTER_S = 1.0
PROOF = ("RBK-2.2", "RBK-4.1", "RBK-4.2", "RBK-4.3")
"""The steps that must pass before a rollback may be called verified."""

UNDO = ("RBK-3.1", "RBK-3.2", "RBK-3.3", "RBK-3.4")
"""The steps that must not fail, where they are needed."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the way back: ``passed``, ``failed`` or ``not needed``, and what was seen."""

    clause: str
    outcome: str
    message: str
    at: str

    def __str__(self) -> str:
        """Read as one line of the closure's table."""
        return f"{self.at}  {self.clause:<8} {self.outcome:<10} {CLAUSES[self.clause].title}: {self.message}"


@dataclass(frozen=True, slots=True)
class RolledBack:
    """What came of the way back.

    Attributes:
        verified: every step of `PROOF` passed.
        hands_off: somebody else changed the gateway, so it was not touched.
        reason: why it was necessary.
        steps: what was done, in order.
        took_s: seconds from the start to the last proof.
        commands: what a person can paste; empty when verified.
    """

    verified: bool
    hands_off: bool
    reason: str
    steps: tuple[Step, ...]
    took_s: float
    commands: tuple[str, ...] = ()

    @property
    def decision(self) -> Decision:
        """How the rollout ends with it."""
        return Decision.ROLLED_BACK if self.verified else Decision.ROLLBACK_FAILED


def candidates(rollout: Rollout, backup: Backup) -> tuple[ProviderChange, ...]:
    """Return where the way back leads, first choice first (PRE-2.4)."""
    ways = (rollout.scenario.rollback_to, backup.previous, rollout.target.safe)
    return tuple(dict.fromkeys(way for way in ways if way is not None))


def undo_order(rollout: Rollout) -> tuple[Change, ...]:
    """Return the changes in the order in which they are undone: the last one first."""
    return tuple(reversed(rollout.scenario.changes))


def planned_steps(rollout: Rollout, backup: Backup) -> tuple[str, ...]:
    """Return what a rollback would do, step by step, and what it cannot undo (PRE-2.4)."""
    first, *others = candidates(rollout, backup)
    fallback = f"; if it is offline: {', then '.join(map(str, others))}" if others else ""
    words: dict[type, tuple[str, ...]] = {
        ProviderChange: (f"RBK-2.1 activate {first}{fallback}",),
        EnvironmentChange: ("RBK-3.1 restore the .env file", "RBK-3.2 restart the service", "RBK-3.3 await its health"),
        LimitChange: ("RBK-3.4 restore the governance limits",),
    }
    undo = dict.fromkeys(step for change in undo_order(rollout) for step in words[type(change)])
    return (
        "RBK-1.1 read the active provider; somebody else's change is not overwritten",
        "RBK-1.2 capture critical alerts",
        *(
            (f"RBK-2.1 split the requests as now: {show_weights(backup.weights or {})}",)
            if _splits(rollout, backup)
            else ()
        ),
        *undo,
        "RBK-2.2 read back that the previous provider is active",
        "RBK-4.1 one request is answered by it",
        f"RBK-4.2 its status is connected {rollout.scenario.monitor.stable_polls} times in a row",
        "RBK-4.3 configuration, limits and .env equal the backup",
        "cannot be undone: requests that the new provider answered, and what they cost",
        *(f"cannot be undone: {words}" for words in limits.all_for_good(rollout, backup)),
    )


@dataclass(slots=True)
class _Way:
    """The rollback in progress.

    Attributes:
        rollout: whose change is taken back.
        gateway: where; it is not interrupted.
        backup: what it was.
        record: the rollout, as the journal told it at the beginning.
        reason: why.
        steps: what was done so far.
        hands_off: whether somebody else changed the gateway.
        edited: the limits that somebody had changed before the way back restarted the service.
        lost: the limits that this restart has lost; None before it is known.
    """

    rollout: Rollout
    gateway: Gateway
    backup: Backup
    record: Record
    reason: str
    steps: list[Step] = field(default_factory=list)
    hands_off: bool = False
    edited: frozenset[str] = frozenset()
    lost: frozenset[str] | None = None

    def step(self, clause: str, work: Callable[[], str]) -> None:
        """Do one step; whatever it raises is its outcome and does not stop the later ones."""
        self.keep(clause, *self._tried(work))

    def prove(self, clause: str, work: Callable[[], str]) -> None:
        """Do a step of the proof, again if it fails: one answer that was lost must not call a person.

        Where an earlier proof has failed, once is enough: nothing can be verified any more.
        """
        tries = 1 if any(step.outcome == "failed" and step.clause in PROOF for step in self.steps) else TRIES
        until = self.rollout.clock.monotonic() + self.rollout.target.timeouts.activate_s
        outcome, message = self._tried(work)
        while outcome == "failed" and (tries := tries - 1) and self.rollout.clock.monotonic() < until:
            self.rollout.clock.wait(AGAIN_AFTER_S)
            outcome, message = self._tried(work)
        self.keep(clause, outcome, message)

    def _tried(self, work: Callable[[], str]) -> tuple[str, str]:
        try:
            return "passed", work()
        except SomebodyIntervened as error:
            self.hands_off = True
            return "failed", str(error)
        except Exception as error:  # noqa: BLE001 - nothing may stop the way back, not even a defect of ours
            return "failed", str(error) if isinstance(error, RolloutError) else repr(error)

    def keep(self, clause: str, outcome: str, message: str) -> None:
        """Record a step's outcome."""
        message = self.rollout.redactor.text(message)
        step = Step(clause, outcome, message, stamp(self.rollout.clock.now()))
        self.steps.append(step)
        self.rollout.note(Kind.STEP, clause=clause, outcome=outcome, message=message)


def roll_back(rollout: Rollout, reason: str) -> RolledBack:
    """Take the change back, prove it, and say what was done. Never raises for what the gateway does.

    Repeating it is harmless: a gateway that is back already is only proven again.

    Args:
        rollout: whose change to take back.
        reason: why, for the record (RBK-5.1).
    """
    began = rollout.clock.monotonic()
    record = rollout.known()
    way = _Way(rollout, rollout.gateway.uninterruptible(), recorded(record.backup), record, reason)
    rollout.note(Kind.ROLLBACK, reason=reason)
    way.step("RBK-1.1", lambda: _assess(way))
    if not way.hands_off:
        way.step("RBK-1.2", lambda: _capture(way))
        for clause, work in _undoing(way):
            if not way.hands_off:
                way.step(clause, work)
    if way.hands_off:
        for clause in PROOF:
            way.keep(clause, "failed", "not done: somebody else changed the gateway, which is not overwritten")
    else:
        way.prove("RBK-2.2", lambda: _verify_active(way))
        way.prove("RBK-4.1", lambda: _request_works(way))
        way.prove("RBK-4.2", lambda: _stabilises(way))
        way.prove("RBK-4.3", lambda: _equals_backup(way))
    way.step("RBK-5.1", lambda: _on_record(way))
    passed = {step.clause for step in way.steps if step.outcome == "passed"}
    latest = {step.clause: step.outcome for step in way.steps}
    undone = all(latest.get(clause) != "failed" for clause in UNDO)
    verified = undone and passed.issuperset(PROOF)
    commands = () if verified else _commands(way)
    took_s = rollout.clock.monotonic() - began
    return RolledBack(verified, way.hands_off, reason, tuple(way.steps), took_s, commands)


def _on_record(way: _Way) -> str:
    """Return the reason, if those who read the journal find it there."""
    if Kind.ROLLBACK in way.rollout.unwritten:
        raise JournalError(f"the journal did not take it, it waits in {SPOOL}: {way.reason}")
    return way.reason


def _commands(way: _Way) -> tuple[str, ...]:
    """Return what a person can paste: the way back, and before it a look."""
    target = way.rollout.target
    commands = (paste.activation(target, way.backup.previous), paste.look(target))
    if target.routing is None or not _splits(way.rollout, way.backup):
        return commands
    return (paste.weights(target, target.routing, way.backup.weights or {}), *commands)


def _splits(rollout: Rollout, backup: Backup) -> bool:
    """Tell whether the way back has to do with weights: the canary sets them, and an activation takes them away."""
    return backup.weights is not None and (is_staged(rollout.scenario) or bool(backup.weights))


def _undoing(way: _Way) -> Iterator[tuple[str, Callable[[], str]]]:
    """Yield the steps that undo the changes, the last change first; what was never changed is not touched.

    The limits are looked at once more at the end where a restart may have lost them, or could not be reached before.
    """
    changes = undo_order(way.rollout)
    seen: set[type] = set()
    for change in changes:
        if isinstance(change, LimitChange):
            yield "RBK-3.4", partial(limits.undo, way.rollout, way.gateway, way.backup, change)
        elif type(change) not in seen:
            yield from _WAYS[type(change)](way)
        seen.add(type(change))
    failed = any(step.clause == "RBK-3.4" and step.outcome == "failed" for step in way.steps)
    if _restarted(way) or failed or sum(isinstance(change, LimitChange) for change in changes) > 1:
        yield "RBK-3.4", lambda: _restore_limits(way)
    yield from _undoing_late(way)


def _undoing_late(way: _Way) -> Iterator[tuple[str, Callable[[], str]]]:
    """Yield the steps that undo once more what landed after it was undone, when nothing can land any more.

    A late activation is seen, and undone, where the active provider is read back.
    """
    lost = {write.step for write in way.record.writes if _lands_within_s(way, write)}
    if lost - {"APP-1.2"}:
        _outlast_lost_writes(way)
    if lost & {"APP-2.1", "RBK-3.1"}:
        yield "RBK-3.1", lambda: environment.restore(way.rollout, way.backup, way.record)
    if lost & set(RESTARTS):
        yield "RBK-3.2", lambda: _up_again(way)
        yield "RBK-3.3", lambda: _await_health(way)
    if lost & {"APP-2.4", "APP-3.1", *RESTARTS}:
        yield "RBK-3.4", lambda: _restore_limits(way)


def _up_again(way: _Way) -> str:
    """Restart the service once more, if a command that nobody waited for any more was in the way, or has stopped it."""
    latest = {step.clause: step.outcome for step in way.steps}
    if latest.get("RBK-3.2") == "passed":
        try:
            way.gateway.health()
        except GatewayError:
            pass
        else:
            return "still healthy"
    return restart.commands(way.rollout, NEVER, step="RBK-3.2", direction="back")


def _restore_limits(way: _Way) -> str:
    """Put the limits back, again if it fails: as with a proof, one answer that was lost must not call a person."""
    lost = way.lost if _restarted(way) else frozenset[str]()
    restore = partial(limits.restore, way.rollout, way.gateway, way.backup, lost=lost)
    for _ in range(TRIES - 1):
        with suppress(GatewayError):
            return restore()
        way.rollout.clock.wait(AGAIN_AFTER_S)
    return restore()


def _undo_activation(way: _Way) -> Iterator[tuple[str, Callable[[], str]]]:
    splits = _splits(way.rollout, way.backup)
    if splits:
        # First, for it is one call that moves everybody away from the new provider, whoever is active.
        yield "RBK-2.1", lambda: _split_again(way)
    yield "RBK-2.1", lambda: _activate_again(way)
    if splits:
        # An activation may take the weights away; and a gateway that was restarting is there by now.
        yield "RBK-2.1", lambda: _split_again(way)


def _split_again(way: _Way) -> str:
    """Put the weights back; again if it fails, because a lost answer says nothing."""
    for left in reversed(range(TRIES)):
        try:
            return weights.restore(way.rollout, way.gateway, way.backup)
        except SomebodyIntervened:
            raise
        except RolloutError:
            if not left:
                raise
            way.rollout.clock.wait(AGAIN_AFTER_S)
    raise AssertionError("unreachable")  # pragma: no cover - for the type checker


def _undo_environment(way: _Way) -> Iterator[tuple[str, Callable[[], str]]]:
    yield "RBK-3.1", lambda: environment.restore(way.rollout, way.backup, way.record)
    yield "RBK-3.2", lambda: _restart(way)
    yield "RBK-3.3", lambda: _await_health(way)


_WAYS: Mapping[type, Callable[[_Way], Iterator[tuple[str, Callable[[], str]]]]] = {
    ProviderChange: _undo_activation,
    EnvironmentChange: _undo_environment,
}


def _restarted(way: _Way) -> bool:
    return any(write.step in ("APP-2.1", "APP-2.2") and write.result != "refused" for write in way.record.writes)


def _restart(way: _Way) -> str:
    if not _restarted(way):
        return "not needed: the .env file was not changed"
    apply = way.record.phases.get("apply")
    if apply is not None and apply.passed:
        # They were as in the backup then: what differs now is not what the way there has lost.
        with suppress(RolloutError):
            way.edited = limits.moved(way.gateway, way.backup)
    return restart.commands(way.rollout, NEVER, step="RBK-3.2", direction="back")


def _await_health(way: _Way) -> str:
    """Wait for the service, and look at once which limits its restart has lost: the others are somebody's."""
    told = restart.await_health(way.rollout, way.gateway, NEVER)
    with suppress(RolloutError):
        way.lost = limits.moved(way.gateway, way.backup) - way.edited
    return told


def _assess(way: _Way) -> str:
    here = _ours(way)
    if way.backup.weights is not None:
        weights.refuse_others(way.rollout, way.backup, way.gateway.weights().shares)
    return f"{here} is active"


def _ours(way: _Way) -> ProviderChange:
    """Return where the gateway is, if this rollout or the backup put it there.

    One's provider with the other's model is in between: an activation that takes effect after a restart (deviation 7).

    Raises:
        SomebodyIntervened: neither did.
    """
    ours = (way.rollout.serving, *candidates(way.rollout, way.backup))
    here = where_it_is(way.gateway, way.rollout.target)
    known = [ProviderChange(one.provider, other.model) for one in ours for other in ours]
    if not any(same_place(here, place) for place in known):
        # Provider and model are two reads: an activation that landed between them looks like somebody's.
        way.rollout.clock.wait(AGAIN_AFTER_S)
        here = where_it_is(way.gateway, way.rollout.target)
    if not any(same_place(here, place) for place in known):
        raise SomebodyIntervened(
            f"{here} is active, which is neither the new {way.rollout.serving} nor the previous {way.backup.previous}: "
            "somebody changed it meanwhile; hands off, a person decides"
        )
    return here


def _capture(way: _Way) -> str:
    alerts = way.gateway.alerts("critical")
    return ", ".join(f"{alert.key} ({alert.technical_details})" for alert in alerts) or "no critical alert is firing"


def _activate_again(way: _Way) -> str:
    refusals: list[str] = []
    until = way.rollout.clock.monotonic() + way.rollout.target.timeouts.activate_s
    for candidate in candidates(way.rollout, way.backup):
        problem = _reach(way, candidate, until)
        if problem is None:
            return f"{candidate} is active" + (f" (instead of: {'; '.join(refusals)})" if refusals else "")
        refusals.append(f"{candidate}: {problem}")
    raise GatewayError("activate", "; ".join(refusals))


def _reach(way: _Way, to: ProviderChange, until: float) -> str | None:
    """Get to `to`, reading back before every repetition; return why not.

    A gateway that does not answer is asked until `until`, in monotonic seconds: it may be restarting.

    Raises:
        SomebodyIntervened: somebody else's change is active.
    """
    tries, problem, silent = 0, None, False
    while tries < TRIES or (silent and way.rollout.clock.monotonic() < until):
        if tries:
            way.rollout.clock.wait(AGAIN_AFTER_S)
        tries += 1
        try:
            problem, silent = _go(way, to), False
        except SomebodyIntervened:
            raise
        except RolloutError as error:
            problem, silent = str(error), isinstance(error, GatewayError) and error.status is None
        if problem is None:
            return None
    return problem


def _go(way: _Way, to: ProviderChange) -> str | None:
    """Activate `to` unless it is active, and read back; return what is reported instead."""
    here = _ours(way)
    if not same_place(here, to):
        provider.activate(way.rollout, way.gateway, to, step="RBK-2.1", direction="back")
        if way.rollout.activation and way.rollout.activation.restart:
            restart.restart(way.rollout, way.gateway, NEVER, step="RBK-3.2", direction="back")
        here = _ours(way)
    return None if same_place(here, to) else f"the gateway answered success, and reports {here} active"


def _verify_active(way: _Way) -> str:
    _outlast_lost_writes(way)
    here = where_it_is(way.gateway, way.rollout.target)
    wanted = way.rollout.scenario.rollback_to or way.backup.previous
    if same_place(here, way.rollout.serving) and not same_place(here, wanted):
        # The lost activation landed after the way back, or a restart brought it up again: once more.
        provider.activate(way.rollout, way.gateway, wanted, step="RBK-2.1", direction="back")
        here = where_it_is(way.gateway, way.rollout.target)
    if not same_place(here, wanted):
        raise GatewayError("GET providers", f"{here} is active instead of {wanted}")
    if not _splits(way.rollout, way.backup):
        return f"the gateway reports {here} active"
    # A lost write of weights may have landed after the way back as well.
    return f"the gateway reports {here} active; {weights.restore(way.rollout, way.gateway, way.backup)}"


def _outlast_lost_writes(way: _Way) -> None:
    """Wait until a write whose answer was lost can no longer land: the gateway knows no fencing (EVIDENCE.md)."""
    for write in way.record.writes:
        latest = datetime.fromisoformat(write.at) + timedelta(seconds=_lands_within_s(way, write))
        left_s = max(0.0, (latest - way.rollout.clock.now()).total_seconds())
        if left_s:
            with suppress(RolloutError):  # without its journal it is still the way back
                way.rollout.hold_lease(left_s + LEASE_S)
            way.rollout.clock.wait(left_s)


def _lands_within_s(way: _Way, write: Write) -> float:
    """Return how long after its announcement a write may still land whose answer was lost; 0 if it cannot.

    A command ends with the runner's patience, or goes on alone when the runner is killed.
    """
    target = way.rollout.target
    lands_late = write.step in ("APP-1.2", "APP-2.4", "APP-3.1") or write.step.startswith("CAN-")
    if write.result in (None, "unknown") and lands_late:
        return target.timeouts.activate_s
    if write.result is None and target.service is not None:
        if write.step in RESTARTS:
            return 2 * target.service.timeout_s
        if write.step in ("APP-2.1", "RBK-3.1") and target.service.write:
            return target.service.timeout_s
    return 0.0


def _request_works(way: _Way) -> str:
    here = where_it_is(way.gateway, way.rollout.target)
    answer = way.gateway.chat(way.rollout.scenario.monitor.prompt)
    problem = answered_by(answer, here, way.rollout.target)
    if problem:
        raise GatewayError("POST chat/completions", problem)
    return f"{answer.model or here.model} answered in {answer.elapsed_ms:.0f} ms"


def _stabilises(way: _Way) -> str:
    monitor = way.rollout.scenario.monitor
    here = where_it_is(way.gateway, way.rollout.target)
    for poll in range(monitor.stable_polls):
        if poll:
            way.rollout.clock.wait(min(monitor.confirm_after_s, monitor.metrics_every_s))
        connection = way.gateway.status(here.provider)
        if connection.status != "connected":
            raise GatewayError(f"GET providers/{here.provider}/status", f"{connection.status}: {connection.message}")
    return f"{here.provider} was connected {monitor.stable_polls} times in a row"


def _equals_backup(way: _Way) -> str:
    found = differences(way.backup, way.gateway, way.rollout.redactor.value)
    if env_changed(way.backup, way.rollout.target, way.rollout.clock):
        found[".env"] = "its bytes differ from the backup's"
    if found:
        listed = "; ".join(f"{key}: {how}" for key, how in found.items())
        raise GatewayError("GET config/runtime", f"the gateway differs from the backup: {listed}")
    return "the diff is empty"


def table(steps: tuple[Step, ...]) -> list[Mapping[str, Any]]:
    """Return the steps as rows for a report."""
    return [
        {"at": s.at, "clause": s.clause, "step": CLAUSES[s.clause].title, "outcome": s.outcome, "seen": s.message}
        for s in steps
    ]
