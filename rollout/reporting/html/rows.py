"""The rows of a report: the results of the runs, compared with the journal, and the clauses that no run has reached.

A row is green only if the journal holds that pass. Every planned clause has a row. A repeated check has one row per
run, because Allure would hide the earlier one as a "retry".
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from rollout.core.clauses import CLAUSES, ORDER, Clause
from rollout.journal.record import EXCEPTIONS, ClauseOutcome
from rollout.monitoring.window_outcome import IN_PROGRESS
from rollout.reporting.allure import CLOSURE_ROW, NOT_RUN, epic_of, row_labels
from rollout.reporting.html.story import Run, Story

Row = dict[str, Any]
"""An Allure result, as JSON."""

NOT_YET = "NOT RUN YET: "
INTERRUPTED = "INTERRUPTED: "
CLOSURE = "closure"
"""What identifies the closure's row."""

UNREACHED = "it was not reached before this report was built"
LONGEST_NAME = 160
STATUSES = {"passed": "passed", "failed": "failed", "skipped": "skipped", "not run": "broken"} | dict.fromkeys(
    EXCEPTIONS, "skipped"
)


def read(folder: Path) -> list[Row]:
    """Return the results that a run wrote; an incomplete file is left out, so that its check is not green."""
    found = []
    for row in _documents(folder, "*-result.json"):
        # A killed run may name attachments that it did not write.
        row["attachments"] = [a for a in row.get("attachments", ()) if (folder / a["source"]).is_file()]
        found.append(row)
    return found


def fixtures(story: Story, folder: Path) -> list[Row]:
    """Return a row for every fixture of a run that has evidence or failed; Allure would show it under other checks."""
    found = []
    for container in _documents(folder, "*-container.json"):
        for part, when in (("befores", "Set-up"), ("afters", "Teardown")):
            for fixture in container.get(part, ()):
                if fixture["name"].split("::")[0] == "closure" and fixture.get("status") == "skipped":
                    # The end of the run has a row that says that the rollout stays open.
                    continue
                row = new_row(story, None, fixture.get("status", "broken"), "")
                row |= {key: fixture[key] for key in ("statusDetails", "steps", "attachments") if key in fixture}
                row |= {"start": fixture["start"], "stop": fixture.get("stop", fixture["start"])}
                row["name"] = row["fullName"] = f"{when}: {fixture['name'].split('::')[0]}"
                found.append(row)
    return found


def _documents(folder: Path, pattern: str) -> Iterator[Any]:
    for path in sorted(folder.glob(pattern)):
        with suppress(OSError, ValueError):
            yield json.loads(path.read_text(encoding="utf-8"))


def rows(story: Story, results: Mapping[str, Iterable[Row]]) -> list[Row]:
    """Return a row for every check of every run, and for every clause that no run has reached.

    Args:
        story: the rollout.
        results: run -> the results that it wrote; the closure's own are not among the rows returned.
    """
    found = [row for run in story.runs for row in _of_run(story, run, results.get(run.name, ()))]
    found = _without_superseded(found) + _not_asked_for(story)
    _number_repeated(found)
    seen = Counter[str]()
    # The latest one is what the journal's record holds, with which a later rollout compares it.
    for row in reversed(found):
        row.pop("run", None)
        clause = clause_of(row)
        what = clause.id if clause else row["fullName"]
        identify(row, story.request.target.name, what, seen[what])
        seen[what] += 1
        _name(row, story)
    return found


def is_closure(row: Row) -> bool:
    """Return whether a result is that of the closure."""
    return any(each["name"] == "tag" and each["value"] == "closure" for each in row.get("labels", ()))


def label(row: Row, name: str) -> str:
    """Return the row's first label of that name, empty if it has none."""
    return next((str(each["value"]) for each in row.get("labels", ()) if each["name"] == name), "")


def message_of(row: Row) -> str:
    """Return why the row has its status; empty if it has no message."""
    return str(row.get("statusDetails", {}).get("message", ""))


def millis(at: str) -> int:
    """Return a time in ms since the epoch, as Allure counts it."""
    return round(datetime.fromisoformat(at).timestamp() * 1000)


def new_row(story: Story, clause: Clause | None, status: str, message: str, at: str | None = None) -> Row:
    """Return a row that no run wrote."""
    epic = epic_of(story.record.id, story.change, story.request.target.name)
    labels = row_labels(epic, story.request.scenario.author, clause)
    return {
        "uuid": str(uuid.uuid4()),
        "name": CLOSURE_ROW if clause is None else str(clause),
        "fullName": CLOSURE if clause is None else clause.id,
        "status": status,
        "statusDetails": {"message": message} if message else {},
        "labels": [{"name": name, "value": value} for name, value in labels],
        "attachments": [],
        "steps": [],
        "start": at and millis(at),
        "stop": at and millis(at),
    }


def identity_of(target: str, what: str, number: int = 0) -> str:
    """Return a row's identity: the same in every rollout of a target, and in no other target's.

    Args:
        target: the target's name.
        what: the clause's id, `CLOSURE`, or the name of what is no clause.
        number: how many later rows of this rollout are of the same: Allure hides all but one that share an identity.
    """
    return hashlib.sha256(f"{target}\n{what}\n{number}".encode()).hexdigest()


