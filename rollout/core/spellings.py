"""Where known texts stand in a text, in whatever spelling.

Escapes (JSON's, Python's, HTML's, URLs', one within another) are not spelt out: the text is resolved step by step, each
step knowing where its characters came from, and every step is searched for the known texts. So it does not matter
which of its characters are escaped, how, or where a line was broken. Base64, base32 and hexadecimal are spelt out.
"""

from __future__ import annotations

import base64
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate, groupby, islice

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
# An escape begins so. Most texts have none.
_BEGIN = re.compile(r"[\\&\r\n]|%[0-9a-fA-F]")
_SHORT = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}
_HEX = re.compile(r"[0-9A-Fa-f][0-9A-Fa-f](?:(?:[:,\s-]{1,3})?(?:0x|\\x)?[0-9A-Fa-f]{2}){5,}[0-9A-Fa-f]?")
_NO_HEX = re.compile(r"0x|[^0-9A-Fa-f]")
_PREFIX = 6

Span = tuple[int, int]

_Piece = tuple[str, int, int]
"""A piece of a text, where it came from, and how long it was there; 0: each character is its own."""


class Spellings:
    """Known texts, to be found. Immutable; safe to share between threads."""

    def __init__(self, texts: Iterable[str], alone: Iterable[str] = ()) -> None:
        """Prepare; `alone` are short texts that count only where no letter or digit is beside them."""
        texts = {part for text in texts for part in (text, *_lines(text))}
        anywhere = {spelt for text in texts for spelt in _spelt(text)}
        as_words = {spelling for text in alone for spelling in {text, _resolved(text)}}
        patterns = (_trie(anywhere) if anywhere else "", _as_words(as_words) if as_words else "")
        self._patterns = tuple(re.compile(pattern) for pattern in patterns if pattern)
        self._digits = tuple({text.encode(errors="replace").hex() for text in texts if len(text) >= SHORTEST_ENCODED})

    def replaced(self, text: str, by: str) -> str:
        """Return the text with each of them replaced."""
        parts, done = [], 0
        for start, end in self.spans(text):
            parts += [text[done:start], by]
            done = end
        return "".join([*parts, text[done:]]) if done else text

    def spans(self, text: str) -> list[Span]:
        """Return where they stand, as (start, end), in order; those that overlap are one."""
        return _merged([view.origin(*span) for view in islice(_views(text), DEPTH) for span in self._here(view.text)])

    def _here(self, text: str) -> Iterator[Span]:
        for pattern in self._patterns:
            yield from (match.span() for match in pattern.finditer(text))
        if self._digits:
            for run in _HEX.finditer(text):
                yield from _within_digits(run[0], run.start(), self._digits)


class _View:
    """A text as one step of resolving leaves it."""

    def __init__(self, text: str, beneath: _View | None = None, pieces: Sequence[_Piece] = ()) -> None:
        """Keep the text, and where its pieces came from; without `beneath` it is the original."""
        self.text, self._beneath, self._pieces = text, beneath, pieces
        self._starts = list(accumulate((len(piece) for piece, _, _ in pieces), initial=0))

    def origin(self, start: int, end: int) -> Span:
        """Return where the characters from `start` to `end` stand in the original."""
        if self._beneath is None:
            return start, end
        return self._beneath.origin(self._at(start)[0], self._at(end - 1)[1])

    def resolved(self) -> _View | None:
        """Return the text with each escape replaced by what it stands for; None if there is none."""
        if not _BEGIN.search(self.text):
            return None
        pieces: list[_Piece] = []
        done = 0
        for match in _ESCAPE.finditer(self.text):
            start, end = match.span()
            pieces += [(self.text[done:start], done, 0), (_meant(match[0]), start, end - start)]
            done = end
        if not done:
            return None
        pieces.append((self.text[done:], done, 0))
        changed = "".join(piece for piece, _, _ in pieces)
        return None if changed == self.text else _View(changed, self, pieces)

    def _at(self, place: int) -> Span:
        index = bisect_right(self._starts, place) - 1
        _, origin, length = self._pieces[index]
        at = origin + place - self._starts[index]
        return (origin, origin + length) if length else (at, at + 1)


