r"""Text from outside, with its control characters spelt out: terminals, pages and pipelines' logs would obey them.

An escape sequence in an alert could clear the screen and write a verdict; marks that turn the direction of writing, and
characters of no width, could make two names appear alike; a line that begins with ``::error::`` is a command to
GitHub's runner. So ``\x1b[2J`` stands where the sequence would.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, TextIO, cast

ANY_LINE = "\n\t"
"""The control characters that a text of several lines keeps."""

_UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u0600-\u0605\u061c\u06dd\u070f\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\ud800-\uf8ff\ufeff\ufff0-\ufffb\ufffe\uffff\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U0010ffff]"
)
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
# `::error file=a.py::text`; `##[error]text` anywhere; Azure's `##vso[task.complete]` and TeamCity's likewise.
_COMMAND = re.compile(r"^(\s*):(:[A-Za-z][\w-]*(?: [^\n]*?)?::)|#(#(?:vso|teamcity)?\[)", re.MULTILINE)


def show_controls(text: str, *, keep: str = ANY_LINE) -> str:
    r"""Return the text with every character that cannot be seen spelt out: ``\x1b``, ``\u202e``.

    Args:
        text: from outside the suite.
        keep: the characters that stay; line feed and tab, or none where it must be one line.
    """
    return _UNSEEN.sub(lambda found: found[0] if found[0] in keep else _spelt(found[0]), text)


def show_commands(text: str) -> str:
    r"""Return the text with the commands of a pipeline's log spelt out: ``\x3a:error::`` for ``::error::``."""
    return _COMMAND.sub(lambda found: f"{found[1]}\\x3a{found[2]}" if found[2] else f"\\x23{found[3]}", text)


def for_terminal(text: str) -> str:
    """Return the text as it is safe for a terminal and for the log of a pipeline."""
    return show_commands(show_controls(text))


def on_one_line(text: str) -> str:
    """Return the text as `for_terminal` does, on one line."""
    return show_commands(show_controls(text, keep=""))


def show_all(value: Any) -> Any:
    """Return a copy of JSON types in which every text shows its controls."""
    if isinstance(value, str):
        return show_controls(value)
    if isinstance(value, Mapping):
        return {show_controls(str(key)): show_all(part) for key, part in value.items()}
    return [show_all(part) for part in value] if isinstance(value, (list, tuple)) else value


def seen_through(stream: TextIO, through: Callable[[str], str] = str) -> TextIO:
    """Return a stream over `stream` for commands that print text from outside; its control characters are spelt out.

    Args:
        stream: where it goes.
        through: applied to the text before it is shown, such as a redaction.
    """
    return cast("TextIO", _Seen(stream, through))


def beneath(stream: TextIO) -> TextIO:
    """Return the stream itself, for code that writes its own styles and spells out controls by itself."""
    return stream.beneath if isinstance(stream, _Seen) else stream


class _Seen:
    """A stream that spells out the control characters of its text."""

    def __init__(self, stream: TextIO, through: Callable[[str], str]) -> None:
        """Write to `stream`."""
        self.beneath, self._through = stream, through

    def write(self, text: str) -> int:
        """Write the text with its controls spelt out; return its length."""
        self.beneath.write(for_terminal(self._through(text)))
        return len(text)

    def writelines(self, lines: Any) -> None:
        """Write the lines with their controls spelt out."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        """Return any other attribute of the stream itself."""
        return getattr(self.beneath, name)


def _spelt(character: str) -> str:
    """Spell a character out as Python and JSON read it."""
    if character in _SHORT:
        return _SHORT[character]
    if character < " ":
        return f"\\x{ord(character):02x}"
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
