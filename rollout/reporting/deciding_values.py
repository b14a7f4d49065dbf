"""What decided the outcome of a check, for those whose outcome has no message of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rollout.core.scenario import Scenario
from rollout.core.units import show_duration
from rollout.journal.record import RolloutRecord
from rollout.reporting.window_end import describe_shares


def describe_values(record: RolloutRecord, scenario: Scenario) -> dict[str, str]:
    """Return clause -> what decided it: its own message, else the trigger's verdict or the value that was compared.

    A clause whose value the journal does not hold has an empty text.
    """
    values = _verdicts(record)
    for clause, describe in _VALUES.items():
        values.setdefault(clause, describe(record, scenario))
    return {id_: each.message or values.get(id_, "") for id_, each in record.clauses.items()}


def describe_baseline(record: RolloutRecord) -> str:
    """Return the P95 of the baseline in ms and its requests, of users and of the suite; empty without a baseline."""
    base: Mapping[str, Any] = record.baseline or {}
    parts = [
        f"{whose} P95 {base[f'{key}_p95_ms']:.0f} ms ({base[f'{key}_samples']} requests)"
        for whose, key in (("users'", "users"), ("the suite's own", "synthetic"))
        if base.get(f"{key}_p95_ms") is not None
    ]
    return ", ".join(parts)


def _verdicts(record: RolloutRecord) -> dict[str, str]:
    """Return the verdict of each trigger at the end of the last window, with value, limit and samples."""
    messages = {clause: f"{body['state']}: {body['message']}" for clause, body in record.verdicts.items()}
    return messages | describe_shares(record)


def _impact(_: RolloutRecord, scenario: Scenario) -> str:
    impact = scenario.impact
    return "" if impact is None else f"risk {impact.risk}; affects {impact.affects}; cost {impact.cost}"


def _notified(record: RolloutRecord, _: Scenario) -> str:
    return ", ".join(f"{row['channel']}: {row['event']}" for row in record.notified if row["accepted"])


def _operator(_: RolloutRecord, scenario: Scenario) -> str:
    operator = scenario.operator
    return "" if operator is None else f"{operator.name} ({operator.contact})"


def _activated(record: RolloutRecord, _: Scenario) -> str:
    written = [each for each in record.writes if each.step == "APP-1.2" and each.direction == "forward"]
    return f"activate {written[-1].to}: {written[-1].result or 'without an outcome'}" if written else ""


_VALUES: Mapping[str, Callable[[RolloutRecord, Scenario], str]] = {
    "PRE-2.1": lambda _, scenario: f"ticket {scenario.ticket}" if scenario.ticket else "",
    "PRE-2.2": lambda record, scenario: f"author {scenario.author}, approved by {record.approvers}",
    "PRE-2.3": _impact,
    "PRE-4.2": _notified,
    "PRE-4.3": _operator,
    "PRE-4.4": lambda _, scenario: f"{show_duration(scenario.monitor.window_s)} planned",
    "PRE-5.2": lambda record, _: record.previous,
    "PRE-5.4": lambda record, _: describe_baseline(record),
    "APP-1.2": _activated,
}
