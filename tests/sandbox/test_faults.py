"""Each fault has its effect, from its beginning and for its duration."""

from __future__ import annotations

import threading
from typing import Any

import httpx
import pytest

from rollout.core.clock import SystemClock
from rollout.sandbox.fates import Batch, Drift
from rollout.sandbox.faults import Brownout, Effect, Fault, Faults
from rollout.sandbox.process import Running

from .conftest import FakeClock, Started, ask, client, eventually


def offline_at(faults: Faults, clock: FakeClock, *seconds: float) -> list[bool]:
    result = []
    for moment in seconds:
        clock.elapsed_s = moment
        result.append(faults.status("openai") == "offline")
    return result


def test_a_fault_begins_after_its_delay_and_ends_after_its_duration(fake_clock: FakeClock):
    faults = Faults([Fault("openai", after_s=5, for_s=2, status="offline")], fake_clock)
    assert offline_at(faults, fake_clock, 0, 4.9, 5, 6.9, 7) == [False, False, True, True, False]


def test_a_fault_since_activation_waits_for_one(fake_clock: FakeClock):
    """The last activation counts."""
    faults = Faults([Fault("openai", since="activation", after_s=5, status="offline")], fake_clock)
    assert offline_at(faults, fake_clock, 0, 100) == [False, False]
    faults.activated("google")
    assert offline_at(faults, fake_clock, 110) == [False]
    faults.activated("openai")
    assert offline_at(faults, fake_clock, 114, 115) == [False, True]
    faults.activated("openai")
    assert offline_at(faults, fake_clock, 119, 120) == [False, True]


def test_an_activation_before_the_fault_was_set_does_not_count(fake_clock: FakeClock):
    """So that the next rollout can use the same sandbox."""
    faults = Faults([], fake_clock)
    faults.activated("openai")
    faults.replace([Fault("openai", since="activation", status="offline")])
    assert offline_at(faults, fake_clock, 0, 1) == [False, False]


def test_faults_set_again_count_from_now(fake_clock: FakeClock):
    fault = Fault("openai", after_s=5, status="offline")
    faults = Faults([fault], fake_clock)
    fake_clock.elapsed_s = 4
    faults.replace([fault])
    assert offline_at(faults, fake_clock, 8.9, 9) == [False, True]


def test_faults_add_up_and_the_worst_status_wins(fake_clock: FakeClock):
    faults = Faults(
        [
            Fault("openai", latency_ms=100, error_share=0.1, status="offline"),
            Fault("*", latency_ms=50, error_share=0.5, status="degraded"),
            Fault("openai", hang=True, calls=("alerts",)),
            Fault("google", latency_ms=7),
        ],
        fake_clock,
    )
    assert faults.effect("openai", "chat") == Effect(latency_ms=150, error_share=0.5)
    assert faults.effect("openai", "alerts").hang
    assert faults.status("openai") == "offline"
    assert faults.status("vllm") == "degraded"


def test_a_brownout_acts_in_the_last_seconds_of_each_period(fake_clock: FakeClock):
    fault = Fault("openai", after_s=5, error_share=0.02, brownout=Brownout(every_s=100, lasts_s=15, error_share=0.25))
    faults = Faults([fault], fake_clock)
    shares = {}
    for moment in (0, 5, 89.9, 90, 104.9, 105, 189, 190):
        fake_clock.elapsed_s = moment
        shares[moment] = faults.effect("openai", "chat").error_share
    assert shares == {0: 0, 5: 0.02, 89.9: 0.02, 90: 0.25, 104.9: 0.25, 105: 0.02, 189: 0.02, 190: 0.25}


def test_a_drift_begins_with_its_fault_and_several_multiply(fake_clock: FakeClock):
    faults = Faults([Fault("*", drift=0.25), Fault("openai", after_s=90, drift=0.5)], fake_clock, seed=7)
    first, second = Drift("7/0/drift", 0.25), Drift("7/1/drift", 0.5)
    for moment, factor in (
        (59, first.factor(0)),
        (61, first.factor(61)),
        (100, first.factor(100) * second.factor(10)),
        (160, first.factor(160) * second.factor(70)),
    ):
        fake_clock.elapsed_s = moment
        assert faults.effect("openai", "chat").drift == factor


def test_the_fault_with_the_greatest_share_says_how_calls_fail(fake_clock: FakeClock):
    one = Fault("openai", error_share=0.1, error_status=429, batch=Batch(of=20), retries=3)
    other = Fault("openai", error_share=0.05, error_status=504, retries=1)
    for faults in ([one, other], [other, one]):
        effect = Faults(faults, fake_clock).effect("openai", "chat")
        assert effect == Effect(error_share=0.1, error_status=429, batch=Batch(of=20), retries=3)


