"""What people see while a change bakes: a live page on a terminal, a line a minute in a log.

A view never stops a rollout: once its stream is closed or refuses a character, it is silent.
"""

from __future__ import annotations

import textwrap
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol, TextIO

from rollout.core.clock import Clock, format_utc
from rollout.core.visible import on_one_line
from rollout.gateway.responses import ConnectionTest
from rollout.monitoring.data_quality import SHOWN_S
from rollout.monitoring.samples import Sample, SourceName
from rollout.monitoring.verdict import State, Verdict, show_ms, show_rate, show_span

if TYPE_CHECKING:
    from rich.live import Live

REFRESH_S = 0.25
LINE_EVERY_S = 60.0
TREND = 12
BREACH_LINES = 4
NARROW = 80
ROWS = 24
_BLOCKS = "▁▂▃▄▅▆▇█"
_PLAIN = {"→": "->", "…": "~", "·": "-"}
_STYLES = {State.HOLDING: "green", State.BREACHED: "bold red", State.INCONCLUSIVE: "yellow", State.NO_DATA: "yellow"}


@dataclass(frozen=True, slots=True)
class Heading:
    """What a view knows before the window begins.

    Attributes:
        rollout: the rollout's id.
        target: where.
        previous: from what, ``ollama:llama3``.
        change: to what, ``openai:gpt-4o``.
        ticket: the ticket, None where there is none.
        window_s: how long it is watched.
        phases: a line for each phase so far, ``precheck 21 of 21 passed``.
        confirm_by: until when the next phase must have begun, None if nothing waits for one.
    """

    rollout: str
    target: str
    previous: str
    change: str
    ticket: str | None
    window_s: float
    phases: tuple[str, ...] = ()
    confirm_by: str | None = None


class View(Protocol):
    """What the window tells people. None of these raises, whatever becomes of the stream."""

    def sample(self, sample: Sample) -> None:
        """Take note of a sample."""

    def verdicts(self, verdicts: tuple[Verdict, ...], now_s: float) -> None:
        """Show the verdicts as they stand `now_s` seconds into the window."""

    def unwatched(self, seconds: float) -> None:
        """Say that so many seconds of the window were not watched, and that it is so much longer."""

    def held(self, words: str | None) -> None:
        """Show who holds the automatic rollback, ``held by alice until …``; None: nobody does (any more)."""

    def stage(self, text: str) -> None:
        """Say which stage of a canary begins, or goes on."""

    def close(self) -> None:
        """Leave the last state standing, and show no more."""


def view_for(stream: TextIO, heading: Heading, clock: Clock, *, term: str | None = None) -> View:
    """Return the view that suits `stream`: a live page on a terminal that can move its cursor, lines anywhere else.

    Args:
        stream: where people look.
        heading: what is known before.
        clock: the time.
        term: the environment's ``TERM``; ``dumb`` cannot move its cursor.
    """
    try:
        live = stream.isatty() and term not in {"dumb", "unknown"}
    except (OSError, ValueError):
        live = False
    return Terminal(stream, heading, clock) if live else Log(stream, heading, clock)


