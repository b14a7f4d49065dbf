"""``rollout rollback``: roll a rollout back, kept or in flight."""

from __future__ import annotations

import argparse
import os
import sys

from rollout.cli.journal_options import choose_rollout, open_journal
from rollout.cli.report import rebuild_report
from rollout.core.caller import caller
from rollout.core.errors import ExitCode, RolloutError
from rollout.core.visible import on_one_line
from rollout.engine import rollback_closure
from rollout.engine.closure import EXIT_CODES
from rollout.engine.journaled_rollout import end_embedded, reopened


def run(args: argparse.Namespace) -> int:
    """Roll back, rebuild the report, print both, and return the exit code of the decision.

    Raises:
        RolloutError: there is nothing to roll back.
    """
    with open_journal(args) as journal:
        record = choose_rollout(journal, args.id)
        if not record.wrote:
            raise RolloutError(f"rollout {record.id} wrote nothing to the gateway; there is nothing to roll back")
        if record.backup is None and "before" in record.opened:
            raise RolloutError(
                f"{record.id} was an emergency, without a backup; its entry in the operations log undoes it"
            )
        with reopened(journal, record, args.reports, os.environ) as rollout:
            # This fences off the process that watches it; it is refused while another rollout holds the target.
            rollout.take_lease()
            print(f"{record.id}: rolling it back", file=sys.stderr, flush=True)
            closure = rollback_closure.roll_back_and_close(rollout, f"{caller()}: {args.reason}", {}, os.environ)
            rollout.release_lease()
            end_embedded(rollout)
    print(f"{closure.word}: {record.id}\nwhy: {on_one_line(closure.why)}")
    for row in closure.rollback:
        print(f"  {row['at']} {row['clause']} {row['outcome']}: {on_one_line(row['seen'])}")
    for missing in closure.undocumented:
        print(f"NOT DOCUMENTED: {missing}")
    print(f"next: {closure.next_step}", flush=True)
    print(rebuild_report(args, record.id, "rollback"))
    return EXIT_CODES.get(closure.decision, ExitCode.ROLLBACK_FAILED)
