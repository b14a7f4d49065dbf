"""The bounds of every duration and number that an environment other than the sandbox accepts (docs/POLICY.md).

They are no advice: outside of them a trigger sees nothing, a proof waits for ever, or the gateway is flooded.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rollout.config.source import Place, Source
from rollout.core.units import show_duration, show_fraction

_SECOND, _MINUTE, _HOUR, _DAY = 1.0, 60.0, 3600.0, 86_400.0
LONGEST_WATCH_S = 7 * _DAY


def _count(value: float) -> str:
    return f"{value:,.0f}"


def _latency(milliseconds: float) -> str:
    return show_duration(milliseconds / 1000)


@dataclass(frozen=True, slots=True)
class Bound:
    """From where to where a value is accepted, both included.

    Attributes:
        most: the greatest value, in the unit of the values that it bounds.
        why: what a greater one would do.
        least: the smallest value.
        why_least: what a smaller one would do.
        show: writes a value as the file does.
    """

    most: float
    why: str
    least: float = 0.0
    why_least: str = ""
    show: Callable[[float], str] = show_duration

    def refusal(self, value: float, environment: str) -> str | None:
        """Return why `value` is not accepted in `environment`, and what is; None if it is."""
        if value > self.most:
            bound, why, mend = f"at most {self.show(self.most)}", self.why, "lower it"
        elif value < self.least:
            bound, why, mend = f"at least {self.show(self.least)}", self.why_least, "raise it"
        else:
            return None
        return f"{self.show(value)} is out of bounds, {environment} accepts {bound}: {why}; {mend}"


_FLOODED = "more polls than that are a load of their own"
_UNSEEN = "a breach would go unseen for longer than that"

MONITOR: Mapping[str, Bound] = {
    "window": Bound(LONGEST_WATCH_S, "no change stays undecided for longer"),
    # From above, the procedure bounds these two.
    "metrics_every": Bound(math.inf, _UNSEEN, _SECOND, _FLOODED),
    "alerts_every": Bound(math.inf, _UNSEEN, _SECOND, _FLOODED),
    "log_every": Bound(_MINUTE, _UNSEEN, _SECOND, _FLOODED),
    "synthetic_every": Bound(5 * _MINUTE, _UNSEEN, _SECOND, "every request costs money"),
    "way_back_every": Bound(
        5 * _MINUTE, "a rollback that has become impossible would go unseen for longer", _SECOND, _FLOODED
    ),
    "short_span": Bound(
        15 * _MINUTE, "it would average a sudden breach away", 10 * _SECOND, "it would hold no two polls"
    ),
    "confirm_after": Bound(30 * _SECOND, "a provider that is down would keep its traffic for longer"),
    "p95": Bound(60_000.0, "no user waits for longer, so MON-3 could never fire", show=_latency),
    "fallback_share": Bound(0.2, "users would have another provider than the change states", show=show_fraction),
    "unexpected_share": Bound(0.2, "every fifth answer would be none", show=show_fraction),
    "min_requests": Bound(1_000, "users' requests would hardly ever decide about MON-2", show=_count),
    "min_samples": Bound(200, "MON-3 would have no data in most windows", show=_count),
    "dark_in_a_row": Bound(10, "a source that is unavailable would be waited for", show=_count),
    "dark_share": Bound(0.5, "a source that mostly fails shows nothing", show=show_fraction),
    "stable_polls": Bound(20, "a rollback would not end", 2, "one poll is no sign of stability (RBK-4.2)", _count),
    "baseline_requests": Bound(2_000, "every request costs money, and they are sent one after another", show=_count),
    "synthetic_at_most": Bound(20_000, "every request costs money", show=_count),
}
"""Keys of ``monitor:``; `p95` in milliseconds, other durations in seconds."""

TARGET: Mapping[str, Bound] = {
    "timeouts.read": Bound(_MINUTE, "one call that hangs would delay the next ones"),
    "timeouts.chat": Bound(5 * _MINUTE, "no user waits for longer"),
    "timeouts.activate": Bound(10 * _MINUTE, "a rollback waits for it", _SECOND, "an activation takes longer"),
    "service.timeout": Bound(15 * _MINUTE, "a rollback waits for it", _SECOND, "a command takes longer"),
    "latency_bound": Bound(60_000.0, "no user waits for longer", show=_latency),
}
"""Keys of a target; `latency_bound` in milliseconds, other durations in seconds."""

POLICY: Mapping[str, Bound] = {
    "window_at_least": Bound(LONGEST_WATCH_S, "no change stays undecided for longer"),
    "precheck_max_age": Bound(_DAY, "what a precheck saw is no longer so"),
    "confirm_within": Bound(_DAY, "a change would stay unwatched for longer"),
    "operator_ack_max_age": Bound(3 * _DAY, "an operator who said so earlier may not be there"),
    "approvals_at_least": Bound(10, "nothing would ever be approved", show=_count),
}
"""Keys of a policy, durations in seconds."""

BESIDE_PRODUCTION: Mapping[str, Bound] = {
    "hold_at_most": Bound(4 * _HOUR, "a breach would be left alone for longer"),
    "retrospective_within": Bound(7 * _DAY, "an emergency would stay unreviewed for longer"),
}
"""Keys of a policy that production bounds more tightly, as the procedure has them."""


def refuse_out_of_bounds(
    bounds: Mapping[str, Bound], given: Mapping[str, float | None], environment: str, source: Source, place: Place
) -> None:
    """Refuse what is `given` outside of its bound, where it stands below `place`."""
    for key, bound in bounds.items():
        value = given.get(key)
        if value is not None and (words := bound.refusal(value, environment)):
            source.refuse((*place, *key.split(".")), words)
