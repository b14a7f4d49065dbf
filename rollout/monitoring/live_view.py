"""The view of a window while it is watched: a live page on a terminal, a line a minute in a log.

A view never stops a rollout: once its stream is closed or refuses a character, the view prints nothing more.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, TextIO

from rollout.core.clock import Clock, format_utc
from rollout.core.visible import on_one_line
from rollout.monitoring.data_quality import SHOWN_S
from rollout.monitoring.extension import Extension
from rollout.monitoring.live_heading import Heading
from rollout.monitoring.live_page import BLOCKS, Page, is_alive, truncate_line
from rollout.monitoring.samples import Sample, SourceName
from rollout.monitoring.verdict import State, Verdict, show_span
from rollout.monitoring.verdict_text import describe_band, describe_slower_share, show_effective, show_numbers

if TYPE_CHECKING:
    from rich.live import Live

REFRESH_S = 0.25
LINE_EVERY_S = 60.0
# Blocks become digits, which show the trend too.
_PLAIN = str.maketrans({"→": "->", "…": "~", "·": "-"} | {block: str(height) for height, block in enumerate(BLOCKS, 1)})


class View(ABC):
    """What shows a window to the operator. No method raises, even if a stream is closed.

    Attributes:
        page: the state that is shown.
    """

    def __init__(self, heading: Heading) -> None:
        self.page = Page(heading)

    def sample(self, sample: Sample) -> None:
        """Receive a sample."""
        self.page.sample(sample)

    def verdicts(self, verdicts: tuple[Verdict, ...], now_s: float) -> None:
        """Show the verdicts of `now_s` seconds into the window, or into the stage of a canary."""
        self.page.update(verdicts, now_s)

    def unwatched(self, seconds: float) -> None:
        """Show that so many seconds of the window were not watched, and that it is extended by them."""
        self.page.unwatched_s = seconds

    def extended(self, extension: Extension) -> None:
        """Show that the window goes on because a verdict is undecided, and for how long at most."""
        self.page.extension = extension

    def overrun(self, message: str) -> None:
        """Show that this machine is too busy to watch."""
        self.page.overrun = message

    def held(self, words: str | None) -> None:
        """Show who holds the automatic rollback, ``held by alice until …``; None if there is no hold."""
        self.page.hold = words

    def stage(self, text: str, passed_s: float) -> None:
        """Show which stage of a canary begins or continues; `passed_s` is the length of those before it."""
        self.page.begin_stage(text, passed_s)

    @abstractmethod
    def close(self) -> None:
        """Show the last state, and nothing more after it."""


class StreamView(View):
    """A view that is printed."""

    def __init__(self, stream: TextIO, heading: Heading, clock: Clock) -> None:
        super().__init__(heading)
        self._stream, self._clock = stream, clock
        self._is_silent = False

    def _attempt(self, write: Callable[[], None]) -> None:
        """Write, until the stream fails: a closed pipe, or a character that it cannot show, ends the view."""
        if self._is_silent:
            return
        try:
            write()
        except (OSError, ValueError):
            # ValueError: the stream is closed, or cannot encode a character.
            self._is_silent = True


def view_for(stream: TextIO, heading: Heading, clock: Clock, *, term: str | None = None) -> View:
    """Return the view for `stream`: a live page on a terminal that can move its cursor, lines anywhere else.

    Args:
        stream: the output.
        heading: what is shown from the beginning.
        clock: the time.
        term: the environment's ``TERM``; ``dumb`` cannot move its cursor.
    """
    try:
        live = stream.isatty() and term not in {"dumb", "unknown"}
    except (OSError, ValueError):
        live = False
    return Terminal(stream, heading, clock) if live else Log(stream, heading, clock)


class Log(StreamView):
    """One line a minute, and one for each trigger whose verdict changes."""

    def __init__(self, stream: TextIO, heading: Heading, clock: Clock) -> None:
        """Print what is watched, and how to stop it."""
        super().__init__(stream, heading, clock)
        self._states: dict[str, State] = {}
        self._hold = ""
        self._next_s = LINE_EVERY_S
        ticket = f", ticket {heading.ticket}" if heading.ticket else ""
        self._say(
            f"watching {heading.previous} → {heading.change} on {heading.target} "
            f"for {show_span(heading.window_s)}{ticket}"
        )
        for phase in heading.phases:
            self._say(phase)
        self._say(f"stop: {heading.how_to_stop()} {heading.abort()}")

    def sample(self, sample: Sample) -> None:
        """Print a line when the connection test of the previous provider changes its result."""
        before = self.page.rollback_probe
        super().sample(sample)
        if sample.source == SourceName.ROLLBACK and (before is None or is_alive(before) != is_alive(sample)):
            self._say(self.page.rollback_line()[0])

    def verdicts(self, verdicts: tuple[Verdict, ...], now_s: float) -> None:
        """Print what changed, and once a minute every verdict."""
        super().verdicts(verdicts, now_s)
        if (line := self.page.hold_line()) != self._hold:
            self._hold = line
            self._say(line or "the rollback is not held any more: a breach rolls back at once")
        for verdict in verdicts:
            before = self._states.get(verdict.clause)
            # Until a trigger holds for the first time it gathers data, and only a breach is printed.
            if before is None and verdict.state not in {State.HOLDING, State.BREACHED, State.NOT_APPLICABLE}:
                continue
            self._states[verdict.clause] = verdict.state
            if before is not None and before is not verdict.state:
                self._say(f"{verdict.clause} {before} → {verdict.state}: {verdict.message}")
            elif before is None and verdict.state is State.BREACHED:
                self._say(f"{verdict.clause} {verdict.state}: {verdict.message}")
        if self.page.now_s >= self._next_s:
            self._next_s = (self.page.now_s // LINE_EVERY_S + 1) * LINE_EVERY_S
            self._say(self._summary())

    def unwatched(self, seconds: float) -> None:
        """Print by how much the time that was not watched has grown."""
        more_s = seconds - self.page.unwatched_s
        super().unwatched(seconds)
        if more_s >= SHOWN_S:
            self._say(f"{show_span(more_s)} were not watched: the window is so much longer")

    def extended(self, extension: Extension) -> None:
        """Print that the window goes on, and why."""
        super().extended(extension)
        self._say(str(extension))

    def overrun(self, message: str) -> None:
        """Print that this machine is too busy to watch."""
        super().overrun(message)
        self._say(message)

    def stage(self, text: str, passed_s: float) -> None:
        """Print the stage; the triggers begin again with no verdict."""
        super().stage(text, passed_s)
        self._states.clear()
        self._say(text)

    def close(self) -> None:
        """Print every verdict a last time."""
        if self.page.verdicts:
            self._say(self._summary())

    def _summary(self) -> str:
        alive = "alive" if is_alive(self.page.rollback_probe) else "not known to be alive"
        parts = [
            self.page.hold_line(),
            self.page.time_line(),
            self.page.extension_line(),
            *map(_brief, self.page.verdicts),
        ]
        advice = (f"{text[0].lower()}{text[1:]}" for text in self.page.advice())
        return " · ".join([*filter(None, parts), f"previous provider {alive}", *advice])

    def _say(self, text: str) -> None:
        def write() -> None:
            self._stream.write(_encodable(f"{format_utc(self._clock.now())} {on_one_line(text)}\n", self._stream))
            self._stream.flush()

        self._attempt(write)


class Terminal(StreamView):
    """A page that is redrawn in place, at most four times a second unless a trigger is breached."""

    def __init__(self, stream: TextIO, heading: Heading, clock: Clock) -> None:
        """Draw the page for the first time."""
        super().__init__(stream, heading, clock)
        self._drawn = float("-inf")
        self._live: Live | None = None
        self._attempt(self._open)

    def verdicts(self, verdicts: tuple[Verdict, ...], now_s: float) -> None:
        """Draw the page, unless it was drawn less than `REFRESH_S` ago; a breach is always drawn."""
        super().verdicts(verdicts, now_s)
        is_due = self._clock.monotonic() - self._drawn >= REFRESH_S
        if is_due or any(verdict.state is State.BREACHED for verdict in verdicts):
            self._attempt(self._draw)

    def stage(self, text: str, passed_s: float) -> None:
        """Show the stage above the triggers."""
        super().stage(text, passed_s)
        self._attempt(self._draw)

    def close(self) -> None:
        """Draw the page a last time; it remains on the terminal."""
        self._attempt(self._draw)
        if self._live is not None:
            self._attempt(self._live.stop)

    def _open(self) -> None:
        # Imported here, because only a terminal needs it.
        from rich.console import Console  # noqa: PLC0415
        from rich.live import Live  # noqa: PLC0415

        class Pipe(Console):
            def on_broken_pipe(self) -> None:
                # rich would exit the process; a rollout does not end because its terminal is closed.
                raise BrokenPipeError

        self._live = Live(
            console=Pipe(file=self._stream, highlight=False, markup=False, emoji=False),
            auto_refresh=False,
            transient=False,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._live.start()
        self._draw()

    def _draw(self) -> None:
        from rich.text import Text  # noqa: PLC0415

        if self._live is None:
            return
        self._drawn = self._clock.monotonic()
        width, rows = self._live.console.size
        # Truncated once more: the replacement of a character may be longer than it.
        lines = (
            Text(_encodable(truncate_line(_encodable(line, self._stream), width), self._stream), style, no_wrap=True)
            for line, style in self.page.styled(width, rows)
        )
        self._live.update(Text("\n").join(lines), refresh=True)


def _brief(verdict: Verdict) -> str:
    value, limit = show_numbers(verdict)
    band, effective = describe_band(verdict), show_effective(verdict)
    against = [f"limit {limit}", *([f"effective {effective}"] if effective else []), f"n={verdict.samples}"]
    words = "; ".join(filter(None, (band, ", ".join(against), describe_slower_share(verdict))))
    numbers = f" {value} ({words})" if isinstance(verdict.value, float) else ""
    return f"{verdict.clause} {verdict.state}{numbers}"


def _encodable(text: str, stream: TextIO) -> str:
    """Return the text in characters that the stream can encode."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return text.translate(_PLAIN).encode(encoding, "replace").decode(encoding)
    except LookupError:
        return text.encode("ascii", "replace").decode("ascii")
    return text
