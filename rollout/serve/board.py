"""What the page shows: every rollout that is not closed, those that ended while the page is open, and what is owed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from rollout.approvals.obligations import open_of
from rollout.core.clauses import CLAUSES
from rollout.core.errors import RolloutError
from rollout.engine.cases import examine_case
from rollout.journal.journal import Journal
from rollout.journal.record import EVIDENCE_OWED, Entry, Kind, RolloutRecord
from rollout.journal.records import entries_by_rollout
from rollout.journal.replay import apply_entry
from rollout.monitoring.followed_window import FollowedWindow
from rollout.monitoring.live_heading import Heading
from rollout.monitoring.live_page import Page, is_alive
from rollout.monitoring.verdict_text import show_numbers
from rollout.reporting.timeline import clock, describe_events
from rollout.serve.charted_view import ChartedView

EVENTS = 12
"""So many of the latest events of a rollout are shown."""

_UNREADABLE = (RolloutError, KeyError, TypeError, ValueError, IndexError)
"""What the entries of another version of the suite may raise."""


@dataclass(slots=True)
class Card:
    """One rollout on the page.

    Attributes:
        followed: the rollout, and its window.
        view: the latest view of its window, kept after the window's end; None before it.
        entries: its entries without the samples.
        trouble: why it cannot be shown; empty where it can.
    """

    followed: FollowedWindow
    view: ChartedView | None = None
    entries: list[Entry] = field(default_factory=list)
    trouble: str = ""

    def apply(self, entries: Sequence[Entry], now: datetime) -> None:
        """Add the next entries; what another version of the suite wrote makes the card unreadable, not the page."""
        self.entries += [entry for entry in entries if entry.kind != Kind.SAMPLE]
        try:
            self.followed.apply(entries, now)
        except _UNREADABLE as error:
            self.trouble = f"it cannot be read, because another version of the suite wrote it: {error!r}"


class Board:
    """The state of the page; `refresh` brings it up to date."""

    def __init__(self, journal: Journal) -> None:
        """Begin with nothing read."""
        self._journal, self._read = journal, 0
        self._cards: dict[str, Card] = {}
        self._closed: dict[str, RolloutRecord] = {}

    def refresh(self) -> dict[str, Any]:
        """Read what is new in the journal, and return the page's state as JSON types.

        Raises:
            JournalError: the journal cannot be read.
        """
        is_first = not self._read
        entries = self._all_so_far() if is_first else self._journal.entries(after=self._read)
        now, found = self._journal.now(), defaultdict[str, list[Entry]](list)
        for entry in entries:
            found[entry.rollout].append(entry)
        for rollout, new in found.items():
            self._apply(rollout, new, now, is_first=is_first)
        self._read = max((entry.seq for entry in entries), default=self._read)
        for rollout, card in self._cards.items():
            if rollout not in found:
                card.apply((), now)
        return {
            "read_at": clock(now.isoformat()),
            "rollouts": [self._facts(card) for card in reversed(self._cards.values())],
            "owed": list(self._obligations(now)),
            "closed": sum(record.closed is not None for record in self._records()),
        }

    def _all_so_far(self) -> tuple[Entry, ...]:
        """Return the entries up to the latest one, of the rollouts that are closed without the samples.

        Of a long journal, the samples of everything that is closed take longer to read than a call of it may take.
        """
        head = self._journal.head()
        closed = frozenset(self._journal.rollouts_with(Kind.CLOSED))
        others = (self._journal.entries(id_) for id_ in self._journal.rollouts() if id_ not in closed)
        read = (*(entries for _, entries in entries_by_rollout(self._journal, sorted(closed))), *others)
        # What is written meanwhile comes with the next refresh.
        return tuple(entry for entries in read for entry in entries if head is not None and entry.seq <= head[0])

    def _apply(self, rollout: str, new: Sequence[Entry], now: datetime, *, is_first: bool) -> None:
        """Add the new entries of one rollout: to its card, or to what is closed before the page was opened."""
        if rollout in self._closed or (is_first and any(entry.kind == Kind.CLOSED for entry in new)):
            record = self._closed.setdefault(rollout, RolloutRecord(rollout))
            try:
                for entry in new:
                    if entry.kind not in (Kind.SAMPLE, Kind.MANIFEST, Kind.SEAL):
                        apply_entry(record, entry)
            except _UNREADABLE:
                # The index names it; it owes nothing that can be read.
                self._closed[rollout] = RolloutRecord(rollout)
            return
        if rollout not in self._cards:
            self._cards[rollout] = self._card(rollout)
        self._cards[rollout].apply(new, now)

    def _card(self, rollout: str) -> Card:
        def open_view(heading: Heading) -> ChartedView:
            card.view = ChartedView(heading)
            return card.view

        card = Card(FollowedWindow(rollout, open_view))
        return card

    def _records(self) -> Iterator[RolloutRecord]:
        yield from self._closed.values()
        yield from (card.followed.record for card in self._cards.values())

    def _obligations(self, now: datetime) -> Iterator[dict[str, Any]]:
        for record in self._records():
            for owed in open_of(record):
                yield {"rollout": record.id, "text": owed.describe(now), "overdue": owed.is_overdue(now)}

    def _facts(self, card: Card) -> dict[str, Any]:
        record = card.followed.record
        opened = record.opened
        if card.trouble or not opened:
            return {"id": record.id, "trouble": card.trouble or "its first entry is missing", "state": "unknown"}
        state, word, why = self._standing(card)
        return {
            "id": record.id,
            "state": state,
            "word": word,
            "why": why,
            "change": f"{record.previous} → {opened['change']}",
            "target": opened["target"]["name"],
            "who": f"{opened['author']}, approved by {record.approvers}",
            "run_by": record.run_by,
            "ticket": opened.get("ticket") or "none",
            "since": clock(record.opened_at),
            "window": None if card.view is None else describe_window(card.view),
            "events": [f"{clock(event.at)} {event.text}" for event in list(describe_events(card.entries))[-EVENTS:]],
            "stop": f"rollout abort {record.id}" if record.closed is None else "",
        }

    def _standing(self, card: Card) -> tuple[str, str, str]:
        """Return how a rollout stands: a class of the page, the word, and why."""
        record = card.followed.record
        if record.closed is not None:
            return str(record.decision), str(record.closed.get("word", record.decision)), str(record.closed["why"])
        if record.awaits_evidence:
            return "owed", EVIDENCE_OWED, "; ".join(record.missing_evidence)
        if not record.in_flight:
            return "open", "OPEN", "nothing is written to the gateway yet"
        return self._standing_in_flight(card.followed)

    def _standing_in_flight(self, followed: FollowedWindow) -> tuple[str, str, str]:
        record = followed.record
        case = examine_case(self._journal, record)
        if case.stranded:
            return "stranded", "LEFT IN FLIGHT", f"{case.why}; roll it back: rollout recover"
        if record.steps or record.breach is not None:
            return "back", "ROLLING BACK", str((record.breach or {}).get("message", ""))
        if followed.view is not None and not followed.is_left:
            return "watched", "BEING WATCHED", ""
        return "open", "IN FLIGHT", case.why


def describe_window(view: ChartedView) -> dict[str, Any]:
    """Return a window as JSON types: time left, triggers, curves, the way back, and what to do."""
    page = view.page
    return {
        "left": page.time_line(),
        "window_s": page.heading.window_s,
        "now_s": page.now_s,
        "hold": page.hold_line(),
        "extension": page.extension_line(),
        "way_back": page.rollback_line()[0],
        "is_alive": is_alive(page.rollback_probe),
        "advice": list(page.advice()),
        "triggers": list(_triggers(page)),
        "curves": [curve.facts() for curve in view.curves],
        "stages_at_s": view.stages_at_s,
    }


def _triggers(page: Page) -> Iterator[dict[str, Any]]:
    for verdict in page.verdicts:
        value, limit = show_numbers(verdict)
        yield {
            "clause": verdict.clause,
            "title": CLAUSES[verdict.clause].title if verdict.clause in CLAUSES else verdict.clause,
            "state": str(verdict.state),
            "value": value,
            "limit": limit,
            "samples": verdict.samples,
            "message": verdict.message,
        }
