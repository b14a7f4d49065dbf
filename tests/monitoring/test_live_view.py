"""The views: right at 80 and at 200 columns, without colour, and silent once the stream is closed."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from typing import Any

import pytest

from rollout.gateway.responses import Connection
from rollout.monitoring.extension import Extension
from rollout.monitoring.live_heading import Heading
from rollout.monitoring.live_page import ROWS, Page
from rollout.monitoring.live_view import Log, Terminal, View, view_for
from rollout.monitoring.samples import Sample
from rollout.monitoring.triggers import judge
from rollout.monitoring.verdict import State, Verdict
from rollout.monitoring.verdict_text import describe_numbers
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
CONNECTED = Connection("connected")
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
    """Return the verdicts after a minute with so many requests of users; MON-2 and MON-3 have no bands."""
    polls = (sample("metrics", 0, metrics(0)), sample("metrics", 60, metrics(9)))
    seen = history(*polls, sample("status", 60, CONNECTED), sample("alerts", 60, ()))
    status, _, _, *others = judge(seen, context(), 60.0)
    rate, span = errors / requests, "the window's 1 min"
    enough = State.BREACHED if rate > 0.05 else State.HOLDING
    words = f"error rate {rate * 100:.1f} % over {span} ({errors} of {requests} requests) is above 5 %"
    state, slow = (enough, State.HOLDING) if requests > 28 else [State.INCONCLUSIVE] * 2
    return (
        status,
        Verdict("MON-2", state, rate, 0.05, requests, "users", span, "60", words),
        Verdict("MON-3", slow, 120.0, 200.0, requests, "users", span, "60", "P95 120 ms"),
        *others,
    )


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
        "29 min left of 30 min",
        "ollama:llama3 → openai:gpt-4o on production, ticket OPS-17",
        "precheck 19 of 19 passed",
        "apply 5 of 5 passed",
        "verify 4 of 4 passed",
        "trigger state        value               limit                  n trend/source",
        "MON-1   holding      connected           connected              1 status",
        "MON-2   holding      1.0 %               5 %                  100 users",
        "MON-3   holding      120 ms              200 ms               100 users",
        "MON-4   holding      none                none                   1 alerts",
        "MON-5   no data      -                   none                   0 4 sources",
        "MON-6   inconclusive 0 of 4 failed       3 in a row/20%         4 4 sources",
        "trend: the last 12 values, lowest ▁, highest █; last step + up, - down, = same",
        "MON-5: none of the sources that would report something was seen",
        "MON-6: not seen once: fallbacks, log, synthetic, operator",
        "Rollback to ollama:llama3: alive (10 s ago)",
        "To do: mend what MON-6 names, or the change is rolled back",
        "Stop: Ctrl-C rolls back, or run: rollout abort 20261123-120000-openai",
    ]


def test_the_time_that_is_left_stands_first_and_is_the_only_emphasis() -> None:
    """While all is well; colours add nothing to it."""
    made = settled()
    made.unwatched_s = 90.0
    made.begin_stage("CAN-1 25% of the traffic for 10m", 0.0)
    first, *others = made.styled(80)
    assert first == ("18 min 47 s left of 30 min, 1 min 30 s were not watched", "bold")
    assert others[0] == ("CAN-1 25% of the traffic for 10m", "")
    assert not [line for line, style in others if "bold" in style]


# Everything at 80 columns and 24 rows

MANY = "status, metrics, alerts, operator, log, fallbacks, synthetic"
MESSAGE = (
    "error rate 12.3 % over the last 5 min (123000 of 1000000 requests) is above 5 %; control group ollama: 1.0 % of "
    f"20000 requests{'; and more words' * 20}"
)[:300]
WIDEST = (
    Verdict("MON-1", State.INCONCLUSIVE, "disconnected", "connected", 1, "status", "", "1", "it is being read again"),
    Verdict("MON-2", State.BREACHED, 0.12345, 0.05, 1_000_000, "users", "", "1", MESSAGE),
    Verdict("MON-3", State.INCONCLUSIVE, 12345.0, 12345.0, 1_000_000, "synthetic", "", "1", "too few requests"),
    Verdict("MON-4", State.HOLDING, "none", "none", 100_000, "alerts", "", "1", "no new critical alert"),
    Verdict("MON-5", State.NO_DATA, None, "none", 0, "operator, log, fallbacks, synthetic", "", "", "nothing was seen"),
    Verdict("MON-6", State.HOLDING, "123 of 27360 failed", "3 in a row/20%", 27_360, MANY, "", "1", "some failed"),
    Verdict("MON-7", State.HOLDING, "none", "none", 1, "signals", "", "1", "nobody asked to stop"),
)
HOLD = "held by alice.liddell@example.com until 2026-11-23T12:15:00.000Z: the vendor looks into it"
REFUSED = "connection refused: the upstream at http://10.0.0.17:11434 does not answer"


def moving(made: Page, seen: tuple[Verdict, ...], now_s: float) -> Page:
    """Let the page see the verdicts of 14 moments, the last of them at `now_s`; their numbers rise and fall."""
    for step in range(14):
        numbers = tuple(
            replace(each, at=str(step), value=each.value * (1 + step % 5 / 100) if step < 13 else each.value)
            if isinstance(each.value, float)
            else each
            for each in seen
        )
        made.update(numbers, now_s - 13 + step)
    return made


def crowded() -> Page:
    """Return the page of a canary's stage in which everything is wrong at once."""
    made = Page(replace(HEADING, rollout="20261130-035204-failing-provider-e6ac"))
    made.begin_stage("CAN-2 25% of the traffic for 10m", 0.0)
    made.hold, made.unwatched_s = HOLD, 90.0
    made.sample(sample("way_back", 40.0, replace(FakeGateway().test, succeeded=False, message=REFUSED)))
    return moving(made, WIDEST, 763.0)


