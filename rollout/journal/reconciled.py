"""Entries that were spooled while the journal could not be reached, read as entries of their own kind (rule 8)."""

from __future__ import annotations

from dataclasses import replace

from rollout.journal.chain import Entry

KIND = "reconciled"
_FACTS = ("fence", "spool", "spooled")


def unwrapped(entry: Entry) -> Entry:
    """Return the entry that one of kind `KIND` holds: its own kind, moment and body, at its place in the journal.

    Its body carries ``spool``, its number in the spool file, which distinguishes it from an entry of the journal's own.
    """
    if entry.kind != KIND:
        return entry
    body = entry.body
    facts = {name: body[name] for name in _FACTS if name in body}
    return replace(entry, kind=body["kind"], at=body["at"], body={**body["body"], **facts})