def identify(row: Row, target: str, what: str, number: int = 0) -> None:
    """Give the row the identity of `identity_of`, by which Allure finds it in earlier rollouts."""
    row["historyId"] = row["testCaseId"] = identity_of(target, what, number)


def _name(row: Row, story: Story) -> None:
    """Append to the name what was wrong, or the verdict's message of a trigger that held."""
    clause = clause_of(row)
    if row["status"] == "passed" and clause is not None and clause.id in story.window.verdicts:
        row["name"] = shortened(f"{row['name']} · {story.window.verdicts[clause.id]['message']}")
    message = message_of(row).split("\n")[0]
    if row["status"] == "failed" and message:
        row["name"] = shortened(f"{row['name']} ✗ {message}")
    elif row["status"] in ("broken", "skipped") and message:
        # The rest of the message, the state until then, is in the row itself.
        row["name"] = shortened(f"{row['name']} · {message.split('; ')[0]}")


def shortened(name: str) -> str:
    """Return the name, cut to `LONGEST_NAME`."""
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"


def _of_run(story: Story, run: Run, results: Iterable[Row]) -> list[Row]:
    found = [row for row in results if not is_closure(row)]
    reached = set()
    for row in found:
        clause = clause_of(row)
        if clause is not None:
            reached.add(clause.id)
            _compare_with_journal(row, run.outcomes.get(clause.id))
    found += [
        _unwritten(story, run, clause)
        for clause in story.planned(run.phases if run.checks else (), story.left_out)
        if clause.id not in reached
    ]
    _in_order(found, millis(run.at))
    for row in found:
        row["run"] = run
    return found


def clause_of(row: Row) -> Clause | None:
    """Return the clause that a result decides; None for the closure and for checks outside of the procedure."""
    return CLAUSES.get(label(row, "story").split(" ")[0])


def _compare_with_journal(row: Row, outcome: ClauseOutcome | None) -> None:
    """Mark a result as broken that passed and is no pass in the journal: its check was interrupted."""
    if row["status"] in ("failed", "broken", "skipped"):
        return
    if row["status"] == "passed" and outcome is not None and outcome.outcome == "passed":
        return
    found = "no outcome of it" if outcome is None else f"{outcome.outcome!r}: {outcome.message}"
    row["status"] = "broken"
    row["statusDetails"] = {"message": f"{INTERRUPTED}the journal holds {found}, so this is not a pass"}


def _unwritten(story: Story, run: Run, clause: Clause) -> Row:
    outcome = run.outcomes.get(clause.id)
    if outcome is None:
        return new_row(story, clause, "broken", f"{NOT_RUN}{UNREACHED}")
    row = new_row(story, clause, STATUSES.get(outcome.outcome, "broken"), outcome.message, outcome.at)
    row["description"] = "From the journal: the run did not come to write its evidence."
    return row


def _not_asked_for(story: Story) -> list[Row]:
    status = "skipped" if story.is_pending else "broken"
    found = [
        new_row(story, clause, status, why_not_asked_for(story, phase))
        for phase in story.not_asked_for
        for clause in story.planned((phase,), story.left_out)
    ]
    _in_order(found, millis(story.events[-1].at))
    return found


def why_not_asked_for(story: Story, phase: str) -> str:
    """Return why no run was asked for the phase: it is still to come, or it was left out."""
    if story.is_pending:
        return f"{NOT_YET}the {phase} phase is still to come"
    return f"{NOT_RUN}no run was asked for the {phase} phase"


def _without_superseded(found: list[Row]) -> list[Row]:
    """Leave out the interim state of a trigger whose window a later call has continued."""
    last = {clause.id: number for number, row in enumerate(found) if (clause := clause_of(row)) is not None}
    return [
        row
        for number, row in enumerate(found)
        if not _begins_with(row, IN_PROGRESS) or (clause := clause_of(row)) is None or last[clause.id] == number
    ]


def _begins_with(row: Row, word: str) -> bool:
    return message_of(row).removeprefix("Skipped: ").startswith(word)


def _number_repeated(found: list[Row]) -> None:
    """Append the run to the names of the rows of a clause that has several."""
    alike: dict[str, list[Row]] = defaultdict(list)
    for row in found:
        clause = clause_of(row)
        alike[clause.id if clause else row["fullName"]].append(row)
    for same in alike.values():
        if len(same) > 1:
            for number, row in enumerate(same, start=1):
                row["name"] += f" · run {number} of {len(same)}, {row['run'].at[11:19]}Z"


def _in_order(found: list[Row], begin: int) -> None:
    """Sort by the procedure; a row that never ran starts after the one before it, as Allure sorts by the start."""
    found.sort(key=lambda row: ORDER.get(label(row, "story").split(" ")[0], len(ORDER)))
    latest = begin
    for row in found:
        row["start"] = row["start"] or latest + 1
        row["stop"] = row["stop"] or row["start"]
        latest = max(latest, row["start"])
