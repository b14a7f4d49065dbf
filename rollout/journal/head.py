"""Where a journal ends."""

from __future__ import annotations

from rollout.journal.journal import Journal


def head(journal: Journal) -> str:
    """Return where the journal ends, as ``verify-journal --head`` reads it: ``1234:<SHA-256>``; empty for an empty one.

    Raises:
        JournalError: the journal cannot be read.
    """
    return ":".join(map(str, journal.head() or ()))
