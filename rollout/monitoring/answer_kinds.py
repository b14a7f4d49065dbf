"""What an unexpected result of the suite's own request is, where it is no proof by itself (MON-5)."""

from __future__ import annotations

from enum import StrEnum


class Unexpected(StrEnum):
    """What an unexpected answer to a synthetic request is (MON-5); an answer that is neither is proof by itself."""

    UNMET = "unmet"
    """The expected provider and model answered, and the content breaks an expectation."""

    FALLBACK = "fallback"
    """Another provider or model answered, and the target states that fallbacks are normal."""

    RATE_LIMITED = "rate limited"
    """The gateway's rate limit refused the request at every try, and the scenario judges the share of those."""
