"""What ``rollout verify-journal`` looks at: the chain, its writers, the heads and seals, the files, the verdicts."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
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
from rollout.journal.chain import Entry
from rollout.journal.journal import Journal
from rollout.journal.reconciled import unwrapped
from rollout.journal.record import Kind

_REWRITTEN = (
    "the journal was recomputed from some entry on, or its end was cut off; trust what left the machine instead"
)
_ALTERED = "it was altered after the suite wrote it, or not by the suite"
_OF_A_ROLLOUT = ("seal.json", "change-record.json", "backup")


@dataclass(frozen=True, slots=True)
class Head:
    """Where a journal ended, by a word that left the machine."""

    seq: int
    hash: str


@dataclass(slots=True)
class Examination:
    """What was looked at, and what came of it.

    Attributes:
        findings: whatever was altered or does not follow, in the order in which it was met.
        checked: what was looked at, and how much of it.
        unclaimed: what this says nothing about, and why.
        head: where the journal ends; empty for one that is empty or broken.
    """

    findings: list[Finding] = field(default_factory=list)
    checked: Counter[str] = field(default_factory=Counter)
    unclaimed: list[str] = field(default_factory=list)
    head: str = ""

    @property
    def is_whole(self) -> bool:
        """Whether nothing was found."""
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
    """What is asked.

    Attributes:
        reports: where the rollouts' folders are now.
        rollout: the only one to look at besides the chain; None looks at all.
        allowed_signers: who may have sealed; None takes nobody's word.
        head: what left the machine; None where nothing is at hand.
    """

    reports: Path
    rollout: str | None = None
    allowed_signers: Path | None = None
    head: Head | None = None


def examine(journal: Journal, question: Question) -> Examination:
    """Look at everything; a broken chain ends it, for there is nothing left to hold the rest against."""
    told = Examination()
    try:
        entries = journal.raw_entries()
    except JournalError as error:
        means = "somebody changed the journal itself; nothing else was looked at, for it would be held against that"
        told.findings.append(Finding("the journal", str(error), means))
        return told
    told.checked["entries"] = len(entries)
    told.head = f"{entries[-1].seq}:{entries[-1].hash}" if entries else ""
    if question.head is not None:
        told.findings += _not_there(entries, asdict(question.head), "the head that left the machine")
    of: dict[str, list[Entry]] = {}
    for entry in entries:
        of.setdefault(entry.rollout, []).append(entry)
    told.findings += [found for entry, found in owners.superseded(entries) if question.rollout in (None, entry.rollout)]
    for rollout, own in of.items():
        if question.rollout in (None, rollout):
            told.findings += owners.ended_twice(own)
            # From here on, an entry that waited in a spool file counts as what it is.
            own = [unwrapped(entry) for entry in own]  # noqa: PLW2901
            _files(told, rollout, own, question.reports / rollout)
            _seals(told, rollout, entries, own, question)
            told.findings += approvals.unfounded(own)
            told.checked["approvals"] += len(approvals.held(own))
            derived = derive_or_find(rollout, own)
            told.findings += derived.findings
            told.checked["verdicts"] += derived.same
            if derived.unsampled:
                told.unclaimed.append(f"{rollout}: no samples stand behind {', '.join(sorted(derived.unsampled))}")
    if question.rollout is None:
        told.findings += _strangers(question.reports, of)
    _say_what_is_not_claimed(told, entries, question)
    return told


def _files(told: Examination, rollout: str, entries: Sequence[Entry], folder: Path) -> None:
    listing = manifest.listed(entries)
    pruned = next((entry for entry in reversed(entries) if entry.kind == Kind.PRUNED), None)
    if pruned is not None and not folder.exists():
        body, said = pruned.body, f"entry {pruned.seq} of {pruned.at}"
        told.unclaimed.append(
            f"{rollout}: its files, which {body['by']} archived as {body['archive']} (SHA-256 {body['sha256']}, {said})"
        )
        return
    if listing and not folder.is_dir():
        what = f"the folder with its {len(listing)} files is missing"
        told.findings.append(Finding(f"{folder}", what, "it was moved or deleted, and not by `rollout prune`"))
        return
    found = set(manifest.present(folder)) if folder.is_dir() else set()
    told.checked["files"] += len(listing)
    _env_copies(told, entries)
    runs = manifest.unlisted_runs(entries)
    loose = {path for path in found if _may_be_of(path, runs, listing.get(path))}
    told.findings += _altered(folder, {path: was for path, was in listing.items() if path not in loose}, found)
    if not any(entry.kind == Kind.MANIFEST for entry in entries):
        told.unclaimed.append(f"{rollout}: no run of it has listed its files yet, so only its backups were looked at")
        return
    if odd := [path for path in sorted(loose) if path not in listing or _now(folder, path) != listing[path].sha256]:
        told.unclaimed.append(_left_by(rollout, runs, odd))
    for path in sorted(found - listing.keys() - loose):
        what = "no entry of the journal lists it"
        told.findings.append(Finding(f"{folder / path}", what, "it was added after the run that it lies with"))


def _may_be_of(path: str, runs: Sequence[str], was: manifest.Listed | None) -> bool:
    """Tell whether a run that has not listed its files may have written this one: its own result, or a document."""
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


def _env_copies(told: Examination, entries: Sequence[Entry]) -> None:
    """Look at the byte-exact copies of the `.env` file where this host has them: they never leave the service's."""
    for copy in (entry.body["env"] for entry in entries if entry.kind == Kind.BACKUP and entry.body.get("env")):
        path = Path(copy["path"])
        if not path.is_file():
            told.unclaimed.append(f"{path}: the copy of the .env file stays on the service's host, and is not here")
        elif sha256(path.read_bytes()) != copy["sha256"]:
            told.findings.append(Finding(f"{path}", "it is not the .env file that was copied", _ALTERED))
        else:
            told.checked["files"] += 1


