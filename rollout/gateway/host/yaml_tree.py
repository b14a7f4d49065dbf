"""Where the values of a YAML file stand, and what they read as; PyYAML says both.

Plain values are those of YAML 1.1, as PyYAML reads them, but for dates, which stay text. Refused: several documents,
tags that construct objects, keys that stand twice, keys that are no plain text, and too many aliases.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import yaml
from yaml.constructor import SafeConstructor
from yaml.resolver import Resolver

from rollout.gateway.host.text_tree import Entry, FormatError, Node, line_of, refuse_at

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's parser, where PyYAML has it: it marks the same places twenty times as fast."""
_DEEPEST = 50
_MOST_VALUES = 1_000_000
_TAG = "tag:yaml.org,2002:"
_TAGS = frozenset(_TAG + kind for kind in ("str", "int", "float", "bool", "null", "map", "seq"))
_PROPERTIES = re.compile(r"(?:[&!]\S*\s*)*")
MERGE = "<<"


def build_tree(text: str) -> Node | None:
    """Return the text's one document; None where it holds nothing but comments.

    Raises:
        FormatError: it is no YAML, or holds what this module refuses.
    """
    try:
        return _Builder(text).document()
    except yaml.YAMLError as problem:
        mark = getattr(problem, "problem_mark", None) or getattr(problem, "context_mark", None)
        # PyYAML's own words may quote the text, which may be a secret.
        message = "is not valid YAML; check indentation, colons, quotes and control characters"
        raise FormatError([(mark.line + 1 if mark else None, message)]) from None
    except (ValueError, OverflowError):
        raise FormatError([(None, "holds an escape that YAML does not know; write it as plain text")]) from None


