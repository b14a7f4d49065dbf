"""``rollout watch``: the live view of a rollout that a process elsewhere runs, from the journal alone."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import TextIO

from rollout.cli.journal_options import choose_rollout, open_journal
from rollout.core.clock import Clock, SystemClock
from rollout.core.errors import ExitCode, JournalError
from rollout.core.visible import beneath, on_one_line
from rollout.engine.cases import examine_case
from rollout.engine.closure import EXIT_CODES
from rollout.journal.journal import Journal
from rollout.journal.record import EVIDENCE_OWED, Decision, Entry, Kind
from rollout.monitoring.followed_window import FollowedWindow
from rollout.monitoring.live_view import view_for
from rollout.reporting.timeline import clock, describe_events

EVERY_S = 0.5
"""How often the journal is read: only what is new is."""

CODES: Mapping[Decision | None, ExitCode] = {
    **EXIT_CODES,
    Decision.KEPT: ExitCode.KEPT,
    Decision.NOTHING_APPLIED: ExitCode.CHECK_FAILED,
}
"""The exit codes of a rollout that has ended, which are those of its own run."""


def run(args: argparse.Namespace) -> int:
    """Show a rollout until it ends, and return the exit code of its decision.

    Returns:
        2 after Ctrl-C, which ends the view and not the rollout; 12 while evidence is owed to a change that is kept.

    Raises:
        RolloutError: there is no such rollout, or not exactly one in flight.
    """
    with open_journal(args) as journal:
        rollout = choose_rollout(journal, args.id).id
        # The view moves the cursor, which the filter of other output would take out; what it shows is redacted.
        watcher = RolloutWatcher(journal, rollout, beneath(sys.stdout), SystemClock())
        try:
            return watcher.watch()
        except KeyboardInterrupt:
            watcher.close()
            print(f"this view has ended; {rollout} goes on, and `rollout abort {rollout}` rolls it back")
            return ExitCode.INTERRUPTED


class RolloutWatcher:
    """Prints a rollout's events as they come, and its window as a live view."""

    def __init__(self, journal: Journal, rollout: str, stream: TextIO, clock_: Clock) -> None:
        """Begin with the first entry of the rollout."""
        self._journal, self._rollout, self._stream, self._clock = journal, rollout, stream, clock_
        self._followed = FollowedWindow(
            rollout, lambda heading: view_for(stream, heading, clock_, term=os.environ.get("TERM"))
        )
        self._read, self._untold, self._said = 0, list[Entry](), ""

    def watch(self) -> int:
        """Show what happens until the rollout is closed, and return the exit code of its decision."""
        while True:
            try:
                self.read_new_entries()
            except JournalError as error:
                self._say_once(f"the journal cannot be read, and is tried again: {error}")
            record = self._followed.record
            if record.closed is not None or record.awaits_evidence:
                self.close()
                return self._say_end()
            self._clock.wait(EVERY_S)

    def read_new_entries(self) -> None:
        """Show what is new in the journal. Raises JournalError where it cannot be read."""
        entries = self._journal.entries(self._rollout, after=self._read)
        if entries:
            self._read = entries[-1].seq
        for part in _split_at_windows(entries):
            was_shown = self._followed.view is not None
            self._followed.apply(part, self._journal.now())
            if not (was_shown and self._followed.view is not None):
                self._print_events(part)
        record = self._followed.record
        if record.in_flight:
            case = examine_case(self._journal, record)
            self._say_once(f"{case.why}; roll it back: rollout recover" if case.stranded else "")

    def close(self) -> None:
        """End the view of the window."""
        self._followed.close()

    def _print_events(self, entries: Sequence[Entry]) -> None:
        """Print the events outside of a window, which its view does not show; a write once its outcome is known."""
        self._untold += [entry for entry in entries if entry.kind != Kind.SAMPLE]
        if self._untold and self._untold[-1].kind == Kind.INTENT:
            return
        for event in describe_events(self._untold):
            # The closure is the last line.
            if event.kind != Kind.CLOSED:
                self._say(f"{clock(event.at)} {event.text}")
        self._untold.clear()

    def _say_end(self) -> int:
        record = self._followed.record
        if record.closed is None:
            self._say(f"{EVIDENCE_OWED}: {'; '.join(record.missing_evidence)}")
            return ExitCode.IN_PROGRESS
        self._say(f"{record.closed.get('word', record.decision)}: {record.closed.get('why', '')}")
        return CODES[record.decision]

    def _say_once(self, text: str) -> None:
        if text and text != self._said:
            self._say(text)
        self._said = text

    def _say(self, text: str) -> None:
        print(on_one_line(text), file=self._stream, flush=True)


def _split_at_windows(entries: Sequence[Entry]) -> Iterator[Sequence[Entry]]:
    """Yield the entries in parts that begin with a window's: what comes before it is printed before its view."""
    begins = [0, *(number for number, entry in enumerate(entries) if number and entry.kind == Kind.WINDOW)]
    for begin, end in pairwise([*begins, len(entries)]):
        yield entries[begin:end]
