"""What a kind of gateway offers to the suite: its driver describes writes, and reads.

A driver never writes: it says by which writes a wish comes about, and the suite journals, fences and sends them. The
two halves are apart because a description needs no connection: `rollout plan`, the manual commands and
`rollout emergency` work from it alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

from rollout.core.capabilities import Capability
from rollout.core.recognition import Get, Recognition
from rollout.core.scenario import ProviderChange
from rollout.core.target import Target
from rollout.core.wishes import Wish
from rollout.core.writes import Read, ReadCall, Write

if TYPE_CHECKING:  # a description must not cost the time that it takes to load an HTTP client and pydantic
    from pydantic import BaseModel

    from rollout.gateway.calls import Call
    from rollout.gateway.responses import (
        Alert,
        AuditEntry,
        Completion,
        Connection,
        ConnectionTest,
        Governance,
        Metrics,
        Preflight,
        Providers,
        RuntimeConfig,
        Weights,
    )
    from rollout.gateway.sender import Sender


class Reads(Protocol):
    """The reads of a gateway, each within the target's deadlines; none changes anything.

    Every method raises `GatewayError` where there is no answer that can be read, and `Refused` where the gateway
    refused the call.
    """

    def health(self) -> None:
        """Return if the service is up, by a call that never costs money (PRE-5.1, APP-2.3, RBK-3.3)."""

    def providers(self) -> Providers:
        """Return the providers, and the name of the active one as the gateway reports it (PRE-1.2, PRE-3)."""

    def runtime_config(self) -> RuntimeConfig:
        """Return the configuration in effect, secrets masked (PRE-1.1, VER-4)."""

    def governance(self) -> Governance:
        """Return the limits and the fallbacks that happened (PRE-1.2, APP-3.2, MON-5)."""

    def weights(self) -> Weights:
        """Return how the requests are split (CAN-2); `GatewayError` where the target does not say how."""

    def boot_id(self) -> str | None:
        """Return the id of the gateway's process; None where it has none."""

    def test_connection(self, provider: str) -> ConnectionTest:
        """Have the gateway test its connection to a provider; a failed test is an answer (PRE-3.1, APP-1.1)."""

    def preflight(self, provider: str) -> Preflight:
        """Have the gateway examine whether a provider could be activated; not ready is an answer (PRE-3.2)."""

    def status(self, provider: str) -> Connection:
        """Return a provider's connection status; offline is an answer (VER-1, MON-1)."""

    def metrics(self, provider: str) -> Metrics:
        """Return a provider's cumulative counters and percentiles (MON-2, MON-3, REV)."""

    def alerts(self, severity: str | None) -> tuple[Alert, ...]:
        """Return the alerts that are firing, of one severity or of all (PRE-5.3, MON-4)."""

    def audit(self, limit: int) -> tuple[AuditEntry, ...]:
        """Return the newest entries of the gateway's audit log, at most `limit` (VER-3)."""

    def ask(self, prompt: str, *, max_tokens: int, stream: bool) -> Completion:
        """Request a completion of the active provider (VER-2, MON-5, RBK-4.1); with `stream`, as a stream of events.

        It is never sent a second time where a provider may have seen the first: that would hide a failure.
        """


class Driver(Protocol):
    """One kind of gateway, for one target.

    Attributes:
        kind: the name by which a target chooses it.
        summary: the kind of gateway in one line.
        settings: the model of ``settings:`` in a target; it and the models in it forbid unknown keys.
    """

    kind: ClassVar[str]
    summary: ClassVar[str]
    settings: ClassVar[type[BaseModel]]

    def __init__(self, target: Target) -> None:
        """Keep the target; nothing is read."""

    @classmethod
    def recognise(cls, get: Get) -> Recognition | None:
        """Return what shows that a gateway may be of this kind, by reads that cost nothing; None where nothing does.

        Args:
            get: sends a GET to a path; a path that was read already is not read again.
        """

    def capabilities(self) -> Mapping[Capability, str | None]:
        """Return of every capability None where this target's gateway has it, else why not, in one sentence.

        What is lacking is never read: the clauses that observe it are not applicable (`rollout.core.applicability`).
        """

    def writes(self, wish: Wish) -> tuple[Write, ...]:
        """Return the writes that bring `wish` about, in order; pure.

        A write that may take effect only after a restart is followed by the restart.

        Raises:
            GatewayError: this gateway cannot be asked for it; nothing is sent.
        """

    def validate(self, contents: Mapping[Path, bytes]) -> tuple[str, ...]:
        """Return what would break with these contents of the service's files, in sentences; pure.

        Args:
            contents: file -> what an edit would leave in it, or what it holds before a restart; only files of
                `FileEdit` with a path.
        """

    def advise(self, call: Call, status: int, reason: str) -> str:
        """Return which setting would mend a refused write, as the end of a message; empty where none is known.

        Args:
            call: the call that was refused.
            status: the HTTP status, 4xx.
            reason: the message so far, with the gateway's reason.
        """

    def read_call(self, read: Read, provider: str = "") -> ReadCall:
        """Return how a read is asked for, of `provider` where it is of one.

        Raises:
            GatewayError: the provider's name would lead elsewhere.
        """

    def paid_reads(self) -> Iterator[str]:
        """Yield a line for each read of a rollout that may cost money: the call, its price, and the clauses."""

    def place(self, reported: str | None, configuration: Mapping[str, str]) -> ProviderChange:
        """Return the active provider, by the name that activates it, and its model (PRE-1.2).

        Args:
            reported: the active provider's name as the gateway reports it.
            configuration: the configuration in effect.

        Raises:
            GatewayError: none is active, or its model is not known.
        """

    def active_calls(self) -> tuple[ReadCall, ...]:
        """Return the calls whose answers show the active provider, for `rollout emergency`, which has no client."""

    def place_in(self, answers: Sequence[Any]) -> ProviderChange | None:
        """Return the active provider and model in the JSON answers to `active_calls`; None where they do not show it.

        Args:
            answers: one for each call, whatever its shape; None for a call without one.
        """

    def destination(self, of: ProviderChange) -> str:
        """Return the name of a provider and model among the weights (CAN-2).

        Raises:
            GatewayError: the requests are not split by weights.
        """

    def activated_as(self, reported: str) -> str:
        """Return the name that activates the provider which the gateway reports as `reported` (deviation 14)."""

    def reported_as(self, provider: str) -> str:
        """Return the name under which the gateway reports the provider that `provider` activates (deviation 14)."""

    def activation_keys(self) -> tuple[str, ...]:
        """Return the configuration keys that an activation may write; the active provider's and model's come first."""

    def connect(self, sender: Sender) -> Reads:
        """Return the reads over `sender`'s connections; nothing is sent yet."""


@runtime_checkable
class AsksDirectly(Protocol):
    """What a driver has as well where its gateway can ask one provider, whichever is active (CAN-1)."""

    def asks_directly(self) -> bool:
        """Return whether this target's gateway can; then the reads that `Driver.connect` gives are `DirectReads`."""


@runtime_checkable
class DirectReads(Protocol):
    """The further read of such a gateway."""

    def ask_directly(self, provider: str, prompt: str, *, max_tokens: int) -> Completion:
        """Request a completion of one provider, and move no user. Raises and is sent as `Reads.ask`."""


@runtime_checkable
class CountsFallbacks(Protocol):
    """The further read of a gateway that counts its fallbacks among its counters, apart from any limits (MON-5)."""

    def fallbacks(self) -> int:
        """Return how many requests another provider has answered than the active one, since the process was started.

        The suite's own requests are counted too. Raises as `Reads.metrics`.
        """
