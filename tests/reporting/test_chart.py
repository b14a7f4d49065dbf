"""The chart shows what the triggers saw, its parts differ without colour, and no samples are no error."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from rollout.core.limits import Limits
from rollout.core.scenario import Monitor
from rollout.monitoring.binomial import confidence_sequence
from rollout.monitoring.samples import Baseline, SourceName
from rollout.reporting.chart import draw
from rollout.reporting.chart_data import (
    Bake,
    error_band,
    error_rates,
    gaps,
    latencies,
    latency_limit,
    recent_error_rates,
    state_spans,
)

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


def judged(clause: str = "MON-2", **parts: Any) -> dict[str, dict[str, Any]]:
    verdict = {"clause": clause, "state": "holding", "decided": False, "at": at(4), "value": 0.03, "limit": 0.05}
    return {
        clause: {**verdict, "samples": 100, "source": "users", "span": "the window's 4 s", "watched_s": 4.0, **parts}
    }


def breach(clause: str = "MON-2", **parts: Any) -> dict[str, dict[str, Any]]:
    return judged(clause, **{"state": "breached", "decided": True, "value": 0.25, **parts})


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


def test_the_error_rate_is_that_of_the_window_so_far_and_beside_it_that_of_the_last_minutes() -> None:
    """Neither an old outage nor a new one is hidden by the other line."""
    samples = [metrics(second, second * 10, max(0, second - 30) * 5) for second in range(0, 41, 5)]
    seen = bake(*samples, monitor=Monitor(short_span_s=10.0))
    assert error_rates(seen, "users").values[-1] == 50 / 400
    recent = recent_error_rates(seen, "users")
    assert recent.values[-1] == 0.5
    assert recent.at_s == [15, 20, 25, 30, 35, 40], "before that both lines are one"


def test_the_last_minutes_have_no_line_where_they_have_too_few_requests() -> None:
    """After a stretch that was not watched one request of ten would read as 10 %."""
    samples = [metrics(second, second * 10, 0) for second in (0, 10, 20)] + [metrics(59, 205, 1)]
    assert recent_error_rates(bake(*samples, monitor=Monitor(short_span_s=5.0)), "users").at_s == [20]


def test_the_suites_own_requests_are_not_counted_as_users() -> None:
    """As MON-2 counts: the gateway's counters have both."""
    own = [sample("synthetic", second, ok=False, status=502, latency_ms=9.0) for second in (1, 2)]
    assert error_rates(bake(metrics(0, 0, 0), metrics(5, 22, 2), *own), "users").values == [0.0]


