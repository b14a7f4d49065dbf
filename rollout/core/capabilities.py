"""What a gateway may lack, and the suite can do without where the policy allows it."""

from __future__ import annotations

from enum import StrEnum


class Capability(StrEnum):
    """One thing that some gateways offer; a driver says of each whether its gateway has it, or why not."""

    STATUS = "status"
    """The connection status of a provider (VER-1, MON-1)."""
    COUNTERS = "counters"
    """Cumulative requests and failures of a provider (MON-2, MON-3, REV)."""
    ALERTS = "alerts"
    """The alerts that are firing (PRE-5.3, MON-4)."""
    AUDIT = "audit"
    """A log of who changed what (VER-3)."""
    COST_LIMITS = "cost_limits"
    """Limits of what is spent (APP-3)."""
    RATE_LIMITS = "rate_limits"
    """Limits of requests and tokens (APP-3)."""
    WEIGHTS = "weights"
    """Requests are split by weights (CAN-2)."""
    BOOT_ID = "boot_id"
    """An id of the process, which a restart changes."""
    SERVED_BY = "served_by"
    """An answer names the provider that gave it (VER-2, MON-5)."""
    LIVE_SWITCH = "live_switch"
    """An activation takes effect without a restart of the service (APP-1.2)."""
    DELETE_LIMIT = "delete_limit"
    """Limits can be taken away again (RBK-3.4)."""
