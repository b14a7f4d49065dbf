"""Where known texts stand in a text, in whatever spelling.

Escapes (JSON's, Python's, HTML's, URLs', one within another) are not spelt out: the text is resolved step by step, each
step knowing where its characters came from, and every step is searched for the known texts. So it does not matter
which of its characters are escaped, how, or where a line was broken. Base64, base32 and hexadecimal are spelt out.
"""

from __future__ import annotations

import base64
import html
import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

DEPTH = 6
"""How many escapes within one another are resolved."""

BOUND_BELOW = 8
"""Shorter texts that were only found somewhere are searched for as words of their own."""

SHORTEST_ENCODED = 6
"""What an encoding leaves of a short text occurs by chance."""

SHORTEST_LINE = 20
"""Of a text of several lines, longer lines are searched for by themselves too."""

_ESCAPE = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    r"|\\u[0-9a-fA-F]{4}|\\u\{[0-9a-fA-F]{1,6}\}|\\U[0-9a-fA-F]{8}|\\x[0-9a-fA-F]{2}|\\[nrtbf!-/:-@\[-`{-~]"
    r"|&\#\d{1,7};|&\#[xX][0-9a-fA-F]{1,6};|&[A-Za-z][A-Za-z0-9]{1,30};"
    r"|%[0-7][0-9a-fA-F]|%[c-dC-D][0-9a-fA-F]%[89abAB][0-9a-fA-F]|%[eE][0-9a-fA-F](?:%[89abAB][0-9a-fA-F]){2}"
    r"|%[fF][0-7](?:%[89abAB][0-9a-fA-F]){3}"
    r"|(?:\r\n|\n|\r)[ \t]*"
)
_SHORT = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}
_HEX = re.compile(r"[0-9A-Fa-f][0-9A-Fa-f](?:(?:[:,\s-]{1,3})?(?:0x|\\x)?[0-9A-Fa-f]{2}){5,}[0-9A-Fa-f]?")
_NO_HEX = re.compile(r"0x|[^0-9A-Fa-f]")
_PREFIX = 6

Span = tuple[int, int]

_Piece = tuple[int, int, int]
"""Where a piece of a text starts, where it came from, and how long it was there; 0: each character is its own."""


class _Sought(NamedTuple):
    """What is searched for: as it is, as a word of its own, and as the digits of its bytes."""

    anywhere: re.Pattern[str] | None
    alone: re.Pattern[str] | None
    digits: tuple[str, ...]


class Spellings:
    """Known texts, to be found. Immutable; safe to share between threads."""

    def __init__(self, texts: Iterable[str], alone: Iterable[str] = ()) -> None:
        """Prepare; `alone` are short texts that count only where no letter or digit is beside them."""
        texts = {part for text in texts for part in (text, *_lines(text))}
        anywhere = {spelt for text in texts for spelt in _spelt(text)}
        self._sought = _Sought(
            anywhere=re.compile(_trie(anywhere)) if anywhere else None,
            alone=_as_words({spelling for text in alone for spelling in {text, _resolved(text)}}),
            digits=tuple({text.encode(errors="replace").hex() for text in texts if len(text) >= SHORTEST_ENCODED}),
        )

    def replaced(self, text: str, by: str) -> str:
        """Return the text with each of them replaced."""
        parts, done = [], 0
        for start, end in self.spans(text):
            parts += [text[done:start], by]
            done = end
        return "".join([*parts, text[done:]]) if done else text

    def spans(self, text: str) -> list[Span]:
        """Return where they stand, as (start, end), in order; those that overlap are one."""
        found: list[Span] = []
        view: _View | None = _View(text)
        for _ in range(DEPTH):
            if view is None:
                break
            found += [view.origin(*span) for span in self._here(view.text)]
            view = view.resolved()
        return _merged(found)

    def _here(self, text: str) -> Iterator[Span]:
        for pattern in (self._sought.anywhere, self._sought.alone):
            if pattern is not None:
                yield from (match.span() for match in pattern.finditer(text))
        if self._sought.digits:
            for run in _HEX.finditer(text):
                yield from _within_digits(run[0], run.start(), self._sought.digits)


class _View:
    """A text as one step of resolving leaves it."""

    def __init__(self, text: str, beneath: _View | None = None, pieces: Sequence[_Piece] = ()) -> None:
        """Keep the text, and where its pieces came from; without `beneath` it is the original."""
        self.text, self._beneath, self._pieces = text, beneath, pieces
        self._starts = [start for start, _, _ in self._pieces]

    def origin(self, start: int, end: int) -> Span:
        """Return where the characters from `start` to `end` stand in the original."""
        if self._beneath is None:
            return start, end
        return self._beneath.origin(self._at(start)[0], self._at(end - 1)[1])

    def resolved(self) -> _View | None:
        """Return the text with each escape replaced by what it stands for; None if there is none."""
        parts: list[str] = []
        pieces: list[_Piece] = []
        length = done = 0
        for match in _ESCAPE.finditer(self.text):
            start, end = match.span()
            if start > done:
                pieces.append((length, done, 0))
                parts.append(self.text[done:start])
                length += start - done
            if meant := _meant(match[0]):
                pieces.append((length, start, end - start))
                parts.append(meant)
                length += len(meant)
            done = end
        if not done:
            return None
        pieces.append((length, done, 0))
        parts.append(self.text[done:])
        changed = "".join(parts)
        return None if changed == self.text else _View(changed, self, pieces)

    def _at(self, place: int) -> Span:
        start, origin, length = self._pieces[bisect_right(self._starts, place) - 1]
        return (origin, origin + length) if length else (origin + place - start, origin + place - start + 1)


