"""A completion is answered at once or as a stream of OpenAI's chunks, and the suite's client reads both."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from rollout.core.clock import SystemClock
from rollout.core.errors import GatewayError
from rollout.core.redaction import Redactor
from rollout.core.target import OtherCall, Target, Timeouts
from rollout.gateway.client import Gateway
from rollout.sandbox.process import Running

from .conftest import client

CHAT = "/api/v1/chat/completions"


@pytest.fixture
def suite(shared: Running) -> Iterator[Gateway]:
    """The suite's client of the shared sandbox."""
    target = Target("embedded", "sandbox", timeouts=Timeouts(2, 2, 2))
    gateway = Gateway(target, url=shared.url, clock=SystemClock(), redactor=Redactor())
    yield gateway
    gateway.close()


def stream(http: httpx.Client, prompt: str = "two words") -> httpx.Response:
    return http.post(CHAT, json={"messages": [{"role": "user", "content": prompt}], "stream": True})


def chunks(answer: httpx.Response) -> list[Any]:
    """Return the data of each event, the last one as text."""
    events = answer.text.removesuffix("\n\n").split("\n\n")
    data = [event.removeprefix("data: ") for event in events]
    return [*map(json.loads, data[:-1]), data[-1]]


def counted(http: httpx.Client) -> dict[str, Any]:
    return http.get("/api/v1/providers/ollama/metrics").json()["metrics"]


def set_faults(http: httpx.Client, *faults: dict[str, Any]) -> None:
    answer = http.put("/sandbox/faults", json=list(faults))
    assert answer.status_code == 200, answer.text


def test_a_stream_is_openais_chunks_and_counted_once(api: httpx.Client):
    before, answer = counted(api), stream(api)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    *parts, done = chunks(answer)
    assert done == "[DONE]"
    assert {(part["object"], part["model"], part["provider"]) for part in parts} == {
        ("chat.completion.chunk", "gemma3:4b", "ollama")
    }
    assert len({part["id"] for part in parts}) == 1
    deltas = [part["choices"][0]["delta"] for part in parts]
    assert deltas[0] == {"role": "assistant", "content": ""}
    assert [delta["content"] for delta in deltas[1:-1]] == ["gemma3:4b", " read:", " two", " words"]
    assert [part["choices"][0]["finish_reason"] for part in parts] == [None] * 5 + ["stop"]
    after = counted(api)
    assert after["successful_requests"] == before["successful_requests"] + 1
    assert after["cost"]["total_tokens"] - before["cost"]["total_tokens"] == 8 + 2 + 8 + 4


@pytest.mark.parametrize("value", ["yes", 1, {}])
def test_a_request_for_a_stream_that_is_no_boolean_is_malformed(api: httpx.Client, value: object):
    answer = api.post(CHAT, json={"messages": [{"content": "hi"}], "stream": value})
    assert answer.status_code == (422 if value else 200)


def test_the_suite_measures_the_first_token_which_a_fault_delays_in_streams_alone(api: httpx.Client, suite: Gateway):
    """Half of an answer's 60 ms come before the first token; the fault adds 200 ms before it and 50 ms between."""
    calm = suite.stream_chat("two words")
    assert (calm.content, calm.provider, calm.model) == ("gemma3:4b read: two words", "ollama", "gemma3:4b")
    assert calm.first_token_ms is not None
    assert 20 <= calm.first_token_ms <= calm.elapsed_ms - 15
    set_faults(api, {"provider": "ollama", "first_token_ms": 200, "between_tokens_ms": 50})
    slow = suite.stream_chat("two words")
    assert slow.first_token_ms is not None
    assert slow.first_token_ms >= 220
    assert slow.elapsed_ms - slow.first_token_ms >= 3 * 50 + 15
    at_once = suite.chat("two words")
    assert (at_once.first_token_ms, at_once.elapsed_ms < 200) == (None, True)


def test_the_suite_measures_the_first_token_of_the_recorded_gateways_stream(api: httpx.Client, shared: Running):
    other = OtherCall("/api/v1/llm/simple/stream", {"content": "{prompt}"})
    target = Target("recorded", "sandbox", timeouts=Timeouts(2, 2, 2), chat_with=other)
    gateway = Gateway(target, url=shared.url, clock=SystemClock(), redactor=Redactor())
    api.put("/sandbox/deviations", json=["stream_chat"])
    set_faults(api, {"provider": "ollama", "first_token_ms": 150})
    try:
        slow = gateway.stream_chat("ping")
    finally:
        api.put("/sandbox/deviations", json=[])
        gateway.close()
    assert (slow.content, (slow.first_token_ms or 0) >= 170) == ("pong ", True)


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ({"error_share": 1}, "the gateway failed (502: Provider ollama failed: upstream error)"),
        ({"status": "offline"}, "the gateway failed (503: Provider ollama is offline"),
        ({"answer": "garbage"}, "the answer's JSON is cut off (event message of text/event-stream"),
        ({"first_token_ms": 5000}, "no complete answer within 2 s (deadline for completions"),
    ],
)
def test_a_stream_that_fails_is_a_failed_request(api: httpx.Client, suite: Gateway, fault: dict[str, Any], says: str):
    set_faults(api, {"provider": "ollama", **fault})
    with pytest.raises(GatewayError) as caught:
        suite.stream_chat("two words")
    assert says in str(caught.value)


def test_an_empty_stream_is_an_empty_completion(api: httpx.Client, suite: Gateway):
    """The check judges it (deviation 10)."""
    set_faults(api, {"provider": "ollama", "answer": "empty"})
    empty = suite.stream_chat("two words")
    assert (empty.content, empty.first_token_ms) == ("", None)


def test_a_fault_of_one_model_leaves_the_other_models_alone(api: httpx.Client, shared: Running):
    set_faults(api, {"provider": "ollama", "model": "qwen2.5:7b", "error_share": 1})
    assert stream(api).status_code == 200
    api.post("/api/v1/providers/ollama/activate", json={"model": "qwen2.5:7b"})
    assert stream(api).status_code == 502
    with client(shared) as http:
        lines = http.get("/metrics").text.splitlines()
    assert 'llm_failures_total{provider="ollama",model="qwen2.5:7b",code="502"} 1' in lines
