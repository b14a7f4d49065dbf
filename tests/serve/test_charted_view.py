"""The curves of a window: every value once, and no more points than a screen shows."""

from __future__ import annotations

from rollout.monitoring.live_heading import Heading
from rollout.monitoring.verdict import State, Verdict
from rollout.serve.charted_view import MOST_POINTS, ChartedView


def verdict(clause: str, value: float | str | None, limit: float | None) -> Verdict:
    return Verdict(clause, State.HOLDING, value, limit, 9, "users", "the window", "", "fine")


def view() -> ChartedView:
    return ChartedView(Heading("r-1", "t", "ollama:llama3", "openai:gpt-4o", None, 60.0))


def test_rates_are_percent_and_latencies_milliseconds() -> None:
    charted = view()
    charted.verdicts((verdict("MON-2", 0.02, 0.05), verdict("MON-3", 80.0, 150.0), verdict("MON-1", 1.0, 2.0)), 3.0)
    assert [curve.facts() for curve in charted.curves] == [
        {"clause": "MON-2", "name": "error rate", "unit": "%", "points": [[3.0, 2.0, 5.0]]},
        {"clause": "MON-3", "name": "P95", "unit": "ms", "points": [[3.0, 80.0, 150.0]]},
    ]


def test_what_is_no_number_is_no_point() -> None:
    charted = view()
    charted.verdicts((verdict("MON-2", None, 0.05), verdict("MON-3", "none", None)), 3.0)
    assert [curve.points for curve in charted.curves] == [[], []]


def test_a_value_without_a_limit_has_none() -> None:
    charted = view()
    charted.verdicts((verdict("MON-3", 80.0, None),), 3.0)
    assert charted.curves[1].points == [(3.0, 80.0, None)]


def test_two_values_of_one_moment_are_the_later_one() -> None:
    charted = view()
    for value in (0.01, 0.03):
        charted.verdicts((verdict("MON-2", value, 0.05),), 3.0)
    assert charted.curves[0].points == [(3.0, 3.0, 5.0)]


def test_a_long_window_keeps_its_first_and_its_latest_point() -> None:
    charted = view()
    for second in range(10 * MOST_POINTS):
        charted.verdicts((verdict("MON-2", second / 1e6, 0.05),), float(second))
        assert len(charted.curves[0].points) <= MOST_POINTS
    seconds = [at_s for at_s, _, _ in charted.curves[0].points]
    assert seconds == sorted(set(seconds))
    assert (seconds[0], seconds[-1]) == (0.0, 10.0 * MOST_POINTS - 1)
    assert len(seconds) > MOST_POINTS / 4


def test_the_stages_of_a_canary_are_marked_where_they_begin() -> None:
    charted = view()
    for text, passed_s in (("CAN-2.1 10%", 0.0), ("CAN-2.2 25%", 60.0)):
        charted.stage(text, passed_s)
        charted.verdicts((verdict("MON-2", 0.01, 0.05),), 1.0)
    assert charted.stages_at_s == [60.0]
    assert [at_s for at_s, _, _ in charted.curves[0].points] == [1.0, 61.0]