def settled(seen: tuple[Verdict, ...] = ()) -> Page:
    """Return the page of a window in which every trigger holds and the previous provider is alive."""
    made = Page(HEADING)
    made.sample(probe(760.0))
    return moving(made, seen or tuple(replace(each, state=State.HOLDING) for each in WIDEST), 763.0)


def test_at_80_by_24_everything_that_can_be_wrong_at_once_is_shown_uncut() -> None:
    """The passed phases give way first, then the reasons of what is not urgent, then the legend."""
    lines = lines_of(crowded(), 80, 24)
    assert len(lines) < 24
    assert not [line for line in lines if "…" in line or len(line) > 80]
    assert lines[:5] == [
        "18 min 47 s left of 30 min, 1 min 30 s were not watched",
        "CAN-2 25% of the traffic for 10m",
        "ollama:llama3 → openai:gpt-4o on production, ticket OPS-17",
        "MON-2 BREACHED AND NOT ROLLED BACK: held by alice.liddell@example.com until",
        "2026-11-23T12:15:00Z: the vendor looks into it",
    ]
    assert lines[5:13] == [
        "trigger state        value               limit                  n trend/source",
        "MON-1   inconclusive disconnected        connected              1 status",
        "MON-2   breached     12.3 %              5 %            1,000,000 ▅▆█▁▃▅▆█▁▃▅▁ -",
        "MON-3   inconclusive 12345 ms            12345 ms       1,000,000 ▄▆█▁▃▄▆█▁▃▄▁ -",
        "MON-4   holding      none                none             100,000 alerts",
        "MON-5   no data      -                   none                   0 4 sources",
        "MON-6   holding      123 of 27360 failed 3 in a row/20%    27,360 7 sources",
        "MON-7   holding      none                none                   1 signals",
    ]
    text = " ".join(lines)
    assert f"MON-2: {MESSAGE}" in text
    assert f"Rollback to ollama:llama3: DEAD (12 min 3 s ago): {REFUSED}" in text
    assert lines[-4:] == [
        "To do: mend what breaches MON-2 before the hold ends, or it rolls back",
        "To do: let ollama:llama3 answer again; a rollback activates it",
        "Stop: Ctrl-C rolls back, or run:",
        "rollout abort 20261130-035204-failing-provider-e6ac",
    ]
    assert "passed" not in text


