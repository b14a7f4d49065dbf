"""The text of a JSON file, edited value by value; every other character stays.

The standard library reads the text and says where each value ends.
"""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

from rollout.gateway.host.text_tree import (
    Entry,
    FormatError,
    Node,
    Path,
    cut_from_brackets,
    insert_in_brackets,
    line_of,
    refuse_at,
    splice,
)

_DEEPEST = 100
_SPACE = re.compile(r"[ \t\r\n]*")


def load(text: str) -> Any:
    """Return what the text holds.

    Raises:
        FormatError: it is no JSON, or a key stands twice.
    """
    return _load(text)[0]


def put(text: str, path: Path, value: Any, spelled: str | None = None) -> str:
    """Return the text with a value exchanged, or with a new key behind the last one of its mapping.

    Args:
        text: the file.
        path: the way to the value; all but its last step are there.
        value: what is set.
        spelled: the value as another text spells it.

    Raises:
        FormatError: JSON has no such value.
    """
    new = spelled or _spell(value)
    parent = _node(text, path[:-1])
    old = parent.child(path[-1])
    if old is not None:
        return splice(text, old.start, old.end, new)
    return insert_in_brackets(text, parent, f"{_spell(path[-1])}: {new}")


def drop(text: str, path: Path) -> str:
    """Return the text without a key, which is there."""
    return cut_from_brackets(text, _node(text, path[:-1]), str(path[-1]))


def spelling(text: str, path: Path) -> str | None:
    """Return how the text spells a scalar; None for a collection."""
    node = _node(text, path)
    return text[node.start : node.end] if node.kind == "scalar" else None


def line(text: str, path: Path) -> int | None:
    """Return the line of a value, 1-based."""
    return line_of(text, _node(text, path).start)


def comparable(text: str) -> str:
    """Return what of the text two versions are compared by: all of it."""
    return text


def _load(text: str) -> tuple[Any, Node]:
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as problem:
        raise FormatError([(problem.lineno, f"is not valid JSON ({problem.msg}); correct it")]) from None
    except RecursionError:
        raise FormatError([(None, f"is nested too deeply; {_DEEPEST} levels are the most")]) from None
    except ValueError:  # a number of more digits than Python reads
        raise FormatError([(None, "holds a number that is too long; shorten it")]) from None
    problems: list[tuple[int | None, str]] = []
    root = _locate(text, 0, 0, problems)
    if problems:
        raise FormatError(problems)
    return value, root


def _refuse_constant(name: str) -> NoReturn:
    raise FormatError([(None, f"holds {name}, which JSON does not have; write a number or null")])


def _node(text: str, path: Path) -> Node:
    node = _load(text)[1]
    for step in path:
        child = node.child(step)
        if child is None:
            raise refuse_at(text, node.start, "has no such value")
        node = child
    return node


def _locate(text: str, at: int, depth: int, problems: list[tuple[int | None, str]]) -> Node:
    """Return the value that begins behind the blanks at `at`; the text is valid JSON."""
    start = _past_space(text, at)
    if depth > _DEEPEST:
        raise refuse_at(text, start, f"is nested too deeply; {_DEEPEST} levels are the most")
    if text[start] not in "{[":
        value, end = json.JSONDecoder().raw_decode(text, start)
        return Node("scalar", start, end, value=value)
    node = Node("mapping" if text[start] == "{" else "list", start, start, "{")
    at = _past_space(text, start + 1)
    while text[at] not in "}]":
        if node.kind == "mapping":
            at = _add_entry(text, at, node, depth, problems)
        else:
            node.items.append(_locate(text, at, depth + 1, problems))
            at = node.items[-1].end
        at = _past_space(text, at)
        at = _past_space(text, at + 1) if text[at] == "," else at
    node.end = at + 1
    return node


def _add_entry(text: str, at: int, node: Node, depth: int, problems: list[tuple[int | None, str]]) -> int:
    """Add the entry at `at` to a mapping, and return the index behind it."""
    name, key_end = json.JSONDecoder().raw_decode(text, at)
    child = _locate(text, _past_space(text, key_end) + 1, depth + 1, problems)
    if name in node.entries:
        first = line_of(text, node.entries[name].start)
        problems.append((line_of(text, at), f"{json.dumps(name)} stands twice (first in line {first}); keep one"))
    node.entries[name] = Entry(at, key_end, child)
    return child.end


def _past_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _spell(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except ValueError:
        raise FormatError([(None, "JSON has no such number; give a finite one")]) from None
