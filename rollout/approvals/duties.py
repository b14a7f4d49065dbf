"""Separate duties: author, approvers and implementer of a change are different people, where the policy demands it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rollout.approvals.approval import Role, terms_of
from rollout.approvals.waivers import NAMED, judged_by_waiver
from rollout.context import RolloutContext
from rollout.core.caller import Caller, identify
from rollout.core.errors import NotCleared
from rollout.core.people import same_person
from rollout.core.scenario import ChangeClass

VARIABLES = "docs/APPROVALS.md lists the variables that name the person"


def joined_duties(rollout: RolloutContext, approvers: Iterable[str]) -> str:
    """Return why the implementer of this run must not apply the change (PRE-2.2); empty if they may.

    A change of class emergency is not judged: one person may write and apply it, and another approves it.

    Args:
        rollout: the rollout.
        approvers: the people who approved its content.
    """
    if not rollout.policy.separate_duties or rollout.scenario.change_class is ChangeClass.EMERGENCY:
        return ""
    demand = f"policy {rollout.policy.name!r} demands separate duties"
    authors, implementer = _authors(rollout), identify(rollout.env)
    if not authors:
        return f"{demand}, and {rollout.scenario.source} names no `author:`; add it"
    if not implementer.is_known:
        where = implementer.service or "this machine"
        return f"{demand}, and {where} does not say who runs this change; let a named person start it: {VARIABLES}"
    roles = _roles(implementer, {"the author": authors, "the approver": approvers})
    if not roles:
        return ""
    return (
        f"{demand}, and {implementer.name}, the implementer of this run, is also {' and '.join(roles)}; "
        "let a person run it who neither wrote nor approved it"
    )


def keep_duties_apart(rollout: RolloutContext) -> None:
    """Refuse a run that begins to apply the change, where its implementer wrote or approved it.

    The run may be another one than the precheck's. Its approvers are those of the clearance.

    Raises:
        NotCleared: the policy demands separate duties, and no waiver of PRE-2.2 is valid.
        JournalError: the approvals or waivers cannot be read.
    """
    why = joined_duties(rollout, _cleared_by(rollout))
    if not why:
        return
    is_waived, message = judged_by_waiver(rollout, "PRE-2.2", why)
    if not is_waived:
        raise NotCleared(message)


def _authors(rollout: RolloutContext) -> tuple[str, ...]:
    """Return who wrote the change; the user of the process, who stands in where no author is named, is none."""
    authors = terms_of(rollout, Role.REVIEWER).authors
    return authors[1:] if rollout.origin.anonymous else authors


def _cleared_by(rollout: RolloutContext) -> tuple[str, ...]:
    named = rollout.scenario.approved_by if rollout.policy.review == NAMED else ()
    approvals = rollout.record().approvals
    return (*named, *(each["approver"] for each in approvals if each["role"] == Role.REVIEWER))


def _roles(implementer: Caller, people: Mapping[str, Iterable[str]]) -> list[str]:
    """Return the roles that the implementer has as well, each once, with the name under which they have it.

    Args:
        implementer: who runs this run.
        people: role -> the names of the people who have it.
    """
    found = [
        role if person == implementer.name else f"{role} {person}"
        for role, names in people.items()
        for person in names
        if any(same_person(person, name) for name in implementer.names)
    ]
    return list(dict.fromkeys(found))
