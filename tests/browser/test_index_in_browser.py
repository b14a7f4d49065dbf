"""The page over all rollouts is readable without a script, by keyboard, enlarged and in print; it sends no request."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, expect

from rollout.reporting.html.index import Line, page
from rollout.reporting.rollout_facts import UNREADABLE, RolloutFacts, numbers, show_percent, show_took
from tests.browser.reader import Reader
from tests.support.journaled import BREACH


@pytest.fixture
def index(reader: Reader, reports: Path) -> Reader:
    reader.page.goto((reports / "index.html").as_uri())
    return reader


def rows(reader: Reader) -> Locator:
    return reader.page.locator("#rollouts tbody tr")


def numbers_of(reader: Reader) -> list[str]:
    return [text.split("\n")[0] for text in reader.page.locator("#numbers b").all_inner_texts()]


def visible_ids(reader: Reader) -> list[str]:
    return [str(row.get_attribute("id")) for row in rows(reader).filter(visible=True).all()]


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
    index.tab_to(page.get_by_label("Words"))
    page.keyboard.type("KEPT alice")
    expect(page.get_by_role("status")).to_have_text("1 of 3 shown; the numbers are of these")
    expect(rows(index).filter(visible=True)).to_have_count(1)
    index.tab_to(page.get_by_role("link", name="report of r-2", exact=True))
    page.keyboard.press("Enter")
    expect(index.banner).to_contain_text("KEPT: every clause of the plan passed")


def test_no_script_is_needed_to_read_it(browser: Browser, reports: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((reports / "index.html").as_uri())
    expect(page.locator("#rollouts tbody tr").filter(visible=True)).to_have_count(3)
    expect(page.locator("#numbers")).to_contain_text("66.7 %")
    expect(page.get_by_label("Words")).to_be_hidden()
    context.close()


def test_at_twice_the_size_nothing_has_to_be_scrolled_sideways(index: Reader) -> None:
    """1280 px at 200 % are 640 px for the page."""
    index.page.set_viewport_size({"width": 640, "height": 500})
    assert index.page.evaluate("document.documentElement.scrollWidth") == 640
    # The cards keep the roles of a table, for screen readers.
    assert index.page.get_by_role("row").count() >= 3
    assert index.page.locator("#rollouts").get_by_role("cell").count() == 18


def test_in_print_every_row_is_there_and_what_cannot_be_used_is_not(index: Reader) -> None:
    index.page.emulate_media(media="print")
    expect(rows(index).filter(visible=True)).to_have_count(3)
    expect(index.page.get_by_label("Words")).to_be_hidden()


@pytest.fixture
def fleet(reader: Reader, tmp_path: Path) -> Reader:
    """The page over six rollouts of two targets, of which one is unreadable and one is still open."""
    write_page(tmp_path)
    reader.page.goto((tmp_path / "index.html").as_uri())
    return reader


BASE = RolloutFacts(
    "r-1", opened="2026-11-01T10:00:00.000Z", target="prod eu", kinds=("provider",), author="alice", applied=True
)
POPULATION = (
    replace(BASE, decision="kept", lead_s=7200.0),
    replace(BASE, rollout="r-2", opened="2026-11-02T10:00:00.000Z", decision="rolled_back", back_after_s=0.25),
    replace(BASE, rollout="r-3", opened="2026-11-03T10:00:00.000Z", decision="rolled_back", back_after_s=3723.4),
    replace(BASE, rollout="r-4", target="a&b=c", kinds=("limits",), author="bob", decision="kept", lead_s=60.0),
    replace(BASE, rollout="r-5", target="a&b=c", author="carol", decision="open"),
    RolloutFacts("r-6", opened="2026-11-04T10:00:00.000Z"),
)
STATE = {"kept": "kept", "rolled_back": "back", "open": "open", UNREADABLE: "unknown"}


def write_page(folder: Path) -> None:
    lines = [
        Line(each.rollout, each.opened, each.target, "", (), STATE[each.decision], "", "", "", "", "", facts=each)
        for each in POPULATION
    ]
    (folder / "index.html").write_text(page(lines, folder, datetime(2026, 11, 30, tzinfo=UTC)), encoding="utf-8")


@pytest.mark.parametrize("target", ["prod eu", "a&b=c"])
def test_a_target_has_a_view_with_its_own_rollouts_and_numbers(fleet: Reader, target: str) -> None:
    """The script counts as `rollout.reporting.rollout_facts` does; the table without a script shows the same."""
    fleet.page.get_by_role("link", name=target, exact=True).click()
    own = [each for each in POPULATION if each.target == target]
    assert visible_ids(fleet) == [each.rollout for each in own]
    expect(fleet.page.get_by_role("status")).to_contain_text(f"Target {target}: {len(own)} of 6 shown")
    assert numbers_of(fleet) == [number.text for number in numbers(own)]
    cells = fleet.page.locator("#targets tbody tr").filter(has_text=target).locator("td").all_inner_texts()
    assert [cell.split("\n")[0] for cell in cells[2:]] == numbers_of(fleet)
    assert [*fleet.outside, *fleet.complaints] == []


def test_the_script_shows_a_number_as_the_suite_does(fleet: Reader) -> None:
    for took_s in (0.0, 0.25, 59.94, 59.95, 61.4, 3599.6, 3600.0, 90_000.0):
        assert fleet.page.evaluate(f"took({took_s})") == show_took(took_s)
    for share in (0.0, 1 / 16, 1 / 3, 1.0):
        assert fleet.page.evaluate(f"percent({share})") == show_percent(share)


@pytest.mark.parametrize(
    ("name", "value", "left"),
    [
        ("Kind", "limits", ["r-4"]),
        ("Decision", "back", ["r-2", "r-3"]),
        ("Decision", "unknown", ["r-6"]),
        ("Person", "carol", ["r-5"]),
        ("From", "2026-11-03", ["r-3", "r-6"]),
        ("To", "2026-11-02", ["r-1", "r-2", "r-4", "r-5"]),
    ],
)
def test_each_filter_leaves_what_it_asks_for(fleet: Reader, name: str, value: str, left: list[str]) -> None:
    field = fleet.page.get_by_label(name, exact=True)
    if name in ("From", "To"):
        field.fill(value)
    else:
        field.select_option(value)
    assert visible_ids(fleet) == left
    duties = fleet.page.locator("#duties tbody tr").filter(visible=True)
    expect(duties).to_have_count(len(left))


def test_filters_stand_in_the_address_and_come_back_with_it(fleet: Reader) -> None:
    fleet.page.get_by_label("Target", exact=True).select_option("prod eu")
    fleet.page.get_by_label("Decision", exact=True).select_option("back")
    address = fleet.page.url
    assert address.endswith("#target=prod+eu&decision=back")
    fleet.page.goto("about:blank")
    fleet.page.goto(address)
    assert visible_ids(fleet) == ["r-2", "r-3"]
    expect(fleet.page.get_by_label("Decision", exact=True)).to_have_value("back")
    fleet.page.get_by_role("button", name="Show all").click()
    assert len(visible_ids(fleet)) == 6


def test_an_address_that_asks_for_what_is_not_there_shows_nothing_of_it(fleet: Reader) -> None:
    fleet.page.goto("about:blank")
    fleet.page.goto(f"{fleet_page(fleet)}#target=gone")
    assert visible_ids(fleet) == []
    expect(fleet.page.get_by_role("status")).to_contain_text("Target gone: 0 of 6 shown")
    assert numbers_of(fleet)[1:] == ["not measured"] * 3


def fleet_page(reader: Reader) -> str:
    reader.page.go_back()
    return reader.page.url.partition("#")[0]


def test_the_address_of_a_row_hides_none(fleet: Reader) -> None:
    fleet.page.goto(f"{fleet.page.url}#r-4")
    assert len(visible_ids(fleet)) == 6


def test_a_filter_is_chosen_with_the_keyboard_alone(fleet: Reader) -> None:
    fleet.tab_to(fleet.page.get_by_label("Person", exact=True))
    fleet.page.keyboard.type("bob")
    fleet.page.keyboard.press("Enter")
    expect(fleet.page.get_by_role("status")).to_contain_text("1 of 6 shown")
    assert visible_ids(fleet) == ["r-4"]


@pytest.mark.parametrize("width", [390, 1400])
def test_no_width_has_to_be_scrolled_sideways(index: Reader, width: int) -> None:
    index.page.set_viewport_size({"width": width, "height": 844})
    assert index.page.evaluate("document.documentElement.scrollWidth") == width
    for number in index.page.locator("#numbers > div").all():
        expect(number).to_be_in_viewport()


def test_the_populations_files_are_beside_the_page(index: Reader, reports: Path) -> None:
    for name in ("rollouts.csv", "rollouts.json"):
        expect(index.page.get_by_role("link", name=name)).to_have_attribute("href", name)
        assert (reports / name).read_text(encoding="utf-8").count("r-3")


def test_exceptions_of_duties_are_counted_and_named(index: Reader) -> None:
    expect(index.page.locator("#duties caption")).to_have_text(
        "Segregation of duties: 3 of 3 rollouts with an exception"
    )
    first = index.page.locator("#duties tbody tr").first
    expect(first).to_contain_text("the journal does not say who implemented it")
    expect(first).to_contain_text("not recorded")
