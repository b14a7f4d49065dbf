"""The procedure's clauses: the one table that plans, checks, reports and the traceability page are made from.

The plan comes from here and not from what pytest collected: a node id, ``--ignore`` or ``-k`` drops mandatory checks
without a message.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

PHASES = ("precheck", "apply", "verify", "monitor")

LATER_PHASES = ("review", "release")
"""The phases that have a run of their own, and that no rollout passes through."""

UNDO = ("RBK-3.1", "RBK-3.2", "RBK-3.3", "RBK-3.4")
"""The steps of a rollback that must not fail, where they are needed."""

PROOF = ("RBK-2.2", "RBK-4.1", "RBK-4.2", "RBK-4.3")
"""The steps that must pass before a rollback may be called verified."""


class Owner(StrEnum):
    """Who produces a clause's outcome."""

    CHECK = "check"
    ROLLBACK = "rollback step"
    RECORD = "record"
    COMMAND = "command"


@dataclass(frozen=True, slots=True)
class Clause:
    """One clause of the procedure.

    Attributes:
        id: as docs/TRACEABILITY.md lists it.
        title: the clause as a statement that is true when it passes.
        phase: one of `PHASES` or of `LATER_PHASES`, or the section it belongs to.
        owner: what produces its outcome.
    """

    id: str
    title: str
    phase: str
    owner: Owner = Owner.CHECK

    def __str__(self) -> str:
        """Read as ``PRE-1.1 Runtime configuration is backed up``."""
        return f"{self.id} {self.title}"


def _section(phase: str, owner: Owner, rows: Mapping[str, str]) -> Iterable[Clause]:
    return (Clause(id_, title, phase, owner) for id_, title in rows.items())


_TABLE = (
    *_section(
        "precheck",
        Owner.CHECK,
        {
            "PRE-1.1": "Runtime configuration is backed up",
            "PRE-1.2": "Provider status is backed up",
            "PRE-1.3": "The .env file and the governance limits are backed up",
            "PRE-2.1": "The change is documented in a ticket",
            "PRE-2.2": "A second person reviewed the change",
            "PRE-2.3": "The impact assessment is complete",
            "PRE-2.4": "The rollback plan is prepared and would work now",
            "PRE-2.5": "Monitoring is in place",
            "PRE-3.1": "The connection works in non-production",
            "PRE-3.2": "The preflight is ready in non-production",
            "PRE-4.1": "Now is inside a change window",
            "PRE-4.2": "Stakeholders are notified",
            "PRE-4.3": "A rollback operator is ready",
            "PRE-4.4": "The planned monitoring is long enough",
            "PRE-5.1": "The system is healthy",
            "PRE-5.2": "The current active provider is recorded",
            "PRE-5.3": "No critical alert is firing",
            "PRE-5.4": "The baseline is measured",
            # Last, although it stands in section 3: it judges all the others.
            "PRE-3.3": "Every precheck is verified before proceeding",
        },
    ),
    *_section(
        "apply",
        Owner.CHECK,
        {
            "APP-0.1": "The gateway still equals the backup",
            "APP-0.2": "The rollback is proven",
            "CAN-1": "A single request proves the new provider",
            "APP-1.1": "The connection is tested right before the activation",
            "APP-1.2": "The provider is activated, and the gateway reports it",
        },
    ),
    *_section(
        "apply",
        Owner.CHECK,
        {
            "APP-2.1": "The .env file is updated",
            "APP-2.2": "The service is restarted",
            "APP-2.3": "Startup is awaited",
            "APP-2.4": "Health is verified, and the new value is in effect",
            "APP-3.1": "Governance limits are updated",
            "APP-3.2": "Governance status shows the new limits and no other change",
        },
    ),
    Clause("APP-4.1", "Applying again changes nothing", "apply"),
    *_section(
        "verify",
        Owner.CHECK,
        {
            "VER-1": "The provider is connected",
            "VER-2": "A real request is answered by the expected provider and model",
            "VER-3": "The audit log shows the change",
            "VER-4": "Nothing else changed",
        },
    ),
    *_section(
        "monitor",
        Owner.CHECK,
        {
            "MON-1": "The provider stays connected",
            "MON-2": "The error rate stays at or below the limit",
            "MON-3": "The P95 latency stays at or below the limit",
            "MON-4": "No critical alert fires",
            "MON-5": "No unexpected behaviour is reported",
            "MON-6": "Every source gives enough data to judge",
            "MON-7": "No abort is requested",
            "CAN-2.1": "A first share of the traffic holds (10 % for 1 h)",
            "CAN-2.2": "A quarter of the traffic holds (25 % for 1 h)",
            "CAN-2.3": "Half of the traffic holds (50 % for 2 h)",
            "CAN-2.4": "All of the traffic holds (100 % for 4 h)",
            "CAN-3": "It stays stable before the rollout is complete (24 h at 100 %)",
        },
    ),
    *_section(
        "document",
        Owner.RECORD,
        {
            "DOC-1": "The audit record is written",
            "DOC-2": "The operational log has an entry",
            "DOC-3": "The change history has an entry",
        },
    ),
    *_section(
        "rollback",
        Owner.ROLLBACK,
        {
            "RBK-1.1": "Current providers are assessed",
            "RBK-1.2": "Critical alerts and errors are captured",
            "RBK-2.1": "The previous provider is activated again",
            "RBK-2.2": "The active provider is verified",
        },
    ),
    *_section(
        "rollback",
        Owner.ROLLBACK,
        {
            "RBK-3.1": "The .env file is restored",
            "RBK-3.2": "The service is restarted",
            "RBK-3.3": "Health is awaited",
            "RBK-3.4": "Governance limits are restored",
        },
    ),
    *_section(
        "rollback",
        Owner.ROLLBACK,
        {
            "RBK-4.1": "A request works",
            "RBK-4.2": "The status is stable",
            "RBK-4.3": "The configuration equals the backup",
            "RBK-5.1": "The reason is recorded",
            "RBK-5.2": "Error messages are captured",
            "RBK-5.3": "A post-mortem note is drafted",
            "RBK-5.4": "The audit trail is updated",
        },
    ),
    *_section(
        "emergency",
        Owner.COMMAND,
        {
            "EMG-1": "One command goes to the safe provider",
            "EMG-2": "The service is restarted if needed",
            "EMG-3": "The team is notified and the record is written",
        },
    ),
    *_section(
        "review",
        Owner.CHECK,
        {
            "REV-1": "Metrics over 24 h are reviewed",
            "REV-2": "The error log is reviewed",
            "REV-3": "The cost impact is reviewed",
            "REV-4": "The documentation is updated",
            "REV-5": "The learnings are shared",
        },
    ),
    *_section(
        "release",
        Owner.CHECK,
        {
            "REL-1": "Every configured provider connects in time",
            "REL-2": "Every configured provider's preflight is ready",
            "REL-3": "No credential is a placeholder, padded or masked",
            "REL-4": "Budgets and rate limits are set, soft below hard",
            "REL-5": "There is a fallback",
            "REL-6": "The alerts answer",
            "REL-7": "The audit log answers",
            # Last: it judges every answer that the others have seen.
            "REL-8": "Credentials are masked in every answer",
        },
    ),
)

CLAUSES: Mapping[str, Clause] = MappingProxyType({clause.id: clause for clause in _TABLE})
"""Clause id -> clause, in the order in which a rollout meets them."""

ORDER: Mapping[str, int] = MappingProxyType({id_: position for position, id_ in enumerate(CLAUSES)})
"""Clause id -> its place in the procedure."""


WAIVABLE = frozenset(
    {"PRE-2.1", "PRE-2.2", "PRE-2.3", "PRE-2.5", "PRE-3.1", "PRE-3.2", "PRE-4.1", "PRE-4.2", "PRE-4.3", "PRE-4.4"}
    | {"PRE-5.1", "PRE-5.3", "VER-3"}
)
"""Clauses that may fail by a waiver: without each of them the change is still watched, and can be rolled back.

VER-3 is among them because the suite's own journal stands in for a gateway that does not audit.
"""

_WHY_NOT = (
    ("PRE-1.", "without the backup nothing can be rolled back"),
    ("PRE-2.4", "a change without a rollback is not applied"),
    ("PRE-3.3", "it judges the other prechecks; name the one that fails"),
    ("PRE-5.2", "it records the provider that a rollback activates"),
    ("PRE-5.4", "the triggers compare with it; set `monitor.p95`, or name what is sick under `fixes:`"),
    ("APP-", "it is a step of the change, and an incomplete change is not kept"),
    ("CAN-", "it is a stage of the canary; change `strategy:`"),
    ("VER-", "a change that does not work is not kept"),
    ("MON-7", "an abort that is requested is carried out"),
    ("MON-", "an operator may hold its rollback (`rollout hold`), and what is known to be broken is under `fixes:`"),
    ("RBK-", "a rollback is complete or it has failed"),
    ("", "no check of a rollout decides it"),
)


def why_never_left_out(id_: str) -> str | None:
    """Return why no waiver and no policy leaves out a clause; None if one may."""
    return None if id_ in WAIVABLE else next(why for prefix, why in _WHY_NOT if id_.startswith(prefix))


def planned(phases: Iterable[str]) -> tuple[Clause, ...]:
    """Return the clauses of `phases` that a check must give an outcome, in procedure order."""
    wanted = set(phases)
    return tuple(clause for clause in CLAUSES.values() if clause.phase in wanted and clause.owner is Owner.CHECK)


def is_document(clause: str) -> bool:
    """Return whether a step only writes a document (DOC, RBK-5), and does not touch the gateway."""
    return clause.startswith(("DOC-", "RBK-5."))
