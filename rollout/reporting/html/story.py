"""A rollout as a report shows it: its runs with their phases and outcomes, and the samples of its last window."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from rollout.core.clauses import CLAUSES, PHASES, Clause
from rollout.core.plan import left_out, plan
from rollout.core.request import Request, as_opened
from rollout.journal.record import EMERGENCY, ClauseOutcome, Entry, Kind, RolloutRecord
from rollout.journal.replay import outcome_of, replay
from rollout.reporting.timings import is_emergency


@dataclass(slots=True)
class Run:
    """One process's part of a rollout.

    Attributes:
        name: its folder below ``allure-results``.
        at: when it began, UTC.
        phases: the phases that it was asked for, in order.
        outcomes: clause id -> its outcome in this run, from the journal.
        ended: whether it reached the end of its last phase; a killed run does not.
        checks: whether it had checks to run; one that only writes evidence has none.
    """

    name: str
    at: str
    phases: tuple[str, ...]
    outcomes: dict[str, ClauseOutcome] = field(default_factory=dict)
    ended: bool = False
    checks: bool = True


@dataclass(slots=True)
class Window:
    """The samples of the last window; those of all stages of a canary.

    Attributes:
        samples: the bodies of the samples, in order.
        verdicts: clause id -> the trigger's verdict at the end.
        extended_at_s: when it was undecided and went on, in its seconds.
        stages_at_s: when each stage of a canary began, in its seconds.
        stage_names: their names, such as ``CAN-2.1 10%``.
    """

    samples: list[Mapping[str, Any]] = field(default_factory=list)
    verdicts: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    extended_at_s: list[float] = field(default_factory=list)
    stages_at_s: list[float] = field(default_factory=list)
    stage_names: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Story:
    """A rollout as its journal entries describe it.

    Attributes:
        record: its record, replayed from the journal.
        request: the request that it was opened with.
        left_out: clause id -> why the plan leaves it out.
        runs: its runs, in order.
        window: the last window.
        events: the entries that a timeline shows, in order; samples are not among them.
    """

    record: RolloutRecord
    request: Request
    left_out: Mapping[str, str]
    runs: tuple[Run, ...]
    window: Window
    events: Sequence[Entry]

    @property
    def change(self) -> str:
        """The new provider and model."""
        return str(self.record.opened["change"])

    @property
    def previous(self) -> str:
        """The provider and model before the change; ``unknown`` without a backup."""
        return self.record.previous

    @property
    def is_pending(self) -> bool:
        """Whether the rollout waits for its next phase: it is open, and its last run ended in order."""
        return self.record.closed is None and bool(self.runs) and self.runs[-1].ended

    @property
    def phases(self) -> tuple[str, ...]:
        """The phases that its clauses stand in: an emergency has one of its own, and none of the procedure's."""
        return (EMERGENCY,) if is_emergency(self.record) else PHASES

    def planned(self, phases: Iterable[str], left_out: Mapping[str, str]) -> tuple[Clause, ...]:
        """Return the clauses of these phases that must have an outcome, but for those that are left out."""
        if is_emergency(self.record):
            return tuple(clause for clause in CLAUSES.values() if clause.phase == EMERGENCY)
        return plan(phases, self.request.scenario, left_out)

    @property
    def not_asked_for(self) -> tuple[str, ...]:
        """The phases that no run was asked for."""
        asked = {phase for run in self.runs for phase in run.phases}
        return tuple(phase for phase in self.phases if phase not in asked)


def tell(rollout: str, entries: Iterable[Entry]) -> Story:
    """Return the story of a rollout from its entries, in order."""
    entries = list(entries)
    events = [entry for entry in entries if entry.kind != Kind.SAMPLE]
    record = replay(rollout, events)
    request = as_opened(record.opened)
    excluded = left_out(request.scenario, request.target, request.policy)
    runs = (_emergency_run(record),) if is_emergency(record) else tuple(_runs(events))
    return Story(record, request, excluded, runs, _window(entries), events)


def _emergency_run(record: RolloutRecord) -> Run:
    """Return the one run of an emergency: its command records its steps, and writes no results."""
    found = {
        step["clause"]: ClauseOutcome(step["clause"], step["outcome"], step["message"], step["at"], EMERGENCY)
        for step in record.steps.values()
    }
    return Run(EMERGENCY, record.opened_at, (EMERGENCY,), found, ended=record.closed is not None)


def _runs(events: Iterable[Entry]) -> list[Run]:
    runs: dict[str, Run] = {}
    for entry in events:
        body = entry.body
        run = runs.get(body.get("run", ""))
        match entry.kind:
            case Kind.RUN:
                checks = body.get("checks", True)
                runs[body["run"]] = Run(body["run"], entry.at, tuple(body["phases"]), ended=not checks, checks=checks)
            case Kind.CLAUSE if run is not None:
                run.outcomes[body["clause"]] = outcome_of(entry)
            case Kind.PHASE if run is not None:
                run.ended |= body["phase"] == run.phases[-1]
    return list(runs.values())


def _window(entries: Iterable[Entry]) -> Window:
    window, stages, later_s = Window(), dict[str, datetime](), 0.0
    for entry in entries:
        match entry.kind:
            case Kind.CLOSED:
                # A phase that is called after the end only reads, and decides nothing.
                return window
            case Kind.WINDOW:
                stage, began_at = entry.body.get("stage"), datetime.fromisoformat(entry.body["began_at"])
                if stage is None or not stages or stage in stages:
                    window, stages = Window(), {}
                if stage is not None:
                    stages[stage] = began_at
                # The samples of a canary's later stages count their seconds from the beginning of its first.
                later_s = (began_at - min(stages.values(), default=began_at)).total_seconds()
                if stage is not None:
                    window.stages_at_s.append(later_s)
                    window.stage_names.append(stage)
            case Kind.SAMPLE:
                window.samples.append(_later(entry.body, "at_s", later_s))
            case Kind.EXTENDED:
                window.extended_at_s.append(entry.body["at_s"] + later_s)
            case Kind.VERDICT:
                window.verdicts[entry.body["clause"]] = _later(entry.body, "watched_s", later_s)
    return window


def _later(body: Mapping[str, Any], key: str, by_s: float) -> Mapping[str, Any]:
    return {**body, key: body[key] + by_s} if by_s else body
