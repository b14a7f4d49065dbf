"""What cannot be seen is spelt out, a pipeline's commands are words, and only pytest's own styles reach a terminal."""

from __future__ import annotations

import io
import json
from argparse import Namespace

import pytest
from _pytest._io import TerminalWriter
from allure_commons import model2
from hypothesis import given
from hypothesis import strategies as st

from rollout.core.redaction import Redactor
from rollout.core.visible import (
    beneath,
    for_terminal,
    on_one_line,
    seen_through,
    show_all,
    show_commands,
    show_controls,
)
from rollout.plugin.terminal_text import OneLine, guard, refuse_copies
from rollout.reporting.allure import Guard
from rollout.reporting.rendering import render

CLEARS = "\x1b[2J\x1b[H"
FORGED = f"{CLEARS}\x1b[32mKEPT\x1b[0m\r\nexit code: 0 KEPT"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (CLEARS, r"\x1b[2J\x1b[H"),
        ("\x9b2J\x7f\x07\x00", r"\u009b2J\u007f\x07\x00"),
        ("a\tb\nc", "a\tb\nc"),
        ("a\rb", r"a\rb"),
        ("\u202egnp.exe\u2066\u2069", r"\u202egnp.exe\u2066\u2069"),
        ("pro\u200bduction\u2028\u2029\ufeff", r"pro\u200bduction\u2028\u2029\ufeff"),
        ("\U000e0041\ud800", r"\udb40\udc41\ud800"),
        ("ä 中 → ✓ 😀 e\u0301", "ä 中 → ✓ 😀 e\u0301"),
        (r"\x1b[2J", r"\x1b[2J"),
    ],
)
def test_what_cannot_be_seen_is_spelt_out(text, shown):
    """Controls, marks of direction, characters of no width and separators are spelt out, letters of any script stay."""
    assert show_controls(text) == shown


def test_where_it_must_be_one_line_its_breaks_are_spelt_out_too():
    """A text from outside stays on one line."""
    assert on_one_line("a\n\tb\r\n") == r"a\n\tb\r\n"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("::error::no", r"\x3a:error::no"),
        (
            "  ::error file=a.py,line=1::no\n::stop-commands::x",
            "  \\x3a:error file=a.py,line=1::no\n\\x3a:stop-commands::x",
        ),
        (
            "a ##[error]no ##vso[task.complete result=Succeeded;]",
            r"a \x23#[error]no \x23#vso[task.complete result=Succeeded;]",
        ),
        ("##teamcity[buildStatus]", r"\x23#teamcity[buildStatus]"),
        ("::1 is loopback, checks/a.py::test_x, ## heading", "::1 is loopback, checks/a.py::test_x, ## heading"),
    ],
)
def test_a_pipelines_commands_are_words(text, shown):
    """GitHub, Azure DevOps and TeamCity execute lines of a log; those of a text from outside are not executed."""
    assert show_commands(text) == shown


@given(st.text())
def test_no_command_or_control_is_left_and_showing_twice_changes_nothing(text):
    """Every shown character is visible."""
    shown = for_terminal(text)
    assert for_terminal(shown) == shown
    assert not any(each < " " and each not in "\n\t" for each in shown)
    assert "\x9b" not in shown


@given(st.dictionaries(st.text(), st.text()))
def test_what_is_shown_within_json_is_json_still(value):
    """In a document that is JSON already, what is spelt out is an escape of JSON."""
    assert json.loads(show_controls(json.dumps(value, ensure_ascii=False))) == value


def test_every_text_of_a_value_is_shown_and_the_rest_stays():
    """Names and parts of any depth are shown; numbers are what they were."""
    assert show_all({"\x07": [("\x1b", 1, None)], "a": True}) == {r"\x07": [[r"\x1b", 1, None]], "a": True}


