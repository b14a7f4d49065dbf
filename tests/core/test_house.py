"""The house as ARCHITECTURE.md states it: rooms, names, and the size of a module."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest

from tests.support.forks import ROOT

PACKAGE = ROOT / "rollout"
ROOMS = {
    *("approvals", "audit", "changes", "cli", "config", "core", "engine", "gateway", "journal", "monitoring"),
    *("plugin", "reporting", "sandbox"),
}
SOURCES = sorted(PACKAGE.rglob("*.py"))
BANNED = {
    *("Occasion", "OCCASION", "Visit", "Letter", "Debt", "Wish", "Unfit", "Stretch", "LetIn", "Course", "Watched"),
    *("Looks", "Lane", "Holding", "Traces", "Busy", "SomebodyIntervened", "Sealed", "unsealed", "let_in", "let_go"),
    *("where_it_is", "same_place", "announced_write", "passes_over", "spares", "surroundings", "troubled", "barred"),
    *("take_back", "twin_of", "crossed", "fold", "aftermath", "hindsight", "courier", "letters", "paste", "whole_"),
}
"""Identifiers of the former vocabulary, which are no terms of the field."""

LONGER_THAN_400: set[str] = set()
"""The modules that are still to be split; none is added."""


def test_the_package_holds_three_files_and_the_rooms():
    assert {path.name for path in PACKAGE.glob("*.py")} == {"__init__.py", "__main__.py", "context.py"}
    assert {path.parent.name for path in PACKAGE.glob("*/__init__.py")} == ROOMS


def test_a_rooms_init_is_empty():
    """`rollout emergency` loads only what it needs."""
    inits = [path for path in SOURCES if path.name == "__init__.py" and path.parent != PACKAGE]
    assert [path for path in inits if path.read_text(encoding="utf-8")] == []


@pytest.mark.parametrize("name", ["gateway/bare_http.py", "journal/preempt.py"])
def test_what_an_emergency_needs_first_imports_the_standard_library_only(name: str):
    body = ast.parse((PACKAGE / name).read_text(encoding="utf-8")).body
    plain = {alias.name for node in body if isinstance(node, ast.Import) for alias in node.names}
    named = {node.module or "" for node in body if isinstance(node, ast.ImportFrom)}
    assert {module.partition(".")[0] for module in plain | named} - sys.stdlib_module_names == set()


def test_the_tests_have_the_same_rooms():
    assert ROOMS - {path.name for path in (ROOT / "tests").iterdir() if path.is_dir()} == set()


def test_every_path_that_the_architecture_names_is_there():
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    named = re.findall(r"`((?:rollout|tests|docs|checks|scenarios)/[\w./-]*)`", text)
    assert len(named) > 30
    assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_has_no_name_of_the_former_vocabulary(path: Path):
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    names = {node.name for node in nodes if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))}
    assert names & BANNED == set()
    assert path.stem not in BANNED


def test_no_further_module_is_longer_than_400_lines():
    longer = {
        str(path.relative_to(PACKAGE)) for path in SOURCES if len(path.read_text(encoding="utf-8").splitlines()) > 400
    }
    assert longer - LONGER_THAN_400 == set()
    assert LONGER_THAN_400 - longer == set(), "a module that was split is removed from the list"
