"""What `rollout status` says of one rollout."""

from __future__ import annotations

from rollout.audit.legal_hold import describe_legal_hold
from rollout.core.clock import SystemClock
from rollout.engine.recovery import Case
from rollout.journal.record import RolloutRecord
from rollout.monitoring.extension import Extension
from rollout.monitoring.hold import of_record
from rollout.reporting.time_in_effect import effect_of
from rollout.reporting.window_end import describe_end, what_it_could_tell


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
