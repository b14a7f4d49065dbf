"""The report shows how a clause fared in the earlier rollouts of its target, and in those of no other target."""

from __future__ import annotations

import os
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, expect

from rollout.core.target import Target
from rollout.reporting.html.assembly import build
from tests.browser.reader import Reader
from tests.support.clocks import BEGINNING, SimulatedClock
from tests.support.journaled import kept, rolled_back

OTHER = Target("other", "sandbox", url="http://127.0.0.1:2")
EARLIER = {"27": "passed", "26": "failed", "25": "passed", "24": "passed"}
"""Day -> how MON-2 fared in the four rollouts before: the third of the five was rolled back."""


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five rollouts of one target and then one of another, in one journal; the last of each has a report."""
    folder = tmp_path_factory.mktemp("history")
    for number in range(1, 7):
        more: dict[str, Any] = {"clock": SimulatedClock(BEGINNING + timedelta(days=number))}
        more |= {"target": OTHER} if number == 6 else {}
        with (rolled_back if number == 3 else kept)(folder, id=f"r-{number}", **more) as journaled:
            if number >= 5:
                build(journaled.rollout.journal, journaled.rollout.id, journaled.rollout.folder, os.environ)
    return folder / "reports"


def history(reader: Reader, report: Path) -> Locator:
    """Open the report's row of MON-2, and return the tab of its history."""
    reader.open(report)
    monitor = reader.page.get_by_test_id("tree-section").filter(has_text="4 Monitor").last
    monitor.get_by_test_id("tree-arrow").click()
    reader.read("MON-2 The error rate")
    return reader.page.get_by_test_id("test-result-tab-history")


def test_a_clause_shows_its_earlier_rollouts(reader: Reader, reports: Path) -> None:
    tab = history(reader, reports / "r-5" / "report.html")
    expect(tab).to_contain_text(str(len(EARLIER)))
    tab.click()
    items = reader.page.get_by_test_id("test-result-history-item")
    expect(items).to_have_count(len(EARLIER))
    for day, status in EARLIER.items():
        expect(items.filter(has_text=f"11/{day}/2026").get_by_test_id(f"tree-leaf-status-{status}")).to_be_visible()


def test_a_rollout_of_another_target_is_no_part_of_it(reader: Reader, reports: Path) -> None:
    history(reader, reports / "r-6" / "report.html").click()
    expect(reader.page.get_by_test_id("base-layout")).to_contain_text("No history")
    expect(reader.page.get_by_test_id("test-result-history-item")).to_have_count(0)


def test_the_trend_over_the_rollouts_is_drawn(reader: Reader, reports: Path) -> None:
    reader.open(reports / "r-5" / "report.html")
    reader.page.get_by_role("button", name="Report", exact=True).click()
    reader.page.get_by_text("Graphs", exact=True).click()
    expect(reader.page.get_by_text("The clauses of this rollout and of those before it on this target")).to_be_visible()
    layer = reader.page.get_by_test_id("hover-layer").first
    expect(layer.get_by_test_id("hover-rect")).to_have_count(5)
    layer.get_by_test_id("hover-rect").nth(2).hover()
    expect(reader.page.get_by_test_id("chart-tooltip").first).to_contain_text(re.compile(r"Failed\s*2\s*Broken\s*6"))
