"""The Allure evidence: the only module of the run that calls Allure.

Titles, labels and links are set at collection, because Allure overwrites what a fixture sets.
"""

from __future__ import annotations

import csv
import hashlib
import inspect
import io
import json
import platform
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import allure
import allure_commons
from allure_commons.model2 import Parameter, Status

from rollout.context import RolloutContext
from rollout.core.caller import identify, job_number
from rollout.core.canonical_json import to_json
from rollout.core.clauses import Clause
from rollout.core.policy import Policy
from rollout.core.redaction import Redactor
from rollout.core.scenario import Scenario
from rollout.core.visible import on_one_line, show_all, show_controls
from rollout.reporting.categories import raw_categories

NOT_RUN = "NOT RUN: "
"""The beginning of the message of a check that was planned and that the run never reached."""

TARGET = "target"
"""The parameter of a result that names its target."""

PHASE_TITLES = {
    "precheck": "1 Precheck",
    "apply": "2 Apply",
    "verify": "3 Verify",
    "monitor": "4 Monitor",
    "emergency": "Emergency",
    "review": "6 Review",
    "release": "Release",
}
_NO_EXPONENT = 1e6
CLOSURE_TITLE = "5 Closure"
CLOSURE_ROW = "Closure: kept or rolled back"
_BLOCKER = frozenset({"PRE-1.1", "PRE-1.2", "PRE-1.3", "PRE-2.4", "PRE-3.3", "APP-0.1", "APP-0.2", "APP-1.2"})


def labels(rollout: RolloutContext, clause: Clause | None) -> Iterator[tuple[str, str]]:
    """Yield Allure labels as (type, value): rollout / phase / clause, severity, owner. None stands for the closure."""
    epic = epic_of(rollout.id, rollout.change_text, rollout.target.name)
    return row_labels(epic, rollout.scenario.author, clause)


def epic_of(rollout: str, change: str, target: str) -> str:
    """Return the name of the tree's root."""
    return f"{rollout} · {change} on {target}"


def row_labels(epic: str, author: str, clause: Clause | None) -> Iterator[tuple[str, str]]:
    """Yield a row's labels as (type, value). None stands for the closure."""
    phase = CLOSURE_TITLE if clause is None else PHASE_TITLES[clause.phase]
    story = CLOSURE_ROW if clause is None else str(clause)
    yield from (("epic", epic), ("feature", phase), ("story", story))
    yield from (("parentSuite", epic), ("suite", phase), ("subSuite", story))
    yield "severity", "blocker" if clause is None or clause.id in _BLOCKER else "critical"
    yield "owner", author


def ticket_link(scenario: Scenario, policy: Policy) -> str | None:
    """Return the URL of the scenario's ticket; None where there is no ticket or no tracker is configured."""
    if not scenario.ticket or not policy.ticket_url:
        return None
    return policy.ticket_url.replace("{ticket}", quote(scenario.ticket, safe=""))


