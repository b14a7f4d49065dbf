"""The sources of a window, opened for one call (MON)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from rollout.context import RolloutContext
from rollout.core.errors import NotCleared
from rollout.gateway.host.log_command import CommandFollower, LogCommandError
from rollout.monitoring.hold import HoldDecision
from rollout.monitoring.samples import Context, SourceName
from rollout.monitoring.sources.combined import observe_provider
from rollout.monitoring.sources.registry import Source, gateway_sources


@contextmanager
def open_sources(
    rollout: RolloutContext, known: Context, hold_decision: HoldDecision, memory: Mapping[str, Any]
) -> Iterator[tuple[Source, ...]]:
    """Open the sources of a window, and close them when the call ends.

    Raises:
        NotCleared: the log of the target cannot be followed.
    """
    target, clock, redactor = rollout.target, rollout.clock, rollout.redactor
    with ExitStack() as stack:
        observed = stack.enter_context(observe_provider(rollout, known.change, memory=memory.get(SourceName.METRICS)))
        control, log = None, None
        if known.control is not None:
            control = stack.enter_context(
                observe_provider(rollout, known.control, memory=memory.get(SourceName.CONTROL))
            )
        try:
            if target.log_command:
                log = CommandFollower(target.log_command, clock, redactor.text)
                stack.callback(log.close)
            sources = gateway_sources(
                observed,
                known,
                target,
                operator=hold_decision.abort_asked,
                clock=clock,
                memory=memory,
                log=log,
                counting=observed.memory,
                control=None if control is None else (control, control.memory),
            )
        except LogCommandError as error:
            raise NotCleared(str(error)) from error
        except OSError as error:
            raise NotCleared(f"the log {target.log_file} cannot be followed: {error.strerror}") from error
        yield sources
