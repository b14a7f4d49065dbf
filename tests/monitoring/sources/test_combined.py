"""The observed gateway: its own answers, and those of the sources that the target names."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from rollout.core.canonical_json import to_json
from rollout.core.clock import NEVER, SystemClock
from rollout.core.errors import GatewayError
from rollout.core.policy import Policy
from rollout.core.redaction import Redactor
from rollout.core.request import Request, as_opened
from rollout.core.scenario import Scenario
from rollout.core.target import AlertmanagerSource, PrometheusSource, Sources, Target
from rollout.engine.credentials import redactor_for
from rollout.monitoring.sources.combined import Observed, observing
from tests.support.stub import Stub
from tests.support.windows import NEW, OLD, TARGET, FakeGateway, alert

TOKEN = "hunter2-hunter2"


@pytest.fixture
def gateway() -> FakeGateway:
    return FakeGateway()


@pytest.fixture
def stub() -> Iterator[Stub]:
    with Stub() as one:
        yield one


def with_sources(stub: Stub) -> Target:
    prometheus = PrometheusSource(stub.url, "r", "e", token_env="A_TOKEN")
    return replace(TARGET, sources=Sources(prometheus, AlertmanagerSource(stub.url, token_env="A_TOKEN")))


def watched(gateway: FakeGateway, target: Target, redactor: Redactor | None = None) -> Observed:
    given = redactor or Redactor()
    with observing(gateway, target, NEW, {"A_TOKEN": TOKEN}, clock=SystemClock(), stop=NEVER, redactor=given) as one:
        one.status("openai")
        one.governance()
        one.chat("ping")
        one.test_connection("ollama")
        return one


def test_without_sources_all_is_the_gateways(gateway: FakeGateway) -> None:
    gateway.critical = (alert(),)
    seen = watched(gateway, TARGET)
    assert (seen.metrics("openai"), seen.alerts("critical")) == (gateway.counters, gateway.critical)
    assert (seen.metrics_sample(OLD), seen.alerts_sample("critical")) == (gateway.counters, gateway.critical)
    assert gateway.calls[:4] == ["status openai", "governance", "chat ping 16", "test ollama"]


def test_the_sources_are_asked_for_what_is_theirs_and_the_gateway_for_the_rest(
    gateway: FakeGateway, stub: Stub
) -> None:
    target, redactor = with_sources(stub), Redactor()
    with observing(gateway, target, NEW, {"A_TOKEN": TOKEN}, clock=SystemClock(), stop=NEVER, redactor=redactor) as one:
        for poll in (lambda: one.metrics("openai"), lambda: one.alerts("critical"), lambda: one.metrics_sample(None),
                     lambda: one.alerts_sample("critical")):  # fmt: skip
            with pytest.raises(GatewayError, match=r"has no such path \(404\)"):
                poll()
    assert gateway.calls == []
    assert {headers["authorization"] for _, _, headers, _, _ in stub.seen} == {f"Bearer {TOKEN}"}
    assert TOKEN not in redactor.text(f"the token is {TOKEN}")


def test_after_the_window_the_sources_are_closed(gateway: FakeGateway, stub: Stub) -> None:
    seen = watched(gateway, with_sources(stub))
    with pytest.raises(GatewayError, match="not sent, the client is closed"):
        seen.metrics("openai")


def test_sources_survive_the_journal_and_their_tokens_are_known_secrets(stub: Stub) -> None:
    request = Request(Scenario("s", "s.yaml", "t", (NEW,), author="alice"), with_sources(stub), Policy("sandbox"))
    again = as_opened(
        {"scenario": to_json(request.scenario), "target": to_json(request.target), "policy": to_json(request.policy)}
    )
    assert again.target == request.target
    assert TOKEN not in redactor_for(again, {"A_TOKEN": TOKEN}).text(f"it said {TOKEN}")