def test_the_trend_has_a_legend_and_a_step_of_each_kind_fits_its_column() -> None:
    lines = lines_of(settled(), 80)
    legend = next(line for line in lines if line.startswith("trend: "))
    assert legend == "trend: the last 12 values, lowest ▁, highest █; last step + up, - down, = same"
    column = next(line for line in lines if line.startswith("trigger")).index("trend/source")
    assert {len(line[column:]) for line in lines if line.startswith(("MON-2 ", "MON-3 "))} == {14}


def test_rows_that_are_missing_cost_the_phases_first_the_earliest_before_the_others() -> None:
    full = lines_of(settled(), 80, 24)
    passed = [line for line in full if line.endswith("passed")]
    assert passed == list(HEADING.phases)
    assert lines_of(settled(), 80, len(full)) == [line for line in full if line != passed[0]]
    without = [line for line in full if line not in passed]
    assert lines_of(settled(), 80, len(without) + 1) == without
    assert lines_of(settled(), 80, len(without)) == [line for line in without if not line.startswith("trend:")]


def test_spans_are_seconds_and_latencies_are_milliseconds() -> None:
    made = Page(replace(HEADING, window_s=750.4))
    made.sample(probe(0.0))
    made.hold = HOLD
    made.update(verdicts(), 0.25)
    text = "\n".join(lines_of(made, 80))
    assert text.startswith("12 min 30 s left of 12 min 30 s\n")
    assert "alive (0 s ago)" in text
    assert re.findall(r"\S+ ms", text) == ["120 ms", "200 ms"]
    assert not re.search(r"\.\d{3}Z", text), "a time of day is to the second"


def test_a_value_that_is_wider_than_its_column_is_said_in_full_below() -> None:
    value, message = "3 looks in a row failed", "metrics is dark: 3 looks in a row failed, the latest because: 503"
    mon_6 = Verdict("MON-6", State.HOLDING, value, "3 in a row/20%", 9, "metrics", "", "1", message)
    assert lines_of(settled((mon_6,)), 80)[6:9] == [
        "MON-6   holding      see below           3 in a row/20%         9 metrics",
        "trend: the last 12 values, lowest ▁, highest █; last step + up, - down, = same",
        f"MON-6: {message}",
    ]
    assert value in next(line for line in lines_of(settled((mon_6,)), 120) if line.startswith("MON-6 "))


BAND = replace(WIDEST[1], state=State.INCONCLUSIVE, span="the window", interval=(0.1021, 0.1432), undecided=True)
SLOWER = replace(WIDEST[2], state=State.HOLDING, value=412.0, limit=800.0, span="the window", interval=(0.0, 0.0214))
SLOWER = replace(SLOWER, effective_limit=1088.0)
TELLS = "30 requests: 5 % from 39 %; 28 synthetic requests a minute would show 10 % in 9 of 10"


def test_a_band_and_an_effective_limit_stand_in_brackets_and_the_legend_says_what_they_are() -> None:
    assert lines_of(settled((BAND, SLOWER)), 80)[6:10] == [
        "MON-2   inconclusive 12.3 % (10.2-14.3)  5 %            1,000,000 ▅▆█▁▃▅▆█▁▃▅▁ -",
        "MON-3   holding      412 ms              800 (1088) ms  1,000,000 ▅▆█▁▃▅▆█▁▃▅▁ -",
        "trend: the last 12 values, lowest ▁, highest █; last step + up, - down, = same",
        "in brackets: 95 % band of the value; limit with its baseline's uncertainty",
    ]
    assert not [line for line in lines_of(settled(), 80) if line.startswith("in brackets")]


def test_after_a_small_baseline_the_share_that_may_be_slower_is_said() -> None:
    small = replace(SLOWER, limit_share=0.329)
    assert "MON-3: 33 % may be slower: small baseline" in lines_of(settled((small,)), 80)
    assert not [line for line in lines_of(settled((replace(SLOWER, limit_share=0.05),)), 80) if "may be" in line]
    assert describe_numbers(small).endswith("limit 800 ms (effective 1088 ms; 33 % may be slower: small baseline)")
    stream = Stream()
    view = Log(stream, HEADING, SimulatedClock())
    view.verdicts((small,), 60.0)
    assert "effective 1088 ms, n=" in stream.getvalue()
    assert "; 33 % may be slower: small baseline)" in stream.getvalue()


