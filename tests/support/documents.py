"""The fenced blocks of the documents, and the command lines in them.

    for file, line, text in console_commands():  # README.md, 92, .venv/bin/pytest --scenario=…
        …

A block or a command line whose kind nothing here knows is in none of them: `languages` names the kinds in use, and
`tests/test_documented_yaml.py` refuses another one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

import yaml

from tests.support.forks import ROOT

DOCUMENTS = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")))

_FENCE = re.compile(r"(?P<indent> *)(?P<fence>`{3,}|~{3,})\s*(?P<language>[^`\s]*)[^`]*")
_SCRIPTS = frozenset({"run", "before_script", "script", "after_script"})
"""Keys of a pipeline below which command lines stand, alone (GitHub Actions) or as a list (GitLab)."""


class Passage(NamedTuple):
    """A part of a document.

    Attributes:
        file: the document, as its path from the root of the project.
        line: the first line of the text, 1-based.
        text: the text, without the fences and their indentation.
    """

    file: str
    line: int
    text: str

    def __str__(self) -> str:
        """Return its place, as a message names it."""
        return f"{self.file}:{self.line}"


class Block(NamedTuple):
    """A fenced block: the word behind its first fence, empty for none, and what stands in it."""

    language: str
    passage: Passage


def fenced_blocks() -> Iterator[Block]:
    """Yield every fenced block of the documents."""
    for path in DOCUMENTS:
        yield from blocks_of(str(path.relative_to(ROOT)), path.read_text(encoding="utf-8"))


def languages() -> set[str]:
    """Return the languages of the documents' blocks."""
    return {block.language for block in fenced_blocks()}


def yaml_blocks() -> Iterator[Passage]:
    """Yield every block of YAML."""
    return _blocks_in("yaml")


def console_commands() -> Iterator[Passage]:
    """Yield every command line of a console: what stands behind ``$ ``, to its end on a later line."""
    return (command for block in _blocks_in("console") for command in commands_of(block))


def pipeline_commands() -> Iterator[Passage]:
    """Yield every text that a pipeline of the documents hands to a shell."""
    return (command for block in yaml_blocks() for command in scripts_of(block))


def cron_commands() -> Iterator[Passage]:
    """Yield every command line of a crontab, without its five fields of time."""
    for file, first, text in _blocks_in("cron"):
        for number, line in enumerate(text.splitlines()):
            if line.strip() and not line.startswith("#"):
                yield Passage(file, first + number, line.split(maxsplit=5)[5])


def blocks_of(file: str, text: str) -> Iterator[Block]:
    """Yield the fenced blocks of a document's text.

    Raises:
        ValueError: a block has no end.
    """
    opened: re.Match[str] | None = None
    first, inside = 0, list[str]()
    for number, line in enumerate(text.splitlines(), 1):
        match = _FENCE.fullmatch(line)
        if opened is None:
            opened, first, inside = match, number + 1, []
        elif match and match["fence"].startswith(opened["fence"]) and not match["language"]:
            yield Block(opened["language"], Passage(file, first, "".join(inside)))
            opened = None
        else:
            inside.append(line.removeprefix(opened["indent"]) + "\n")
    if opened is not None:
        raise ValueError(f"{file}:{first - 1}: the block has no end")


def commands_of(block: Passage) -> Iterator[Passage]:
    """Yield the command lines of a console's block; a line that ends in a backslash is continued by the next one."""
    lines = block.text.splitlines()
    for number, line in enumerate(lines):
        if line.startswith("$ "):
            last = next(end for end in range(number, len(lines)) if not lines[end].endswith("\\"))
            text = "\n".join([line.removeprefix("$ "), *lines[number + 1 : last + 1]])
            yield Passage(block.file, block.line + number, text)


def scripts_of(block: Passage) -> Iterator[Passage]:
    """Yield the texts that a pipeline's block hands to a shell; nothing for any other YAML."""
    for node in _scripts_in(yaml.compose(block.text, Loader=yaml.SafeLoader)):
        # The text of a block scalar begins below its `|`.
        below = node.start_mark.line + (1 if node.style in {"|", ">"} else 0)
        yield Passage(block.file, block.line + below, node.value)


def _scripts_in(node: yaml.Node | None, *, is_script: bool = False) -> Iterator[yaml.ScalarNode]:
    if isinstance(node, yaml.ScalarNode) and is_script:
        yield node
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _scripts_in(item, is_script=is_script)
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from _scripts_in(value, is_script=key.value in _SCRIPTS)


def _blocks_in(language: str) -> Iterator[Passage]:
    return (block.passage for block in fenced_blocks() if block.language == language)
