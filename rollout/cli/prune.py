"""Archive the folders of old rollouts, and remove them: ``rollout prune`` keeps the latest ones and the journal."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tarfile
from pathlib import Path

from rollout.approvals.obligations import open_of
from rollout.cli.journal_options import open_journal
from rollout.core.caller import caller
from rollout.core.canonical_json import sha256
from rollout.core.errors import RolloutError
from rollout.journal.journal import Journal
from rollout.journal.record import Kind, RolloutRecord
from rollout.journal.records import records
from rollout.reporting.html.index import write


def run(args: argparse.Namespace) -> int:
    """Archive and remove what is older than the latest N closed rollouts; print what was done, and return 0.

    Raises:
        RolloutError: N is negative, or something cannot be written; what was not archived was not removed.
    """
    reports = args.reports
    with open_journal(args) as journal:
        if args.keep < 0:
            raise RolloutError(f"--keep: {args.keep} rollouts cannot be kept; write 0 or more")
        there = [record.id for record in _old(journal, args.keep) if (reports / record.id).is_dir()]
        for rollout in there:
            archive = _pruned(journal, rollout, reports / rollout, args.to.absolute())
            sys.stdout.write(f"{rollout}: archived as {archive}\n")
        if there:
            write(journal, reports)
    sys.stdout.write(f"{len(there)} rollout(s) archived and removed; the journal keeps what it says of them\n")
    return 0


def _old(journal: Journal, keep: int) -> list[RolloutRecord]:
    """Return the closed rollouts that are not among the latest, nor have an open obligation."""
    closed = [record for record in records(journal) if record.closed is not None]
    return [record for record in closed[: max(0, len(closed) - keep)] if not open_of(record)]


def _pruned(journal: Journal, rollout: str, folder: Path, to: Path) -> Path:
    archive = to / f"{rollout}.tar.gz"
    try:
        to.mkdir(parents=True, exist_ok=True)
        new = archive.with_name(f".{os.getpid()}-{archive.name}")
        with tarfile.open(new, "x:gz") as tar:
            tar.add(folder, arcname=rollout)
        new.replace(archive)
        # Recorded before it is done: the audit reports a folder that is missing without an entry.
        body = {"by": caller(), "archive": str(archive), "sha256": sha256(archive.read_bytes())}
        journal.append(rollout, Kind.PRUNED, body)
        shutil.rmtree(folder)
        shutil.rmtree(folder.parent / "sandbox" / rollout, ignore_errors=True)
    except OSError as error:
        raise RolloutError(f"{rollout} is not archived: {error}; name another folder with --to") from error
    return archive
