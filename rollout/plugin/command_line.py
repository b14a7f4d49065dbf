"""The command line of a run: its options, and the `Options` of a rollout."""

from __future__ import annotations

from pathlib import Path

import pytest
from _pytest.mark.expression import Expression

from rollout.config.project import Project, journal_in
from rollout.core.clauses import LATER_PHASES, PHASES
from rollout.core.options import Options
from rollout.core.units import duration
from rollout.core.visible import for_terminal
from rollout.plugin import modes, unchecked_sessions


def add_options(parser: pytest.Parser) -> None:
    """Add the options of a rollout."""
    group = parser.getgroup("rollout", "change an LLM gateway's provider, watch it, keep it or roll it back")
    group.addoption("--scenario", metavar="FILE", help="what to change (default: scenarios/quickstart.yaml)")
    group.addoption("--activate", metavar="PROVIDER:MODEL", help="a scenario from the command line, e.g. openai:gpt-4o")
    group.addoption("--ticket", metavar="ID", help="the ticket that documents the change")
    group.addoption("--target", metavar="NAME", help="a target of targets.yaml")
    group.addoption("--gateway", metavar="URL", help="the gateway's base URL; one that no target lists is production")
    group.addoption("--policy", metavar="FILE", help="the policy (default: policy.yaml beside the scenario)")
    group.addoption(
        "--journal", metavar="URL", help="where the rollout's state lives (default: REPORTS/journal.sqlite)"
    )
    group.addoption("--reports", metavar="DIR", help="where evidence goes (default: reports)")
    group.addoption(
        "--for",
        dest="watch_for",
        metavar="DURATION",
        help="watch for so long, e.g. 10m, then exit 12; the next `pytest -m monitor` goes on with the window",
    )
    modes.add_options(group)


def is_rollout(config: pytest.Config) -> bool:
    """Return whether this session runs checks; the suite's own tests share the project."""
    if hasattr(config, "workerinput"):
        return False
    if why := unchecked_sessions.explain_diversion(config):
        raise pytest.UsageError(why)
    return unchecked_sessions.names_checks(config) and unchecked_sessions.find_display(config) is None


def rollout_options(config: pytest.Config, project: Project, reports: Path) -> Options:
    """Return the options of a rollout.

    Args:
        config: the session's.
        project: its project.
        reports: the folder that evidence goes to.

    Raises:
        pytest.UsageError: ``-m`` or ``--for`` selects what no run does.
    """
    option, here = config.option, config.invocation_params.dir
    scenario = here / option.scenario if option.scenario else None
    if scenario is None and not option.activate:
        scenario = project.default_scenario
    phases = [phase for phase in PHASES if selects_phase(option.markexpr, phase)]
    if not phases:
        raise pytest.UsageError(
            f"-m {option.markexpr!r} selects no phase; the phases are {', '.join(PHASES)}, and apart from them "
            f"{' and '.join(LATER_PHASES)}"
        )
    between = PHASES[PHASES.index(phases[0]) : PHASES.index(phases[-1])]
    left_out = [phase for phase in between if phase not in phases]
    if left_out:
        raise pytest.UsageError(
            f"-m {option.markexpr!r} leaves {', '.join(left_out)} out of the middle; no phase can be passed over"
        )
    return Options(
        scenario=scenario,
        activate=option.activate,
        ticket=option.ticket,
        target=option.target,
        gateway=option.gateway,
        journal=option.journal or project.journal or journal_in(reports),
        reports=reports,
        scenarios=project.scenarios,
        targets=project.targets,
        phases=tuple(phases),
        for_s=_watch_for(option.watch_for, phases),
        policy=here / option.policy if option.policy else project.policy,
    )


def reports_folder(config: pytest.Config, project: Project) -> Path:
    """Return the folder that evidence goes to."""
    asked = config.option.reports
    return (config.invocation_params.dir / asked).absolute() if asked else project.reports


def _watch_for(asked: str | None, phases: list[str]) -> float | None:
    if asked is None:
        return None
    if phases[-1] != PHASES[-1]:
        raise pytest.UsageError(f"--for says how long to watch, and -m selects no {PHASES[-1]} phase; leave it out")
    try:
        seconds = duration(asked)
    except ValueError as error:
        raise pytest.UsageError(for_terminal(f"--for: {error}")) from None
    if seconds <= 0:
        raise pytest.UsageError(f"--for: {asked} is no time to watch; write a duration such as 10m")
    return seconds


def selects_phase(markexpr: str, phase: str) -> bool:
    """Return whether ``-m`` asks for the phase: the plan follows from this, not from what was collected."""

    def carries(name: str, /, **_: str | int | bool | None) -> bool:
        return name in (phase, "clause")

    return not markexpr or Expression.compile(markexpr).evaluate(carries)
