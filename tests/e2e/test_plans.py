"""``rollout plan`` against whole rollouts: what it prints is what the gateway then logs, request by request."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollout.cli import plan as plan_command
from rollout.cli.main import main
from rollout.core.clock import SystemClock
from rollout.sandbox.process import find, start, stop
from rollout.sandbox.settings import SandboxSettings
from tests.support.liar import Liar
from tests.support.plans import SHIPPED, load_shipped, logged, planned, seen
from tests.support.runs import ROOT, run

CANARY = ROOT / "scenarios" / "canary.yaml"


@pytest.mark.parametrize("path", [path for path in SHIPPED if path != CANARY], ids=lambda path: path.stem)
def test_the_plan_of_every_shipped_scenario_is_what_the_gateway_logs(path: Path, tmp_path: Path) -> None:
    """Method, path and body of every write, in order: those of apply, and those of the rollback."""
    settings = SandboxSettings.from_mapping(load_shipped(path, None).scenario.sandbox)
    sandbox = start(tmp_path / "gateway", settings=settings)
    reports = tmp_path / "reports"
    try:
        with Liar(sandbox.url) as liar:
            request = plan_command.with_service(load_shipped(path, liar.url))
            plan = plan_command.planned(request, plan_command.read_before(request, {}, SystemClock()))
            assert not seen(liar), "planning has written"
            ran = run(reports, f"--scenario={path}", f"--gateway={liar.url}", "-m", "precheck or apply")
            assert ran.code in (0, 12), ran.out
            assert seen(liar) == planned(plan.apply)
            applied = len(planned(plan.apply))
            assert main(["rollback", f"--reports={reports}"]) == 10
            assert seen(liar)[applied:] == planned(plan.rollback)
            assert logged(sandbox.url) == [
                f"{method} {path}" for method, path, _ in planned((*plan.apply, *plan.rollback))
            ]
    finally:
        # A scenario that restarts it leaves another process.
        stop(find(sandbox.directory) or sandbox)


def test_the_shipped_canary_is_kept_within_40_seconds_and_writes_what_its_plan_says(tmp_path: Path) -> None:
    """The single request in apply, then the weights of each stage, in order; and all of it rolled back afterwards."""
    settings = SandboxSettings.from_mapping(load_shipped(CANARY, None).scenario.sandbox)
    sandbox = start(tmp_path / "gateway", settings=settings)
    reports = tmp_path / "reports"
    try:
        with Liar(sandbox.url) as liar:
            request = plan_command.with_service(load_shipped(CANARY, liar.url))
            plan = plan_command.planned(request, plan_command.read_before(request, {}, SystemClock()))
            began = SystemClock().monotonic()
            ran = run(reports, f"--scenario={CANARY}", f"--gateway={liar.url}")
            assert ran.code == 0, ran.out
            assert ran.word == "KEPT"
            assert SystemClock().monotonic() - began < 40
            ahead = planned((*plan.apply, *plan.stages))
            assert seen(liar) == ahead
            assert main(["rollback", ran.id, f"--reports={reports}"]) == 10
            assert seen(liar)[len(ahead) :] == planned(plan.rollback)
    finally:
        stop(find(sandbox.directory) or sandbox)