def test_the_same_seed_lets_the_same_calls_fail_whatever_other_providers_do(fake_clock: FakeClock):
    def failing(seed: int, *, others: int) -> list[bool]:
        faults = Faults([Fault("*", error_share=0.3)], fake_clock, seed=seed)
        fates = []
        for _ in range(60):
            for _ in range(others):
                faults.is_next_failing("google", "chat", faults.effect("google", "chat"))
            fates.append(faults.is_next_failing("openai", "chat", faults.effect("openai", "chat")))
        return fates

    assert failing(7, others=0) == failing(7, others=2)
    assert failing(7, others=0) != failing(8, others=0)
    assert sum(failing(7, others=0)) == 18


def test_the_calls_of_a_fault_in_batches_fail_in_a_row(fake_clock: FakeClock):
    faults = Faults([Fault("openai", error_share=0.5, batch=Batch(of=5))], fake_clock, seed=7)
    effect = faults.effect("openai", "chat")
    fates = [faults.is_next_failing("openai", "chat", effect) for _ in range(100)]
    assert {sum(fates[at : at + 5]) for at in range(0, 100, 5)} == {0, 5}


def test_faults_set_again_begin_their_sequence_again(fake_clock: FakeClock):
    fault = Fault("openai", error_share=0.3)
    faults = Faults([fault], fake_clock, seed=7)

    def sequence() -> list[bool]:
        return [faults.is_next_failing("openai", "chat", faults.effect("openai", "chat")) for _ in range(30)]

    first, after = sequence(), sequence()
    assert first != after
    faults.replace([fault])
    assert sequence() == first


def set_faults(http: httpx.Client, *faults: dict[str, Any]) -> None:
    answer = http.put("/sandbox/faults", json=list(faults))
    assert answer.status_code == 200, answer.text


def test_a_fault_acts_only_while_its_configuration_is_in_effect(api: httpx.Client, fake_clock: FakeClock):
    """So that a bad value of the `.env` file has an effect, and restoring it ends the effect."""
    config = {"MAX_CONTEXT_TOKENS": "4000"}
    bad = {"MAX_CONTEXT_TOKENS": "8000", "AI_MODE": "LOCAL"}
    faults = Faults([Fault("openai", status="offline", when=bad)], fake_clock, config)
    assert offline_at(faults, fake_clock, 0) == [False]
    config["MAX_CONTEXT_TOKENS"] = "8000"
    assert offline_at(faults, fake_clock, 1) == [False]
    config["AI_MODE"] = "LOCAL"
    assert offline_at(faults, fake_clock, 2) == [True]
    set_faults(api, {"provider": "vllm", "status": "offline", "when": {"ACTIVE_PROVIDER": "openai"}})
    status = "/api/v1/providers/vllm/status"
    assert api.get(status).json()["connection_status"]["status"] == "connected"
    api.post("/api/v1/providers/openai/activate")
    assert api.get(status).json()["connection_status"]["status"] == "offline"


def test_latency_is_added_to_completions_only(api: httpx.Client):
    set_faults(api, {"provider": "ollama", "latency_ms": 300})
    assert ask(api).elapsed.total_seconds() >= 0.3
    assert api.get("/api/v1/providers/ollama/status").elapsed.total_seconds() < 0.3


def test_errors_are_502_and_counted(api: httpx.Client):
    before = api.get("/api/v1/providers/ollama/metrics").json()["metrics"]
    set_faults(api, {"provider": "ollama", "error_share": 1})
    answer = ask(api)
    assert (answer.status_code, answer.json()) == (502, {"detail": "Provider ollama failed: upstream error"})
    after = api.get("/api/v1/providers/ollama/metrics").json()["metrics"]
    assert after["failed_requests"] == before["failed_requests"] + 1
    assert after["total_requests"] == before["total_requests"] + 1


@pytest.mark.parametrize(
    ("status", "reason", "code"),
    [(429, "rate limit exceeded", "http_429"), (503, "overloaded", "http_503"), (504, "upstream timed out", "timeout")],
)
def test_errors_have_the_stated_status_and_every_try_is_counted(api: httpx.Client, status: int, reason: str, code: str):
    before = api.get("/api/v1/providers/ollama/metrics").json()["metrics"]
    set_faults(api, {"provider": "ollama", "error_share": 1, "error_status": status, "retries": 3})
    answer = ask(api)
    assert (answer.status_code, answer.json()) == (status, {"detail": f"Provider ollama failed: {reason}"})
    after = api.get("/api/v1/providers/ollama/metrics").json()["metrics"]
    assert after["total_requests"] == before["total_requests"] + 4
    assert after["errors"]["by_code"][code] == before["errors"]["by_code"].get(code, 0) + 4


