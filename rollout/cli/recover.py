"""``rollout recover``: roll back what runs that are gone have left in flight."""

from __future__ import annotations

import argparse
import os

from rollout.cli.journal_options import open_journal
from rollout.cli.report import rebuild_report
from rollout.core.errors import ExitCode
from rollout.core.visible import on_one_line
from rollout.engine.closure import EXIT_CODES
from rollout.engine.recovery import in_flight, recover
from rollout.journal.spool import reconcile


def run(args: argparse.Namespace) -> int:
    """Roll back every stranded rollout, print what was done, and return the worst exit code."""
    code = ExitCode.KEPT
    with open_journal(args) as journal:
        # A rollout whose entries are still spooled is in flight too.
        reconcile(journal, args.reports)
        found = in_flight(journal)
        for case in found:
            does = "rolling it back" if case.stranded else "left alone"
            print(f"{case.record.id}: {does}: {on_one_line(case.why)}", flush=True)
        for case in found:
            if case.stranded:
                closure = recover(journal, case, args.reports, os.environ)
                print(f"{case.record.id}: {closure.word}: {on_one_line(closure.why)}", flush=True)
                for missing in closure.undocumented:
                    print(f"{case.record.id}: NOT DOCUMENTED: {missing}", flush=True)
                print(rebuild_report(args, case.record.id, "recover"))
                code = max(code, EXIT_CODES.get(closure.decision, ExitCode.KEPT))
    if not found:
        print("no rollout is in flight")
    return code
