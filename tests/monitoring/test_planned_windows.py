"""A window that cannot tell what it has to, whatever its traffic is, is refused with file and line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rollout.config.load import load
from rollout.core.errors import InvalidInput
from rollout.core.request import Request
from rollout.monitoring.planned_windows import planned_windows, unjudgeable_windows

TARGETS = "gw: {url: 'https://gw.example.com', environment: lab%s}\n"
CHANGE = "target: gw\nchange: {activate: openai, model: gpt-4o}\n"
PRICE = "usd_per_1k_tokens: {'openai:gpt-4o': 0.01}\n"

Load = Callable[..., Request]


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Load a scenario of these lines, on a target of the environment `lab`."""

    def read(text: str, *, policy: str = "", target: str = "", to: str = "gw") -> Request:
        (tmp_path / "scenario.yaml").write_text(CHANGE + text)
        (tmp_path / "targets.yaml").write_text(TARGETS % target)
        (tmp_path / "policy.yaml").write_text(f"lab: {{window_at_least: 10s{policy}}}\n")
        monkeypatch.chdir(tmp_path)
        options: dict[str, Any] = dict.fromkeys(("activate", "ticket", "gateway"))
        return load(
            scenario=Path("scenario.yaml"),
            target=to,
            directory=Path(),
            env={"USER": "alice"},
            check_windows=unjudgeable_windows,
            doubt=lambda _: "",
            **options,
        )

    return read


TOO_SHORT = (
    "scenario.yaml:3: monitor.window: a window of 40s has 4 polls of users' requests (metrics_every 10s); with fewer "
    "than 5 no number of requests shows twice the limit of 5% at alpha 0.005 (MON-2); lengthen it, or poll more often"
)


def test_a_window_too_short_to_be_judged_is_refused(asked: Load) -> None:
    with pytest.raises(InvalidInput) as refused:
        asked("monitor: {window: 40s}")
    assert str(refused.value) == TOO_SHORT


@pytest.mark.parametrize(
    ("text", "to"),
    [
        pytest.param("monitor: {window: 50s}", "gw", id="as many polls as it takes"),
        pytest.param("monitor: {window: 40s, metrics_every: 5s}", "gw", id="polled more often"),
        pytest.param("monitor: {window: 40s}", "embedded", id="in the sandbox"),
    ],
)
def test_a_window_that_some_traffic_decides_is_accepted(asked: Load, text: str, to: str) -> None:
    assert asked(text, to=to)


def test_a_larger_alpha_takes_fewer_polls(asked: Load) -> None:
    assert asked("monitor: {window: 40s}", policy=", alpha: 0.1")


def test_the_stage_of_a_canary_that_is_too_short_is_named(asked: Load) -> None:
    routing = ", routing: {}"
    with pytest.raises(InvalidInput) as refused:
        asked("strategy:\n  stages: [{share: 50%, for: 30s}, {share: 100%, for: 10m}]\n", target=routing)
    assert str(refused.value).startswith("scenario.yaml:3: strategy: 50% of the traffic for 30s has 3 polls")


COST = "monitor: {signals: {cost_per_1k: 12}, window: %s, metrics_every: 1s, alerts_every: 1s}\n"
TOO_FEW = "takes %s polls to be judged, and a window of %s has %s (metrics_every %s); lengthen it, or poll more often"


def test_a_window_with_too_few_polls_of_a_number_is_refused_wherever_it_goes(asked: Load) -> None:
    """A sandbox, whose windows are not refused for their length, is no exception."""
    with pytest.raises(InvalidInput) as refused:
        asked(COST % "3s", to="embedded")
    words = "scenario.yaml:3: monitor.signals: the signal cost_per_1k "
    assert str(refused.value) == words + TOO_FEW % (4, "3s", 3, "1s")
    assert asked(COST % "4s", to="embedded")


def test_the_shortest_stage_of_a_canary_has_the_polls_of_a_number(asked: Load) -> None:
    stages = "strategy:\n  stages: [{share: 50%%, for: %s}, {share: 100%%, for: 10m}]\n"
    numbers = "monitor: {signals: {cost_per_1k: 12}}\n"
    with pytest.raises(InvalidInput) as refused:
        asked(stages % "30s" + numbers, target=", routing: {}")
    assert "signals: the signal cost_per_1k takes 4 polls to be judged, and 50% of the traffic for 30s has 3" in str(
        refused.value
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param(
            "monitor:\n  window: 10m\n  synthetic: {power: 0.9}\n",
            "scenario.yaml:5: monitor.synthetic: a power of 0.9 in a window of 10m takes 643 requests, and one every "
            "1s is the fastest; lengthen the window, or ask for less power",
            id="too fast",
        ),
        pytest.param(
            "monitor: {window: 1m, synthetic: {power: 0.9}}\n",
            "scenario.yaml:3: monitor.synthetic: a power of 0.9 in a window of 1m takes more than ten requests a "
            "second; lengthen the window, or ask for less power",
            id="more than the fastest",
        ),
        pytest.param(
            "monitor: {window: 30m, synthetic_at_most: 600, synthetic: {power: 0.9}}\n",
            "scenario.yaml:3: monitor.synthetic: a power of 0.9 in a window of 30m takes 643 requests, above the cap "
            "of 600; raise synthetic_at_most, lengthen the window, or ask for less power",
            id="above the cap",
        ),
        pytest.param(
            f"monitor: {{window: 30m, synthetic: {{power: 0.9, usd_at_most: 0.2}}}}\n{PRICE}",
            "scenario.yaml:3: monitor.synthetic: 1,286 requests, extensions included, may cost 0.26 USD, above "
            "usd_at_most (0.2 USD); raise it, ask for less power, or lower max_tokens",
            id="too dear",
        ),
        pytest.param(
            "monitor: {window: 30m, synthetic: {power: 0.9, usd_at_most: 2}}\n",
            "scenario.yaml:3: monitor.synthetic: usd_at_most cannot be kept without the price of openai:gpt-4o; write "
            "`usd_per_1k_tokens: {openai:gpt-4o: …}`, or remove it",
            id="no price",
        ),
    ],
)
def test_a_power_that_the_suites_own_requests_cannot_have_is_refused(asked: Load, text: str, words: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        asked(text)
    assert str(refused.value) == words


def test_a_completion_of_the_targets_own_has_no_known_price(asked: Load) -> None:
    chat = ", chat_with: {path: /x, body: {p: '{prompt}'}}"
    with pytest.raises(InvalidInput, match="the target's `chat_with` knows no limit of tokens"):
        asked("monitor: {window: 30m, synthetic: {power: 0.9, usd_at_most: 2}}\n", target=chat)


def test_the_pace_follows_from_the_power_and_the_content_keeps_what_the_file_says(asked: Load) -> None:
    """An approval covers the power, not a pace that a later version may compute otherwise."""
    request = asked(f"monitor: {{window: 30m, synthetic: {{power: 0.9, usd_at_most: 0.3}}}}\n{PRICE}")
    assert request.scenario.monitor.synthetic_every_s == 60.0
    (window,) = planned_windows(request.scenario, request.policy)
    assert window.own_requests == 643
    assert window.users_polls == 180
    assert window.users_requests(0.5) == 900
