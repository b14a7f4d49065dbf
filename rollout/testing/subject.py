"""What the author of a driver gives to the conformance kit: a gateway that can be started, broken and looked into."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from rollout.core.scenario import ProviderChange
from rollout.core.target import Target

GROUP = "rollout.conformance"
"""The group of entry points that lead to subjects: the kind's name, and the subject's class."""


class Fault(StrEnum):
    """A way in which a gateway is broken."""

    OFFLINE = "offline"
    """The second provider cannot be reached; the gateway itself is well."""
    GARBAGE = "garbage"
    """Reads are answered with success and something that is not what was asked for."""
    HANG = "hang"
    """Calls are taken, and never answered."""
    DOWN = "down"
    """Nothing listens."""


class NotOffered(Exception):
    """The subject cannot be broken in this way; its message says why, and the test is skipped with it."""


@dataclass(frozen=True, slots=True)
class State:
    """What the gateway is, read without its driver.

    Attributes:
        active: the active ``provider:model``.
        requests: how many calls have arrived, reads included, those of this look left out.
        facts: everything else that a write might change; equal where nothing was.
    """

    active: str
    requests: int
    facts: Mapping[str, object]


class Subject(Protocol):
    """One gateway under test.

    Attributes:
        first: the provider and model that is active after `start`.
        second: another that can be activated.
    """

    first: ProviderChange
    second: ProviderChange

    def start(self, folder: Path) -> Target:
        """Start the gateway on loopback, with its files in `folder`, and return the target that describes it."""

    def state(self) -> State:
        """Return what the gateway is, from its own files or its control interface."""

    def restart(self) -> None:
        """Restart the service and wait for it, as an operator would."""

    def break_down(self, fault: Fault) -> None:
        """Break the gateway until `heal`.

        Raises:
            NotOffered: it cannot be broken in this way.
        """

    def heal(self) -> None:
        """Mend what `break_down` broke."""

    def stop(self) -> None:
        """End the gateway, by its own process id."""
