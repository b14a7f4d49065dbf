"""A journal that is written entry by entry, and what is true of it after each: for the documents about it.

pen = Pen(seed=7)
pen.write(Kind.OPENED, {...})
pen.sends("APP-1.2", "forward", "openai:gpt-4o", What.PROVIDER, since=NOW)
Book(pen.entries)             # reads as a journal does

The code that writes an entry also notes what is true after it, so that no document is compared with another one's
arithmetic. A journal that is cut off anywhere (`Pen.until`) is that of a process that was killed there.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from rollout.core.caller import Caller
from rollout.core.canonical_json import canonical, sha256, to_json
from rollout.core.clock import format_utc
from rollout.journal.chain import Entry, recordable, unwrapped
from rollout.journal.record import Decision, Kind, What
from tests.support.clocks import BEGINNING

ID = "r-1"
NOW = "now"
"""Stands in `Truth` for the moment of the entry that shows it."""

_PAUSES_S = (0.0, 0.004, 0.3, 2.0, 41.0)


@dataclass(frozen=True, slots=True)
class Truth:
    """What is true of the entries up to one of them.

    Attributes:
        since: when the change was announced that counts; empty before.
        gone: when it was seen gone; empty while it was not.
        landed: whether the gateway has confirmed it.
        back: when the last write of the rollback was answered; empty before.
        writes: how many writes were announced.
        decision: how it ended; None while it is open.
        word: the verdict's word; empty while it is open.
    """

    since: str = ""
    gone: str = ""
    landed: bool = False
    back: str = ""
    writes: int = 0
    decision: Decision | None = None
    word: str = ""


class Pen:
    """Writes entries, and notes what is true.

    Attributes:
        entries: what was written, as the database keeps it.
        truth: what is true now, of all that was written.
        is_spooling: whether the journal is out of reach.
        fence: the token under which it writes.
        runs: how many runs there were.
    """

    def __init__(self, seed: int) -> None:
        """Begin an empty journal; `seed` decides how much time passes between two entries."""
        self.entries: list[Entry] = []
        self._shown: list[Mapping[str, Any]] = []
        self._spool: list[tuple[str, str, dict[str, Any], Mapping[str, Any]]] = []
        self.is_spooling = False
        self.truth, self.fence, self.runs = Truth(), 0, 0
        self._dice, self._now = random.Random(seed), BEGINNING

    @property
    def now(self) -> str:
        """The moment, as entries have it."""
        return format_utc(self._now)

    @property
    def run(self) -> str:
        """The present run's name."""
        return f"run-{self.runs}"

    def wait(self, seconds: float) -> None:
        """Let time pass; a clock that is set back goes the other way."""
        self._now += timedelta(seconds=seconds)

    def write(self, kind: Kind, body: Mapping[str, Any], **truth: Any) -> int | str:
        """Write an entry; `truth` is what it shows. Return the number by which an outcome names it."""
        self.wait(self._dice.choice(_PAUSES_S))
        shown = {key: self.now if value is NOW else value for key, value in truth.items()}
        self.truth, body = replace(self.truth, **shown), {**body, "fence": self.fence}
        if not self.is_spooling:
            return self.append(kind, self.now, body, shown)
        number = f"{self.run}/{len(self._spool) + 1}"
        self._spool.append((str(kind), self.now, {**body, "spool": number}, shown))
        return number

    def append(self, kind: str, at: str, body: Mapping[str, Any], shown: Mapping[str, Any]) -> int:
        """Put an entry at the end, unhashed; return its number."""
        seq = len(self.entries) + 1
        self.entries.append(Entry(seq, ID, at, str(kind), recordable(to_json(dict(body))), "", f"{seq:064}"))
        self._shown.append(shown)
        return seq

    @contextmanager
    def spooling(self) -> Iterator[None]:
        """Keep what is written in the spool file, and enter it into the journal at the end, as `reconcile` does.

        Within it the journal may be in reach again, `is_spooling`: what is written then is entered at once.
        """
        self.is_spooling = True
        yield
        self.is_spooling, kept, self._spool = False, self._spool, []
        for kind, at, body, shown in kept:
            self.reconciled(kind, at, body, shown)

    def reconciled(self, kind: str, at: str, body: Mapping[str, Any], shown: Mapping[str, Any]) -> None:
        """Enter what waited in a spool file."""
        spooled = {"spool": sha256(canonical(dict(body)))[:12], "fence": 0, **body}
        facts = {"kind": kind, "at": at, "fence": spooled.pop("fence"), "spool": spooled.pop("spool")}
        self.append(
            Kind.RECONCILED, self.now, {**facts, "spooled": sha256(canonical(dict(body))), "body": spooled}, shown
        )

    # What a run writes

    def begins(self, *phases: str) -> None:
        """Begin a run."""
        self.runs += 1
        by = Caller("carol").facts()
        self.write(Kind.RUN, {"run": self.run, "phases": list(phases), "pid": 4711, "by": by})

    def armed(self) -> None:
        """Take the lease and arm a watchdog."""
        self.fence += 1
        self.write(Kind.ARMED, {"pid": 1, "host": "vm", "runner": 4711})

    def clause(self, clause: str, outcome: str = "passed", message: str = "", **truth: Any) -> None:
        """Record the outcome of a clause."""
        seen = {"clause": clause, "outcome": outcome, "message": message, "took_s": 0.01}
        self.write(Kind.CLAUSE, {"run": self.run, **seen}, **truth)

    def phase(self, phase: str, failed: Mapping[str, str] | None = None) -> None:
        """Record a phase's verdict."""
        problems = [f"{clause}: {why}" for clause, why in (failed or {}).items()]
        self.write(Kind.PHASE, {"phase": phase, "passed": not problems, "problems": problems, "run": self.run})

    def sends(
        self, step: str, direction: str, to: str, what: What, result: str = "done", *, afresh: bool = False, **more: Any
    ) -> None:
        """Announce a write and record its outcome.

        A forward one may put the change into effect; `afresh` where an earlier effect was over before.
        """
        described = {} if what in (What.ENVIRONMENT, What.RESTART) else {"writes": [f"POST {to}"]}
        intent = {"step": step, "direction": direction, "to": to, "what": what, **described, **more}
        begins = direction == "forward" and (afresh or not self.truth.since)
        shown: dict[str, Any] = {"since": NOW, "gone": "", "landed": False} if begins else {}
        number = self.write(Kind.INTENT, intent, writes=self.truth.writes + 1, **shown)
        answered: dict[str, Any] = {"since": ""} if begins and result == "refused" else {}
        if result == "done":
            answered |= {"landed": True} if direction == "forward" else {}
            answered |= {"back": NOW} if direction == "back" and step.startswith("RBK") else {}
        body = {"intent": number, "result": result, "detail": "" if result == "done" else "why"}
        self.write(Kind.OUTCOME, body, **answered)

    def step(self, clause: str, message: str, outcome: str = "passed", **truth: Any) -> dict[str, Any]:
        """Record a step; return it as a row of the closure."""
        self.write(Kind.STEP, {"clause": clause, "outcome": outcome, "message": message}, **truth)
        return {"at": self.now, "clause": clause, "step": "what it is", "outcome": outcome, "seen": message}

    def closes(self, decision: Decision, word: str, why: str, *, gone: bool = False, **more: Any) -> None:
        """End the rollout; `gone` where this entry is the first to show that the change is."""
        body = {"decision": decision, "word": word, "why": why, "not_passed": {}, "rollback": [], "commands": []}
        truth = {"decision": decision, "word": word, **({"gone": NOW} if gone else {})}
        self.write(Kind.CLOSED, {**body, **more}, **truth)

    def until(self, count: int) -> tuple[Sequence[Entry], Truth]:
        """Return the first so many entries, and what is true of them."""
        truth = Truth()
        for shown in self._shown[:count]:
            # Counted, and not set: what was spooled before may be entered later.
            writes = truth.writes + ("writes" in shown)
            truth = replace(truth, **{**shown, "writes": writes})
        return self.entries[:count], truth