def test_a_band_without_room_is_omitted_and_the_value_stays() -> None:
    mon_6 = replace(WIDEST[5], limit="10 in a row/12.5%", value="1 of 9 failed")
    line = next(line for line in lines_of(settled((BAND, mon_6)), 80) if line.startswith("MON-2 "))
    assert " 12.3 %  " in line
    assert len(line) <= 80
    assert "12.3 % (10.2-14.3)" in next(each for each in lines_of(settled((BAND, mon_6)), 120) if "MON-2 " in each)


def test_the_windows_band_does_not_stand_beside_the_value_of_a_stretch() -> None:
    breached = replace(BAND, state=State.BREACHED, span="the last 40 s")
    assert "(10.2" not in next(line for line in lines_of(settled((breached,)), 120) if line.startswith("MON-2 "))


def test_what_the_window_can_tell_is_shown_while_it_is_undecided() -> None:
    text = " ".join(lines_of(settled((replace(BAND, power=TELLS),)), 80))
    assert f"MON-2 can tell: {TELLS}" in text
    assert "Nothing to do yet: more requests may decide MON-2; what does not hold at the end is rolled back" in text
    assert "can tell" not in " ".join(lines_of(settled((replace(BAND, power=TELLS, state=State.HOLDING),)), 80))


def test_everything_at_once_fits_24_rows_with_bands_and_powers() -> None:
    """What the window can tell is omitted before what is urgent."""
    made = crowded()
    made.update(tuple(replace(each, power=TELLS, interval=(0.1, 0.2), undecided=True) for each in made.verdicts), 764.0)
    lines = lines_of(made, 80, 24)
    assert len(lines) < 24
    assert f"MON-2: {MESSAGE}" in " ".join(lines)
    assert lines[-1] == "rollout abort 20261130-035204-failing-provider-e6ac"


def test_a_wider_limit_takes_room_from_the_values_and_is_not_cut() -> None:
    limit = "10 in a row/12.5%"
    mon_6 = replace(WIDEST[5], limit=limit, value="1 of 9 failed")
    line = next(line for line in lines_of(settled((mon_6,)), 80) if line.startswith("MON-6 "))
    assert f" 1 of 9 failed    {limit}    27,360 7 sources" in line
    assert len(line) <= 80


# What to do


def test_nothing_to_do_is_said_where_nothing_is_to_do() -> None:
    assert settled().advice() == ("Nothing to do: every trigger holds, and ollama:llama3 is alive",)
    assert Page(HEADING).advice() == ("Nothing to do yet: no trigger is judged yet",)


def test_a_trigger_that_gathers_data_is_nothing_to_do_yet() -> None:
    made = Page(HEADING)
    made.sample(probe(0.0))
    made.update(verdicts(), 59.0)
    assert made.advice() == ("Nothing to do yet: what does not hold at the end is rolled back (MON-5, MON-6)",)
    assert not [line for line in lines_of(made, 80) if line.startswith("MON-5: ")]


@pytest.mark.parametrize(("state", "words"), [(State.INCONCLUSIVE, "metrics is dark"), (State.NO_DATA, "48 s")])
def test_data_that_stops_is_something_to_do_at_once_and_data_that_never_came_after_a_minute(
    state: State, words: str
) -> None:
    lacking = (replace(WIDEST[5], state=state, message=words),)
    expected = "To do: mend what MON-6 names, or the change is rolled back"
    made = settled()
    made.passed_s = 740.0
    made.update(lacking, 24.0)
    assert made.advice() == (expected,)
    assert f"MON-6: {words}" in lines_of(made, 80)
    made.begin_stage("the next stage", 800.0)
    made.update(lacking, 59.0)
    assert made.advice() == ("Nothing to do yet: what does not hold at the end is rolled back (MON-6)",)
    made.update(lacking, 60.0)
    assert made.advice() == (expected,)


