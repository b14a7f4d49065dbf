"""The report is used with the keyboard alone, and what has the focus is seen."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.reader import Reader


@pytest.fixture
def kept(reader: Reader, reports: Path) -> Reader:
    reader.open(reports / "r-2" / "report.html")
    return reader


def test_the_first_stops_are_the_links_of_the_first_screen_in_their_order(kept: Reader) -> None:
    links = kept.answers.get_by_role("link")
    assert links.count() >= 4
    for link in links.all():
        kept.page.keyboard.press("Tab")
        expect(link).to_be_focused()
        expect(link).to_have_css("outline-style", "solid")
        expect(link).to_have_css("outline-width", "3px")


def test_enter_follows_a_link(kept: Reader) -> None:
    kept.tab_to(kept.answers.get_by_role("link", name="all rollouts"))
    kept.page.keyboard.press("Enter")
    expect(kept.page.get_by_role("heading", name="Rollouts")).to_be_visible()


def test_enter_opens_a_phase_and_a_clause_of_it(kept: Reader) -> None:
    expect(kept.row("MON-2 The error rate")).to_have_count(0)
    monitor = kept.page.get_by_test_id("tree-section").filter(has_text="4 Monitor").last
    kept.tab_to(monitor.get_by_test_id("tree-arrow"))
    kept.page.keyboard.press("Enter")
    expect(kept.row("MON-2 The error rate")).to_be_visible()
    kept.tab_to(kept.row("MON-2 The error rate"))
    kept.page.keyboard.press("Enter")
    expect(kept.page.get_by_test_id("test-result-tab-history")).to_be_visible()
    expect(kept.page.get_by_test_id("base-layout")).to_contain_text("MON-2 The error rate")


def test_the_search_is_reached_and_seen(kept: Reader) -> None:
    kept.tab_to(kept.page.get_by_test_id("search-input"))
    kept.page.keyboard.type("APP-1.2")
    expect(kept.page.get_by_test_id("tree-section").filter(has_text="2 Apply").first).to_be_visible()
    expect(kept.page.get_by_test_id("tree-section").filter(has_text="4 Monitor")).to_have_count(0)
