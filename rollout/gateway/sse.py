"""Server-sent events, as in the HTML standard: some gateways answer a chat with them (deviation 17)."""

from __future__ import annotations

import re
from collections.abc import Iterator

_LINE = re.compile(r"\r\n|\n|\r")


def events(text: str) -> Iterator[tuple[str, str]]:
    """Yield each event's name, ``message`` where it has none, and its data.

    Unlike the standard, an event that the end of the stream cuts off is yielded too: a ``done`` without its blank line
    is a ``done``, and half a JSON is an error when it is parsed.
    """
    name, begun = "", False
    data: list[str] = []
    for line in (*_LINE.split(text.removeprefix("\ufeff")), ""):
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            if begun:
                yield name or "message", "\n".join(data)
            name, data, begun = "", [], False
        elif field == "event":
            name, begun = value, True
        elif field == "data":
            data.append(value)
            begun = True