@pytest.mark.parametrize("answer", [{"reading": replace(FakeGateway().test, succeeded=False)}, {"error": "deadline"}])
def test_a_previous_provider_that_does_not_answer_is_something_to_do(answer: dict[str, Any]) -> None:
    made = settled()
    made.sample(sample("way_back", 762.0, **answer))
    assert made.advice() == ("To do: let ollama:llama3 answer again; a rollback activates it",)
    assert made.styled(80)[-2] == (made.advice()[0], "bold")


def test_a_breach_is_something_to_do_only_while_it_is_held() -> None:
    made = settled(tuple(replace(each, state=State.BREACHED) for each in WIDEST[1:3]))
    assert made.advice() == ("Nothing to do: the breach of MON-2, MON-3 rolls the change back now",)
    made.hold = HOLD
    assert made.advice() == ("To do: mend what breaches MON-2, MON-3 before the hold ends, or it rolls back",)


def test_why_a_trigger_does_not_hold_is_shown_once_it_had_the_time_to() -> None:
    few = replace(WIDEST[2], message="too few requests to judge: 3 of users")
    assert "MON-3: too few requests to judge: 3 of users" in lines_of(settled((few,)), 80)


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


def test_a_wide_page_names_every_source_and_keeps_its_columns() -> None:
    lines = [line for line in lines_of(page(), 200) if line.startswith(("trigger", "MON-")) and ": " not in line]
    column = lines[0].index("trend/source")
    assert column > 80
    assert [line[column:] for line in lines[1:]] == [
        *("status", "users", "users", "alerts"),
        "operator, log, fallbacks, synthetic",
        "fallbacks, log, synthetic, operator",
    ]


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
    assert [line.rstrip() for line in shown][-18:] == lines_of(page(), 80)
    assert "\x1b[1m29 min left of 30 min" in stream.getvalue()
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
    assert "trend: the last 12 values, lowest 1, highest 8; last step + up, - down, = same" in text
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
    assert lines[0].endswith(
        " · previous provider not known to be alive · to do: mend what MON-6 names, or the change is rolled back"
    )


def test_the_line_of_the_minute_has_the_bands_and_the_effective_limit() -> None:
    line = logged((60.0, (BAND, SLOWER)))[0]
    assert "MON-2 inconclusive 12.3 % (10.2-14.3 %; limit 5 %, n=1000000)" in line
    assert "MON-3 holding 412 ms (0.0-2.1 % slower; limit 800 ms, effective 1088 ms, n=1000000)" in line
    stretch = replace(BAND, span="the last 40 s")
    assert "12.3 % (10.2-14.3 % over the window; limit 5 %" in logged((60.0, (stretch,)))[0]


def test_the_line_of_the_minute_says_that_nothing_is_to_do() -> None:
    holding = tuple(replace(each, state=State.HOLDING) for each in verdicts())
    assert logged((60.0, holding))[0].endswith(" · nothing to do: every trigger holds")


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


EXTENSION = Extension(1800.0, 2100.0, 3600.0, 300.0, "MON-2 is inconclusive: error rate 4.0 %")


def test_a_window_that_goes_on_says_why_and_for_how_long_at_most() -> None:
    made = page()
    made.extension = EXTENSION
    made.update((replace(verdicts()[1], undecided=True),), 1830.0)
    lines = lines_of(made, 200)
    assert lines[0] == "4 min 30 s left of 35 min (30 min and an extension)"
    assert f"{EXTENSION.brief}; undecided: MON-2" in lines
    made.begin_stage("CAN-1 25% of the traffic for 10m", 1800.0)
    assert made.extension_line() == "", "the next stage begins with its own length"


def test_a_machine_that_is_too_busy_is_said() -> None:
    made = page()
    made.sample(replace(probe(), late_s=0.4))
    assert "late" not in made.left_line()
    made.sample(replace(probe(), late_s=2.34))
    made.sample(replace(probe(), late_s=0.7))
    assert made.left_line() == "29 min left of 30 min, polls came up to 2.3 s late"
    made.overrun = "this machine is too busy to watch"
    assert ("this machine is too busy to watch", "bold red") in made.styled(80)
    stream = Stream()
    log = Log(stream, HEADING, SimulatedClock())
    log.overrun("this machine is too busy to watch")
    assert stream.getvalue().endswith("Z this machine is too busy to watch\n")
