"""The page of a window that is being watched: its state as lines of text, for any width and height."""

from __future__ import annotations

import textwrap
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import NamedTuple

from rollout.core.visible import on_one_line
from rollout.gateway.responses import ConnectionTest
from rollout.monitoring.data_quality import SHOWN_S
from rollout.monitoring.extension import Extension
from rollout.monitoring.live_heading import Heading, to_seconds
from rollout.monitoring.samples import LATE_S, Sample, SourceName
from rollout.monitoring.verdict import State, Verdict, show_interval, show_span
from rollout.monitoring.verdict_text import describe_slower_share, is_of_the_window, show_effective, show_numbers

TREND = 12
WRAPPED_LINES = 5
NARROW = 80
ROWS = 24
BLOCKS = "▁▂▃▄▅▆▇█"
LEGEND = f"trend: the last {TREND} values, lowest {BLOCKS[0]}, highest {BLOCKS[-1]}; last step + up, - down, = same"
BANDS = "in brackets: 95 % band of the value; limit with its baseline's uncertainty"
ELSEWHERE = "see below"
"""Stands for a value that is wider than its column: the trigger's message says it in full."""

SETTLED_S = 60.0
"""Until then a trigger that has not held yet gathers data, which is no reason to act."""

_STYLES = {
    State.HOLDING: "green",
    State.BREACHED: "bold red",
    State.INCONCLUSIVE: "yellow",
    State.NO_DATA: "yellow",
    State.NOT_APPLICABLE: "dim",
}


class Rank(IntEnum):
    """What a page with too few rows omits, the lowest first."""

    PHASE = 0
    REASON = 1
    LEGEND = 2
    HEADER = 3
    CONTINUATION = 4
    HEADING = 5
    HOLDING = 6
    ATTENTION = 7
    ALWAYS = 8


class Line(NamedTuple):
    """A line of the page: its text, its style on a terminal with colours, and when it is omitted."""

    text: str
    style: str
    rank: Rank


class Columns(NamedTuple):
    """The widths of the table's columns that depend on the terminal, in characters."""

    value: int
    limit: int
    samples: int
    last: int


