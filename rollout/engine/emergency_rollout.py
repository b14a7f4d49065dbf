"""The emergency as a rollout, opened in the journal or, where that is unreachable, in memory."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

from rollout.config.load import load
from rollout.context import RolloutContext
from rollout.core.clock import SystemClock
from rollout.core.errors import JournalError, RolloutError
from rollout.core.request import Request, as_opened
from rollout.core.scenario import ProviderChange
from rollout.engine.credentials import learn_env_files, redactor_for
from rollout.engine.embedded_gateway import described
from rollout.engine.emergency import Say, opening
from rollout.engine.emergency_order import Order
from rollout.engine.journaled_rollout import build_context
from rollout.gateway.embedded_proof import doubt_request
from rollout.journal.chain import Entry
from rollout.journal.journal import Journal
from rollout.journal.record import Kind, RolloutRecord
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

    def write(self) -> NoReturn:
        """Refuse."""
        raise self._error

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
            doubt=doubt_request,
        )
    except RolloutError:
        return replace(opened, target=described(opened.target))
    target = described(replace(request.target, url=opened.target.url))
    return Request(opened.scenario, target, request.policy)
