"""Debian's Chromium, headless; ``.ci/install`` brings it where it is missing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.browser.reader import Reader

# Chromium looks for updates and more at every start; none of that is the page's.
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Start the browser once; without one, CI fails and a developer's run skips."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        if os.environ.get("ROLLOUT_REQUIRE_CHROMIUM"):
            pytest.fail("there is no Chromium; run .ci/install")
        pytest.skip("there is no Chromium; run .ci/install")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=list(QUIET))
        yield started
        started.close()


@pytest.fixture
def reader(browser: Browser) -> Iterator[Reader]:
    """Somebody who opens reports from disk, and notes every request to the outside."""
    context = browser.new_context(viewport={"width": 1400, "height": 1000})
    yield Reader(context)
    context.close()


@pytest.fixture(scope="session")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for reports."""
    return tmp_path_factory.mktemp("browser")
