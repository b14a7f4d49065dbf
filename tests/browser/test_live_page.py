"""`rollout serve` in a browser: the page follows the journal, on a screen and on a phone, and asks nobody else."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from rollout.core.clock import SystemClock, format_utc
from rollout.journal.record import Decision, Kind
from tests.support.journaled import JournaledRollout
from tests.support.runs import ROOT
from tests.support.windows import BACKUP

SECOND_MS = 1000
EVIL = '<img src="http://192.0.2.1/x" onerror="document.title = 1">'


class Watched:
    """A rollout whose window is watched, and its page in a browser.

    Attributes:
        journaled: the rollout.
        page: the open page.
        outside: the URLs of every request to another server.
        complaints: what the browser's console says.
    """

    def __init__(self, browser: Browser, journaled: JournaledRollout, url: str, width: int) -> None:
        """Open the page."""
        self.journaled, self.outside, self.complaints = journaled, list[str](), list[str]()
        self.context = browser.new_context(viewport={"width": width, "height": 900})
        self.context.route(re.compile(f"^(?!{re.escape(url)})"), self._refuse)
        self.page: Page = self.context.new_page()
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(url)
        expect(self.page.locator("article")).to_be_visible()

    def _refuse(self, route: Route) -> None:
        self.outside.append(route.request.url)
        route.abort()

    def row(self, clause: str) -> str:
        """Return a trigger's row as text."""
        return " ".join(self.page.locator("tr", has_text=clause).inner_text().split())


@pytest.fixture
def journaled(tmp_path: Path) -> Iterator[JournaledRollout]:
    with JournaledRollout(tmp_path, clock=SystemClock()) as journaled:
        rollout = journaled.rollout
        rollout.append(Kind.BACKUP, **BACKUP.record())
        journaled.baseline()
        rollout.take_lease()
        rollout.append(Kind.INTENT, step="APP-1.2", direction="forward", to=EVIL)
        rollout.append(Kind.WINDOW, began_at=format_utc(journaled.clock.now()), judge=2, window_s=60.0, extends=True)
        journaled.sample("metrics", 0.0, total=100, failed=0, p95_ms=60.0, samples=100)
        journaled.sample("status", 0.0, status="connected", message=EVIL)
        yield journaled


@pytest.fixture(params=[1400, 390])
def watched(browser: Browser, journaled: JournaledRollout, request: pytest.FixtureRequest) -> Iterator[Watched]:
    reports = journaled.rollout.folder.parent
    command = [sys.executable, "-m", "rollout", "serve", f"--reports={reports}"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            (url,) = re.findall(r"http://127\.0\.0\.1:\d+/", process.stdout.readline())
            opened = Watched(browser, journaled, url, request.param)
            yield opened
            opened.context.close()
            assert opened.outside == []
            assert opened.complaints == []
        finally:
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 0


def test_the_page_follows_the_journal_within_a_second(watched: Watched) -> None:
    page = watched.page
    assert "holding" in watched.row("MON-1 The provider stays connected")
    expect(page.locator("article .word")).to_have_text("BEING WATCHED")
    page.evaluate(
        """() => { window.shown = []; new MutationObserver(() => {
        const row = [...document.querySelectorAll("tr")].find((node) => node.textContent.includes("MON-2 "));
        if (row?.textContent.includes("40.0 %")) window.shown.push(Date.now()); })
        .observe(document.getElementById("live"), { childList: true }); }"""
    )
    watched.journaled.sample("metrics", 1.0, total=600, failed=200, p95_ms=60.0, samples=600)
    written = watched.journaled.clock.now().timestamp() * SECOND_MS
    page.wait_for_function("() => window.shown.length > 0", timeout=10 * SECOND_MS)
    assert page.evaluate("() => window.shown[0]") - written <= SECOND_MS
    assert "inconclusive error rate 40.0 % (32.4-47.9 %)" in watched.row("MON-2")
    expect(page.locator("figure").first).to_contain_text("error rate: 40.0 %, limit 5.00 %")


def test_a_rollout_turns_to_its_end_and_what_is_open_stays_open(watched: Watched) -> None:
    page, journaled = watched.page, watched.journaled
    page.locator("summary").focus()
    page.keyboard.press("Enter")
    expect(page.locator("details")).to_have_attribute("open", "")
    journaled.verdict("MON-2", decided=True, value=0.4, limit=0.05, message="error rate 40.0 % is above 5 %")
    journaled.rollout.append(Kind.ROLLBACK, reason="MON-2")
    expect(page.locator("article .word")).to_have_text("ROLLING BACK")
    journaled.closes(Decision.ROLLED_BACK, "ROLLED BACK, verified", "MON-2: error rate 40.0 % is above 5 %")
    expect(page.locator("article .word")).to_have_text("ROLLED BACK, verified")
    expect(page.locator("details")).to_have_attribute("open", "")
    assert page.evaluate("document.activeElement.tagName") == "SUMMARY", "the keyboard has lost its place"
    assert page.locator("article code").count() == 0, "a closed rollout cannot be aborted"


def test_nothing_overflows_and_nothing_of_others_is_markup(watched: Watched) -> None:
    page = watched.page
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert page.locator("img").count() == 0
    assert page.title() == "Rollouts, live"
    expect(page.locator("summary")).to_contain_text("events of r-1")


def test_a_server_that_has_ended_is_not_taken_for_a_quiet_window(browser: Browser, journaled: JournaledRollout) -> None:
    command = [sys.executable, "-m", "rollout", "serve", f"--reports={journaled.rollout.folder.parent}"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        (url,) = re.findall(r"http://127\.0\.0\.1:\d+/", process.stdout.readline())
        opened = Watched(browser, journaled, url, 1400)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
    expect(opened.page.locator("#trouble")).to_contain_text("what is shown is not up to date")
    opened.context.close()
