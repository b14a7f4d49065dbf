"""``rollout plan`` against whole rollouts: what it prints is what the gateway then logs, request by request."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rollout.cli import plan as plan_command
from rollout.cli.main import main
from rollout.core.clock import SystemClock
from rollout.sandbox.process import Running, find, start, stop
from rollout.sandbox.settings import SandboxSettings
from tests.support.liar import Liar
from tests.support.plans import SHIPPED, load_shipped, logged, planned, seen
from tests.support.runs import ROOT, run

CANARY = ROOT / "scenarios" / "canary.yaml"


@contextmanager
def planned_rollout(path: Path, folder: Path) -> Iterator[tuple[Running, Liar, plan_command.Planned]]:
    """Start a gateway with the settings of a shipped scenario, and plan the scenario; planning writes nothing."""
    settings = SandboxSettings.from_mapping(load_shipped(path, None).scenario.sandbox)
    sandbox = start(folder / "gateway", settings=settings)
    try:
        with Liar(sandbox.url) as liar:
            request = plan_command.with_service(load_shipped(path, liar.url))
            plan = plan_command.planned(request, plan_command.read_before(request, {}, SystemClock()))
            assert not seen(liar), "planning has written"
            yield sandbox, liar, plan
    finally:
        # A scenario that restarts it leaves another process.
        stop(find(sandbox.directory) or sandbox)


@pytest.mark.parametrize("path", [path for path in SHIPPED if path != CANARY], ids=lambda path: path.stem)
def test_the_plan_of_every_shipped_scenario_is_what_the_gateway_logs(path: Path, tmp_path: Path) -> None:
    """Method, path and body of every write, in order: those of apply, and those of the rollback."""
    reports = tmp_path / "reports"
    with planned_rollout(path, tmp_path) as (sandbox, liar, plan):
        ran = run(reports, f"--scenario={path}", f"--gateway={liar.url}", "-m", "precheck or apply")
        assert ran.code in (0, 12), ran.out
        assert seen(liar) == planned(plan.apply)
        applied = len(planned(plan.apply))
        assert main(["rollback", f"--reports={reports}"]) == 10
        assert seen(liar)[applied:] == planned(plan.rollback)
        writes = planned((*plan.apply, *plan.rollback))
        assert logged(sandbox.url) == [f"{method} {path}" for method, path, _ in writes]


def test_the_shipped_canary_is_kept_in_about_a_minute_and_writes_what_its_plan_says(tmp_path: Path) -> None:
    """The single request in apply, then the weights of each stage, in order; and all of it rolled back afterwards."""
    reports = tmp_path / "reports"
    with planned_rollout(CANARY, tmp_path) as (_, liar, plan):
        began = SystemClock().monotonic()
        ran = run(reports, f"--scenario={CANARY}", f"--gateway={liar.url}")
        assert ran.code == 0, ran.out
        assert ran.word == "KEPT"
        assert SystemClock().monotonic() - began < 75
        ahead = planned((*plan.apply, *plan.stages))
        assert seen(liar) == ahead
        assert main(["rollback", ran.id, f"--reports={reports}"]) == 10
        assert seen(liar)[len(ahead) :] == planned(plan.rollback)
