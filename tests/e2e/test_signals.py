"""Whole rollouts with signals: each breaches, nearly breaches, and lacks data (MON-5)."""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from rollout.journal.record import Kind
from tests.monitoring.conftest import insist
from tests.monitoring.servers import Exporter, PrometheusServer
from tests.support.liar import Reply, Visit, edited
from tests.support.runs import Lab, Run

LAST_READ_BEFORE_THE_WINDOW = "/admin/audit"
QUERY = 'sum(llm_requests_total{provider="{provider}"}) or vector(0)'
NO_STREAM = {
    "choices": [{"message": {"content": "pong"}}],
    "model": "gpt-4o",
    "provider": "openai",
    "usage": {"total_tokens": 3},
}
REFUSED = {"error": "rate_limit_exceeded", "retry_after_seconds": 0, "message": "too many"}


def charged(usd: float) -> Callable[[Any], Any]:
    """Let the gateway count so much for each request."""

    def edit(body: Any) -> Any:
        counters = body["metrics"]
        cost = {**counters["cost"], "total_usd": usd * counters["total_requests"]}
        return {**body, "metrics": {**counters, "cost": cost}}

    return edit


def openai_answers(status: int, body: Any) -> Callable[[Visit], Awaitable[None]]:
    """Replace openai's completions; those of the provider before are forwarded, so that the rollback is proven."""

    async def behaviour(visit: Visit) -> None:
        reply = await visit.forward()
        if b'"openai"' in reply.body:
            reply = Reply(status, json.dumps(body).encode())
        await visit.reply(reply)

    return behaviour


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """A gateway with users; the suite's own requests are many, and the triggers besides MON-5 are loose."""
    with Lab(tmp_path / "lab", users_per_s=30, alert_error_share=1) as one:
        one.scenario["monitor"] |= {"window": "8s", "synthetic_every": "300ms", "metrics_every": "300ms"}
        one.scenario["monitor"] |= {"error_rate": "60%", "p95": "20s"}
        one.target["timeouts"] |= {"chat": "5s"}
        yield one


def mon_5(ended: Run) -> dict[str, Any]:
    [verdict] = [entry.body for entry in ended.record_entries(Kind.VERDICT) if entry.body["clause"] == "MON-5"]
    return verdict


def late_first_token(lab: Lab) -> None:
    lab.faults({"provider": "openai", "since": "activation", "after_s": 2, "first_token_ms": 900, "calls": ["chat"]})


def in_window(lab: Lab, *rule: Any) -> None:
    """Set the liar's rule right before the window."""
    lab.once(LAST_READ_BEFORE_THE_WINDOW, lambda: lab.liar.rule(*rule))


CASES = {
    "first_token": ("600ms", late_first_token, "later than 600 ms (signal first_token)", "synthetic"),
    "rate_limited_share": (
        "5%",
        lambda lab: in_window(lab, "/chat", openai_answers(429, REFUSED)),
        "of the suite's own requests were refused with 429 (signal rate_limited_share)",
        "synthetic",
    ),
    "timeout_share": (
        "5%",
        lambda lab: in_window(lab, "/chat", openai_answers(504, {})),
        "of the suite's own requests timed out (signal timeout_share)",
        "synthetic",
    ),
    "cost_per_1k": (
        12.5,
        lambda lab: lab.liar.rule("/openai/metrics", edited(charged(0.02))),
        "the signal cost_per_1k is 20, 3 times in a row above 12.5",
        "metrics",
    ),
}


@pytest.mark.parametrize("signal", CASES)
def test_a_signal_above_its_limit_rolls_the_change_back(lab: Lab, signal: str) -> None:
    limit, fault, says, source = CASES[signal]
    lab.scenario["monitor"]["signals"] = {signal: limit}
    fault(lab)
    ended = lab.run()
    assert (ended.code, ended.word) == (10, "ROLLED BACK, verified"), ended.out
    assert says in ended.why
    assert (mon_5(ended)["source"], mon_5(ended)["decided"]) == (source, True)


def test_signals_near_their_limits_keep_the_change_and_are_shown(lab: Lab) -> None:
    lab.liar.rule("/metrics", edited(charged(0.01)))
    lab.scenario["monitor"]["signals"] = {
        "first_token": {"factor": "90x"},
        "rate_limited_share": "5%",
        "timeout_share": {"limit": "5%"},
        "cost_per_1k": {"factor": "1.2x"},
    }
    ended = lab.run()
    assert (ended.code, ended.word) == (0, "KEPT"), ended.out
    shown = mon_5(ended)["message"]
    for words in ("first_token 0.0 %", "rate_limited_share 0.0 %", "timeout_share 0.0 %", "cost_per_1k 10 of 12"):
        assert words in shown


