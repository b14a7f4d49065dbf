"""What the reads make of answers that a healthy proxy does not give; the others are tried on a real one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

from rollout.core.errors import GatewayError
from rollout.gateway.calls import Call
from rollout.gateway.documents import InvalidResponse
from rollout.gateway.drivers.litellm import LiteLLM
from rollout.gateway.drivers.litellm_reads import COUNTERS, DEPLOYMENTS, READINESS, LiteLLMReads
from rollout.gateway.transport import Answer
from tests.gateway.drivers.test_litellm import driver, rows


class Answers:
    """A sender whose answers are given: a proxy with several workers cannot be had without a shared folder."""

    def __init__(self) -> None:
        self.given: dict[str, bytes] = {}
        self.status = 200

    def send(self, call: Call, parse: Callable[[Answer], Any]) -> Any:
        """Return what is made of the answer that is given."""
        if self.status != 200:
            raise GatewayError(call.path, "the service is not ready", status=self.status)
        return parse(Answer(200, {"content-type": "text/plain"}, self.given[call.path], 1.0))


@pytest.fixture
def answers() -> Answers:
    import json

    given = Answers()
    listed = rows(("prod-a", "1", "openai/gpt-4o"), ("prod-c", "3", "openai/x"), ("chat", "3", "openai/x"))
    given.given[DEPLOYMENTS] = json.dumps(listed).encode()
    return given


def reads(answers: Answers, litellm: LiteLLM | None = None) -> LiteLLMReads:
    return (litellm or driver()).connect(answers)  # type: ignore[return-value, arg-type]


def served(started: float, requests: int) -> bytes:
    registry = CollectorRegistry()
    counter = Counter("litellm_deployment_total_requests", "-", ["model_id"], registry=registry)
    counter.labels("1").inc(requests)
    Gauge("process_start_time_seconds", "-", registry=registry).set(started)
    return generate_latest(registry)


def test_several_workers_with_counters_of_their_own_are_an_error_and_a_restart_is_none(answers: Answers):
    read = reads(answers)
    for started, requests in ((1.0, 5), (1.0, 6), (2.0, 1), (2.0, 2)):
        answers.given[COUNTERS] = served(started, requests)
        assert read.metrics("prod-a").total_requests == requests
    answers.given[COUNTERS] = served(1.0, 7)
    with pytest.raises(InvalidResponse, match="several workers answer in turn"):
        read.metrics("prod-a")


@pytest.mark.parametrize("database", ["connected", "stalled"])
def test_a_proxy_that_was_started_with_a_database_is_refused_with_the_reason(answers: Answers, database: str):
    """Such a proxy needs a client that is downloaded at its first start."""
    answers.given[READINESS] = f'{{"status": "healthy", "db": "{database}"}}'.encode()
    examined = reads(answers).test_connection("prod-a")
    assert not examined.succeeded
    assert f"says `db: {database}`, so the proxy was started with a database" in examined.message
    assert not reads(answers).preflight("prod-a").checks["database"].passed


def test_a_proxy_that_cannot_reach_its_database_is_refused(answers: Answers):
    answers.status = 503
    answers.given[READINESS] = b'{"status": "healthy", "db": "disconnected"}'
    examined = reads(answers).test_connection("prod-a")
    assert not examined.succeeded
    assert "does not say that it has no database" in examined.message


def test_readiness_that_says_nothing_of_a_database_is_an_error(answers: Answers):
    answers.given[READINESS] = b'{"status": "healthy"}'
    with pytest.raises(InvalidResponse):
        reads(answers).test_connection("prod-a")


def test_an_active_deployment_that_the_target_does_not_name_is_reported_all_the_same(answers: Answers):
    found = reads(answers).providers()
    assert found.active_provider == "prod-c"
    assert [(each.name, each.models, each.is_active) for each in found.providers] == [
        ("prod-a", ("openai/gpt-4o",), False),
        ("prod-c", ("openai/x",), True),
    ]
