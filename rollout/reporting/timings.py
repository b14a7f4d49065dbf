"""The moments, durations, first sign of trouble and affected requests of a rollout, from its journal.

A count that was not observed is None, never zero. Every document uses this module, so that no two of them differ about
one rollout.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rollout.core.clauses import PROOF, UNDO
from rollout.core.errors import JournalError
from rollout.journal.record import Entry, Kind, RolloutRecord
from rollout.monitoring.aggregates import BAD_STATUS, Aggregates
from rollout.monitoring.samples import Sample, SourceName
from rollout.monitoring.users_requests import of_users
from rollout.monitoring.verdict_text import describe_band, read_verdict, show_effective
from rollout.reporting.time_in_effect import SINGLE, Effect, effect_of, is_emergency, seconds

if TYPE_CHECKING:
    # It loads the client of the gateway, and reading a record does without.
    from rollout.context import RolloutContext

__all__ = [
    "Counted",
    "Effect",
    "Moments",
    "class_of",
    "content_of",
    "counted",
    "effect_of",
    "entries_of",
    "first_bad",
    "is_emergency",
    "measured",
    "moments",
    "seconds",
    "written",
]

Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Moments:
    """The times of a rollout in UTC; empty for what did not happen.

    Attributes:
        opened: the rollout.
        applied: the first write of the change was announced.
        first_bad: the first sample that showed the later breach.
        decided: it was decided to roll back: the breach, or the check that failed.
        back: the last write of the rollback was answered.
        seen_gone: an entry showed the change gone.
        verified: the last proof of the rollback passed.
        closed: the rollout.
    """

    opened: str = ""
    applied: str = ""
    first_bad: str = ""
    decided: str = ""
    back: str = ""
    seen_gone: str = ""
    verified: str = ""
    closed: str = ""


@dataclass(frozen=True, slots=True)
class Counted:
    """Requests while the change was watched, and how many of them failed; None where they were not counted.

    Attributes:
        users: those of users.
        users_failed: how many failed.
        own: those of the suite.
        own_failed: how many failed.
    """

    users: int | None = None
    users_failed: int | None = None
    own: int = 0
    own_failed: int = 0


def moments(record: RolloutRecord, entries: Sequence[Entry]) -> Moments:
    """Return the times of a rollout.

    Args:
        record: the rollout.
        entries: its entries, samples among them, in order.
    """
    effect, sample = effect_of(record), first_bad(record, entries)
    began = next((entry.at for entry in entries if entry.kind == Kind.ROLLBACK), "")
    return Moments(
        opened=record.opened_at,
        applied=effect.since,
        first_bad="" if sample is None else str(sample["at"]),
        decided=str((record.breach or {}).get("at") or began),
        back=_back(record),
        seen_gone=effect.seen_gone,
        verified=_verified(record),
        closed=record.closed_at,
    )


def _back(record: RolloutRecord) -> str:
    """Return when the last write of the rollback was answered; the undo of a single request does not count."""
    done = [write for write in record.writes if write.direction == "back" and write.result == "done"]
    ended = [write.ended_at for write in done if write.step != SINGLE]
    return ended[-1] if ended and not is_emergency(record) else ""


def _verified(record: RolloutRecord) -> str:
    """Return when the latest attempt of the rollback was verified; empty where it is not."""
    begins = max((n for n, step in enumerate(record.trail) if step["clause"] == "RBK-1.1"), default=0)
    steps = {step["clause"]: step for step in record.trail[begins:]}
    required = {*PROOF, *(clause for clause in UNDO if clause in steps)}
    if any(clause not in steps or steps[clause]["outcome"] == "failed" for clause in required):
        return ""
    return max(str(steps[clause]["at"]) for clause in PROOF)


def entries_of(rollout: RolloutContext) -> Sequence[Entry]:
    """Return the rollout's entries; none where the journal cannot be read, so that its documents are still written."""
    try:
        return rollout.journal.entries(rollout.id)
    except JournalError:
        return ()


def class_of(record: RolloutRecord) -> str:
    """Return the class of the change: ``standard``, ``normal`` or ``emergency``; an emergency states none."""
    return "emergency" if is_emergency(record) else str(record.opened.get("class", "normal"))


def content_of(record: RolloutRecord) -> str:
    """Return the digest of the content that was approved and cleared; an emergency has none."""
    if is_emergency(record):
        return "none was approved: an emergency"
    return f"SHA-256 {record.opened['digest']}"


