"""What authorizes a change, by its class: the policy itself, a review, or one approval, which may come afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rollout.approvals.obligations import ObligationKind, open_obligation
from rollout.context import RolloutContext
from rollout.core.clock import format_utc
from rollout.core.errors import ApprovalPending
from rollout.core.scenario import ChangeClass
from rollout.core.standard_changes import describe_standard_change
from rollout.journal.record import Kind


@dataclass(frozen=True, slots=True)
class Authorization:
    """What the class of a change asks of its review (PRE-2.2).

    Attributes:
        approvals: how many people other than the author must have approved it.
        words: the reason for that number.
    """

    approvals: int
    words: str


def authorize(rollout: RolloutContext, approvers: Sequence[str]) -> Authorization:
    """Return what the change's class asks for.

    Args:
        rollout: the rollout.
        approvers: the people other than the author who approved its content.

    Raises:
        ApprovalPending: it is an emergency without an approval; the journal holds until when one is due.
        JournalError: that cannot be written to the journal.
    """
    policy = rollout.policy
    match rollout.scenario.change_class:
        case ChangeClass.STANDARD:
            # That it is one of these was judged before the first request.
            listed = "; ".join(map(describe_standard_change, policy.standard))
            return Authorization(
                0, f"class standard: approved beforehand by policy {policy.name!r}, which lists {listed}"
            )
        case ChangeClass.EMERGENCY:
            _fulfil_or_open(rollout, approvers)
            return Authorization(1, "class emergency: one approval is enough")
        case _:
            return Authorization(policy.approvals_at_least, f"class normal: as policy {policy.name!r} asks")


def _fulfil_or_open(rollout: RolloutContext, approvers: Sequence[str]) -> None:
    if not approvers:
        due = open_obligation(rollout, ObligationKind.APPROVAL, rollout.policy.retrospective_within_s)
        raise ApprovalPending(
            f"class emergency, and nobody has approved it yet: once it is applied, a retrospective approval is due by "
            f"{format_utc(due)}: rollout approve {rollout.id}"
        )
    if ObligationKind.APPROVAL in rollout.record().owed:
        rollout.append(Kind.SETTLED, what=ObligationKind.APPROVAL, by=", ".join(approvers))
