"""Waivers: one named clause may fail in this rollout, with a reason, until a date, granted by a named person."""

from __future__ import annotations

from collections.abc import Iterable
from zoneinfo import ZoneInfo

from rollout.approvals.approval import Role, enter_accepted, judged, terms_of
from rollout.context import RolloutContext
from rollout.core.clock import format_utc
from rollout.core.people import same_person
from rollout.core.scenario import Waiver
from rollout.gateway import manual_commands
from rollout.journal.record import WAIVED, RolloutRecord

NAMED = "named"


def why_void(rollout: RolloutContext, waiver: Waiver) -> str | None:
    """Return why a waiver does not count now; None if it does: then its grant is in the journal.

    Where the policy accepts names as approvals, the name in `granted_by` is enough.

    Raises:
        JournalError: the grant cannot be entered.
    """
    ends = waiver.until.replace(tzinfo=ZoneInfo(rollout.target.time_zone))
    if rollout.clock.now() >= ends:
        return f"it ended at {format_utc(ends)}; renew it, and have it granted again"
    if any(same_person(waiver.granted_by, author) for author in terms_of(rollout, Role.WAIVER).authors):
        return f"{waiver.granted_by} is the author; another person has to grant it"
    grants = judged(rollout, Role.WAIVER, waiver.clause)
    if any(same_person(each.approver, waiver.granted_by) for each in grants.accepted):
        enter_accepted(rollout, grants)
        return None
    if rollout.policy.review == NAMED and not grants.refused:
        return None
    command = manual_commands.approval(rollout.scenario, rollout.origin, "--waiver", waiver.clause)
    return "; ".join((f"{waiver.granted_by} has not granted it: let them run `{command}`", *grants.refused))


def judged_by_waiver(rollout: RolloutContext, clause: str, message: str) -> tuple[bool, str]:
    """Return whether a check that did not pass is waived, and the message for its result.

    Args:
        rollout: the rollout.
        clause: the clause.
        message: why its check did not pass.

    Raises:
        JournalError: as `why_void`.
    """
    waiver = next((waiver for waiver in rollout.scenario.waivers if waiver.clause == clause), None)
    if waiver is None:
        return False, message
    if why := why_void(rollout, waiver):
        return False, f"{message}; its waiver by {waiver.granted_by} does not count: {why}"
    return True, f"{WAIVED}{describe_waiver(rollout, waiver)}; it would have failed: {message}"


def describe_waiver(rollout: RolloutContext, waiver: Waiver) -> str:
    """Return such as ``the vendor ends the old model, granted by dave until 2026-12-01 00:00 (UTC)``."""
    until = f"{waiver.until:%Y-%m-%d %H:%M} ({rollout.target.time_zone})"
    return f"{waiver.reason}, granted by {waiver.granted_by} until {until}"


def unused(waivers: Iterable[Waiver], record: RolloutRecord) -> list[str]:
    """Return the clauses that are waived and did not need it so far: their checks passed, or were not required."""
    without_need = ("passed", "skipped", "not applicable")
    unneeded = {id_ for id_, outcome in record.clauses.items() if outcome.outcome in without_need}
    return [waiver.clause for waiver in waivers if waiver.clause in unneeded]
