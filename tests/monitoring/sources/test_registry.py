"""The readings of each source."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from rollout.core.errors import GatewayError, Refused
from rollout.core.scenario import Monitor, Probe
from rollout.gateway.responses import Completion, Governance
from rollout.monitoring.samples import SourceName, SyntheticReading
from rollout.monitoring.sources.registry import gateway_sources
from rollout.monitoring.sources.synthetic import ask
from tests.support.clocks import SimulatedClock
from tests.support.windows import NEW, TARGET, FakeGateway, alert, context, unreachable


@pytest.fixture
def gateway() -> FakeGateway:
    return FakeGateway()


def sources_by_name(gateway: FakeGateway, **options: object) -> dict[str, object]:
    sources = gateway_sources(gateway, context(), TARGET, clock=SimulatedClock(), **options)
    return {source.name: source for source in sources}


def asked(gateway: FakeGateway, **monitor: object) -> SyntheticReading:
    return ask(gateway, NEW, Monitor(**monitor).in_turn[0], TARGET, SimulatedClock())


def test_each_source_has_the_scenarios_pace(gateway: FakeGateway) -> None:
    paces = {name: source.every_s for name, source in sources_by_name(gateway, operator=lambda: None).items()}
    ten, thirty = {"status": 10.0, "metrics": 10.0}, {"alerts": 30.0, "fallbacks": 30.0, "way_back": 30.0}
    assert paces == ten | thirty | {"synthetic": 60.0, "operator": 2.0}


def test_a_gateways_own_count_of_fallbacks_replaces_what_it_lists(gateway: FakeGateway) -> None:
    sources = sources_by_name(gateway, count_fallbacks=lambda: 7)
    assert sources["fallbacks"].poll() == 7
    assert sources["fallbacks"].memory is None, "a count needs none"
    assert gateway.calls == []


def test_the_new_provider_is_watched_and_the_previous_one_probed(gateway: FakeGateway) -> None:
    for source in sources_by_name(gateway).values():
        source.poll()
    expected = ["status openai", "metrics openai", "alerts critical", "governance", "chat ping 16", "test ollama"]
    assert gateway.calls == expected


def test_a_gateway_that_ignores_the_severity_is_not_believed(gateway: FakeGateway) -> None:
    gateway.critical = (alert(severity="warning"), alert(severity="CRITICAL"))
    assert sources_by_name(gateway)["alerts"].poll() == (gateway.critical[1],)


def test_new_fallbacks_show_behind_old_ones(gateway: FakeGateway) -> None:
    poll = sources_by_name(gateway)["fallbacks"].poll
    counts = []
    for listed in ("ab", "bc", "bc", "c", "cd"):
        gateway.limits = Governance({}, {}, tuple({"id": one} for one in listed))
        counts.append(poll())
    assert counts == [2, 3, 3, 3, 4]


def test_a_good_answer_has_no_reason(gateway: FakeGateway) -> None:
    gateway.completion = Completion("pong", "gpt-4o-2024-08-06", "OpenAI", 3, 80.0)
    expected = SyntheticReading(ok=True, latency_ms=80.0, provider="OpenAI", model="gpt-4o-2024-08-06")
    assert asked(gateway) == expected


def test_a_request_that_no_provider_has_seen_is_no_reading(gateway: FakeGateway) -> None:
    gateway.completion = Refused("POST /api/v1/chat/completions", "the gateway's rate limit refused it", status=429)
    with pytest.raises(Refused, match="rate limit"):
        asked(gateway)


def test_a_providers_own_429_is_a_failed_request_of_that_provider(gateway: FakeGateway) -> None:
    """MON-2: users get it as well; only the gateway's own limit on callers says nothing about the provider."""
    gateway.completion = GatewayError("POST /api/v1/chat/completions", "a provider is rate limiting", status=429)
    reading = asked(gateway)
    assert (reading.ok, reading.status) == (False, 429)
    assert "rate limiting" in str(reading.reason)


@pytest.mark.parametrize(
    ("answer", "expect", "reason"),
    [
        (Completion("pong", "gpt-4o", "ollama", 3, 80.0), None, "ollama answered instead of openai"),
        (Completion("pong", "gpt-4o-mini", "openai", 3, 80.0), None, "model gpt-4o-mini answered instead of gpt-4o"),
        (Completion(" ", "gpt-4o", "openai", 3, 80.0), None, "the completion is empty"),
        (Completion("pang", "gpt-4o", "openai", 3, 80.0), "pong", "the answer does not contain 'pong'"),
    ],
)
def test_an_answer_that_breaks_an_expectation_says_which(
    gateway: FakeGateway, answer: Completion, expect: str | None, reason: str
) -> None:
    gateway.completion = answer
    assert (asked(gateway, expect=expect).ok, asked(gateway, expect=expect).reason) == (True, reason)


def test_a_failed_request_is_a_reading_and_not_an_error(gateway: FakeGateway) -> None:
    gateway.completion = unreachable("POST /api/v1/chat/completions")
    found = asked(gateway)
    assert (found.ok, found.latency_ms) == (False, 0.0)
    assert found.reason == "POST /api/v1/chat/completions: connection refused"


def test_the_name_under_which_a_provider_is_reported_is_accepted(gateway: FakeGateway) -> None:
    gateway.completion = Completion("pong", "gpt-4o", "openai-eu", 3, 80.0)
    target = replace(TARGET, reported_as={"openai": "openai-eu"})
    assert ask(gateway, NEW, Probe("ping"), target, SimulatedClock()).reason is None


def test_the_log_is_read_from_its_present_end(gateway: FakeGateway, tmp_path: Path) -> None:
    log = tmp_path / "backend.log"
    log.write_text("ERROR:    boom before\n")
    monitor = Monitor(error_pattern="boom")
    sources = gateway_sources(gateway, context(monitor), replace(TARGET, log_file=log), clock=SimulatedClock())
    poll = next(source.poll for source in sources if source.name == SourceName.LOG)
    log.write_text("ERROR:    boom before\nERROR:    boom\nINFO:     boom\n{'errors': 'boom'}\n")
    assert poll() == ("ERROR:    boom",)


def test_a_completion_hangs_only_after_its_own_deadline(gateway: FakeGateway) -> None:
    quick = context(Monitor(synthetic_every_s=1.0, metrics_every_s=1.0))
    patience = {s.name: s.patience_s for s in gateway_sources(gateway, quick, TARGET, clock=SimulatedClock())}
    assert (patience["synthetic"], patience["metrics"]) == (35.0, 3.0)
