"""Who approved a rollout and how, and who ran it where, as the first screen of a report says it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Any

from rollout.approvals.approval import Role
from rollout.journal.record import RolloutRecord
from rollout.reporting.timeline import clock


def describe_approvals(record: RolloutRecord) -> str:
    """Return who approved it and how, one after the other: ``bob (signed, key SHA256:…, at …)``.

    An approval that was given after the change says so. Where there is none, the words are those of the other
    documents, such as ``nobody``.
    """
    return "; ".join(_approvals(record)) or record.approvers


def describe_runs(record: RolloutRecord) -> str:
    """Return who ran it and where: the phases of each caller with the job, and the host of the last watchdog.

    It is empty where the journal does not say who ran it.
    """
    host = (record.armed or {}).get("host", "")
    return f"{record.run_by}; on host {host}" if record.run_by and host else record.run_by


def _approvals(record: RolloutRecord) -> Iterator[str]:
    for name in record.named_approvers:
        yield f"{name} (named in approved_by, not signed)"
    for each in record.reviews:
        yield f"{each['approver']} ({', '.join(_how(each))})"


def _how(approval: Mapping[str, Any]) -> Iterator[str]:
    if approval["role"] == Role.RETROSPECTIVE:
        yield "reviewed afterwards"
    if approval.get("signature"):
        yield f"signed with key {approval['key']}" if approval.get("key") else "signed"
    else:
        yield f"not signed, {_source(str(approval.get('source') or ''))}"
    if approval.get("at"):
        yield f"at {clock(approval['at'])}"


def _source(source: str) -> str:
    if source == "approved_by":
        return "named in approved_by"
    if source.startswith(("http:", "https:")):
        return f"in {source}"
    return f"in {PurePath(source).name}" if source else "its source is not recorded"
