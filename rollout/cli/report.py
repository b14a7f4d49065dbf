"""``rollout report``: build ``report.html``, also of a run that was killed."""

from __future__ import annotations

import argparse
import os
import sys

from rollout.audit.manifest import BY_REPORT
from rollout.audit.seal import conclude
from rollout.cli.journal_options import open_journal
from rollout.core.errors import RolloutError
from rollout.engine.late_report import build_and_seal
from rollout.reporting.html.allure_generator import fetch_notice
from rollout.reporting.html.assembly import build


def run(args: argparse.Namespace) -> int:
    """Build the report, seal the folder, and return 0.

    Raises:
        RolloutError: there is no rollout, or no report can be built.
    """
    with open_journal(args) as journal:
        known = journal.rollouts()
        if not known:
            raise RolloutError("there is no rollout yet, so there is nothing to report")
        rollout = args.id or known[-1]
        folder = args.reports / rollout
        _announce_fetch()
        print(build(journal, rollout, folder, os.environ))
        line = conclude(journal, rollout, folder, os.environ, by=BY_REPORT).line
        if line:
            print(line)
    return 0


def rebuild_report(args: argparse.Namespace, rollout: str, by: str) -> str:
    """Build the report of a rollout that a command has closed, seal its folder, and return the lines to print."""
    _announce_fetch()
    with open_journal(args) as journal:
        return build_and_seal(journal, rollout, args.reports, os.environ, by=by)


def _announce_fetch() -> None:
    """Print on stderr what a first report waits for; stdout holds the report's path."""
    if notice := fetch_notice(os.environ):
        print(notice, file=sys.stderr, flush=True)
