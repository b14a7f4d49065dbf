"""The views: right at 80 and at 200 columns, without colour, and silent once the stream is closed."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import pytest

from rollout.gateway.responses import Connection
from rollout.monitoring.live_page import ROWS, Heading, Page
from rollout.monitoring.live_view import Log, Terminal, View, view_for
from rollout.monitoring.samples import Sample
from rollout.monitoring.triggers import judge
from rollout.monitoring.verdict import State, Verdict
from tests.support.clocks import SimulatedClock
from tests.support.windows import FakeGateway, context, history, metrics, sample

HEADING = Heading(
    rollout="20261123-120000-openai",
    target="production",
    previous="ollama:llama3",
    change="openai:gpt-4o",
    ticket="OPS-17",
    window_s=1800.0,
    phases=("precheck 19 of 19 passed", "apply 5 of 5 passed", "verify 4 of 4 passed"),
)
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Stream(io.StringIO):
    """A terminal, or a pipe, of a certain encoding."""

    def __init__(self, encoding: str = "utf-8", *, tty: bool = True) -> None:
        super().__init__()
        self._encoding, self._tty = encoding, tty

    @property
    def encoding(self) -> str:
        """Return the encoding that the stream was made with."""
        return self._encoding

    def isatty(self) -> bool:
        """Return what the stream was made as."""
        return self._tty

    def write(self, text: str, /) -> int:
        """Take what the encoding can show, as a real stream does."""
        text.encode(self._encoding)
        return super().write(text)


class Broken(Stream):
    """A pipe whose reader is gone."""

    def write(self, text: str, /) -> int:
        """Refuse everything."""
        raise BrokenPipeError(32, f"Broken pipe: {len(text)} characters lost")


@pytest.fixture(autouse=True)
def terminal_size(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("COLUMNS", "80"), ("LINES", "24"), ("TERM", "xterm"), ("NO_COLOR", "1")):
        monkeypatch.setenv(name, value)


def verdicts(errors: int = 1, requests: int = 100) -> tuple[Verdict, ...]:
    seen = history(
        sample("metrics", 0, metrics(0, p95_ms=None)),
        sample("metrics", 60, metrics(requests, errors, p95_ms=120.0)),
        sample("status", 60, Connection("connected")),
        sample("alerts", 60, ()),
    )
    return judge(seen, context(), 60.0)


def probe(at_s: float = 50.0, *, alive: bool = True) -> Sample:
    return sample("way_back", at_s, replace(FakeGateway().test, succeeded=alive, message="refused"))


def page(**options: int) -> Page:
    made = Page(HEADING)
    made.sample(probe())
    made.update(verdicts(**options), 60.0)
    return made


def lines_of(shown: Page, width: int, rows: int = ROWS) -> list[str]:
    return [line for line, _ in shown.styled(width, rows)]


def terminal(stream: Stream, clock: SimulatedClock | None = None) -> Terminal:
    return Terminal(stream, HEADING, clock or SimulatedClock())


def test_the_page_says_everything_a_person_needs() -> None:
    lines = lines_of(page(), 80)
    assert lines == [
        "20261123-120000-openai on production",
        "ollama:llama3 → openai:gpt-4o  ticket OPS-17",
        "precheck 19 of 19 passed",
        "apply 5 of 5 passed",
        "verify 4 of 4 passed",
        "29 min left of 30 min",
        "MON-1  holding      connected      limit connected      n=1      status",
        "MON-2  holding      1.0 %          limit 5 %            n=100    users",
        "MON-3  holding      120 ms         limit 200 ms         n=100    users",
        "MON-4  holding      none           limit none           n=1      alerts",
        "MON-5  no data      -              limit none           n=0      operator, log…",
        "MON-6  inconclusive 0 of 4 failed  limit 3 in a row/20% n=4      fallbacks, lo…",
        "Rollback to ollama:llama3: alive (10 s ago)",
        "Stop: Ctrl-C rolls back, or run: rollout abort 20261123-120000-openai",
    ]


def test_what_was_not_watched_is_shown_and_is_part_of_what_is_left() -> None:
    made = page()
    made.unwatched_s = 90.0
    assert made.time_line().startswith("30 min 30 s left of 30 min, 1 min 30 s were not watched")
    made.unwatched_s = 0.4
    assert "not watched" not in made.time_line(), "a gap that a busy machine causes is not shown"


def test_the_log_says_each_gap_once() -> None:
    stream = Stream()
    log = Log(stream, HEADING, SimulatedClock())
    for seconds in (0.0, 12.0, 12.0, 15.0):
        log.unwatched(seconds)
    logged = [line.split("Z ", 1)[1] for line in stream.getvalue().splitlines() if "not watched" in line]
    assert logged == [
        "12 s were not watched: the window is so much longer",
        "3 s were not watched: the window is so much longer",
    ]


@pytest.mark.parametrize("width", [40, 80, 200])
@pytest.mark.parametrize("rows", [8, 24])
def test_the_page_fits(width: int, rows: int) -> None:
    long = replace(HEADING, rollout="x" * 300, phases=HEADING.phases * 20)
    made = Page(long)
    made.update(verdicts(errors=90), 60.0)
    lines = lines_of(made, width, rows)
    assert len(lines) < rows
    assert max(map(len, lines)) <= width


def test_a_wide_page_cuts_nothing_short() -> None:
    assert not [line for line in lines_of(page(), 200) if line.endswith("…") and line.startswith(("MON-1", "MON-2"))]
    assert any("operator, log, fallbacks, synthetic" in line for line in lines_of(page(), 200))


@pytest.mark.parametrize("width", [80, 200])
def test_a_breach_is_shown_in_a_whole_sentence(width: int) -> None:
    sentence = "MON-2: error rate 12.0 % over the window's 1 min (12 of 100 requests) is above 5 %"
    assert sentence in " ".join(lines_of(page(errors=12), width))


def test_the_trend_shows_where_a_number_goes() -> None:
    made = page()
    for step, errors in enumerate((2, 3, 4), 1):
        made.update(tuple(replace(v, at=str(step)) for v in verdicts(errors=errors)), 60.0 + step)
    assert made.trend("MON-2") == "▁▃▆█ +"
    assert made.trend("MON-3") == "▁▁▁▁ ="


def test_a_verdict_that_did_not_move_adds_nothing_to_the_trend() -> None:
    made = page()
    made.update(made.verdicts, 61.0)
    assert made.trend("MON-2") == ""


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (None, "not probed yet"),
        (probe(alive=False), "DEAD (10 s ago): refused"),
        (sample("way_back", 50.0, error="deadline"), "not known (10 s ago): deadline"),
    ],
)
def test_the_previous_provider_is_called_alive_only_if_it_is(seen: Sample | None, words: str) -> None:
    made = Page(HEADING)
    if seen is not None:
        made.sample(seen)
    made.update(verdicts(), 60.0)
    assert made.rollback_line()[0] == f"Rollback to ollama:llama3: {words}"


def test_a_message_cannot_move_the_cursor() -> None:
    made = Page(HEADING)
    made.sample(sample("way_back", 0.0, error="\x1b[2J\x07gone"))
    assert all(line.isprintable() for line in lines_of(made, 80))


@pytest.mark.parametrize(("tty", "term", "kind"), [(True, "xterm", Terminal), (True, "dumb", Log), (False, "", Log)])
def test_the_stream_decides_which_view_it_is(tty: bool, term: str, kind: type[View]) -> None:
    assert isinstance(view_for(Stream(tty=tty), HEADING, SimulatedClock(), term=term), kind)


def test_a_terminal_shows_the_page_and_leaves_it_standing() -> None:
    stream = Stream()
    view = terminal(stream)
    view.sample(probe())
    view.verdicts(verdicts(), 60.0)
    view.close()
    shown = ESCAPES.sub("", stream.getvalue()).splitlines()
    assert [line.rstrip() for line in shown][-14:] == lines_of(page(), 80)
    assert "\x1b[3" not in stream.getvalue()


def test_a_terminal_is_drawn_at_most_four_times_a_second() -> None:
    stream, clock = Stream(), SimulatedClock()
    view = terminal(stream, clock)
    before = stream.getvalue().count("Stop:")
    for _ in range(100):
        clock.advance(0.01)
        view.verdicts(verdicts(), clock.monotonic())
    assert 3 <= stream.getvalue().count("Stop:") - before <= 4


def test_a_breach_is_drawn_at_once() -> None:
    stream = Stream()
    view = terminal(stream)
    view.verdicts(verdicts(errors=50), 60.0)
    assert "breached" in stream.getvalue()


def test_a_terminal_without_unicode_shows_the_same_in_ascii() -> None:
    stream = Stream("ascii")
    view = terminal(stream)
    for step in (1, 2):
        view.verdicts(tuple(replace(v, at=str(step)) for v in verdicts(errors=step)), 60.0)
    view.close()
    text = ESCAPES.sub("", stream.getvalue())
    assert "ollama:llama3 -> openai:gpt-4o" in text
    assert "18 +" in text
    assert max(len(line.rstrip()) for line in text.splitlines()) <= 80


def logged(*steps: tuple[float, tuple[Verdict, ...]]) -> list[str]:
    stream, clock = Stream(tty=False), SimulatedClock()
    view = Log(stream, HEADING, clock)
    begins = len(stream.getvalue().splitlines())
    for now_s, seen in steps:
        clock.advance(now_s - clock.monotonic())
        view.verdicts(seen, now_s)
    return [line.split(" ", 1)[1] for line in stream.getvalue().splitlines()[begins:]]


def test_a_log_gets_one_line_a_minute() -> None:
    lines = logged(*((float(now_s), verdicts()) for now_s in range(0, 181, 5)))
    assert len(lines) == 3
    assert lines[0].startswith("29 min left of 30 min · MON-1 holding · MON-2 holding")
    assert "MON-2 holding 1.0 % (limit 5 %, n=100)" in lines[0]


def test_a_log_gets_a_line_when_the_verdict_of_a_trigger_changes() -> None:
    sentence = "error rate 12.0 % over the window's 1 min (12 of 100 requests) is above 5 %"
    assert logged((1.0, verdicts()), (2.0, verdicts(errors=12))) == [f"MON-2 holding → breached: {sentence}"]


def test_a_trigger_that_gathers_data_is_no_news() -> None:
    assert logged((1.0, verdicts(requests=1)), (2.0, verdicts())) == []
    assert len(logged((1.0, verdicts()), (2.0, verdicts(requests=1)))) == 2


def test_a_log_gets_a_line_when_the_previous_provider_dies() -> None:
    stream = Stream(tty=False)
    view = Log(stream, HEADING, SimulatedClock())
    for seen in (probe(), probe(), probe(alive=False), probe(alive=False)):
        view.sample(seen)
    shown = [line for line in stream.getvalue().splitlines() if "Rollback to" in line]
    assert len(shown) == 2
    assert "DEAD" in shown[1]


@pytest.mark.parametrize("kind", [Log, Terminal])
def test_a_closed_pipe_turns_a_view_silent(kind: type[Log | Terminal]) -> None:
    closed = Stream()
    closed.close()
    for stream in (Broken(), closed):
        view = kind(stream, HEADING, SimulatedClock())
        view.sample(probe())
        view.verdicts(verdicts(), 60.0)
        view.close()


def test_a_stream_without_unicode_still_gets_its_lines() -> None:
    stream = Stream("ascii", tty=False)
    Log(stream, HEADING, SimulatedClock()).verdicts(verdicts(errors=50), 60.0)
    assert "MON-2 breached: error rate 50.0 %" in stream.getvalue()
    assert "ollama:llama3 -> openai:gpt-4o" in stream.getvalue()


def test_every_state_has_a_style() -> None:
    for state in State:
        made = Page(HEADING)
        made.update(tuple(replace(v, state=state) for v in verdicts()), 1.0)
        assert made.styled(80)