@dataclass(slots=True)
class Page:
    """The state of a window as lines of text, for any width; colours add no information.

    Attributes:
        heading: what is shown from the beginning of the window.
        now_s: the time of the verdicts, in seconds since the first stage began.
        stage: the stage of a canary; empty without one.
        passed_s: the length of the earlier stages, in seconds.
        verdicts: the latest verdicts.
        rollback_probe: the latest connection test of the previous provider.
        hold: who holds the rollback; None without a hold.
        unwatched_s: how many seconds of the window were not watched.
        extension: how the window goes on because a verdict is undecided; None where it does not.
        overrun: that this machine is too busy to watch; empty where it is not.
        late_s: by how many seconds this machine was late for a poll, the longest.
    """

    heading: Heading
    now_s: float = 0.0
    stage: str = ""
    passed_s: float = 0.0
    verdicts: tuple[Verdict, ...] = ()
    rollback_probe: Sample | None = None
    hold: str | None = None
    unwatched_s: float = 0.0
    extension: Extension | None = None
    overrun: str = ""
    late_s: float = 0.0
    _trends: defaultdict[str, deque[float]] = field(default_factory=lambda: defaultdict(lambda: deque(maxlen=TREND)))
    _shown_at: dict[str, str] = field(default_factory=dict)
    _data_was_complete: bool = False

    def sample(self, sample: Sample) -> None:
        """Keep the latest sample of the rollback source, and the longest delay of any."""
        self.late_s = max(self.late_s, sample.late_s)
        if sample.source == SourceName.ROLLBACK:
            self.rollback_probe = replace(sample, at_s=sample.at_s + self.passed_s)

    def begin_stage(self, text: str, passed_s: float) -> None:
        """Begin a stage of a canary, whose sources have given nothing yet."""
        self.stage, self.passed_s, self._data_was_complete = text, passed_s, False
        self.extension = None

    def update(self, verdicts: tuple[Verdict, ...], now_s: float) -> None:
        """Keep the verdicts, and their numbers for the trend."""
        self.verdicts, self.now_s = verdicts, now_s + self.passed_s
        for verdict in verdicts:
            if verdict.clause == "MON-6" and verdict.state is State.HOLDING:
                self._data_was_complete = True
            if isinstance(verdict.value, float) and self._shown_at.get(verdict.clause) != verdict.at:
                self._shown_at[verdict.clause] = verdict.at
                self._trends[verdict.clause].append(verdict.value)

    def styled(self, width: int, rows: int = ROWS) -> list[tuple[str, str]]:
        """Return at most `rows` - 1 lines of at most `width` characters, each with its style on a terminal."""
        columns = _columns(width, self.verdicts)
        lines = [
            Line(self.left_line(), "bold", Rank.ALWAYS),
            *self._heading_lines(width),
            *_wrapped(self.hold_line(), "bold reverse red", width, Rank.ALWAYS),
            *_wrapped(self.extension_line(), "yellow", width, Rank.ATTENTION),
            *_wrapped(self.overrun, "bold red", width, Rank.ATTENTION),
            *self._table(columns),
            *(line for verdict in self.verdicts for line in self._message_lines(verdict, columns, width)),
            *_wrapped(*self.rollback_line(), width, Rank.ALWAYS),
            *(line for text in self.advice() for line in _wrapped(text, _advice_style(text), width, Rank.ATTENTION)),
            *self._stop_lines(width),
        ]
        return [(truncate_line(line.text, width), line.style) for line in _fitting(lines, rows - 1)]

    def left_line(self) -> str:
        """Return the time that is left, the length of the window, and the time that was not watched."""
        extended_s = 0.0 if self.extension is None else self.extension.extended_s
        planned_s = self.heading.window_s
        left = max(0.0, planned_s + self.unwatched_s + extended_s - self.now_s)
        lasts = show_span(planned_s + extended_s)
        parts = f" ({show_span(planned_s)} and an extension)" if extended_s else ""
        gap = f", {show_span(self.unwatched_s)} were not watched" if self.unwatched_s >= SHOWN_S else ""
        late = f", polls came up to {self.late_s:.1f} s late" if self.late_s > LATE_S else ""
        return f"{show_span(left)} left of {lasts}{parts}{gap}{late}"

    def extension_line(self) -> str:
        """Return how the window goes on and because of which triggers; empty where it does not."""
        if self.extension is None:
            return ""
        undecided = ", ".join(verdict.clause for verdict in self.verdicts if verdict.undecided)
        return f"{self.extension.brief}; undecided: {undecided or 'nothing more'}"

    def time_line(self) -> str:
        """Return the stage of a canary and `left_line`, as one line."""
        return "; ".join(filter(None, (self.stage, self.left_line())))

    def hold_line(self) -> str:
        """Return who holds the rollback, and which breaches are held; empty without a hold."""
        if self.hold is None:
            return ""
        breached, hold = self._clauses(State.BREACHED), to_seconds(self.hold)
        return f"{breached} BREACHED AND NOT ROLLED BACK: {hold}" if breached else f"THE ROLLBACK IS {hold}"

    def trend(self, clause: str) -> str:
        """Return the latest values as a row of blocks with the direction of the last step; empty below two values."""
        values = self._trends.get(clause, ())
        if len(values) < 2:  # noqa: PLR2004 - one value has no direction
            return ""
        low, high = min(values), max(values)
        scale = (len(BLOCKS) - 1) / (high - low) if high > low else 0.0
        return "".join(BLOCKS[round((value - low) * scale)] for value in values) + f" {_direction(values)}"

    def rollback_line(self) -> tuple[str, str]:
        """Return the line with the latest connection test of the previous provider, and the line's style."""
        probe, previous = self.rollback_probe, self.heading.previous
        if probe is None:
            return f"Rollback to {previous}: not probed yet", ""
        ago = f"{show_span(max(0.0, self.now_s - probe.at_s))} ago"
        if is_alive(probe):
            return f"Rollback to {previous}: alive ({ago})", ""
        if isinstance(probe.reading, ConnectionTest):
            return f"Rollback to {previous}: DEAD ({ago}): {probe.reading.message}", "bold red"
        return f"Rollback to {previous}: not known ({ago}): {probe.error}", "bold red"

    def advice(self) -> tuple[str, ...]:
        """Return what the operator has to do, a sentence each; or one sentence that there is nothing to do."""
        breached = self._clauses(State.BREACHED)
        if breached and self.hold is None:
            return (f"Nothing to do: the breach of {breached} rolls the change back now",)
        return tuple(self._tasks(breached)) or (f"Nothing to do{self._why_nothing()}",)

    def _tasks(self, held: str) -> Iterator[str]:
        if held:
            yield f"To do: mend what breaches {held} before the hold ends, or it rolls back"
        if self.rollback_probe is not None and not is_alive(self.rollback_probe):
            yield f"To do: let {self.heading.previous} answer again; a rollback activates it"
        if self._lacks_data():
            yield "To do: mend what MON-6 names, or the change is rolled back"

    def _why_nothing(self) -> str:
        if not self.verdicts:
            return " yet: no trigger is judged yet"
        pending = self._clauses(State.INCONCLUSIVE, State.NO_DATA)
        if pending:
            open_ = ", ".join(verdict.clause for verdict in self.verdicts if verdict.undecided)
            more = f"more requests may decide {open_}; " if open_ else ""
            return f" yet: {more}what does not hold at the end is rolled back ({pending})"
        alive = f", and {self.heading.previous} is alive" if is_alive(self.rollback_probe) else ""
        apart = self._clauses(State.NOT_APPLICABLE)
        return f": every trigger holds{f', apart from {apart} (not applicable)' if apart else ''}{alive}"

    def _lacks_data(self) -> bool:
        """Return whether a source that gave data, or had the time to give some, gives none now."""
        is_due = self._data_was_complete or self._is_settled()
        return is_due and any(_is_about_data(verdict) for verdict in self.verdicts)

    def _is_settled(self) -> bool:
        return self.now_s - self.passed_s >= SETTLED_S

    def _clauses(self, *states: State) -> str:
        return ", ".join(verdict.clause for verdict in self.verdicts if verdict.state in states)

    def _heading_lines(self, width: int) -> Iterator[Line]:
        head = self.heading
        ticket = f", ticket {head.ticket}" if head.ticket else ""
        yield from _wrapped(self.stage, "", width, Rank.HEADING)
        yield from _wrapped(f"{head.previous} → {head.change} on {head.target}{ticket}", "", width, Rank.HEADING)
        yield from (Line(phase, "", Rank.PHASE) for phase in head.phases)

    def _stop_lines(self, width: int) -> list[Line]:
        """Return how to stop; the command, which is copied, stands on one line."""
        ways, command = f"Stop: {self.heading.how_to_stop()}", self.heading.abort()
        one = f"{ways} {command}"
        return [Line(text, "", Rank.ALWAYS) for text in ([one] if len(one) <= width else [ways, command])]

    def _table(self, columns: Columns) -> Iterator[Line]:
        """Yield the header, a line for each trigger, and the legend of the trend."""
        if not self.verdicts:
            return
        names = ("trigger", "state", "value", "limit", "n", "trend/source")
        yield Line(_row(names, columns), "", Rank.HEADER)
        for verdict in self.verdicts:
            value = show_numbers(verdict)[0]
            cells = (
                verdict.clause,
                verdict.state,
                _with_band(verdict, columns) if _fits(value, columns) else ELSEWHERE,
                _limit(verdict),
                f"{verdict.samples:,}",
                self.trend(verdict.clause) or _shown_sources(verdict.source, columns.last),
            )
            rank = Rank.HOLDING if verdict.state.allows_keeping else Rank.ATTENTION
            yield Line(_row(cells, columns), _STYLES[verdict.state], rank)
        yield Line(LEGEND, "", Rank.LEGEND)
        if any(verdict.interval or show_effective(verdict) for verdict in self.verdicts):
            yield Line(BANDS, "", Rank.LEGEND)
        for verdict in self.verdicts:
            if words := describe_slower_share(verdict):
                yield Line(f"{verdict.clause}: {words}", "", Rank.LEGEND)

    def _message_lines(self, verdict: Verdict, columns: Columns, width: int) -> list[Line]:
        """Return the message of a trigger that needs attention, does not hold, or has a wider value than its column."""
        is_urgent = verdict.state is State.BREACHED or _is_about_data(verdict)
        if is_urgent or not _fits(show_numbers(verdict)[0], columns):
            rank = Rank.ATTENTION
        elif not verdict.state.allows_keeping and self._is_settled():
            rank = Rank.REASON
        else:
            return []
        lines = _wrapped(f"{verdict.clause}: {verdict.message}", _STYLES[verdict.state], width, rank)
        if verdict.power and verdict.state is not State.BREACHED:
            lines += _wrapped(f"{verdict.clause} can tell: {verdict.power}", "", width, Rank.REASON)
        return lines


