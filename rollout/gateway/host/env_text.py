"""The text of a `.env` file, changed key by key; every other byte stays (APP-2.1, RBK-3.1).

python-dotenv, without interpolation, defines what a value means, and it reads every change back before the change is
returned. No message holds a value.
"""

from __future__ import annotations

import io
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Self

from dotenv.parser import Binding, parse_stream

from rollout.core.errors import RolloutError

_BOM = "\ufeff"
_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_NEWLINE = re.compile(r"\r\n|\n|\r")
_BLANK_LINE = re.compile(r"([^\S\r\n]*)(\r\n|\n|\r)")
_LINE = re.compile(r"(.*?)(\r\n|\n|\r)?", re.DOTALL)

# python-dotenv's own grammar, so that a value is found where python-dotenv finds it.
_BINDING = re.compile(r"([^\S\r\n]*(?:export[^\S\r\n]+)?(?:'[^']+'|[^=#\s]+))([^\S\r\n]*)(=[^\S\r\n]*)?(.*)", re.DOTALL)
_QUOTED = re.compile(r"'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"", re.DOTALL)
_UNQUOTED = re.compile(r".*?(?=\s+#|\s*\Z)", re.DOTALL)

# A value with the same meaning in python-dotenv, a shell and systemd.
_BARE = re.compile(r"[A-Za-z0-9_./:@%+,=-]*")
_SPECIAL_IN_SINGLE = re.compile(r"['\\\r\n]")
_SPECIAL_IN_DOUBLE = re.compile(r'["\\$`\r\n]')
_ESCAPED = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r"}


class EnvFileError(RolloutError):
    """The `.env` file cannot be read, or cannot be written so that it reads back equal."""


@dataclass(frozen=True, slots=True)
class _Piece:
    """A line, or the lines of one multi-line value.

    Attributes:
        body: everything but the line ending.
        eol: the line ending; empty at the end of a file without one.
        key: the key that the piece sets; None for comments, blank lines, and what python-dotenv cannot parse.
    """

    body: str
    eol: str
    key: str | None = None

    def with_value(self, spelling: str) -> _Piece:
        """Return the piece with another value, its indentation, `export` and comment kept."""
        head, space, equals, tail = self._parts()
        if equals is None:
            return replace(self, body=f"{head}={spelling}{space}{tail}")
        rest = tail[len(self._value(equals, tail)) :]
        # Without the blank, python-dotenv would read the comment as a part of the value.
        gap = " " if rest.startswith("#") else ""
        return replace(self, body=f"{head}{space}{equals}{spelling}{gap}{rest}")

    @property
    def quote(self) -> str:
        """The quote around its value; empty where there is none."""
        tail = self._parts()[3]
        return tail[:1] if _QUOTED.match(tail) else ""

    @property
    def exported(self) -> bool:
        """Whether a shell that sources the file would export it."""
        return re.match(r"\s*export\s+", self.body) is not None

    def _parts(self) -> tuple[str, str, str | None, str]:
        found = _BINDING.fullmatch(self.body)
        if found is None:
            raise EnvFileError(f"{self.key}: its line in the .env file cannot be understood; set it by hand")
        return found[1], found[2], found[3], found[4]

    @staticmethod
    def _value(equals: str, tail: str) -> str:
        """Return the part of `tail` that is the value as it is written; what follows is a comment."""
        if len(equals) > 1 and tail.startswith("#"):
            return ""
        found = _QUOTED.match(tail) or _UNQUOTED.match(tail)
        return found[0] if found else ""


@dataclass(frozen=True, slots=True)
class _Text:
    """A file in pieces.

    Attributes:
        bom: the byte order mark at the beginning; empty where there is none.
        pieces: joined, they are the file.
        newline: the line ending that a new line gets.
        ends_open: the last line has no line ending.
    """

    bom: str
    pieces: tuple[_Piece, ...]
    newline: str
    ends_open: bool

    @classmethod
    def of(cls, data: bytes) -> Self:
        """Split a file into pieces.

        Raises:
            EnvFileError: it is not UTF-8.
        """
        content = _decoded(data)
        text = content.removeprefix(_BOM)
        pieces = tuple(piece for binding in parse_stream(io.StringIO(text, newline="")) for piece in _split(binding))
        endings = _NEWLINE.findall(text)
        return cls(
            bom=content[: len(content) - len(text)],
            pieces=pieces,
            newline=endings[-1] if endings else "\n",
            ends_open=bool(pieces) and not pieces[-1].eol,
        )

    def __bytes__(self) -> bytes:
        """Join the pieces; a file that ended without a line ending ends without one again."""
        parts = [self.bom]
        for number, piece in enumerate(self.pieces, start=1):
            # A blank line is nothing but its ending.
            open_end = number == len(self.pieces) and self.ends_open and piece.body
            parts += [piece.body, "" if open_end else piece.eol or self.newline]
        return "".join(parts).encode()

    def setting(self, key: str, spelling: str) -> _Text:
        """Return the text with a key's value exchanged in place, or with a new line at the end.

        If the file sets the key several times, only the last line is changed: it alone decides the value that is read,
        and a line in between may refer to an earlier one.
        """
        places = self._places(key)
        if places:
            at = places[-1]
            return replace(
                self, pieces=(*self.pieces[:at], self.pieces[at].with_value(spelling), *self.pieces[at + 1 :])
            )
        keyed = [piece for piece in self.pieces if piece.key is not None]
        export = "export " if keyed and all(piece.exported for piece in keyed) else ""
        return replace(self, pieces=(*self.pieces, _Piece(f"{export}{key}={spelling}", "", key)))

    def quote(self, key: str) -> str:
        """Return the quote around the key's present value; empty where there is none."""
        places = self._places(key)
        return self.pieces[places[-1]].quote if places else ""

    def without(self, keys: Collection[str]) -> _Text:
        """Return the text without these keys."""
        return replace(self, pieces=tuple(piece for piece in self.pieces if piece.key not in keys))

    def with_pieces_of(self, other: _Text, key: str) -> _Text:
        """Return the text with the pieces of `key` from `other`: in place, else after the piece before them there."""
        here, there = self._places(key), other._places(key)
        if len(here) == len(there):
            pieces = list(self.pieces)
            for at, source in zip(here, there, strict=True):
                pieces[at] = replace(other.pieces[source], eol=pieces[at].eol)
            return replace(self, pieces=tuple(pieces))
        text = self.without({key})
        for source in there:
            at = text.after(other.pieces[:source])
            text = replace(text, pieces=(*text.pieces[:at], other.pieces[source], *text.pieces[at:]))
        return text

    def after(self, before: tuple[_Piece, ...]) -> int:
        """Return the place after the nearest of the pieces `before` that is here too."""
        for wanted in reversed(before):
            for at in range(len(self.pieces) - 1, -1, -1):
                here = self.pieces[at]
                if here.key == wanted.key and (wanted.key or (here.body == wanted.body and here.body.strip())):
                    return at + 1
        return 0

    def _places(self, key: str) -> list[int]:
        return [at for at, piece in enumerate(self.pieces) if piece.key == key]


def values(data: bytes) -> dict[str, str | None]:
    """Return what python-dotenv reads from a file of these bytes, without interpolation; None for a key without ``=``.

    Raises:
        EnvFileError: it is not UTF-8.
    """
    _decoded(data)
    # As from a file: line endings are translated, also within quotes.
    stream = io.TextIOWrapper(io.BytesIO(data), encoding="utf-8-sig")
    return {binding.key: binding.value for binding in parse_stream(stream) if binding.key is not None}


def edit(data: bytes, new: Mapping[str, str], remove: Iterable[str] = ()) -> bytes:
    """Return the file with keys set and removed; a key that is not there is appended, and nothing else changes.

    Idempotent: a key that has the value already is not touched. A new value keeps the quotes of the old one where they
    can hold it. Removing a key removes every line of it.

    Args:
        data: the file's bytes.
        new: key -> value.
        remove: keys to remove.

    Raises:
        EnvFileError: a key is no key or is both set and removed, the file is not UTF-8, or a value cannot be written
            so that it reads back equal. The message names the key, never the value.
    """
    gone = tuple(remove)
    _refuse_keys(new, gone)
    result = data
    # Set first: a key that is appended takes the line ending of the lines that are there.
    for key, value in new.items():
        result = _with(result, key, value)
    for key in gone:
        result = _without(result, key)
    return result


def put_back(now: bytes, backup: bytes, keys: Iterable[str]) -> bytes:
    """Return `now` with these keys as the backup has them, or without them, and every other edit kept (RBK-3.1).

    If nothing else was edited, the result is the backup, byte for byte.

    Raises:
        EnvFileError: either file is not UTF-8, or `now` was edited so that the keys cannot be put back into it.
    """
    own = frozenset(keys)
    text, saved = _Text.of(now), _Text.of(backup)
    if text.bom == saved.bom and _same(text.without(own).pieces, saved.without(own).pieces):
        return backup
    found, wanted = values(now), values(backup)
    moved = [key for key in sorted(own) if (key in found, found.get(key)) != (key in wanted, wanted.get(key))]
    for key in moved:
        text = text.with_pieces_of(saved, key)
    result = bytes(text)
    if not _proven(now, result, {key: wanted[key] for key in moved if key in wanted}, own=moved):
        raise EnvFileError(
            f"{', '.join(moved)} cannot be put back: the .env file was edited since, and it would not read as before; "
            "put them back by hand from the backup"
        )
    return result


def _with(data: bytes, key: str, value: str) -> bytes:
    if values(data).get(key) == value:
        return data
    text = _Text.of(data)
    for spelling in _spellings(value, text.quote(key)):
        try:
            changed = bytes(text.setting(key, spelling))
        except UnicodeEncodeError:
            break
        if _proven(data, changed, {key: value}, own={key}):
            return changed
    raise EnvFileError(
        f"{key}: its new value cannot be written to the .env file so that it reads back equal; is there a character in "
        "it that no file can hold, or a quote in the file that is never closed?"
    )


def _without(data: bytes, key: str) -> bytes:
    changed = bytes(_Text.of(data).without({key}))
    if not _proven(data, changed, {}, own={key}):
        raise EnvFileError(
            f"{key} cannot be removed from the .env file so that the rest reads as before; do it by hand"
        )
    return changed


def _proven(before: bytes, after: bytes, wanted: Mapping[str, str | None], *, own: Collection[str]) -> bool:
    """Return whether `after` reads as `wanted`, and the other keys are unchanged in value and text."""
    others = {key: value for key, value in values(before).items() if key not in own}
    if values(after) != {**others, **wanted}:
        return False
    return _same(_Text.of(before).without(own).pieces, _Text.of(after).without(own).pieces)


def _same(one: tuple[_Piece, ...], other: tuple[_Piece, ...]) -> bool:
    """Return whether the pieces are the same; a line ending may be missing on one side, at a former last line."""
    return len(one) == len(other) and all(
        a.body == b.body and (a.eol == b.eol or not a.eol or not b.eol) for a, b in zip(one, other, strict=True)
    )


def _spellings(value: str, quote: str) -> Iterator[str]:
    """Yield the spellings of a value, best first; none for a value with a NUL, which no environment can hold."""
    if "\0" in value:
        return
    bare = _BARE.fullmatch(value)
    single, double = not _SPECIAL_IN_SINGLE.search(value), not _SPECIAL_IN_DOUBLE.search(value)
    spellings = (
        (quote == '"' and double, f'"{value}"'),
        (quote == "'" and single, f"'{value}'"),
        (bare, value),
        (single, f"'{value}'"),
    )
    yield from (spelling for holds_it, spelling in spellings if holds_it)
    yield '"' + "".join(_ESCAPED.get(each, each) for each in value) + '"'


def _split(binding: Binding) -> Iterator[_Piece]:
    """Yield a binding's pieces: python-dotenv counts the blank lines before a binding as a part of it."""
    text = binding.original.string
    while blank := _BLANK_LINE.match(text):
        yield _Piece(blank[1], blank[2])
        text = text[blank.end() :]
    if text and (line := _LINE.fullmatch(text)):
        yield _Piece(line[1], line[2] or "", binding.key)


def _refuse_keys(new: Mapping[str, str], gone: tuple[str, ...]) -> None:
    for key in (*new, *gone):
        if not _KEY.fullmatch(key):
            raise EnvFileError(f"{key!r} cannot be a key of a .env file; use letters, digits and underscores")
        if key in new and key in gone:
            raise EnvFileError(f"{key} is to be set and removed at once; choose one")


def _decoded(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as problem:
        raise EnvFileError(f"the .env file is not UTF-8 (byte {problem.start}); convert it, and try again") from None
