"""Waiting until the service is up: polled, never a blind sleep (APP-2.3, RBK-3.3)."""

from __future__ import annotations

from collections.abc import Callable

from rollout.core.clock import NEVER, Clock, StopFlag
from rollout.core.errors import GatewayError, Interrupted
from rollout.gateway.host.commands import ServiceError

EVERY_S = 0.25


def await_health(look: Callable[[], object], deadline_s: float, clock: Clock, stop: StopFlag = NEVER) -> float:
    """Look until the service is healthy, and return the seconds that it took.

    A look that began before the deadline counts, so the end may be one look's own deadline later.

    Args:
        look: raises `GatewayError` while the service is not healthy.
        deadline_s: from now.
        clock: times the waiting.
        stop: ends it at once.

    Raises:
        ServiceError: it did not become healthy; says what the last look saw.
        Interrupted: `stop` was set.
    """
    began = clock.monotonic()
    while True:
        try:
            look()
        except GatewayError as problem:
            reason = str(problem)
        else:
            return clock.monotonic() - began
        left_s = began + deadline_s - clock.monotonic()
        if left_s <= 0:
            raise ServiceError(
                f"the service is not healthy after {clock.monotonic() - began:.1f} s, {deadline_s:g} s were allowed: "
                f"{reason}. Look at its log, or raise `startup:` of the target"
            )
        if not clock.wait(min(EVERY_S, left_s), stop):
            raise Interrupted(f"cut off while waiting for the service to be healthy: {stop.reason}")
