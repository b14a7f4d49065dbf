"""Polls the service until it is up (APP-2.3, RBK-3.3)."""

from __future__ import annotations

from collections.abc import Callable

from rollout.core.clock import NEVER, Clock, StopFlag
from rollout.core.errors import GatewayError, Interrupted
from rollout.gateway.host.commands import ServiceError

EVERY_S = 0.25


def await_health(poll: Callable[[], object], deadline_s: float, clock: Clock, stop: StopFlag = NEVER) -> float:
    """Poll until the service is healthy, and return the seconds that it took.

    A poll that began before the deadline counts, so the end may be one poll's own deadline later.

    Args:
        poll: raises `GatewayError` while the service is not healthy.
        deadline_s: seconds from now.
        clock: measures the time, and waits between two polls.
        stop: ends the polling at once.

    Raises:
        ServiceError: the service did not become healthy; the message is that of the last poll.
        Interrupted: `stop` was set.
    """
    began = clock.monotonic()
    while True:
        try:
            poll()
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
