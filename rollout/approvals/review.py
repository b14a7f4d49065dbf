"""The review of a change (PRE-2.2), and the operator who stands by to roll it back (PRE-4.3)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from rollout.approvals.approval import (
    Approval,
    Judged,
    Role,
    Terms,
    distinct,
    enter_accepted,
    judged,
    terms_of,
)
from rollout.approvals.change_classes import authorize
from rollout.approvals.duties import joined_duties
from rollout.approvals.pull_request import merged
from rollout.context import RolloutContext
from rollout.core.caller import identify
from rollout.core.errors import TryLater
from rollout.core.people import same_person
from rollout.core.scenario import Operator
from rollout.core.units import show_duration
from rollout.gateway import manual_commands

NAMED = "named"
"""What the policy's ``review`` says where names under ``approved_by:`` count."""


@dataclass(frozen=True, slots=True)
class Review:
    """The approvals of this very content.

    Attributes:
        author: who wrote it.
        digest: the content's SHA-256.
        rule: what counts: ``named``, ``recorded`` or ``signed``.
        needed: how many approvals policy and class ask for.
        authorization: the reason for that number.
        approved_by: the names in the scenario, which count where the rule is ``named``.
        accepted: the approvals that count.
        refused: why others are void.
        problem: why they do not suffice; empty if they do.
        implementer: who runs this run.
        joined: the part of `problem` that says which duties the implementer has as well; no later approval mends it.
    """

    author: str
    digest: str
    rule: str
    needed: int
    authorization: str
    approved_by: tuple[str, ...]
    accepted: tuple[Approval, ...]
    refused: tuple[str, ...]
    problem: str
    implementer: str
    joined: str

    def suffices(self) -> bool:
        """Return whether enough people approved, and the implementer may be who they are.

        Raises:
            TryLater: no approval is void; some are only missing yet.
        """
        return _passes(self.problem, pending=self.rule != NAMED and not self.refused and not self.joined)


@dataclass(frozen=True, slots=True)
class StandBy:
    """The operator who stands by to roll back.

    Attributes:
        operator: the person and how they are reached; None where the scenario names no operator.
        within: how old their acknowledgement may be, in words; None where the policy asks for none.
        acknowledged: their acknowledgement; None where there is none.
        refused: why others are void.
        command: what they run in an emergency; None where the target declares no safe provider.
        problem: why the operator is not ready; empty if they are.
    """

    operator: Operator | None
    within: str | None
    acknowledged: Approval | None
    refused: tuple[str, ...]
    command: str | None
    problem: str

    def ready(self) -> bool:
        """Return whether the operator is ready.

        Raises:
            TryLater: the acknowledgement is only missing yet.
        """
        return _passes(self.problem, pending=self.operator is not None and not self.refused)


def review(rollout: RolloutContext) -> Review:
    """Return the review of the rollout's content, and enter the approvals that count into the journal.

    Raises:
        ApprovalPending: it is an emergency without an approval yet.
        JournalError: it is not on disk.
    """
    policy, scenario, terms = rollout.policy, rollout.scenario, terms_of(rollout, Role.REVIEWER)
    given, asked = judged(rollout, Role.REVIEWER), merged(rollout, terms)
    found = distinct((*given.accepted, *asked.accepted), (*given.refused, *asked.refused))
    enter_accepted(rollout, found)
    if policy.review == NAMED:
        found = _with_names(found, scenario.approved_by, terms)
    approvers = [each.approver for each in found.accepted]
    asked_for, joined = authorize(rollout, approvers), joined_duties(rollout, approvers)
    short = _shortfall(rollout, found, asked_for.approvals) if len(approvers) < asked_for.approvals else ""
    return Review(
        author=scenario.author,
        digest=rollout.digest,
        rule=policy.review,
        needed=asked_for.approvals,
        authorization=asked_for.words,
        approved_by=scenario.approved_by,
        accepted=found.accepted,
        refused=found.refused,
        problem="; ".join(problem for problem in (short, joined) if problem),
        implementer=identify(rollout.env).name,
        joined=joined,
    )


def stand_by(rollout: RolloutContext) -> StandBy:
    """Return whether the rollback operator is ready, and enter their acknowledgement into the journal.

    Raises:
        JournalError: it is not on disk.
    """
    operator, max_age_s = rollout.scenario.operator, rollout.policy.operator_ack_max_age_s
    found = Judged() if operator is None else _by(operator, judged(rollout, Role.OPERATOR))
    enter_accepted(rollout, found)
    standing = StandBy(
        operator=operator,
        within=None if max_age_s is None else show_duration(max_age_s),
        acknowledged=found.accepted[-1] if found.accepted else None,
        refused=found.refused,
        command=manual_commands.emergency(rollout.target, rollout.origin),
        problem="",
    )
    return replace(standing, problem=_unready(standing, rollout))


def _passes(problem: str, *, pending: bool) -> bool:
    if problem and pending:
        raise TryLater(problem)
    return not problem


def _with_names(found: Judged, names: tuple[str, ...], terms: Terms) -> Judged:
    """Add the names that the scenario gives; a document by the same person is the better evidence."""
    own = tuple(name for name in names if any(same_person(name, author) for author in terms.authors))
    others = (name for name in names if name not in own)
    named = [Approval(Role.REVIEWER, name, terms.digest, "", terms.subject, source="approved_by") for name in others]
    refused = tuple(f"approved_by names the author, {name}" for name in own)
    return distinct((*named, *found.accepted), (*found.refused, *refused))


def _shortfall(rollout: RolloutContext, found: Judged, needed: int) -> str:
    """Return how many approvals count of how many, why others are void, and what to do."""
    policy, scenario = rollout.policy, rollout.scenario
    count = f"{len(found.accepted)} of {needed} approvals by people other than the author {scenario.author}"
    void = f"; void: {'; '.join(found.refused)}" if found.refused else ""
    if policy.review == NAMED:
        return f"{count}{void}; add another person to `approved_by:`"
    return (
        f"{count}{void}; the policy asks for {policy.review} approvals: let another person run "
        f"`{manual_commands.approval(scenario, rollout.origin)}`"
    )


def _by(operator: Operator, found: Judged) -> Judged:
    """Return the operator's own acknowledgements; those of others do not make the operator ready."""
    known = (operator.name, operator.contact)
    own = [each for each in found.accepted if any(same_person(each.approver, name) for name in known)]
    others = tuple(
        f"{each.source}: {each.approver} acknowledged, and the operator is {operator.name}"
        for each in found.accepted
        if each not in own
    )
    return Judged(tuple(own), (*found.refused, *others))


def _unready(standing: StandBy, rollout: RolloutContext) -> str:
    if standing.operator is None:
        return f"{rollout.scenario.source} names no `operator: {{name, contact}}`; an operator must stand by"
    if standing.within is None or standing.acknowledged is not None:
        return ""
    void = f"; void: {'; '.join(standing.refused)}" if standing.refused else ""
    return (
        f"{standing.operator.name} has not acknowledged standing by within {standing.within}{void}; let them run "
        f"`{acknowledging(rollout)}`"
    )


def acknowledging(rollout: RolloutContext) -> str:
    """Return the command with which the operator acknowledges standing by."""
    return manual_commands.approval(rollout.scenario, rollout.origin, "--as", "operator")
