"""What a command that takes a while says meanwhile: on stderr, and stdout holds the result alone."""

from __future__ import annotations

import io
import re

import pytest

from rollout.cli.progress import LINE_EVERY_S, Progress
from tests.support.clocks import SimulatedClock

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Stream(io.StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        """Return True."""
        return True


@pytest.fixture(autouse=True)
def terminal_size(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("COLUMNS", "40"), ("LINES", "24"), ("TERM", "xterm")):
        monkeypatch.setenv(name, value)


def test_a_log_gets_a_line_once_it_was_silent_for_a_while() -> None:
    stream, clock = io.StringIO(), SimulatedClock()
    with Progress(stream, clock) as progress:
        for number in range(5):
            progress.step(f"step {number}")
            clock.advance(LINE_EVERY_S / 2)
    assert stream.getvalue() == "step 2\nstep 4\n"


def test_a_terminal_shows_each_step_at_once_and_nothing_stays() -> None:
    stream = Stream()
    with Progress(stream, SimulatedClock()) as progress:
        progress.step("reading a, \x1b[2J and much more that is wider than this terminal")
        first = stream.getvalue()
        progress.step("reading b")
        progress.pause()
        assert stream.getvalue().endswith("\x1b[2K"), "the line is erased before a result is printed"
        progress.step("reading c")
    assert r"reading a, \x1b[2J and" in first
    assert max(len(line) for line in ESCAPES.sub("", first).splitlines()) <= 40
    assert [f"reading {letter}" in stream.getvalue() for letter in "abc"] == [True, True, True]
    assert stream.getvalue().endswith("\x1b[2K")
    assert stream.getvalue().count("\x1b[?25l") == stream.getvalue().count("\x1b[?25h"), "the cursor is shown again"


def test_a_reader_that_is_gone_ends_nothing() -> None:
    for stream in (io.StringIO(), Stream()):
        clock = SimulatedClock()
        with Progress(stream, clock) as progress:
            stream.close()
            clock.advance(LINE_EVERY_S)
            progress.step("reading")
