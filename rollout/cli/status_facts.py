"""What `rollout status` says of one rollout."""

from __future__ import annotations

from collections.abc import Iterator

from rollout.audit.legal_hold import describe_legal_hold
from rollout.core.clock import SystemClock
from rollout.engine.cases import Case
from rollout.journal.journal import Journal
from rollout.journal.record import Kind, RolloutRecord
from rollout.journal.records import find_record, partial_records
from rollout.journal.replay import REPLAYED
from rollout.monitoring.extension import Extension
from rollout.monitoring.hold import of_record
from rollout.reporting.time_in_effect import effect_of, is_single_request
from rollout.reporting.window_end import describe_end, what_it_could_tell

_UNUSED = frozenset(
    {
        Kind.ALERTS,
        Kind.APPROVAL,
        Kind.AUDIT,
        Kind.BACKUP,
        Kind.BASELINE,
        Kind.CLAUSE,
        Kind.COUNTERS,
        Kind.DIAGNOSIS,
        Kind.FINDING,
        Kind.NOTIFIED,
        Kind.PAUSE,
        Kind.PHASE,
        Kind.PRUNED,
        Kind.RESTARTED,
        Kind.TRACES,
    }
)
"""The kinds of entries that `collect_facts` does not show; most entries are of these."""


def read_history(journal: Journal) -> Iterator[RolloutRecord]:
    """Yield every rollout of the journal, oldest first, with what `collect_facts` shows of it.

    Raises:
        JournalError: the journal cannot be read.
    """
    for record in partial_records(journal, [kind for kind in REPLAYED if kind not in _UNUSED]):
        # The outcome of its clause tells when a single request was undone.
        yield (find_record(journal, record.id) if is_single_request(record) else None) or record


def _state(record: RolloutRecord, case: Case | None) -> str:
    if record.awaits_evidence:
        return "kept, evidence owed"
    return "in flight" if case else str(record.decision or "open").replace("_", " ")


def collect_facts(record: RolloutRecord, case: Case | None) -> dict[str, object]:
    """Return what is known of a rollout: what, where, since when, by whom, until when, and what to do."""
    return {
        "rollout": record.id,
        "state": _state(record, case),
        "change": record.opened["change"],
        "target": f"{record.opened['target']['name']} at {record.opened['url']}",
        "by": record.opened["author"],
        "run_by": record.run_by or None,
        "since": record.opened_at,
        "closed": record.closed_at or None,
        "missing": "; ".join(record.missing_evidence) or None,
        "effect": str(effect_of(record)) or None,
        "held": case.why if case else None,
        "hold": _held(record),
        "legal": f"hold {describe_legal_hold(record)}" if record.legal_hold else None,
        "window": None if record.extension is None else str(Extension.from_record(record.extension)),
        "why": (record.closed or {}).get("why"),
        "ended": describe_end(record, record.decision) or None,
        "power": what_it_could_tell(record) or None,
        "next": None if case is None else f"rollout {'recover' if case.stranded else f'abort {record.id}'}",
    }


def _held(record: RolloutRecord) -> str | None:
    hold = of_record(record, SystemClock().now())
    return None if hold is None else f"the rollback is {hold}"
