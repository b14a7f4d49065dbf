"""Who owned a target when it was written to: entries of a superseded run, and rollouts that ended twice.

The fencing tokens of a target only ever grow, so an entry under a lower one than an entry before it was written by a
run that had lost the target. What was entered later (``reconciled``) has no place in that order, and no claim to one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rollout.audit.finding import Finding
from rollout.journal import endings
from rollout.journal.chain import Entry
from rollout.journal.endings import Ending
from rollout.journal.record import Kind

_OWNED = (Kind.INTENT, Kind.CLOSED, Kind.HANDOVER)
_SUPERSEDED = (
    "a run that had lost the target to a newer one went on, and may have written to the gateway after it; hold the "
    "gateway against the newer rollout's decision"
)
_TWICE = (
    "two runs decided about it, and the later decision took nothing back under a newer token; which of the two the "
    "gateway followed, this journal does not prove"
)


def superseded(entries: Sequence[Entry]) -> Iterator[tuple[Entry, Finding]]:
    """Yield the entries that announce a write, hand over or end, under a lower token than one before at that target.

    Args:
        entries: those of every rollout, in the order in which they were written.
    """
    at: dict[str, str] = {}
    newest: dict[str, Entry] = {}
    for entry in entries:
        if entry.kind == Kind.OPENED:
            at.setdefault(entry.rollout, str(entry.body.get("url") or ""))
        url, fence = at.get(entry.rollout), endings.fence_of(entry)
        if entry.kind not in _OWNED or not url or not fence:
            continue
        before = newest.get(url)
        if before is None or fence >= endings.fence_of(before):
            newest[url] = entry
            continue
        held = f"{before.rollout} held token {endings.fence_of(before)} by entry {before.seq} ({before.kind})"
        yield (
            entry,
            Finding(_where(entry), f"{entry.rollout} wrote it under token {fence} of {url}; {held}", _SUPERSEDED),
        )


def ended_twice(entries: Sequence[Entry]) -> Iterator[Finding]:
    """Yield each ending of one rollout after its first that no rollback under a newer token stands behind."""
    last: Ending | None = None
    rollbacks: set[int] = set()
    for entry in _in_time(entries):
        if endings.kind_of(entry) == Kind.ROLLBACK:
            rollbacks.add(endings.fence_of(entry))
        ending = endings.of_entry(entry)
        if ending is None:
            continue
        if last is not None and (ending.fence <= last.fence or ending.fence not in rollbacks):
            yield Finding(
                _where(entry),
                f"{entry.rollout} ended again, {ending.decision or 'without a decision'} under token {ending.fence}; "
                f"{entry.rollout} had ended {last.decision or 'without a decision'} under token {last.fence} by "
                f"entry {last.seq}",
                _TWICE,
            )
        last = ending
        rollbacks.clear()


def _in_time(entries: Sequence[Entry]) -> list[Entry]:
    """Return the entries of one rollout, with what was entered later in the place of its own time (`at`)."""
    placed: list[Entry] = []
    for entry in entries:
        later = (n for n, each in enumerate(placed) if _at(each) > _at(entry)) if _is_late(entry) else iter(())
        placed.insert(next(later, len(placed)), entry)
    return placed


def _is_late(entry: Entry) -> bool:
    return entry.kind == Kind.RECONCILED


def _at(entry: Entry) -> str:
    return str(entry.body.get("at", entry.at)) if _is_late(entry) else entry.at


def _where(entry: Entry) -> str:
    return f"entry {entry.seq} ({entry.kind})"
