"""Which calls may cost money, and at which clauses the suite sends them.

The documented API answers every other call without a request to a provider. `rollout doctor` sends none of the calls
listed here; `rollout plan` prints which of them a rollout sends (docs/GATEWAY_API.md).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rollout.core.target import Target
from rollout.gateway.endpoints import path_of


@dataclass(frozen=True, slots=True)
class Paid:
    """One call that may cost money.

    Attributes:
        call: its name, a key of `rollout.gateway.endpoints.DEFAULTS`.
        method: the method with which a rollout sends it.
        why: what it costs.
        clauses: where a rollout sends it.
    """

    call: str
    method: str
    why: str
    clauses: str


MAY_COST = (
    Paid(
        "chat",
        "POST",
        "a completion is paid for by its tokens",
        "PRE-5.4, CAN-1, VER-2, RBK-4.1, EMG, and the synthetic requests while the change is watched",
    ),
    Paid(
        "test_connection",
        "POST",
        "some gateways send the provider a request for it",
        "PRE-2.4, PRE-3.1, PRE-5.1, APP-1.1, CAN-1, REL-1, a diagnosis, and every `way_back_every` while it is watched",
    ),
    Paid(
        "preflight",
        "POST",
        "some gateways send the provider a request for it",
        "PRE-2.4, PRE-3.2, PRE-5.1, REL-2, a diagnosis",
    ),
    Paid(
        "health",
        "GET",
        "some gateways send a request to every model for it",
        "PRE-5.1 and after each restart, only where a target names it as `paths: {health: …}`",
    ),
)


def sent_by(target: Target) -> Iterator[str]:
    """Yield a line for each call that may cost money and that a rollout on `target` sends."""
    for paid in MAY_COST:
        if paid.call == "health" and "health" not in target.paths:
            continue
        other = target.chat_with if paid.call == "chat" else None
        path = path_of(paid.call, target.paths) if other is None else other.path
        yield f"{paid.method} {path}: {paid.why} ({paid.clauses})"
