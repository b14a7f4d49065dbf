"""Search everything that a run left for a secret, in each spelling that may occur.

    found(lab.reports, SECRET)       # {"journal.sqlite": {"plain"}, "20261123-…/report.html": {"base64"}}

Pieces of a secret count: half of one is a find.
"""

from __future__ import annotations

import base64
import gzip
import re
import zlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

PIECE = 10
_IN_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{40,}={0,2}")
_URL_SAFE = re.compile(rb"[-_]")
_DEPTH = 3


def spellings(secret: str) -> Mapping[str, str]:
    """Return name -> the secret, as it may be written."""
    found = {"plain": secret, "percent": quote(secret, safe="")}
    for before in range(3):
        encoded = base64.b64encode(b"." * before + secret.encode()).decode()
        # What is in front of it and behind it has a part in the characters at both ends.
        found[f"base64, {before} before"] = encoded[2 * before : -4]
    return found


def leak(*secrets: str) -> str:
    """Return a message of an upstream that repeats them, in every spelling that the suite has to know."""
    parts = []
    for secret in secrets:
        urls = f"https://upstream.example/v1/{quote(secret, safe='')}/x?key={secret}"
        encoded = [base64.b64encode(f"{'.' * before}{secret}:".encode()).decode() for before in range(3)]
        parts.append(f"refused {secret} at {urls}, sent as Basic {' and '.join(encoded)}")
    return "; ".join(parts)


def found(folder: Path, secret: str) -> dict[str, set[str]]:
    """Return path -> the spellings found in it, for every file below the folder."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    assert files, f"{folder} holds no file, so that nothing was searched"
    seen = {str(path.relative_to(folder)): set(within(path.read_bytes(), secret)) for path in files}
    return {name: spelt for name, spelt in seen.items() if spelt}


def within(data: bytes, secret: str) -> Iterator[str]:
    """Yield the spellings in which a piece of the secret stands in some bytes, or in what they carry packed."""
    pieces = {name: _pieces(spelt) for name, spelt in spellings(secret).items()}
    for content in _unpacked(data, _DEPTH):
        yield from (name for name, some in pieces.items() if any(piece in content for piece in some))


def unpacked(data: bytes) -> Iterator[bytes]:
    """Yield the bytes, and whatever they carry packed."""
    yield from _unpacked(data, _DEPTH)


def _pieces(text: str) -> list[bytes]:
    return [text[start : start + PIECE].encode() for start in range(max(1, len(text) - PIECE + 1))]


def _unpacked(data: bytes, depth: int) -> Iterator[bytes]:
    """Yield the bytes, and what stands in them in base64, compressed or both: so a report keeps its attachments."""
    yield data
    if depth == 0:
        return
    for packed in _IN_BASE64.findall(data):
        with suppress(ValueError):
            yield from _unpacked(
                base64.b64decode(packed + b"==", altchars=b"-_" if _URL_SAFE.search(packed) else None), depth - 1
            )
    for unpack in (gzip.decompress, zlib.decompress):
        with suppress(OSError, EOFError, zlib.error):
            yield from _unpacked(unpack(data), depth - 1)
