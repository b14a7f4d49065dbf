"""The chart shows what the triggers saw, its parts differ without colour, and no samples are no error."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from rollout.core.scenario import Monitor
from rollout.reporting.chart import draw, save
from rollout.reporting.chart_data import Bake
from tests.reporting.test_chart_data import LATENCY, at, bake, breach, judged, metrics, sample, slices


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


# The file


def test_the_chart_is_written_as_svg_and_png(tmp_path: Path) -> None:
    paths = [save(draw(bake(*HEALTHY)), tmp_path / f"bake.{suffix}") for suffix in ("svg", "png")]
    assert [path.name for path in paths] == ["bake.svg", "bake.png"]
    assert paths[1].read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bake.png", "bake.svg"]


def test_the_chart_names_limits_baseline_breach_and_both_kinds_of_requests(tmp_path: Path) -> None:
    ended = breach(span="the last 4 s", interval=[0.041, 0.36])
    svg = save(draw(bake(*HEALTHY, verdicts=ended)), tmp_path / "bake.svg")
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
        "25.0 % (4.1-36.0 % over the window), limit 5 %; decided by 100 requests of users in the last 4 s",
        "95 % band of the error rate",
        "status",
        "offline",
        "critical alerts",
        "seconds since 2026-11-23 12:00:00 UTC",
    ):
        assert expected in found, f"{expected!r} is not among {found}"


def test_the_same_samples_give_the_same_file(tmp_path: Path) -> None:
    first = save(draw(bake(*HEALTHY, verdicts=breach())), tmp_path / "a.svg").read_text(encoding="utf-8")
    second = save(draw(bake(*HEALTHY, verdicts=breach())), tmp_path / "b.svg").read_text(encoding="utf-8")
    assert first == second


def test_nothing_is_shown_by_colour_alone(tmp_path: Path) -> None:
    """Users are a solid line with dots, own requests a dashed one with triangles; bad states are hatched."""
    svg = save(draw(bake(*HEALTHY, verdicts=breach())), tmp_path / "bake.svg").read_text(encoding="utf-8")
    assert "stroke-dasharray" in svg
    assert 'id="hbf' in svg or "<pattern" in svg


def test_money_in_an_alert_is_no_formula(tmp_path: Path) -> None:
    """Without `text.parse_math` off, matplotlib sets the text between two dollar signs in italics."""
    window = Bake("usage=$3.00 hard_limit=$5.00", "", Monitor(), None, [metrics(0, 1, 0)])
    assert "Oblique" not in save(draw(window), tmp_path / "bake.svg").read_text(encoding="utf-8")


def test_a_canary_shows_its_stages_their_shares_and_the_control_group(tmp_path: Path) -> None:
    control = [
        sample("control", second, total=100 + 10 * second, failed=second, p95_ms=61.0) for second in (0, 1, 2, 4)
    ]
    names = ["CAN-2.1 10%", "CAN-2.2 25%", "CAN-2.4 100%", "CAN-3 100%"]
    stages = {"stages_at_s": [0.0, 2.0, 3.0, 3.5], "stage_names": names}
    found = words(save(draw(bake(*HEALTHY, *control, **stages)), tmp_path / "bake.svg"))
    for expected in ("10%", "25%", "100%", "stabilise", "share", "control group"):
        assert found.count(expected) == 1, f"{expected!r} is not once among {found}"
    unmeasured = [{key: value for key, value in each.items() if key != "p95_ms"} for each in control]
    assert "control group" in words(save(draw(bake(*HEALTHY, *unmeasured, **stages)), tmp_path / "errors.svg"))
    without = words(save(draw(bake(*HEALTHY)), tmp_path / "plain.svg"))
    assert not {"share", "control group"} & {*without}


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
    found = words(save(draw(bake(*HEALTHY, verdicts=verdict)), tmp_path / "bake.svg"))
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
    assert save(draw(bake(*samples, baseline=None)), tmp_path / "bake.svg")


def test_a_day_is_drawn_in_hours(tmp_path: Path) -> None:
    day = [metrics(second, second, 0) for second in range(0, 86_400, 600)]
    for each in day:
        each["at"] = at(0)
    assert any(text.startswith("hours since") for text in words(save(draw(bake(*day)), tmp_path / "bake.svg")))


def test_an_effective_limit_has_a_line_of_its_own(tmp_path: Path) -> None:
    verdicts = judged("MON-2") | judged("MON-3", **LATENCY)
    found = words(save(draw(bake(*HEALTHY, verdicts=verdicts)), tmp_path / "a.svg"))
    assert "effective, users 191 ms" in found
    assert "effective, own requests 191 ms" not in found
    numbers = "80 ms (1.0-3.0 % slower), limit 140 ms (effective 191.2 ms)"
    assert f"{numbers}; from 100 requests of users; the window's 4 s" in found
    assert "P95 latency (MON-3): holding" in found
    assert "3.0 %, limit 5 %; from 100 requests of users; the window's 4 s" in found, "an earlier version has no band"


def test_what_was_not_watched_and_where_a_window_went_on_is_marked(tmp_path: Path) -> None:
    found = words(save(draw(bake(*slices(), monitor=Monitor(window_s=200.0))), tmp_path / "bake.svg"))
    assert "4 min 10 s not watched" in found
    assert "the window goes on after 3 min 20 s" in found
    assert "a → b · watched for 5 min 10 s, planned: 3 min 20 s" in found


def test_each_moment_at_which_an_undecided_window_went_on_is_marked(tmp_path: Path) -> None:
    window = bake(*HEALTHY, monitor=Monitor(window_s=2.0), extended_at_s=[2.0, 3.0])
    svg = save(draw(window), tmp_path / "bake.svg")
    assert "undecided: the window goes on after 2 s" in words(svg)
    assert svg.read_text(encoding="utf-8").count('stroke: #555555"/>') == 2 * 3, "each in every panel"
