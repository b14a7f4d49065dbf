"""How long a change was in effect, as the journal's entries prove it: until one of them shows it gone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from rollout.core.scenario import EMERGENCY_SOURCE
from rollout.journal.record import Decision, RolloutRecord, What, Write
from rollout.monitoring.verdict import show_span
from rollout.reporting.timeline import clock

SINGLE = "CAN-1"
"""The clause that activates the new provider for one request, and activates the previous one again at once."""

_OF_THE_GATEWAY = frozenset({What.PROVIDER, What.WEIGHTS})
"""The kinds of writes whose undo a read of the active provider and of the weights shows."""


@dataclass(frozen=True, slots=True)
class Effect:
    """From when to when a change was in effect.

    Attributes:
        since: when its first write was announced, UTC; empty where none was, or where the gateway refused each.
        seen_gone: when an entry showed it gone, UTC; empty where none has.
        landed: whether the gateway confirmed a write of it.
    """

    since: str = ""
    seen_gone: str = ""
    landed: bool = False

    @property
    def lasted_s(self) -> float | None:
        """Seconds between the two moments; None without either, or where the clock was set back in between."""
        return seconds(self.since, self.seen_gone)

    def __str__(self) -> str:
        """Read as ``for 40 s, until it was seen gone at 2026-11-23 12:00:40Z``; empty where nothing was in effect."""
        if not self.since:
            return ""
        condition = "" if self.landed else "if its write landed: "
        if not self.seen_gone:
            return f"{condition}since {clock(self.since)}, still in effect as far as is known"
        until = f"until it was seen gone at {clock(self.seen_gone)}"
        if self.lasted_s is None:
            return f"{condition}{until}; the clock was set back in between, so how long is not known"
        return f"{condition}for {show_span(self.lasted_s)}, {until}"


def is_emergency(record: RolloutRecord) -> bool:
    """Return whether it is the record of an emergency, which has no backup, no checks and nothing to roll back to."""
    return bool(record.opened.get("scenario", {}).get("source") == EMERGENCY_SOURCE)


def seconds(earlier: str, later: str) -> float | None:
    """Return the seconds between two times; None where one is missing, or where the later one lies before the other.

    The times are of the wall clock, which may be set back in between.
    """
    if not (earlier and later):
        return None
    took_s = (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()
    return took_s if took_s >= 0 else None


def effect_of(record: RolloutRecord) -> Effect:
    """Return from when to when the rollout's change was in effect.

    A single request (`SINGLE`) that was undone and read back is an effect of its own, before the change is applied.
    """
    landed, is_single = landed_writes(record), is_single_request(record)
    counted = landed if is_single else [write for write in landed if write.step != SINGLE]
    if not counted:
        return Effect()
    return Effect(
        since=counted[0].at,
        seen_gone=_seen_gone(record, counted, is_single=is_single),
        landed=any(write.result == "done" for write in counted),
    )


def is_single_request(record: RolloutRecord) -> bool:
    """Return whether a single request (`SINGLE`) is all that was in effect."""
    landed = landed_writes(record)
    return bool(landed) and all(write.step == SINGLE for write in landed)


def landed_writes(record: RolloutRecord) -> list[Write]:
    """Return the forward writes that the gateway did not refuse, in order."""
    return [write for write in record.writes if write.direction == "forward" and write.may_have_landed]


def _seen_gone(record: RolloutRecord, counted: list[Write], *, is_single: bool) -> str:
    """Return the moment of the first entry that shows these writes gone; empty where none does."""
    if is_single and record.passed(SINGLE):
        return record.clauses[SINGLE].at
    simple = all(write.what in _OF_THE_GATEWAY for write in counted)
    needed = {"RBK-2.2"} if simple else {"RBK-2.2", "RBK-4.3"}
    shown: set[str] = set()
    for step in record.trail:
        if step["clause"] == "RBK-1.1":
            # Another attempt begins: what the one before it has shown does not count.
            shown.clear()
        if step["outcome"] == "passed":
            shown.add(step["clause"])
        if shown >= needed:
            return str(step["at"])
    # Another process, an emergency, has closed the rollout: its entry shows the change gone.
    return record.closed_at if record.decision is Decision.ROLLED_BACK else ""
