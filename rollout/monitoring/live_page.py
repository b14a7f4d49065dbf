"""The page of a window that is being watched: its state as lines of text, for any width."""

from __future__ import annotations

import textwrap
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from rollout.core.visible import on_one_line
from rollout.gateway.responses import ConnectionTest
from rollout.monitoring.data_quality import SHOWN_S
from rollout.monitoring.samples import Sample, SourceName
from rollout.monitoring.verdict import State, Verdict, show_ms, show_rate, show_span

TREND = 12
BREACH_LINES = 4
NARROW = 80
ROWS = 24
BLOCKS = "▁▂▃▄▅▆▇█"
_STYLES = {State.HOLDING: "green", State.BREACHED: "bold red", State.INCONCLUSIVE: "yellow", State.NO_DATA: "yellow"}


@dataclass(frozen=True, slots=True)
class Heading:
    """What a view shows from the beginning of the window.

    Attributes:
        rollout: the rollout's id.
        target: the target's name.
        previous: the previous provider, ``ollama:llama3``.
        change: the new provider, ``openai:gpt-4o``.
        ticket: the ticket, None where there is none.
        window_s: the length of the window in seconds.
        phases: a line for each phase so far, ``precheck 21 of 21 passed``.
        confirm_by: the deadline of the next phase, None if there is none.
    """

    rollout: str
    target: str
    previous: str
    change: str
    ticket: str | None
    window_s: float
    phases: tuple[str, ...] = ()
    confirm_by: str | None = None


class Page:
    """The state of a window as lines of text, for any width; colours add no information."""

    def __init__(self, heading: Heading) -> None:
        """Start without samples and verdicts."""
        self.heading = heading
        self.now_s = 0.0
        self.stage = ""
        self.verdicts: tuple[Verdict, ...] = ()
        self.rollback_probe: Sample | None = None
        self.hold: str | None = None
        self.unwatched_s = 0.0
        self._trends: dict[str, deque[float]] = {}
        self._shown_at: dict[str, str] = {}

    def sample(self, sample: Sample) -> None:
        """Keep the latest sample of the rollback source."""
        if sample.source == SourceName.ROLLBACK:
            self.rollback_probe = sample

    def update(self, verdicts: tuple[Verdict, ...], now_s: float) -> None:
        """Keep the verdicts, and their numbers for the trend."""
        self.verdicts, self.now_s = verdicts, now_s
        for verdict in verdicts:
            if isinstance(verdict.value, float) and self._shown_at.get(verdict.clause) != verdict.at:
                self._shown_at[verdict.clause] = verdict.at
                self._trends.setdefault(verdict.clause, deque(maxlen=TREND)).append(verdict.value)

    def lines(self, width: int, rows: int = ROWS) -> list[str]:
        """Return at most `rows` lines of at most `width` characters."""
        return [line for line, _ in self.styled(width, rows)]

    def styled(self, width: int, rows: int = ROWS) -> list[tuple[str, str]]:
        """Return the lines, each with the style that a terminal with colours may give it."""
        head = self.heading
        ticket = f"  ticket {head.ticket}" if head.ticket else ""
        top = [(f"{head.rollout} on {head.target}", "bold"), (f"{head.previous} → {head.change}{ticket}", "bold")]
        below = [(self.time_line(), ""), *self._hold_lines(width)]
        below += [(self.trigger_line(verdict, width), _STYLES[verdict.state]) for verdict in self.verdicts]
        troubles = [v for v in self.verdicts if v.state is State.BREACHED]
        for verdict in troubles:
            # A breach is wrapped, not truncated.
            wrapped = textwrap.wrap(f"{verdict.clause}: {on_one_line(verdict.message)}", max(width, 1))
            below += [(line, "bold red") for line in wrapped[:BREACH_LINES]]
        below += [self.rollback_line(), (f"Stop: Ctrl-C rolls back, or run: rollout abort {head.rollout}", "")]
        room = max(0, rows - len(top) - len(below) - 1)
        lines = [*top, *((phase, "") for phase in head.phases[-room:] if room), *below]
        return [(truncate_line(line, width), style) for line, style in lines[: rows - 1]]

    def hold_line(self) -> str:
        """Return who holds the rollback, and which breaches are held; empty without a hold."""
        if self.hold is None:
            return ""
        breached = ", ".join(verdict.clause for verdict in self.verdicts if verdict.state is State.BREACHED)
        return f"{breached} BREACHED AND NOT ROLLED BACK: {self.hold}" if breached else f"THE ROLLBACK IS {self.hold}"

    def _hold_lines(self, width: int) -> list[tuple[str, str]]:
        wrapped = textwrap.wrap(on_one_line(self.hold_line()), max(width, 1))
        return [(line, "bold reverse red") for line in wrapped[:BREACH_LINES]]

    def time_line(self) -> str:
        """Return the time that is left, the length of the window, and the time that was not watched."""
        left = max(0.0, self.heading.window_s + self.unwatched_s - self.now_s)
        confirm = f", confirm by {self.heading.confirm_by}" if self.heading.confirm_by else ""
        stage = f"{self.stage}; " if self.stage else ""
        gap = f", {show_span(self.unwatched_s)} were not watched" if self.unwatched_s >= SHOWN_S else ""
        return f"{stage}{show_span(left)} left of {show_span(self.heading.window_s)}{gap}{confirm}"

    def trigger_line(self, verdict: Verdict, width: int = NARROW) -> str:
        """Return one trigger's line: state, value, limit, sample count, source and trend."""
        value, limit = show_numbers(verdict)
        room = max(0, width - NARROW) // 3
        cells = (
            f"{verdict.clause:<6}",
            f"{verdict.state:<12}",
            f"{truncate_line(value, 14 + room):<{14 + room}}",
            f"limit {truncate_line(limit, 14 + room):<{14 + room}}",
            f"n={verdict.samples:<6}",
            truncate_line(self.trend(verdict.clause) or verdict.source, 14 + room),
        )
        return " ".join(cells).rstrip()

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
        if isinstance(probe.reading, ConnectionTest) and probe.reading.succeeded:
            return f"Rollback to {previous}: alive ({ago})", ""
        if isinstance(probe.reading, ConnectionTest):
            return f"Rollback to {previous}: DEAD ({ago}): {probe.reading.message}", "bold red"
        return f"Rollback to {previous}: not known ({ago}): {probe.error}", "bold red"


def show_numbers(verdict: Verdict) -> tuple[str, str]:
    """Return the value and the limit with their units."""
    value, limit = verdict.value, verdict.limit
    show = show_rate if verdict.clause == "MON-2" else show_ms
    if isinstance(limit, float):
        held = f"{limit * 100:g} %" if verdict.clause == "MON-2" else f"{limit:.5g} ms"
        return (show(value, limit) if isinstance(value, float) else "-"), held
    return str(value) if value is not None else "-", str(limit) if limit is not None else "-"


def _direction(values: Sequence[float]) -> str:
    before, last = list(pairwise(values))[-1]
    if last == before:
        return "="
    return "+" if last > before else "-"


def truncate_line(text: str, width: int) -> str:
    """Return the text on one line of at most `width` characters."""
    text = on_one_line(text)
    return text if len(text) <= width else text[: max(0, width - 1)] + "…"
