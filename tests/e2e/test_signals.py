"""Whole rollouts with signals of the gateway's own numbers: each breaches, nearly breaches, and lacks data (MON-5).

The signals of Prometheus and what divides or compares users' requests are in `test_prometheus_signals`.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from rollout.journal.record import Kind
from tests.support.liar import Behaviour, Reply, Visit, edited
from tests.support.runs import Lab, Run

LAST_READ_BEFORE_THE_WINDOW = "/admin/audit"
METRICS = "/providers/openai/metrics"
REFUSED = {"error": "rate_limit_exceeded", "retry_after_seconds": 0, "message": "too many"}
OTHERWISE = {"choices": [{"message": {"content": "nope"}}], "model": "gpt-4o", "provider": "openai"}
BY_ANOTHER = {"choices": [{"message": {"content": "pong"}}], "model": "gemma3:4b", "provider": "ollama"}
PACES = {"window": "8s", "synthetic_every": "150ms", "metrics_every": "300ms"}


def charged(usd: float) -> Callable[[Any], Any]:
    """Let the gateway count so much for each request."""

    def edit(body: Any) -> Any:
        counters = body["metrics"]
        cost = {**counters["cost"], "total_usd": usd * counters["total_requests"]}
        return {**body, "metrics": {**counters, "cost": cost}}

    return edit


def coded(share: float, *codes: str) -> Callable[[Any], Any]:
    """Let the gateway count that share of the requests by each of the codes."""

    def edit(body: Any) -> Any:
        counters = body["metrics"]
        count = int(share * counters["total_requests"])
        errors = {**counters["errors"], "by_code": dict.fromkeys(codes, count)}
        return {**body, "metrics": {**counters, "errors": errors}}

    return edit


def openai_answers(status: int, body: Any) -> Behaviour:
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
        one.scenario["monitor"] |= {**PACES, "error_rate": "60%", "p95": "20s"}
        one.target["timeouts"] |= {"chat": "5s"}
        yield one


def verdict(ended: Run, clause: str) -> dict[str, Any]:
    """Return the journal's verdict of a window."""
    [found] = [entry.body for entry in ended.record_entries(Kind.VERDICT) if entry.body["clause"] == clause]
    return found


def late_first_token(lab: Lab) -> None:
    lab.faults({"provider": "openai", "since": "activation", "after_s": 2, "first_token_ms": 900, "calls": ["chat"]})


def in_window(lab: Lab, *rules: tuple[str, Behaviour]) -> None:
    """Set the liar's rules right before the window."""
    lab.once(LAST_READ_BEFORE_THE_WINDOW, lambda: [lab.liar.rule(*rule) for rule in rules])


def signal(name: str, limit: Any) -> dict[str, Any]:
    return {"signals": {name: limit}}


