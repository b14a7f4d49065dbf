"""Make the pictures in docs/screenshots/ from real runs: ``python docs/screenshots.py`` (needs tmux and Chromium)."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright
from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).parents[1]
PICTURES = ROOT / "docs" / "screenshots"
STORIES = ("quickstart", "slow-provider", "provider-goes-offline", "critical-alert", "canary")
"""Shipped scenarios whose reports' first screens are pictures of their own, beside that of `SCENARIO`."""

SCENARIO = "scenarios/failing-provider.yaml"
BLOCKED = """\
change: {activate: openai, model: gpt-4o}
author: alice
approved_by: [alice]
monitor: {window: 15s}
sandbox:
  faults:
    - {provider: openai, status: offline}
"""
"""A scenario that several prechecks refuse: its author approves it, and the new provider is offline."""

DESK, PHONE = ViewportSize(width=1400, height=900), ViewportSize(width=390, height=844)
COLUMNS, LINES = 118, 40
LONGEST_RUN_S = 120.0
WIDTH = 1240
# The live view once errors are counted, and the last line of the closing block.
BAKING, ENDED = re.compile(r"MON-2 +\w+ +[1-9][\d.]* %"), re.compile(r"report: .*report\.html")


def main() -> None:
    """Run the scenarios, the last one in a terminal, and take the pictures of terminal, report and index."""
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="rollout-screenshots-") as folder, sync_playwright() as playwright:
        reports = Path(folder) / "reports"
        blocked = Path(folder) / "blocked.yaml"
        blocked.write_text(BLOCKED, encoding="utf-8")
        stories = {name: run_scenario(f"scenarios/{name}.yaml", reports) for name in STORIES}
        stories["blocked"] = run_scenario(str(blocked), reports)
        live, end = in_terminal((program("pytest"), f"--scenario={SCENARIO}", f"--reports={reports}"))
        report = max(reports.glob("*/report.html"))
        chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for name, screen in (("terminal-live", live), ("terminal-end", end)):
            shoot_terminal(chromium, screen.replace(str(reports), "reports"), PICTURES / f"{name}.png")
        for name, story in {**stories, "failing-provider": report}.items():
            shoot_first_screen(chromium, story, DESK, PICTURES / f"report-{name}.png")
        shoot_first_screen(chromium, report, PHONE, PICTURES / "report-phone.png")
        shoot_report(chromium, report)
        shoot_index(chromium, reports / "index.html")
        chromium.close()
        shutil.copy(report.with_name("bake.png"), PICTURES / "bake.png")
    for path in sorted(PICTURES.glob("*.png")):
        print(f"{path.relative_to(ROOT)}  {path.stat().st_size / 1024:.0f} KiB")


def run_scenario(scenario: str, reports: Path) -> Path:
    """Run a scenario to its end, and return its report."""
    before = {*reports.glob("*/report.html")}
    command = (program("pytest"), f"--scenario={scenario}", f"--reports={reports}")
    subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, check=False)  # noqa: S603
    (report,) = {*reports.glob("*/report.html")} - before
    return report


def program(name: str) -> str:
    """Return the program of this environment."""
    return str(Path(sys.executable).with_name(name))


def in_terminal(command: tuple[str, ...]) -> tuple[str, str]:
    """Run a command in a terminal of its own; return the screen while it bakes and at its end, with colours."""
    tmux = ("tmux", "-L", f"rollout-{time.monotonic_ns()}")
    size = ("-x", str(COLUMNS), "-y", str(LINES))
    subprocess.run([*tmux, "new-session", "-d", *size, "-c", str(ROOT), *command, ";", "set", "remain-on-exit", "on"], check=True)  # fmt: skip  # noqa: E501, S603
    try:
        return screen_when(tmux, lambda text: len(BAKING.findall(text)) > 0), screen_when(tmux, ENDED.search)
    finally:
        subprocess.run([*tmux, "kill-server"], check=False)  # noqa: S603


def screen_when(tmux: tuple[str, ...], shows: Callable[[str], object]) -> str:
    """Return the screen as soon as it shows something."""
    until = time.monotonic() + LONGEST_RUN_S
    while time.monotonic() < until:
        told = subprocess.run([*tmux, "capture-pane", "-pe"], check=True, capture_output=True, text=True)  # noqa: S603
        if shows(Text.from_ansi(told.stdout).plain):
            return told.stdout
        time.sleep(0.2)
    raise SystemExit(f"the terminal never showed it:\n{told.stdout}")


def shoot_terminal(chromium: Browser, screen: str, path: Path) -> None:
    """Write a picture of a screen with its colours."""
    console = Console(record=True, width=COLUMNS, file=Path("/dev/null").open("w", encoding="utf-8"), force_terminal=True)  # fmt: skip  # noqa: SIM115, E501
    console.print(Text.from_ansi(screen.rstrip()))
    svg = console.export_svg(title="pytest --scenario=scenarios/failing-provider.yaml")
    page = chromium.new_page(viewport={"width": WIDTH, "height": 200})
    page.set_content(f'<body style="margin:0">{svg}</body>')
    page.locator("svg").first.screenshot(path=path)
    page.close()


def shoot_first_screen(chromium: Browser, report: Path, size: ViewportSize, path: Path) -> None:
    """Write the picture of a report's first screen at this size."""
    page = chromium.new_page(viewport=size)
    page.goto(report.as_uri())
    page.get_by_test_id("tree-leaf").first.wait_for()
    settle(page)
    page.screenshot(path=path)
    page.close()


def shoot_report(chromium: Browser, report: Path) -> None:
    """Write the pictures of the report: a check that failed, and the row of the decision."""
    page = chromium.new_page(viewport={"width": WIDTH, "height": 1220})
    page.goto(report.as_uri())
    page.get_by_test_id("tree-leaf").first.wait_for()
    page.get_by_test_id("tree-leaf").filter(has_text="✗").first.click()
    page.get_by_test_id("test-result-attachment-header").first.click()
    settle(page)
    page.screenshot(path=PICTURES / "report-failed-check.png")
    page.go_back()
    page.set_viewport_size({"width": WIDTH, "height": 1800})
    page.get_by_test_id("tree-leaf").filter(has_text="ROLLED BACK").last.click()
    page.frame_locator("[data-testid=test-result-description-frame]").locator("img").wait_for()
    settle(page)
    page.screenshot(path=PICTURES / "report-closure.png")
    page.close()


def shoot_index(chromium: Browser, index: Path) -> None:
    """Write the picture of the page over all rollouts."""
    page = chromium.new_page(viewport={"width": WIDTH, "height": 400})
    page.goto(index.as_uri())
    page.screenshot(path=PICTURES / "index.png", full_page=True)
    page.close()


def settle(page: Page) -> None:
    """Let fonts and animations come to rest."""
    page.wait_for_timeout(1500)


if __name__ == "__main__":
    main()
