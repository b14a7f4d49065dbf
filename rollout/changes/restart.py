"""Restarting the service behind the gateway, and waiting for it (APP-2.2, APP-2.3, RBK-3.2, RBK-3.3)."""

from __future__ import annotations

from contextlib import suppress

from rollout.context import RolloutContext
from rollout.core.canonical_json import to_json
from rollout.core.clock import StopFlag
from rollout.core.downtime import startup_s
from rollout.core.errors import GatewayError, RolloutError
from rollout.gateway.client import Gateway
from rollout.gateway.host import commands as host_commands
from rollout.gateway.host import health
from rollout.gateway.host.log_tail import keep_log_tail
from rollout.journal.record import Kind, What

AUDITED = 50
LONGER = 1.5
"""How many times the duration of the restart at apply the restart of a rollback may take."""


def commands(rollout: RolloutContext, stop: StopFlag, *, step: str, direction: str) -> str:
    """Run the target's stop and start commands, and return what they printed and how long they took.

    The gateway's audit log and the end of its own log are kept first: a restart may empty both (deviations 4, 21).

    Raises:
        RolloutError: the target does not say how its service is handled.
        ServiceError: a command failed, or did not end in time.
        JournalError: the intent is not on disk; nothing was run.
    """
    service = rollout.target.service
    if service is None:
        raise RolloutError(
            f"target {rollout.target.name!r} does not say how its service is stopped and started; "
            "add `service: {stop: […], start: […]}`"
        )
    # What cannot be read cannot be kept; VER-3 says what is missing.
    with suppress(GatewayError):
        entries = rollout.gateway.uninterruptible().audit(limit=AUDITED)
        rollout.append_or_spool(Kind.AUDIT, entries=[to_json(entry) for entry in entries])
    kept = keep_log_tail(rollout.target, rollout.folder, clock=rollout.clock, redact=rollout.redactor.text)
    with rollout.journaled_write(step, direction, "restart", what=What.RESTART):
        both = host_commands.restart(service, clock=rollout.clock, stop=stop, redact=rollout.redactor.text)
    printed = [f"{' '.join(ran.command)}: exit {ran.exit_code} after {ran.took_s:.1f} s\n{ran.output}" for ran in both]
    return "\n".join([*printed, str(kept)]).strip()


def await_health(rollout: RolloutContext, gateway: Gateway, stop: StopFlag, *, back: bool = False) -> str:
    """Poll until the service is healthy, and keep in the journal how long that took.

    Args:
        rollout: the rollout.
        gateway: its gateway.
        stop: ends it at once.
        back: whether this is the rollback, which waits longer than the apply took.

    Raises:
        ServiceError: it is not, at the deadline.
    """
    deadline_s = startup_back_s(rollout) if back else startup_forward_s(rollout)
    took_s = health.await_health(gateway.health, deadline_s=deadline_s, clock=rollout.clock, stop=stop)
    rollout.append_or_spool(Kind.RESTARTED, took_s=round(took_s, 3))
    return f"healthy after {took_s:.1f} s"


def restart(rollout: RolloutContext, gateway: Gateway, stop: StopFlag, *, step: str, direction: str) -> str:
    """Restart the service for a change that takes effect only then (deviation 7), and wait for it.

    Raises:
        RolloutError: it did not come back.
    """
    commands(rollout, stop, step=step, direction=direction)
    return await_health(rollout, gateway, stop, back=direction == "back")


def startup_forward_s(rollout: RolloutContext) -> float:
    """Return how long the service may take to be healthy at apply, in seconds."""
    return startup_s(rollout.target, rollout.scenario.changes)


def startup_back_s(rollout: RolloutContext) -> float:
    """Return how long it may take at rollback, in seconds: never less than at apply, and longer than that took."""
    record = rollout.last_known_record()
    previous = record.previous.partition(":")[0]
    return max(startup_forward_s(rollout), rollout.target.startup_s_of(previous), LONGER * record.startup_s)
