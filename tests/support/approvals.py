"""Approvals for tests: documents as people write them, signed with real keys."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from rollout.approvals.approval import NAMESPACE, Approval, Role
from rollout.approvals.ssh_signatures import sign
from rollout.context import RolloutContext
from rollout.core.clock import format_utc


def approval_of(rollout: RolloutContext, role: Role = Role.REVIEWER, approver: str = "bob", **parts: Any) -> Approval:
    """Return an approval of the rollout's content, given now."""
    at = format_utc(rollout.clock.now())
    return replace(Approval(role, approver, rollout.digest, at, rollout.scenario.name), **parts)


def signed(approval: Approval, key: Path) -> Approval:
    """Return the approval with a signature by `key`."""
    return replace(approval, signature=sign(approval.payload, key, NAMESPACE))


def filed(rollout: RolloutContext, approval: Approval) -> Path:
    """Write the approval to the folder that the rollout reads, and return the file."""
    folder = rollout.origin.approvals
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / approval.file_name()
    path.write_text(approval.document(), encoding="utf-8")
    return path
