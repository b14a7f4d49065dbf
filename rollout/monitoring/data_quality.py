"""MON-6: whether every source gives enough data, and is watched for long enough."""

from __future__ import annotations

from dataclasses import replace

from rollout.core.scenario import Monitor
from rollout.monitoring.aggregates import Aggregates, PollStats
from rollout.monitoring.samples import Context, SourceName
from rollout.monitoring.verdict import State, Verdict, _no_data, show_span

FEW_POLLS = 10


EXTEND = "extend"


# A source that is unavailable for the first time breaches MON-6 after twice as many failed polls.
AS_LONG_AGAIN = 2


NOT_JUDGED = frozenset({SourceName.ROLLBACK, SourceName.CONTROL})
"""Sources that no trigger needs: without the control group, the precheck's baseline decides."""


def judge_data(aggregates: Aggregates, context: Context, now_s: float) -> Verdict:
    """Judge MON-6: every source that a trigger reads gives data.

    A source must have one good poll, and must not fail in a row, too often, or stand still.
    The window is extended by the time that was not watched, at most by its own length; beyond that it is no data.
    A source that is unavailable for the first time has as many polls again, unless `on_no_data` forbids that:
    inconclusive.
    """
    monitor, span = context.monitor, f"the first {show_span(now_s)}"
    limit = f"{monitor.dark_in_a_row} in a row/{monitor.dark_share * 100:g}%"
    reads = [(name, polls) for name, polls in aggregates.polls.items() if name not in NOT_JUDGED]
    total = sum(polls.total for _, polls in reads)
    found = (
        *(_find_unavailable(name, polls, monitor) for name, polls in reads),
        _stale(aggregates, monitor),
        _alternating(aggregates, monitor),
    )
    if unavailable := list(filter(None, found)):
        worst = next((each for each in unavailable if each.state is State.BREACHED), unavailable[0])
        return replace(worst, limit=limit, span=span)
    unseen = [name for name, polls in reads if polls.good is None]
    sources = ", ".join(name for name, _ in reads)
    if len(unseen) == len(reads):
        return _no_data("MON-6", sources, limit, "no source was seen once")
    at = max(polls.last.at for _, polls in reads if polls.last is not None)
    failed = sum(polls.failed for _, polls in reads)
    value = f"{failed} of {total} failed"
    if unseen:
        message = f"not seen once: {', '.join(unseen)}"
        return Verdict("MON-6", State.INCONCLUSIVE, value, limit, total, ", ".join(unseen), span, at, message)
    gap_s, lasts_s = unwatched(aggregates), context.lasts_s
    if gap_s > lasts_s:
        return Verdict(
            clause="MON-6",
            state=State.NO_DATA,
            value=f"{show_span(gap_s)} not watched",
            limit=limit,
            samples=total,
            source=sources,
            span=span,
            at=at,
            message=f"{show_span(gap_s)} were not watched, and a window of {show_span(lasts_s)} goes on for so long at "
            "most",
        )
    extended_for = extended(aggregates, context)
    message = f"{failed} of {total} looks at {len(reads)} sources failed"
    message += f"; {show_span(gap_s)} were not watched, and the window is so much longer" if gap_s >= SHOWN_S else ""
    message += f"; dark once, paged, and the window extended for it: {', '.join(extended_for)}" if extended_for else ""
    return Verdict("MON-6", State.HOLDING, value, limit, total, sources, span, at, message)


def extended(aggregates: Aggregates, context: Context) -> tuple[str, ...]:
    """Return the sources for whose first outage the window is extended (MON-6, `on_no_data`)."""
    return tuple(
        name
        for name, polls in aggregates.polls.items()
        if name not in NOT_JUDGED and _forgiven(name, polls, context.monitor)
    )


def _forgiven(name: str, polls: PollStats, monitor: Monitor) -> int:
    """Return how many failed polls do not count: those of the first row that made the source unavailable."""
    if monitor.on_no_data.get(name, EXTEND) != EXTEND:
        return 0
    if not polls.failed:
        return 0
    rows = (*polls.earlier_rows, polls.failed_in_a_row)
    first = next((row for row in rows if row >= monitor.dark_in_a_row), 0)
    return first if first < AS_LONG_AGAIN * monitor.dark_in_a_row else 0


