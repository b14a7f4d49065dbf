"""The population: every rollout of a journal with the facts that people filter, count and sample by.

A fact that the journal does not hold is None or empty, never a zero.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from statistics import median
from typing import Any

from rollout.approvals.obligations import open_of
from rollout.journal.journal import Journal
from rollout.journal.record import Decision, Entry, RolloutRecord
from rollout.journal.records import entries_by_rollout
from rollout.journal.replay import replay
from rollout.reporting.segregation import NO_DUTIES, Duties, duties_of
from rollout.reporting.timings import class_of, is_emergency, moments, seconds
from rollout.reporting.window_end import describe_ending

NOT_MEASURED = "not measured"
UNREADABLE = "unreadable"
"""The decision of a rollout whose entries this version of the suite cannot read."""

OPEN = "open"
_WRITTEN_AND_CLOSED = (Decision.KEPT, Decision.ROLLED_BACK, Decision.ROLLBACK_FAILED)
_UNREADABLE = (KeyError, TypeError, ValueError)
"""What the entries of another version of the suite may raise."""


@dataclass(frozen=True, slots=True)
class RolloutFacts:
    """One rollout of the population; times are UTC, durations are seconds.

    Attributes:
        rollout: its id.
        opened: when.
        closed: when; empty while it is open.
        target: the target's name.
        url: the gateway's address.
        environment: the policy's name.
        kinds: the kinds of its changes: ``provider``, ``environment``, ``limits``.
        change_class: ``standard``, ``normal`` or ``emergency``.
        canary: whether the traffic was moved in stages.
        before: the provider and model before it.
        change: what was asked for.
        ticket: the ticket; empty where there is none.
        author: who wrote the change.
        approvers: who approved it, and how.
        operator: who stood by to roll it back; empty where nobody is named.
        implementers: who ran it; empty where the journal does not say.
        jobs: the addresses of the pipeline's jobs.
        commits: the commits that these jobs had checked out.
        decision: one of `Decision`, `OPEN`, `UNREADABLE`.
        word: the verdict.
        why: its reason.
        trigger: the clause that breached; empty where none did.
        ended: how the window ended, where a breach or an undecided trigger ended it.
        applied: whether a write may have reached the gateway.
        is_remedy: whether it is the record of `rollout emergency`, which repairs and is no change that can fail.
        took_s: from the opening to the closing.
        back_after_s: from the decision to roll back to the entry that shows the change gone.
        lead_s: from the last approval before the closing to the closing.
        waived: the waived clauses, each with its reason.
        not_applicable: the clauses that its gateway lacks, each with the reason.
        owed: the open obligations.
        legal_hold: who holds its evidence, and why; empty where nobody does.
        duties: how the roles of its people relate.
        digest: the SHA-256 of the approved content; empty where none was approved.
    """

    rollout: str
    opened: str = ""
    closed: str = ""
    target: str = ""
    url: str = ""
    environment: str = ""
    kinds: tuple[str, ...] = ()
    change_class: str = ""
    canary: bool = False
    before: str = ""
    change: str = ""
    ticket: str = ""
    author: str = ""
    approvers: tuple[str, ...] = ()
    operator: str = ""
    implementers: tuple[str, ...] = ()
    jobs: tuple[str, ...] = ()
    commits: tuple[str, ...] = ()
    decision: str = UNREADABLE
    word: str = ""
    why: str = ""
    trigger: str = ""
    ended: str = ""
    applied: bool = False
    is_remedy: bool = False
    took_s: float | None = None
    back_after_s: float | None = None
    lead_s: float | None = None
    waived: tuple[str, ...] = ()
    not_applicable: tuple[str, ...] = ()
    owed: tuple[str, ...] = ()
    legal_hold: str = ""
    duties: Duties = NO_DUTIES
    digest: str = ""

    @property
    def is_counted(self) -> bool:
        """Whether it is a change that could fail: it reached the gateway, it is closed, and it is no remedy."""
        return self.applied and not self.is_remedy and self.decision in _WRITTEN_AND_CLOSED

    @property
    def has_failed(self) -> bool:
        """Whether it is such a change and was not kept."""
        return self.is_counted and self.decision != Decision.KEPT

    @property
    def people(self) -> tuple[str, ...]:
        """Return every person who is named: author, approvers, operator, implementers; each once."""
        named = (self.author, *self.duties.approvers, self.operator, *self.implementers)
        return tuple(dict.fromkeys(name for name in named if name))

    def facts(self) -> dict[str, Any]:
        """Return it as JSON types, with a column for each attribute and those of the duties."""
        found = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "duties"}
        found |= {"duties_demanded_apart": self.duties.are_demanded_apart, "violations": self.duties.violations}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in found.items()}


COLUMNS = tuple(RolloutFacts("").facts())
"""The columns of the population's files, in order."""


