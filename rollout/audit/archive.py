"""The archive of a rollout: its folder and its journal entries in one file, which can be verified without the journal.

``ID/…`` is the folder. ``ID.journal.jsonl`` holds the rollout's entries as the chain has them, one a line.
"""

from __future__ import annotations

import json
import os
import tarfile
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path, PurePosixPath

from rollout.audit.finding import Finding
from rollout.audit.verification import Examination, Heads, Question, examine_rollout
from rollout.core.canonical_json import sha256
from rollout.core.errors import JournalError, RolloutError
from rollout.journal import chain
from rollout.journal.chain import Entry
from rollout.journal.journal import Journal
from rollout.journal.record import Kind

_ENTRIES = ".journal.jsonl"
_BROKEN = "the archive was altered after `rollout prune` wrote it; trust what left the machine instead"


def write_archive(journal: Journal, rollout: str, folder: Path, to: Path) -> Path:
    """Write ``ID.tar.gz`` into the folder `to`, and return its path; an archive of that name is replaced in one step.

    Raises:
        JournalError: the journal cannot be read, or its chain is broken: there is no record to archive.
        OSError: something cannot be read or written.
    """
    lines = [json.dumps(asdict(entry)) for entry in journal.raw_entries() if entry.rollout == rollout]
    archive = to / f"{rollout}.tar.gz"
    to.mkdir(parents=True, exist_ok=True)
    new = archive.with_name(f".{os.getpid()}-{archive.name}")
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", suffix=_ENTRIES) as entries:
        entries.write("".join(f"{line}\n" for line in lines))
        entries.flush()
        with tarfile.open(new, "w:gz") as tar:
            tar.add(folder, arcname=rollout)
            tar.add(entries.name, arcname=f"{rollout}{_ENTRIES}")
    return new.replace(archive)


def examine_archive(archive: Path, allowed_signers: Path | None = None) -> Examination:
    """Check an archive by itself: its entries, its files, its seals, and the verdicts, which are derived again.

    Args:
        archive: the file.
        allowed_signers: the file of those who may have sealed; None verifies no signature.

    Raises:
        RolloutError: it is no archive of `rollout prune`, or one of an earlier version, which has no entries in it.
    """
    with tempfile.TemporaryDirectory(prefix="rollout-archive-") as work:
        reports = Path(work)
        try:
            rollout, entries = _unpack(archive, reports)
        except (OSError, tarfile.TarError, EOFError, ValueError, KeyError, TypeError) as error:
            raise RolloutError(f"{archive} is no archive that `rollout prune` has written: {error}") from error
        examination = Examination(checked=Counter(entries=len(entries)))
        examination.findings += _broken_entries(entries, rollout)
        # Nothing else can be compared with entries that were altered.
        if examination.is_whole:
            heads = Heads({entry.seq: entry.hash for entry in entries}, is_whole=False)
            examine_rollout(examination, rollout, heads, entries, Question(reports, rollout, allowed_signers))
            examination.findings += [
                Finding(f"{path.name}", f"it is no file of {rollout}", _BROKEN)
                for path in sorted(reports.iterdir())
                if path.name != rollout
            ]
    _list_unclaimed(examination, entries, archive)
    return examination


def _unpack(archive: Path, reports: Path) -> tuple[str, list[Entry]]:
    """Unpack the files of the rollout below `reports`, and return its id and its entries; a link is not followed."""
    rollout, entries = "", None
    with tarfile.open(archive, "r:gz") as tar:
        for member in tar:
            content = tar.extractfile(member) if member.isfile() else None
            if content is None:
                continue
            if member.name.endswith(_ENTRIES) and "/" not in member.name:
                rollout = member.name.removesuffix(_ENTRIES)
                entries = [Entry(**json.loads(line)) for line in content.read().splitlines()]
                continue
            path = PurePosixPath(member.name)
            if path.is_absolute() or ".." in path.parts:
                raise RolloutError(
                    f"{archive} holds {member.name}, which leads out of it; it is no archive of a rollout"
                )
            place = reports.joinpath(*path.parts)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content.read())
    if not entries:
        raise RolloutError(
            f"{archive} has no entries of a journal in it: an earlier version wrote it; unpack it beside the journal, "
            "and verify that"
        )
    return rollout, entries


def _broken_entries(entries: Sequence[Entry], rollout: str) -> Iterator[Finding]:
    try:
        chain.verify_part(entries)
    except JournalError as error:
        yield Finding("the entries", str(error), _BROKEN)
    for entry in entries:
        if entry.rollout != rollout:
            yield Finding(f"entry {entry.seq}", f"it is of {entry.rollout}, in an archive of {rollout}", _BROKEN)


def _list_unclaimed(examination: Examination, entries: Sequence[Entry], archive: Path) -> None:
    own = {entry.seq for entry in entries}
    digest = sha256(archive.read_bytes())
    examination.unclaimed.append(
        f"that the journal records this very archive, SHA-256 {digest}: its entry `pruned` has the digest"
    )
    examination.unclaimed.append(
        "that no entry after the last one was left out, and what other rollouts' entries lie between: they are not here"
    )
    for entry in entries:
        if entry.kind == Kind.SEAL and (head := entry.body["sealed"]["head"]["seq"]) not in own:
            where = f"entry {head}, the head that entry {entry.seq} (seal) covers"
            examination.unclaimed.append(f"{where}: it is another rollout's, and not here")
