"""Reads of a real LiteLLM proxy: what they cost, and what they find; the judge is what the upstreams have seen."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from rollout.core.clock import SystemClock
from rollout.core.redaction import Redactor
from rollout.gateway.client import Gateway
from tests.litellm.environment import litellm_python
from tests.litellm.lab import Lab
from tests.litellm.proxy import FIRST, GROUP, MASTER_KEY, Proxy
from tests.support.runs import eventually

ASKED = 12
"""So many requests, and as many polls, reach both of two workers."""


@contextmanager
def gateway(proxy: Proxy, **settings: Any) -> Iterator[Gateway]:
    """The suite's client of the proxy."""
    target = proxy.target(**settings)
    with closing(Gateway(target, token=MASTER_KEY, clock=SystemClock(), redactor=Redactor())) as connected:
        yield connected


def seen(proxy: Proxy) -> dict[str, int]:
    return {name: each.requests for name, each in proxy.upstreams.items()}


def test_a_free_examination_and_every_other_read_send_no_completion(lab: Lab) -> None:
    before = seen(lab.proxy)
    with gateway(lab.proxy) as client:
        examined = client.test_connection(lab.new.provider)
        assert client.preflight(lab.new.provider).ready
        client.health()
        client.snapshot()
        client.metrics(lab.new.provider)
    assert (examined.succeeded, examined.connection_status) == (True, "unknown")
    assert "whether it answers is not examined" in examined.message
    assert seen(lab.proxy) == before


def test_a_paid_examination_sends_one_completion_to_the_provider_alone_and_counts_as_no_users(lab: Lab) -> None:
    before = seen(lab.proxy)
    with gateway(lab.proxy, examination="paid") as client:
        counted = client.metrics(lab.new.provider).total_requests
        assert client.test_connection(lab.new.provider).connection_status == "connected"
        assert seen(lab.proxy) == before | {lab.new.provider: before[lab.new.provider] + 1}
        assert client.metrics(lab.new.provider).total_requests == counted
        lab.failing.off()
        failed = client.test_connection(lab.new.provider)
    assert (failed.succeeded, failed.connection_status) == (False, "offline")


def test_a_failed_completion_is_counted_for_its_deployment_with_its_status(lab: Lab) -> None:
    with gateway(lab.proxy) as client:
        before = client.metrics(lab.old.provider)
        lab.proxy.upstreams[lab.old.provider].status = 503
        lab.proxy.ask()

        def failed() -> bool:
            now = client.metrics(lab.old.provider)
            return now.failed_requests > before.failed_requests and "503" in now.errors_by_code

        eventually(failed, "the failure is counted")


def test_the_proxys_own_litellm_says_whether_it_would_start(lab: Lab) -> None:
    before = seen(lab.proxy)
    with gateway(lab.proxy, python=str(litellm_python())) as client:
        assert client.preflight(lab.new.provider).ready
        lab.proxy.configure(lab.old.provider, routing_strategy="simple-shufle")
        examined = client.preflight(lab.new.provider)
    assert not examined.ready
    assert "Invalid routing_strategy: 'simple-shufle'" in str(examined.checks["load"].message)
    assert seen(lab.proxy) == before


def test_several_workers_share_their_counters(tmp_path: Path) -> None:
    """LiteLLM gives the workers that it starts one folder of counters, whichever of them answers a poll."""
    with closing(Proxy(tmp_path, "--num_workers", "2")) as workers:
        workers.start()
        for _ in range(ASKED):
            workers.ask().raise_for_status()
        with gateway(workers) as client:
            polls = [client.metrics(FIRST.provider).total_requests for _ in range(ASKED)]
            assert client.boot_id() is None
    assert polls == [ASKED] * ASKED


def test_database_mode_is_refused_with_the_reason(lab: Lab) -> None:
    text = lab.proxy.config.read_text(encoding="utf-8")
    lab.proxy.config.write_text(
        text.replace("general_settings:\n", "general_settings:\n  store_model_in_db: true\n"), encoding="utf-8"
    )
    with gateway(lab.proxy) as client:
        examined = client.test_connection(lab.new.provider)
    assert not examined.succeeded
    assert "is database mode" in examined.message


@pytest.fixture
def hiding(lab: Lab) -> Iterator[Lab]:
    """A proxy whose active provider fails, and whose fallback answers; the next test finds it without one."""
    restart_with(lab, lab.new.provider, fallbacks=[{GROUP: [lab.old.provider]}])
    lab.failing.status = 500
    yield lab
    restart_with(lab, lab.old.provider)


def restart_with(lab: Lab, alias: str, **router: Any) -> None:
    lab.proxy.stop()
    lab.proxy.configure(alias, **router)
    lab.proxy.start()


def test_a_request_that_a_fallback_has_answered_is_counted_as_one(hiding: Lab) -> None:
    with gateway(hiding.proxy) as client:
        assert (client.counts_fallbacks, client.fallbacks()) == (True, 0)
        for _ in range(3):
            hiding.proxy.ask().raise_for_status()
        eventually(lambda: client.fallbacks() == 3, "the proxy counts each of the three fallbacks once")
        hiding.failing.heal()
        hiding.proxy.ask().raise_for_status()
        assert client.fallbacks() == 3
