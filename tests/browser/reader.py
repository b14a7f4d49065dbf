"""Opens a report in a browser, and reads it."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.sync_api import BrowserContext, Locator, Route, expect

# The page fetches its own data from `data:` URLs; requests inside the file are not intercepted.
_MOST_TABS = 40
OUTSIDE = re.compile(r"^(?!file:|data:|blob:|about:)")


class Reader:
    """Opens pages from disk, without a network, and records their requests.

    Attributes:
        outside: the URLs of every request that left the file.
        complaints: the messages of the page on the browser's console, and its errors.
        page: the open page.
    """

    def __init__(self, context: BrowserContext) -> None:
        """Open an empty page; every request to the outside is recorded and aborted."""
        self.outside: list[str] = []
        self.complaints: list[str] = []
        context.route(OUTSIDE, self._record)
        self.page = context.new_page()
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _record(self, route: Route) -> None:
        self.outside.append(route.request.url)
        route.abort()

    def open(self, report: Path) -> None:
        """Open a report from disk and wait for its tree."""
        self.page.goto(report.as_uri())
        tree = self.page.get_by_test_id("tree-section").first
        try:
            expect(tree).to_be_visible(timeout=30_000)
        except AssertionError as error:
            raise AssertionError(f"the page has no tree; its console says {self.complaints}") from error

    @property
    def title(self) -> str:
        """The title of the report."""
        return self.page.get_by_test_id("report-title").inner_text()

    def rows(self) -> list[str]:
        """Return the names of all rows of the tree, as they are open now, and of the groups."""
        return [text.replace("\n", " ") for text in self.page.get_by_test_id("tree-leaf").all_inner_texts()]

    def tab_to(self, wanted: Locator) -> None:
        """Press Tab until the element has the focus, which is visible then."""
        for _ in range(_MOST_TABS):
            self.page.keyboard.press("Tab")
            if wanted.evaluate("element => element === document.activeElement"):
                expect(wanted).to_have_css("outline-style", re.compile("solid|auto"))
                assert wanted.evaluate("element => parseFloat(getComputedStyle(element).outlineWidth)") >= 1
                return
        raise AssertionError(f"the keyboard does not reach {wanted}")

    def row(self, words: str) -> Locator:
        """Return the row with these words."""
        return self.page.get_by_test_id("tree-leaf").filter(has_text=words)

    def read(self, words: str) -> str:
        """Open the row with these words, and return its text."""
        self.row(words).last.click()
        expect(self.page.get_by_text("Overview", exact=True)).to_be_visible()
        return self.page.get_by_test_id("base-layout").inner_text()

    @property
    def banner(self) -> Locator:
        """The banner above every row, with the verdict."""
        return self.page.locator("header.verdict")

    @property
    def answers(self) -> Locator:
        """The part of the first screen below the banner: the answers, the links and the chart."""
        return self.page.locator("section.answers")

    def answer(self, question: str) -> Locator:
        """Return the answer to a question of the first screen."""
        named = self.page.locator("dt", has_text=re.compile(f"^{re.escape(question)}$"))
        return self.answers.locator("dl > div").filter(has=named).locator("dd")

    @property
    def description(self) -> Locator:
        """The open row's description; it stands in a frame of its own."""
        return self.page.frame_locator("[data-testid=test-result-description-frame]").locator("body")
