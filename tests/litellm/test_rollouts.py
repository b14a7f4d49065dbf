"""Whole rollouts on a real LiteLLM proxy; the judge is the proxy's file, and what its upstreams have seen."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest

from tests.litellm.lab import Lab
from tests.litellm.proxy import GROUP
from tests.support.runs import eventually

ROLLED_BACK, OPERATOR_NEEDED = 10, 11
UNDONE_WITHIN_S = 240.0
"""Within so many seconds a watchdog has rolled back, on a machine that is busy with other tests."""

SEEN = 5
"""So many completions of the new provider show that the change is in effect and users are served by it."""


def test_a_change_to_a_provider_that_answers_is_kept(lab: Lab) -> None:
    lab.proves_way_back = True
    with lab.users() as users:
        code, printed = lab.run()
    assert code == 0, printed
    assert "= KEPT: " in printed
    assert lab.proxy.alias == lab.new.provider
    assert lab.proxy.answered_by() == lab.new.provider
    assert "# The operators' own comment" in lab.proxy.config.read_text(encoding="utf-8")
    assert users.answers.count(200) > SEEN
    for clause in ("VER-1", "VER-3", "MON-1"):
        assert f"○ {clause} " in printed, printed
    for clause in ("PRE-5.3", "MON-4"):
        assert f"{clause} (NOT APPLICABLE)" in printed, printed


def _errors(lab: Lab) -> None:
    lab.failing.status = 500


def _outage(lab: Lab) -> None:
    lab.failing.off()


def _slowness(lab: Lab) -> None:
    lab.failing.delay_s = 8.0


@pytest.mark.parametrize("fault", [_errors, _outage, _slowness])
def test_a_provider_that_fails_while_it_is_watched_is_rolled_back(lab: Lab, fault: Callable[[Lab], None]) -> None:
    with lab.users():
        run = lab.begin()
        lab.await_window(run)
        fault(lab)
        code, printed = lab.end(run)
    _assert_back(lab, code, printed)


def test_a_fallback_that_hides_a_failing_provider_is_rolled_back(lab: Lab) -> None:
    """Every user is answered with success, by the other provider."""
    lab.proxy.configure(lab.old.provider, fallbacks=[{GROUP: [lab.old.provider]}])
    with lab.users() as users:
        run = lab.begin()
        lab.await_window(run)
        lab.failing.status = 500
        seen = len(users.answers)
        code, printed = lab.end(run)
    _assert_back(lab, code, printed)
    assert users.answers[seen:].count(200) > SEEN
    assert 500 not in users.answers[seen:]


def test_a_killed_runner_is_rolled_back_by_the_watchdog(lab: Lab) -> None:
    with lab.users():
        run = lab.begin()
        lab.await_window(run)
        run.send_signal(signal.SIGKILL)
        lab.end(run)
        eventually(lambda: lab.proxy.alias == lab.old.provider, "the watchdog puts the alias back", UNDONE_WITHIN_S)
        eventually(lab.is_closed, "the watchdog closes the rollout", UNDONE_WITHIN_S)
    assert lab.proxy.answered_by() == lab.old.provider


def test_an_operators_edit_while_it_is_watched_is_not_overwritten(lab: Lab) -> None:
    """Another deployment, which the target does not know, is where the operator leads the alias to."""
    with lab.users():
        run = lab.begin()
        lab.await_window(run)
        lab.proxy.lead_elsewhere("prod-c", "openai/gpt-4.1")
        lab.failing.status = 500
        code, printed = lab.end(run)
    assert code == OPERATOR_NEEDED, printed
    assert lab.proxy.alias == "prod-c"
    assert "is not overwritten" in printed


def test_a_misspelt_strategy_is_refused_before_the_write(lab: Lab) -> None:
    """The proxy would not start again, neither for the change nor for its rollback."""
    lab.proxy.configure(lab.old.provider, routing_strategy="simple-shufle")
    before = lab.proxy.config.read_bytes()
    code, printed = lab.run()
    assert code not in (0, ROLLED_BACK), printed
    assert "did you mean 'simple-shuffle'?" in printed
    assert lab.proxy.config.read_bytes() == before
    assert lab.proxy.answered_by() == lab.old.provider


def _assert_back(lab: Lab, code: int, printed: str) -> None:
    assert code == ROLLED_BACK, printed
    assert "ROLLED BACK, verified" in printed
    assert lab.proxy.alias == lab.old.provider
    assert lab.proxy.answered_by() == lab.old.provider