def _find_unavailable(name: str, polls: PollStats, monitor: Monitor) -> Verdict | None:
    """Return the source as unavailable, if it is: breached, or inconclusive while the window is extended for it."""
    last, row = polls.last, polls.failed_in_a_row
    if last is None or not polls.failed:
        return None
    forgiven = _forgiven(name, polls, monitor)
    was_unavailable = any(earlier >= monitor.dark_in_a_row for earlier in polls.earlier_rows)
    in_a_row = row >= monitor.dark_in_a_row
    counted, failed = polls.total - forgiven, polls.failed - forgiven
    too_often = counted >= FEW_POLLS and failed > monitor.dark_share * counted
    if not (in_a_row or too_often):
        return None
    value = f"{row} looks in a row failed" if in_a_row else f"{failed} of {counted} looks failed"
    message = f"{name} is dark: {value}" + (f", the latest because: {last.error}" if last.error else "")
    if in_a_row and forgiven and not was_unavailable and not too_often:
        message += (
            f"; people are told, and it has {AS_LONG_AGAIN * monitor.dark_in_a_row - row} more looks to come back"
        )
        return _unavailable(State.INCONCLUSIVE, name, value, polls, message)
    return _unavailable(State.BREACHED, name, value, polls, message)


def _unavailable(state: State, source: str, value: str, polls: PollStats, message: str) -> Verdict:
    return Verdict(
        clause="MON-6",
        state=state,
        value=value,
        limit=None,
        samples=polls.total,
        source=source,
        span="",
        at="" if polls.last is None else polls.last.at,
        message=message,
    )


def _stale(aggregates: Aggregates, monitor: Monitor) -> Verdict | None:
    """Return the metrics as unavailable if the counters stand still although requests were answered.

    A request counts as missed if it was sent after the poll in which the counters last changed had ended, and answered
    before the latest poll began. A poll that the rate limit delays reads values that are younger than its start.
    """
    counters, polls = aggregates.counters, aggregates.polls.get(SourceName.METRICS)
    latest = counters.latest()
    if counters.moved_by_s is None or latest is None or polls is None:
        return None
    missed, allowed = aggregates.requests.answered_within(counters.moved_by_s, latest.to_s), monitor.dark_in_a_row
    if missed < allowed:
        return None
    factor = AS_LONG_AGAIN if monitor.on_no_data.get(SourceName.METRICS, EXTEND) == EXTEND else 1
    return _unavailable(
        state=State.BREACHED if missed >= factor * allowed else State.INCONCLUSIVE,
        source=SourceName.METRICS,
        value=f"{missed} requests not counted",
        polls=polls,
        message=f"metrics is stale: its counters stand still since {show_span(counters.moved_by_s)} into the window, "
        f"and {missed} requests of the suite's own were answered meanwhile",
    )


def _alternating(aggregates: Aggregates, monitor: Monitor) -> Verdict | None:
    """Return the metrics as unavailable if their counters are those of several processes in turn."""
    times, polls = aggregates.counters.alternations, aggregates.polls.get(SourceName.METRICS)
    if polls is None or times < monitor.dark_in_a_row:
        return None
    return _unavailable(
        state=State.BREACHED,
        source=SourceName.METRICS,
        value=f"{times} readings of another process",
        polls=polls,
        message=f"metrics is no count: {times} times its counters fell and were as high as before in the next reading, "
        "so several processes answer in turn; read one that adds them up, such as Prometheus, or a single process",
    )


# A gap that a busy machine causes is not shown.
SHOWN_S = 1.0


def unwatched(aggregates: Aggregates) -> float:
    """Return how many seconds of the window were not watched: the largest number of any source."""
    return max((polls.unwatched_s for name, polls in aggregates.polls.items() if name not in NOT_JUDGED), default=0.0)