class Page:
    """The state of a window as lines of text, for any width; no colour is needed to read it."""

    def __init__(self, heading: Heading) -> None:
        """Start with nothing seen."""
        self.heading = heading
        self.now_s = 0.0
        self.stage = ""
        self.verdicts: tuple[Verdict, ...] = ()
        self.way_back: Sample | None = None
        self.hold: str | None = None
        self.unwatched_s = 0.0
        self._trends: dict[str, deque[float]] = {}
        self._shown_at: dict[str, str] = {}

    def sample(self, sample: Sample) -> None:
        """Keep what the last probe of the way back said."""
        if sample.source == SourceName.WAY_BACK:
            self.way_back = sample

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
            # The one sentence that must not be cut short.
            told = textwrap.wrap(f"{verdict.clause}: {on_one_line(verdict.message)}", max(width, 1))
            below += [(line, "bold red") for line in told[:BREACH_LINES]]
        below += [self.way_back_line(), (f"Stop: Ctrl-C rolls back, or run: rollout abort {head.rollout}", "")]
        room = max(0, rows - len(top) - len(below) - 1)
        lines = [*top, *((phase, "") for phase in head.phases[-room:] if room), *below]
        return [(_cut(line, width), style) for line, style in lines[: rows - 1]]

    def hold_line(self) -> str:
        """Return who holds the rollback, and which breaches that keeps from it; empty if nobody does."""
        if self.hold is None:
            return ""
        breached = ", ".join(verdict.clause for verdict in self.verdicts if verdict.state is State.BREACHED)
        return f"{breached} BREACHED AND NOT ROLLED BACK: {self.hold}" if breached else f"THE ROLLBACK IS {self.hold}"

    def _hold_lines(self, width: int) -> list[tuple[str, str]]:
        told = textwrap.wrap(on_one_line(self.hold_line()), max(width, 1))
        return [(line, "bold reverse red") for line in told[:BREACH_LINES]]

    def time_line(self) -> str:
        """Return how long it has been watched and how long it still will be."""
        left = max(0.0, self.heading.window_s + self.unwatched_s - self.now_s)
        confirm = f", confirm by {self.heading.confirm_by}" if self.heading.confirm_by else ""
        stage = f"{self.stage}; " if self.stage else ""
        gap = f", {show_span(self.unwatched_s)} were not watched" if self.unwatched_s >= SHOWN_S else ""
        return f"{stage}{show_span(left)} left of {show_span(self.heading.window_s)}{gap}{confirm}"

    def trigger_line(self, verdict: Verdict, width: int = NARROW) -> str:
        """Return one trigger's line: state, value, limit, sample count, source and trend."""
        value, limit = _numbers(verdict)
        room = max(0, width - NARROW) // 3
        cells = (
            f"{verdict.clause:<6}",
            f"{verdict.state:<12}",
            f"{_cut(value, 14 + room):<{14 + room}}",
            f"limit {_cut(limit, 14 + room):<{14 + room}}",
            f"n={verdict.samples:<6}",
            _cut(self.trend(verdict.clause) or verdict.source, 14 + room),
        )
        return " ".join(cells).rstrip()

    def trend(self, clause: str) -> str:
        """Return the latest values as a row of blocks, and where the last step went; empty below two of them."""
        values = self._trends.get(clause, ())
        if len(values) < 2:  # noqa: PLR2004 - one value has no direction
            return ""
        low, high = min(values), max(values)
        scale = (len(_BLOCKS) - 1) / (high - low) if high > low else 0.0
        return "".join(_BLOCKS[round((value - low) * scale)] for value in values) + f" {_direction(values)}"

    def way_back_line(self) -> tuple[str, str]:
        """Return whether the previous provider would take over again, and the line's style."""
        probe, previous = self.way_back, self.heading.previous
        if probe is None:
            return f"Way back to {previous}: not probed yet", ""
        ago = f"{show_span(max(0.0, self.now_s - probe.at_s))} ago"
        if isinstance(probe.reading, ConnectionTest) and probe.reading.succeeded:
            return f"Way back to {previous}: alive ({ago})", ""
        if isinstance(probe.reading, ConnectionTest):
            return f"Way back to {previous}: DEAD ({ago}): {probe.reading.message}", "bold red"
        return f"Way back to {previous}: not known ({ago}): {probe.error}", "bold red"


class _Careful:
    """Writes as long as the stream takes it; a closed pipe, or a character that it cannot show, ends the view."""

    def __init__(self) -> None:
        self.silent = False

    def attempt(self, write: Callable[[], None]) -> None:
        if self.silent:
            return
        try:
            write()
        except (OSError, ValueError):
            # ValueError: the stream is closed, or cannot encode a character.
            self.silent = True


