"""``synthetic: {power: 0.9}``: as many requests of the suite's own as show twice the limit, and what they cost."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from rollout.core.canary_stages import stages
from rollout.core.scenario import Canary, Monitor, Probe, ProviderChange, Share, SyntheticPower
from rollout.monitoring.power import breach_probability
from rollout.monitoring.samples import Context
from rollout.monitoring.share_tests import own_error_test
from rollout.monitoring.synthetic_pace import (
    greatest_usd,
    most_requests,
    needed_requests,
    planned_requests,
    raise_pace,
    show_usd,
)
from rollout.monitoring.window_state import trigger_context
from tests.support.stories import opened

NEW, OLD = ProviderChange("openai", "gpt-4o"), ProviderChange("ollama", "gemma3:4b")


def context(share: float = 1.0, **monitor: object) -> Context:
    return Context(NEW, OLD, Monitor(**monitor), share=share)  # type: ignore[arg-type]


def asked(power: float = 0.9, **monitor: object) -> Context:
    return context(synthetic=SyntheticPower(power), **monitor)


@pytest.mark.parametrize("power", [0.5, 0.9, 0.99])
def test_the_requests_are_the_fewest_with_the_power(power: float) -> None:
    """One fewer has less, each request being a poll of its own."""
    needed = needed_requests(context(), power)
    assert needed is not None

    def power_of(sent: int) -> float:
        test = own_error_test(context(synthetic_every_s=1800.0 / sent))
        return breach_probability(test, 0.1, sent, sent)

    assert power_of(needed - 1) < power <= power_of(needed)


def test_a_stage_needs_more_as_a_part_of_the_requests_goes_to_the_control_group() -> None:
    all_of_them, tenth = (needed_requests(context(share=share), 0.9) for share in (1.0, 0.1))
    assert all_of_them is not None
    assert tenth is not None
    assert tenth == pytest.approx(10 * all_of_them, rel=0.02)


def test_ten_a_second_may_not_be_enough() -> None:
    assert needed_requests(context(window_s=15.0), 0.9) is None


def test_the_pace_is_raised_to_the_power() -> None:
    raised = raise_pace(asked())
    assert planned_requests(raised) == needed_requests(asked(), 0.9)
    assert most_requests(raised) == 2 * planned_requests(raised)


@pytest.mark.parametrize(
    ("unchanged", "sends"),
    [
        pytest.param(asked(synthetic_every_s=1.0), 1800, id="as often already"),
        pytest.param(context(), 30, id="no power asked for"),
        pytest.param(asked(probes=()), 0, id="probes are off"),
    ],
)
def test_the_pace_is_never_slower_than_the_scenarios(unchanged: Context, sends: int) -> None:
    assert raise_pace(unchanged) == unchanged
    assert planned_requests(unchanged) == sends


def test_the_cap_counts_before_the_power() -> None:
    assert raise_pace(asked(synthetic_at_most=100)).monitor.synthetic_every_s == 18.0


def test_the_triggers_of_a_window_judge_by_the_raised_pace(tmp_path: Path) -> None:
    """Those of a stage by that of the stage: its length, its part of the requests, and its part of alpha."""
    rollout = opened(tmp_path)
    scenario = replace(rollout.scenario, monitor=asked().monitor)
    found = trigger_context(scenario, rollout.record())
    assert found.monitor.synthetic_every_s == raise_pace(asked()).monitor.synthetic_every_s < 60.0
    scenario = replace(scenario, canary=Canary((Share(0.5, 3600.0), Share(1.0, 3600.0)), 3600.0))
    half, full, _ = (trigger_context(scenario, rollout.record(), stage) for stage in stages(scenario))
    needed = [needed_requests(each, 0.9) for each in (half, full)]
    assert [planned_requests(each) for each in (half, full)] == needed
    assert (half.share, half.stages) == (0.5, 3)


def test_the_price_covers_every_token_of_the_prompts_and_of_the_longest_answers() -> None:
    probes = (Probe("ping", max_tokens=16), Probe("Grüße", max_tokens=73))
    assert greatest_usd(Monitor(probes=probes), 0.01, 1000) == pytest.approx((20 + 80) / 2 * 0.01)


@pytest.mark.parametrize(
    ("usd", "words"),
    [
        (0.0, "0 USD"),
        (0.891, "0.9 USD"),
        (0.29, "0.29 USD"),
        (0.00123, "0.0013 USD"),
        (9.99, "10 USD"),
        (100.0, "100 USD"),
        (1234.5, "1,235 USD"),
    ],
)
def test_an_amount_is_rounded_up_to_two_digits_or_a_dollar(usd: float, words: str) -> None:
    assert show_usd(usd) == words
