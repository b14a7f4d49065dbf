"""Segregation of duties in a rollout that has run: who wrote, approved and implemented it, and who had two roles.

`rollout.approvals.duties` refuses a run beforehand, where the policy demands it. Here every rollout is judged, whatever
its policy demanded, so that an auditor sees what was accepted.
"""

from __future__ import annotations

from dataclasses import dataclass

from rollout.core.people import same_person
from rollout.journal.record import RolloutRecord

NOT_RECORDED = "the journal does not say who implemented it"
NOBODY_APPROVED = "nobody approved it"


@dataclass(frozen=True, slots=True)
class Duties:
    """How the roles of a rollout's people relate.

    Attributes:
        author: who wrote the change.
        approvers: the names of those who approved it.
        implementers: the names of those who ran what changes the gateway.
        are_demanded_apart: whether the policy demands that they differ.
        violations: who had two roles, and which role nobody is known to have had; empty where each had one.
    """

    author: str = ""
    approvers: tuple[str, ...] = ()
    implementers: tuple[str, ...] = ()
    are_demanded_apart: bool = False
    violations: tuple[str, ...] = ()


NO_DUTIES = Duties()
"""Those of a rollout that cannot be read."""


def duties_of(record: RolloutRecord) -> Duties:
    """Return how the roles of a rollout's people relate; of one that wrote nothing, only who has two roles counts."""
    author = str(record.opened["author"])
    approvers = _approvers(record)
    applied = [each.caller.name for each in record.implementers if each.has_applied and each.caller.is_known]
    implementers = tuple(dict.fromkeys(applied))
    return Duties(
        author=author,
        approvers=approvers,
        implementers=implementers,
        are_demanded_apart=bool(record.opened.get("policy", {}).get("separate_duties")),
        violations=(*_shared(author, approvers, implementers), *_vacant(record, approvers, implementers)),
    )


def _approvers(record: RolloutRecord) -> tuple[str, ...]:
    """Return the names of the approvers whose approval counted."""
    return tuple(dict.fromkeys((*record.named_approvers, *(each["approver"] for each in record.reviews))))


def _shared(author: str, approvers: tuple[str, ...], implementers: tuple[str, ...]) -> tuple[str, ...]:
    pairs = (
        *((name, "approved it and is its author", author) for name in approvers),
        *((name, "implemented it and is its author", author) for name in implementers),
        *((name, "implemented it and approved it", other) for name in implementers for other in approvers),
    )
    found = (f"{name} {words}" for name, words, other in pairs if same_person(name, other))
    return tuple(dict.fromkeys(found))


def _vacant(record: RolloutRecord, approvers: tuple[str, ...], implementers: tuple[str, ...]) -> tuple[str, ...]:
    """Return the roles that nobody is known to have had, of a rollout whose change may have reached the gateway."""
    if not record.wrote:
        return ()
    is_listed = record.opened.get("class") == "standard"
    return (
        *(() if approvers or is_listed else (NOBODY_APPROVED,)),
        *(() if implementers else (NOT_RECORDED,)),
    )
