"""What ``rollout verify-journal`` checks: the chain, its writers, the heads and seals, the files, the verdicts."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from rollout.approvals.ssh_signatures import SigningError, signer, verify
from rollout.audit import approvals, manifest, owners, seal
from rollout.audit.finding import Finding
from rollout.audit.replay import derive_or_find
from rollout.core.canonical_json import canonical, sha256
from rollout.core.errors import JournalError
from rollout.journal.chain import Entry, unwrapped
from rollout.journal.journal import Journal
from rollout.journal.record import Kind

_REWRITTEN = (
    "the journal was recomputed from some entry on, or its end was cut off; trust what left the machine instead"
)
_ALTERED = "it was altered after the suite wrote it, or not by the suite"
_OF_A_ROLLOUT = ("seal.json", "change-record.json", "backup")


@dataclass(slots=True)
class Examination:
    """The result of one verification.

    Attributes:
        findings: what was altered or does not follow, in the order in which it was found.
        checked: what was checked -> how many.
        unclaimed: what the verification does not cover, and why.
        head: where the journal ends; empty for one that is empty or broken.
    """

    findings: list[Finding] = field(default_factory=list)
    checked: Counter[str] = field(default_factory=Counter)
    unclaimed: list[str] = field(default_factory=list)
    head: str = ""

    @property
    def is_whole(self) -> bool:
        """Whether there are no findings."""
        return not self.findings

    def facts(self) -> dict[str, Any]:
        """Return it as JSON types."""
        return {
            "whole": self.is_whole,
            "findings": [asdict(finding) for finding in self.findings],
            "checked": dict(self.checked),
            "not_claimed": self.unclaimed,
            "head": self.head,
        }


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be verified.

    Attributes:
        reports: where the rollouts' folders are now.
        rollout: the only one to check besides the chain; None checks all.
        allowed_signers: the file of those who may have sealed; None verifies no signature.
        head: number and hash of the last entry, from a notification that left the machine; None where none is given.
    """

    reports: Path
    rollout: str | None = None
    allowed_signers: Path | None = None
    head: tuple[int, str] | None = None


@dataclass(frozen=True, slots=True)
class Heads:
    """The entries' hashes, with which heads and seals are compared.

    Attributes:
        hashes: number -> hash.
        is_whole: whether every entry of the journal is among them; of a part, a missing one says nothing.
    """

    hashes: Mapping[int, str]
    is_whole: bool = True


def examine(journal: Journal, question: Question, announce: Callable[[str], None] = lambda _: None) -> Examination:
    """Check everything; a broken chain ends the verification, because nothing else can be compared with it.

    Args:
        journal: the journal.
        question: what is to be verified.
        announce: receives what is done next.
    """
    announce("reading the journal and its chain of hashes")
    try:
        entries = journal.raw_entries()
    except JournalError as error:
        means = (
            "the journal itself was changed; nothing else was checked, because the rest is compared with the journal"
        )
        return Examination([Finding("the journal", str(error), means)])
    head = f"{entries[-1].seq}:{entries[-1].hash}" if entries else ""
    examination = Examination(checked=Counter(entries=len(entries)), head=head)
    heads = Heads({entry.seq: entry.hash for entry in entries})
    if question.head is not None:
        examination.findings += _not_there(heads, *question.head, "the head that left the machine")
    of: dict[str, list[Entry]] = {}
    for entry in entries:
        of.setdefault(entry.rollout, []).append(entry)
    examination.findings += [
        found for entry, found in owners.superseded(entries) if question.rollout in (None, entry.rollout)
    ]
    for number, (rollout, own) in enumerate(of.items(), 1):
        if question.rollout in (None, rollout):
            announce(f"verifying rollout {number} of {len(of)}, {rollout}")
            examine_rollout(examination, rollout, heads, own, question)
    if question.rollout is None:
        examination.findings += _strangers(question.reports, of)
    _list_unclaimed(examination, entries, question)
    return examination


def examine_rollout(
    examination: Examination, rollout: str, heads: Heads, own: Sequence[Entry], question: Question
) -> None:
    """Check one rollout, whose entries are `own`, and add what is found to the examination."""
    examination.findings += owners.ended_twice(own)
    # From here on, an entry that waited in a spool file counts as what it is.
    own = [unwrapped(entry) for entry in own]
    _files(examination, rollout, own, question.reports / rollout)
    _seals(examination, rollout, heads, own, question)
    examination.findings += approvals.unfounded(own)
    examination.checked["approvals"] += len(approvals.held(own))
    derived = derive_or_find(rollout, own)
    examination.findings += derived.findings
    examination.checked["verdicts"] += derived.same
    if derived.unsampled:
        examination.unclaimed.append(f"{rollout}: no samples stand behind {', '.join(sorted(derived.unsampled))}")
    if derived.former:
        clauses = ", ".join(sorted(derived.former))
        examination.unclaimed.append(
            f"{rollout}: an earlier version's rule judged {clauses}, which are not derived again"
        )


def _files(examination: Examination, rollout: str, entries: Sequence[Entry], folder: Path) -> None:
    listing = manifest.listed(entries)
    pruned = next((entry for entry in reversed(entries) if entry.kind == Kind.PRUNED), None)
    if pruned is not None and not folder.exists():
        body = pruned.body
        examination.unclaimed.append(
            f"{rollout}: its files, which {body['by']} archived as {body['archive']} "
            f"(SHA-256 {body['sha256']}, entry {pruned.seq} of {pruned.at})"
        )
        return
    if listing and not folder.is_dir():
        examination.findings.append(
            Finding(
                f"{folder}",
                f"the folder with its {len(listing)} files is missing",
                "it was moved or deleted, and not by `rollout prune`",
            )
        )
        return
    found = set(manifest.present(folder)) if folder.is_dir() else set()
    examination.checked["files"] += len(listing)
    _env_copies(examination, entries)
    runs = manifest.unlisted_runs(entries)
    loose = {path for path in found if _may_be_of(path, runs, listing.get(path))}
    examination.findings += _altered(folder, {path: was for path, was in listing.items() if path not in loose}, found)
    if not any(entry.kind == Kind.MANIFEST for entry in entries):
        examination.unclaimed.append(
            f"{rollout}: no run of it has listed its files yet, so only its backups were checked"
        )
        return
    if odd := [path for path in sorted(loose) if path not in listing or _now(folder, path) != listing[path].sha256]:
        examination.unclaimed.append(_left_by(rollout, runs, odd))
    examination.findings += [
        Finding(f"{folder / path}", "no entry of the journal lists it", "it was added after the run that it lies with")
        for path in sorted(found - listing.keys() - loose)
    ]


def _may_be_of(path: str, runs: Sequence[str], was: manifest.Listed | None) -> bool:
    """Return whether a run that has not listed its files may have written this one: its own result, or a document."""
    return bool(runs) and (manifest.run_of(path) in {None, *runs} if was is None else not was.final)


def _left_by(rollout: str, runs: Sequence[str], paths: Sequence[str]) -> str:
    documents = [path for path in paths if manifest.run_of(path) is None]
    what = [f"{len(paths) - len(documents)} results", *documents]
    return (
        f"{rollout}: {', '.join(what)}: newer than the last list, for {', '.join(runs)} was killed before its own, or "
        f"is at work; once it is over, `rollout report {rollout}` lists what is there"
    )


def _now(folder: Path, path: str) -> str:
    return sha256((folder / path).read_bytes())


def _env_copies(examination: Examination, entries: Sequence[Entry]) -> None:
    """Check the byte-exact copies of the `.env` file that are on this host; they never leave the service's host."""
    for copy in (entry.body["env"] for entry in entries if entry.kind == Kind.BACKUP and entry.body.get("env")):
        path = Path(copy["path"])
        if not path.is_file():
            examination.unclaimed.append(
                f"{path}: the copy of the .env file stays on the service's host, and is not here"
            )
        elif sha256(path.read_bytes()) != copy["sha256"]:
            examination.findings.append(Finding(f"{path}", "it is not the .env file that was copied", _ALTERED))
        else:
            examination.checked["files"] += 1


def _altered(folder: Path, listing: Mapping[str, manifest.Listed], found: set[str]) -> Iterator[Finding]:
    for path, was in listing.items():
        if path not in found:
            yield Finding(f"{folder / path}", f"it is missing; entry {was.seq} lists it", "it was moved or deleted")
        elif (now := _now(folder, path)) != was.sha256:
            yield Finding(
                f"{folder / path}",
                f"its SHA-256 is {now[:12]}…, entry {was.seq} says {was.sha256[:12]}…",
                _ALTERED,
            )


def _seals(examination: Examination, rollout: str, heads: Heads, own: Sequence[Entry], question: Question) -> None:
    seals = [entry for entry in own if entry.kind == Kind.SEAL]
    for entry in seals:
        examination.findings += _bad_seal(examination, entry, heads, own, question.allowed_signers)
    examination.checked["seals"] += len(seals)
    examination.findings += _bad_file(question.reports / rollout / seal.FILE, heads, seals)
    if not seals and question.allowed_signers is not None and any(entry.kind == Kind.CLOSED for entry in own):
        examination.findings.append(
            Finding(
                f"rollout {rollout}",
                "it is closed and not sealed",
                "no signature covers it; or the seal was cut off with what followed",
            )
        )


