"""Number and hash of a journal's last entry, as text."""

from __future__ import annotations

from rollout.journal.journal import Journal


def head(journal: Journal) -> str:
    """Return number and hash of the last entry, as ``verify-journal --head`` reads it: ``1234:<SHA-256>``.

    Empty for a journal without entries.

    Raises:
        JournalError: the journal cannot be read.
    """
    return ":".join(map(str, journal.head() or ()))