def _views(text: str) -> Iterator[_View]:
    """Yield a text as it is, and as each step of resolving leaves it."""
    view: _View | None = _View(text)
    while view:
        yield view
        view = view.resolved()


def _meant(escape: str) -> str:
    """Return what an escape stands for; a line's end, with the indentation after it, for nothing."""
    first = escape[0]
    if first == "&":
        # Its table of names is large, and few texts have such an escape: a watchdog does without.
        import html  # noqa: PLC0415

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
    *_, last = islice(_views(text), DEPTH + 1)
    return last.text


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
    in_base64 = (*_encoded(data, base64.b64encode, 6, 3), *_encoded(data, base64.urlsafe_b64encode, 6, 3))
    in_base32 = _encoded(data, base64.b32encode, 5, 5)
    encoded = {*in_base64, *in_base32, *map(str.lower, in_base32)}
    yield from (each for each in encoded if len(each) >= SHORTEST_ENCODED)


def _encoded(data: bytes, encode: Callable[[bytes], bytes], bits: int, places: int) -> list[str]:
    """Return the characters of `bits` that `data` alone determines, for each place it may start at in a group."""
    return [
        encode(b"\0" * before + data).decode()[-(-8 * before // bits) : 8 * (before + len(data)) // bits]
        for before in range(places)
    ]


def _within_digits(run: str, start: int, digits: Iterable[str]) -> Iterator[Span]:
    """Yield where bytes stand in a run of hexadecimal digits, whatever separates them."""
    plain = _NO_HEX.sub("", run).lower()
    places: list[int] = []
    for sought in digits:
        at = plain.find(sought)
        while at >= 0:
            places = places or _places(run)
            yield start + places[at], start + places[at + len(sought) - 1] + 1
            at = plain.find(sought, at + 1)


def _places(run: str) -> list[int]:
    """Return where the digits stand."""
    blanked = _NO_HEX.sub(lambda other: " " * len(other[0]), run)
    return [place for place, character in enumerate(blanked) if character != " "]


def _trie(texts: Iterable[str]) -> str:
    """Return a pattern that finds any of the texts, the longest first, and tries few of them at each place."""
    return f"(?:{_branches(sorted(texts), 1)})"


def _branches(texts: Iterable[str], depth: int) -> str:
    """Return the alternatives of sorted texts, one for each beginning of `depth` characters."""
    groups = groupby(texts, key=lambda text: text[:depth])
    return "|".join(_branch(prefix, list(some), depth) for prefix, some in groups)


def _branch(prefix: str, texts: list[str], depth: int) -> str:
    if len(texts) == 1 or depth == _PREFIX:
        ends = sorted((text[depth:] for text in texts), key=len, reverse=True)
        return f"{_pattern(prefix[-1])}(?:{'|'.join(map(_pattern, ends))})"
    ended = prefix in texts
    more = _branches((text for text in texts if text != prefix), depth + 1)
    return f"{_pattern(prefix[-1])}(?:{more}){'?' if ended else ''}"


def _pattern(text: str) -> str:
    """Return the pattern of a text; a blank in it may be wrapped, doubled, or a plus sign."""
    return re.sub(r"(?:\\?\s)+", r"[\\s+]*", re.escape(text))


def _as_words(texts: Iterable[str]) -> str:
    longest_first = "|".join(map(_pattern, sorted(texts, key=len, reverse=True)))
    return rf"(?<![A-Za-z0-9])(?:{longest_first})(?![A-Za-z0-9])"


def _merged(spans: list[Span]) -> list[Span]:
    merged: list[Span] = []
    for start, end in sorted(spans):
        if merged and start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged
