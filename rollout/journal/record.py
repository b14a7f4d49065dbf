"""The record of a rollout, from which every phase starts, in whatever process; `rollout.journal.replay` builds it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from rollout.core.caller import Caller
from rollout.core.people import same_person
from rollout.journal import chain


class Kind(StrEnum):
    """The kind of a journal entry."""

    OPENED = "opened"
    RUN = "run"
    CLAUSE = "clause"
    BACKUP = "backup"
    BASELINE = "baseline"
    COUNTERS = "counters"
    ALERTS = "alerts"
    PHASE = "phase"
    INTENT = "intent"
    OUTCOME = "outcome"
    WINDOW = "window"
    PAUSE = "pause"
    SAMPLE = "sample"
    VERDICT = "verdict"
    AUDIT = "audit"
    FINDING = "finding"
    ARMED = "armed"
    HANDOVER = "handover"
    NOTIFIED = "notified"
    APPROVAL = "approval"
    ABORT = "abort"
    HOLD = "hold"
    HELD = "held"
    EXTENDED = "extended"
    DIAGNOSIS = "diagnosis"
    TRACES = "traces"
    EVIDENCE = "evidence"
    OWED = "owed"
    SETTLED = "settled"
    ROLLBACK = "rollback"
    STEP = "step"
    CLOSED = "closed"
    MANIFEST = "manifest"
    SEAL = "seal"
    PRUNED = "pruned"
    RECONCILED = "reconciled"
    RESTARTED = "restarted"
    LEGAL_HOLD = "legal_hold"


FENCED = frozenset({Kind.INTENT, Kind.HANDOVER, Kind.ROLLBACK, Kind.STEP})
"""Kinds that a superseded process must not write, beside the ending: the announcement of a write, and the entries of a
rollback's steps, so that between any two of them a superseded process is stopped (safety rule 8)."""


class Decision(StrEnum):
    """How a rollout ended."""

    KEPT = "kept"
    ROLLED_BACK = "rolled_back"
    ROLLBACK_FAILED = "rollback_failed"
    NOTHING_APPLIED = "nothing_applied"


EVIDENCE_OWED = "KEPT, EVIDENCE OWED"
"""The verdict where everything passed, and the policy waits for evidence before the change is kept."""


class What(StrEnum):
    """What a write to the gateway changes."""

    PROVIDER = "provider"
    WEIGHTS = "weights"
    ENVIRONMENT = "environment"
    LIMITS = "limits"
    RESTART = "restart"


Entry = chain.Entry
"""An entry of the journal, by which a record is replayed."""


@dataclass(frozen=True, slots=True)
class Write:
    """One write to the gateway: the intent and the outcome.

    Attributes:
        seq: the intent's sequence number; its number in the spool file, where the journal did not take it.
        at: when it was announced, UTC.
        step: the clause that wrote.
        direction: ``forward``, ``proof`` (APP-0.2, a no-op) or ``back``.
        to: the ``provider:model`` it activates.
        result: ``done``, ``refused`` (nothing happened), ``unknown`` (the answer was lost), None (died in between).
        detail: the gateway's message.
        digest: SHA-256 of the file that the write leaves behind, for one to a file.
        what: one of `What`: what is written.
        ended_at: when its outcome was recorded, UTC; empty before that.
    """

    seq: int | str
    at: str
    step: str
    direction: str
    to: str
    result: str | None = None
    detail: str = ""
    digest: str | None = None
    what: What | None = None
    ended_at: str = ""

    @property
    def may_have_landed(self) -> bool:
        """Whether the gateway may have carried it out: whatever it did not refuse."""
        return self.result != "refused"


WAIVED, OWED, NOT_APPLICABLE = "WAIVED: ", "OWED: ", "NOT APPLICABLE: "
EXCEPTIONS: Mapping[str, str] = MappingProxyType({"waived": WAIVED, "owed": OWED, "not applicable": NOT_APPLICABLE})
"""Outcomes that are no pass and let a rollout go on -> how their messages begin: a person is accountable, or the
gateway lacks what the clause observes and no policy insists on it."""


@dataclass(frozen=True, slots=True)
class ClauseOutcome:
    """The latest outcome of a clause and why: ``passed``, one of `EXCEPTIONS`, ``failed``, ``skipped``, ``not run``."""

    clause: str
    outcome: str
    message: str
    at: str
    run: str
    took_s: float = 0.0

    @property
    def is_accepted(self) -> bool:
        """Whether the rollout may go on with it: it is a pass, or one of `EXCEPTIONS`."""
        return self.outcome == "passed" or self.outcome in EXCEPTIONS


@dataclass(frozen=True, slots=True)
class PhaseVerdict:
    """Whether a phase passed, when, and its problems."""

    phase: str
    passed: bool
    at: str
    problems: tuple[str, ...]


EMERGENCY = "emergency"
"""What `rollout emergency` ran, where a run of the suite has phases."""


@dataclass(frozen=True, slots=True)
class Implementer:
    """Who ran a part of a rollout.

    Attributes:
        caller: the person, and the job of a CI service.
        phases: what they ran, in order: the phases; `EMERGENCY` for the command.
    """

    caller: Caller
    phases: tuple[str, ...]

    @property
    def has_applied(self) -> bool:
        """Whether they ran what changes the gateway."""
        return bool({"apply", EMERGENCY} & {*self.phases})

    def describe(self) -> str:
        """Return such as ``alice: precheck, apply (GitHub Actions, https://…, commit 0123456789ab)``."""
        job = self.caller.describe_job()
        return f"{self.caller.name}: {', '.join(self.phases)}{f' ({job})' if job else ''}"

    def facts(self) -> dict[str, Any]:
        """Return it as JSON types."""
        return {**self.caller.facts(), "phases": list(self.phases)}


@dataclass(slots=True)
class RolloutRecord:
    """One rollout, replayed from its entries.

    Attributes:
        id: the rollout's id.
        opened: the body of its first entry: digest, target, url, scenario, change, author…
        opened_at: when, UTC.
        implementers: who ran it, in the order of their first runs, one for each job; a run that was refused, a review,
            and the runs of version 0.2 and before, which do not say who ran them, are not among them.
        clauses: clause id -> latest outcome.
        phases: phase -> latest verdict.
        backup: the body of the backup that counts, the latest before the first write; None before it was taken.
        baseline: the body of the latest baseline.
        counters: the new provider's counters right before the activation.
        alerts: the critical alerts that were firing before the change.
        writes: every announced write, in order.
        notified: events of which notifications were sent.
        approvals: the approvals that were accepted, in order, as `rollout.approvals.approval.Approval` has them.
        audit: the gateway's audit entries as they were right before a restart.
        findings: clause -> what was found missing although the clause passed (VER-3).
        recalled: what was active before an emergency, as other rollouts' entries have it; empty where it was read.
        armed: the latest watchdog's process and host.
        handover: until when the next phase must have begun.
        abort: the first abort that was requested.
        window: when the monitoring window began, and the number of its entry; None before it did.
        pauses: how each call that has watched a part of that window left it, the one that saw its end too; empty once
            the window is judged.
        extension: how the window goes on because a verdict is undecided, the latest; None before that, and once the
            window is judged.
        holds: who held or released the automatic rollback (``hold``), and which breach did not end the window because
            of that (``held``), in order, each with `kind` and `at`.
        diagnosis: why the new provider was out of reach, as far as the gateway reports it; None where it was not.
        traces: who served at the closure, and counters and log as they were then
            (`rollout.engine.closing_snapshot`); None where they were not read.
        evidence: which evidence could not be written (`missing`, empty once it is), and until when it is waited
            for (`due`, None once the rollout is closed); None where everything could be.
        owed: open obligation of this rollout -> until when (`rollout.approvals.obligations`).
        judged: a canary's stage -> clause -> the body of its verdict at the stage's end.
        verdicts: clause -> the body of its verdict at the end of the last window that has ended.
        breach: the verdict that ended the window.
        steps: the rollback's steps, latest outcome each.
        trail: every outcome of these steps, in order.
        legal_hold: who holds its evidence and why, with `at`; None where nobody does.
        startup_s: how long the service took to be healthy after this rollout's restarts, the longest; 0 before one.
        fence: the newest fencing token that an entry of this rollout carries.
        closed: the body of the closing entry, None while open.
        closed_at: when, UTC.
    """

    id: str
    opened: Mapping[str, Any] = field(default_factory=dict)
    opened_at: str = ""
    implementers: tuple[Implementer, ...] = ()
    clauses: dict[str, ClauseOutcome] = field(default_factory=dict)
    phases: dict[str, PhaseVerdict] = field(default_factory=dict)
    backup: Mapping[str, Any] | None = None
    baseline: Mapping[str, Any] | None = None
    counters: Mapping[str, Any] | None = None
    alerts: Mapping[str, Any] | None = None
    writes: list[Write] = field(default_factory=list)
    notified: list[Mapping[str, Any]] = field(default_factory=list)
    approvals: list[Mapping[str, Any]] = field(default_factory=list)
    audit: Mapping[str, Any] | None = None
    findings: dict[str, str] = field(default_factory=dict)
    recalled: str = ""
    armed: Mapping[str, Any] | None = None
    handover: Mapping[str, Any] | None = None
    abort: Mapping[str, Any] | None = None
    window: Mapping[str, Any] | None = None
    pauses: tuple[Mapping[str, Any], ...] = ()
    extension: Mapping[str, Any] | None = None
    holds: list[Mapping[str, Any]] = field(default_factory=list)
    diagnosis: Mapping[str, Any] | None = None
    traces: Mapping[str, Any] | None = None
    evidence: Mapping[str, Any] | None = None
    owed: dict[str, str] = field(default_factory=dict)
    judged: dict[str, dict[str, Mapping[str, Any]]] = field(default_factory=dict)
    verdicts: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    breach: Mapping[str, Any] | None = None
    steps: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    trail: list[Mapping[str, Any]] = field(default_factory=list)
    legal_hold: Mapping[str, Any] | None = None
    startup_s: float = 0.0
    fence: int = 0
    closed: Mapping[str, Any] | None = None
    closed_at: str = ""

    @property
    def decision(self) -> Decision | None:
        """How it ended; None while it is open."""
        return None if self.closed is None else Decision(self.closed["decision"])

    @property
    def previous(self) -> str:
        """The provider and model before the change; ``unknown`` without a backup."""
        body = (self.backup or {}).get("previous")
        if body is None:
            return str(self.opened.get("before") or self.recalled or "unknown")
        return f"{body['provider']}:{body['model']}"

    @property
    def approved_by(self) -> tuple[str, ...]:
        """Who approved the change, and how: ``bob (signed)``."""
        found = dict.fromkeys(self.named_approvers, "")
        for each in self.reviews:
            how = " (signed)" if each.get("signature") else ""
            found[each["approver"]] = f"{how} afterwards" if each["role"] == "retrospective" else how
        return tuple(f"{name}{how}" for name, how in found.items())

    @property
    def reviews(self) -> tuple[Mapping[str, Any], ...]:
        """The approvals of the change, beforehand and afterwards."""
        return tuple(each for each in self.approvals if each["role"] in ("reviewer", "retrospective"))

    @property
    def named_approvers(self) -> tuple[str, ...]:
        """The scenario's names that count (PRE-2.2): if the policy says so, of others than author and `reviews`."""
        if self.opened.get("policy", {}).get("review", "named") != "named":
            return ()
        known = (self.opened.get("author", ""), *(each["approver"] for each in self.reviews))
        names = self.opened.get("scenario", {}).get("approved_by") or ()
        return tuple(name for name in names if not any(same_person(name, other) for other in known))

    @property
    def approvers(self) -> str:
        """Who approved the change, as text: without an approval ``nobody``, or the policy that lists it (standard)."""
        default = "nobody"
        if self.opened.get("class") == "standard":
            default = f"policy {self.opened.get('policy', {}).get('name')} beforehand (class standard)"
        return ", ".join(self.approved_by) or default

    @property
    def run_by(self) -> str:
        """Who ran it, as text; empty where the journal does not say."""
        return "; ".join(each.describe() for each in self.implementers)

    @property
    def wrote(self) -> bool:
        """Whether any write may have reached the gateway: a refused one did not change anything."""
        return any(write.may_have_landed for write in self.writes)

    @property
    def in_flight(self) -> bool:
        """Whether the gateway may be in between: something was written, and the rollout is not closed."""
        return self.closed is None and self.wrote

    @property
    def applied(self) -> bool:
        """Whether this rollout's change was written and confirmed by the gateway."""
        return any(write.direction == "forward" and write.result == "done" for write in self.writes)

    def to_undo(self, what: What) -> tuple[Write, ...]:
        """Return the writes of this kind that only a write undoes (safety rule 9), in order.

        The forward writes that the gateway did not refuse and that no write of a rollback has undone since. A read that
        shows no effect is no proof, because reads may lag behind writes.
        """
        standing: list[Write] = []
        for write in self.writes:
            if write.what is not what:
                continue
            if write.direction == "forward" and write.may_have_landed:
                standing.append(write)
            elif write.direction == "back" and write.result == "done":
                # A limit is undone by a write of its own; any other kind by one write.
                standing = [each for each in standing if what is What.LIMITS and _scope(each) != _scope(write)]
        return tuple(standing)

    @property
    def missing_evidence(self) -> tuple[str, ...]:
        """Which evidence of a change that is to stay could not be written yet, and why."""
        stays = self.decision in (None, Decision.KEPT)
        return tuple(self.evidence["missing"]) if stays and self.evidence is not None else ()

    @property
    def awaits_evidence(self) -> bool:
        """Whether every clause has passed, and the rollout is open only until its evidence can be written."""
        return self.in_flight and bool(self.missing_evidence)

    def has_handed_over(self, token: int) -> bool:
        """Return whether the run with this fencing token has handed over to the next one."""
        return self.handover is not None and bool(self.handover["fence"] == token)

    def passed(self, clause: str) -> bool:
        """Return whether the clause's latest outcome is a pass."""
        return clause in self.clauses and self.clauses[clause].outcome == "passed"

    @property
    def lacking(self) -> Mapping[str, str]:
        """What could not be read of the gateway when the rollout was opened -> why (`rollout.core.applicability`)."""
        found: Mapping[str, str] = self.opened.get("lacking", {})
        return found

    @property
    def excepted(self) -> Mapping[str, ClauseOutcome]:
        """The clauses whose outcome is one of `EXCEPTIONS`, in the order in which they were judged."""
        return {id_: outcome for id_, outcome in self.clauses.items() if outcome.outcome in EXCEPTIONS}

    @property
    def exceptions(self) -> list[str]:
        """`excepted`, as reports show it: ``PRE-4.4 WAIVED: …``."""
        return self.exceptions_of(*EXCEPTIONS)

    def exceptions_of(self, *outcomes: str) -> list[str]:
        """Return those of `exceptions` with one of these outcomes."""
        return [f"{id_} {each.message}" for id_, each in self.excepted.items() if each.outcome in outcomes]


def _scope(write: Write) -> str:
    """Return whose limits a write sets: reads spell a provider's scope in another way than calls (deviation 20)."""
    return write.to.replace(" of provider:", " of ")
