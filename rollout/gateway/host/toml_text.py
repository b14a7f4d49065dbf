"""The text of a TOML file, edited by tomlkit, which keeps comments, blanks, quotes and order; tomllib reads it."""

from __future__ import annotations

import json
import re
import tomllib
from itertools import takewhile
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import InlineTable, Item, String, Table

from rollout.gateway.host.text_tree import FormatError, Path, line_of

_PLACE = re.compile(r"\(at line (\d+)")
_TWICE = re.compile(r"twice|overwrite|redefine|mutate", re.IGNORECASE)
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_FAILURES = (TOMLKitError, ValueError, TypeError, LookupError, AttributeError)
"""What tomlkit raises where it cannot do what the text asks for."""
_LONE_NEWLINE = re.compile(r"(?<!\r)\n")


def load(text: str) -> Any:
    """Return what the text holds.

    Raises:
        FormatError: it is no TOML, or a key stands twice.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as problem:
        place = _PLACE.search(str(problem))
        twice = _TWICE.search(str(problem))
        message = "a key or table stands twice; keep one" if twice else "is not valid TOML; check quotes and brackets"
        line_number = int(place[1]) if place else text.count("\n") + 1
        raise FormatError([(line_number, message)]) from None
    except (RecursionError, ValueError):
        raise FormatError([(None, "is nested too deeply, or holds a number that is too long")]) from None


def put(text: str, path: Path, value: Any, spelled: str | None = None) -> str:
    """Return the text with a value exchanged, its comment kept, or with a new key at the end of its table.

    Args:
        text: the file.
        path: the way to the value; all but its last step are there.
        value: what is set.
        spelled: the value as another text spells it.

    Raises:
        FormatError: TOML has no such value, or tomlkit cannot keep the text.
    """
    document = _parse(text)
    try:
        holder = _walk(document, path[:-1])
        has_it = isinstance(path[-1], int) or path[-1] in holder
        old = holder[path[-1]] if has_it else None
        holder[path[-1]] = tomlkit.value(spelled) if spelled else _item(value, old, holder)
    except _FAILURES:
        raise FormatError([(None, "TOML or tomlkit cannot hold the new value there; set it by hand")]) from None
    return _dump(document, text)


def drop(text: str, path: Path) -> str:
    """Return the text without a key, which is there."""
    document = _parse(text)
    try:
        del _walk(document, path[:-1])[path[-1]]
    except _FAILURES:
        raise FormatError([(None, "tomlkit cannot remove it; remove it by hand")]) from None
    return _dump(document, text)


def spelling(text: str, path: Path) -> str | None:
    """Return how the text spells a scalar; None for another value."""
    item = _walk(_parse(text), path)
    is_collection = isinstance(item, dict | list)
    return None if is_collection or not isinstance(item, Item) else item.as_string()


def line(text: str, path: Path) -> int | None:
    """Return the line of a scalar, 1-based: where the text changes with the value; None for another value."""
    if spelling(text, path) is None:
        return None
    changed = put(text, path, None, spelled="[[]]")
    return line_of(text, sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(text, changed, strict=False))))


def comparable(text: str) -> str:
    """Return what of the text two versions are compared by: all but the blanks, of which tomlkit leaves some behind."""
    return "".join(text.split()) + repr(load(text))


def _parse(text: str) -> tomlkit.TOMLDocument:
    try:
        document = tomlkit.parse(text)
        kept = tomlkit.dumps(document) == text
    except (*_FAILURES, RecursionError):
        kept = False
    if not kept:
        raise FormatError([(None, "tomlkit cannot keep every character of it; set it by hand")])
    return document


def _walk(document: tomlkit.TOMLDocument, path: Path) -> Any:
    node: Any = document
    for step in path:
        node = node[step]
    return node


def _item(value: Any, old: Any, holder: Any) -> Any:
    if isinstance(value, str) and _is_literal(old) and value.isprintable() and "'" not in value:
        return tomlkit.value(f"'{value}'")
    is_inline = isinstance(holder, InlineTable | list) or old is not None
    return _table(value) if isinstance(value, dict) and value and not is_inline else tomlkit.value(_spell(value))


def _is_literal(old: Any) -> bool:
    return isinstance(old, String) and old.as_string().startswith("'")


def _table(values: dict[str, Any]) -> Table:
    table = tomlkit.table(is_super_table=all(isinstance(value, dict) and value for value in values.values()))
    for name, value in values.items():
        table[name] = _item(value, None, table)
    return table


def _spell(value: Any) -> str:
    """Return a value on one line; tomlkit would spread a table in a list over several."""
    match value:
        case None:
            raise FormatError([(None, "TOML has no null; remove the key instead")])
        case bool():
            return "true" if value else "false"
        case dict():
            inner = (
                f"{name if _BARE.fullmatch(name) else _text(name)} = {_spell(each)}" for name, each in value.items()
            )
            return f"{{{', '.join(inner)}}}"
        case list():
            return f"[{', '.join(map(_spell, value))}]"
        case str():
            return _text(value)
    return repr(value)


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _dump(document: tomlkit.TOMLDocument, before: str) -> str:
    text = tomlkit.dumps(document)
    has_crlf_only = "\r\n" in before and not _LONE_NEWLINE.search(before)
    return _LONE_NEWLINE.sub("\r\n", text) if has_crlf_only else text
