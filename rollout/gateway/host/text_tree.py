"""Where the values of a text stand: a tree of spans, and edits of collections in brackets (JSON, YAML's flow style)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from rollout.core.errors import RolloutError

Path = tuple[str | int, ...]
"""The way from the top to a value: names of mappings, and numbers of entries of lists."""


class FormatError(RolloutError):
    """A text is not of its format, or a value in it cannot be edited. No message holds a value.

    Attributes:
        problems: the line of each problem, 1-based, None where no line is known, and its message.
    """

    def __init__(self, problems: Iterable[tuple[int | None, str]]) -> None:
        """Keep the problems in the text's order."""
        self.problems = tuple(problems)
        super().__init__("; ".join(message for _, message in self.problems))


@dataclass(slots=True)
class Node:
    """A value of the text.

    Attributes:
        kind: what it is; an alias is YAML's ``*name``.
        start: the index of its first character, behind YAML's anchor and tag.
        end: the index behind its last character.
        style: the quote or ``|`` of a scalar, ``{`` of a collection in brackets, else empty.
        inside_brackets: whether a collection in brackets holds it.
        value: of a scalar, what it reads as.
        entries: of a mapping, by name.
        items: of a list.
        anchor: YAML's ``&name``; of an alias, the name that it refers to.
        target: of an alias, the node that it refers to.
        used_at: of an anchored node, the indexes of its aliases.
    """

    kind: Literal["scalar", "mapping", "list", "alias"]
    start: int
    end: int
    style: str = ""
    inside_brackets: bool = False
    value: Any = None
    entries: dict[str, Entry] = field(default_factory=dict)
    items: list[Node] = field(default_factory=list)
    anchor: str | None = None
    target: Node | None = None
    used_at: list[int] = field(default_factory=list)

    def child(self, step: str | int) -> Node | None:
        """Return the value one step below; None where the text has none."""
        if isinstance(step, int):
            return self.items[step] if step < len(self.items) else None
        return self.entries[step].node if step in self.entries else None


@dataclass(slots=True)
class Entry:
    """A key and its value.

    Attributes:
        start: the index of the key's first character.
        key_end: the index behind the key's last character.
        node: the value.
    """

    start: int
    key_end: int
    node: Node


def line_of(text: str, index: int) -> int:
    """Return the line of a character, 1-based."""
    return text.count("\n", 0, index) + 1


def refuse_at(text: str, index: int, message: str) -> FormatError:
    """Return the error about the value at `index`."""
    return FormatError([(line_of(text, index), message)])


def splice(text: str, start: int, end: int, new: str) -> str:
    """Return the text with one span exchanged."""
    return text[:start] + new + text[end:]


def insert_in_brackets(text: str, node: Node, entry: str) -> str:
    """Return the text with an entry behind the last one of a mapping in brackets, set off as the others are."""
    spans = [(each.start, each.node.end) for each in node.entries.values()]
    if not spans:
        return splice(text, node.start + 1, node.start + 1, entry)
    if len(spans) > 1:
        between = text[spans[-2][1] : spans[-1][0]]
        separator = between if between.strip() == "," else ", "
    else:
        lead = text[node.start + 1 : spans[0][0]]
        separator = f",{lead}" if "\n" in lead and not lead.strip() else ", "
    return splice(text, spans[-1][1], spans[-1][1], separator + entry)


def cut_from_brackets(text: str, node: Node, name: str) -> str:
    """Return the text without an entry of a mapping in brackets."""
    names = list(node.entries)
    at, entry = names.index(name), node.entries[name]
    if len(names) == 1:
        return splice(text, node.start + 1, node.end - 1, "")
    if at == len(names) - 1:
        return splice(text, node.entries[names[at - 1]].node.end, entry.node.end, "")
    return splice(text, entry.start, node.entries[names[at + 1]].start, "")
