"""A sample of the population for an audit: chosen by a seed that anybody can use again, and packed with its evidence.

The rollouts are ordered by the SHA-256 of ``SEED:ID``, and the first N are the sample. ``printf '%s' SEED:ID |
sha256sum`` repeats that without this program.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import re
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rollout.core.canonical_json import sha256
from rollout.core.errors import RolloutError
from rollout.reporting.rollout_facts import RolloutFacts
from rollout.reporting.rollout_table import to_csv

MANIFEST = "manifest.json"
POPULATION = "population.csv"
RULE = "the first `size` of the population, ordered by the SHA-256 of `seed:rollout`"


@dataclass(frozen=True, slots=True)
class SampleRequest:
    """What is to be sampled.

    Attributes:
        seed: any text.
        size: how many rollouts.
        target: the only target; None for all.
        since: the population begins here, UTC; None for all.
    """

    seed: str
    size: int
    target: str | None = None
    since: str | None = None


@dataclass(frozen=True, slots=True)
class Packed:
    """A sample that is written.

    Attributes:
        archive: the file.
        sha256: the digest of its bytes.
        chosen: the ids of the rollouts, in the order of the choice.
        fits: how many there were to choose from.
        missing: the chosen ids whose evidence is not on this disk, each with the reason.
    """

    archive: Path
    sha256: str
    chosen: tuple[str, ...]
    fits: int
    missing: dict[str, str]


def choose(ids: Sequence[str], seed: str, size: int) -> tuple[str, ...]:
    """Return the first `size` ids, ordered by the SHA-256 of ``seed:id``; the order of `ids` does not matter."""
    return tuple(sorted(ids, key=lambda id_: hashlib.sha256(f"{seed}:{id_}".encode()).hexdigest())[:size])


def pack_sample(
    request: SampleRequest,
    found: Sequence[RolloutFacts],
    reports: Path,
    to: Path,
    head: str,
    archived: Mapping[str, str],
) -> Packed:
    """Choose from the population, and pack the evidence, a manifest and the population's table into one archive.

    The same request, found, evidence and head give the same bytes.

    Args:
        request: what is to be sampled.
        found: every rollout that fits the request.
        reports: where the rollouts' folders are.
        to: the folder of the archive.
        head: where the journal ended, as ``verify-journal --head`` reads it.
        archived: rollout -> where `rollout prune` has put its evidence.

    Raises:
        RolloutError: the population is empty, or something cannot be read or written.
    """
    if not found:
        raise RolloutError("no rollout fits --target and --since, so there is nothing to sample; widen them")
    chosen = choose([each.rollout for each in found], request.seed, request.size)
    archive = to / f"audit-sample-{re.sub(r'[^A-Za-z0-9._-]+', '-', request.seed)}.tar.gz"
    try:
        contents = {rollout: dict(_files(reports / rollout)) for rollout in chosen}
        missing = {rollout: _why_missing(rollout, archived) for rollout in chosen if not contents[rollout]}
        manifest = _manifest(request, found, head, contents, missing)
        files = {
            MANIFEST: f"{json.dumps(manifest, indent=2, ensure_ascii=False)}\n".encode("utf-8", "backslashreplace"),
            POPULATION: to_csv(found).encode("utf-8", "backslashreplace"),
            **{f"{rollout}/{name}": content for rollout in chosen for name, content in contents[rollout].items()},
        }
        digest = _write_archive(archive, _compressed(files))
    except OSError as error:
        raise RolloutError(f"the sample is not packed: {error}; name another folder with --out") from error
    return Packed(archive, digest, chosen, len(found), missing)


def _manifest(
    request: SampleRequest,
    found: Sequence[RolloutFacts],
    head: str,
    contents: Mapping[str, Mapping[str, bytes]],
    missing: Mapping[str, str],
) -> dict[str, Any]:
    facts = {each.rollout: each.facts() for each in found}
    chosen = [
        {
            "rollout": rollout,
            "files": {name: sha256(content) for name, content in files.items()},
            "missing": missing.get(rollout),
            "facts": facts[rollout],
        }
        for rollout, files in contents.items()
    ]
    return {
        **asdict(request),
        "rule": RULE,
        "journal_head": head,
        "population": {"size": len(found), "sha256": sha256(sorted(facts))},
        "chosen": chosen,
    }


def _files(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yield path and content of a rollout's files; a symbolic link may lead out of the evidence and is no file."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            yield path.relative_to(folder).as_posix(), path.read_bytes()


def _why_missing(rollout: str, archived: Mapping[str, str]) -> str:
    place = archived.get(rollout)
    return f"`rollout prune` archived it as {place}" if place else "there is no folder of it below the reports"


def _compressed(files: Mapping[str, bytes]) -> bytes:
    """Return an archive without times and owners, so that the same content has the same digest."""
    raw = io.BytesIO()
    with gzip.GzipFile(fileobj=raw, mode="wb", mtime=0) as packed, tarfile.open(fileobj=packed, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o600
            tar.addfile(entry, io.BytesIO(content))
    return raw.getvalue()


def _write_archive(archive: Path, content: bytes) -> str:
    """Write the archive in one step, and return its SHA-256.

    Raises:
        RolloutError: there is one of this name with another content, which an auditor may have.
    """
    if archive.exists() and archive.read_bytes() != content:
        raise RolloutError(f"{archive} holds another sample of this seed; name another folder with --out")
    archive.parent.mkdir(parents=True, exist_ok=True)
    new = archive.with_name(f".{os.getpid()}-{archive.name}")
    new.write_bytes(content)
    new.replace(archive)
    return sha256(content)
