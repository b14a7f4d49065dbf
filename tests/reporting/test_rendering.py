"""Pages are made from templates: no value of theirs is markup, and each shows what cannot be seen."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from jinja2 import UndefinedError

from rollout.core.caller import Caller
from rollout.reporting.html import index
from rollout.reporting.html.verdict import Verdict
from rollout.reporting.rendering import render
from rollout.reporting.rollout_facts import RolloutFacts
from rollout.reporting.segregation import Duties

EVIL = '<script>alert("x")</script>\' onerror=alert(1) \x1b[2J \x9b2J \u202e &amp; {{ 7 * 7 }}'
SHOWN = r"\x1b[2J \u009b2J \u202e &amp;amp; {{ 7 * 7 }}"
LINE = index.Line("r-1", "2026-11-23T12:00:00Z", "t", "a → b", ("alice",), "kept", "KEPT", "why", "", "", "")


def assert_text(page: str) -> None:
    assert SHOWN in page
    for raw in ("<script>alert", "\x1b", "\x9b", "\u202e", "' onerror", '"x"'):
        assert raw not in page


@pytest.mark.parametrize("name", [field.name for field in fields(index.Line) if field.name not in ("state", "opened")])
def test_no_part_of_a_line_is_markup(name: str, tmp_path: Path) -> None:
    duties = Duties(EVIL, (EVIL,), (EVIL,), violations=(EVIL,))
    value = {
        "who": (EVIL,),
        "owed": (EVIL,),
        "exceptions": (EVIL,),
        "inapplicable": (EVIL,),
        "run_by": ((Caller(EVIL, EVIL, EVIL, EVIL), (EVIL,)),),
        "facts": RolloutFacts(EVIL, target=EVIL, kinds=(EVIL,), author=EVIL, duties=duties),
    }.get(name, EVIL)
    assert_text(index.page([replace(LINE, **{name: value})], tmp_path, datetime.now(UTC)))


@pytest.mark.parametrize("file", ["change-record.json", "report.html"])
def test_no_name_of_a_folder_is_markup(file: str, tmp_path: Path) -> None:
    folder = tmp_path / f"release-{EVIL.replace('/', '')}"
    folder.mkdir()
    (folder / file).touch()
    page = index.page([], tmp_path, datetime.now(UTC))
    assert_text(page)


@pytest.mark.parametrize("name", ["What", "When", "Not run", "word", "why", "command", "url", "words"])
def test_no_part_of_the_banner_is_markup(name: str) -> None:
    answers = {"What": "a", "When": "b", "Not run": "c"} | ({name: EVIL} if name[0].isupper() else {})
    standing = replace(Verdict("KEPT", "why", "passed"), **({name: EVIL} if name in ("word", "why") else {}))
    links = [(EVIL if name == "url" else "u", "one"), ("", EVIL if name == "words" else "another")]
    commands = ("first", EVIL if name == "command" else "second")
    banner = {"state": "kept", "sign": "✓", "standing": standing, "also": "", "links": links, "chart": None}
    first, later = ({"What": answers["What"]}, {key: answers[key] for key in ("When", "Not run")})
    assert_text(render("banner.html", commands=commands, first=first, later=later, **banner))


@pytest.mark.parametrize("name", ["question", "answer", "standing"])
def test_no_part_of_the_closure_is_markup(name: str) -> None:
    answers = {EVIL if name == "question" else "Why": EVIL if name == "answer" else "b"}
    standing = Verdict("KEPT", EVIL if name == "standing" else "", "passed")
    assert_text(render("closure.html", answers=answers, standing=standing, chart="AAAA"))


def test_a_value_that_is_not_given_is_an_error() -> None:
    with pytest.raises(UndefinedError, match="'answers' is undefined"):
        render("closure.html", standing="", chart="")
