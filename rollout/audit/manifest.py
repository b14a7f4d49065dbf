"""What the files below ``reports/<id>/`` were: a rollout's manifest, kept in the journal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from itertools import takewhile
from pathlib import Path, PurePath

from rollout.core.canonical_json import sha256
from rollout.gateway.host.log_tail import NAME
from rollout.journal.chain import Entry
from rollout.journal.journal import Journal
from rollout.journal.record import Kind
from rollout.journal.spool import SPOOL

RESULTS = "allure-results"
BY_REPORT = "report"
"""The author of a listing when a report was built and no run has ended."""

_OF_THE_REPORT = ("report.html", "bake.svg", "bake.png", "junit.xml", "summary.md")
# What is no evidence, or is checked elsewhere: a log that grows, what the journal takes over, the seal.
_NOT_LISTED = ("seal.json", "watchdog.log", "report.log", SPOOL, "reconciled-*.jsonl", ".*")


@dataclass(frozen=True, slots=True)
class Listed:
    """What a file was.

    Attributes:
        sha256: the digest of its bytes.
        seq: the journal's entry that lists it.
        final: it is never rewritten: a result, a backup, or a log's tail.
    """

    sha256: str
    seq: int
    final: bool


def listed(entries: Iterable[Entry]) -> dict[str, Listed]:
    """Return path below the rollout's folder -> what the file was, from one rollout's entries.

    The latest entry counts; of what is never rewritten (a result, a backup, a log's tail) the first.
    """
    found: dict[str, Listed] = {}
    for entry in entries:
        for path, digest, final in _files_of(entry):
            if path not in found or not found[path].final:
                found[path] = Listed(digest, entry.seq, final)
    return found


def digest(listing: Mapping[str, Listed]) -> str:
    """Return the SHA-256 over every path and its digest."""
    return sha256({path: each.sha256 for path, each in listing.items()})


def present(folder: Path) -> Iterator[str]:
    """Yield the paths, below the rollout's folder, of the files that are evidence."""
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and not any(fnmatch(name, pattern) for pattern in _NOT_LISTED):
            yield name


def write(journal: Journal, rollout: str, folder: Path, *, by: str) -> None:
    """List the files that are new, and those that `by` has rewritten.

    A file that another process rewrote is not listed anew, nor one that was added to the results of a listed run, so
    that the audit finds both.

    Args:
        journal: where the manifest goes.
        rollout: the rollout's id.
        folder: its folder below the reports.
        by: the run that has ended, or the command that wrote.

    Raises:
        JournalError: the journal cannot be written.
        OSError: a file cannot be read.
    """
    entries = journal.entries(rollout, Kind.RUN, Kind.BACKUP, Kind.MANIFEST)
    known = listed(entries)
    # A run that was killed may have written documents as well; no other run lists them.
    documents = by != BY_REPORT or unlisted_runs(entries)
    closed = {run_of(path) for path in known} - {None, by}
    new = []
    for path in present(folder):
        owned = path in _OF_THE_REPORT or (documents and "/" not in path and not _is_final(path))
        if run_of(path) in closed or (path in known and not owned):
            continue
        content = (folder / path).read_bytes()
        if path not in known or sha256(content) != known[path].sha256:
            new.append([path, sha256(content), len(content)])
    if new:
        journal.append(rollout, Kind.MANIFEST, {"by": by, "files": new})


def _files_of(entry: Entry) -> Iterator[tuple[str, str, bool]]:
    """Yield path, digest, and whether it is final."""
    if entry.kind == Kind.MANIFEST:
        for path, digest_, _size in entry.body["files"]:
            yield path, digest_, _is_final(path)
    elif entry.kind == Kind.BACKUP:
        for what, place in entry.body["files"].items():
            parts = PurePath(place).parts
            # The folder may have been moved since: what counts is where the file was below it.
            if entry.rollout in parts:
                below = parts[len(parts) - parts[::-1].index(entry.rollout) :]
                yield "/".join(below), entry.body["digests"][what], True


def unlisted_runs(entries: Sequence[Entry]) -> tuple[str, ...]:
    """Return the runs of one rollout that began after its last listing: killed before theirs, or at work."""
    since = takewhile(lambda entry: entry.kind != Kind.MANIFEST, reversed(entries))
    return tuple(entry.body["run"] for entry in since if entry.kind == Kind.RUN)[::-1]


def _is_final(path: str) -> bool:
    return run_of(path) is not None or fnmatch(path, NAME.format("*"))


def run_of(path: str) -> str | None:
    """Return the run whose results hold the file; None where it is no result."""
    first, *rest = PurePath(path).parts
    return rest[0] if first == RESULTS and len(rest) > 1 else None
