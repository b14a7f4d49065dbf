"""The page over all rollouts is readable without a script, by keyboard, enlarged and in print; it sends no request."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, expect

from tests.browser.reader import Reader
from tests.support.journaled import BREACH


@pytest.fixture
def index(reader: Reader, reports: Path) -> Reader:
    reader.page.goto((reports / "index.html").as_uri())
    return reader


def rows(reader: Reader) -> Locator:
    return reader.page.locator("tbody tr")


def test_every_rollout_is_listed_the_newest_first(index: Reader) -> None:
    words = [row.split("\n")[0].split("\t") for row in rows(index).all_inner_texts()]
    assert len(words) == 3
    expect(rows(index).nth(0)).to_contain_text("✖ ROLLBACK FAILED by MON-2")
    expect(rows(index).nth(1)).to_contain_text("✓ KEPT")
    expect(rows(index).nth(2)).to_contain_text(f"↩ ROLLED BACK, verified by MON-2MON-2: {BREACH}")
    expect(rows(index).nth(2)).to_contain_text("back after 7.4 s")
    assert index.outside == []
    assert index.complaints == []


def test_markup_of_an_attacker_is_text(index: Reader) -> None:
    expect(rows(index).nth(0)).to_contain_text("<script>")
    assert index.page.title() == "Rollouts (3)"
    assert index.page.locator("img").count() == 0


def test_links_open_from_disk(index: Reader) -> None:
    index.page.get_by_role("link", name="report of r-1", exact=True).click()
    expect(index.banner).to_contain_text(BREACH)
    index.page.go_back()
    expect(index.page.get_by_role("link", name="change record of r-2")).to_have_attribute(
        "href", "r-2/change-record.md"
    )


def test_rows_are_found_with_the_keyboard_alone(index: Reader) -> None:
    page = index.page
    page.keyboard.press("Tab")
    expect(page.get_by_label("Show only rows with")).to_be_focused()
    page.keyboard.type("KEPT alice")
    expect(page.get_by_role("status")).to_have_text("1 of 3 shown")
    expect(rows(index).filter(visible=True)).to_have_count(1)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="report of r-2", exact=True)).to_be_focused()
    page.keyboard.press("Enter")
    expect(index.banner).to_contain_text("KEPT: every clause of the plan passed")


def test_no_script_is_needed_to_read_it(browser: Browser, reports: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((reports / "index.html").as_uri())
    expect(page.locator("tbody tr").filter(visible=True)).to_have_count(3)
    expect(page.get_by_label("Show only rows with")).to_be_hidden()
    context.close()


def test_at_twice_the_size_nothing_has_to_be_scrolled_sideways(index: Reader) -> None:
    """1280 px at 200 % are 640 px for the page."""
    index.page.set_viewport_size({"width": 640, "height": 500})
    assert index.page.evaluate("document.documentElement.scrollWidth") == 640
    # The cards keep the roles of a table, for screen readers.
    assert index.page.get_by_role("row").count() >= 3
    assert index.page.get_by_role("cell").count() == 18


def test_in_print_every_row_is_there_and_what_cannot_be_used_is_not(index: Reader) -> None:
    index.page.emulate_media(media="print")
    expect(rows(index).filter(visible=True)).to_have_count(3)
    expect(index.page.get_by_label("Show only rows with")).to_be_hidden()
