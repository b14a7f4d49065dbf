"""What an auditor sees: the only module that speaks to Allure.

Titles, labels and links are set at collection, because what a fixture sets is overwritten (EVIDENCE.md, Allure facts).
"""

from __future__ import annotations

import csv
import io
import json
import platform
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import allure
import allure_commons
from allure_commons.model2 import Status

from rollout.clauses import CLAUSES, Clause
from rollout.redaction import Redactor
from rollout.workspace import Rollout

NOT_RUN = "NOT RUN: "
"""How the message of a check begins that the plan wanted and the run never reached."""

PHASE_TITLES = {"precheck": "1 Precheck", "apply": "2 Apply", "verify": "3 Verify", "monitor": "4 Monitor"}
CLOSURE_TITLE = "5 Closure"
_BLOCKER = frozenset({"PRE-1.1", "PRE-1.2", "PRE-1.3", "PRE-2.4", "PRE-3.3", "APP-0.1", "APP-0.2", "APP-1.2"})


def labels(rollout: Rollout, clause: Clause | None) -> Iterator[tuple[str, str]]:
    """Yield Allure labels as (type, value): rollout / phase / clause, severity, owner. None stands for the closure."""
    phase = CLOSURE_TITLE if clause is None else PHASE_TITLES[clause.phase]
    story = "Closure: kept or rolled back" if clause is None else str(clause)
    epic = f"{rollout.id} · {rollout.change} on {rollout.target.name}"
    yield from (("epic", epic), ("feature", phase), ("story", story))
    yield from (("parentSuite", epic), ("suite", phase), ("subSuite", story))
    yield "severity", "blocker" if clause is None or clause.id in _BLOCKER else "critical"
    yield "owner", rollout.scenario.author


def ticket_link(rollout: Rollout) -> str | None:
    """Return the URL of the scenario's ticket; None where there is no ticket or no tracker is configured."""
    ticket, pattern = rollout.scenario.ticket, rollout.policy.ticket_url
    return pattern.replace("{ticket}", ticket) if ticket and pattern else None


class Show:
    """Attach evidence to the check that is running; secrets are taken out first."""

    def __init__(self, redactor: Redactor) -> None:
        """Keep the redaction that everything passes through."""
        self._redactor = redactor

    def json(self, name: str, value: Any) -> None:
        """Attach a value as JSON."""
        text = json.dumps(self._redactor.value(value), indent=2, ensure_ascii=False, default=str)
        allure.attach(text, name, allure.attachment_type.JSON)

    def text(self, name: str, text: str) -> None:
        """Attach plain text."""
        allure.attach(self._redactor.text(text), name, allure.attachment_type.TEXT)

    def table(self, name: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Attach rows of equal keys as a table."""
        rows = list(rows)
        if rows:
            allure.attach(self._redactor.text(_csv(rows)), name, allure.attachment_type.CSV)

    def exchanges(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Attach what was said to the gateway and what it answered."""
        if rows:
            self.json(f"Exchanges with the gateway ({len(rows)})", rows)


def _csv(rows: Sequence[Mapping[str, Any]]) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, fieldnames=list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


class Guard:
    """Sees every Allure object before it is written: redacts it, and never lets the unreached look harmless."""

    def __init__(self, redactor: Redactor) -> None:
        """Keep the redaction."""
        self._redactor = redactor

    @allure_commons.hookimpl
    def report_result(self, result: Any) -> None:
        """Redact a check's result; a check that was planned and never reached is broken, not skipped."""
        self._redact(result)
        details = result.statusDetails
        if result.status == Status.SKIPPED and details is not None and NOT_RUN in (details.message or ""):
            result.status = Status.BROKEN

    @allure_commons.hookimpl
    def report_container(self, container: Any) -> None:
        """Redact fixtures: their names, steps and errors."""
        self._redact(container)

    def _redact(self, part: Any) -> Any:
        if isinstance(part, str):
            return self._redactor.text(part)
        if isinstance(part, list):
            part[:] = [self._redact(item) for item in part]
        elif type(part).__module__.startswith("allure_commons"):
            for name, value in vars(part).items():
                if name not in ("uuid", "historyId", "testCaseId", "status", "source", "start", "stop"):
                    setattr(part, name, self._redact(value))
        return part


def guard(redactor: Redactor) -> Guard:
    """Put the guard before Allure's writer; hooks registered last are called first."""
    watcher = Guard(redactor)
    allure_commons.plugin_manager.register(watcher)
    return watcher


def unguard(watcher: Guard) -> None:
    """Take the guard away again."""
    allure_commons.plugin_manager.unregister(watcher)


def write_surroundings(folder: Path, rollout: Rollout) -> None:
    """Write ``environment.properties`` and ``executor.json`` into a directory of results."""
    facts = {
        "rollout": rollout.id,
        "target": rollout.target.name,
        "gateway": rollout.target.url or "embedded",
        "policy": rollout.policy.name,
        "change": str(rollout.change),
        "ticket": rollout.scenario.ticket or "none",
        "author": rollout.scenario.author,
        "digest": rollout.digest,
        "python": platform.python_version(),
        "host": platform.node(),
    }
    folder.mkdir(parents=True, exist_ok=True)
    lines = "".join(f"{key}={rollout.redactor.text(str(value))}\n" for key, value in facts.items())
    (folder / "environment.properties").write_text(lines, encoding="utf-8")
    executor = {"name": "rollout", "type": "rollout", "buildName": rollout.run, "reportName": f"Rollout {rollout.id}"}
    (folder / "executor.json").write_text(json.dumps(executor), encoding="utf-8")


def clause_title(clause_id: str) -> str:
    """Return the title of a check's row."""
    return str(CLAUSES[clause_id])
