"""Restarting the service: announced, never waited for less at rollback than at apply."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from rollout.changes import restart
from rollout.core.clock import NEVER
from rollout.core.errors import JournalError, RolloutError
from rollout.core.scenario import EnvironmentChange
from rollout.core.target import ProviderRestart
from rollout.gateway.host.commands import ServiceError
from rollout.gateway.responses import AuditEntry
from rollout.journal.record import Kind, What
from tests.support.gateways import garbage
from tests.support.undoing import NEW, OLD, RESTARTABLE, TARGET, Undoing

Begin = Callable[..., Undoing]


def run(lab: Undoing, direction: str = "back") -> str:
    return restart.commands(lab.rollout, NEVER, step="RBK-3.2", direction=direction)


def test_a_restart_is_announced_and_says_what_its_commands_did(undoing: Begin):
    lab = undoing(target=RESTARTABLE)
    said, _, tail = run(lab).rpartition("\n\n")
    assert said == "gateway stop: exit 0 after 0.1 s\n\ngateway start: exit 0 after 0.1 s"
    assert tail.startswith("the end of the service's log is not kept: target t names no log")
    assert lab.sent() == [("RBK-3.2", "back", "restart", "done")]
    assert lab.rollout.last_known_record().writes[0].what is What.RESTART


def test_a_restart_that_failed_is_recorded_as_unknown(undoing: Begin):
    lab = undoing(target=RESTARTABLE)
    lab.restart_fails = ServiceError("start: exit code 1")
    with pytest.raises(ServiceError):
        run(lab)
    assert lab.sent() == [("RBK-3.2", "back", "restart", "unknown")]


def test_a_restart_that_cannot_be_announced_is_not_run(undoing: Begin):
    lab = undoing(target=RESTARTABLE)
    lab.journal.is_down = True
    with pytest.raises(JournalError):
        run(lab, "forward")
    assert lab.gateway.restarts == 0


def test_a_target_without_a_service_says_how_to_mend_that(undoing: Begin):
    lab = undoing(target=TARGET)
    with pytest.raises(RolloutError, match="add `service:"):
        run(lab)
    assert lab.sent() == []


def test_the_audit_log_is_kept_before_the_restart_loses_it(undoing: Begin):
    lab = undoing(target=RESTARTABLE)
    entry = AuditEntry("2026-11-23T12:00:00", "activate", "alice", "openai", "success", "")
    lab.gateway.audited = [entry]
    run(lab)
    kept = lab.rollout.record().audit
    assert kept is not None
    assert [each["user"] for each in kept["entries"]] == ["alice"]
    assert [each.kind for each in lab.entries(Kind.AUDIT, Kind.INTENT)] == ["audit", "intent"]


def test_an_audit_log_that_cannot_be_read_stops_no_restart(undoing: Begin):
    lab = undoing(target=RESTARTABLE)
    lab.gateway.fails["audit"] = garbage()
    run(lab)
    assert lab.gateway.restarts == 1


# How long it may take (BROKEN_PROMISES 7)

SLOW = replace(
    RESTARTABLE,
    startup_s=20.0,
    providers={
        "ollama": ProviderRestart(restart=True, startup_s=40.0),
        "openai": ProviderRestart(restart=True, startup_s=25.0),
    },
)


def test_the_way_there_may_take_what_the_target_says_of_the_new_provider(undoing: Begin):
    lab = undoing(target=SLOW)
    assert restart.startup_forward_s(lab.rollout) == 25.0
    longer = undoing(replace(NEW, startup_s=60.0), target=SLOW)
    assert restart.startup_forward_s(longer.rollout) == 60.0


@pytest.mark.parametrize(
    ("target", "took_s", "deadline_s"),
    [
        (RESTARTABLE, 0.0, 15.0),
        (RESTARTABLE, 9.0, 15.0),
        (RESTARTABLE, 12.0, 18.0),
        (RESTARTABLE, 40.0, 60.0),
        (SLOW, 0.0, 40.0),
        (SLOW, 30.0, 45.0),
        (replace(SLOW, providers={}), 1.0, 20.0),
        (replace(SLOW, providers={"openai": ProviderRestart(restart=True, startup_s=50.0)}), 1.0, 50.0),
    ],
)
def test_the_rollback_may_take_no_less_than_the_way_there_and_half_as_long_again_as_that_took(
    undoing: Begin, target: object, took_s: float, deadline_s: float
):
    """The target's word on the previous provider counts too."""
    lab = undoing(target=target)
    lab.rollout.append(Kind.RESTARTED, took_s=took_s)
    assert restart.startup_back_s(lab.rollout) == deadline_s


def test_the_longest_of_several_restarts_counts(undoing: Begin):
    lab = undoing(target=RESTARTABLE)
    for took_s in (5.0, 40.0, 10.0):
        lab.rollout.append(Kind.RESTARTED, took_s=took_s)
    assert restart.startup_back_s(lab.rollout) == 60.0


@pytest.mark.parametrize(
    ("back", "startup_s", "healthy"),
    [(False, 14.0, True), (False, 20.0, False), (True, 20.0, True), (True, 40.0, False)],
)
def test_health_is_awaited_as_long_as_the_direction_allows(undoing: Begin, back: bool, startup_s: float, healthy: bool):
    lab = undoing(target=RESTARTABLE)
    lab.rollout.append(Kind.RESTARTED, took_s=20.0)
    lab.gateway._up_at_s = startup_s
    waited = lambda: restart.await_health(lab.rollout, lab.gateway, NEVER, back=back)  # type: ignore[arg-type]  # noqa: E731
    if healthy:
        assert waited() == f"healthy after {startup_s:.1f} s"
        assert lab.entries(Kind.RESTARTED)[-1].body["took_s"] == startup_s
    else:
        with pytest.raises(ServiceError):
            waited()


@pytest.mark.parametrize(("direction", "healthy"), [("forward", False), ("back", True)])
def test_a_restart_waits_by_its_direction(undoing: Begin, direction: str, healthy: bool):
    lab = undoing(target=RESTARTABLE)
    lab.rollout.append(Kind.RESTARTED, took_s=20.0)
    lab.gateway.startup_s = 20.0
    restarted = lambda: restart.restart(lab.rollout, lab.gateway, NEVER, step="X", direction=direction)  # type: ignore[arg-type]  # noqa: E731
    if healthy:
        assert restarted() == "healthy after 20.0 s"
    else:
        with pytest.raises(ServiceError):
            restarted()


def test_an_edit_of_the_env_file_may_take_as_long_as_the_slowest_provider(undoing: Begin):
    lab = undoing(EnvironmentChange({"A": "b"}), target=SLOW)
    assert restart.startup_forward_s(lab.rollout) == 40.0
    assert lab.backup.previous == OLD
