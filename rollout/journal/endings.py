"""Endings: how a rollout ended, and who may end it once more.

An ending is an entry ``closed``, or a ``reconciled`` one that holds a ``closed`` that could not be written in time.
Every function here runs inside `Store.write()`, so that no other writer comes between the read and the entry.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from rollout.core.errors import RolloutError
from rollout.journal import leases, schema
from rollout.journal.chain import RECONCILED, Entry
from rollout.journal.leases import Lease, LeaseLost

CLOSED, INTENT = "closed", "intent"
"""The kinds of entries that this module reads, besides `RECONCILED`."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a rollout ended.

    Attributes:
        seq: the number of its entry.
        decision: the word of the decision, ``kept``; empty where the entry has none.
        at: when it was decided, UTC, ISO 8601.
        fence: the fencing token under which it was decided; 0 without one.
    """

    seq: int
    decision: str
    at: str
    fence: int


class AlreadyEnded(RolloutError):
    """The rollout has an ending that this process may not replace.

    Attributes:
        rollout: the rollout's id.
        ending: the one that stands.
    """

    def __init__(self, rollout: str, ending: Ending, lease: Lease | None) -> None:
        """Compose the message: how it ended, when and under which token, and what is left to do."""
        self.rollout = rollout
        self.ending = ending
        ours = f"token {lease.token}" if lease else "no lease"
        super().__init__(
            f"rollout {rollout} has ended: {ending.decision or 'without a decision'} at {ending.at} (entry "
            f"{ending.seq}, token {ending.fence}). This process has {ours} and ends nothing; `rollout status` shows "
            f"what stands, `rollout rollback {rollout}` rolls it back under a newer token"
        )


def refuse(connection: Connection, rollout: str, lease: Lease | None) -> None:
    """Refuse an ending that may not be written.

    Raises:
        AlreadyEnded: the rollout has an ending, with a lease one of its token or a newer one.
        LeaseLost: the lease is not its holder's any more; without one, the rollout has an intent and no ending, so
            another run owns it.
    """
    if lease is not None:
        leases.held(connection, lease)
    entries = [Entry.of(row) for row in connection.execute(schema.chosen(rollout, (CLOSED, INTENT)))]
    standing = [ending for ending in map(of_entry, entries) if ending and ending.fence >= (lease.token if lease else 0)]
    if standing:
        raise AlreadyEnded(rollout, standing[-1], lease)
    intents = [entry for entry in entries if kind_of(entry) == INTENT]
    if lease is None and intents:
        raise LeaseLost(
            f"rollout {rollout} has announced a write (entry {intents[-1].seq}) and not ended, so another run owns it; "
            "this process has no lease and ends nothing. `rollout status` shows who holds the target"
        )


def of_entry(entry: Entry) -> Ending | None:
    """Return the ending that an entry holds; None where it holds none."""
    if kind_of(entry) != CLOSED:
        return None
    body: Any = entry.body
    at, facts = (entry.at, body) if entry.kind == CLOSED else (str(body.get("at", entry.at)), body.get("body") or {})
    return Ending(entry.seq, str(facts.get("decision", "")), at, fence_of(entry))


def fence_of(entry: Entry) -> int:
    """Return the fencing token under which an entry was written; 0 without one."""
    fence = entry.body.get("fence")
    return fence if isinstance(fence, int) else 0


def kind_of(entry: Entry) -> str:
    """Return the kind of an entry, or of the one that was spooled and that it holds."""
    return str(entry.body.get("kind", "")) if entry.kind == RECONCILED else entry.kind