class _Builder:
    """Builds the tree from PyYAML's events."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._events: Iterator[Any] = iter(yaml.parse(text, Loader=_LOADER))
        self._anchors: dict[str, Node] = {}
        self._open: list[Node] = []
        self._problems: list[tuple[int | None, str]] = []

    def document(self) -> Node | None:
        root: Node | None = None
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                if root is not None:
                    raise refuse_at(self._text, _index(event.start_mark), "holds several documents; keep one")
                root = self._node(next(self._events), inside_brackets=False)
        if self._problems:
            raise FormatError(self._problems)
        is_empty = root is not None and root.kind == "scalar" and root.start == root.end
        return None if is_empty else root

    def _node(self, event: Any, *, inside_brackets: bool) -> Node:
        start = event.start_mark.index
        if len(self._open) > _DEEPEST:
            raise refuse_at(self._text, start, f"is nested too deeply; {_DEEPEST} levels are the most")
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, inside_brackets)
        if event.tag is not None and event.tag not in _TAGS:
            raise refuse_at(self._text, start, "carries a tag that would construct an object; remove the tag")
        end = event.end_mark.index
        properties = _PROPERTIES.match(self._text, start) if event.anchor or event.tag else None
        start = min(properties.end(), end) if properties and isinstance(event, yaml.ScalarEvent) else start
        if isinstance(event, yaml.ScalarEvent):
            node = self._scalar(event, start, end, inside_brackets)
        else:
            start = properties.end() if properties else start
            node = self._collection(event, start, inside_brackets)
        if event.anchor:
            node.anchor = event.anchor
            self._anchors[event.anchor] = node
        return node

    def _alias(self, event: Any, inside_brackets: bool) -> Node:
        start, end = event.start_mark.index, event.end_mark.index
        target = self._anchors.get(event.anchor)
        if target is None:
            raise refuse_at(self._text, start, "is an alias of an anchor that is not before it; name one that is")
        target.used_at.append(start)
        return Node("alias", start, end, inside_brackets=inside_brackets, anchor=event.anchor, target=target)

    def _scalar(self, event: Any, start: int, end: int, inside_brackets: bool) -> Node:
        style = event.style or ""
        if style in ("|", ">") and style:
            end = start + len(self._text[start:end].rstrip(" \r\n"))
        node = Node("scalar", start, end, style, inside_brackets)
        node.value = _scalar_value(event)
        return node

    def _collection(self, event: Any, start: int, inside_brackets: bool) -> Node:
        is_mapping = isinstance(event, yaml.MappingStartEvent)
        style = "{" if event.flow_style else ""
        node = Node("mapping" if is_mapping else "list", start, start, style, inside_brackets)
        self._open.append(node)
        ends = yaml.MappingEndEvent if is_mapping else yaml.SequenceEndEvent
        while not isinstance(inner := next(self._events), ends):
            if is_mapping:
                node.end = self._add_entry(node, inner)
            else:
                node.items.append(self._node(inner, inside_brackets=inside_brackets or bool(style)))
                node.end = node.items[-1].end
        self._open.pop()
        # A block has no end of its own: PyYAML says where the next token begins.
        node.end = _index(inner.end_mark) if style else node.end
        return node

    def _add_entry(self, node: Node, event: Any) -> int:
        inside = node.inside_brackets or bool(node.style)
        start, key_end = _index(event.start_mark), _index(event.end_mark)
        if not isinstance(event, yaml.ScalarEvent):
            raise refuse_at(self._text, start, "has a key that is no plain text; use text")
        name = event.value
        child = self._node(next(self._events), inside_brackets=inside)
        if name in node.entries:
            first = line_of(self._text, node.entries[name].start)
            message = f"{json.dumps(name)} stands twice (first in line {first}); keep one"
            self._problems.append((line_of(self._text, start), message))
        node.entries[name] = Entry(start, key_end, child)
        return child.end


def _index(mark: Any) -> int:
    return int(mark.index)


def _scalar_value(event: Any) -> Any:
    tag = event.tag or resolve_tag(event.value, is_plain=event.implicit[0])
    node = yaml.ScalarNode(tag, event.value)
    make: Any = _MAKERS.get(tag.removeprefix(_TAG))
    try:
        return make(SafeConstructor(), node) if make else event.value
    except (ValueError, KeyError, IndexError):
        return event.value  # not even PyYAML reads it so


def resolve_tag(text: str, *, is_plain: bool) -> str:
    """Return the tag by which YAML 1.1 reads a scalar without one."""
    resolver: Any = Resolver()
    return str(resolver.resolve(yaml.ScalarNode, text, (is_plain, not is_plain)))


_MAKERS = {
    "int": SafeConstructor.construct_yaml_int,
    "float": SafeConstructor.construct_yaml_float,
    "bool": SafeConstructor.construct_yaml_bool,
    "null": SafeConstructor.construct_yaml_null,
}


def unfold(text: str, root: Node) -> Any:
    """Return what a node reads as: aliases followed, merges applied, nothing shared.

    Raises:
        FormatError: an alias is inside of its own anchor, or the aliases unfold to too many values.
    """
    return _Unfolding(text).value(root)


class _Unfolding:
    def __init__(self, text: str) -> None:
        self._text = text
        self._count = 0
        self._open: set[int] = set()

    def value(self, node: Node) -> Any:
        self._count += 1
        if self._count > _MOST_VALUES:
            raise refuse_at(self._text, node.start, f"unfolds to more than {_MOST_VALUES:,} values; use fewer aliases")
        if node.kind == "scalar":
            return node.value
        if id(node) in self._open:
            raise refuse_at(self._text, node.start, "holds an alias of itself; remove the alias")
        self._open.add(id(node))
        try:
            return self._collection(node)
        finally:
            self._open.discard(id(node))

    def _collection(self, node: Node) -> Any:
        if node.target is not None:
            return self.value(node.target)
        if node.kind == "list":
            return [self.value(item) for item in node.items]
        merged: dict[str, Any] = {}
        if MERGE in node.entries:
            source = node.entries[MERGE].node
            found = self.value(source)
            for each in reversed(found if isinstance(found, list) else [found]):
                if not isinstance(each, dict):
                    raise refuse_at(self._text, source.start, "merges (<<) what is no mapping; name a mapping")
                merged |= each
        own = {name: self.value(entry.node) for name, entry in node.entries.items() if name != MERGE}
        return merged | own