def all_of(journal: Journal) -> tuple[RolloutFacts, ...]:
    """Return the population of a journal, the oldest rollout first.

    Raises:
        JournalError: the journal cannot be read.
    """
    return tuple(facts_of(rollout, entries, journal.now()) for rollout, entries in entries_by_rollout(journal))


def facts_of(rollout: str, entries: Sequence[Entry], now: datetime) -> RolloutFacts:
    """Return one rollout at `now`; one that another version of the suite has written is `UNREADABLE`."""
    try:
        record = replay(rollout, entries)
    except _UNREADABLE as error:
        return _unreadable(rollout, entries, error)
    return facts_of_record(record, entries, now)


def facts_of_record(record: RolloutRecord, entries: Sequence[Entry], now: datetime) -> RolloutFacts:
    """Return what `facts_of` does of a rollout whose entries are replayed already."""
    try:
        return _facts_of(record, entries, now)
    except _UNREADABLE as error:
        return _unreadable(record.id, entries, error)


def _unreadable(rollout: str, entries: Sequence[Entry], error: Exception) -> RolloutFacts:
    opened = entries[0].at if entries else ""
    return RolloutFacts(rollout, opened=opened, why=f"written by another version of the suite: {error!r}")


def _facts_of(record: RolloutRecord, entries: Sequence[Entry], now: datetime) -> RolloutFacts:
    opened, closed, at = record.opened, record.closed or {}, moments(record, entries)
    scenario = opened.get("scenario", {})
    return RolloutFacts(
        rollout=record.id,
        opened=record.opened_at,
        closed=record.closed_at,
        target=opened["target"]["name"],
        url=str(opened["url"]),
        environment=str(opened.get("policy", {}).get("name", "")),
        kinds=kinds_of(scenario),
        change_class=class_of(record),
        canary=bool(scenario.get("canary")),
        before=record.previous,
        change=str(opened["change"]),
        ticket=str(opened["ticket"] or ""),
        author=str(opened["author"]),
        approvers=record.approved_by,
        operator=str((scenario.get("operator") or {}).get("name", "")),
        implementers=tuple(dict.fromkeys(each.caller.name for each in record.implementers)),
        jobs=tuple(each.caller.job for each in record.implementers if each.caller.job),
        commits=tuple(dict.fromkeys(each.caller.commit for each in record.implementers if each.caller.commit)),
        decision=str(record.decision or OPEN),
        word=str(closed.get("word", "")),
        why=str(closed.get("why") or opened.get("reason") or ""),
        trigger="" if record.breach is None else str(record.breach["clause"]),
        ended=describe_ending(record),
        applied=record.wrote,
        is_remedy=is_emergency(record),
        took_s=seconds(record.opened_at, record.closed_at),
        back_after_s=seconds(at.decided, at.seen_gone),
        lead_s=_lead_s(record),
        waived=tuple(record.exceptions_of("waived")),
        not_applicable=tuple(record.exceptions_of("not applicable")),
        owed=tuple(each.describe(now) for each in open_of(record)),
        legal_hold="" if record.legal_hold is None else f"{record.legal_hold['by']}: {record.legal_hold['reason']}",
        duties=duties_of(record),
        digest="" if is_emergency(record) else str(opened["digest"]),
    )


