"""Archive the folders of old rollouts, and remove them: ``rollout prune`` keeps the latest ones and the journal."""

from __future__ import annotations

import argparse
import shutil
import sys
from datetime import datetime, timedelta
from pathlib import Path

from rollout.approvals.obligations import open_of
from rollout.audit.archive import write_archive
from rollout.audit.legal_hold import describe_legal_hold
from rollout.cli.journal_options import open_journal
from rollout.core.caller import caller
from rollout.core.canonical_json import sha256
from rollout.core.clock import format_utc
from rollout.core.errors import RolloutError
from rollout.core.visible import on_one_line
from rollout.journal.journal import Journal
from rollout.journal.record import Kind, RolloutRecord
from rollout.journal.records import records
from rollout.journal.replay import replay
from rollout.journal.succession import Overtaken
from rollout.reporting.html.index import write


def run(args: argparse.Namespace) -> int:
    """Archive and remove what is older than the latest N closed rollouts; print what was done, and return 0.

    What must stay is left as it is, and named with the reason.

    Raises:
        RolloutError: N is negative, or something cannot be written; what was not archived was not removed.
    """
    reports, pruned = args.reports, 0
    with open_journal(args) as journal:
        if args.keep < 0:
            raise RolloutError(f"--keep: {args.keep} rollouts cannot be kept; write 0 or more")
        for rollout in [record.id for record in _old(journal, args.keep) if (reports / record.id).is_dir()]:
            why, archive = _prune(journal, rollout, reports / rollout, args.to.absolute())
            sys.stdout.write(f"{rollout}: {f'stays, {on_one_line(why)}' if why else f'archived as {archive}'}\n")
            pruned += not why
        if pruned:
            write(journal, reports)
    sys.stdout.write(f"{pruned} rollout(s) archived and removed; the journal keeps what it says of them\n")
    return 0


def _old(journal: Journal, keep: int) -> list[RolloutRecord]:
    """Return the closed rollouts that are not among the latest."""
    closed = [record for record in records(journal) if record.closed is not None]
    return closed[: max(0, len(closed) - keep)]


def why_it_stays(record: RolloutRecord, now: datetime) -> str:
    """Return why a closed rollout must not be pruned at `now`; empty where it may be."""
    if record.legal_hold is not None:
        return f"under a legal hold {describe_legal_hold(record)}"
    if owed := open_of(record):
        return f"{owed[0].brief(now)}"
    policy = record.opened.get("policy", {})
    days = policy.get("keep_evidence_days")
    until = None if days is None else datetime.fromisoformat(record.closed_at) + timedelta(days=days)
    if until is not None and now < until:
        return f"its policy {policy['name']} keeps its evidence until {format_utc(until)} (keep_evidence_days)"
    return ""


def _prune(journal: Journal, rollout: str, folder: Path, to: Path) -> tuple[str, Path | None]:
    """Archive a rollout's folder and remove it; return why it stays, which is empty, and the archive.

    A hold that is placed while the folder is archived counts: the entry that allows the removal follows only those
    entries that were read before. Where another one came between, everything is read again.
    """
    try:
        while True:
            entries = journal.entries(rollout)
            if why := why_it_stays(replay(rollout, entries), journal.now()):
                return why, None
            archive = write_archive(journal, rollout, folder, to)
            body = {"by": caller(), "archive": str(archive), "sha256": sha256(archive.read_bytes())}
            try:
                # Recorded before it is done: the audit reports a folder that is missing without an entry.
                journal.append_next(entries[-1].seq, rollout, Kind.PRUNED, body)
            except Overtaken:
                archive.unlink()
                continue
            shutil.rmtree(folder)
            shutil.rmtree(folder.parent / "sandbox" / rollout, ignore_errors=True)
            return "", archive
    except OSError as error:
        raise RolloutError(f"{rollout} is not archived: {error}; name another folder with --to") from error
