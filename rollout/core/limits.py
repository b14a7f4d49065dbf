"""Where the triggers of a bake time fire."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Where a trigger fires: strictly above, exactly at the limit is still acceptable.

    Attributes:
        error_rate: fraction 0-1 (MON-2).
        latency_factor: times the baseline's P95 (MON-3).
        p95_ms: an absolute P95 limit in place of a degraded baseline; None uses the factor.
        error_rate_rise: times the baseline's share of failed requests, in a canary times the control group's (MON-2);
            None limits no rise.
        fallback_share: fraction 0-1 of users' requests that another provider answered in the place of the new one
            (MON-5).
        unexpected_share: fraction 0-1 of the answers to the suite's own requests that break an expectation (MON-5);
            None breaches by two in a row.
    """

    error_rate: float = 0.05
    latency_factor: float = 2.0
    p95_ms: float | None = None
    error_rate_rise: float | None = None
    fallback_share: float = 0.01
    unexpected_share: float | None = None