def test_a_heavy_tail_replaces_the_usual_latency_and_a_drift_multiplies_it(api: httpx.Client):
    """A completion takes 48 ms at least; three quarters of the draws, scaled by 0.01, are below 25 ms."""
    set_faults(api, {"provider": "ollama", "heavy_tail": 0.01})
    assert min(ask(api).elapsed.total_seconds() for _ in range(10)) < 0.04
    factor = Drift("7/0/drift", 2).factor(0)
    assert 0.048 * factor > 0.08, "the default seed's first factor shows"
    set_faults(api, {"provider": "ollama", "drift": 2})
    assert min(ask(api).elapsed.total_seconds() for _ in range(3)) >= 0.048 * factor


def test_offline_concerns_every_call_on_the_provider(api: httpx.Client):
    set_faults(api, {"provider": "ollama", "status": "offline"})
    base = "/api/v1/providers/ollama"
    assert api.get(f"{base}/status").json()["connection_status"]["status"] == "offline"
    assert api.post(f"{base}/test-connection").json()["status"] == "failure"
    assert api.post(f"{base}/preflight").json()["ready_for_activation"] is False
    assert api.post(f"{base}/activate").status_code == 503
    listed = {
        item["name"]: item["connection_status"]["status"] for item in api.get("/api/v1/providers").json()["providers"]
    }
    assert (listed["ollama"], listed["openai"]) == ("offline", "connected")
    answer = ask(api)
    assert (answer.status_code, answer.json()["detail"]) == (
        503,
        "Provider ollama is offline: Unable to connect to Ollama server",
    )


def test_a_degraded_provider_still_answers_but_is_not_ready(api: httpx.Client):
    set_faults(api, {"provider": "ollama", "status": "degraded"})
    assert api.post("/api/v1/providers/ollama/test-connection").json()["connection_status"] == "degraded"
    assert api.post("/api/v1/providers/ollama/preflight").json()["overall_status"] == "not_ready"
    assert ask(api).status_code == 200


def test_an_empty_answer_is_counted_as_a_success(api: httpx.Client):
    """As real ones are (deviation 10)."""
    before = api.get("/api/v1/providers/ollama/metrics").json()["metrics"]
    set_faults(api, {"provider": "ollama", "answer": "empty"})
    answer = ask(api)
    assert (answer.status_code, answer.json()["choices"][0]["message"]["content"]) == (200, "")
    after = api.get("/api/v1/providers/ollama/metrics").json()["metrics"]
    assert after["successful_requests"] == before["successful_requests"] + 1


def test_a_garbage_answer_is_a_200_that_cannot_be_parsed(api: httpx.Client):
    set_faults(api, {"provider": "ollama", "answer": "garbage"})
    answer = ask(api)
    assert answer.status_code == 200
    with pytest.raises(ValueError, match="line 1"):
        answer.json()


CALLS = [
    ("providers", "GET", "/api/v1/providers"),
    ("status", "GET", "/api/v1/providers/ollama/status"),
    ("metrics", "GET", "/api/v1/providers/ollama/metrics"),
    ("test_connection", "POST", "/api/v1/providers/ollama/test-connection"),
    ("preflight", "POST", "/api/v1/providers/ollama/preflight"),
    ("activate", "POST", "/api/v1/providers/ollama/activate"),
    ("alerts", "GET", "/api/v1/alerts"),
    ("config", "GET", "/api/v1/config/runtime"),
    ("governance", "GET", "/api/v1/governance/status"),
    ("audit", "GET", "/api/v1/admin/audit"),
    ("health", "GET", "/health"),
    ("system", "GET", "/api/v1/system/status"),
]


@pytest.mark.parametrize(("call", "method", "path"), CALLS, ids=[call for call, *_ in CALLS])
def test_every_call_can_fail_or_answer_nothing(api: httpx.Client, call: str, method: str, path: str):
    """A call that names no provider has the faults of the active one, ollama here."""
    set_faults(api, {"provider": "ollama", "error_share": 1, "calls": [call]})
    assert api.request(method, path).status_code == 502
    set_faults(api, {"provider": "ollama", "answer": "empty", "calls": [call]})
    assert (api.request(method, path).status_code, api.request(method, path).content) == (200, b"")
    set_faults(api, {"provider": "openai", "error_share": 1, "calls": [call]})
    assert api.request(method, path).status_code == 200


