"""An earlier rollout as its journal describes it, for a process that continues or rolls it back."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from rollout.context import RolloutContext
from rollout.core.clock import NEVER, StopFlag, SystemClock
from rollout.core.request import as_opened
from rollout.engine.credentials import learn_env_files, redactor_for, token_of
from rollout.engine.embedded_gateway import reach
from rollout.gateway.client import Gateway, ignore
from rollout.gateway.transport import Exchange
from rollout.journal.journal import Journal
from rollout.journal.record import RolloutRecord
from rollout.sandbox.process import find, stop


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
    return RolloutContext(
        id=record.id,
        run=f"{clock.now():%Y%m%d-%H%M%S}-{what}-{os.getpid()}",
        scenario=request.scenario,
        target=request.target,
        policy=request.policy,
        digest=record.opened["digest"],
        folder=reports / record.id,
        journal=journal,
        gateway=Gateway(
            request.target,
            token=token_of(request.target.token_env, env),
            clock=clock,
            stop=stop,
            redactor=redactor,
            on_exchange=on_exchange,
            rollout_id=record.id,
        ),
        clock=clock,
        stop=stop,
        redactor=redactor,
        env=env,
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
    try:
        yield rollout
    finally:
        rollout.gateway.close()


def end_embedded(rollout: RolloutContext) -> None:
    """End the rollout's own gateway once the rollout is closed."""
    running = find(rollout.folder.parent / "sandbox" / rollout.id)
    if running is not None and rollout.last_known_record().closed is not None:
        stop(running)
