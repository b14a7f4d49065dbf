"""Proof that the change is the requested one, and nothing more (VER)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from rollout.context import RolloutContext
from rollout.core.scenario import LimitChange
from rollout.gateway.drivers.selection import driver_of
from rollout.gateway.responses import AuditEntry
from rollout.journal.record import Kind, RolloutRecord, What

AUDITED = 50
"""How many of the gateway's latest audit entries are read."""


@dataclass(frozen=True, slots=True)
class Audited:
    """The change in the gateway's audit log (VER-3).

    Attributes:
        rows: its entries for the new provider since the rollout was opened.
        own: the suite's own record of its writes, the evidence where the gateway kept none.
        finding: what the gateway's log lacks; None if it lacks nothing.
        problem: why the check fails; None if it does not.
    """

    rows: Sequence[Mapping[str, Any]]
    own: Sequence[Mapping[str, Any]]
    finding: str | None
    problem: str | None


def read_audit(rollout: RolloutContext) -> Audited:
    """Search the gateway's audit log for the change.

    Raises:
        GatewayError: the log cannot be read.
    """
    record = rollout.record()
    earlier = [AuditEntry(**entry) for entry in (record.audit or {}).get("entries", ())]
    entries = list({(e.timestamp, e.action): e for e in (*rollout.gateway.audit(limit=AUDITED), *earlier)}.values())
    ours = [entry for entry in entries if _is_ours(entry, rollout, record.opened_at)]
    own = [asdict(write) for write in record.writes]
    failed = [entry for entry in ours if entry.result.casefold() not in ("success", "ok")]
    problem = f"the gateway recorded a failed activation: {failed[0].error_message}" if failed else None
    problem = problem or _concurrent(rollout, entries, record)
    finding = _finding(rollout, ours, wrote=record.applied)
    if finding is not None:
        rollout.append_or_spool(Kind.FINDING, clause="VER-3", text=finding)
    return Audited([asdict(entry) for entry in ours], own, finding, problem)


def _is_ours(entry: AuditEntry, rollout: RolloutContext, since: str) -> bool:
    """Return whether an entry can be about this rollout's activation or limits, by provider, action and time."""
    if moment(entry.timestamp) < datetime.fromisoformat(since):
        return False
    if (
        any(isinstance(change, LimitChange) for change in rollout.scenario.changes)
        and "limit" in entry.action.casefold()
    ):
        return True
    provider = rollout.scenario.activation.provider if rollout.scenario.activation else ""
    return "activate" in entry.action.casefold() and (entry.provider or "").casefold() == provider.casefold()


def _concurrent(rollout: RolloutContext, entries: Sequence[AuditEntry], record: RolloutRecord) -> str | None:
    """Return which other activation landed between this rollout's own, which overwrote it (rule 3); None for none.

    Entries are compared by order and provider, because clocks differ and a gateway may record no user. A write whose
    answer was lost may be recorded or not, so nothing is concluded then.
    """
    own = [write for write in record.writes if write.what is What.PROVIDER and write.may_have_landed]
    if not own or any(write.result != "done" for write in own):
        return None
    landed = [e for e in entries if "activate" in e.action.casefold() and e.result.casefold() in ("success", "ok")]
    landed.sort(key=lambda entry: moment(entry.timestamp), reverse=True)
    for entry, write in zip(landed, reversed(own), strict=False):
        activated = driver_of(rollout.target).activated_as(entry.provider or "")
        if activated.casefold() != write.to.partition(":")[0].casefold():
            return (
                f"{entry.user} activated {entry.provider} at {entry.timestamp}, between this rollout's own "
                f"activations, and {own[-1].step} has overwritten it; an operator must decide what is to serve"
            )
    return None


def moment(timestamp: str) -> datetime:
    """Return the time of an audit entry; one without a zone is UTC."""
    at = datetime.fromisoformat(timestamp)
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _finding(rollout: RolloutContext, ours: Sequence[AuditEntry], *, wrote: bool) -> str | None:
    if not wrote:
        return "the change was in effect already; this rollout wrote nothing that could be recorded"
    if not ours:
        return "the gateway kept no audit entry of the activation; the suite's own record stands in"
    if ours[0].user != rollout.target.user:
        return f"the gateway recorded the user {ours[0].user!r} instead of {rollout.target.user!r}"
    return None
