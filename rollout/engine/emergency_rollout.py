"""The emergency as a rollout: opened in the journal or in memory, and the takeover of the target's other rollouts."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

from rollout.changes.backup import is_same_provider
from rollout.config.load import load
from rollout.context import RolloutContext
from rollout.core.caller import caller
from rollout.core.clock import SystemClock
from rollout.core.errors import JournalError, RolloutError
from rollout.core.request import Request, as_opened
from rollout.core.scenario import ProviderChange
from rollout.engine.closure import Closure
from rollout.engine.credentials import learn_env_files, redactor_for
from rollout.engine.embedded_gateway import described
from rollout.engine.emergency import Say, opening
from rollout.engine.emergency_order import Order
from rollout.engine.gates import others_here
from rollout.engine.journaled_rollout import build_context
from rollout.gateway.embedded_proof import doubt_request
from rollout.journal.chain import Entry
from rollout.journal.journal import Journal
from rollout.journal.leases import LEASE_S
from rollout.journal.record import Decision, Kind, RolloutRecord, What
from rollout.journal.replay import REPLAYED, replay
from rollout.journal.spool import reconcile
from rollout.journal.store import Store


class Unreachable(Store):
    """Replaces a database that cannot be reached: every call raises the reason, so that entries are spooled."""

    def __init__(self, error: JournalError) -> None:
        """Keep the reason."""
        self._error = error

    def read(self) -> NoReturn:
        """Refuse."""
        raise self._error

    write = read

    def close(self) -> None:
        """Do nothing: nothing is open."""


@dataclass(slots=True)
class EmergencyRun:
    """The state of a running emergency.

    Attributes:
        rollout: the emergency as a rollout.
        order: the operator's order.
        to: the provider and model to activate.
        say: prints a line on the terminal.
        taken: the rollouts of this target that were in flight, and are taken over.
        before: ``provider:model`` that was active before, from the gateway or the journal; None where neither has it.
        answered: the provider and model that the answer names; empty before the answer.
        problem: why the emergency is not verified; empty when it is.
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
        """Record a step and print it."""
        message = self.rollout.redactor.text(message)
        self.rollout.append_or_spool(Kind.STEP, clause=clause, outcome=outcome, message=message)
        self.say(f"{clause} {outcome}: {message}")


def open_rollout(order: Order, env: Mapping[str, str]) -> tuple[RolloutContext, int | str]:
    """Return the emergency as a rollout, and the number of its intent; 0 where the journal cannot be written."""
    request, clock = _read_request(order, env), SystemClock()
    redactor = redactor_for(replace(request, scenario=replace(request.scenario, notify=order.channels)), env)
    learn_env_files(redactor, request.target, None)
    try:
        journal = Journal.open(order.journal, clock=clock, redact=redactor.value)
        reconcile(journal, order.reports)
        record = replay(order.id, journal.entries(order.id, *REPLAYED))
    except JournalError as error:
        journal = Journal(Unreachable(error), clock=clock, redact=redactor.value, host=platform.node())
        record = replay(order.id, (Entry(0, order.id, order.at, kind, body, "", "") for kind, body in opening(order)))
    channels = tuple(dict.fromkeys((*order.channels, *request.policy.channels)))
    rollout = build_context(
        replace(request, scenario=replace(request.scenario, notify=channels)),
        journal,
        env,
        id_=order.id,
        run=f"{order.id}-{os.getpid()}",
        digest=order.id,
        reports=order.reports,
        clock=clock,
        redactor=redactor,
        is_emergency=True,
        known=record,
    )
    return rollout, record.writes[-1].seq if record.writes else 0


def _read_request(order: Order, env: Mapping[str, str]) -> Request:
    """Return target and policy from the files, or from the order where the files are not valid."""
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
            targets=order.targets,
            policy=order.policy,
            doubt=doubt_request,
        )
    except RolloutError:
        return replace(opened, target=described(opened.target))
    return Request(opened.scenario, described(replace(request.target, url=opened.target.url)), request.policy)


def find_previous(run: EmergencyRun) -> None:
    """Find the provider that was active before in the journal, where the gateway did not answer in time."""
    rollout = run.rollout
    run.before = run.order.before
    if run.before is not None:
        return
    try:
        previous = _last_provider_of_others(rollout)
    except JournalError:
        return
    if previous is not None:
        who, run.before = previous
        text = f"what was active could not be read in time; the entries of rollout {who} say {run.before}"
        rollout.append_or_spool(Kind.FINDING, clause="EMG-1", text=text, before=run.before)
        run.say(text)


def _last_provider_of_others(rollout: RolloutContext) -> tuple[str, str] | None:
    """Return the rollout that last activated a provider here, and that provider; None for none.

    Where no rollout has, the provider in the latest backup counts.
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


def take_over(run: EmergencyRun) -> None:
    """Take the newest fencing token, so that a concurrent run sends nothing more."""
    rollout = run.rollout
    try:
        asked_s, holder = rollout.clock.monotonic(), f"{rollout.run}@{rollout.journal.host} ({caller()})"
        rollout.adopt(
            rollout.journal.acquire(rollout.lease_target, rollout.id, holder, LEASE_S, preempts=True), asked_s
        )
        run.taken = tuple(other for other in others_here(rollout) if other.in_flight)
    except JournalError as error:
        run.say(f"the journal cannot be reached, so a rollout under way is not stopped; stop it by hand. {error}")
    for record in run.taken:
        run.say(f"taken over: {record.id} ({record.opened['change']})")


def close_taken_over(run: EmergencyRun) -> None:
    """Close the rollouts that were in flight: the safe provider rolls back the provider, and nothing else."""
    rollout = run.rollout
    for record in run.taken:
        scenario = as_opened(record.opened).scenario if "scenario" in record.opened else None
        others = [str(c) for c in scenario.changes if not isinstance(c, ProviderChange)] if scenario else []
        stays = (
            scenario is not None and scenario.activation is not None and is_same_provider(scenario.activation, run.to)
        )
        why = f"taken over by emergency {rollout.id} ({run.order.by}: {run.order.reason}), which went to {run.to}"
        if others:
            why += f"; not rolled back: {', '.join(others)}; `rollout rollback {record.id}` does that"
        if stays:
            why += "; that is what this rollout activates, so its change is not rolled back"
        if run.problem:
            why += f"; and that is not verified: {run.problem}"
        decision = Decision.ROLLBACK_FAILED if others or stays or run.problem else Decision.ROLLED_BACK
        if rollout.lease is not None:
            ending = {**Closure(decision, "TAKEN OVER", why).facts(), "fence": rollout.lease.token}
            with suppress(RolloutError):
                rollout.journal.append_ending(rollout.lease, record.id, ending)