class Book:
    """Reads entries as `rollout.journal.Journal` does."""

    host = "vm"

    def __init__(self, entries: Sequence[Entry]) -> None:
        """Keep them as they are read: with what was spooled as what it is."""
        self._raw, self._entries = entries, [unwrapped(entry) for entry in entries]

    def entries(self, rollout: str | None = None, *kinds: str, after: int = 0) -> tuple[Entry, ...]:
        """Return one rollout's entries, of these kinds; all of them for none."""
        wanted = set(map(str, kinds))
        return tuple(
            entry
            for entry in self._entries
            if entry.seq > after and rollout in (None, entry.rollout) and (not wanted or str(entry.kind) in wanted)
        )

    def entries_of(self, rollouts: Collection[str], *kinds: str) -> tuple[Entry, ...]:
        """Return the entries of some rollouts, of these kinds."""
        return tuple(entry for entry in self.entries(None, *kinds) if entry.rollout in rollouts)

    def head(self) -> tuple[int, str]:
        """Return number and hash of the last entry."""
        return self._raw[-1].seq, self._raw[-1].hash

    def head_text(self) -> str:
        """Return both as ``verify-journal --head`` reads them."""
        return ":".join(map(str, self.head()))

    def rollouts(self) -> tuple[str, ...]:
        """Return the ids."""
        return (ID,)

    def now(self) -> datetime:
        """Return a moment after the last entry."""
        return datetime.fromisoformat(self._raw[-1].at) + timedelta(hours=4)
