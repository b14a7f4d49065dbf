"""How long a restart and a runtime switch take, and what they cost users."""

from __future__ import annotations

from collections.abc import Iterable

from rollout.core.scenario import Change, EnvironmentChange, LimitChange, ProviderChange
from rollout.core.target import Target


def startup_s(target: Target, changes: Iterable[Change]) -> float:
    """Return how long a restart for these changes may take, in seconds: the longest of the target's and their own.

    An edit of the `.env` file restarts the service with whichever provider is active, so it may take as long as the
    slowest of the target's providers.
    """
    restarting = (change for change in changes if not isinstance(change, LimitChange))
    return max((_startup_s(target, change) for change in restarting), default=target.startup_s_of(None))


def proof_price(target: Target, previous: ProviderChange, *, restarts: bool) -> str | None:
    """Describe what activating the active provider once more costs users, in seconds; None where it costs nothing.

    `restarts` says whether the activation may take a restart of the service.

    A provider with a call of its own (`activate_with`) is a local runtime, and switches for up to the deadline of an
    activation; one that restarts the service is away for up to its start-up.
    """
    costs = []
    if any(name.casefold() == previous.provider.casefold() for name in target.activate_with):
        costs.append(f"a runtime switch, up to {target.timeouts.activate_s:g} s of refused requests")
    if restarts:
        costs.append(f"a restart of the service, up to {startup_s(target, [previous]):g} s")
    return ", and ".join(costs) or None


def _startup_s(target: Target, change: ProviderChange | EnvironmentChange) -> float:
    providers = (change.provider,) if isinstance(change, ProviderChange) else (None, *target.providers)
    return max(*map(target.startup_s_of, providers), change.startup_s or 0.0)
