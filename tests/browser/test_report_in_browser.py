"""The report opens from disk, uses no network, and shows the verdict first."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from playwright.sync_api import Browser, expect

from rollout.reporting.html import allure_generator
from rollout.reporting.html.assembly import build, collect
from tests.browser.reader import Reader
from tests.support.journaled import BREACH, JournaledRollout


def report(journaled: JournaledRollout) -> Path:
    return build(journaled.rollout.journal, journaled.rollout.id, journaled.rollout.folder, os.environ)


@pytest.fixture
def rolled_back(reports: Path) -> Path:
    return reports / "r-1" / "report.html"


@pytest.fixture
def kept(reports: Path) -> Path:
    return reports / "r-2" / "report.html"


@pytest.fixture
def stranded(reports: Path) -> Path:
    return reports / "r-3" / "report.html"


@contextmanager
def eavesdropper() -> Iterator[tuple[str, list[str]]]:
    """Listen on loopback; yield the URL and the list of the paths that were requested."""
    requested: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requested.append(self.path)
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", requested
    finally:
        server.shutdown()
        server.server_close()


# No requests


def test_the_report_sends_no_request(reader: Reader, rolled_back: Path) -> None:
    reader.open(rolled_back)
    reader.read("ROLLED BACK")
    expect(reader.description).to_contain_text("Kept?")
    assert reader.outside == []


def test_the_page_as_generated_sends_requests(reader: Reader, tmp_path: Path) -> None:
    """The reader records requests: the page as generated calls Google."""
    with JournaledRollout(tmp_path) as journaled:
        journaled.begins("run-1", "precheck")
        journaled.phase("run-1", "precheck")
        work = tmp_path / "work"
        work.mkdir()
        config, results, *_ = collect(journaled.story, tmp_path, work, {})
        page = allure_generator.generate(config, results, os.environ)
    reader.page.goto(page.as_uri())
    assert any("googletagmanager" in url for url in reader.outside)


def test_evidence_cannot_make_the_report_send_a_request(reader: Reader, tmp_path: Path) -> None:
    """A provider's answer is evidence, and its content is not trusted."""
    with eavesdropper() as (url, requested):
        journaled = JournaledRollout(tmp_path)
        journaled.begins("run-1", "precheck")
        journaled.outcome("run-1", "PRE-1.1", "failed", "no")
        evil = f'<img src="{url}/description"><script src="{url}/script"></script><style>@import "{url}/style"</style>'
        attachment = {"name": "evil", "source": "evil.html", "type": "text/html"}
        journaled.write("run-1", "evil.html", evil)
        journaled.result("run-1", "PRE-1.1", "failed", "no", descriptionHtml=evil, attachments=[attachment])
        with journaled:
            reader.open(report(journaled))
        reader.read("PRE-1.1")
        reader.page.get_by_text("evil", exact=True).first.click()
        reader.page.wait_for_timeout(500)
        assert requested == []
    assert reader.outside == []


def test_the_page_has_no_error_on_the_console(reader: Reader, rolled_back: Path) -> None:
    """The content security policy does not break the page."""
    reader.open(rolled_back)
    reader.read("ROLLED BACK")
    expect(reader.description).to_contain_text("Kept?")
    assert reader.complaints == []


# First sight


def test_the_verdict_is_the_first_thing_to_be_seen(reader: Reader, rolled_back: Path) -> None:
    reader.open(rolled_back)
    assert reader.title == "ROLLED BACK, verified: ollama:gemma3:4b → openai:gpt-4o on t"
    reader.page.wait_for_timeout(1500)
    expect(reader.page.get_by_test_id("report-title")).to_be_in_viewport()


def test_what_went_wrong_and_what_was_not_run_is_open_at_first_sight(reader: Reader, rolled_back: Path) -> None:
    reader.open(rolled_back)
    expect(reader.row("MON-2 The error rate")).to_contain_text(BREACH)
    expect(reader.row("ROLLED BACK, verified: MON-2")).to_be_visible()
    not_run = [row for row in reader.rows() if "NOT RUN: MON-2 ended the window" in row]
    assert len(not_run) == 6


def test_a_kept_change_shows_its_phases_and_its_closure_at_first_sight(reader: Reader, kept: Path) -> None:
    reader.open(kept)
    expect(reader.row("KEPT: every clause of the plan passed")).to_be_visible()
    for phase in ("1 Precheck", "2 Apply", "3 Verify", "4 Monitor", "5 Closure"):
        expect(reader.page.get_by_test_id("tree-section").filter(has_text=phase).first).to_be_visible()


def test_the_tree_is_open_at_first_sight_however_long_its_levels_take_to_be_drawn(reader: Reader, kept: Path) -> None:
    # Between any two looks at the clock a second passes, as in a browser that draws a frame a second.
    reader.page.add_init_script("const now = Date.now; let late = 0; Date.now = () => now() + (late += 1000);")
    reader.open(kept)
    expect(reader.row("KEPT: every clause of the plan passed")).to_be_visible()


def test_the_tree_goes_from_rollout_to_phase_to_clause(reader: Reader, rolled_back: Path) -> None:
    reader.open(rolled_back)
    groups = [text.split("\n")[0] for text in reader.page.get_by_test_id("tree-section-title").all_inner_texts()]
    assert groups == [
        "ROLLED BACK, verified · openai:gpt-4o · r-1",
        "1 Precheck",
        "2 Apply",
        "3 Verify",
        "4 Monitor",
        "5 Closure",
    ]


