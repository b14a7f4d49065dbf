"""The baseline of the current provider."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

from rollout.core.clock import StopFlag
from rollout.core.errors import Interrupted
from rollout.core.histogram import Histogram
from rollout.core.scenario import Monitor
from rollout.gateway.responses import Completion
from rollout.monitoring.baseline import measure
from rollout.monitoring.samples import Baseline
from tests.support.clocks import SimulatedClock
from tests.support.windows import OLD, TARGET, FakeGateway, metrics, unreachable


@pytest.fixture
def gateway() -> FakeGateway:
    made = FakeGateway()
    made.completion = Completion("pong", "llama3", "ollama", 3, 120.0)
    made.counters = metrics(200, 4, p95_ms=90.0)
    return made


def measured(gateway: FakeGateway, stop: StopFlag | None = None) -> Baseline:
    return measure(gateway, OLD, Monitor(), SimulatedClock(), stop or StopFlag(), target=TARGET)


def test_users_and_own_requests_are_measured_apart(gateway: FakeGateway) -> None:
    assert measured(gateway) == Baseline("ollama", 90.0, 200, 0.02, 200, 120.0, 20, 0, (120.0,) * 20)


def test_no_traffic_is_no_number(gateway: FakeGateway) -> None:
    gateway.counters = metrics(0, p95_ms=None)
    found = measured(gateway)
    assert (found.users_p95_ms, found.users_error_rate, found.users_samples) == (None, None, 0)


@pytest.mark.parametrize("p95_ms", [math.nan, math.inf, -1.0])
def test_a_percentile_that_is_no_number_is_left_out(gateway: FakeGateway, p95_ms: float) -> None:
    gateway.counters = metrics(200, p95_ms=p95_ms)
    assert measured(gateway).users_p95_ms is None


def test_repeated_failures_end_it_early(gateway: FakeGateway) -> None:
    gateway.completion = unreachable()
    found = measured(gateway)
    assert (found.synthetic_p95_ms, found.synthetic_samples, found.synthetic_failures) == (None, 0, 3)
    assert sum(call.startswith("chat") for call in gateway.calls) == 3


def test_an_answer_by_another_provider_is_not_this_providers_latency(gateway: FakeGateway) -> None:
    gateway.completion = replace(gateway.completion, provider="vllm")
    assert measured(gateway).synthetic_samples == 0


def test_metrics_that_cannot_be_read_are_tried_twice_and_left_out(gateway: FakeGateway) -> None:
    gateway.counters = unreachable()
    assert measured(gateway).users_p95_ms is None
    assert gateway.calls.count("metrics ollama") == 2


def test_a_stop_ends_it(gateway: FakeGateway) -> None:
    stop = StopFlag()
    stop.set("SIGTERM")
    with pytest.raises(Interrupted, match="SIGTERM"):
        measured(gateway, stop)
    assert gateway.calls == []


def test_a_baseline_survives_the_journal(gateway: FakeGateway) -> None:
    histogram = Histogram.of({0.1: 190, math.inf: 200})
    found = replace(measured(gateway), users_histogram=histogram)
    assert Baseline.from_record(json.loads(json.dumps(found.record())) | {"token": 3}) == found


def test_a_baseline_of_an_older_journal_has_neither_latencies_nor_a_histogram(gateway: FakeGateway) -> None:
    found = measured(gateway)
    written = found.record()
    del written["synthetic_latencies_ms"], written["users_histogram"]
    assert Baseline.from_record(written) == replace(found, synthetic_latencies_ms=())


def test_the_latencies_of_a_baseline_ascend_and_its_users_histogram_is_kept(gateway: FakeGateway) -> None:
    gateway.counters = replace(metrics(200, 4, p95_ms=90.0), histogram=Histogram.of({0.1: 190, math.inf: 200}))
    answers = iter(range(300, 0, -1))
    gateway.chat = lambda _prompt, **_: replace(gateway.completion, elapsed_ms=float(next(answers)))  # type: ignore[method-assign]
    found = measured(gateway)
    assert found.synthetic_latencies_ms == tuple(float(ms) for ms in range(281, 301))
    assert found.users_histogram == Histogram.of({0.1: 190, math.inf: 200})
