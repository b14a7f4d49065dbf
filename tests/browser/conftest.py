"""Debian's Chromium, headless; ``.ci/install`` installs it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright

from rollout.journal.record import Decision, Kind
from rollout.reporting.change_record import write_change_record
from rollout.reporting.html.assembly import build
from tests.browser.reader import Reader
from tests.support.chromium import find_chromium
from tests.support.clocks import SimulatedClock
from tests.support.journaled import JournaledRollout, kept, rolled_back

# Without these options Chromium sends requests of its own at every start, such as for updates.
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
    chromium = find_chromium()
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
    """A reader that opens reports from disk, and records every request to the outside."""
    context = browser.new_context(viewport={"width": 1400, "height": 1000})
    yield Reader(context)
    context.close()


EVIL = '<script>document.title = "owned"</script><img src="http://192.0.2.1/x" onerror="document.title = 1">'


@pytest.fixture(scope="session")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the reports of three rollouts in one journal: rolled back (r-1), kept (r-2), a failed rollback (r-3)."""
    folder = tmp_path_factory.mktemp("browser")
    for number, journal in enumerate((rolled_back, kept, stranded), start=1):
        with journal(folder, id=f"r-{number}") as journaled:
            rollout = journaled.rollout
            write_change_record(rollout, rollout.record(), rollout.record().closed or {})
            build(rollout.journal, rollout.id, rollout.folder, os.environ)
    return folder / "reports"


def stranded(folder: Path, **parts: Any) -> JournaledRollout:
    """Return a rollout whose rollback failed, with markup of an attacker in its reason."""
    journaled = JournaledRollout(folder, clock=SimulatedClock(), **parts)
    journaled.begins("run-1")
    journaled.backup()
    journaled.writes("APP-1.2", "forward", "openai:gpt-4o")
    journaled.rollout.append(Kind.ROLLBACK, reason="MON-2: bad")
    journaled.writes("RBK-2.1", "back", "ollama:gemma3:4b", "unknown")
    why = f"MON-2: bad; and the rollback is not verified: {EVIL}"
    journaled.closes(
        Decision.ROLLBACK_FAILED, "ROLLBACK FAILED", why, commands=["curl -X POST http://127.0.0.1:1/activate"]
    )
    return journaled