def _meant(escape: str) -> str:
    """Return what an escape stands for; a line's end, with the indentation after it, for nothing."""
    first = escape[0]
    if first == "&":
        return html.unescape(escape)
    if first == "%":
        return bytes.fromhex(escape.replace("%", "")).decode(errors="replace")
    if first != "\\":
        return ""
    if escape[1] not in "uUx":
        return _SHORT.get(escape[1], escape[1])
    numbers = [int(each, 16) for each in re.split(r"\\[uUx]", escape.replace("{", "").replace("}", ""))[1:]]
    if len(numbers) == 2:  # noqa: PLR2004 - a surrogate pair
        return chr(0x10000 + ((numbers[0] - 0xD800) << 10) + (numbers[1] - 0xDC00))
    return chr(numbers[0]) if numbers[0] <= 0x10FFFF else escape  # noqa: PLR2004 - the last code point


def _resolved(text: str) -> str:
    view: _View | None = _View(text)
    last = text
    for _ in range(DEPTH):
        view = view and view.resolved()
        last = view.text if view else last
    return last


def _lines(text: str) -> Iterator[str]:
    """Yield the long lines of a text of several: a key is quoted by pieces."""
    lines = [line.strip() for line in text.strip().splitlines()]
    if len(lines) > 1:
        yield from (line for line in lines if len(line) >= SHORTEST_LINE)


def _spelt(text: str) -> Iterator[str]:
    """Yield a text as it is searched for in each step, and as binary encodings spell it."""
    yield from {text.strip(), _resolved(text).strip()}
    if not text.isascii():
        # `repr` of its bytes, resolved character by character.
        yield text.encode(errors="replace").decode("latin-1")
    data = text.encode(errors="replace")
    for encoded in {*_in_base64(data), *_in_base32(data)}:
        if len(encoded) >= SHORTEST_ENCODED:
            yield encoded


def _in_base64(data: bytes) -> Iterator[str]:
    """Yield the characters that `data` alone determines, for each of the three places it may start at in a group."""
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + data).decode()
        own = encoded[-(-8 * before // 6) : 8 * (before + len(data)) // 6]
        yield own
        yield own.replace("+", "-").replace("/", "_")


def _in_base32(data: bytes) -> Iterator[str]:
    for before in range(5):
        encoded = base64.b32encode(b"\0" * before + data).decode()
        own = encoded[-(-8 * before // 5) : 8 * (before + len(data)) // 5]
        yield own
        yield own.lower()


def _within_digits(run: str, start: int, digits: Iterable[str]) -> Iterator[Span]:
    """Yield where bytes stand in a run of hexadecimal digits, whatever separates them."""
    plain = _NO_HEX.sub("", run).lower()
    places: list[int] = []
    for sought in digits:
        at = plain.find(sought)
        while at >= 0:
            places = places or list(_places(run))
            yield start + places[at], start + places[at + len(sought) - 1] + 1
            at = plain.find(sought, at + 1)


def _places(run: str) -> Iterator[int]:
    """Yield where the digits stand."""
    done = 0
    for other in _NO_HEX.finditer(run):
        yield from range(done, other.start())
        done = other.end()
    yield from range(done, len(run))


def _trie(texts: Iterable[str]) -> str:
    """Return a pattern that finds any of the texts, the longest first, and tries few of them at each place."""
    by_prefix: defaultdict[str, list[str]] = defaultdict(list)
    for text in texts:
        by_prefix[text[:1]].append(text)
    return f"(?:{'|'.join(_branch(first, some, 1) for first, some in sorted(by_prefix.items()))})"


def _branch(prefix: str, texts: list[str], depth: int) -> str:
    if len(texts) == 1 or depth == _PREFIX:
        ends = sorted((text[depth:] for text in texts), key=len, reverse=True)
        return f"{_pattern(prefix[-1])}(?:{'|'.join(map(_pattern, ends))})"
    by_next: defaultdict[str, list[str]] = defaultdict(list)
    for text in texts:
        by_next[text[: depth + 1]].append(text)
    ended = by_next.pop(prefix, None)
    more = "|".join(_branch(longer, some, depth + 1) for longer, some in sorted(by_next.items()))
    return f"{_pattern(prefix[-1])}(?:{more}){'?' if ended else ''}"


def _pattern(text: str) -> str:
    """Return the pattern of a text; a blank in it may be wrapped, doubled, or a plus sign."""
    return re.sub(r"(?:\\?\s)+", r"[\\s+]*", re.escape(text))


def _as_words(texts: set[str]) -> re.Pattern[str] | None:
    if not texts:
        return None
    longest_first = "|".join(map(_pattern, sorted(texts, key=len, reverse=True)))
    return re.compile(rf"(?<![A-Za-z0-9])(?:{longest_first})(?![A-Za-z0-9])")


def _merged(spans: list[Span]) -> list[Span]:
    merged: list[Span] = []
    for start, end in sorted(spans):
        if merged and start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged
