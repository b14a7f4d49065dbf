"""One poll of every source that a trigger reads, before the change (PRE-2.5)."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rollout.changes.backup import Backup
from rollout.context import RolloutContext
from rollout.core.canonical_json import to_json
from rollout.core.clock import SLICE_S
from rollout.core.errors import GatewayError, NotOffered
from rollout.core.result import Outcome
from rollout.engine.traffic import TrafficPoll
from rollout.engine.window_power import WindowPower, foresee
from rollout.gateway.client import find_fallback_counter
from rollout.gateway.host.log_command import CommandFollower, LogCommandError
from rollout.gateway.host.log_file import LogFollower
from rollout.monitoring.sources.combined import observe_provider, promql_levels
from rollout.monitoring.sources.synthetic import promise

COMMAND_RUNS_S = 3.0
"""A log command that has not ended after so many seconds counts as following the log (PRE-2.5)."""


@dataclass(frozen=True, slots=True)
class PollStats:
    """One poll of each source of the monitoring, and what the windows can tell from the traffic (PRE-2.5)."""

    rows: Sequence[Mapping[str, Any]]
    problems: Sequence[str]
    power: WindowPower


def poll_sources(rollout: RolloutContext, backup: Outcome[Backup], before: Outcome[TrafficPoll]) -> PollStats:
    """Poll once every source that a trigger will read, and the traffic since the poll `before`.

    Raises:
        Interrupted: the run was asked to stop.
    """
    gateway, new, target = rollout.gateway, rollout.expected_active.provider, rollout.target
    rows: list[Mapping[str, Any]] = []
    if not rollout.scenario.monitor.in_turn:
        rows.append({"source": "synthetic requests", "answers": "off", "sample": promise(rollout.scenario.monitor)})
    previous = None if backup.error else backup.value.previous
    with observe_provider(rollout, rollout.expected_active) as observed:
        polls: dict[str, Callable[[], Any]] = {
            "status (MON-1)": lambda: gateway.status(new),
            "metrics (MON-2, MON-3)": lambda: observed.metrics_sample(previous),
            "alerts (MON-4)": lambda: observed.alerts_sample("critical"),
            "fallbacks (MON-5)": find_fallback_counter(gateway) or (lambda: gateway.governance().recent_fallbacks),
        }
        if levels := promql_levels(observed, rollout.scenario.monitor):
            polls["signals (MON-5)"] = levels
        if target.log_command:
            polls["log (MON-5)"] = lambda: _command_runs(rollout)
        elif target.log_file is not None:
            log_file = target.log_file
            polls["log (MON-5)"] = lambda: _new_lines(log_file)
        elif rollout.scenario.monitor.error_pattern:
            polls["log (MON-5)"] = lambda: _no_log(target.name)
        problems = []
        for name, poll in polls.items():
            try:
                rows.append({"source": name, "answers": True, "sample": str(to_json(poll()))})
            except NotOffered as lacking:
                rows.append({"source": name, "answers": "not applicable", "sample": lacking.reason})
            except (GatewayError, LogCommandError, OSError) as error:
                rows.append({"source": name, "answers": False, "sample": str(error)})
                problems.append(f"{name}: {error}")
    return PollStats(rows, problems, foresee(rollout, backup, before))


def _new_lines(file: Path) -> str:
    with closing(LogFollower(file)) as log:
        return f"{len(log.read())} new lines in {file}"


def _no_log(name: str) -> str:
    raise OSError(f"monitor.error_pattern needs a log, and target {name!r} names no log_file or log_command")


def _command_runs(rollout: RolloutContext) -> str:
    """Run the log command for a moment, long enough for a connection to be refused."""
    command, clock = rollout.target.log_command, rollout.clock
    with closing(CommandFollower(command, clock, rollout.redactor.text)) as follower:
        lines, until_s = 0, clock.monotonic() + COMMAND_RUNS_S
        while clock.monotonic() < until_s and clock.wait(SLICE_S, rollout.stop):
            lines += len(follower.read())
    return f"{lines} lines in {COMMAND_RUNS_S:g} s from {shlex.join(command)}, which stays"
