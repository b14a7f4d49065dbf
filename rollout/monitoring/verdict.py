"""A verdict of a trigger, and the format of its numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any

from rollout.monitoring.aggregates import Aggregates
from rollout.monitoring.binomial import confidence_sequence
from rollout.monitoring.counters import Span
from rollout.monitoring.samples import Context
from rollout.monitoring.share_test import Counted

P95 = 0.95


NONE = "none"


class State(StrEnum):
    """The state of a trigger at the window's end: `HOLDING` is a pass; `NOT_APPLICABLE` is none, and allowed."""

    HOLDING = "holding"
    BREACHED = "breached"
    INCONCLUSIVE = "inconclusive"
    NO_DATA = "no data"
    NOT_APPLICABLE = "not applicable"

    @property
    def allows_keeping(self) -> bool:
        """Whether a change may be kept with it."""
        return self in (State.HOLDING, State.NOT_APPLICABLE)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The verdict of one trigger on the window so far.

    Attributes:
        clause: ``MON-1`` to ``MON-7``.
        state: the state that counts.
        value: the number or text that decided (a fraction for MON-2, ms for MON-3); None without data.
        limit: the limit of the value; None where there is none.
        samples: the number of samples of the value.
        source: the source that decided: ``users``, ``synthetic``, ``status``, ``alerts``…; several with commas.
        span: the span of time that was judged, in words.
        at: when the deciding sample was taken, UTC, ISO 8601; empty before the first one.
        message: one sentence for the operator.
        interval: the bounds that hold the true share at every poll of the window, with 95 % confidence: of failed
            requests (MON-2), of requests slower than the limit (MON-3); None where no share is judged.
        effective_limit: the limit in ms with the uncertainty of its baseline in it (MON-3); None elsewhere.
        power: what this window can tell, one sentence; empty where no share is judged.
        undecided: inconclusive, and more requests may decide it, so that the window goes on.
        limit_share: the share of requests that may be slower than the effective limit, 0-1: 5 %, or more after a small
            baseline (MON-3); None elsewhere.
    """

    clause: str
    state: State
    value: float | str | None
    limit: float | str | None
    samples: int
    source: str
    span: str
    at: str
    message: str
    interval: tuple[float, float] | None = None
    effective_limit: float | None = None
    power: str = ""
    undecided: bool = False
    limit_share: float | None = None

    def record(self) -> dict[str, Any]:
        """Return the verdict as a dict of JSON types, for the journal."""
        return asdict(self) | {"state": str(self.state)}


Judge = Callable[[Aggregates, Context, float], Verdict]


def percentile(ordered: Sequence[float], share: float = P95) -> float:
    """Return the percentile of the sorted, non-empty `ordered`, interpolated linearly at rank share x (n - 1)."""
    rank = share * (len(ordered) - 1)
    below = math.floor(rank)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (rank - below)


def show_rate(rate: float, limit: float) -> str:
    """Return a fraction as percent: one decimal, or more if it would read like the limit and differs from it."""
    text = f"{rate * 100:.1f} %"
    return text if rate == limit or text != f"{limit * 100:.1f} %" else f"{rate * 100:.6g} %"


def show_ms(value: float, limit: float) -> str:
    """Return milliseconds: no decimal, or more if they would read like the limit and differ from it."""
    text = f"{value:.0f} ms"
    return text if value == limit or text != f"{limit:.0f} ms" else f"{value:.8g} ms"


def show_span(seconds: float) -> str:
    """Return a duration in words: ``5 min``, ``1 h 30 min``, ``45 s``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    counts = {"h": hours, "min": minutes, "s": rest}
    return " ".join(f"{count} {unit}" for unit, count in counts.items() if count) or "0 s"


@lru_cache(maxsize=16)
def share_interval(counted: Counted) -> tuple[float, float] | None:
    """Return the 95 % confidence sequence of a share, None without a request; rounded as it is journalled."""
    if not counted.requests:
        return None
    low, high = confidence_sequence(counted.requests, counted.failures)
    return round(low, 6), round(high, 6)


def show_interval(interval: tuple[float, float] | None) -> str:
    """Return bounds of a share as percent: ``2.2-4.3 %``; empty without bounds."""
    return "" if interval is None else f"{interval[0] * 100:.1f}-{interval[1] * 100:.1f} %"


def describe_stretch(shown: Counted, window: Counted) -> str:
    """Return the name of a stretch of polls by the time that it covers; the window's where it is the whole."""
    if shown != window:
        return f"the last {show_span(shown.seconds)}"
    return f"the window's {show_span(window.seconds)}" if window.seconds >= 1 else "the window"


def _compare(value: float, limit: float) -> State:
    if value > limit:
        return State.BREACHED
    # Not "otherwise": NaN is neither above nor at most.
    return State.HOLDING if value <= limit else State.INCONCLUSIVE


def _last(span: Span | None, window: Span, short_s: float) -> str:
    """Return the name of the span: the short one by its nominal length, unless the window is no longer than that."""
    if span != window:
        return f"the last {show_span(short_s)}"
    seconds = window.to_s - window.from_s
    return f"the window's {show_span(seconds)}" if seconds >= 1 else "the window"


def _at(aggregates: Aggregates, *sources: str) -> str:
    return max((good.at for good in map(aggregates.good, sources) if good is not None), default="")


def _not_applicable(clause: str, source: str, why: str) -> Verdict:
    return Verdict(clause, State.NOT_APPLICABLE, None, None, 0, source, "the window", "", why)


def _no_data(clause: str, source: str, limit: float | str | None, message: str) -> Verdict:
    return Verdict(clause, State.NO_DATA, None, limit, 0, source, "the window", "", message)
