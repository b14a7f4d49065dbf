"""The reads of a gateway that offers none: a driver's own begin here, and add what its gateway has.

The client refuses a read that the driver's `capabilities` say is lacking, and calls none of these.
"""

from __future__ import annotations

from typing import NoReturn

from rollout.core.errors import GatewayError
from rollout.gateway.responses import Alert, AuditEntry, Connection, Governance, Metrics, Weights


class LackingReads:
    """Refuses every read that a gateway may lack: an empty answer would be taken for a healthy one."""

    def governance(self) -> Governance:
        """Refuse: no limits and no fallbacks are known."""
        self._refuse("limits")

    def weights(self) -> Weights:
        """Refuse: the requests are not split."""
        self._refuse("weights")

    def boot_id(self) -> str | None:
        """Refuse: the process has no id."""
        self._refuse("boot id")

    def status(self, provider: str) -> Connection:
        """Refuse: the gateway does not watch its providers."""
        self._refuse(f"status of {provider}")

    def metrics(self, provider: str) -> Metrics:
        """Refuse: nothing is counted."""
        self._refuse(f"counters of {provider}")

    def alerts(self, severity: str | None) -> tuple[Alert, ...]:
        """Refuse: no alerts are known."""
        self._refuse(f"{severity or 'firing'} alerts")

    def audit(self, limit: int) -> tuple[AuditEntry, ...]:
        """Refuse: changes are not recorded."""
        self._refuse(f"{limit} newest entries of an audit log")

    def _refuse(self, what: str) -> NoReturn:
        raise GatewayError(what, "this kind of gateway has none")