def test_a_hanging_call_is_not_answered_and_does_not_hold_up_others(api: httpx.Client, shared: Running):
    """Removing the fault lets the call continue."""
    set_faults(api, {"provider": "ollama", "hang": True})
    answers: list[int] = []
    with client(shared) as other:
        waiting = threading.Thread(target=lambda: answers.append(ask(other).status_code))
        waiting.start()
        with pytest.raises(httpx.ReadTimeout):
            api.post("/api/v1/chat/completions", json={"messages": [{"content": "hi"}]}, timeout=0.4)
        assert api.get("/api/v1/providers").elapsed.total_seconds() < 0.3
        assert answers == []
        api.delete("/sandbox/faults")
        waiting.join(timeout=5)
    assert answers == [200]


def test_a_slow_activation_takes_effect_although_its_caller_gave_up(api: httpx.Client):
    """The old request may take effect after the rollback."""
    set_faults(api, {"provider": "openai", "latency_ms": 600, "calls": ["activate"]})
    with pytest.raises(httpx.ReadTimeout):
        api.post("/api/v1/providers/openai/activate", json={"model": "gpt-4.1"}, timeout=0.2)
    listed = api.get("/api/v1/providers").json()
    assert listed["active_provider"] == "ollama"
    eventually(lambda: api.get("/api/v1/providers").json()["active_provider"] == "openai")
    assert api.get("/api/v1/config/runtime").json()["config"]["LLM_MODEL_NAME"] == "gpt-4.1"


def test_a_fault_since_activation_acts_after_the_change_and_not_on_the_rollback(api: httpx.Client):
    set_faults(api, {"provider": "openai", "since": "activation", "after_s": 0.3, "status": "offline"})
    status = "/api/v1/providers/openai/status"

    def connection() -> str:
        return api.get(status).json()["connection_status"]["status"]

    assert connection() == "connected"
    assert api.post("/api/v1/providers/openai/activate").status_code == 200
    assert connection() == "connected"
    begun = SystemClock().monotonic()
    eventually(lambda: connection() == "offline")
    assert SystemClock().monotonic() - begun < 2
    assert api.post("/api/v1/providers/ollama/activate").status_code == 200
    assert ask(api).status_code == 200


def test_activating_the_active_provider_once_more_is_no_change_from_another(api: httpx.Client):
    """APP-0.2 does that before the change; it must not start a fault that waits for the change."""
    set_faults(api, {"provider": "ollama", "since": "activation", "status": "offline"})
    assert api.post("/api/v1/providers/ollama/activate", json={"model": "gemma3:4b"}).status_code == 200
    assert api.get("/api/v1/providers/ollama/status").json()["connection_status"]["status"] == "connected"


@pytest.mark.parametrize("body", [b"{}", b"nonsense", b'[{"provider": "nosuch", "hang": true}]', b'["x"]'])
def test_invalid_faults_are_refused_and_the_old_ones_stay(api: httpx.Client, body: bytes):
    set_faults(api, {"provider": "openai", "latency_ms": 5})
    answer = api.put("/sandbox/faults", content=body)
    assert (answer.status_code, isinstance(answer.json()["detail"], str)) == (422, True)
    assert [fault["latency_ms"] for fault in api.get("/sandbox/faults").json()] == [5]


def test_faults_read_from_the_interface_can_be_set_again(api: httpx.Client):
    batch, brownout = {"of": 20, "share": 0.3}, {"every_s": 600, "lasts_s": 15, "error_share": 0.25}
    set_faults(
        api,
        {"provider": "openai", "latency_ms": 5, "for_s": 3, "calls": ["chat", "alerts"]},
        {"provider": "openai", "model": "gpt-4o", "error_share": 0.02, "batch": batch, "brownout": brownout},
    )
    listed = api.get("/sandbox/faults").json()
    assert api.put("/sandbox/faults", json=listed).json() == listed


def test_faults_from_the_settings_are_in_effect_from_the_start(launch: Started):
    from rollout.sandbox.settings import SandboxSettings

    settings = SandboxSettings(users_per_s=0, faults=(Fault("ollama", error_share=1),))
    with client(launch(settings=settings)) as http:
        assert ask(http).status_code == 502
        assert http.get("/twin/sandbox/faults").json() == []
