"""The body of an answer, decoded piece by piece, with one cap on what was received and on what it decodes to.

httpx decodes each piece completely, through as many codings as the answer names: 1,143 bytes become gigabytes before
they are counted. Here zlib decodes no more than what is left below the cap.
"""

from __future__ import annotations

import zlib

_WINDOW = {"gzip": 16 + zlib.MAX_WBITS, "x-gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}


class Unreadable(Exception):
    """A body that is not read any further; the message is the reason."""


class TooLong(Unreadable):
    """The body, received or decoded, is longer than the cap."""


class Body:
    """One body, fed as it arrives."""

    def __init__(self, coding: str, cap_bytes: int) -> None:
        """Prepare to decode.

        Args:
            coding: the header Content-Encoding, its lines joined by commas; empty where there is none.
            cap_bytes: the most that is received, and the most that it may decode to.

        Raises:
            Unreadable: `coding` names several codings, or one other than gzip and deflate.
        """
        self._coding, self._cap = _only(coding), cap_bytes
        self._received = 0
        self._decoded = bytearray()
        self._inflating = zlib.decompressobj(_WINDOW[self._coding]) if self._coding else None

    @property
    def length(self) -> int:
        """Return how many bytes are decoded so far."""
        return len(self._decoded)

    def feed(self, piece: bytes) -> None:
        """Decode the next bytes of the answer.

        Raises:
            TooLong: the body, received or decoded, is longer than the cap.
            Unreadable: the bytes are not in the coding that the answer names.
        """
        self._received += len(piece)
        if self._received > self._cap:
            raise TooLong
        if self._inflating is None:
            self._decoded += piece
            return
        try:
            self._inflate(piece)
        except zlib.error as problem:
            raise Unreadable(f"is not the {self._coding} that its Content-Encoding announces ({problem})") from None

    def complete(self) -> bytes:
        """Return the decoded body.

        Raises:
            Unreadable: the body ends in the middle of the coding.
        """
        if self._inflating is not None and self._received and not self._inflating.eof:
            raise Unreadable(f"ends in the middle of its {self._coding}")
        return bytes(self._decoded)

    def _inflate(self, piece: bytes) -> None:
        while piece:
            if self._inflating is None or self._inflating.eof:
                # A gzip file may have several members, one after another.
                self._inflating = zlib.decompressobj(_WINDOW[self._coding])
            self._decoded += self._inflated(piece)
            if len(self._decoded) > self._cap:
                raise TooLong
            piece = self._inflating.unconsumed_tail or self._inflating.unused_data

    def _inflated(self, piece: bytes) -> bytes:
        assert self._inflating is not None  # noqa: S101 - for the type checker
        # One byte beyond the cap shows that there is more.
        most = self._cap + 1 - len(self._decoded)
        try:
            return self._inflating.decompress(piece, most)
        except zlib.error:
            if self._coding != "deflate" or self._decoded or self._received > len(piece):
                raise
        # Some servers send deflate without zlib's frame.
        self._inflating = zlib.decompressobj(-zlib.MAX_WBITS)
        return self._inflating.decompress(piece, most)


def _only(named: str) -> str:
    codings = [each for each in (part.strip().casefold() for part in named.split(",")) if each not in ("", "identity")]
    if len(codings) > 1:
        raise Unreadable(
            f"is packed {len(codings)} times (Content-Encoding: {named[:40]!r}), and one coding at most is decoded"
        )
    if codings and codings[0] not in _WINDOW:
        raise Unreadable(f"is packed in a way that was not asked for (Content-Encoding: {codings[0][:40]!r})")
    return codings[0] if codings else ""
