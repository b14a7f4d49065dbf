"""What a kind of gateway offers to the suite: its driver describes writes, and reads.

A driver never writes: it says by which writes a wish comes about, and the suite journals, fences and sends them. The
two halves are apart because a description needs no connection: `rollout plan`, the manual commands and
`rollout emergency` work from it alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Protocol

from rollout.core.target import Target
from rollout.core.wishes import Wish
from rollout.core.writes import Write

if TYPE_CHECKING:  # a description must not cost the time that it takes to load an HTTP client and pydantic
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
    """

    kind: ClassVar[str]
    summary: ClassVar[str]

    def __init__(self, target: Target) -> None:
        """Keep the target; nothing is read."""

    def writes(self, wish: Wish) -> tuple[Write, ...]:
        """Return the writes that bring `wish` about, in order; pure.

        A write that may take effect only after a restart is followed by the restart.

        Raises:
            GatewayError: this gateway cannot be asked for it; nothing is sent.
        """

    def connect(self, sender: Sender) -> Reads:
        """Return the reads over `sender`'s connections; nothing is sent yet."""
