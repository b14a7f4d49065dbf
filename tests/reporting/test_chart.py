"""The chart shows what the triggers saw, its parts differ without colour, and no samples are no error."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from rollout.core.limits import Limits
from rollout.core.scenario import Monitor
from rollout.monitoring.samples import Baseline, SourceName
from rollout.reporting.chart import draw
from rollout.reporting.chart_data import Bake, error_rates, gaps, latencies, latency_limit, state_spans

BASELINE = Baseline("ollama", users_p95_ms=70.0, users_samples=80, synthetic_p95_ms=75.0, synthetic_samples=20)


def at(second: float) -> str:
    return f"2026-11-23T12:00:{second:06.3f}Z"


def sample(source: str, second: float, **body: Any) -> dict[str, Any]:
    return {"source": source, "at_s": second, "at": at(second), **body}


def metrics(second: float, total: int, failed: int, p95_ms: float | None = 60.0) -> dict[str, Any]:
    body = {} if p95_ms is None else {"p95_ms": p95_ms}
    return sample("metrics", second, total=total, failed=failed, samples=total, **body)


def bake(*samples: dict[str, Any], monitor: Monitor | None = None, **parts: Any) -> Bake:
    parts = {"baseline": BASELINE, **parts}
    return Bake("TITLE", "a → b", monitor or Monitor(min_requests=20, min_samples=3), samples=samples, **parts)


def breach(clause: str = "MON-2", **parts: Any) -> dict[str, dict[str, Any]]:
    verdict = {"clause": clause, "decided": True, "at": at(4), "value": 0.25, "limit": 0.05, "watched_s": 4.0}
    return {clause: {**verdict, **parts}}


def words(svg: Path) -> list[str]:
    """Return the texts of a chart; matplotlib writes each as a comment beside its outlines."""
    parser = ET.XMLParser(target=ET.TreeBuilder(insert_comments=True))  # noqa: S314 - drawn by the test itself
    tree = ET.parse(svg, parser)  # noqa: S314
    return [str(node.text).strip() for node in tree.iter() if node.tag is ET.Comment]


HEALTHY = (
    metrics(0, 10, 0),
    metrics(2, 60, 0),
    metrics(4, 110, 25, 200.0),
    sample("synthetic", 1, ok=True, latency_ms=50.0),
    sample("synthetic", 3, ok=False, latency_ms=10.0),
    sample("status", 0, status="connected"),
    sample("status", 3, status="offline"),
    sample("alerts", 0, alerts=[]),
    sample("way_back", 0, succeeded=True),
)


# What it shows


def test_the_error_rate_is_counted_in_the_window_and_not_since_the_gateway_began() -> None:
    curve = error_rates(bake(metrics(0, 1000, 0), metrics(5, 1040, 10)), "users")
    assert curve.values == [0.25]


def test_the_error_rate_is_the_worse_of_the_last_minutes_and_the_window() -> None:
    """As MON-2 judges: neither an old outage nor a new one is hidden by the other span."""
    samples = [metrics(second, second * 10, min(second, 10) * 5) for second in range(0, 41, 5)]
    old = error_rates(bake(*samples, monitor=Monitor(short_span_s=10.0)), "users")
    assert old.values[-1] == 50 / 400
    samples = [metrics(second, second * 10, max(0, second - 30) * 5) for second in range(0, 41, 5)]
    new = error_rates(bake(*samples, monitor=Monitor(short_span_s=10.0)), "users")
    assert new.values[-1] == 0.5


def test_a_span_with_too_few_requests_does_not_decide_while_the_other_has_enough() -> None:
    failing = [sample("synthetic", second, ok=second < 4, latency_ms=9.0) for second in range(6)]
    curve = error_rates(bake(*failing, monitor=Monitor(short_span_s=1.0, min_samples=5)), "synthetic")
    assert curve.values[-1] == pytest.approx(2 / 6)
    assert curve.enough == [False] * 4 + [True] * 2


def test_too_few_requests_are_marked_as_too_few() -> None:
    curve = error_rates(bake(metrics(0, 0, 0), metrics(1, 19, 1), metrics(2, 20, 1)), "users")
    assert curve.enough == [False, True]


def test_the_suites_own_requests_have_a_rate_of_their_own() -> None:
    curve = error_rates(bake(*(sample("synthetic", s, ok=s != 2, latency_ms=9.0) for s in range(4))), "synthetic")
    assert curve.values == [0, 0, pytest.approx(1 / 3), 0.25]
    assert curve.enough == [False, False, True, True]


def test_a_failed_poll_is_a_gap_and_no_zero() -> None:
    gap = sample("metrics", 2, error="timed out")
    seen = bake(metrics(0, 0, 0), metrics(1, 30, 3), gap, metrics(3, 60, 6), sample("synthetic", 2, error="no answer"))
    assert error_rates(seen, "users").at_s == [1, 3]
    assert latencies(seen, "users").at_s == [0, 1, 3]
    assert error_rates(seen, "synthetic").at_s == []


def test_p95_that_the_gateway_does_not_know_is_not_drawn() -> None:
    assert latencies(bake(metrics(0, 30, 0, None)), "users").at_s == []


def test_each_source_is_compared_with_its_own_baseline() -> None:
    assert latency_limit(bake(), "users") == 140.0
    assert latency_limit(bake(), "synthetic") == 150.0
    assert latency_limit(bake(monitor=Monitor(limits=Limits(p95_ms=99.0))), "users") == 99.0
    assert latency_limit(bake(baseline=None), "users") is None


def test_states_last_until_the_next_poll_and_equal_ones_are_one_span() -> None:
    states = ("connected", "connected", "offline", "connected")
    polls = [sample("status", second, status=state) for second, state in enumerate(states)]
    found = state_spans(bake(*polls, metrics(5, 1, 0)), SourceName.STATUS, lambda each: str(each["status"]))
    assert found == [(0, 2, "connected"), (2, 3, "offline"), (3, 5.0, "connected")]


# The file


def test_the_chart_is_written_as_svg_and_png(tmp_path: Path) -> None:
    paths = [draw(bake(*HEALTHY), tmp_path / f"bake.{suffix}") for suffix in ("svg", "png")]
    assert [path.name for path in paths] == ["bake.svg", "bake.png"]
    assert paths[1].read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bake.png", "bake.svg"]


def test_the_chart_names_limits_baseline_breach_and_both_kinds_of_requests(tmp_path: Path) -> None:
    svg = draw(bake(*HEALTHY, verdicts=breach()), tmp_path / "bake.svg")
    found = words(svg)
    for expected in (
        "TITLE",
        "limit 5 %",
        "limit, users 140 ms",
        "limit, own requests 150 ms",
        "baseline, users 70 ms",
        "users (the gateway's counters)",
        "the suite's own requests",
        "MON-2 breached 12:00:04Z",
        "25.0 %",
        "status",
        "offline",
        "critical alerts",
        "seconds since 2026-11-23 12:00:00 UTC",
    ):
        assert expected in found, f"{expected!r} is not among {found}"


def test_the_same_samples_give_the_same_file(tmp_path: Path) -> None:
    first = draw(bake(*HEALTHY, verdicts=breach()), tmp_path / "a.svg").read_text(encoding="utf-8")
    second = draw(bake(*HEALTHY, verdicts=breach()), tmp_path / "b.svg").read_text(encoding="utf-8")
    assert first == second


def test_nothing_is_shown_by_colour_alone(tmp_path: Path) -> None:
    """Users are a solid line with dots, own requests a dashed one with triangles; bad states are hatched."""
    svg = draw(bake(*HEALTHY, verdicts=breach()), tmp_path / "bake.svg").read_text(encoding="utf-8")
    assert "stroke-dasharray" in svg
    assert 'id="hbf' in svg or "<pattern" in svg


def test_money_in_an_alert_is_no_formula(tmp_path: Path) -> None:
    """Without `text.parse_math` off, matplotlib sets the text between two dollar signs in italics."""
    window = Bake("usage=$3.00 hard_limit=$5.00", "", Monitor(), None, [metrics(0, 1, 0)])
    assert "Oblique" not in draw(window, tmp_path / "bake.svg").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "verdict",
    [
        breach("MON-1", value="offline", limit="connected"),
        breach("MON-3", value=452.0, limit=140.0),
        breach("MON-4", value="DATA_LOSS/openai", limit="none", at=""),
        breach("MON-6", value="3 polls in a row failed", limit="3 in a row"),
    ],
    ids=lambda verdict: next(iter(verdict)),
)
def test_every_trigger_can_be_the_one_that_ended_it(tmp_path: Path, verdict: dict[str, dict[str, Any]]) -> None:
    (clause,) = verdict
    found = words(draw(bake(*HEALTHY, verdicts=verdict), tmp_path / "bake.svg"))
    assert any(text.startswith(f"{clause} breached") for text in found)


@pytest.mark.parametrize(
    "samples",
    [
        [sample("status", 0, error="refused")],
        [sample("operator", 0)],
        [metrics(0, 0, 0, None)],
        [sample("synthetic", 0, ok=False)],
        [sample("alerts", 0, alerts=[{"key": "DATA_LOSS/openai", "id": "1", "message": "m"}])],
    ],
    ids=["unavailable", "operator only", "nothing counted", "untimed failure", "alert at once"],
)
def test_a_window_with_hardly_anything_in_it_is_drawn(tmp_path: Path, samples: list[dict[str, Any]]) -> None:
    assert draw(bake(*samples, baseline=None), tmp_path / "bake.svg")


def test_a_day_is_drawn_in_hours(tmp_path: Path) -> None:
    day = [metrics(second, second, 0) for second in range(0, 86_400, 600)]
    for each in day:
        each["at"] = at(0)
    assert any(text.startswith("hours since") for text in words(draw(bake(*day), tmp_path / "bake.svg")))


def test_time_that_was_not_watched_is_marked(tmp_path: Path) -> None:
    """Between two calls of a window that is watched in slices the chart shows a gap."""
    monitor = Monitor(metrics_every_s=10.0)
    before = [metrics(second, 10 * second, 0) for second in range(0, 60, 10)]
    after = [sample("metrics", 300.0 + second, total=9000, failed=0, samples=9) | {"at": at(59)} for second in (0, 10)]
    watched = bake(*before, *after, monitor=monitor)
    assert gaps(watched) == [(50.0, 300.0)]
    assert gaps(bake(*before, monitor=monitor)) == []
    svg = draw(watched, tmp_path / "bake.svg")
    assert "not watched" in words(svg)
