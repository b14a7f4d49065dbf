"""The synthetic requests: their prompts, expectations and limits."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from rollout.core.clock import StopFlag
from rollout.core.errors import GatewayError
from rollout.core.scenario import Expectation, Monitor, Probe, SyntheticPower
from rollout.gateway.expectations import unmet
from rollout.gateway.responses import Completion
from rollout.monitoring.aggregates import Aggregates
from rollout.monitoring.baseline import measure
from rollout.monitoring.samples import Sample, SourceName, SyntheticReading
from rollout.monitoring.sources.registry import gateway_sources
from rollout.monitoring.sources.synthetic import Probes, ask, promise
from rollout.monitoring.triggers import judge
from rollout.monitoring.verdict import State
from tests.support.clocks import SimulatedClock
from tests.support.windows import NEW, OLD, TARGET, FakeGateway, context, failed, history, metrics, sample

SCHEMA: dict[str, Any] = {
    "$defs": {"word": {"type": "string", "minLength": 2}},
    "type": "object",
    "properties": {"answer": {"$ref": "#/$defs/word"}},
    "required": ["answer"],
}


def probes(gateway: FakeGateway, *of: Probe, **monitor: Any) -> Probes:
    return Probes(gateway, NEW, Monitor(probes=of, **monitor), TARGET, SimulatedClock())


@pytest.mark.parametrize(
    ("expect", "content"),
    [
        (Expectation(), "anything"),
        (Expectation(contains="pong"), "ping pong"),
        (Expectation(matches=r"^\d+$"), "42"),
        (Expectation(max_length=4), "pong"),
        (Expectation(json_schema={}), " [1] \n"),
        (Expectation(json_schema=SCHEMA), '{"answer": "42"}'),
    ],
)
def test_an_answer_as_expected_lacks_nothing(expect: Expectation, content: str) -> None:
    assert unmet(expect, content) is None


@pytest.mark.parametrize(
    ("expect", "content", "says"),
    [
        (Expectation(contains="pong"), "PONG", "the answer does not contain 'pong'"),
        (Expectation(matches=r"^\d+$"), "42!", r"the answer does not match '^\\d+$'"),
        (Expectation(max_length=4), "pong!", "the answer has 5 characters, 4 are the most"),
        (Expectation(json_schema={}), "pong", "the answer is not JSON: Expecting value"),
        (Expectation(json_schema={}), '```json\n{"answer": 1}\n```', "the answer is not JSON"),
        (Expectation(json_schema={}), "NaN", "the answer is not JSON: NaN is no JSON"),
        (Expectation(json_schema={}), "[" * 100_000, "the answer is not JSON"),
        (Expectation(json_schema=SCHEMA), '{"answer": 42}', "JSON Schema at $.answer: 42 is not of type 'string'"),
        (Expectation(json_schema=SCHEMA), '{"answer": "4"}', "JSON Schema at $.answer: '4' is too short"),
        (Expectation(json_schema=SCHEMA), "[]", "JSON Schema at $: [] is not of type 'object'"),
    ],
)
def test_an_answer_that_lacks_something_says_what(expect: Expectation, content: str, says: str) -> None:
    assert says in str(unmet(expect, content))


def test_a_schema_never_fetches_what_it_refers_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("urllib.request.urlopen", lambda *_: pytest.fail("it fetched"))
    from referencing.exceptions import Unresolvable

    with pytest.raises(Unresolvable):
        unmet(Expectation(json_schema={"$ref": "http://127.0.0.1:9/schema.json"}), "1")


def test_probes_are_sent_in_turn_each_with_its_own_length() -> None:
    gateway = FakeGateway()
    ask = probes(gateway, Probe("one"), Probe("two", max_tokens=64))
    for _ in range(3):
        ask()
    assert gateway.calls == ["chat one 16", "chat two 64", "chat one 16"]


def test_a_reason_names_the_prompt_only_where_there_are_several() -> None:
    lone = probes(FakeGateway(), Probe("one", Expectation(contains="x")))()
    assert lone is not None
    assert lone.reason == "the answer does not contain 'x'"
    several = probes(FakeGateway(), Probe("one", Expectation(contains="x")), Probe("two"))()
    assert several is not None
    assert several.reason == "the answer does not contain 'x' (to 'one')"


def test_once_the_cap_is_reached_nothing_is_sent_and_nothing_is_unavailable() -> None:
    gateway = FakeGateway()
    ask = probes(gateway, Probe("one"), synthetic_at_most=2)
    readings = [ask() for _ in range(5)]
    assert len(gateway.calls) == ask.sent == 2
    assert readings[2:] == [None] * 3
    seen = history(*(sample(SourceName.SYNTHETIC, at, reading) for at, reading in enumerate(readings)))
    assert (seen.polls["synthetic"].failed, len(seen.requests.latencies(1.0))) == (0, 2)


def test_what_was_sent_before_a_resumed_window_counts() -> None:
    monitor = Monitor(synthetic_at_most=2)
    assert Probes(FakeGateway(), NEW, monitor, TARGET, SimulatedClock(), sent=2)() is None


def test_a_refused_request_keeps_its_status() -> None:
    gateway = FakeGateway()
    gateway.completion = GatewayError("POST /chat", "HTTP 503", status=503)
    reading = probes(gateway, Probe("one"))()
    assert reading is not None
    assert (reading.ok, reading.status) == (False, 503)


def test_probes_that_are_off_are_no_source_and_measure_no_baseline() -> None:
    off = Monitor(probes=())
    gateway = FakeGateway()
    sources = gateway_sources(gateway, context(off), TARGET, clock=SimulatedClock())
    assert SourceName.SYNTHETIC not in {source.name for source in sources}
    found = measure(gateway, OLD, off, SimulatedClock(), StopFlag(), target=TARGET)
    assert (found.synthetic_samples, found.users_samples) == (0, 100)
    assert not [call for call in gateway.calls if call.startswith("chat")]


def test_the_baseline_asks_what_the_window_asks() -> None:
    gateway = FakeGateway()
    gateway.completion = Completion("pong", "llama3", "ollama", 3, 120.0)
    monitor = Monitor(probes=(Probe("one"), Probe("two", max_tokens=64)), min_samples=3)
    measure(gateway, OLD, monitor, SimulatedClock(), StopFlag(), target=TARGET)
    asked = [call for call in gateway.calls if call.startswith("chat")]
    assert asked == ["chat one 16", "chat two 64", "chat one 16"]


def test_without_probes_and_without_users_no_verdict_on_requests_is_green() -> None:
    off = context(Monitor(probes=()))
    expected = tuple(name for name in SourceName if name != SourceName.SYNTHETIC)
    idle = [sample("metrics", at, metrics(100, p95_ms=None)) for at in range(0, 1800, 10)]
    verdicts = {v.clause: v for v in judge(history(*idle, expected=expected), off, 1800.0)}
    assert {clause: verdicts[clause].state for clause in ("MON-2", "MON-3")} == {
        "MON-2": State.NO_DATA,
        "MON-3": State.NO_DATA,
    }
    few = [sample("metrics", at, metrics(100 + at // 200, p95_ms=None)) for at in range(0, 1800, 10)]
    verdict = judge(history(*few, expected=expected), off, 1800.0)[1]
    assert verdict.state is State.INCONCLUSIVE
    assert verdict.message.endswith(
        "8 of users, 0 of the suite's own; 29 of users are needed, for the scenario switches the suite's own off "
        "(probes: off)"
    )


def test_the_promise_says_how_many_how_long_and_what_follows_from_none() -> None:
    message = promise(Monitor())
    assert message.startswith(
        "30 in 1800 s, twice as many in a window that goes on, 2000 at most, each answer at most 16 tokens: 960 tokens "
    )
    assert "16 tokens: 32,000 tokens of answers" in promise(Monitor(synthetic_every_s=1.0)), "the cap bounds it"
    assert "2000 a stage at most, each answer at most 16 tokens: 57,600" in promise(Monitor(synthetic_every_s=1.0), 5)
    assert "16 tokens: 32,000 tokens of answers" in promise(Monitor(synthetic=SyntheticPower(0.9)))
    assert "off" in promise(Monitor(probes=()))
    assert "fewer than 29 of their requests is inconclusive" in promise(Monitor(probes=()))
    assert "fewer than 40 of their requests is inconclusive" in promise(Monitor(probes=(), min_requests=40))
    asked = promise(Monitor(synthetic=SyntheticPower(0.9), baseline_requests=149))
    assert asked.startswith("as many as show twice the limit with a power of 0.9, at least 30 in 1800 s, twice as many")
    assert "Before the change 149 more measure the baseline" in asked


@pytest.mark.parametrize(
    ("window_s", "every_s", "planned"), [(1800, 60, 30), (20, 0.5, 40), (0.3, 0.1, 3), (61, 60, 2), (10, 60, 1)]
)
def test_a_window_plans_as_many_requests_as_it_sends(window_s: float, every_s: float, planned: int) -> None:
    assert Monitor(window_s=window_s, synthetic_every_s=every_s).planned_synthetic == planned


def test_jsonschema_is_loaded_only_for_a_schema() -> None:
    import subprocess

    code = "import rollout.config, rollout.monitoring.sources.synthetic, sys; print('jsonschema' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "False"


# What the gateway counted, without the suite's own share


def own(at_s: float, reading: SyntheticReading) -> Sample:
    return sample("synthetic", at_s, reading)


def refused() -> SyntheticReading:
    return SyntheticReading(ok=False, latency_ms=2.0, reason="HTTP 503", status=503)


def in_order(*samples: Sample) -> Aggregates:
    return history(*sorted(samples, key=lambda one: one.at_s))


def rate(*samples: Sample) -> tuple[str, float | str | None, int]:
    verdict = judge(in_order(*samples), context(), 100.0)[1]
    return verdict.source, verdict.value, verdict.samples


def test_a_failure_of_the_suites_own_is_no_failure_of_users() -> None:
    ours = [own(at, refused()) for at in range(10, 20)]
    counted = [sample("metrics", 0, metrics(0)), sample("metrics", 100, metrics(60, 10))]
    assert rate(*counted, *ours) == ("users", 0.0, 50)


def test_a_failure_that_never_reached_the_gateway_is_not_subtracted_from_users_failures() -> None:
    ours = [own(at, failed()) for at in range(10, 14)]
    counted = [sample("metrics", 0, metrics(0)), sample("metrics", 100, metrics(50, 10))]
    assert rate(*counted, *ours) == ("users", 0.2, 50)


def test_a_request_that_ended_after_the_last_reading_was_not_counted_yet() -> None:
    slow = SyntheticReading(ok=False, latency_ms=30_000.0, reason="HTTP 504", status=504)
    counted = [sample("metrics", 0, metrics(0)), sample("metrics", 100, metrics(50, 1))]
    assert rate(*counted, own(99, slow)) == ("users", 0.02, 50)


def test_users_without_a_failure_of_their_own_do_not_fail_because_the_suite_does() -> None:
    ours = [own(at, refused()) for at in range(10, 40)]
    counted = [sample("metrics", 0, metrics(0)), sample("metrics", 100, metrics(60, 30))]
    verdict = judge(in_order(*counted, *ours), context(), 100.0)[1]
    assert (verdict.state, verdict.source, verdict.value) == (State.HOLDING, "users", 0.0)


def test_where_the_suites_own_decide_the_verdict_says_so_and_why() -> None:
    ours = [own(at, SyntheticReading(ok=True, latency_ms=100.0)) for at in range(30)]
    counted = [sample("metrics", 0, metrics(0)), sample("metrics", 100, metrics(33, p95_ms=None))]
    _, errors, latency, *_ = judge(in_order(*counted, *ours), context(), 100.0)
    assert (errors.source, latency.source) == ("synthetic", "synthetic")
    assert errors.message.endswith("; these decide, because 3 of users were seen and 29 are needed")
    assert latency.message.endswith("; these decide, because there is no histogram of enough users' requests")


# During a canary: the group that answered


@pytest.mark.parametrize(
    ("answer", "control", "reason"),
    [
        (Completion("pong", "gpt-4o-2024-08-06", "openai", 3, 9.0), False, None),
        (Completion("pong", "llama3", "ollama", 3, 9.0), True, None),
        (Completion("", "llama3", "ollama", 3, 9.0), True, None),
        (Completion("", "gpt-4o", "openai", 3, 9.0), False, "the completion is empty"),
        (Completion("pong", None, "ollama", 3, 9.0), True, None),
        (Completion("pong", "llama3", None, 3, 9.0), True, None),
        (Completion("pong", "gpt-4o", None, 3, 9.0), False, None),
        # It names neither, so it is no evidence for the canary.
        (Completion("pong", None, None, 3, 9.0), True, None),
        (Completion("pong", "x", "vllm", 3, 9.0), False, "vllm answered instead of openai"),
        (Completion("pong", "gpt-3.5", "openai", 3, 9.0), False, "model gpt-3.5 answered instead of gpt-4o"),
    ],
)
def test_an_answer_during_a_canary_is_its_own_or_the_control_groups(
    answer: Completion, control: bool, reason: str | None
) -> None:
    gateway = FakeGateway()
    gateway.completion = answer
    reading = ask(gateway, NEW, Probe("ping"), TARGET, SimulatedClock(), control=OLD)
    assert (reading.ok, reading.control, reading.reason) == (True, control, reason)


@pytest.mark.parametrize(
    ("message", "control"),
    [
        ("Provider ollama failed: upstream error", True),
        ("Provider openai failed: upstream error", False),
        ("upstream error", False),
        ("openai failed, and ollama did not take over", False),
    ],
)
def test_a_failure_during_a_canary_counts_against_it_unless_it_names_the_control_group(
    message: str, control: bool
) -> None:
    gateway = FakeGateway()
    gateway.completion = GatewayError("POST chat", message, status=502)
    reading = ask(gateway, NEW, Probe("ping"), TARGET, SimulatedClock(), control=OLD)
    assert (reading.ok, reading.control, reading.status) == (False, control, 502)


def test_whose_request_it_was_is_read_back_from_the_journal() -> None:
    for control in (True, False):
        reading = SyntheticReading(ok=True, latency_ms=9.0, control=control)
        body = Sample("synthetic", 0.0, "2026-11-23T12:00:00.000Z", reading).record()
        assert ("control" in body) is control
        assert Sample.from_record(body).reading == reading
