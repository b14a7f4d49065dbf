"""MON-6: whether every source gave enough data, and was watched for long enough."""

from __future__ import annotations

from dataclasses import dataclass

from rollout.core.scenario import Monitor
from rollout.monitoring.aggregates import Aggregates, PollStats
from rollout.monitoring.samples import Context, SourceName
from rollout.monitoring.verdict import State, Verdict, _nothing, show_span

FEW_LOOKS = 10


EXTEND = "extend"


# A source that is dark for the first time is dark for good after twice as many looks.
AS_LONG_AGAIN = 2


NOT_JUDGED = frozenset({SourceName.ROLLBACK, SourceName.CONTROL})
"""Sources that no trigger needs: without the control group, the precheck's baseline decides."""


def judge_data(history: Aggregates, context: Context, now_s: float) -> Verdict:
    """MON-6: every source that a trigger reads gives data: not dark in a row, not too often, not stale, seen once.

    Time that nobody watched is watched afterwards, as much of it as the window lasts; where there is more, no data.

    A source that is dark for the first time is given as long again, unless `on_no_data` says otherwise: inconclusive.
    """
    monitor, span = context.monitor, f"the first {show_span(now_s)}"
    limit = f"{monitor.dark_in_a_row} in a row/{monitor.dark_share * 100:g}%"
    reads = [(name, looks) for name, looks in history.polls.items() if name not in NOT_JUDGED]
    total = sum(looks.total for _, looks in reads)
    dark = [found for name, looks in reads if (found := _find_unavailable(name, looks, monitor)) is not None]
    dark += [found for found in [_stale(history, monitor)] if found is not None]
    if dark:
        worst = next((found for found in dark if found.state is State.BREACHED), dark[0])
        return Verdict(
            "MON-6", worst.state, worst.value, limit, worst.looks.total, worst.source, span, worst.at, worst.message
        )
    unseen = [name for name, looks in reads if looks.good is None]
    sources = ", ".join(name for name, _ in reads)
    if len(unseen) == len(reads):
        return _nothing("MON-6", sources, limit, "no source was seen once")
    at = max(looks.last.at for _, looks in reads if looks.last is not None)
    failed = sum(looks.failed for _, looks in reads)
    value = f"{failed} of {total} failed"
    if unseen:
        message = f"not seen once: {', '.join(unseen)}"
        return Verdict("MON-6", State.INCONCLUSIVE, value, limit, total, ", ".join(unseen), span, at, message)
    gap_s, lasts_s = unwatched(history), context.lasts_s
    if gap_s > lasts_s:
        value = f"{show_span(gap_s)} not watched"
        message = (
            f"{show_span(gap_s)} were not watched, and a window of {show_span(lasts_s)} goes on for so long at most"
        )
        return Verdict("MON-6", State.NO_DATA, value, limit, total, sources, span, at, message)
    again = extended(history, context)
    message = f"{failed} of {total} looks at {len(reads)} sources failed"
    message += f"; {show_span(gap_s)} were not watched, and the window is so much longer" if gap_s >= SHOWN_S else ""
    message += f"; dark once, paged, and the window extended for it: {', '.join(again)}" if again else ""
    return Verdict("MON-6", State.HOLDING, value, limit, total, sources, span, at, message)


def extended(history: Aggregates, context: Context) -> tuple[str, ...]:
    """Return the sources that were dark for the first time, and were given as long again (MON-6, `on_no_data`)."""
    monitor = context.monitor
    return tuple(
        name for name, looks in history.polls.items() if name not in NOT_JUDGED and _forgiven(name, looks, monitor)
    )


@dataclass(frozen=True, slots=True)
class _Unavailable:
    """A source that gives no data: breached, or inconclusive while it has as long again."""

    state: State
    source: str
    value: str
    looks: PollStats
    message: str

    @property
    def at(self) -> str:
        return "" if self.looks.last is None else self.looks.last.at


def _forgiven(name: str, looks: PollStats, monitor: Monitor) -> int:
    """Return how many failed looks are forgiven: those of the first row that was long enough to be dark."""
    if monitor.on_no_data.get(name, EXTEND) != EXTEND:
        return 0
    rows = [*looks.earlier_rows, looks.failed_in_a_row]
    first = next((row for row in rows if row >= monitor.dark_in_a_row), 0)
    return first if first < AS_LONG_AGAIN * monitor.dark_in_a_row else 0


def _find_unavailable(name: str, looks: PollStats, monitor: Monitor) -> _Unavailable | None:
    last, row, forgiven = looks.last, looks.failed_in_a_row, _forgiven(name, looks, monitor)
    if last is None or not looks.failed:
        return None
    was_dark = any(earlier >= monitor.dark_in_a_row for earlier in looks.earlier_rows)
    in_a_row = row >= monitor.dark_in_a_row
    counted, failed = looks.total - forgiven, looks.failed - forgiven
    too_often = counted >= FEW_LOOKS and failed > monitor.dark_share * counted
    if not (in_a_row or too_often):
        return None
    value = f"{row} looks in a row failed" if in_a_row else f"{failed} of {counted} looks failed"
    message = f"{name} is dark: {value}" + (f", the latest because: {last.error}" if last.error else "")
    if in_a_row and forgiven and not was_dark and not too_often:
        message += (
            f"; people are told, and it has {AS_LONG_AGAIN * monitor.dark_in_a_row - row} more looks to come back"
        )
        return _Unavailable(State.INCONCLUSIVE, name, value, looks, message)
    return _Unavailable(State.BREACHED, name, value, looks, message)


def _stale(history: Aggregates, monitor: Monitor) -> _Unavailable | None:
    """Return that the counters stand still although requests were answered: what they say is not of now.

    Only what the reading that moved cannot hold, and the latest one must, was missed: sent after the one had ended, and
    answered before the other began. A look that the rate limit refuses for a second reads what is a second younger.
    """
    counters, looks = history.counters, history.polls.get(SourceName.METRICS)
    latest = counters.latest()
    if counters.moved_by_s is None or latest is None or looks is None:
        return None
    missed, allowed = history.requests.answered_within(counters.moved_by_s, latest.to_s), monitor.dark_in_a_row
    if missed < allowed:
        return None
    again = AS_LONG_AGAIN if monitor.on_no_data.get(SourceName.METRICS, EXTEND) == EXTEND else 1
    state = State.BREACHED if missed >= again * allowed else State.INCONCLUSIVE
    value = f"{missed} requests not counted"
    message = (
        f"metrics is stale: its counters stand still since {show_span(counters.moved_by_s)} into the window, and "
        f"{missed} requests of the suite's own were answered meanwhile"
    )
    return _Unavailable(state, SourceName.METRICS, value, looks, message)


# What a busy machine misses is not worth a word.
SHOWN_S = 1.0


def unwatched(history: Aggregates) -> float:
    """Return how many seconds of the window nobody watched: those of the source that misses most."""
    return max((looks.unwatched_s for name, looks in history.polls.items() if name not in NOT_JUDGED), default=0.0)