class Log:
    """One line a minute, and one for each trigger that changes its mind."""

    def __init__(self, stream: TextIO, heading: Heading, clock: Clock) -> None:
        """Say what is watched, and how to stop it."""
        self._stream, self._page, self._clock = stream, Page(heading), clock
        self._careful = _Careful()
        self._states: dict[str, State] = {}
        self._hold = ""
        self._next_s = LINE_EVERY_S
        ticket = f", ticket {heading.ticket}" if heading.ticket else ""
        span = show_span(heading.window_s)
        self._say(f"watching {heading.previous} → {heading.change} on {heading.target} for {span}{ticket}")
        for phase in heading.phases:
            self._say(phase)
        self._say(f"stop: Ctrl-C rolls back, or run: rollout abort {heading.rollout}")

    def sample(self, sample: Sample) -> None:
        """Say when the way back dies or comes to life again."""
        before = self._page.way_back
        self._page.sample(sample)
        if sample.source == SourceName.WAY_BACK and (before is None or _alive(before) != _alive(sample)):
            self._say(self._page.way_back_line()[0])

    def verdicts(self, verdicts: tuple[Verdict, ...], now_s: float) -> None:
        """Say what changed, and once a minute how everything stands."""
        self._page.update(verdicts, now_s)
        if (line := self._page.hold_line()) != self._hold:
            self._hold = line
            self._say(line or "the rollback is not held any more: a breach rolls back at once")
        for verdict in verdicts:
            before = self._states.get(verdict.clause)
            # Until it holds for the first time a trigger gathers data; only a breach is news then.
            if before is None and verdict.state not in {State.HOLDING, State.BREACHED}:
                continue
            self._states[verdict.clause] = verdict.state
            if before is not None and before is not verdict.state:
                self._say(f"{verdict.clause} {before} → {verdict.state}: {verdict.message}")
            elif before is None and verdict.state is State.BREACHED:
                self._say(f"{verdict.clause} {verdict.state}: {verdict.message}")
        if now_s >= self._next_s:
            self._next_s = (now_s // LINE_EVERY_S + 1) * LINE_EVERY_S
            self._say(self._summary())

    def unwatched(self, seconds: float) -> None:
        """Say how much more was not watched."""
        more_s, self._page.unwatched_s = seconds - self._page.unwatched_s, seconds
        if more_s >= SHOWN_S:
            self._say(f"{show_span(more_s)} were not watched: the window is so much longer")

    def held(self, words: str | None) -> None:
        """Keep who holds the rollback for the next line."""
        self._page.hold = words

    def stage(self, text: str) -> None:
        """Say it, and that the triggers begin anew."""
        self._page.stage = text
        self._states.clear()
        self._say(text)

    def close(self) -> None:
        """Say how everything stands, a last time."""
        if self._page.verdicts:
            self._say(self._summary())

    def _summary(self) -> str:
        parts = [self._page.time_line(), *(_brief(verdict) for verdict in self._page.verdicts)]
        alive = self._page.way_back is not None and _alive(self._page.way_back)
        parts = [*filter(None, [self._page.hold_line()]), *parts]
        return " · ".join([*parts, f"way back {'alive' if alive else 'not known to be alive'}"])

    def _say(self, text: str) -> None:
        def write() -> None:
            self._stream.write(_encodable(f"{format_utc(self._clock.now())} {on_one_line(text)}\n", self._stream))
            self._stream.flush()

        self._careful.attempt(write)


class Terminal:
    """A page that is redrawn in place, at most four times a second."""

    def __init__(self, stream: TextIO, heading: Heading, clock: Clock) -> None:
        """Take over the terminal's next lines."""
        self._stream, self._page, self._clock = stream, Page(heading), clock
        self._careful = _Careful()
        self._drawn = float("-inf")
        self._live: Live | None = None
        self._careful.attempt(self._open)

    def sample(self, sample: Sample) -> None:
        """Keep the sample for the next drawing."""
        self._page.sample(sample)

    def verdicts(self, verdicts: tuple[Verdict, ...], now_s: float) -> None:
        """Draw the page, unless it was drawn a moment ago; a breach is always drawn."""
        self._page.update(verdicts, now_s)
        breached = any(verdict.state is State.BREACHED for verdict in verdicts)
        if breached or self._clock.monotonic() - self._drawn >= REFRESH_S:
            self._careful.attempt(self._draw)

    def unwatched(self, seconds: float) -> None:
        """Keep it for the next drawing."""
        self._page.unwatched_s = seconds

    def held(self, words: str | None) -> None:
        """Keep who holds the rollback for the next drawing."""
        self._page.hold = words

    def stage(self, text: str) -> None:
        """Show it above the triggers."""
        self._page.stage = text
        self._careful.attempt(self._draw)

    def close(self) -> None:
        """Draw the page a last time and leave it there."""
        self._careful.attempt(self._draw)
        self._careful.attempt(self._close)

    def _open(self) -> None:
        # Here, because only a terminal needs it.
        from rich.console import Console  # noqa: PLC0415
        from rich.live import Live  # noqa: PLC0415

        class Pipe(Console):
            def on_broken_pipe(self) -> None:
                # rich would exit the process: a rollout does not end because nobody looks at it any more.
                raise BrokenPipeError

        console = Pipe(file=self._stream, highlight=False, markup=False, emoji=False)
        self._live = Live(
            console=console, auto_refresh=False, transient=False, redirect_stdout=False, redirect_stderr=False
        )
        self._live.start()
        self._draw()

    def _draw(self) -> None:
        from rich.text import Text  # noqa: PLC0415

        if self._live is None:
            return
        self._drawn = self._clock.monotonic()
        width, rows = self._live.console.size
        # Cut once more: what stands for a character may be longer than it.
        lines = [
            (_encodable(_cut(_encodable(line, self._stream), width), self._stream), style)
            for line, style in self._page.styled(width, rows)
        ]
        page = Text("\n").join(Text(line, style=style, no_wrap=True) for line, style in lines)
        self._live.update(page, refresh=True)

    def _close(self) -> None:
        if self._live is not None:
            self._live.stop()


def _alive(probe: Sample) -> bool:
    return isinstance(probe.reading, ConnectionTest) and probe.reading.succeeded


def _brief(verdict: Verdict) -> str:
    value, limit = _numbers(verdict)
    numbers = f" {value} (limit {limit}, n={verdict.samples})" if isinstance(verdict.value, float) else ""
    return f"{verdict.clause} {verdict.state}{numbers}"


def _numbers(verdict: Verdict) -> tuple[str, str]:
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


def _cut(text: str, width: int) -> str:
    text = on_one_line(text)
    return text if len(text) <= width else text[: max(0, width - 1)] + "…"


def _encodable(text: str, stream: TextIO) -> str:
    """Return the text in characters that the stream can show."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        # Blocks become a scale of digits: still a trend.
        for block, plain in (_PLAIN | {block: str(height) for height, block in enumerate(_BLOCKS, 1)}).items():
            text = text.replace(block, plain)
        return text.encode(encoding, "replace").decode(encoding)
    except LookupError:
        return text.encode("ascii", "replace").decode("ascii")
    return text