def test_the_closure_has_the_answers_and_the_chart(reader: Reader, rolled_back: Path) -> None:
    reader.open(rolled_back)
    reader.read("ROLLED BACK")
    for question in ("What", "Kept?", "Why", "When", "Who", "Not run"):
        expect(reader.description).to_contain_text(question)
    chart = reader.description.locator("img")
    expect(chart).to_be_visible()
    assert chart.evaluate("image => image.naturalWidth") > 500


# The banner


def test_the_verdict_its_value_and_its_limit_stay_above_whatever_is_open(reader: Reader, rolled_back: Path) -> None:
    reader.open(rolled_back)
    reader.read("MON-3")
    expect(reader.banner).to_be_in_viewport()
    expect(reader.banner.locator("p").first).to_have_text(f"↩ ROLLED BACK, verified: MON-2: {BREACH}")
    expect(reader.answer("Not run")).to_have_text("monitor: MON-1, MON-3, MON-4, MON-5, MON-6, MON-7")


def test_a_failed_rollback_cannot_be_overlooked(reader: Reader, stranded: Path) -> None:
    reader.open(stranded)
    expect(reader.banner).to_contain_text("ROLLBACK FAILED")
    expect(reader.banner).to_contain_text("A PERSON IS NEEDED. Check the gateway, then run:")
    expect(reader.banner.locator("pre")).to_have_text("curl -X POST http://127.0.0.1:1/activate")
    assert reader.banner.evaluate("banner => getComputedStyle(banner).borderStyle") == "double"
    assert reader.page.title().strip() != "owned"
    assert reader.outside == []


def test_the_banner_leads_to_the_documents_and_to_earlier_rollouts_of_the_target(reader: Reader, kept: Path) -> None:
    reader.open(kept)
    expect(reader.answers.get_by_role("link", name="change record")).to_have_attribute("href", "change-record.md")
    reader.answers.get_by_role("link", name="earlier: 2026-11-23 12:00:00Z ROLLED BACK, verified").click()
    expect(reader.banner).to_contain_text(BREACH)
    reader.answers.get_by_role("link", name="all rollouts").click()
    expect(reader.page.get_by_role("heading", name="Rollouts")).to_be_visible()


def test_times_are_utc_wherever_the_reader_is(browser: Browser, rolled_back: Path) -> None:
    context = browser.new_context(timezone_id="Asia/Tokyo")
    reader = Reader(context)
    reader.open(rolled_back)
    expect(reader.page.get_by_test_id("report-data")).to_contain_text("12:00:01 PM UTC")
    context.close()


def test_without_a_script_the_answers_are_there(browser: Browser, rolled_back: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(rolled_back.as_uri())
    for question in ("What", "Kept?", "Why", "When", "Who", "Not run", "Content"):
        expect(page.get_by_role("term").get_by_text(question, exact=True)).to_be_visible()
    context.close()


def test_in_print_the_answers_are_there_and_nothing_is_cut(reader: Reader, rolled_back: Path) -> None:
    reader.open(rolled_back)
    reader.page.emulate_media(media="print")
    expect(reader.answer("Kept?")).to_have_text(
        "no: rolled back and verified: the gateway reports ollama:gemma3:4b active"
    )
    expect(reader.answer("Content")).to_be_visible()
    expect(reader.answers.locator("img")).to_be_visible()
    last = reader.row("ROLLED BACK, verified").last
    assert last.evaluate("row => row.getBoundingClientRect().bottom <= document.documentElement.scrollHeight")


def test_at_twice_the_size_nothing_has_to_be_scrolled_sideways(reader: Reader, rolled_back: Path) -> None:
    """1280 px at 200 % are 640 px for the page."""
    reader.page.set_viewport_size({"width": 640, "height": 500})
    reader.open(rolled_back)
    reader.read("MON-2")
    assert reader.page.evaluate("document.documentElement.scrollWidth") == 640
    pane = reader.page.get_by_test_id("base-layout")
    assert pane.evaluate("pane => pane.scrollWidth <= pane.clientWidth")


def test_categories_are_named_in_the_words_of_a_rollout(reader: Reader, rolled_back: Path) -> None:
    reader.open(rolled_back)
    reader.page.get_by_test_id("nav-tab-categories").click()
    for category in ("Trigger breached", "Rolled back", "Not run"):
        expect(reader.page.get_by_test_id("base-layout").get_by_text(category, exact=True).first).to_be_visible()


def test_a_repeated_check_shows_all_of_its_runs(reader: Reader, tmp_path: Path) -> None:
    with JournaledRollout(tmp_path) as journaled:
        journaled.begins("run-1", "precheck")
        journaled.phase("run-1", "precheck", "PRE-5.4")
        journaled.begins("run-2", "precheck")
        journaled.phase("run-2", "precheck", "PRE-5.4")
        reader.open(report(journaled))
    expect(reader.row("PRE-5.4 The baseline")).to_have_count(2)


def test_the_report_stands_alone(reader: Reader, rolled_back: Path, tmp_path: Path) -> None:
    """It is mailed and attached to tickets without any other file."""
    alone = shutil.copy(rolled_back, tmp_path / "attached to a ticket.html")
    reader.open(Path(alone))
    reader.read("ROLLED BACK")
    expect(reader.description.locator("img")).to_be_visible()
    assert reader.complaints == []