def is_alive(probe: Sample | None) -> bool:
    """Return whether the latest connection test of the previous provider succeeded."""
    return probe is not None and isinstance(probe.reading, ConnectionTest) and probe.reading.succeeded


def truncate_line(text: str, width: int) -> str:
    """Return the text on one line of at most `width` characters."""
    text = on_one_line(text)
    return text if len(text) <= width else text[: max(0, width - 1)] + "…"


def _columns(width: int, verdicts: Sequence[Verdict]) -> Columns:
    """Return the columns for so many characters a line; a limit is never cut, and takes room from the values."""
    limit = max([14, *(len(_limit(verdict)) for verdict in verdicts)])
    spare = max(0, width - NARROW)
    value = max(len(ELSEWHERE), 33 - limit + spare // 3)
    return Columns(value, limit, samples=9, last=14 + spare - spare // 3)


def _row(cells: Sequence[str], columns: Columns) -> str:
    clause, state, value, limit, samples, last = cells
    numbers = f"{value:<{columns.value}} {limit:<{columns.limit}} {samples:>{columns.samples}}"
    return f"{clause:<7} {state:<12} {numbers} {last}".rstrip()


def _with_band(verdict: Verdict, columns: Columns) -> str:
    """Return the value, with its confidence band where the column has room for both; MON-3's band is of a share."""
    value = show_numbers(verdict)[0]
    if verdict.clause == "MON-3" or not is_of_the_window(verdict):
        return value
    both = f"{value} ({show_interval(verdict.interval).removesuffix(' %')})"
    return both if verdict.interval and _fits(both, columns) else value


def _limit(verdict: Verdict) -> str:
    """Return the limit, with the effective one in brackets where it differs: ``200 (272) ms``."""
    limit, effective = show_numbers(verdict)[1], show_effective(verdict)
    return f"{limit.removesuffix(' ms')} ({effective.removesuffix(' ms')}) ms" if effective else limit


def _fits(value: str, columns: Columns) -> bool:
    return len(value) <= columns.value


def _shown_sources(sources: str, width: int) -> str:
    """Return the sources of a verdict, or their number where the names are wider than the column."""
    return sources if len(sources) <= width else f"{sources.count(',') + 1} sources"


def _is_about_data(verdict: Verdict) -> bool:
    return verdict.clause == "MON-6" and verdict.state in {State.INCONCLUSIVE, State.NO_DATA}


def _advice_style(text: str) -> str:
    return "bold" if text.startswith("To do") else ""


def _direction(values: Sequence[float]) -> str:
    if values[-1] == values[-2]:
        return "="
    return "+" if values[-1] > values[-2] else "-"


def _wrapped(text: str, style: str, width: int, rank: Rank) -> list[Line]:
    """Return a text that is wrapped between words; its first `WRAPPED_LINES` lines, of which the first has the rank."""
    lines = textwrap.wrap(
        on_one_line(text),
        max(width, 1),
        max_lines=WRAPPED_LINES,
        placeholder=" …",
        break_on_hyphens=False,
    )
    return [Line(line, style, min(rank, Rank.CONTINUATION) if number else rank) for number, line in enumerate(lines)]


def _fitting(lines: Sequence[Line], rows: int) -> list[Line]:
    """Return at most `rows` lines: the lowest rank is omitted first, of the phases the earliest, of others the last."""
    first_omitted = sorted(
        range(len(lines)),
        key=lambda at: (lines[at].rank, at if lines[at].rank is Rank.PHASE else -at),
    )
    omitted = set(first_omitted[: max(0, len(lines) - rows)])
    return [line for index, line in enumerate(lines) if index not in omitted]
