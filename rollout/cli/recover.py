"""``rollout recover``: roll back what runs that are gone have left in flight."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from rollout.cli.journal_options import open_journal
from rollout.cli.report import rebuild_report
from rollout.core.clock import Clock, SystemClock
from rollout.core.errors import ExitCode, JournalAbsent, RolloutError
from rollout.core.units import duration, show_duration
from rollout.core.visible import on_one_line
from rollout.engine.cases import Case, in_flight
from rollout.engine.closure import EXIT_CODES, WORDS
from rollout.engine.recovery import recover
from rollout.journal.journal import Journal
from rollout.journal.record import RolloutRecord
from rollout.journal.records import records
from rollout.journal.spool import SPOOL, reconcile

POLL_EVERY_S = 5.0


def run(args: argparse.Namespace) -> int:
    """Roll back every stranded rollout, print what was done, and return the worst exit code.

    Raises:
        RolloutError: ``--wait`` is no duration.
        JournalError: there is no journal; with ``--wait`` only where something else shows that a run wrote one.
    """
    try:
        wait_s = None if args.wait is None else duration(args.wait)
    except ValueError as error:
        raise RolloutError(f"--wait: {error}") from None
    try:
        journal = open_journal(args)
    except JournalAbsent as absent:
        # The last step of a job whose run was refused before it began is no second failure.
        if wait_s is None or any(args.reports.glob(f"*/{SPOOL}")):
            raise
        print(f"no rollout is in flight: {absent}")
        return ExitCode.KEPT
    with journal:
        return Recovery(args, journal, SystemClock(), wait_s).run()


@dataclass
class Recovery:
    """One call of the command.

    Attributes:
        args: its options.
        journal: where the rollouts are.
        clock: what it waits by.
        wait_s: how long it goes on while a rollout is attended, in seconds; None polls once.
    """

    args: argparse.Namespace
    journal: Journal
    clock: Clock
    wait_s: float | None
    _code: int = ExitCode.KEPT
    _settled: set[str] = field(default_factory=set)
    _shown: dict[str, tuple[str, str]] = field(default_factory=dict)
    _first_until: dict[tuple[str, str], datetime | None] = field(default_factory=dict)

    def run(self) -> int:
        """Poll until no rollout is attended any more, or the time is over, and return the worst exit code."""
        end_s, awaited = self.clock.monotonic() + (self.wait_s or 0.0), self._poll([])
        if not self._shown:
            print("no rollout is in flight")
        while awaited and (left_s := end_s - self.clock.monotonic()) > 0:
            try:
                self.clock.wait(min(POLL_EVERY_S, left_s))
            except KeyboardInterrupt:
                break
            awaited = self._poll(awaited)
        for case in awaited if self.wait_s is not None else ():
            print(f"{case.record.id}: still in flight: {on_one_line(case.why)}")
        return self._code

    def _poll(self, awaited: Iterable[Case]) -> list[Case]:
        """Roll back what is stranded, print what is new of those that were awaited, and return those that are."""
        # A rollout whose entries are still spooled is in flight too.
        reconcile(self.journal, self.args.reports)
        found = [case for case in in_flight(self.journal) if case.record.id not in self._settled]
        ids = {case.record.id for case in found}
        if ended := {case.record.id for case in awaited} - ids:
            self._show_ended(record for record in records(self.journal) if record.id in ended)
        for case in found:
            self._show(case)
        for case in found:
            if case.stranded:
                self._roll_back(case)
        return [case for case in found if self._is_awaited(case) or self._is_untouched(case)]

    def _is_untouched(self, case: Case) -> bool:
        """Return whether another process was quicker to roll a stranded rollout back, which is waited for as well."""
        return self.wait_s is not None and case.stranded and case.record.id not in self._settled

    def _is_awaited(self, case: Case) -> bool:
        """Return whether to wait for the process that has the rollout: of another host only until its lease ends.

        Whether that process lives is known by a renewal alone, and one that lives there does not end with this job.
        """
        if not case.holder or self.wait_s is None:
            return False
        until = self._first_until.setdefault((case.record.id, case.holder), case.until)
        is_here = case.holder.rpartition("@")[2] == self.journal.host
        return is_here or until is None or self.journal.now() < until

    def _show(self, case: Case) -> None:
        """Print what becomes of a rollout, once for each state; a lease that is renewed is no other state."""
        does = "left alone"
        if case.stranded:
            does = "rolling it back"
        elif self._is_awaited(case):
            does = f"waiting for it, for at most {show_duration(self.wait_s or 0.0)}"
        if self._shown.get(case.record.id) != (state := (does, case.holder)):
            self._shown[case.record.id] = state
            print(f"{case.record.id}: {does}: {on_one_line(case.why)}", flush=True)

    def _show_ended(self, ended: Iterable[RolloutRecord]) -> None:
        for record in ended:
            word = WORDS[record.decision] if record.decision else "CLOSED"
            why = str((record.closed or {}).get("why", ""))
            print(f"{record.id}: {word}, by the process that had it: {on_one_line(why)}", flush=True)
            self._code = max(self._code, EXIT_CODES.get(record.decision, ExitCode.KEPT))

    def _roll_back(self, case: Case) -> None:
        closure = recover(self.journal, case, self.args.reports, os.environ)
        print(f"{case.record.id}: {closure.word}: {on_one_line(closure.why)}", flush=True)
        for missing in closure.undocumented:
            print(f"{case.record.id}: NOT DOCUMENTED: {missing}", flush=True)
        print(rebuild_report(self.args, case.record.id, "recover"))
        if closure.decision is not None:
            # One that cannot be rolled back stays in flight, and is not tried again by this call.
            self._settled.add(case.record.id)
        self._code = max(self._code, EXIT_CODES.get(closure.decision, ExitCode.KEPT))
