"""What a rollout wants of a gateway; a driver says by which writes it comes about (`rollout.core.writes`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Activate:
    """Make a provider the active one (APP-1.2, RBK-2.1).

    Attributes:
        provider: the provider's name, as the gateway activates it.
        model: its model.
        restart: whether the scenario asks for a restart, whatever the target states (deviation 7).
    """

    provider: str
    model: str
    restart: bool = False


@dataclass(frozen=True, slots=True)
class Split:
    """Split the requests by weights (CAN-2).

    Attributes:
        shares: destination -> fraction 0-1; empty removes the weights.
        rest: the destination that gets every request where `shares` is empty, which a gateway without an active
            provider apart from its weights has to be told.
    """

    shares: Mapping[str, float]
    rest: str = ""


@dataclass(frozen=True, slots=True)
class SetLimit:
    """Set limits of one scope (APP-3.1, RBK-3.4); limits that are not given stay as they are.

    Attributes:
        kind: ``cost`` or ``rate``.
        scope: ``global`` or a provider's name.
        values: limit -> value.
    """

    kind: str
    scope: str
    values: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class SetEnvironment:
    """Set and remove keys of the service's `.env` file (APP-2.1).

    Attributes:
        values: key -> new value.
        secrets: key -> the environment variable that holds the new value.
        remove: the keys to take out.
    """

    values: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    remove: tuple[str, ...] = ()


Wish = Activate | Split | SetLimit | SetEnvironment
