"""Archive the folders of old rollouts, and remove them: ``rollout prune`` keeps the latest ones and the journal."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

from rollout.core.caller import caller
from rollout.core.errors import RolloutError

if TYPE_CHECKING:
    from rollout.journal.journal import Journal
    from rollout.journal.record import RolloutRecord


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``rollout prune``, but ``--reports`` and ``--journal``, which every command has."""
    parser.add_argument(
        "--keep", metavar="N", type=int, required=True, help="how many closed rollouts stay as they are"
    )
    parser.add_argument("--to", metavar="DIR", type=Path, required=True, help="where ID.tar.gz of each other one goes")


def run(args: argparse.Namespace, journal: Journal) -> int:
    """Archive and remove what is older than the latest N closed rollouts; print what was done, and return 0.

    Raises:
        RolloutError: N is negative, or something cannot be written; what was not archived was not removed.
    """
    if args.keep < 0:
        raise RolloutError(f"--keep: {args.keep} rollouts cannot be kept; write 0 or more")
    from rollout.reporting.html.index import write  # noqa: PLC0415 - heavy, and only here

    reports = Path(args.reports).absolute()
    done = 0
    for record in _old(journal, args.keep):
        folder = reports / record.id
        if folder.is_dir():
            sys.stdout.write(f"{record.id}: archived as {_pruned(journal, record.id, folder, args.to.absolute())}\n")
            done += 1
    if done:
        write(journal, reports)
    sys.stdout.write(f"{done} rollout(s) archived and removed; the journal keeps what it says of them\n")
    return 0


def _old(journal: Journal, keep: int) -> list[RolloutRecord]:
    """Return the closed rollouts that are not among the latest, nor have an open obligation."""
    from rollout.approvals.obligations import open_of  # noqa: PLC0415 - heavy, and only here
    from rollout.journal.records import records  # noqa: PLC0415

    closed = [record for record in records(journal) if record.closed is not None]
    return [record for record in closed[: max(0, len(closed) - keep)] if not open_of(record)]


def _pruned(journal: Journal, rollout: str, folder: Path, to: Path) -> Path:
    from rollout.core.canonical_json import sha256  # noqa: PLC0415 - with the rest
    from rollout.journal.record import Kind  # noqa: PLC0415

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
