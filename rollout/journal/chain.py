"""The chain: each entry carries the SHA-256 of its content and of its predecessor's hash.

An unkeyed chain does not show a tail that was cut off, an entry that was appended by the rules, and a chain that was
recomputed from some entry to its end. A copy of the last hash kept elsewhere, as in a seal, shows these too.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from rollout.core.canonical_json import sha256
from rollout.core.errors import JournalError

GENESIS = "0" * 64
"""The predecessor of the first entry."""

RECONCILED = "reconciled"
"""The kind of an entry that holds another one, which was spooled while the journal could not be reached."""

_FACTS = ("fence", "spool", "spooled")

encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode
"""The canonical JSON of what `json.loads` returns, as `rollout.core.canonical_json.canonical` has it of any value."""


class Row(Protocol):
    """An entry as the database keeps it, a tuple with names: `body` is canonical JSON text."""

    seq: int
    rollout: str
    at: str
    kind: str
    body: str
    prev: str
    hash: str

    def __iter__(self) -> Iterator[Any]:
        """Yield the values in the order of the names."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the journal.

    Attributes:
        seq: its place, contiguous from 1 over all rollouts of the journal.
        rollout: the rollout's id.
        at: when it was written, UTC, ISO 8601 with milliseconds.
        kind: what sort of entry.
        body: its content, as JSON types; redacted.
        prev: the predecessor's hash; 64 zeros for the first.
        hash: SHA-256 over the canonical JSON of all of the above.
    """

    seq: int
    rollout: str
    at: str
    kind: str
    body: Mapping[str, Any]
    prev: str
    hash: str

    @classmethod
    def following(cls, last: tuple[int, str], *, rollout: str, at: str, kind: str, body: Mapping[str, Any]) -> Entry:
        """Return the entry that continues the chain after `last`, the number and hash of its predecessor."""
        seq, prev = last[0] + 1, last[1]
        return cls(seq, rollout, at, kind, body, prev, _digest(seq, rollout, at, kind, body, prev))

    @classmethod
    def of(cls, row: Row) -> Entry:
        """Return the entry that a row holds.

        Raises:
            JournalError: its body is not JSON.
        """
        # At once: a row looks each name up anew.
        seq, rollout, at, kind, text, prev, hash_ = row
        try:
            body = json.loads(text)
        except (ValueError, RecursionError):
            raise _broken(row, "was changed: its body is not JSON any more") from None
        return cls(seq, rollout, at, kind, body, prev, hash_)


def unwrapped(entry: Entry) -> Entry:
    """Return the entry that one of kind `RECONCILED` holds: its own kind, moment and body, at its place in the journal.

    Its body carries ``spool``, its number in the spool file, which distinguishes it from an entry of the journal's own
    (safety rule 8).
    """
    if entry.kind != RECONCILED:
        return entry
    body = entry.body
    facts = {name: body[name] for name in _FACTS if name in body}
    return replace(entry, kind=body["kind"], at=body["at"], body={**body["body"], **facts})


def recordable(value: Any) -> Any:
    """Return JSON types that canonical JSON and every database can hold, with nothing left out.

    NaN and infinities become the words ``nan``, ``inf`` and ``-inf``; half a surrogate pair becomes its escape.
    """
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {recordable(str(key)): recordable(part) for key, part in value.items()}
    return [recordable(part) for part in value] if isinstance(value, (list, tuple)) else value


def verified(rows: Iterable[Row]) -> Iterator[Entry]:
    """Yield every entry of a chain, given in order of `seq`, once it is checked.

    Raises:
        JournalError: names the first entry that was changed, dropped, inserted or moved.
    """
    count, head, before = 0, GENESIS, "the beginning"
    for row in rows:
        if row.seq != count + 1:
            raise _misplaced(row, count + 1)
        entry = _as_written(row)
        if row.prev != head or entry is None:
            raise _broken(row, _how(follows=row.prev == head, is_unchanged=entry is not None, before=before))
        count, head, before = row.seq, row.hash, f"entry {row.seq} ({row.kind})"
        yield entry


def _how(*, follows: bool, is_unchanged: bool, before: str) -> str:
    if follows:
        return "was changed after it was written"
    if is_unchanged:
        return f"was not written after {before} as it stands: one of the two was replaced"
    return f"does not belong after {before}: an entry was dropped, inserted or moved here"


def _as_written(row: Row) -> Entry | None:
    """Return the entry that a row holds; None where it was changed after it was written."""
    try:
        body = json.loads(row.body)
        # Compared as text too: a key that is doubled or a space that is added reads the same, but was not written.
        is_unchanged = encode(body) == row.body and row.hash == _digest_of_text(
            row.seq, row.rollout, row.at, row.kind, row.body, row.prev
        )
    except (ValueError, TypeError, RecursionError):
        return None
    return Entry(row.seq, row.rollout, row.at, row.kind, body, row.prev, row.hash) if is_unchanged else None


def _digest(seq: int, rollout: str, at: str, kind: str, body: Any, prev: str) -> str:
    return _digest_of_text(seq, rollout, at, kind, encode(body), prev)


def _digest_of_text(seq: int, rollout: str, at: str, kind: str, body: str, prev: str) -> str:
    """Return the SHA-256 of an entry's canonical JSON, of which `body` is a part already."""
    plain = (encode(each) for each in (at, kind, prev, rollout, seq))
    return sha256(
        '{{"at":{},"body":{body},"kind":{},"prev":{},"rollout":{},"seq":{}}}'.format(*plain, body=body).encode()
    )


def verify_part(entries: Iterable[Entry]) -> None:
    """Check entries that are a part of a chain: each as it was written, in order, and linked where two are neighbours.

    Raises:
        JournalError: names the first entry that was changed, inserted or moved.
    """
    seq, head = 0, ""
    for entry in entries:
        if entry.seq <= seq:
            raise _broken(entry, f"does not belong after entry {seq}")
        if entry.seq == seq + 1 and seq and entry.prev != head:
            raise _broken(entry, f"was not written after entry {seq} as it stands: one of the two was replaced")
        if entry.hash != _digest(entry.seq, entry.rollout, entry.at, entry.kind, entry.body, entry.prev):
            raise _broken(entry, "was changed after it was written")
        seq, head = entry.seq, entry.hash


def _misplaced(row: Row, expected: int) -> JournalError:
    if row.seq < expected:
        return _broken(row, f"was inserted before entry {expected}")
    missing = f"entry {expected} is" if row.seq == expected + 1 else f"entries {expected} to {row.seq - 1} are"
    return JournalError(
        f"the journal's chain is broken: {missing} missing, dropped before entry {row.seq} ({row.kind}) "
        f"of {row.rollout}. {_MEND}"
    )


def _broken(row: Row | Entry, how: str) -> JournalError:
    return JournalError(f"the journal's chain is broken: entry {row.seq} ({row.kind}) of {row.rollout} {how}. {_MEND}")


_MEND = "Keep the file as evidence, trust nothing from that entry on, and start a new journal."
