"""The page of a window that is being watched: its state as lines of text, for any width."""

from __future__ import annotations

import textwrap
from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

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
    """

    rollout: str
    target: str
    previous: str
    change: str
    ticket: str | None
    window_s: float
    phases: tuple[str, ...] = ()


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
    """

    heading: Heading
    now_s: float = 0.0
    stage: str = ""
    passed_s: float = 0.0
    verdicts: tuple[Verdict, ...] = ()
    rollback_probe: Sample | None = None
    hold: str | None = None
    unwatched_s: float = 0.0
    _trends: defaultdict[str, deque[float]] = field(default_factory=lambda: defaultdict(lambda: deque(maxlen=TREND)))
    _shown_at: dict[str, str] = field(default_factory=dict)

    def sample(self, sample: Sample) -> None:
        """Keep the latest sample of the rollback source."""
        if sample.source == SourceName.ROLLBACK:
            self.rollback_probe = replace(sample, at_s=sample.at_s + self.passed_s)

    def update(self, verdicts: tuple[Verdict, ...], now_s: float) -> None:
        """Keep the verdicts, and their numbers for the trend."""
        self.verdicts, self.now_s = verdicts, now_s + self.passed_s
        for verdict in verdicts:
            if isinstance(verdict.value, float) and self._shown_at.get(verdict.clause) != verdict.at:
                self._shown_at[verdict.clause] = verdict.at
                self._trends[verdict.clause].append(verdict.value)

    def styled(self, width: int, rows: int = ROWS) -> list[tuple[str, str]]:
        """Return at most `rows` lines of at most `width` characters, each with its style on a terminal with colours."""
        head = self.heading
        ticket = f"  ticket {head.ticket}" if head.ticket else ""
        top = [(f"{head.rollout} on {head.target}", "bold"), (f"{head.previous} → {head.change}{ticket}", "bold")]
        below = [(self.time_line(), ""), *_wrapped(self.hold_line(), width, "bold reverse red")]
        below += [(self.trigger_line(verdict, width), _STYLES[verdict.state]) for verdict in self.verdicts]
        for verdict in self.verdicts:
            if verdict.state is State.BREACHED:
                below += _wrapped(f"{verdict.clause}: {verdict.message}", width, "bold red")
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

    def time_line(self) -> str:
        """Return the time that is left, the length of the window, and the time that was not watched."""
        left = max(0.0, self.heading.window_s + self.unwatched_s - self.now_s)
        stage = f"{self.stage}; " if self.stage else ""
        gap = f", {show_span(self.unwatched_s)} were not watched" if self.unwatched_s >= SHOWN_S else ""
        return f"{stage}{show_span(left)} left of {show_span(self.heading.window_s)}{gap}"

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
        if is_alive(probe):
            return f"Rollback to {previous}: alive ({ago})", ""
        if isinstance(probe.reading, ConnectionTest):
            return f"Rollback to {previous}: DEAD ({ago}): {probe.reading.message}", "bold red"
        return f"Rollback to {previous}: not known ({ago}): {probe.error}", "bold red"


def is_alive(probe: Sample | None) -> bool:
    """Return whether the latest connection test of the previous provider succeeded."""
    return probe is not None and isinstance(probe.reading, ConnectionTest) and probe.reading.succeeded


def show_numbers(verdict: Verdict) -> tuple[str, str]:
    """Return the value and the limit with their units."""
    value, limit = verdict.value, verdict.limit
    if not isinstance(limit, float):
        return str(value) if value is not None else "-", str(limit) if limit is not None else "-"
    show, held = (show_rate, f"{limit * 100:g} %") if verdict.clause == "MON-2" else (show_ms, f"{limit:.5g} ms")
    return (show(value, limit) if isinstance(value, float) else "-"), held


def _direction(values: Sequence[float]) -> str:
    if values[-1] == values[-2]:
        return "="
    return "+" if values[-1] > values[-2] else "-"


def _wrapped(text: str, width: int, style: str) -> list[tuple[str, str]]:
    """Return a text that is wrapped, not truncated, with its style; its first `BREACH_LINES` lines."""
    return [(line, style) for line in textwrap.wrap(on_one_line(text), max(width, 1))[:BREACH_LINES]]


def truncate_line(text: str, width: int) -> str:
    """Return the text on one line of at most `width` characters."""
    text = on_one_line(text)
    return text if len(text) <= width else text[: max(0, width - 1)] + "…"
