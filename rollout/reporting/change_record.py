"""The change record: what was changed, by whom, why, and with which result (DOC-1).

It is made from the journal, for every end of a rollout: kept, rolled back, nothing applied, an emergency.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rollout.changes.backup import differences, recorded
from rollout.changes.catalogue import own_keys
from rollout.context import RolloutContext
from rollout.core.canonical_json import to_json
from rollout.core.clauses import CLAUSES
from rollout.core.errors import JournalError, RolloutError
from rollout.core.text import markdown, one_line, table
from rollout.core.visible import show_all
from rollout.journal.record import Decision, Kind, RolloutRecord
from rollout.reporting.documents import describe_hold, never_documented
from rollout.reporting.timeline import clock, describe_events
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

Facts = Mapping[str, Any]

LONGEST_COMMAND = 10_000


def write_change_record(rollout: RolloutContext, record: RolloutRecord, closed: Facts) -> Path:
    """Write ``change-record.json`` and ``.md``, and return the path of the former.

    Args:
        rollout: the rollout.
        record: its record, read from the journal now or the last time that this was possible.
        closed: the closure's facts: decision, word, why, not_passed, rollback, commands.

    Raises:
        OSError: the files cannot be written.
    """
    facts = rollout.redactor.value(to_json(_facts(rollout, record, closed)))
    rollout.folder.mkdir(parents=True, exist_ok=True)
    path = rollout.folder / "change-record.json"
    path.write_text(json.dumps(show_all(facts), indent=2, ensure_ascii=False), encoding="utf-8")
    path.with_suffix(".md").write_text("\n".join(_markdown(facts)) + "\n", encoding="utf-8")
    return path


def _facts(rollout: RolloutContext, record: RolloutRecord, closed: Facts) -> dict[str, Any]:
    scenario, target, policy = rollout.scenario, rollout.target, rollout.policy
    entries = entries_of(rollout)
    backup = record.backup
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
        "moments": asdict(moments(record, entries)),
        "in_effect": str(effect_of(record)),
        "requests": asdict(counted(entries)),
        "differences": _differences(rollout, record, closed),
        "findings": record.findings,
        "clauses": {id_: [each.outcome, each.message] for id_, each in record.clauses.items()},
        "holds": record.holds,
        "owed": record.owed,
        "writes": [[write.at, write.step, write.direction, write.to, write.result] for write in record.writes],
        "told": [{key: row[key] for key in ("event", "channel", "accepted", "detail")} for row in record.notified],
        "timeline": [[event.at, event.text] for event in describe_events(entries) if event.kind != Kind.STEP],
        "evidence": {} if backup is None else _digests(backup),
        "journal": _head(rollout),
    }


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


# The Markdown page


def _markdown(facts: Facts) -> Iterator[str]:
    yield f"# Change record: {markdown(', '.join(facts['what']))} on {markdown(facts['target']['name'])}"
    yield ""
    yield from table(("", ""), _summary(facts))
    yield from _section("Result", ("", ""), _result(facts))
    if facts["commands"]:
        commands = (one_line(command, LONGEST_COMMAND) for command in reversed(facts["commands"]))
        yield from ("", "## A person is needed: read the state, then run the manual commands", "")
        yield from (f"    {command}" for command in commands)
    yield from _section("What differs from the backup", ("what", "before -> after", ""), _changed(facts))
    yield from _section("Timeline, in UTC", ("at", "what happened"), ((clock(a), t) for a, t in facts["timeline"]))
    steps = ((clock(r["at"]), _titled(r["clause"]), r["outcome"], r["seen"]) for r in facts["rollback"])
    yield from _section("The rollback", ("at", "step", "outcome", "seen"), steps)
    clauses = ((_titled(id_), outcome, message) for id_, (outcome, message) in facts["clauses"].items())
    yield from _section("Checks", ("clause", "outcome", "why"), clauses)
    missing = ((_titled(id_), why) for id_, why in facts["not_passed"].items())
    yield from _section("Not passed, or not run", ("clause", "why"), missing)
    sent = ((r["event"], r["channel"], "accepted" if r["accepted"] else "refused", r["detail"]) for r in facts["told"])
    yield from _section("Notifications", ("event", "channel", "", "answer"), sent)
    yield from _section("Evidence", ("file", "SHA-256"), facts["evidence"].items())


def _section(title: str, header: tuple[str, ...], rows: Any) -> Iterator[str]:
    kept = list(rows)
    if kept:
        yield from ("", f"## {title}", "")
        yield from table(header, kept)


def _titled(clause: str) -> str:
    return str(CLAUSES[clause]) if clause in CLAUSES else clause


def _summary(facts: Facts) -> Iterator[tuple[str, str]]:
    who, target = facts["who"], facts["target"]
    yield "Result", facts["word"]
    yield "Why", facts["why"]
    yield from (("NOT GREEN", exception) for exception in facts["exceptions"])
    yield from (("NOT DOCUMENTED", missing) for missing in (*facts["undocumented"], *facts["missing_evidence"]))
    yield "Change", ", ".join(facts["what"])
    yield "Before", facts["before"]
    yield "Target", f"{target['name']} ({target['url']}), policy {target['environment']}"
    yield "Class", facts["class"]
    yield "Author", who["author"]
    yield "Approved by", who["in_words"]
    for each in who["approvals"]:
        key = f", key {each['key']}" if each.get("key") else ""
        yield f"Approval, as {each['role']}", f"{each['approver']} at {each['at']}{key}"
    if who["operator"]:
        yield "Rollback operator", f"{who['operator']['name']} ({who['operator']['contact']})"
    yield "Ticket", facts["ticket"] or "none"
    if facts["reason"]:
        yield "Reason", facts["reason"]
    if facts["impact"]:
        yield "Impact assessment", "; ".join(f"{k}: {facts['impact'][k]}" for k in ("risk", "affects", "cost"))
    for waiver in facts["waivers"]:
        granted = f"granted by {waiver['granted_by']} until {waiver['until']}"
        yield f"Waiver of {waiver['clause']}", f"{waiver['reason']}; {granted}"
    yield "Opened", clock(facts["opened"])
    yield "Closed", clock(facts["closed"]) or "still open"
    for what, due in facts["owed"].items():
        yield "Owed", f"{what}, by {due}"
    yield "Rollout", facts["rollout"]
    yield "Content", facts["content"]
    if isinstance(facts["journal"], list):
        yield "Journal", "entry {}, SHA-256 {}".format(*facts["journal"])


def _result(facts: Facts) -> Iterator[tuple[str, str]]:
    deciding, requests = facts["deciding"], facts["requests"]
    if deciding is not None:
        yield "Decided by", f"{_titled(deciding['clause'])}: {deciding['message']}"
        yield "Value", f"{measured(deciding)}; {clock(deciding['at'])}"
    if facts["in_effect"]:
        yield "In effect", facts["in_effect"]
    if requests["users"] is not None:
        failed, users = requests["users_failed"], requests["users"]
        yield "Users", f"{failed} of {users} requests failed while it was watched"
    elif requests["own"]:
        yield "Users", "their requests were not counted"
    if requests["own"]:
        yield "The suite's own", f"{requests['own_failed']} of {requests['own']} requests failed"
    for clause, finding in facts["findings"].items():
        yield f"Finding, {clause}", finding
    for hold in facts["holds"]:
        yield "Rollback held", describe_hold(hold)


def _changed(facts: Facts) -> Iterator[tuple[str, str, str]]:
    found = facts["differences"]
    yield from ((key, how, "intended") for key, how in found["intended"].items())
    yield from ((key, how, "NOT INTENDED") for key, how in found["others"].items())
    if not found["intended"] and not found["others"]:
        yield "configuration and limits", found["compared"], ""
