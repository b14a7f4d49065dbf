"""A rollback that another process takes over sends nothing more, between whichever two calls that happens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from rollout.core.scenario import EnvironmentChange, LimitChange
from rollout.core.target import ProviderRestart
from rollout.journal.leases import LeaseLost
from rollout.journal.record import Kind
from tests.support.undoing import NEW, OLD, RESTARTABLE, Undoing

Begin = Callable[..., Undoing]
LIMIT = LimitChange("cost", "global", {"soft_limit_usd": 20.0, "hard_limit_usd": 60.0})
ENV = EnvironmentChange({"LOG_LEVEL": "debug"})
CONTENT = b"LOG_LEVEL=info\n"
OLD_RESTARTS = replace(RESTARTABLE, providers={OLD.provider: ProviderRestart(restart=True)})


def test_a_rollback_that_is_superseded_before_its_first_step_sends_nothing(undoing: Begin):
    lab = undoing()
    lab.apply()
    lab.another_takes_over()
    with pytest.raises(LeaseLost):
        lab.take_back()
    assert lab.gateway.writes == [f"activate {NEW}"]
    assert not lab.entries(Kind.ROLLBACK)


def _of_three(undoing: Begin, env_file: Path) -> Undoing:
    lab = undoing(NEW, ENV, LIMIT, target=replace(OLD_RESTARTS, env_file=env_file))
    lab.gateway.restart_providers = {OLD.provider}
    lab.apply()
    return lab


@pytest.mark.parametrize("at", ["journal", "gateway"])
def test_a_rollback_that_is_superseded_between_any_two_calls_sends_nothing_more(
    undoing: Begin, in_memory: Path, at: str
):
    """Before any call to the journal or any read of the gateway: not one more write, restart or edit of the file."""
    calls, finished = 0, False
    while not finished:
        env_file = in_memory / str(calls) / ".env"
        env_file.parent.mkdir()
        env_file.write_bytes(CONTENT)
        lab = _of_three(undoing, env_file)
        left, sent = [calls], [0, 0, b""]

        def called(
            name: str, lab: Undoing = lab, left: list[int] = left, sent: list[object] = sent, file: Path = env_file
        ) -> None:
            if name in ("activate", "set_limit", "set_weights", "close"):
                return
            left[0] -= 1
            if left[0] == -1:
                lab.another_takes_over()
                sent[:] = [len(lab.gateway.writes), lab.gateway.restarts, file.read_bytes()]

        watched = lab.journal if at == "journal" else lab.gateway
        watched.on_call = called
        superseded = None
        try:
            superseded = lab.take_back().superseded
        except LeaseLost:
            superseded = True
        watched.on_call = lambda _name: None
        finished = left[0] >= 0
        if not finished:
            assert [len(lab.gateway.writes), lab.gateway.restarts, env_file.read_bytes()] == sent, f"call {calls}"
            last = lab.rollout.successor is None
            assert superseded or last, f"call {calls}"
        calls += 1
    assert calls > 20


def test_a_write_that_was_announced_before_another_took_over_is_the_last_one(undoing: Begin):
    """No fence reaches the gateway: what is on its way arrives, and nothing follows it."""
    lab = undoing(NEW, LIMIT)
    lab.apply()
    sent = len(lab.gateway.writes)
    lab.gateway.on_write = lambda _words: lab.another_takes_over()
    result = lab.take_back()
    assert len(lab.gateway.writes) == sent + 1
    assert (result.superseded, result.verified) == (True, False)


@pytest.mark.parametrize("call", ["status", "governance"])
def test_a_run_that_was_superseded_without_notice_is_superseded_all_the_same(undoing: Begin, call: str):
    """An entry that could not be written any more is how it shows, though no step has failed by it."""
    lab = undoing()
    lab.apply()

    def at_the_proof(name: str) -> None:
        if name == call:
            lab.another_takes_over()

    lab.gateway.on_call = at_the_proof
    result = lab.take_back()
    assert (result.superseded, result.verified) == (True, False)
