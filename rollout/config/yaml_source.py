"""YAML with line numbers: plain values and where each stood, refusing what no scenario needs."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import yaml

from rollout.config.source import Place, Source
from rollout.core.units import shown

_LARGEST_BYTES = 1_000_000
_MOST_VALUES = 20_000
_DEEPEST = 20
_DEEPEST_NODE = 50
_TAG = "tag:yaml.org,2002:"


class _Refused(Exception):
    """The file is not worth reading on: why, and on which line."""


class _CoreLoader(yaml.SafeLoader):
    """Resolves plain scalars as YAML 1.2 does: ``on``, ``no``, ``1:30``, ``0123`` and dates stay text.

    It gives up at the first event that is too much: a document nested thousands deep takes minutes to be built.
    """

    _depth = 0
    _nodes = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Return the node that begins with the next event.

        Raises:
            _Refused: it is nested too deeply, or one too many.
        """
        self._depth += 1
        self._nodes += 1
        if self._depth > _DEEPEST_NODE:
            _refuse(f"is nested too deeply; {_DEEPEST} levels are the most", self._line())
        # A key is a node too.
        if self._nodes > 2 * _MOST_VALUES:
            _refuse(f"holds more than {_MOST_VALUES:,} values, which no scenario does; write fewer", self._line())
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def _line(self) -> int:
        return int(self.peek_event().start_mark.line) + 1  # type: ignore[no-untyped-call]


_CoreLoader.yaml_implicit_resolvers = {}
for _kind, _pattern, _first in (
    ("null", r"null|Null|NULL|~|", ["n", "N", "~", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    # Longer ones stay text: no setting is that large, and reading them has no bound.
    ("int", r"-?(0|[1-9][0-9]{0,17})", list("-0123456789")),
    ("float", r"-?(0|[1-9][0-9]{0,17})\.[0-9]{1,18}", list("-0123456789")),
):
    _CoreLoader.add_implicit_resolver(_TAG + _kind, re.compile(rf"^(?:{_pattern})$", re.ASCII), _first)


def read_yaml(path: Path, name: str) -> Source:
    """Return the file at `path`, called `name`; what is wrong with it is among its problems, never raised.

    A file without any value has no data.
    """
    source = Source(name)
    try:
        source.data = _document(source, _text(path))
    except _Refused as refused:
        message, line = refused.args
        source.refuse((), message, line=line)
    return source


def _text(path: Path) -> str:
    content = _content(path)
    if len(content) > _LARGEST_BYTES:
        _refuse("is larger than 1 MB, which no scenario is; check the path")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        _refuse(f"is not UTF-8 text (byte 0x{content[error.start]:02x}); save it as UTF-8", line)


def _content(path: Path) -> bytes:
    try:
        if path.is_dir():
            _refuse("is a directory; name a YAML file in it")
        if path.exists() and not path.is_file():
            _refuse("is not a regular file; write the YAML to a file and name that")
        with path.open("rb") as file:
            return file.read(_LARGEST_BYTES + 1)
    except FileNotFoundError:
        _refuse("no such file; check the path, which counts from the current directory")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a usable path"
        _refuse(f"cannot be read ({reason.lower()}); check the path and its permissions")


def _document(source: Source, text: str) -> dict[str, Any]:
    try:
        node = yaml.compose(text, Loader=_CoreLoader)
    except yaml.YAMLError as error:
        _refuse(_plain_words(error), _line_of(error, text))
    except (ValueError, OverflowError):
        # PyYAML lets these through for escapes such as "\UFFFFFFFF".
        _refuse("holds an escape or a directive that YAML does not know; write it as plain text")
    if node is None:
        return {}
    if not isinstance(node, yaml.MappingNode):
        line = node.start_mark.line + 1
        _refuse("is no mapping at its top; write `key: value` lines, as in scenarios/quickstart.yaml", line)
    return _Values(source).mapping(node, ())


def _refuse(message: str, line: int | None = None) -> NoReturn:
    raise _Refused(message, line)


class _Values:
    """Turns YAML nodes into plain values, noting the line of each."""

    def __init__(self, source: Source) -> None:
        """Note lines, spellings and problems in `source`."""
        self._source = source
        self._source.lines[()] = 1
        self._count = 0

    def mapping(self, node: yaml.MappingNode, place: Place) -> dict[str, Any]:
        """Return the mapping; of a key given twice, the first value."""
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
            if key is None or not _is_text(key):
                self._source.refuse(
                    place, "has a key that is not plain text; use one of the documented keys", line=line
                )
            elif key in found:
                first = self._source.lines[*place, key]
                self._source.refuse((*place, key), f"stands twice (first in line {first}); keep one", line=line)
            else:
                found[key] = self._value(value_node, (*place, key), line)
        return found

    def _value(self, node: yaml.Node, place: Place, line: int) -> Any:
        self._count += 1
        self._source.lines[place] = line
        if self._count > _MOST_VALUES:
            _refuse(f"unfolds to more than {_MOST_VALUES:,} values; use fewer anchors and lists", line)
        if len(place) > _DEEPEST:
            _refuse(f"is nested too deeply; {_DEEPEST} levels are the most", line)
        if node.tag not in _TAGS:
            self._source.refuse(place, f"carries the YAML tag {shown(node.tag)}; remove the tag")
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, place)
        if isinstance(node, yaml.SequenceNode):
            return [
                self._value(item, (*place, position), item.start_mark.line + 1)
                for position, item in enumerate(node.value)
            ]
        return self._scalar(node, place)

    def _scalar(self, node: yaml.Node, place: Place) -> Any:
        kind, text = node.tag.removeprefix(_TAG), node.value
        if not _is_text(text):
            self._source.refuse(
                place, "holds half a Unicode character (a surrogate escape); write the character itself"
            )
            return ""
        if kind in _NOT_TEXT:
            self._source.written[place] = text
        try:
            return _SCALARS[kind](text) if kind in _SCALARS else text
        except ValueError:
            self._source.refuse(place, f"is tagged as {kind} and is not one; remove the tag")
            return text


_SCALARS: dict[str, Callable[[str], Any]] = {
    "str": str,
    "null": lambda _: None,
    "bool": lambda text: text.lower() == "true",
    "int": int,
    "float": float,
}
_NOT_TEXT = frozenset({"bool", "int", "float"})
_TAGS = frozenset(_TAG + kind for kind in (*_SCALARS, "map", "seq"))


def _is_text(text: str) -> bool:
    """Return whether `text` can be written down: half a surrogate pair cannot."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _plain_words(error: yaml.YAMLError) -> str:
    problem = getattr(error, "problem", None)
    if problem is None:
        return "holds a character that YAML does not allow (a control character?); remove it"
    if "'\\t'" in problem:
        return "is indented with a tab, which YAML does not allow; use spaces"
    context = getattr(error, "context", None)
    return f"is not valid YAML: {problem}{f' ({context})' if context else ''}; check indentation, colons and quotes"


def _line_of(error: yaml.YAMLError, text: str) -> int | None:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if mark is not None:
        return int(mark.line) + 1
    position = getattr(error, "position", None)
    return text.count("\n", 0, position) + 1 if isinstance(position, int) else None
