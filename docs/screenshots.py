"""Make the pictures in docs/screenshots/ from real rollouts of the embedded gateway; it needs tmux and Chromium.

``python -m docs.screenshots`` makes all of them; ``python -m docs.screenshots index live`` makes these two. No picture
shows a journal that was written by hand: each rollout runs, and the killed one is killed.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, ViewportSize, sync_playwright
from rich.console import Console
from rich.text import Text

from docs.screenshot_stories import COLUMNS, DESK, IN_TERMINAL, ROOT, SHIPPED, Studio
from tests.support.chromium import find_chromium

PICTURES = ROOT / "docs" / "screenshots"
WIDTH = 1240
PHONE = ViewportSize(width=390, height=844)
COLOURS = 256
"""How many colours a picture has: enough for pages and charts, in half of the bytes."""


def main() -> None:
    """Make the pictures that are named on the command line, or all."""
    parser = argparse.ArgumentParser(description="Make the pictures in docs/screenshots/ from real rollouts.")
    parser.add_argument("pictures", nargs="*", metavar="PICTURE", help=f"of: {', '.join(SHOTS)} (default: all)")
    names = parser.parse_args().pictures or [*SHOTS]
    if unknown := [name for name in names if name not in SHOTS]:
        parser.error(f"there is no picture {unknown[0]}; there are {', '.join(SHOTS)}")
    with tempfile.TemporaryDirectory(prefix="rollout-screenshots-") as folder, sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=find_chromium(), args=["--no-sandbox"])
        studio = Studio(Path(folder), chromium)
        for name in names:
            path = PICTURES / f"{name}.png"
            SHOTS[name](studio, path)
            reduce_colours(path)
            print(f"{path.relative_to(ROOT)}  {path.stat().st_size / 1024:.0f} KiB", flush=True)
        chromium.close()


def shoot_terminal(studio: Studio, path: Path, *, which: int) -> None:
    """Write a picture of a screen with its colours: of the window (0), or of the end (1)."""
    with Path("/dev/null").open("w", encoding="utf-8") as nowhere:
        console = Console(record=True, width=COLUMNS, file=nowhere, force_terminal=True)
        console.print(Text.from_ansi(studio.terminal()[which].rstrip()))
    svg = console.export_svg(title=f"pytest --scenario=scenarios/{IN_TERMINAL}.yaml")
    page = studio.chromium.new_page(viewport={"width": WIDTH, "height": 200})
    page.set_content(f'<body style="margin:0">{svg}</body>')
    page.locator("svg").first.screenshot(path=path)
    page.close()


def shoot_first_screen(studio: Studio, path: Path, *, story: str, size: ViewportSize = DESK) -> None:
    """Write the picture of a report's first screen at this size."""
    page = open_report(studio, story, size)
    page.screenshot(path=path)
    page.close()


def shoot_failed_check(studio: Studio, path: Path) -> None:
    """Write the picture of a check that failed, opened."""
    page = open_report(studio, IN_TERMINAL, ViewportSize(width=WIDTH, height=1220))
    page.get_by_test_id("tree-leaf").filter(has_text="✗").first.click()
    page.get_by_test_id("test-result-attachment-header").first.click()
    settle(page)
    page.screenshot(path=path)
    page.close()


def shoot_closure(studio: Studio, path: Path) -> None:
    """Write the picture of the row of the decision, opened."""
    page = open_report(studio, IN_TERMINAL, ViewportSize(width=WIDTH, height=1800))
    page.get_by_test_id("tree-leaf").filter(has_text="ROLLED BACK").last.click()
    page.frame_locator("[data-testid=test-result-description-frame]").locator("img").wait_for()
    settle(page)
    page.screenshot(path=path)
    page.close()


def copy_chart(studio: Studio, path: Path) -> None:
    """Copy the chart as a run writes it beside its report."""
    shutil.copy(studio.report(IN_TERMINAL).with_name("bake.png"), path)


def shoot_index(studio: Studio, path: Path) -> None:
    """Write the picture of the page over all rollouts, of some at least."""
    for story in ("quickstart", "emergency", "waived", "blocked", IN_TERMINAL):
        studio.report(story)
    page = studio.chromium.new_page(viewport=DESK)
    page.goto((studio.reports / "index.html").as_uri())
    page.screenshot(path=path)
    page.close()


def copy_live_page(studio: Studio, path: Path) -> None:
    """Copy the picture of the live page, which can be taken in the window only."""
    shutil.copy(studio.watched() / "live.png", path)


def open_report(studio: Studio, story: str, size: ViewportSize) -> Page:
    """Open a story's report once it is at rest."""
    page = studio.chromium.new_page(viewport=size)
    page.goto(studio.report(story).as_uri())
    page.get_by_test_id("tree-leaf").first.wait_for()
    settle(page)
    return page


def settle(page: Page) -> None:
    """Let fonts and animations come to rest."""
    page.wait_for_timeout(1500)


def reduce_colours(path: Path) -> None:
    """Write the picture again with few colours."""
    with Image.open(path) as picture:
        reduced = picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    reduced.save(path, optimize=True)


STORIES = (*SHIPPED, IN_TERMINAL, "blocked", "waived", "owed", "emergency", "killed", "aborted", "in-progress")
SHOTS: Mapping[str, Callable[[Studio, Path], None]] = {
    "terminal-live": partial(shoot_terminal, which=0),
    "terminal-end": partial(shoot_terminal, which=1),
    **{f"report-{story}": partial(shoot_first_screen, story=story) for story in STORIES},
    "report-phone": partial(shoot_first_screen, story=IN_TERMINAL, size=PHONE),
    "report-failed-check": shoot_failed_check,
    "report-closure": shoot_closure,
    "bake": copy_chart,
    "live": copy_live_page,
    "index": shoot_index,
}
"""Picture -> what makes it. The index comes last: it shows every rollout before."""


if __name__ == "__main__":
    main()
