"""The spool file: entries that the journal did not take, until they are appended to it (safety rule 8)."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from rollout.core.canonical_json import sha256
from rollout.journal.journal import Journal
from rollout.journal.record import Kind

SPOOL = "journal-spool.jsonl"
"""The name of the file, in the rollout's folder, of the entries that a rollback could not write to the journal."""


def append_to_spool(folder: Path, line: Mapping[str, Any]) -> None:
    """Append an entry to the spool file of the rollout's folder, or write it to standard error where that fails."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / SPOOL).open("a", encoding="utf-8") as spool:
            spool.write(json.dumps(line, default=str) + "\n")
    except OSError as full:
        # Neither may stop the rollback.
        with suppress(OSError):
            sys.stderr.write(
                f"neither the journal nor {full.filename} can be written: {json.dumps(line, default=str)}\n"
            )


def reconcile(journal: Journal, reports: Path) -> list[str]:
    """Append the spooled entries to the journal, and return the ids of their rollouts; a second time does nothing.

    Raises:
        JournalError: it still cannot be written; the spool files stay as they are.
    """
    found = sorted(reports.glob(f"*/{SPOOL}"))
    for path in found:
        with suppress(OSError):
            _append_spooled(journal, path.read_text(encoding="utf-8").splitlines())
            path.rename(path.with_name(f"reconciled-{sha256(path.read_bytes())[:12]}.jsonl"))
    return [path.parent.name for path in found]


def _append_spooled(journal: Journal, lines: list[str]) -> None:
    """Append each line as kind `RECONCILED`: neither a new intent nor a new ending (safety rule 8)."""
    intent = ""
    for text in lines:
        try:
            line, digest = json.loads(text), sha256(text.encode())
        except ValueError:
            continue  # its writer was killed in the middle of it; the file stays
        body = {"spool": digest[:12], "fence": 0, **line["body"]}
        if line["kind"] == Kind.INTENT:
            intent = body["spool"]
        elif line["kind"] == Kind.OUTCOME:
            # Version 0.1 numbered every spooled intent 0.
            body["intent"] = body["intent"] or intent
        known = journal.entries(line["rollout"], line["kind"])
        if not any(entry.body.get("spooled") == digest for entry in known):
            facts = {"kind": line["kind"], "at": line["at"], "fence": body.pop("fence"), "spool": body.pop("spool")}
            journal.append(line["rollout"], Kind.RECONCILED, {**facts, "spooled": digest, "body": body})