class Show:
    """Attaches evidence to the check that is running, without secrets."""

    def __init__(self, redactor: Redactor) -> None:
        """Create it; every text passes through `redactor`."""
        self._redactor = redactor
        self._remarks: list[str] = []

    def facts(self, name: str, value: Any) -> None:
        """Attach a value or a record: as a table where it is flat, else as JSON."""
        # Converted first: the redactor does not search records.
        value = show_all(self._redactor.value(to_json(value)))
        rows = _flat(value)
        if rows is None:
            self._json(name, value)
        elif rows:
            allure.attach(to_csv(rows), name, allure.attachment_type.CSV)
        else:
            allure.attach("none", name, allure.attachment_type.TEXT)

    def _json(self, name: str, value: Any) -> None:
        allure.attach(json.dumps(value, indent=2, ensure_ascii=False), name, allure.attachment_type.JSON)

    def text(self, name: str, text: str) -> None:
        """Attach plain text."""
        allure.attach(show_controls(self._redactor.text(text)), name, allure.attachment_type.TEXT)

    def add_remark(self, text: str) -> None:
        """Attach what the check has seen, in a sentence, and keep it for the check's outcome in the journal."""
        self.text("Seen", text)
        self._remarks.append(self._redactor.text(text))

    def take_remarks(self) -> str:
        """Return the remarks since the last call, as one text."""
        text, self._remarks[:] = "; ".join(self._remarks), []
        return text

    def table(self, name: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Attach rows of equal keys as a table."""
        rows = list(rows)
        if rows:
            allure.attach(self._redactor.text(to_csv(show_all(rows))), name, allure.attachment_type.CSV)

    def link(self, url: str, name: str) -> None:
        """Attach a link; it is not requested."""
        allure.dynamic.link(self._redactor.text(url), name=name)  # type: ignore[no-untyped-call]
        self.text(name, url)

    def diagnosis(self, *texts: str) -> None:
        """Attach why providers cannot be reached, one text each; without texts, nothing."""
        if texts:
            self.text("Diagnosis", "\n\n".join(texts))

    def exchanges(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Attach the requests to the gateway and their responses."""
        if rows:
            self._json(f"Exchanges with the gateway ({len(rows)})", show_all(self._redactor.value(to_json(rows))))


def _flat(value: Any) -> list[Mapping[str, Any]] | None:
    """Return a plain value as rows of a table; None if it is too deep for one."""
    if isinstance(value, list):
        keys = {tuple(row) if isinstance(row, dict) else None for row in value}
        flat = None not in keys and len(keys) <= 1 and all(_is_flat(cell) for row in value for cell in row.values())
        return [{key: _cell(cell) for key, cell in row.items()} for row in value] if flat else None
    if not isinstance(value, dict):
        return None
    found: dict[str, Any] = {}
    for key, part in value.items():
        found |= {f"{key} {name}": cell for name, cell in part.items()} if isinstance(part, dict) else {key: part}
    if not all(map(_is_flat, found.values())):
        return None
    return [{"what": key, "value": _cell(cell)} for key, cell in found.items()]


def _is_flat(value: Any) -> bool:
    return not any(isinstance(part, (dict, list)) for part in (value if isinstance(value, list) else [value]))


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_cell, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and abs(value) < _NO_EXPONENT:
        # Six significant digits are enough to read.
        return f"{value:.6g}"
    return "none" if value in (None, "") else str(value)


def to_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows of equal keys, at least one, as a table."""
    out = io.StringIO()
    writer = csv.DictWriter(out, fieldnames=list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


class Guard:
    """Redacts every Allure object before it is written, and marks checks that were never reached as broken.

    A file that the disk does not take is missing evidence and no statement about the gateway: no check fails for it.
    """

    def __init__(self, redactor: Redactor, target: str) -> None:
        """Create it with the redactor of the rollout, and the name of its target."""
        self._redactor = redactor
        self._target = target
        self._why = ""

    @property
    def unwritten(self) -> tuple[str, ...]:
        """Why Allure could not write every file; empty where it could."""
        return (f"Allure's files: {self._why}",) if self._why else ()

    # Before all other hooks, in whatever order they were registered: Allure's writer is one of them.
    @allure_commons.hookimpl(tryfirst=True)
    def report_result(self, result: Any) -> None:
        """Redact a check's result; a check that was planned and never reached is broken, not skipped."""
        result.description = inspect.cleandoc(result.description or "")
        self._tell_targets_apart(result)
        self._redact(result)
        details = result.statusDetails
        if details is None:
            return
        details.message = _for_people(details.message or "", details.trace)
        details.trace = None
        if result.status == Status.SKIPPED and details.message.startswith(NOT_RUN):
            result.status = Status.BROKEN

    @allure_commons.hookimpl(tryfirst=True)
    def report_container(self, container: Any) -> None:
        """Redact fixtures: their names, steps and errors. One without evidence that passed is removed."""
        container.befores[:] = [row for row in container.befores if _has_content(row)]
        container.afters[:] = [row for row in container.afters if _has_content(row)]
        self._redact(container)

    @allure_commons.hookimpl(hookwrapper=True, specname="report_result")
    def _try_result(self) -> Generator[None, Any, None]:
        yield from self._attempt()

    @allure_commons.hookimpl(hookwrapper=True, specname="report_container")
    def _try_container(self) -> Generator[None, Any, None]:
        yield from self._attempt()

    @allure_commons.hookimpl(hookwrapper=True, specname="report_attached_data")
    def _try_data(self) -> Generator[None, Any, None]:
        yield from self._attempt()

    @allure_commons.hookimpl(hookwrapper=True, specname="report_attached_file")
    def _try_file(self) -> Generator[None, Any, None]:
        yield from self._attempt()

    def _attempt(self) -> Generator[None, Any, None]:
        outcome = yield
        error = outcome.exception
        if isinstance(error, OSError):
            self._why = self._why or str(error)
            outcome.force_result([])

    def _tell_targets_apart(self, result: Any) -> None:
        """Make the target a parameter of the result: by it, tools keep one check's histories on two targets apart."""
        result.parameters.append(Parameter(name=TARGET, value=self._target))
        result.historyId = hashlib.sha256(f"{result.historyId}\n{self._target}".encode()).hexdigest()

    def _redact(self, part: Any) -> Any:
        if isinstance(part, str):
            return show_controls(self._redactor.text(part))
        if isinstance(part, list):
            part[:] = [self._redact(item) for item in part]
        elif type(part).__module__.startswith("allure_commons"):
            for name, value in vars(part).items():
                if name not in ("uuid", "historyId", "testCaseId", "status", "source", "start", "stop"):
                    setattr(part, name, self._redact(value))
        return part


def _for_people(message: str, trace: str | None) -> str:
    """Return a reason as the terminal shows it: without exception types and pytest's introspection of values."""
    if message.startswith("Skipped: "):
        return message.removeprefix("Skipped: ")
    # `rollout.plugin.check_outcomes` has already put the reason into one line.
    return trace or message


def _has_content(row: Any) -> bool:
    """Return whether a fixture's row has evidence or did not pass (allure-python #918 adds rows with neither)."""
    return bool(row.steps or row.attachments or row.statusDetails or row.status not in (None, Status.PASSED))


def guard(redactor: Redactor, target: str) -> Guard:
    """Register the guard before Allure's writer: hooks that are registered last are called first."""
    watcher = Guard(redactor, target)
    allure_commons.plugin_manager.register(watcher)
    return watcher


def unguard(watcher: Guard) -> None:
    """Unregister the guard."""
    allure_commons.plugin_manager.unregister(watcher)


def write_environment(folder: Path, rollout: RolloutContext) -> None:
    """Write ``environment.properties`` and ``executor.json`` into a directory of results."""
    record = rollout.last_known_record()
    facts = {
        "rollout": rollout.id,
        "target": rollout.target.name,
        "gateway": rollout.target.url or "embedded",
        "policy": rollout.policy.name,
        "change": rollout.change_text,
        "ticket": rollout.scenario.ticket or "none",
        "class": str(rollout.scenario.change_class),
        "waived_or_owed": "; ".join(record.exceptions_of("waived", "owed")) or "nothing",
        "not_applicable": "; ".join(record.exceptions_of("not applicable")) or "nothing",
        "author": rollout.scenario.author,
        "digest": rollout.digest,
        "python": platform.python_version(),
        "host": platform.node(),
    }
    executor = executor_of(rollout.env, rollout.run, f"Rollout {rollout.id}", rollout.clock.now())
    write_facts(folder, facts, executor, rollout.redactor)


def executor_of(env: Mapping[str, str], run: str, title: str, now: datetime) -> dict[str, Any]:
    """Return what Allure shows as the executor of a run, and sorts its trend by.

    Args:
        env: the variables, in which a CI service describes its job.
        run: the run's name.
        title: the report's name.
        now: the time: its digits in UTC, 20261130120000, are the order, which Allure shows below the trend. A job's
            number is no order: two pipelines count on their own, and a person's run has none.
    """
    by, number = identify(env), job_number(env)
    facts: dict[str, Any] = {
        "name": by.service or "rollout",
        "type": by.service.partition(" ")[0].casefold() or "rollout",
        "buildName": run if number is None else f"#{number} {run}",
        "buildOrder": int(f"{now.astimezone(UTC):%Y%m%d%H%M%S}"),
        "reportName": title,
    }
    return {**facts, "url": by.job, "buildUrl": by.job} if by.job else facts


def write_facts(folder: Path, facts: Mapping[str, str], executor: Mapping[str, Any], redactor: Redactor) -> None:
    """Write environment, executor and categories, as every tool that reads Allure's raw results finds them."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = "".join(f"{key}={on_one_line(redactor.text(str(value)))}\n" for key, value in facts.items())
    (folder / "environment.properties").write_text(lines, encoding="utf-8")
    (folder / "executor.json").write_text(json.dumps(redactor.value(dict(executor))), encoding="utf-8")
    (folder / "categories.json").write_text(json.dumps(raw_categories(), indent=2), encoding="utf-8")


def redact_junit(path: Path, redactor: Redactor) -> None:
    """Redact a ``junit.xml``, into which pytest writes ids, output and tracebacks unredacted.

    A file that does not exist is no error.
    """
    if not path.is_file():
        return
    from xml.etree import ElementTree as ET  # noqa: PLC0415 - few ask for this file

    try:
        tree = ET.parse(path)  # noqa: S314 - pytest has just written it
    except ET.ParseError:
        # A full disk has cut it off, or a plugin wrote it: it is no XML, and is redacted as text.
        text = redactor.text(path.read_text(encoding="utf-8", errors="replace"))
        path.write_text(show_controls(text), encoding="utf-8")
        return
    for element in tree.iter():
        element.text = element.text and show_controls(redactor.text(element.text))
        for name, value in element.items():
            element.set(name, show_controls(redactor.text(value)))
    new = path.with_name(f".{path.name}")
    tree.write(new, encoding="utf-8", xml_declaration=True)
    new.replace(path)
