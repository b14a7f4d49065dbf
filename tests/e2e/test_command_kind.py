"""Whole rollouts on a gateway behind commands: kept, rolled back, and never over an operator's activation.

The judge is the service's own record of what took effect and of whom it asked.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from rollout.journal.record import Kind
from tests.support import service_commands
from tests.support.behind_a_file import SCENARIO, Workplace, workplace
from tests.support.file_subjects import FILES
from tests.support.runs import entries

FIRST, SECOND = "ollama:gemma3", "openai:gpt-4o"


@pytest.fixture
def at(tmp_path: Path) -> Iterator[Workplace]:
    """A service that its people's commands read and change."""
    with workplace(tmp_path, "yaml", "signal") as found:
        found.target |= {"kind": "command", "settings": service_commands.settings(found.on.folder)}
        found.write(
            "scenarios/change.yaml", SCENARIO.replace("p95: 2s", "p95: 2s, metrics_every: 2s, alerts_every: 5s")
        )
        yield found


def test_a_change_is_kept_on_the_commands_own_counters(at: Workplace) -> None:
    code, printed = at.end(at.rollout(report=True))
    assert code == 0, printed
    assert "= KEPT: " in printed
    assert at.loaded()[-1] == SECOND
    assert at.served("openai") > 20
    states = {entry.body["clause"]: entry.body["state"] for entry in entries(at.reports) if entry.kind == Kind.VERDICT}
    assert {clause for clause, state in states.items() if state == "holding"} >= {"MON-1", "MON-2", "MON-3", "MON-4"}
    assert "VER-3 (NOT APPLICABLE)" in printed
    assert "the target's snapshot offers no audit" in printed
    written = b"".join(path.read_bytes() for path in at.reports.rglob("*") if path.is_file())
    assert b"hunter2" not in written + printed.encode()


def test_a_provider_that_goes_offline_is_rolled_back(at: Workplace) -> None:
    run = at.rollout()
    at.await_watched(run)
    at.on.folder.set_faults(offline=["openai"])
    code, printed = at.end(run)
    assert code == 10, printed
    assert "= ROLLED BACK, verified" in printed
    assert at.loaded()[-1] == FIRST
    assert at.on.file.read_bytes() == FILES["yaml"][1].encode()


def test_a_provider_that_an_operator_activated_is_not_overwritten(at: Workplace) -> None:
    run = at.rollout()
    at.await_watched(run)
    service_commands.Commands(at.on.folder).activate("vllm", "qwen3")
    code, printed = at.end(run)
    assert code == 11, printed
    assert at.loaded()[-1] == "vllm:qwen3"
    assert "was changed outside this rollout and is not overwritten" in printed


def test_plan_and_emergency_show_and_run_the_targets_own_commands(at: Workplace) -> None:
    code, printed = at.run("rollout", "plan", "--scenario=scenarios/change.yaml")
    assert code == 0, printed
    assert at.loaded() == [FIRST]
    activate = shlex.join(service_commands.command(at.on.folder, "activate", "openai", "gpt-4o"))
    assert f"run {activate}" in printed
    assert f"run {shlex.join(service_commands.command(at.on.folder, 'test', 'openai'))}" in printed
    to = ("--provider=openai", "--model=gpt-4o")
    code, printed = at.run("rollout", "emergency", "--target=lab", *to, "--reason=gemma3 is down", "--yes")
    assert code == 0, printed
    assert at.loaded() == [FIRST, SECOND]
