"""Every approval in the journal is checked again: its content, and its signature."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rollout.approvals.approval import NAMESPACE, Approval, Role, content_of, entered
from rollout.approvals.ssh_signatures import SigningError, key_of
from rollout.audit.finding import Finding
from rollout.core.errors import RolloutError
from rollout.journal.chain import Entry
from rollout.journal.record import Kind

_MEANS = "no approval of this content is proven; trust neither the approval nor the change that it authorized"


def held(entries: Sequence[Entry]) -> list[Entry]:
    """Return the entries that hold an approval."""
    return [entry for entry in entries if entry.kind == Kind.APPROVAL]


def unfounded(entries: Sequence[Entry]) -> Iterator[Finding]:
    """Yield what is wrong with the approvals of one rollout."""
    opened = next((entry.body for entry in entries if entry.kind == Kind.OPENED), {})
    for entry in held(entries):
        where = f"entry {entry.seq} (approval)"
        try:
            approval = entered(entry.body)
            is_late = approval.role is Role.RETROSPECTIVE
            wanted = content_of(entry.rollout, opened) if is_late else opened.get("digest")
        except (RolloutError, KeyError, TypeError, ValueError) as error:
            yield Finding(where, f"it is no approval: {type(error).__name__}: {error}", _MEANS)
            continue
        if approval.digest != wanted:
            yield Finding(where, f"it approves {approval.digest[:12]}…, the rollout is of {wanted}", _MEANS)
        yield from _badly_signed(where, approval)


def _badly_signed(where: str, approval: Approval) -> Iterator[Finding]:
    if approval.signature is None:
        return
    try:
        key = key_of(approval.payload, approval.signature, NAMESPACE)
    except SigningError as error:
        yield Finding(where, str(error), _MEANS)
    else:
        if key != approval.key:
            yield Finding(where, f"it is signed with {key}, and says {approval.key}", _MEANS)
