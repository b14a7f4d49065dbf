"""The house as ARCHITECTURE.md states it: rooms, names, and the size of a module."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest

from rollout.core.kinds import DEFAULT_KIND
from rollout.gateway import embedded_proof
from rollout.sandbox import files
from tests.support.forks import ROOT

PACKAGE = ROOT / "rollout"
ROOMS = {
    *("approvals", "audit", "changes", "cli", "config", "core", "engine", "gateway", "journal", "monitoring"),
    *("plugin", "reporting", "sandbox", "serve", "testing"),
}
SOURCES = sorted(PACKAGE.rglob("*.py"))
BANNED = {
    *("Occasion", "OCCASION", "Visit", "Letter", "Debt", "Unfit", "Stretch", "LetIn", "Course", "Watched"),
    *("Looks", "Lane", "Holding", "Traces", "Busy", "SomebodyIntervened", "Sealed", "unsealed", "let_in", "let_go"),
    *("where_it_is", "same_place", "announced_write", "passes_over", "spares", "surroundings", "troubled", "barred"),
    *("take_back", "twin_of", "crossed", "fold", "aftermath", "hindsight", "courier", "letters", "letter", "paste"),
    *("told", "Told", "look", "looks", "Look", "past", "Past", "population", "visit", "visits", "whole", "forms"),
    *("Form", "occasion", "dark", "Dark", "way_back", "WayBack", "twin", "hands_off", "let_in", "excused", "excuse"),
}
"""Identifiers of the former vocabulary: those that no reader would find in a book of the field."""


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


def identifiers(tree: ast.AST) -> set[str]:
    """Return the names that a module gives: to classes, functions, arguments, variables and attributes."""
    names: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
                names.add(node.name)
            case ast.arg():
                names.add(node.arg)
            case ast.Name(ctx=ast.Store()):
                names.add(node.id)
            case ast.Attribute(ctx=ast.Store()):
                names.add(node.attr)
            case ast.alias(asname=str()):
                names.add(str(node.asname))
            case _:
                pass
    return names


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_has_no_name_of_the_former_vocabulary(path: Path):
    assert identifiers(ast.parse(path.read_text(encoding="utf-8"))) & BANNED == set()
    assert path.stem not in BANNED


def test_the_former_vocabulary_is_found_wherever_a_name_is_given():
    source = "def told(look, *, past): whole = 1; self.forms = 2\nclass Visit: twin: int\nimport a as paste"
    assert identifiers(ast.parse(source)) >= {"told", "look", "past", "whole", "forms", "Visit", "twin", "paste"}


def test_no_module_is_longer_than_400_lines():
    assert [str(path) for path in SOURCES if len(path.read_text(encoding="utf-8").splitlines()) > 400] == []


def test_95_of_100_functions_have_at_most_25_lines():
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    nodes = [node for path in SOURCES for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))]
    lengths = sorted((node.end_lineno or 0) - node.lineno + 1 for node in nodes if isinstance(node, kinds))
    assert lengths[len(lengths) * 95 // 100] <= 25


def test_the_embedded_gateway_and_its_client_agree_on_its_kind():
    """The sandbox imports nothing of its client."""
    assert files.KIND == embedded_proof.KIND


def test_a_kind_of_gateway_is_named_by_its_driver_and_by_the_constant_of_the_default_only():
    named = []
    for path in SOURCES:
        nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
        names = {node.value for node in nodes if isinstance(node, ast.Constant)}
        names |= {(node.module or "").rpartition(".")[2] for node in nodes if isinstance(node, ast.ImportFrom)}
        if DEFAULT_KIND in names:
            named.append(str(path.relative_to(PACKAGE)))
    assert [name for name in named if not name.startswith("gateway/drivers/")] == ["core/kinds.py"]


def test_the_client_of_a_gateway_is_made_in_one_place():
    """It refuses a target of a kind that it cannot speak to; the conformance kit tries the driver of any kind."""
    made = [
        str(path.relative_to(PACKAGE))
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Gateway"
    ]
    assert [name for name in made if not name.startswith("sandbox/")] == [
        "engine/credentials.py",
        "testing/plugin.py",
        "testing/plugin.py",
    ]