def _bad_seal(
    examination: Examination, entry: Entry, heads: Heads, own: Sequence[Entry], allowed_signers: Path | None
) -> Iterator[Finding]:
    """Yield what is wrong with one seal."""
    where, sealed = f"entry {entry.seq} (seal)", entry.body["sealed"]
    yield from _not_there(heads, sealed["head"]["seq"], sealed["head"]["hash"], f"the head that {where} covers")
    until = [each for each in own if each.seq <= sealed["head"]["seq"]]
    closed = next((each.body["decision"] for each in reversed(until) if each.kind == Kind.CLOSED), None)
    if (sealed["rollout"], sealed["decision"]) != (entry.rollout, closed):
        yield Finding(
            where,
            f"it names {sealed['rollout']}, {sealed['decision']}, and stands with {entry.rollout}, {closed}",
            _REWRITTEN,
        )
    if sealed["manifest"] != manifest.digest(manifest.listed(until)):
        yield Finding(where, "the list of files is not the one that was sealed", _REWRITTEN)
    if allowed_signers is None:
        return
    try:
        who = _signed_by(entry.body, allowed_signers)
    except SigningError as error:
        yield Finding(where, str(error), "no signer of that list has signed this record")
    else:
        examination.checked[f"signed by {who}"] += 1


def _signed_by(body: Mapping[str, Any], allowed_signers: Path) -> str:
    sealed, at = body["sealed"], datetime.fromisoformat(body["sealed"]["at"])
    who = signer(body["signature"], allowed_signers, at)
    verify(canonical(sealed), body["signature"], who, allowed_signers, seal.NAMESPACE, at)
    return who


def _bad_file(path: Path, heads: Heads, seals: Sequence[Entry]) -> Iterator[Finding]:
    """Yield how the seal's file differs from what the journal holds: it outlives a tail that is cut off."""
    if not path.exists():
        if seals and path.parent.exists():
            yield Finding(f"{path}", f"it is missing; entry {seals[-1].seq} wrote it", "it was moved or deleted")
        return
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        content = {"sealed": kept["sealed"], "signature": kept["signature"]}
        places = [(int(each["seq"]), str(each["hash"])) for each in (kept["entry"], kept["sealed"]["head"])]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        yield Finding(f"{path}", "it is not a seal's file", _ALTERED)
        return
    for (seq, hash_), what in zip(places, ("the seal", "the head"), strict=True):
        yield from _not_there(heads, seq, hash_, f"{what} of {path}")
    if not seals or content != {name: seals[-1].body[name] for name in content} or set(kept) != {*content, "entry"}:
        yield Finding(f"{path}", "it is not the latest seal of the journal", _REWRITTEN)


def _not_there(heads: Heads, seq: int, hash_: str, what: str) -> Iterator[Finding]:
    """Yield that the journal does not go through a head; entries stand at their own places, the chain being whole."""
    now = heads.hashes.get(seq)
    if now is None and heads.is_whole:
        last = len(heads.hashes)
        yield Finding(f"entry {seq}", f"{what} is not there: the journal ends with entry {last}", _REWRITTEN)
    elif now is not None and now != hash_:
        yield Finding(f"entry {seq}", f"{what} is {hash_[:12]}…, the journal says {now[:12]}…", _REWRITTEN)


def _strangers(reports: Path, known: Mapping[str, Any]) -> Iterator[Finding]:
    with suppress(OSError):
        for folder in sorted(reports.iterdir()):
            if folder.name not in known and any((folder / name).exists() for name in _OF_A_ROLLOUT):
                yield Finding(f"{folder}", "the journal knows nothing of this rollout", _REWRITTEN)


def _list_unclaimed(examination: Examination, entries: Sequence[Entry], question: Question) -> None:
    seals = [entry for entry in entries if entry.kind == Kind.SEAL]
    if seals and question.allowed_signers is None:
        examination.unclaimed.append("who sealed it: name the list of signers with --allowed-signers")
    given = 0 if question.head is None else question.head[0]
    until = max([given, *(entry.body["sealed"]["head"]["seq"] for entry in seals)])
    loose = len(entries) - until - sum(entry.seq > until for entry in seals)
    if loose > 0:
        examination.unclaimed.append(
            f"that the last {loose} of {len(entries)} entries were not recomputed, and that none followed: no seal and "
            "no --head covers them"
        )
    examination.unclaimed.append(
        "what happened before an entry, a list of files or a seal was written, and whose clock it was"
    )