def test_a_stream_for_commands_shows_what_it_is_given():
    """Nothing that is printed is executed, and the stream itself remains for code that makes its own styles."""
    out = io.StringIO()
    stream = seen_through(out)
    print(FORGED, file=stream)
    stream.writelines(["::error::x\n"])
    shown = r"\x1b[2J\x1b[H\x1b[32mKEPT\x1b[0m\r"
    assert out.getvalue() == f"{shown}\nexit code: 0 KEPT\n\\x3a:error::x\n"
    assert beneath(stream) is out
    assert beneath(out) is out


# Documents


def test_the_text_of_a_page_is_shown():
    """A page and a test report name what a browser or a reader would obey."""
    page = render("closure.html", answers={FORGED: FORGED}, standing=FORGED, chart="")
    assert r"<b>\x1b[2J" in page
    assert "\x1b" not in page


def test_what_allure_is_given_is_shown():
    """Every message that reaches Allure passes its guard."""
    result = model2.TestResult(
        statusDetails=model2.StatusDetails(message=f"why: {FORGED}"), status=model2.Status.FAILED, name="x\u202e"
    )
    Guard(Redactor(), "t").report_result(result)
    assert result.statusDetails.message.startswith(r"why: \x1b[2J")
    assert result.name == r"x\u202e"


# The terminal of pytest


def written(*, colour: bool) -> tuple[TerminalWriter, io.StringIO]:
    out = io.StringIO()
    writer = TerminalWriter(out)
    writer.hasmarkup = colour
    guard(writer, lambda text: text.replace("hunter2", "[redacted]"))
    return writer, out


@pytest.mark.parametrize("colour", [True, False])
def test_only_pytests_own_styles_reach_a_terminal(colour):
    """A style that pytest makes is sent, one that stands in the text is not, and the redaction is applied."""
    writer, out = written(colour=colour)
    writer.line(f"why: {FORGED} hunter2", red=True, bold=True)
    text = "why: \\x1b[2J\\x1b[H\\x1b[32mKEPT\\x1b[0m\\r\nexit code: 0 KEPT [redacted]"
    assert out.getvalue() == (f"\x1b[31m\x1b[1m{text}\x1b[0m\n" if colour else f"{text}\n")


def test_a_text_that_pytest_has_styled_in_parts_keeps_its_styles():
    """Pytest counts passed and failed in one line, each with its own colour, and writes the line as a text."""
    writer, out = written(colour=True)
    writer.sep("=", f"{writer.markup('1 passed', green=True)}, {writer.markup(CLEARS, red=True)}", fullwidth=60)
    assert "\x1b[32m1 passed\x1b[0m, \x1b[31m\\x1b[2J\\x1b[H\x1b[0m" in out.getvalue()


def test_a_line_of_progress_is_still_written_over():
    """``collecting …`` returns to the line's start, which nothing in the middle of a text may do."""
    writer, out = written(colour=False)
    writer.write("\rcollecting 3 items\rKEPT")
    assert out.getvalue() == "\rcollecting 3 items\\rKEPT"


def test_a_line_of_the_closing_block_is_one_line():
    """The verdict is the first line, and no reason can write another one."""
    writer, out = written(colour=False)
    writer.write_line, writer.write_sep = writer.line, writer.sep
    OneLine(writer).write_line(f"why: {FORGED}")
    OneLine(writer).write_sep("=", "KEPT\n: x")
    assert out.getvalue().count("\n") == 2
    assert r"\r\nexit code: 0 KEPT" in out.getvalue()


@pytest.mark.parametrize(
    ("option", "named"),
    [
        ({"pastebin": "all"}, "--pastebin"),
        ({"debug": "pytestdebug.log"}, "--debug"),
        ({"capture": "tee-sys"}, "--capture=tee-sys"),
    ],
)
def test_what_would_pass_no_redaction_is_refused(option, named):
    """Options that send or write the text of checks are refused before anything is done, and named."""
    with pytest.raises(pytest.UsageError, match=f"^{named} would put out"):
        refuse_copies(Namespace(**{"capture": "fd"} | option))
    refuse_copies(Namespace(capture="fd", pastebin=None, debug=None))
