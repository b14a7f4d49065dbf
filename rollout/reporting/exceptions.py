"""What makes a change that was kept no plain one: it stays, and a person is accountable for what is missing."""

from __future__ import annotations

from collections.abc import Iterator

from rollout.approvals.obligations import ObligationKind
from rollout.journal.record import EXCEPTIONS, Decision, RolloutRecord
from rollout.reporting.documents import never_documented

WITH_EXCEPTIONS = "WITH EXCEPTIONS"
"""What follows the word of such a verdict."""


def describe_exceptions(record: RolloutRecord) -> tuple[str, ...]:
    """Return such as ``waived PRE-4.4`` and ``owed retrospective approval``; nothing for what was not kept.

    A review is owed to every rollout, so it is no exception.
    """
    return tuple(_exceptions(record)) if record.decision is Decision.KEPT else ()


def _exceptions(record: RolloutRecord) -> Iterator[str]:
    for outcome in EXCEPTIONS:
        clauses = [id_ for id_, each in record.excepted.items() if each.outcome == outcome]
        if clauses:
            yield f"{outcome} {', '.join(clauses)}"
    yield from (f"owed {what}" for what in record.owed if what != ObligationKind.REVIEW)
    yield from (f"evidence missing: {missing}" for missing in record.missing_evidence)
    yield from (f"not documented: {missing}" for missing in never_documented(record))