CASES: Mapping[str, tuple[dict[str, Any], Callable[[Lab], object], str, str]] = {
    "first_token": (
        signal("first_token", "600ms"),
        late_first_token,
        "later than 600 ms (signal first_token)",
        "synthetic",
    ),
    "rate_limited_share": (
        signal("rate_limited_share", "5%"),
        lambda lab: in_window(lab, ("/chat", openai_answers(429, REFUSED))),
        "of the suite's own requests were refused with 429 (signal rate_limited_share)",
        "synthetic",
    ),
    "rate_limited_share of users": (
        signal("rate_limited_share", "5%"),
        lambda lab: lab.liar.rule(METRICS, edited(coded(0.4, "http_429"))),
        "of users' requests were refused with 429 (signal rate_limited_share)",
        "metrics",
    ),
    "timeout_share": (
        signal("timeout_share", "5%"),
        lambda lab: in_window(lab, ("/chat", openai_answers(504, {}))),
        "of the suite's own requests timed out (signal timeout_share)",
        "synthetic",
    ),
    "cost_per_1k": (
        signal("cost_per_1k", 12.5),
        lambda lab: lab.liar.rule("/openai/metrics", edited(charged(0.02))),
        "the signal cost_per_1k is 20 US dollars for 1,000 requests, 3 times in a row above 12.5",
        "metrics",
    ),
    "unexpected_share": (
        {"unexpected_share": "5%", "expect": "pong"},
        lambda lab: in_window(lab, ("/chat", openai_answers(200, OTHERWISE))),
        "of the answers to the suite's own requests break an expectation",
        "synthetic",
    ),
    "fallback_share, of the suite's own requests": (
        {"fallback_share": "5%"},
        lambda lab: in_window(lab, ("/chat", openai_answers(200, BY_ANOTHER))),
        "of the suite's own requests were answered by another provider or model",
        "synthetic",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_signal_above_its_limit_rolls_the_change_back(lab: Lab, case: str) -> None:
    monitor, fault, says, source = CASES[case]
    lab.scenario["monitor"] |= monitor
    lab.target["fallbacks_are_normal"] = True
    fault(lab)
    before = lab.state()
    ended = lab.run()
    assert (ended.code, ended.word) == (10, "ROLLED BACK, verified"), ended.out
    assert says in ended.why
    found = verdict(ended, "MON-5")
    assert (found["state"], found["source"], found["decided"]) == ("breached", source, True)
    assert lab.state() == before


# Nearly: of twelve prompts in turn one fares so; each limit is one in eight

NEARLY = "12.5%"
NEARLY_OF_ALL = 0.095
"""As a share of users' requests this is more: the counters have the suite's own requests too."""
PROMPTS = (*"abcdefgh", "refused", "late", "odd", "other")


class Fates:
    """Openai's answers by their prompt. One answer alone begins late: of 20 or more, that is at most 5 %."""

    def __init__(self) -> None:
        self.is_slow = True

    async def __call__(self, visit: Visit) -> None:
        """Answer as the prompt says; the provider before is left alone."""
        reply, asked = await visit.forward(), visit.request.body
        if b'"openai"' in reply.body:
            if b'"refused"' in asked:
                reply = Reply(429, b'{"error": "the provider has too many requests"}')
            elif b'"late"' in asked:
                reply = Reply(504, b"{}")
            elif b'"odd"' in asked:
                reply = Reply(200, reply.body.replace(b"read", b"nope"), reply.content_type)
            elif b'"other"' in asked:
                reply = Reply(200, reply.body.replace(b'"openai"', b'"ollama"'), reply.content_type)
            elif b'"e"' in asked and self.is_slow:
                self.is_slow = False
                await asyncio.sleep(1.5)
        await visit.reply(reply)


def fallbacks(lab: Lab, share: float) -> Callable[[Any], Any]:
    """Let the gateway list that share of openai's requests as fallbacks."""

    def edit(body: Any) -> Any:
        counted = lab.direct.get("/api/v1/providers/openai/metrics").json()["metrics"]["total_requests"]
        return {**body, "recent_fallbacks": [{"id": number} for number in range(int(share * counted))]}

    return edit


NEAR = (
    r"; fallbacks ([\d.]+) % \(\d+ of \d+ requests of users\), limit ([\d.]+) %",
    r"; answers that break an expectation ([\d.]+) % \(\d+ of \d+ of the suite's own\), limit ([\d.]+) %",
    r"; answers by another provider or model ([\d.]+) % \(\d+ of \d+ of the suite's own\), limit ([\d.]+) %",
    r"first_token P95 \d+ ms, limit 1200 ms: later ([\d.]+) % \(1 of \d+ of the suite's own answers, limit ([\d.]+) %",
    r"rate_limited_share ([\d.]+) % \(\d+ of \d+ of users' requests, limit ([\d.]+) %",
    r"rate_limited_share .* and ([\d.]+) % \(\d+ of \d+ of the suite's own requests, limit ([\d.]+) %\), timeout",
    r"timeout_share ([\d.]+) % \(\d+ of \d+ of users' requests, limit ([\d.]+) %",
    r"timeout_share .* and ([\d.]+) % \(\d+ of \d+ of the suite's own requests, limit ([\d.]+) %\), cost",
    r"cost_per_1k ([\d.]+) US dollars for 1,000 requests \(limit ([\d.]+)\)",
)


def test_all_signals_near_their_limits_keep_the_change_and_are_shown(lab: Lab) -> None:
    """Each reading is at most its limit, and more than a third of it; the verdict says both, with their unit."""
    lab.target["fallbacks_are_normal"] = True
    lab.scenario["monitor"] |= {
        "probes": [{"prompt": prompt, "expect": "read"} for prompt in PROMPTS],
        "unexpected_share": NEARLY,
        "fallback_share": NEARLY,
        "baseline_requests": 12,
        "signals": {
            "first_token": "1200ms",
            "rate_limited_share": NEARLY,
            "timeout_share": {"limit": NEARLY},
            "cost_per_1k": {"factor": "1.1x"},
        },
    }
    lab.liar.rule("/metrics", edited(charged(0.01)))
    lab.liar.rule(METRICS, edited(lambda body: coded(NEARLY_OF_ALL, "http_429", "timeout")(charged(0.01)(body))))
    in_window(lab, ("/chat", Fates()), ("/governance/status", edited(fallbacks(lab, NEARLY_OF_ALL))))
    ended = lab.run()
    assert (ended.code, ended.word) == (0, "KEPT"), ended.out
    assert lab.state().active == "openai:gpt-4o"
    found = verdict(ended, "MON-5")
    assert found["state"] == "holding"
    for pattern in NEAR:
        shown = re.search(pattern, found["message"])
        assert shown, f"no {pattern} in: {found['message']}"
        value, limit = map(float, shown.groups())
        assert limit / 3 < value <= limit, shown[0]


# Without data


def test_answers_that_do_not_come_are_no_pass_of_what_is_seen_in_them(lab: Lab) -> None:
    """Users are served, so that the suite's own failures breach nothing."""
    lab.scenario["monitor"] |= {"window": "4s", "unexpected_share": "5%", "signals": {"first_token": "800ms"}}
    in_window(lab, ("/chat", openai_answers(503, {})))
    before = lab.state()
    ended = lab.run()
    assert (ended.code, ended.word) == (10, "ROLLED BACK, verified"), ended.out
    found = verdict(ended, "MON-5")
    assert (found["state"], found["decided"]) == ("inconclusive", False)
    lacking = "synthetic, signal first_token (no answer was a stream), unexpected_share (no answer was seen)"
    assert found["message"].startswith(f"nothing unexpected, but not seen once: {lacking}")
    assert lab.state() == before


def test_requests_that_do_not_come_are_no_pass_of_their_shares(lab: Lab) -> None:
    """The counters stand still from the change on, and the suite sends no request of its own."""
    lab.scenario["monitor"] |= {"window": "4s", "probes": "off"}
    lab.scenario["monitor"]["signals"] = {"rate_limited_share": "5%", "timeout_share": "5%", "cost_per_1k": 12}
    still = {"metrics": lab.direct.get("/api/v1/providers/openai/metrics").json()["metrics"]}
    lab.liar.rule(METRICS, edited(lambda body: {**body, **still}))
    before = lab.state()
    ended = lab.run()
    assert (ended.code, ended.word) == (10, "ROLLED BACK, verified"), ended.out
    found = verdict(ended, "MON-5")
    assert (found["state"], found["decided"]) == ("inconclusive", False)
    for words in (
        "signal rate_limited_share (no request was seen)",
        "signal timeout_share (no request was seen)",
        "signal cost_per_1k (fewer than 5 requests with a cost were counted)",
    ):
        assert words in found["message"]
    assert verdict(ended, "MON-2")["state"] == "no data"
    assert lab.state() == before
