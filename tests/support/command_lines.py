"""The command lines of the documents, in blocks and in prose, and the commands that a shell makes of one."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import NamedTuple

from tests.support.documents import DOCUMENTS, Passage, blocks_of, console_commands, cron_commands, pipeline_commands
from tests.support.forks import ROOT

_PROGRAMS = ("rollout", "pytest", "tox", "curl", "exec", ".ci/run", ".venv/bin/rollout", ".venv/bin/pytest")
_INLINE = re.compile(r"(?P<ticks>`+)(?P<code>(?:(?!\n\s*\n).)+?)(?P=ticks)", re.DOTALL)
_OPERATORS = "();<>|&\n"
_CONTINUED = re.compile(r"\\\n\s*")
_COMMENT = re.compile(r"(?:^|\s)#\s.*$", re.MULTILINE)
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=.*", re.DOTALL)
_KEYWORDS = frozenset({"exec", "do", "then", "{", "}", "!"})


class CommandLine(NamedTuple):
    """One command line of a document.

    Attributes:
        passage: its place and text.
        is_mention: it stands in a sentence, which may name a command without the arguments that it needs.
    """

    passage: Passage
    is_mention: bool


def command_lines() -> Iterator[CommandLine]:
    """Yield every command line of the documents: of consoles, pipelines, crontabs and sentences."""
    for passages in (console_commands(), pipeline_commands(), cron_commands()):
        yield from (CommandLine(passage, is_mention=False) for passage in passages)
    for path in DOCUMENTS:
        mentions = inline_commands_of(str(path.relative_to(ROOT)), path.read_text(encoding="utf-8"))
        yield from (CommandLine(passage, is_mention=True) for passage in mentions)


def inline_commands_of(file: str, text: str) -> Iterator[Passage]:
    """Yield the inline code of a document's text that is a command line: a program of ours with an argument."""
    prose = _without_blocks(file, text)
    for match in _INLINE.finditer(prose):
        # In a table a bar is written with a backslash.
        code = " ".join(match["code"].replace("\\|", "|").split())
        program, _, arguments = code.partition(" ")
        if (program in _PROGRAMS and arguments) or code.startswith(("python -m ", "python3 -m ")):
            yield Passage(file, prose.count("\n", 0, match.start()) + 1, code)


def commands_in(text: str) -> list[list[str]]:
    """Return the commands of a shell's text, as lists of arguments; no keywords, assignments and redirections.

    What a command substitution within double quotes runs is not among them.

    Raises:
        ValueError: a quotation has no end.
    """
    lexer = shlex.shlex(_COMMENT.sub("", _CONTINUED.sub(" ", text)), posix=True, punctuation_chars=_OPERATORS)
    lexer.whitespace, lexer.whitespace_split, lexer.commenters = " \t\r", True, ""
    commands: list[list[str]] = [[]]
    is_redirected = False
    for word in lexer:
        if set(word) <= set("<>&") and set(word) & set("<>"):
            if commands[-1] and commands[-1][-1].isdecimal():
                commands[-1].pop()
            is_redirected = True
        elif word and set(word) <= set(_OPERATORS):
            commands.append([])
        elif is_redirected:
            is_redirected = False
        elif commands[-1] or not (word in _KEYWORDS or _ASSIGNMENT.fullmatch(word)):
            commands[-1].append(word)
    return [command for command in commands if command]


def _without_blocks(file: str, text: str) -> str:
    """Return a document's text with empty lines in the place of its blocks."""
    lines = text.splitlines()
    for block in blocks_of(file, text):
        first = block.passage.line - 1
        last = first + block.passage.text.count("\n")
        # With the fences, which stand around it.
        lines[first - 1 : last + 1] = [""] * (last - first + 2)
    return "\n".join(lines)
