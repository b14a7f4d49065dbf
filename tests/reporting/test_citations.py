"""A page that a message, a docstring, a comment or a page cites exists in this repository."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rollout.gateway.costs import MAY_COST
from rollout.gateway.endpoints import DEFAULTS
from rollout.sandbox.deviations import DEVIATIONS
from tests.support.forks import ROOT

API = ROOT / "docs" / "GATEWAY_API.md"
CITED = re.compile(r"(?<![\w/.-])(?:[\w.-]+/)*[A-Z][\w-]*\.md\b")
"""The name of a page begins with a capital; a file that a run writes (``summary.md``) or a gateway cites does not."""

SOURCES = sorted(
    path
    for pattern in ("rollout/**/*.py", "checks/**/*.py", "bench/**/*.py", "scenarios/*.yaml")
    for path in ROOT.glob(pattern)
)
TESTS = sorted(path for path in ROOT.glob("tests/**/*.py") if path != Path(__file__))
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])


def _cited(path: Path) -> set[str]:
    return set(CITED.findall(path.read_text(encoding="utf-8")))


def _gone(sources: list[Path], folders: list[Path]) -> list[str]:
    cited = [(path, name) for path in sources for name in sorted(_cited(path))]
    return [
        f"{path.relative_to(ROOT)} cites {name}"
        for path, name in cited
        if not any((folder / name).exists() for folder in folders)
    ]


def test_every_page_that_the_sources_cite_exists() -> None:
    """Paths are cited from the root, where a user who reads the message finds the page."""
    assert _gone(SOURCES, [ROOT]) == []


def test_every_page_that_a_test_cites_exists() -> None:
    """A test cites a page from the root or by its name in docs/."""
    assert _gone(TESTS, [ROOT, ROOT / "docs"]) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_page_that_a_page_cites_exists(page: Path) -> None:
    """Cited from the root or, as links are, from the page's own folder."""
    assert _gone([page], [ROOT, page.parent]) == []


def test_what_is_cited_is_found() -> None:
    """The pattern sees a page in a sentence and in a link, and skips what is not a page of the repository."""
    text = 'one in docs/GATEWAY_API.md? [x](CANARY.md) EVIDENCE.md: "/docs/runbooks/auth-failures.md" summary.md'
    assert CITED.findall(text) == ["docs/GATEWAY_API.md", "CANARY.md", "EVIDENCE.md"]


def test_the_page_of_the_api_names_every_call_with_its_path() -> None:
    """Every key of ``paths:``, and its default path."""
    text = API.read_text(encoding="utf-8").partition("## What may cost money")[0]
    rows = {line.split("|")[1].strip().strip("`"): line for line in text.splitlines() if line.startswith("| `")}
    assert [name for name, path in DEFAULTS.items() if name not in rows or path not in rows[name]] == []


def test_the_page_of_the_api_numbers_the_deviations_as_doctor_does() -> None:
    """The list is 1 to 23, as the embedded gateway has it."""
    listed = re.findall(r"^(\d+)\. ", API.read_text(encoding="utf-8"), re.MULTILINE)
    assert [int(number) for number in listed] == sorted(DEVIATIONS)


def test_the_page_of_the_api_names_what_may_cost_as_doctor_does() -> None:
    """The same calls, and the same clauses."""
    part = API.read_text(encoding="utf-8").partition("## What may cost money")[2].partition("\n## ")[0]
    for paid in MAY_COST:
        (row,) = [line for line in part.splitlines() if line.startswith(f"| `{paid.call}`")] or [
            line for line in part.splitlines() if line.startswith(f"| `{paid.method} {DEFAULTS[paid.call]}`")
        ]
        assert [clause for clause in re.findall(r"[A-Z]{3}-[\d.]+\d", paid.clauses) if clause not in row] == []
