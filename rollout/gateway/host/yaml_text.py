"""The text of a YAML file, edited value by value; comments, quotes, anchors, order and line ends stay."""

from __future__ import annotations

import re
from typing import Any

from rollout.gateway.host.text_tree import (
    Entry,
    Node,
    Path,
    cut_from_brackets,
    insert_in_brackets,
    line_of,
    refuse_at,
    splice,
)
from rollout.gateway.host.yaml_spelling import spell, spell_entry
from rollout.gateway.host.yaml_tree import MERGE, build_tree, unfold

_COLON = re.compile(r"\s*:")


def load(text: str) -> Any:
    """Return what the text holds; an empty mapping where it holds nothing but comments.

    Raises:
        FormatError: it is no YAML, or holds what `yaml_tree` refuses.
    """
    root = build_tree(text)
    return {} if root is None else unfold(text, root)


def put(text: str, path: Path, value: Any, spelled: str | None = None) -> str:
    """Return the text with a value exchanged in its own style, or with a new key behind the last one of its mapping.

    Args:
        text: the file.
        path: the way to the value; all but its last step are there.
        value: what is set.
        spelled: the value as another text spells it.

    Raises:
        FormatError: the value is read through an alias, or an alias refers to it.
    """
    root = build_tree(text)
    if root is None:
        return _first_entry(text, str(path[-1]), value)
    parent = _walk(text, root, path[:-1])
    old = parent.child(path[-1])
    if old is None:
        return _insert(text, parent, str(path[-1]), value, spelled)
    _refuse_shared(text, old)
    new = spelled or spell(value, style=old.style, inside_brackets=old.inside_brackets)
    return _exchange(text, parent, path[-1], new)


def drop(text: str, path: Path) -> str:
    """Return the text without a key, which is there, and without the comment in its line.

    Raises:
        FormatError: the key is merged into its mapping (``<<``), or is read through an alias.
    """
    root = build_tree(text)
    parent = root if root is None else _walk(text, root, path[:-1])
    entry = parent.entries.get(str(path[-1])) if parent is not None else None
    if root is None or parent is None or entry is None:
        at = parent.start if parent is not None else 0
        raise refuse_at(text, at, f"comes from a merge ({MERGE}); remove it where it is written")
    if parent.style:
        return cut_from_brackets(text, parent, str(path[-1]))
    if len(parent.entries) > 1:
        return _cut_lines(text, parent, entry)
    # The comment goes with the last key, as with any other.
    text = splice(text, parent.end, _line_end(text, parent.end), "")
    if parent is root:
        return splice(text, parent.start, parent.end, "{}")
    return _exchange(text, _walk(text, root, path[:-2]), path[-2], "{}")


def spelling(text: str, path: Path) -> str | None:
    """Return how the text spells a scalar in one line; None for another value."""
    root = build_tree(text)
    node: Node | None = root
    for step in path:
        node = node.child(step) if node is not None else None
    if node is None or node.kind != "scalar" or node.style in ("|", ">"):
        return None
    spelled = text[node.start : node.end]
    return spelled if spelled and "\n" not in spelled else None


def line(text: str, path: Path) -> int | None:
    """Return the line of a value, 1-based; None where the text has no such value of its own."""
    node = build_tree(text)
    for step in path:
        node = node.child(step) if node is not None else None
    return None if node is None else line_of(text, node.start)


def comparable(text: str) -> str:
    """Return what of the text two versions are compared by: all of it, but for the line end at its end."""
    return text.removesuffix("\n").removesuffix("\r")


def _walk(text: str, root: Node, path: Path) -> Node:
    node = root
    for step in path:
        child = node.child(step)
        if child is None:
            raise refuse_at(text, node.start, f"is read through a merge ({MERGE}); edit it where it is written")
        if child.kind == "alias":
            message = f"is read through the alias *{child.anchor}; edit it where the anchor &{child.anchor} is"
            raise refuse_at(text, child.start, message)
        _refuse_shared(text, child)
        node = child
    return node


def _refuse_shared(text: str, node: Node) -> None:
    if node.used_at and node.kind != "alias":
        lines = ", ".join(str(line_of(text, at)) for at in node.used_at)
        message = f"needs the anchor &{node.anchor}, which line {lines} reads too; write the value there, not the alias"
        raise refuse_at(text, node.start, message)


def _exchange(text: str, parent: Node, step: str | int, new: str) -> str:
    """Return the text with the value at `step` exchanged for `new`, which is one line."""
    old = parent.child(step)
    if old is None:
        raise refuse_at(text, parent.start, "has no such value")
    start = old.start
    is_block = old.kind in ("mapping", "list") and not old.style
    if is_block and isinstance(step, str):
        entry = parent.entries[step]
        colon = _COLON.match(text, entry.key_end)
        # A value in brackets may not begin where a list may, at the indentation of its own key.
        if colon and not text[colon.end() : start].strip():
            start = colon.end()
    before = text[start - 1 : start]
    return splice(text, start, old.end, f" {new}" if before in (":", "-", "?", ",") else new)


def _insert(text: str, parent: Node, name: str, value: Any, spelled: str | None) -> str:
    if parent.kind != "mapping":
        raise refuse_at(text, parent.start, "is no mapping")
    if parent.style or not parent.entries:
        entry = f"{spell(name, inside_brackets=True)}: {spelled or spell(value, inside_brackets=True)}"
        return insert_in_brackets(text, parent, entry)
    first, *_, last = *parent.entries.values(), *parent.entries.values()
    indent = " " * (first.start - _line_start(text, first.start))
    at = _line_end(text, last.node.end)
    newline = _newline(text[at : at + 2] or text)
    new = f"{indent}{spell(name)}: {spelled}" if spelled else spell_entry(name, value, indent, newline)
    return splice(text, at, at, newline + new)


def _first_entry(text: str, name: str, value: Any) -> str:
    newline = _newline(text)
    gap = newline if text and not text.endswith("\n") else ""
    return f"{text}{gap}{spell_entry(name, value, '', newline)}{newline}"


def _cut_lines(text: str, parent: Node, entry: Entry) -> str:
    start, end = _line_start(text, entry.start), _line_end(text, entry.node.end)
    if text[start : entry.start].strip():
        # The line begins an entry of a list: its dash stays.
        later = [each.start for each in parent.entries.values() if each.start > entry.start]
        joins = later and not text[entry.node.end : later[0]].strip()
        if joins:
            return splice(text, entry.start, later[0], "")
        return text[: entry.start].rstrip(" ") + text[end:]
    if end < len(text):
        return splice(text, start, text.index("\n", end) + 1, "")
    # The last line: a file that ends without a line end ends without one again.
    return text[:start].removesuffix("\n").removesuffix("\r")


def _line_start(text: str, at: int) -> int:
    return text.rfind("\n", 0, at) + 1


def _line_end(text: str, at: int) -> int:
    end = text.find("\n", at)
    end = len(text) if end < 0 else end
    return end - 1 if text[max(at, end - 1) : end] == "\r" else end


def _newline(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"
