"""Whether a run of a scenario ended as promised: by its exit code, its journal, and the files of its gateway."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from dotenv import dotenv_values

from bench.scenarios.promises import Promise
from rollout.core.errors import ExitCode, RolloutError
from rollout.journal.record import RolloutRecord
from rollout.journal.replay import replay
from rollout.reporting.window_end import describe_ending
from rollout.sandbox.process import find
from rollout.sandbox.settings import SandboxSettings
from tests.support.runs import Run, entries

_WHY = re.compile(r"^why: (.*)$", re.MULTILINE)


def find_problems(promise: Promise, run: Run) -> list[str]:
    """Return in which points a run did not end as promised.

    Args:
        promise: how it should end.
        run: a run that has ended, and whose reports hold no other rollout.
    """
    problems = []
    if run.code != promise.code:
        why = _WHY.search(run.out)
        problems.append(f"exit code {run.code} instead of {promise.code}: {why[1] if why else 'no reason is printed'}")
    try:
        record = _read_record(run.reports)
    except (RolloutError, ValueError) as error:
        return [*problems, f"the journal holds no rollout to judge: {error}"]
    return [*problems, *_in_journal(promise, record), *_at_gateway(promise, run.reports / "sandbox" / record.id)]


def _read_record(reports: Path) -> RolloutRecord:
    written = entries(reports)
    (rollout,) = {entry.rollout for entry in written if entry.rollout}
    return replay(rollout, written)


def _in_journal(promise: Promise, record: RolloutRecord) -> Iterator[str]:
    breached = str(record.breach["clause"]) if record.breach else ""
    if breached != promise.trigger:
        yield f"breached: {breached or 'none'} instead of {promise.trigger or 'none'} ({describe_ending(record)})"


def _at_gateway(promise: Promise, directory: Path) -> Iterator[str]:
    if find(directory) is not None:
        yield "its gateway still runs"
    wanted = _state_before() if promise.code != ExitCode.KEPT else _state_before() | _state_of(promise.file)
    found = _read_state(directory)
    for key, value in wanted.items():
        if found.get(key) != value:
            yield f"the gateway has {key} {found.get(key)} instead of {value}"


def _state_before() -> dict[str, Any]:
    """Return what a fresh gateway has active."""
    provider, model = SandboxSettings().initially_active
    return {"ACTIVE_PROVIDER": provider, "LLM_MODEL_NAME": model}


def _state_of(scenario: Path) -> dict[str, Any]:
    """Return what a gateway has after a scenario's changes: `.env` keys as text, limits by kind and scope."""
    changes = yaml.safe_load(scenario.read_text(encoding="utf-8"))["change"]
    state: dict[str, Any] = {}
    for change in changes if isinstance(changes, list) else [changes]:
        state |= _state_of_change(change)
    return state


def _state_of_change(change: Mapping[str, Any]) -> dict[str, Any]:
    if "activate" in change:
        return {"ACTIVE_PROVIDER": change["activate"], "LLM_MODEL_NAME": change["model"]}
    if "set" in change:
        return {key: str(value) for key, value in change["set"].items()}
    scope = change["scope"] if change["scope"] == "global" else f"provider:{change['scope']}"
    limits = {key: value for key, value in change.items() if key not in ("limits", "scope")}
    return {f"{change['limits']} limits of {scope}": limits}


def _read_state(directory: Path) -> dict[str, Any]:
    """Return the same keys as the gateway's files have them."""
    limits = directory / "limits.json"
    kinds = json.loads(limits.read_text(encoding="utf-8")) if limits.exists() else {}
    by_scope = {
        f"{kind} limits of {scope}": values for kind, scopes in kinds.items() for scope, values in scopes.items()
    }
    return {**dotenv_values(directory / ".env"), **by_scope}