def test_the_band_ends_at_the_verdicts_interval_and_has_few_points_in_a_long_window() -> None:
    samples = [metrics(0, 0, 0)] + [sample("metrics", s, total=s, failed=s * 3 // 100) for s in range(10, 1801, 10)]
    samples = [{"samples": 9, **each} for each in samples]
    found = error_band(bake(*samples), "users")
    assert len(found.at_s) <= 150
    assert found.at_s[-1] == 1800
    low, high = confidence_sequence(1800, 54)
    assert (found.low[-1], found.high[-1]) == (low, high)
    assert f"{low * 100:.1f}-{high * 100:.1f}" == "1.7-4.7", "as docs/JUDGING.md says"


def test_too_few_requests_are_marked_as_too_few() -> None:
    """Fewer than the scenario asks for, and fewer than it takes to exclude twice the limit."""
    curve = error_rates(bake(metrics(0, 0, 0), metrics(1, 28, 1), metrics(2, 29, 1)), "users")
    assert curve.enough == [False, True]
    assert curve.judged == [1 / 29]
    strict = Monitor(min_requests=50)
    assert error_rates(bake(metrics(0, 0, 0), metrics(2, 49, 1), monitor=strict), "users").enough == [False]


def test_the_suites_own_requests_have_a_rate_of_their_own() -> None:
    curve = error_rates(bake(*(sample("synthetic", s, ok=s != 2, latency_ms=9.0) for s in range(4))), "synthetic")
    assert curve.values == [0, 0, pytest.approx(1 / 3), 0.25]
    assert curve.enough == [False] * 4


def test_users_p95_is_the_windows_own_where_the_source_has_a_histogram() -> None:
    buckets = [{"0.1": 100.0 * n, "0.2": 100.0 * n, "+Inf": 100.0 * n} for n in (1, 2)]
    polls = [metrics(s, 100 * s, 0, None) | {"buckets": each} for s, each in enumerate(buckets)]
    found = latencies(bake(*polls), "users")
    assert (found.at_s, found.values, found.enough) == ([1], [pytest.approx(95.0)], [True])


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
    ended = breach(span="the last 4 s", interval=[0.041, 0.36])
    svg = draw(bake(*HEALTHY, verdicts=ended), tmp_path / "bake.svg")
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
        "25.0 % over the last 4 s",
        "Error rate (MON-2): breached",
        "25.0 % (4.1-36.0 % over the window), limit 5 %; from 100 requests of users; the last 4 s",
        "95 % band of the error rate",
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


def test_an_effective_limit_has_a_line_of_its_own_where_it_differs(tmp_path: Path) -> None:
    """For the source that MON-3 judged; one that reads like the limit would be drawn over it."""
    numbers = {"value": 80.0, "limit": 140.0, "interval": [0.01, 0.03], "effective_limit": 191.2}
    wider = words(draw(bake(*HEALTHY, verdicts=judged("MON-3", **numbers)), tmp_path / "a.svg"))
    assert "effective, users 191 ms" in wider
    assert "effective, own requests 191 ms" not in wider
    numbers_of_it = "80 ms (1.0-3.0 % slower), limit 140 ms (effective 191.2 ms)"
    assert f"{numbers_of_it}; from 100 requests of users; the window's 4 s" in wider
    same = judged("MON-3", **numbers | {"effective_limit": 140.0})
    assert not [
        each for each in words(draw(bake(*HEALTHY, verdicts=same), tmp_path / "b.svg")) if "effective, " in each
    ]


def test_a_window_of_an_earlier_version_is_drawn_without_what_its_verdicts_lack(tmp_path: Path) -> None:
    old = judged("MON-2") | judged("MON-3", value=80.0, limit=140.0)
    found = words(draw(bake(*HEALTHY, verdicts=old), tmp_path / "bake.svg"))
    assert "3.0 %, limit 5 %; from 100 requests of users; the window's 4 s" in found
    assert "P95 latency (MON-3): holding" in found


def slices() -> list[dict[str, Any]]:
    """Return the samples of two calls with 250 s between them."""
    before = [metrics(second, 10 * second, 0) for second in range(0, 60, 10)]
    after = [sample("metrics", 300.0 + s, total=9000, failed=0, samples=9) | {"at": at(59)} for s in (0, 10)]
    return [*before, *after]


def test_time_that_was_not_watched_is_marked_and_its_length_is_named(tmp_path: Path) -> None:
    """Between two calls of a window that is watched in slices the chart shows a gap."""
    monitor, samples = Monitor(metrics_every_s=10.0), slices()
    watched = bake(*samples, monitor=monitor)
    assert gaps(watched) == [(50.0, 300.0)]
    assert gaps(bake(*samples[:6], monitor=monitor)) == []
    svg = draw(watched, tmp_path / "bake.svg")
    assert "4 min 10 s not watched" in words(svg)


def test_a_gap_is_as_long_as_the_samples_say_and_gaps_that_overlap_are_one() -> None:
    """The live view and MON-6 name the same seconds; what a busy machine causes is no gap."""
    samples = slices()
    samples[6]["unwatched_s"] = 230.0
    samples.append(sample("status", 302.0, status="connected", unwatched_s=200.0) | {"at": at(59)})
    samples.append(sample("way_back", 309.0, succeeded=True, unwatched_s=40.0) | {"at": at(59)})
    samples.append(sample("alerts", 30.0, alerts=[], unwatched_s=0.4))
    assert gaps(bake(*samples)) == [(70.0, 302.0)]


def test_where_a_window_goes_on_is_marked(tmp_path: Path) -> None:
    found = words(draw(bake(*slices(), monitor=Monitor(window_s=200.0)), tmp_path / "bake.svg"))
    assert "the window goes on after 3 min 20 s" in found
    assert "a → b · watched for 5 min 10 s, planned: 3 min 20 s" in found
    in_time = words(draw(bake(*slices(), monitor=Monitor(window_s=309.5)), tmp_path / "b.svg"))
    assert "a → b · watched for 5 min 10 s of 5 min 10 s" in in_time
    assert not [each for each in in_time if "goes on" in each]
