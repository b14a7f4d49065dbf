"""Server-sent events, as in the HTML standard: gateways stream a completion as them (deviation 17)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

_LINE = re.compile(r"([^\r\n]*)(\r\n|\n|\r|\Z)")
_BOM = "\ufeff"


class Event(NamedTuple):
    """One event.

    Attributes:
        name: ``message`` where it has none.
        data: its lines, joined by line feeds.
        end: the index in the text behind the last line of its name or data.
    """

    name: str
    data: str
    end: int


def events(text: str) -> Iterator[Event]:
    """Yield each event of a text.

    Unlike the standard, an event that the end of the stream cuts off is yielded too: a ``done`` without its blank line
    is a ``done``, and half a JSON is an error when it is parsed.
    """
    name, end = "", 0
    data: list[str] = []
    for start, line in _lines(text):
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            if end:
                yield Event(name or "message", "\n".join(data), end)
            name, data, end = "", [], 0
        elif field in {"event", "data"}:
            end = start + len(line)
            if field == "event":
                name = value
            else:
                data.append(value)


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield where each line starts, and the line; an empty line ends the text."""
    begin = len(_BOM) if text.startswith(_BOM) else 0
    for match in _LINE.finditer(text, begin):
        yield match.start(), match[1]
        if not match[2]:
            break
    yield len(text), ""
