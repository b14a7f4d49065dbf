"""How the triggers of a window divide alpha: whatever may breach falsely, together it is at most the trigger's."""

from __future__ import annotations

import pytest

from rollout.core.scenario import Monitor, Probe
from rollout.monitoring.effective_limit import SLOWER_SHARE
from rollout.monitoring.samples import Context
from rollout.monitoring.share_test import ShareTest
from rollout.monitoring.share_tests import (
    baseline_alpha,
    most_polls,
    own_error_test,
    own_latency_test,
    trigger_alpha,
    users_error_test,
    users_latency_test,
)
from tests.support.windows import context

SILENT = Monitor(probes=())
CONTEXTS = [
    context(),
    context(alpha=0.001),
    context(SILENT),
    context(stages=5, window_s=600.0),
    context(SILENT, stages=5, window_s=600.0),
    context(Monitor(probes=(Probe("one"), Probe("two")))),
]


def asked(known: Context, users: ShareTest, own: ShareTest) -> list[ShareTest]:
    """Return the tests that a window really asks: without requests of the suite's own, those of users alone."""
    return [users, own] if known.monitor.in_turn else [users]


@pytest.mark.parametrize("known", CONTEXTS)
@pytest.mark.parametrize("is_absolute", [True, False])
def test_the_alphas_of_a_trigger_in_all_stages_are_the_policys_together(known: Context, is_absolute: bool) -> None:
    errors = asked(known, users_error_test(known), own_error_test(known))
    assert known.stages * sum(test.alpha for test in errors) == pytest.approx(known.alpha)
    slow = asked(
        known, users_latency_test(known, is_absolute=is_absolute), own_latency_test(known, is_absolute=is_absolute)
    )
    baselines = 0.0 if is_absolute else len(slow) * baseline_alpha(known) / 2
    assert known.stages * (sum(test.alpha for test in slow) + baselines) == pytest.approx(known.alpha)


def test_half_of_a_source_is_spent_on_the_baseline_and_none_where_the_limit_is_absolute() -> None:
    known = context()
    assert trigger_alpha(known) == 0.01
    assert (users_error_test(known).alpha, own_error_test(known).alpha) == (0.005, 0.005)
    assert (users_latency_test(known).alpha, own_latency_test(known).alpha) == (0.0025, 0.0025)
    assert users_latency_test(known, is_absolute=True).alpha == 0.005


def test_a_window_has_as_many_polls_as_its_pace_allows_with_its_extension_as_long_again() -> None:
    known = context(Monitor(window_s=1800.0, metrics_every_s=10.0, synthetic_every_s=60.0))
    assert (most_polls(known, 10.0), most_polls(known, 7.0)) == (361, 516)
    assert (users_error_test(known).polls, own_error_test(known).polls) == (361, 61)
    assert (users_latency_test(known).polls, own_latency_test(known).polls) == (361, 61)
    stage = context(Monitor(window_s=1800.0), window_s=600.0, stages=5)
    assert users_error_test(stage).polls == 121, "a stage's own length"


def test_the_limits_are_the_scenarios_and_the_shares() -> None:
    known = context()
    assert users_error_test(known).limit == own_error_test(known).limit == known.monitor.limits.error_rate
    assert users_latency_test(known).limit == own_latency_test(known).limit == SLOWER_SHARE
    assert users_latency_test(known, 0.3).limit == own_latency_test(known, 0.3).limit == 0.3
