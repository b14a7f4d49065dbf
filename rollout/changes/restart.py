"""Restarting the service behind the gateway, and waiting for it (APP-2.2, APP-2.3, RBK-3.2, RBK-3.3)."""

from __future__ import annotations

from rollout import service
from rollout.canonical import plain
from rollout.clock import StopFlag
from rollout.errors import GatewayError, RolloutError
from rollout.gateway.client import Gateway
from rollout.record import Kind
from rollout.target import Service
from rollout.workspace import Rollout

AUDITED = 50


def commands(rollout: Rollout, stop: StopFlag, *, step: str, direction: str) -> str:
    """Run the target's stop and start commands, and return what they printed and how long they took.

    The gateway's audit log is read first: a restart may empty it (deviation 4).

    Raises:
        ServiceError: a command failed, or did not end in time.
        JournalError: the intent is not on disk; nothing was run.
    """
    handled = handled_by(rollout)
    _keep_audit(rollout)
    with rollout.announced(step, direction, "restart"):
        both = service.restart(handled, clock=rollout.clock, stop=stop, redact=rollout.redactor.text)
    told = [f"{' '.join(ran.command)}: exit {ran.exit_code} after {ran.took_s:.1f} s\n{ran.output}" for ran in both]
    return "\n".join(told).strip()


def await_health(rollout: Rollout, gateway: Gateway, stop: StopFlag) -> str:
    """Poll until the service is healthy.

    Raises:
        ServiceError: it is not, at the scenario's deadline.
    """
    took_s = service.await_health(gateway.health, deadline_s=startup_s(rollout), clock=rollout.clock, stop=stop)
    return f"healthy after {took_s:.1f} s"


def restart(rollout: Rollout, gateway: Gateway, stop: StopFlag, *, step: str, direction: str) -> str:
    """Restart the service for a change that takes effect only then (deviation 7), and wait for it.

    Raises:
        RolloutError: it did not come back.
    """
    commands(rollout, stop, step=step, direction=direction)
    return await_health(rollout, gateway, stop)


def startup_s(rollout: Rollout) -> float:
    """Return how long the service may take to be healthy: the longest that a change of the scenario allows."""
    return max((getattr(change, "startup_s", 0.0) for change in rollout.scenario.changes), default=0.0) or 15.0


def handled_by(rollout: Rollout) -> Service:
    """Return how the service is handled.

    Raises:
        RolloutError: the target does not say.
    """
    if rollout.target.service is None:
        raise RolloutError(
            f"target {rollout.target.name!r} does not say how its service is stopped and started; "
            "add `service: {stop: […], start: […]}`"
        )
    return rollout.target.service


def _keep_audit(rollout: Rollout) -> None:
    try:
        entries = rollout.gateway.uninterruptible().audit(limit=AUDITED)
    except GatewayError:
        return  # what cannot be read cannot be kept; VER-3 says what is missing
    rollout.note(Kind.AUDIT, entries=[plain(entry) for entry in entries])