def test_a_signal_without_data_is_no_pass(lab: Lab) -> None:
    lab.scenario["monitor"]["signals"] = {"first_token": "800ms"}
    lab.liar.rule("/chat", openai_answers(200, NO_STREAM))
    ended = lab.run()
    assert (ended.code, ended.word) == (10, "ROLLED BACK, verified"), ended.out
    assert "not seen once: signal first_token (no answer was a stream)" in mon_5(ended)["message"]


@pytest.fixture
def watched(lab: Lab, tmp_path: Path) -> Iterator[tuple[Lab, PrometheusServer]]:
    """The lab, whose gateway a Prometheus scrapes."""
    insist("prometheus")
    with PrometheusServer(tmp_path / "prometheus") as server:
        server.scrape(gateway=lab.sandbox.url.removeprefix("http://"))
        server.until('sum(llm_requests_total{provider="ollama"}) > 60')
        selector = 'llm_requests_total{provider="{provider}"}'
        errors = selector[:-1] + ',status="error"}'
        lab.target["sources"] = {
            "prometheus": {"url": server.url, "requests": selector, "errors": errors, "up": 'up{job="gateway"}'}
        }
        yield lab, server


@pytest.mark.parametrize(("limit", "code"), [(40, 10), (1_000_000, 0)])
def test_an_expression_of_promql_is_a_signal(watched: tuple[Lab, PrometheusServer], limit: int, code: int) -> None:
    lab, _ = watched
    lab.scenario["monitor"]["signals"] = {"promql": [{"name": "requests", "query": QUERY, "limit": limit}]}
    ended = lab.run()
    assert ended.code == code, ended.out
    if code:
        assert "the signal requests is " in ended.why
        assert mon_5(ended)["source"] == "signals"
    assert "signals (MON-5),True" in "".join(ended.result("PRE-2.5").attachments.values())


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("llm_requests_total", "the signal 'llm_requests_total' answers "),
        ('("text")', "refused (422: execution"),
        ("absent_metric", "answers no series"),
        ("sum(", ""),
    ],
)
def test_a_query_that_is_no_number_fails_before_the_change(
    watched: tuple[Lab, PrometheusServer], query: str, says: str
) -> None:
    lab, _ = watched
    lab.scenario["monitor"]["signals"] = {"promql": {"query": query, "limit": 1}}
    ended = lab.run()
    if not says:
        assert ended.code == 4
        return
    assert ended.code == 1, ended.out
    assert says in ended.failed["PRE-2.5"]


class Served(dict[str, float]):
    """Counters that grow with the time: of two models, one of which is seldom asked and fails in most answers."""

    RATES: ClassVar = {("small", "ok"): 300.0, ("large", "ok"): 6.0, ("large", "error"): 9.0}

    def __init__(self) -> None:
        super().__init__()
        self._began = time.monotonic()

    def items(self) -> Any:
        """Return the counters now."""
        took_s = time.monotonic() - self._began
        return [
            (f'req{{provider="{provider}",model="{model}",status="{status}"}}', int(took_s * rate))
            for provider in ("ollama", "openai")
            for (model, status), rate in self.RATES.items()
            if provider == "openai" or status == "ok"
        ]


@pytest.fixture
def sliced(lab: Lab, tmp_path: Path) -> Iterator[Lab]:
    """The lab, whose users' numbers Prometheus has by their model."""
    insist("prometheus")
    exporter = Exporter()
    exporter.lines = Served()
    with PrometheusServer(tmp_path / "prometheus") as server:
        server.scrape(gateway=exporter.address)
        server.until('sum(req{provider="openai"}) > 100')
        source = {"requests": 'req{provider="{provider}"}', "errors": 'req{provider="{provider}",status="error"}'}
        lab.target["sources"] = {"prometheus": {"url": server.url, **source, "up": 'up{job="gateway"}'}}
        lab.scenario["monitor"]["error_rate"] = "5%"
        yield lab
    exporter.close()


def mon_2(ended: Run) -> dict[str, Any]:
    [verdict] = [entry.body for entry in ended.record_entries(Kind.VERDICT) if entry.body["clause"] == "MON-2"]
    return verdict


@pytest.mark.parametrize(
    ("judge", "code", "says"),
    [
        (["small", "large"], 10, "error rate of model large "),
        (["small"], 0, "; worst model of 2: large, "),
        (["other"], 10, "; no request of model other was seen, and the scenario judges it"),
    ],
    ids=["breaches", "is shown", "lacks data"],
)
def test_a_slice_by_model(sliced: Lab, judge: list[str], code: int, says: str) -> None:
    sliced.scenario["monitor"]["slices"] = {"by": "model", "judge": judge}
    ended = sliced.run()
    assert ended.code == code, ended.out
    assert says in mon_2(ended)["message"]


def test_a_label_that_no_series_has_fails_before_the_change(sliced: Lab) -> None:
    sliced.scenario["monitor"]["slices"] = {"by": "region"}
    ended = sliced.run("-m", "precheck")
    assert ended.code == 1, ended.out
    assert "has the label region, by which monitor.slices divides" in ended.failed["PRE-2.5"]
