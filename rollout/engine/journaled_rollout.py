"""The context of a rollout, from its request, or from the journal of an earlier process that opened it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

from rollout.context import RolloutContext
from rollout.core.clock import NEVER, Clock, StopFlag, SystemClock
from rollout.core.redaction import Redactor
from rollout.core.request import Request, as_opened
from rollout.engine.credentials import connect, learn_env_files, redactor_for
from rollout.engine.embedded_gateway import reach
from rollout.gateway.client import ignore
from rollout.gateway.transport import Exchange
from rollout.journal.journal import Journal
from rollout.journal.record import RolloutRecord
from rollout.sandbox.process import find, stop


def build_context(
    request: Request,
    journal: Journal,
    env: Mapping[str, str],
    *,
    id_: str,
    run: str,
    digest: str,
    reports: Path,
    clock: Clock,
    redactor: Redactor,
    stop: StopFlag = NEVER,
    on_exchange: Callable[[Exchange], None] = ignore,
    is_emergency: bool = False,
    known: RolloutRecord | None = None,
) -> RolloutContext:
    """Return the context of a rollout with a client of its gateway; nothing is sent.

    The arguments are the fields of `RolloutContext`, where those of `request` are: its target's `url` is the effective
    one. `reports` holds the rollout's folder, `on_exchange` receives every HTTP exchange, and `known` is the record
    where the journal may not return it.

    Raises:
        GatewayError: the target has no URL, or a file of its TLS settings cannot be used.
    """
    gateway = connect(
        request.target, env, clock=clock, stop=stop, redactor=redactor, on_exchange=on_exchange, rollout_id=id_
    )
    return RolloutContext(
        id=id_,
        run=run,
        scenario=request.scenario,
        target=request.target,
        policy=request.policy,
        digest=digest,
        folder=reports / id_,
        journal=journal,
        gateway=gateway,
        clock=clock,
        stop=stop,
        redactor=redactor,
        env=env,
        origin=request.origin,
        is_emergency=is_emergency,
        _known=known,
    )


def as_journalled(
    journal: Journal,
    record: RolloutRecord,
    reports: Path,
    env: Mapping[str, str],
    *,
    what: str,
    stop: StopFlag = NEVER,
    on_exchange: Callable[[Exchange], None] = ignore,
) -> RolloutContext:
    """Return an earlier rollout as its journal describes it; nothing is sent.

    Args:
        journal: the journal that holds it.
        record: its record.
        reports: the folder of the evidence.
        env: the environment variables, for tokens and channels.
        what: the kind of this process's run, part of its id: ``rollback``.
        stop: the flag that asks this process to stop.
        on_exchange: receives every HTTP exchange.
    """
    request, clock = as_opened(record.opened), SystemClock()
    redactor = redactor_for(request, env)
    learn_env_files(redactor, request.target, record)
    journal.redact_with(redactor.value)
    return build_context(
        request,
        journal,
        env,
        id_=record.id,
        run=f"{clock.now():%Y%m%d-%H%M%S}-{what}-{os.getpid()}",
        digest=record.opened["digest"],
        reports=reports,
        clock=clock,
        redactor=redactor,
        stop=stop,
        on_exchange=on_exchange,
    )


@contextmanager
def reopened(
    journal: Journal, record: RolloutRecord, reports: Path, env: Mapping[str, str]
) -> Iterator[RolloutContext]:
    """Yield an earlier rollout, as its journal describes it, for its rollback.

    Raises:
        RolloutError: its embedded gateway does not start.
    """
    folder = reports / "sandbox" / record.id
    if folder.exists():
        request = as_opened(record.opened)
        reach(folder, request.scenario.sandbox, request.target.token_env)
    rollout = as_journalled(journal, record, reports, env, what="rollback")
    with closing(rollout.gateway):
        yield rollout


def end_embedded(rollout: RolloutContext) -> None:
    """End the rollout's own gateway once the rollout is closed."""
    running = find(rollout.folder.parent / "sandbox" / rollout.id)
    if running is not None and rollout.last_known_record().closed is not None:
        stop(running)