def _altered(folder: Path, listing: Mapping[str, manifest.Listed], found: set[str]) -> Iterator[Finding]:
    for path, was in listing.items():
        where = f"{folder / path}"
        if path not in found:
            yield Finding(where, f"it is missing; entry {was.seq} lists it", "it was moved or deleted")
        elif (now := _now(folder, path)) != was.sha256:
            what = f"its SHA-256 is {now[:12]}…, entry {was.seq} says {was.sha256[:12]}…"
            yield Finding(where, what, _ALTERED)


def _seals(told: Examination, rollout: str, entries: Sequence[Entry], own: Sequence[Entry], question: Question) -> None:
    seals = [entry for entry in own if entry.kind == Kind.SEAL]
    for entry in seals:
        told.findings += _bad_seal(told, entry, entries, own, question.allowed_signers)
    told.checked["seals"] += len(seals)
    told.findings += _bad_file(question.reports / rollout / seal.FILE, entries, seals)
    if not seals and question.allowed_signers is not None and any(entry.kind == Kind.CLOSED for entry in own):
        what, means = "it is closed and not sealed", "nobody vouches for it; or the seal was cut off with what followed"
        told.findings.append(Finding(f"rollout {rollout}", what, means))


def _bad_seal(
    told: Examination, entry: Entry, entries: Sequence[Entry], own: Sequence[Entry], allowed_signers: Path | None
) -> Iterator[Finding]:
    """Yield what is wrong with one seal."""
    where, sealed = f"entry {entry.seq} (seal)", entry.body["sealed"]
    yield from _not_there(entries, sealed["head"], f"the head that {where} vouches for")
    until = [each for each in own if each.seq <= sealed["head"]["seq"]]
    closed = next((each.body["decision"] for each in reversed(until) if each.kind == Kind.CLOSED), None)
    if (sealed["rollout"], sealed["decision"]) != (entry.rollout, closed):
        what = f"it speaks of {sealed['rollout']}, {sealed['decision']}, and stands with {entry.rollout}, {closed}"
        yield Finding(where, what, _REWRITTEN)
    if sealed["manifest"] != manifest.digest(manifest.listed(until)):
        yield Finding(where, "the list of files is not the one that was sealed", _REWRITTEN)
    if allowed_signers is None:
        return
    try:
        who = _signed_by(entry.body, allowed_signers)
    except SigningError as error:
        yield Finding(where, str(error), "nobody of that list vouches for this record")
    else:
        told.checked[f"signed by {who}"] += 1


