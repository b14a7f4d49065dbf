"""The first page of a printed report has the verdict, the answers and the chart; a PDF reader says so."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pypdf import PageObject, PdfReader

from tests.browser.reader import Reader
from tests.support.journaled import BREACH


def printed(reader: Reader, report: Path, to: Path) -> PdfReader:
    """Print a report on A4 as Chromium does, and return the PDF."""
    reader.open(report)
    reader.page.pdf(path=to, format="A4", tagged=True)
    return PdfReader(to)


def text_of(page: PageObject) -> str:
    """Return a page's text without line ends and ligatures."""
    return " ".join(unicodedata.normalize("NFKC", page.extract_text()).split())


def figures(pdf: PdfReader, page: PageObject) -> list[str]:
    """Return what the figures of a page are said to show, from the document's structure."""

    def walk(node: Any) -> Iterator[str]:
        node = node.get_object()
        if isinstance(node, list):
            for each in node:
                yield from walk(each)
        elif isinstance(node, dict):
            if node.get("/S") == "/Figure" and node["/Pg"] == page.get_object():
                yield str(node["/Alt"])
            if "/K" in node:
                yield from walk(node["/K"])

    return [*walk(pdf.root_object["/StructTreeRoot"])]


@pytest.mark.parametrize(
    ("rollout", "words"),
    [
        (
            "r-1",
            (
                f"ROLLED BACK, verified: MON-2: {BREACH}",
                "What ollama:gemma3:4b → openai:gpt-4o on t",
                "Kept? no: rolled back and verified: the gateway reports ollama:gemma3:4b active",
                "Failed MON-2 The error rate stays at or below the limit",
                "Who author alice; approved by bob",
                "When opened 2026-11-23 12:00:00Z",
                "Not run monitor: MON-1, MON-3, MON-4, MON-5, MON-6, MON-7",
                "Content SHA-256",
            ),
        ),
        ("r-3", ("ROLLBACK FAILED", "A PERSON IS NEEDED", "curl -X POST http://127.0.0.1:1/activate")),
    ],
)
def test_the_first_page_has_the_verdict_and_the_answers(
    reader: Reader, reports: Path, tmp_path: Path, rollout: str, words: tuple[str, ...]
) -> None:
    page = text_of(printed(reader, reports / rollout / "report.html", tmp_path / "report.pdf").pages[0])
    for expected in words:
        assert expected in page, f"{expected!r} is not on the first page: {page}"


def test_the_first_page_has_the_chart(reader: Reader, reports: Path, tmp_path: Path) -> None:
    pdf = printed(reader, reports / "r-1" / "report.html", tmp_path / "report.pdf")
    assert figures(pdf, pdf.pages[0]) == [f"The chart of the bake time: ROLLED BACK, verified: MON-2: {BREACH}"]


def test_the_pages_after_it_have_what_failed_and_what_was_not_run(
    reader: Reader, reports: Path, tmp_path: Path
) -> None:
    pdf = printed(reader, reports / "r-1" / "report.html", tmp_path / "report.pdf")
    later = " ".join(text_of(page) for page in pdf.pages[1:])
    for clause in ("MON-1", "MON-2", "MON-7"):
        assert f"{clause} The" in later or f"{clause} No" in later, later