def kinds_of(scenario: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the kinds of a journalled scenario's changes, as `rollout.core.policy.KINDS` has them, each once."""
    found = (_kind_of(change) for change in scenario.get("changes") or ())
    return tuple(dict.fromkeys(found))


def _kind_of(change: Mapping[str, Any]) -> str:
    if "provider" in change:
        return "provider"
    return "limits" if "scope" in change else "environment"


def _lead_s(record: RolloutRecord) -> float | None:
    """Return the seconds from the last review to the closing; None where no dated approval precedes the closing."""
    dates = [each["at"] for each in record.approvals if each["role"] == "reviewer" and each.get("at")]
    times = [took_s for at in dates if (took_s := seconds(at, record.closed_at)) is not None]
    return min(times, default=None)


# The numbers


@dataclass(frozen=True, slots=True)
class Number:
    """One of the numbers that people ask for.

    Attributes:
        name: what it is called.
        text: its value in words; `NOT_MEASURED` where its population is empty.
        value: a count, a fraction from 0 to 1, or seconds; None where it is not measured.
        counted: how many rollouts it is made from.
        basis: which rollouts these are, and how many of them lack the value.
    """

    name: str
    text: str
    value: float | None
    counted: int
    basis: str


def numbers(found: Iterable[RolloutFacts]) -> tuple[Number, ...]:
    """Return the numbers of a population: rollouts, change failure rate, time to roll back, lead time."""
    found = tuple(found)
    counted = [each for each in found if each.is_counted]
    failed = [each for each in counted if each.has_failed]
    rate = len(failed) / len(counted) if counted else None
    back = [each for each in counted if each.decision == Decision.ROLLED_BACK]
    return (
        Number("Rollouts", str(len(found)), len(found), len(found), "in the journal, open ones among them"),
        Number(
            "Change failure rate",
            NOT_MEASURED if rate is None else show_percent(rate),
            rate,
            len(counted),
            f"{len(failed)} not kept of {len(counted)} applied and closed, without emergencies",
        ),
        _median("Time to roll back", [each.back_after_s for each in back], "rolled back"),
        _median("Lead time, approval to closure", [each.lead_s for each in counted], "applied and closed"),
    )


def _median(name: str, values: Sequence[float | None], which: str) -> Number:
    known = [value for value in values if value is not None]
    basis = f"median of {len(known)} of {len(values)} {which}"
    if not known:
        return Number(name, NOT_MEASURED, None, 0, basis)
    return Number(name, show_took(median(known)), median(known), len(known), basis)


def show_percent(share: float) -> str:
    """Return a share as ``12.5 %``, rounded half up, as the page's script rounds it."""
    return f"{math.floor(share * 1000 + 0.5) / 10:.1f} %"


def show_took(took_s: float) -> str:
    """Return a duration as ``1.4 s``, ``5 min 3 s``, ``2 h 5 min`` or ``3 d 4 h``, as the page's script does."""
    if took_s < _MINUTE_S:
        return f"{math.floor(took_s * 10 + 0.5) / 10:.1f} s"
    rounded = math.floor(took_s + 0.5)
    for size_s, unit, part_s, part in _SPANS:
        if rounded >= size_s:
            rest = rounded % size_s // part_s
            return f"{rounded // size_s} {unit}{f' {rest} {part}' if rest else ''}"
    return f"{rounded} s"


_MINUTE_S = 59.95
"""From here on, one decimal would read ``60.0 s``."""

_SPANS = ((86_400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s"))


def targets_of(found: Iterable[RolloutFacts]) -> dict[str, tuple[RolloutFacts, ...]]:
    """Return target -> its rollouts, sorted by name; an unreadable rollout names no target."""
    groups: dict[str, list[RolloutFacts]] = {}
    for each in found:
        if each.target:
            groups.setdefault(each.target, []).append(each)
    return {name: tuple(groups[name]) for name in sorted(groups)}