def _signed_by(body: Mapping[str, Any], allowed_signers: Path) -> str:
    sealed, at = body["sealed"], datetime.fromisoformat(body["sealed"]["at"])
    who = signer(body["signature"], allowed_signers, at)
    verify(canonical(sealed), body["signature"], who, allowed_signers, seal.NAMESPACE, at)
    return who


def _bad_file(path: Path, entries: Sequence[Entry], seals: Sequence[Entry]) -> Iterator[Finding]:
    """Yield how the seal's file differs from what the journal holds: it outlives a tail that is cut off."""
    if not path.exists():
        if seals and path.parent.exists():
            yield Finding(f"{path}", f"it is missing; entry {seals[-1].seq} wrote it", "it was moved or deleted")
        return
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        told = {"sealed": kept["sealed"], "signature": kept["signature"]}
        entry, head = kept["entry"], kept["sealed"]["head"]
        places = [(int(each["seq"]), str(each["hash"])) for each in (entry, head)]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        yield Finding(f"{path}", "it is not a seal's file", _ALTERED)
        return
    for (seq, hash_), what in zip(places, ("the seal", "the head"), strict=True):
        yield from _not_there(entries, {"seq": seq, "hash": hash_}, f"{what} of {path}")
    if not seals or told != {name: seals[-1].body[name] for name in told} or set(kept) != {*told, "entry"}:
        yield Finding(f"{path}", "it is not the latest seal of the journal", _REWRITTEN)


def _not_there(entries: Sequence[Entry], head: Mapping[str, Any], what: str) -> Iterator[Finding]:
    """Yield that the journal does not go through a head; entries stand at their own places, the chain being whole."""
    seq, hash_ = head["seq"], head["hash"]
    if not 1 <= seq <= len(entries):
        yield Finding(f"entry {seq}", f"{what} is not there: the journal ends with entry {len(entries)}", _REWRITTEN)
    elif entries[seq - 1].hash != hash_:
        now = entries[seq - 1].hash
        yield Finding(f"entry {seq}", f"{what} is {hash_[:12]}…, the journal says {now[:12]}…", _REWRITTEN)


def _strangers(reports: Path, known: Mapping[str, Any]) -> Iterator[Finding]:
    with suppress(OSError):
        for folder in sorted(reports.iterdir()):
            if folder.name not in known and any((folder / name).exists() for name in _OF_A_ROLLOUT):
                yield Finding(f"{folder}", "the journal knows nothing of this rollout", _REWRITTEN)


def _say_what_is_not_claimed(told: Examination, entries: Sequence[Entry], question: Question) -> None:
    seals = [entry for entry in entries if entry.kind == Kind.SEAL]
    if seals and question.allowed_signers is None:
        told.unclaimed.append("who sealed it: name the list of signers with --allowed-signers")
    until = max((entry.body["sealed"]["head"]["seq"] for entry in seals), default=0)
    until = max(until, 0 if question.head is None else question.head.seq)
    loose = len(entries) - until - sum(entry.seq > until for entry in seals)
    if loose > 0:
        told.unclaimed.append(
            f"that the last {loose} of {len(entries)} entries were not recomputed, and that none followed: no seal and "
            "no --head covers them"
        )
    told.unclaimed.append(
        "what happened before an entry, a list of files or a seal was written, and whose clock it was"
    )
