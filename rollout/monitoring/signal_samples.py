"""What signals are measured by: the numbers of a poll, and the baseline's (MON-5, PRE-5.4)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

RATE_LIMITED, TIMED_OUT = "rate_limited_share", "timeout_share"
"""The signals that are shares of requests."""

_CODES = {RATE_LIMITED: re.compile(r"429|rate.?limit"), TIMED_OUT: re.compile(r"408|504|time.?d?.?out")}


@dataclass(frozen=True, slots=True)
class Levels:
    """The numbers of one poll: the name of a signal -> its number, from an expression of PromQL."""

    values: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class SignalBaseline:
    """The signals of the current provider before the change (PRE-5.4).

    Attributes:
        requests: the suite's own requests.
        rate_limited: those of them that were refused with 429.
        timed_out: those of them that timed out.
        first_token_ms: the times to the first token, ascending.
        users_requests: users' requests, as their source counts them.
        users_rate_limited: those of them that were refused with 429.
        users_timed_out: those of them that timed out.
        cost_per_1k: US dollars for 1,000 requests; None where the gateway counts no cost, or no request.
        levels: the name of a PromQL signal -> its number.
    """

    requests: int = 0
    rate_limited: int = 0
    timed_out: int = 0
    first_token_ms: tuple[float, ...] = ()
    users_requests: int = 0
    users_rate_limited: int = 0
    users_timed_out: int = 0
    cost_per_1k: float | None = None
    levels: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> SignalBaseline:
        """Return the baseline of its JSON types."""
        found = cls(**{key: record[key] for key in cls.__dataclass_fields__ if key in record})
        return replace(found, first_token_ms=tuple(found.first_token_ms))

    def share(self, signal: str, *, users: bool) -> tuple[int, int]:
        """Return the requests, and those of them that are bad: of users, or of the suite's own."""
        requests = self.users_requests if users else self.requests
        if signal == RATE_LIMITED:
            return requests, self.users_rate_limited if users else self.rate_limited
        return requests, self.users_timed_out if users else self.timed_out


def count_codes(signal: str, codes: Mapping[str, int]) -> int:
    """Return how many failures have a code of the signal: ``429``, ``http_504``, ``timeout``."""
    return sum(count for code, count in codes.items() if _CODES[signal].search(code.casefold()))
