"""The change record: what was changed, by whom, why, and with which result (DOC-1).

It is made from the journal, for every end of a rollout: kept, rolled back, nothing applied, an emergency.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rollout.changes.backup import differences, recorded
from rollout.changes.catalogue import own_keys
from rollout.context import RolloutContext
from rollout.core.canonical_json import to_json
from rollout.core.clauses import CLAUSES
from rollout.core.errors import JournalError, RolloutError
from rollout.core.visible import show_all
from rollout.journal.record import Decision, Kind, RolloutRecord
from rollout.reporting.deciding_values import describe_values
from rollout.reporting.documents import describe_hold, never_documented
from rollout.reporting.rendering import render
from rollout.reporting.timeline import describe_events
from rollout.reporting.timings import (
    class_of,
    content_of,
    counted,
    effect_of,
    entries_of,
    is_emergency,
    measured,
    moments,
    written,
)
from rollout.reporting.window_end import describe_shares, record_end

Facts = Mapping[str, Any]


def write_change_record(rollout: RolloutContext, record: RolloutRecord, closed: Facts) -> Path:
    """Write ``change-record.json`` and ``.md``, and return the path of the former.

    Args:
        rollout: the rollout.
        record: its record, read from the journal now or the last time that this was possible.
        closed: the closure's facts: decision, word, why, not_passed, rollback, commands.

    Raises:
        OSError: the files cannot be written.
    """
    facts = _with_relative_paths(rollout.redactor.value(to_json(_facts(rollout, record, closed))), rollout.folder)
    rollout.folder.mkdir(parents=True, exist_ok=True)
    path = rollout.folder / "change-record.json"
    path.write_text(json.dumps(show_all(facts), indent=2, ensure_ascii=False), encoding="utf-8")
    words = {"titled": _titled, "measured": measured, "describe_hold": describe_hold}
    page = render("change-record.md", shares=describe_shares(record), **words, **facts)
    path.with_suffix(".md").write_text(page, encoding="utf-8")
    return path


def _facts(rollout: RolloutContext, record: RolloutRecord, closed: Facts) -> dict[str, Any]:
    scenario, target, policy = rollout.scenario, rollout.target, rollout.policy
    entries = entries_of(rollout)
    backup, values = record.backup, describe_values(record, scenario)
    return {
        "rollout": rollout.id,
        "what": [str(change) for change in scenario.changes],
        "class": class_of(record),
        "target": {"name": target.name, "url": target.url, "environment": policy.name},
        "before": record.previous,
        "who": {
            "author": scenario.author,
            "approved_by": list(record.approved_by),
            "in_words": record.approvers,
            "approvals": record.approvals,
            "operator": scenario.operator,
            "implementers": [each.facts() for each in record.implementers],
            "runs_on": rollout.journal.host,
        },
        "ticket": scenario.ticket,
        "reason": record.opened.get("reason"),
        "impact": scenario.impact,
        "waivers": scenario.waivers,
        "exceptions": record.exceptions,
        "missing_evidence": record.missing_evidence,
        "undocumented": [missing for missing in never_documented(record) if not missing.startswith("DOC-1 ")],
        "opened": record.opened_at,
        "closed": record.closed_at,
        "digest": None if is_emergency(record) else rollout.digest,
        "content": content_of(record),
        **closed,
        "deciding": record.breach,
        **record_end(record, closed["decision"]),
        "moments": asdict(moments(record, entries)),
        "in_effect": str(effect_of(record)),
        "requests": asdict(counted(entries)),
        "differences": _differences(rollout, record, closed),
        "findings": record.findings,
        "clauses": {id_: [each.outcome, values[id_]] for id_, each in record.clauses.items()},
        "holds": record.holds,
        "owed": record.owed,
        "writes": [[write.at, write.step, write.direction, write.to, write.result] for write in record.writes],
        "told": [{key: row[key] for key in ("event", "channel", "accepted", "detail")} for row in record.notified],
        "timeline": [[event.at, event.text] for event in describe_events(entries) if event.kind != Kind.STEP],
        "evidence": {} if backup is None else _digests(backup),
        "journal": _head(rollout),
    }


def _with_relative_paths(facts: Any, folder: Path) -> Any:
    """Return the facts with the paths below the reports' folder relative to the record: `reports/` can be moved."""
    if isinstance(facts, str):
        # The longer path first: the rollout's own folder is below that of all rollouts.
        return facts.replace(f"{folder}{os.sep}", "").replace(f"{folder.parent}{os.sep}", f"..{os.sep}")
    if isinstance(facts, Mapping):
        return {_with_relative_paths(key, folder): _with_relative_paths(part, folder) for key, part in facts.items()}
    return [_with_relative_paths(part, folder) for part in facts] if isinstance(facts, list) else facts


def _head(rollout: RolloutContext) -> Any:
    try:
        return rollout.journal.head()
    except JournalError as error:
        return str(error)


def _digests(backup: Facts) -> dict[str, str]:
    """Return the backup's files and their SHA-256."""
    found = {str(path): str(backup["digests"][what]) for what, path in backup.get("files", {}).items()}
    env = backup.get("env")
    return found if env is None else {**found, str(env["path"]): str(env["sha256"])}


def _differences(rollout: RolloutContext, record: RolloutRecord, closed: Facts) -> dict[str, Any]:
    """Return how the gateway differs from its backup at the end.

    After a rollback that is the comparison of RBK-4.3: a gateway that may be impaired is not read once more.
    """
    compared = record.steps.get("RBK-4.3")
    if compared is not None and closed["decision"] != Decision.KEPT:
        return {"compared": compared["message"], "intended": {}, "others": {}}
    if record.backup is None or not record.wrote:
        why = "there is no backup to compare with; " if record.wrote else ""
        return {"compared": f"{why}{written(record)}", "intended": {}, "others": {}}
    try:
        found = differences(recorded(record.backup), rollout.gateway.uninterruptible(), rollout.redactor.value)
    except (RolloutError, LookupError) as error:
        # A backup of an earlier version may lack what this one reads.
        return {"compared": f"not compared: {error}", "intended": {}, "others": {}}
    own = own_keys(rollout)
    return {
        "compared": f"{len(found)} differences",
        "intended": {key: how for key, how in found.items() if key in own},
        "others": {key: how for key, how in found.items() if key not in own},
    }


def _titled(clause: str) -> str:
    return str(CLAUSES[clause]) if clause in CLAUSES else clause
