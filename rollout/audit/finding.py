"""One thing that is not as it was written."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that was altered, or does not follow.

    Attributes:
        where: an entry of the journal, a file below the reports, a rollout.
        what: how it differs, with both values.
        means: what follows for the record.
    """

    where: str
    what: str
    means: str

    def __str__(self) -> str:
        """Return it as one line."""
        return f"{self.where}: {self.what}. That means: {self.means}"