def written(record: RolloutRecord) -> str:
    """Return how many writes were announced, and their results: ``writes announced: 3 (2 done, 1 refused)``."""
    if not record.writes:
        return "nothing was written"
    results = Counter(write.result or "without an outcome" for write in record.writes)
    return f"writes announced: {len(record.writes)} ({', '.join(f'{n} {how}' for how, n in results.items())})"


def measured(breach: Body) -> str:
    """Return the deciding value, its limit, and the samples that it is from, as one line."""
    show = _UNITS.get(breach["clause"], str)
    pair = breach["value"], "none" if breach["limit"] is None else breach["limit"]
    value, limit = (show(part) if isinstance(part, (int, float)) else str(part) for part in pair)
    verdict = read_verdict(breach)
    band, effective = describe_band(verdict), show_effective(verdict)
    value += f" ({band})" if band else ""
    limit += f" (effective {effective})" if effective else ""
    parts = (f"{value}, limit {limit}", f"from {breach['samples']} of {breach['source']}", breach["span"])
    return "; ".join(filter(None, parts))


def first_bad(record: RolloutRecord, entries: Iterable[Entry]) -> Body | None:
    """Return the first sample that showed what later became the breach; None where there was no breach."""
    breach = record.breach
    sign = None if breach is None else _SIGNS.get(breach["clause"])
    if breach is None or sign is None:
        return None
    before: dict[str, Body] = {}
    known = {key.casefold() for key in (record.alerts or {}).get("keys", ())}
    for entry in entries:
        if entry.kind != Kind.SAMPLE:
            continue
        body = entry.body
        if sign(body, before.get(body["source"], {}), {**breach, "known": known}):
            return body
        before[body["source"]] = body
    return None


def counted(entries: Iterable[Entry]) -> Counted:
    """Return the requests that were counted while the change was watched, window by window."""
    windows: list[Aggregates] = []
    for entry in entries:
        if entry.kind == Kind.WINDOW:
            windows.append(Aggregates(()))
        elif entry.kind == Kind.SAMPLE and windows:
            windows[-1].add(Sample.from_record(entry.body))
    users = [span for each in windows if (span := of_users(each.counters.latest(), each.requests)) is not None]
    own = [
        span
        for each in windows
        for span in (each.requests.latest(), each.control_requests.latest())
        if span is not None
    ]
    return Counted(
        users=sum(span.requests for span in users) if users else None,
        users_failed=sum(span.failures for span in users) if users else None,
        own=sum(span.requests for span in own),
        own_failed=sum(span.failures for span in own),
    )


_UNITS: Mapping[str, Callable[[Any], str]] = {
    "MON-2": lambda fraction: f"{fraction * 100:.4g} %",
    "MON-3": lambda ms: f"{ms:.4g} ms",
}


def _status(body: Body, _before: Body, _breach: Body) -> bool:
    return str(body.get("status", "")).casefold() in BAD_STATUS


def _failure(body: Body, before: Body, _breach: Body) -> bool:
    if body["source"] == SourceName.SYNTHETIC:
        return body.get("ok") is False
    return (
        body["source"] == SourceName.METRICS
        and before.get("failed") is not None
        and body.get("failed", 0) > before["failed"]
    )


def _slow(body: Body, _before: Body, breach: Body) -> bool:
    limit = breach["limit"]
    took = body.get("latency_ms" if body["source"] == SourceName.SYNTHETIC else "p95_ms")
    return isinstance(limit, (int, float)) and isinstance(took, (int, float)) and took > limit


def _alert(body: Body, _before: Body, breach: Body) -> bool:
    return any(str(alert["key"]).casefold() not in breach["known"] for alert in body.get("alerts", ()))


def _unexpected(body: Body, before: Body, _breach: Body) -> bool:
    if body.get("abort") or body.get("lines") or body.get("reason"):
        return True
    count = int(body.get("count", 0))
    return body["source"] == SourceName.FALLBACKS and count > int(before.get("count", count))


def _is_unavailable(body: Body, _before: Body, _breach: Body) -> bool:
    return body.get("error") is not None


_SIGNS: Mapping[str, Callable[[Body, Body, Body], bool]] = {
    "MON-1": _status,
    "MON-2": _failure,
    "MON-3": _slow,
    "MON-4": _alert,
    "MON-5": _unexpected,
    "MON-6": _is_unavailable,
}
"""Clause -> whether a sample, given the one of the same source before it, is a sign of its breach."""
