"""The lines of the clauses: what is running shows on a terminal, and a log gets each line at once."""

from __future__ import annotations

import io

import pytest
from _pytest.terminal import TerminalReporter as PytestReporter

from rollout.core.clauses import CLAUSES
from rollout.plugin.terminal import TerminalReporter

CLAUSE = CLAUSES["PRE-5.4"]


class Stream(io.StringIO):
    """A terminal, or a pipe, that knows what was flushed."""

    def __init__(self, *, tty: bool) -> None:
        """Start empty."""
        super().__init__()
        self._tty, self.flushed = tty, ""

    def isatty(self) -> bool:
        """Return what it was made as."""
        return self._tty

    def flush(self) -> None:
        """Note what has left by now."""
        self.flushed = self.getvalue()


class Quiet(PytestReporter):
    """The reporter of a session without ``-v``, whatever the session of this test has."""

    showlongtestinfo = False


class Verbose(PytestReporter):
    """The reporter of a session with ``-v``."""

    showlongtestinfo = True


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("COLUMNS", "80"), ("NO_COLOR", "1")):
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    monkeypatch.delenv("PY_COLORS", raising=False)


def on(stream: Stream, config: pytest.Config, reporter: type[PytestReporter] = Quiet) -> TerminalReporter:
    terminal = TerminalReporter(str)
    terminal._reporter = reporter(config, stream)
    return terminal


def test_a_terminal_shows_the_check_that_runs_and_its_line_takes_the_place(pytestconfig: pytest.Config) -> None:
    stream = Stream(tty=True)
    terminal = on(stream, pytestconfig)
    terminal.begin(CLAUSE)
    assert stream.flushed == f"1 precheck\n  … {CLAUSE}"
    terminal.row(CLAUSE, "failed", "too slow", 4.7)
    assert stream.getvalue() == f"1 precheck\n  … {CLAUSE}\r  ✗ {CLAUSE} (4.70 s)\n      too slow\n"
    terminal.begin(None)
    assert stream.flushed.endswith("5 closure\n  … closure")


def test_a_log_gets_the_line_alone_and_at_once(pytestconfig: pytest.Config) -> None:
    stream = Stream(tty=False)
    terminal = on(stream, pytestconfig)
    terminal.begin(CLAUSE)
    assert stream.getvalue() == ""
    terminal.row(CLAUSE, "passed", "", 4.7)
    assert stream.flushed == f"1 precheck\n  ✓ {CLAUSE} (4.70 s)\n"
    terminal.print_line("rolling back: MON-4: alert\n::error::x")
    assert stream.flushed.endswith("rolling back: MON-4: alert\\n::error::x\n")


def test_what_pytest_prints_meanwhile_begins_on_a_line_of_its_own(pytestconfig: pytest.Config) -> None:
    stream = Stream(tty=True)
    terminal = on(stream, pytestconfig)
    terminal.begin(CLAUSE)
    terminal._reporter.write_line("a warning")
    terminal.row(CLAUSE, "passed", "", 4.7)
    assert stream.getvalue() == f"1 precheck\n  … {CLAUSE}\na warning\n  ✓ {CLAUSE} (4.70 s)\n"


def test_the_line_of_what_runs_is_never_wrapped(monkeypatch: pytest.MonkeyPatch, pytestconfig: pytest.Config) -> None:
    """A line over two rows could not be written over."""
    monkeypatch.setenv("COLUMNS", "40")
    stream = Stream(tty=True)
    on(stream, pytestconfig).begin(CLAUSES["PRE-5.2"])
    assert stream.getvalue().splitlines()[-1] == "  … PRE-5.2 The current active provide…"


def test_with_v_pytest_names_the_check_itself(pytestconfig: pytest.Config) -> None:
    stream = Stream(tty=True)
    on(stream, pytestconfig, Verbose).begin(CLAUSE)
    assert stream.getvalue() == ""
