"""How a new value is written in YAML: so that YAML 1.1 and 1.2 read it alike."""

from __future__ import annotations

import math
import re
from typing import Any

from rollout.gateway.host.text_tree import FormatError
from rollout.gateway.host.yaml_tree import resolve_tag

_STR = "tag:yaml.org,2002:str"
_PLAIN = re.compile(r"(?![.-]{3})[\w/.](?:[\w./:@+=%*~-]| (?! |#))*")
_NUMBER = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|0o[0-7]+|0x[0-9a-fA-F]+")
"""A number of YAML 1.2, which 1.1 may read as text."""
_WORDS = frozenset({"y", "n"})
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def spell(value: Any, *, style: str = "", inside_brackets: bool = False) -> str:
    """Return a value on one line, a collection in brackets.

    Args:
        value: text, a number, a boolean, None, or a list or mapping of these.
        style: the quote of the value before it, kept where it can hold the new one.
        inside_brackets: whether it stands in a collection in brackets.

    Raises:
        FormatError: a text holds half a Unicode character.
    """
    match value:
        case dict():
            parts = (
                f"{spell(name, inside_brackets=True)}: {spell(each, inside_brackets=True)}"
                for name, each in value.items()
            )
            return f"{{{', '.join(parts)}}}"
        case list():
            return f"[{', '.join(spell(each, inside_brackets=True) for each in value)}]"
        case str():
            return _text(value, style, inside_brackets)
    return _number(value)


def spell_entry(name: str, value: Any, indent: str, newline: str) -> str:
    """Return a key and its value for a mapping in block style; a mapping below it is in block style too."""
    head = f"{indent}{spell(name)}:"
    if isinstance(value, dict) and value:
        lines = (spell_entry(each, inner, f"{indent}  ", newline) for each, inner in value.items())
        return newline.join((head, *lines))
    return f"{head} {spell(value)}"


def _number(value: bool | float | None) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case float() if math.isnan(value):
            return ".nan"
        case float() if math.isinf(value):
            return ".inf" if value > 0 else "-.inf"
    text = repr(value)
    # Without the dot, YAML 1.1 reads text.
    return text.replace("e", ".0e") if "e" in text and "." not in text else text


def _text(value: str, style: str, inside_brackets: bool) -> str:
    if any("\ud800" <= each <= "\udfff" for each in value):
        raise FormatError([(None, "the new value holds half a Unicode character; give the character itself")])
    if style == "'" and value.isprintable():
        return "'" + value.replace("'", "''") + "'"
    if style != '"' and _is_plain(value, inside_brackets):
        return value
    return '"' + "".join(each if each.isprintable() and each not in _ESCAPES else _escape(each) for each in value) + '"'


def _is_plain(value: str, inside_brackets: bool) -> bool:
    if not _PLAIN.fullmatch(value) or not value.isprintable() or value.endswith((" ", ":")) or ": " in value:
        return False
    if inside_brackets and ":" in value:
        return False
    is_ambiguous = value.lower() in _WORDS or _NUMBER.fullmatch(value) is not None
    return not is_ambiguous and resolve_tag(value, is_plain=True) == _STR


def _escape(character: str) -> str:
    # YAML has Python's escapes of single characters.
    return _ESCAPES.get(character) or character.encode("unicode_escape").decode("ascii")
