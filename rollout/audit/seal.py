"""The seal: the journal's head, signed with an SSH key once a rollout is closed.

An unkeyed chain shows partial edits only. Rewriting it from an entry to its end, or cutting its tail, needs the key as
well, or access to the heads that have left the machine.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from rollout.approvals.ssh_signatures import sign
from rollout.audit import manifest
from rollout.core.canonical_json import canonical
from rollout.core.clock import format_utc
from rollout.core.errors import RolloutError
from rollout.journal.journal import Journal
from rollout.journal.record import Kind

NAMESPACE = "rollout-seal"
"""What the signature is for; one for something else does not pass for it."""

KEY = "ROLLOUT_SEAL_KEY"
"""The environment variable that names the key's file."""

FILE = "seal.json"


class Concluded(NamedTuple):
    """The result of listing the files and sealing the journal.

    Attributes:
        line: the line for the terminal; empty for a rollout that is still open.
        problem: why it failed; empty where it did not, or where no key is named.
    """

    line: str
    problem: str = ""


def conclude(journal: Journal, rollout: str, folder: Path, env: Mapping[str, str], *, by: str) -> Concluded:
    """List the files that were written, and seal the journal if the rollout is closed.

    It is the last step, ends within its deadlines and raises nothing: it does not change the rollout's result.

    Args:
        journal: the record.
        rollout: the rollout's id.
        folder: its folder below the reports.
        env: names the key's file, as `KEY`.
        by: as in `manifest.write`.
    """
    try:
        manifest.write(journal, rollout, folder, by=by)
        closed = journal.entries(rollout, Kind.CLOSED)
        return Concluded(
            _sealed(journal, rollout, folder, env.get(KEY), str(closed[-1].body["decision"])) if closed else ""
        )
    except (RolloutError, OSError) as error:
        why = str(error)
    except Exception as error:  # noqa: BLE001 - a seal that fails is no reason to lose the verdict
        why = f"a defect in the suite, {type(error).__name__}: {error}"
    return Concluded(f"seal: none, because {why}", f"list of files and seal: {why}")


def _sealed(journal: Journal, rollout: str, folder: Path, key: str | None, decision: str) -> str:
    if not key:
        return f"seal: none, {KEY} names no SSH key; a journal that is recomputed or cut would not show"
    last = journal.head()
    assert last is not None  # noqa: S101 - for the type checker: there is a closure
    sealed = {
        "rollout": rollout,
        "decision": decision,
        "head": {"seq": last[0], "hash": last[1]},
        "manifest": manifest.digest(manifest.listed(journal.entries(rollout, Kind.BACKUP, Kind.MANIFEST))),
        "at": format_utc(journal.now()),
    }
    signature = sign(canonical(sealed), Path(key), NAMESPACE)
    entry = journal.append(rollout, Kind.SEAL, {"sealed": sealed, "signature": signature})
    # What the journal holds, and where: a tail that is cut off takes the entry with it, and not the file.
    kept = {**entry.body, "entry": {"seq": entry.seq, "hash": entry.hash}}
    new = folder / f".{os.getpid()}-{FILE}"
    new.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")
    new.replace(folder / FILE)
    return f"seal: journal head {journal.head_text()}, signed with {key}"
