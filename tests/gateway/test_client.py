"""The client against a gateway with every known misbehaviour."""

import base64
import threading
import time
from dataclasses import replace

import pytest

from rollout.core.clock import StopFlag, SystemClock
from rollout.core.errors import GatewayError, Interrupted, Refused, WriteNotAllowed
from rollout.core.redaction import REDACTED, Redactor
from rollout.core.target import OtherCall, Target, Timeouts
from rollout.core.wishes import Activate
from rollout.gateway.client import Gateway
from tests.gateway.conftest import API, CALLS, METRICS, READS, activate, bring_about
from tests.support import liar as lies

TOKEN = "s3cr3t-t0ken-value"
EVERY_CALL = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
PROVIDERS = f"{API}/providers"


class FakeClock(SystemClock):
    """The machine's clock, except that waiting is only noted."""

    def __init__(self):
        self.waited = []
        self._skipped = 0.0

    def monotonic(self):
        """Return the machine's seconds and those of `wait`."""
        return super().monotonic() + self._skipped

    def wait(self, seconds, stop=None):
        """Advance by the seconds, without waiting."""
        self.waited.append(seconds)
        self._skipped += seconds
        return not stop


def failure(call, gateway, error=GatewayError):
    with pytest.raises(error) as caught:
        call(gateway)
    assert type(caught.value) in {GatewayError, Refused} or error is Interrupted or caught.type.__name__ == "Unreached"
    assert "\n" not in str(caught.value)
    return caught.value


# What is documented


@EVERY_CALL
def test_every_documented_call_is_answered(gateway, call):
    call(gateway)


def test_answers_arrive_typed(gateway):
    assert gateway.providers().active_provider == "openai"
    assert gateway.status("openai").status == "connected"
    assert gateway.test_connection("openai").succeeded
    assert gateway.preflight("openai").ready
    assert gateway.metrics("openai").error_rate == pytest.approx(0.07)
    assert gateway.governance().recent_fallbacks == ({"from": "openai"},)
    assert gateway.runtime_config().config["LLM_MODEL_NAME"] == "gpt-4o"
    assert gateway.boot_id() == "boot-1"
    assert gateway.health() is None


def test_a_completion_names_provider_model_and_duration(gateway, liar):
    completion = gateway.chat("ping", max_tokens=5)
    assert (completion.content, completion.model, completion.provider) == ("pong", "gpt-4o-2026-08-06", "openai")
    assert completion.elapsed_ms > 0
    assert liar.requests[-1].json == {"messages": [{"role": "user", "content": "ping"}], "max_tokens": 5}


def test_an_activation_sends_provider_and_model(gateway, stub):
    activate(gateway)
    assert stub.active == ("openai", "gpt-4o")


def test_alerts_are_filtered_by_severity_even_if_the_gateway_sends_more(gateway, liar):
    assert [alert.severity for alert in gateway.alerts()] == ["critical", "info"]
    assert [alert.severity for alert in gateway.alerts("critical")] == ["critical"]
    assert [request.path for request in liar.requests] == [f"{API}/alerts", f"{API}/alerts?severity=critical"]


def test_an_audit_is_cut_at_its_limit_even_if_the_gateway_sends_more(gateway, liar):
    assert len(gateway.audit(limit=5)) == 5
    assert liar.requests[0].path == f"{API}/admin/audit?limit=5"
    assert len(gateway.audit()) == 50


def test_a_gateway_without_a_boot_id_has_none(gateway, liar):
    liar.rule("/system/status", lies.answer(404, {"detail": "Not Found"}))
    assert gateway.boot_id() is None


def test_a_boot_id_that_is_refused_is_not_an_absent_one(gateway, liar):
    liar.rule("/system/status", lies.answer(403, {}))
    assert failure(CALLS["system_status"], gateway, Refused).status == 403


# Whether the service is up, by a free call


def test_health_is_asked_only_where_the_target_names_it(build, liar):
    """On some gateways ``/health`` sends a paid request to every model: by default the system status is read."""
    build(liar.url).health()
    build(liar.url, target=Target("t", "sandbox", paths={"health": "/health"})).health()
    assert [request.path for request in liar.requests] == [f"{API}/system/status", "/health"]


def test_a_gateway_without_a_system_status_is_up_when_it_lists_its_providers(gateway, liar):
    """A 404 of the system status does not show that the service is down; the provider list is read, free as well."""
    liar.rule("/system/status", lies.answer(404, {}))
    gateway.health()
    liar.rule("/providers", lies.answer(503, {}))
    assert failure(CALLS["health"], gateway).call == f"GET {PROVIDERS}"


@pytest.mark.parametrize("body", [{"status": "starting"}, {"status": "error"}])
def test_a_system_status_that_says_that_the_service_is_not_up_counts(gateway, liar, body):
    """A 200 with another status in its body is not health."""
    liar.rule("/system/status", lies.answer(200, body))
    failure(CALLS["health"], gateway)


def test_a_named_path_that_is_not_there_is_an_error(build, liar):
    """Only the path that the target names is called, so that a wrong one shows."""
    target = Target("t", "sandbox", paths={"health": "/helth"})
    liar.rule("/helth", lies.answer(404, {}))
    assert failure(CALLS["health"], build(liar.url, target=target), Refused).call == "GET /helth"


# The caller's headers, and the paths


def test_every_call_carries_token_user_and_rollout_id(build, liar):
    target = Target("t", "sandbox", user="José", token_env="GATEWAY_TOKEN")
    build(liar.url, target=target, token=f"{TOKEN}\n", rollout_id="r-1").health()
    headers = liar.requests[0].headers
    assert headers["authorization"] == f"Bearer {TOKEN}"
    assert headers["x-user"].encode("latin-1").decode() == "José"
    assert headers["x-rollout-id"] == "r-1"
    assert headers["user-agent"].startswith("rollout/0.")


def test_without_a_token_or_an_id_none_is_sent(gateway, liar):
    gateway.health()
    assert {"authorization", "x-rollout-id"}.isdisjoint(liar.requests[0].headers)


def test_a_target_may_move_any_path(build, liar):
    target = Target("t", "sandbox", paths={"health": "/healthz", "status": "/p/{provider}"})
    gateway = build(f"{liar.url}/", target=target)
    failure(CALLS["health"], gateway)
    failure(CALLS["status"], gateway)
    assert [request.path for request in liar.requests] == ["/healthz", "/p/openai"]


def test_the_targets_own_url_is_used_unless_another_is_given(build, liar):
    target = Target("t", "sandbox", url=f"{liar.url}/")
    assert build(None, target=target).url == liar.url
    assert build("http://127.0.0.1:1/", target=target).url == "http://127.0.0.1:1"


def test_a_target_without_a_url_is_refused(build):
    with pytest.raises(GatewayError, match="target test has no url; start its gateway, or give --gateway=URL"):
        build(None)


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_a_providers_name_that_changes_the_path_sends_nothing(gateway, liar, name):
    assert "cannot be a provider's name" in str(failure(lambda gateway: gateway.status(name), gateway))
    with gateway.allow_writes("APP-1.2"):
        failure(lambda gateway: bring_about(gateway, Activate(name, "gpt-4o")), gateway)
    assert liar.requests == []


# Allowed writes


def test_a_write_that_is_not_allowed_is_refused_and_names_the_remedy(gateway, liar):
    with pytest.raises(
        WriteNotAllowed, match=r"POST \S+/openai/activate is a write.* `with gateway\.allow_writes\(STEP\)"
    ):
        bring_about(gateway, Activate("openai", "gpt-4o"))
    assert liar.requests == []


def test_writes_are_not_allowed_after_the_block_even_after_a_failure(gateway):
    with pytest.raises(ZeroDivisionError), gateway.allow_writes("APP-1.2"), gateway.allow_writes("APP-1.2"):
        raise ZeroDivisionError
    with pytest.raises(WriteNotAllowed):
        bring_about(gateway, Activate("openai", "gpt-4o"))


def test_the_end_of_an_inner_block_does_not_end_the_outer(gateway):
    with gateway.allow_writes("RBK-2.1"):
        with gateway.allow_writes("APP-1.2"):
            pass
        bring_about(gateway, Activate("openai", "gpt-4o"))


def test_writes_allowed_in_one_thread_are_not_allowed_in_others(gateway):
    outcomes = []

    def write():
        try:
            bring_about(gateway, Activate("openai", "gpt-4o"))
        except WriteNotAllowed as sealed:
            outcomes.append(sealed)

    with gateway.allow_writes("APP-1.2"):
        thread = threading.Thread(target=write)
        thread.start()
        thread.join()
    assert len(outcomes) == 1


def test_an_activation_without_a_model_is_not_sent(gateway, liar):
    with gateway.allow_writes("APP-1.2"), pytest.raises(GatewayError, match="no model is named"):
        bring_about(gateway, Activate("openai", ""))
    assert liar.requests == []


# Bad answers

SAYS_NO = [
    (400, {"detail": "Local runtime"}, Refused, "refused (400: Local runtime)"),
    (401, {"detail": "who?"}, Refused, "does not know the caller (401: who?); set the target's token_env"),
    (403, b"", Refused, "does not allow this (403: Forbidden)"),
    (404, {"detail": "Unknown provider: x"}, Refused, "refused (404: Unknown provider: x)"),
    (404, b"<html>nginx</html>", Refused, "no such path (404); check the target's url, or set its paths."),
    (409, {"error": {"message": "busy"}}, Refused, "refused (409: busy)"),
    (422, {"detail": [{"loc": ["body", "model"], "msg": "Field required"}]}, Refused, "(422: model: Field required)"),
    (500, {"detail": "boom"}, GatewayError, "the gateway failed (500: boom)"),
    (502, b"<html>Bad Gateway</html>", GatewayError, "the gateway failed (502: Bad Gateway)"),
    (503, {"detail": "Provider openai is offline"}, GatewayError, "failed (503: Provider openai is offline)"),
    (799, b"", GatewayError, "the gateway failed (799: no reason given)"),
    (302, b"", GatewayError, "redirected to nowhere (302), which is not followed; put the final address"),
    (202, {"status": "success"}, GatewayError, "answered 202 (Accepted), where only 200 is an answer"),
    (204, b"", GatewayError, "answered 204 (No Content), where only 200 is an answer"),
]


@pytest.mark.parametrize(
    ("call", "status", "body", "error", "says"),
    # A 404 for the boot id is an answer: there is none. A 404 for the health leads to another call.
    [
        (call, *row)
        for name, call in CALLS.items()
        for row in SAYS_NO
        if (name, row[0]) not in {("system_status", 404), ("health", 404)}
    ],
)
def test_a_status_of_refusal_is_an_error_in_one_line(gateway, liar, call, status, body, error, says):
    liar.rule("/", lies.answer(status, body))
    problem = failure(call, gateway, error)
    assert isinstance(problem, Refused) == (error is Refused)
    assert problem.status == status
    assert says in str(problem)
    assert len(liar.requests) == 1


BAD_BODIES = {
    "html": (lies.html(), 'is not JSON (text/html, 70 bytes, begins "<html>'),
    "empty": (lies.empty(), "the answer is empty (200, application/json, 0 bytes)"),
    "truncated": (lies.truncated({"status": "success", "providers": []}), "JSON is cut off"),
    "nan": (lies.answer(200, {"status": float("nan")}), "not valid JSON"),
    "text": (lies.answer(200, "hello", "text/plain"), 'begins "hello"'),
    "not utf-8": (lies.answer(200, b'{"a": "\xe9"}'), "not UTF-8"),
    "list": (lies.answer(200, []), "a JSON list, not an object"),
    "error in 200": (lies.answer(200, {"status": "error", "message": "disk full"}), 'with status "error": disk full'),
    "wrong shape": (lies.answer(200, {"status": "success"}), "is missing"),
    "huge": (lies.huge(3), "longer than 2097152 bytes"),
    "cut off": (lies.cut_body(), "broke off in the middle"),
    "no http": (lies.raw(b"220 ESMTP ready\r\n\r\n"), "proper HTTP"),
}
# No verdict depends on the body of a health check, or on a boot id.
HARMLESS = {("health", bad) for bad in ("empty", "text", "list", "wrong shape")} | {("system_status", "wrong shape")}


@pytest.mark.parametrize(
    ("name", "bad"), [(name, bad) for name in CALLS for bad in BAD_BODIES if (name, bad) not in HARMLESS]
)
def test_a_body_that_is_no_answer_is_an_error_in_one_line(gateway, liar, name, bad):
    behaviour, says = BAD_BODIES[bad]
    liar.rule("/", behaviour)
    problem = failure(CALLS[name], gateway)
    assert not isinstance(problem, Refused)
    assert says in str(problem)
    assert len(liar.requests) == 1


def test_an_error_names_the_call(gateway, liar):
    liar.rule("/", lies.html())
    assert str(failure(lambda gateway: gateway.alerts("critical"), gateway)) == (
        'GET /api/v1/alerts: the answer is not JSON (text/html, 70 bytes, begins "<html><head><title>Welcome</title>'
        "</head><body>It…\"); is this the gateway's base URL?"
    )


@pytest.mark.parametrize(
    ("target", "url", "token", "says"),
    [
        ({}, None, None, "; set the target's token_env"),
        ({"token_env": "GW"}, None, None, "; set the environment variable GW, which the target names for its token"),
        ({"token_env": "GW"}, None, TOKEN, "; the token in the environment variable GW is not accepted"),
        (
            {"token_env": "GW", "staging_token_env": "STAGING"},
            "staging",
            None,
            "; set the environment variable STAGING, which",
        ),
        ({"token_env": "GW"}, "staging", None, "; set the target's token_env"),
    ],
)
def test_a_401_names_the_variable_to_set(build, liar, target, url, token, says):
    liar.rule("/", lies.answer(401, {"detail": "no"}))
    target = Target("t", "sandbox", url=liar.url, staging=liar.url if url else None, **target)
    gateway = build(liar.url if url else None, target=target, token=token)
    assert says in str(failure(CALLS["providers"], gateway, Refused))


# Deadlines


@pytest.mark.parametrize("behaviour", [lies.hang(), lies.drip_headers(0.02), lies.drip_body(0.02)])
@pytest.mark.parametrize(
    ("name", "kind", "meant"),
    [("metrics", "read", "reads"), ("chat", "chat", "completions"), ("activate", "activate", "activations")],
)
def test_each_kind_of_call_ends_by_its_own_deadline(build, liar, behaviour, name, kind, meant):
    timeouts = replace(Timeouts(9, 9, 9), **{f"{kind}_s": 0.3})
    gateway = build(liar.url, timeouts=timeouts)
    liar.rule("/", behaviour)
    started = time.monotonic()
    problem = failure(CALLS[name], gateway)
    assert time.monotonic() - started < 0.6
    assert problem.reason == f"no complete answer within 0.3 s (deadline for {meant}; the target's timeouts.{kind})"
    assert len(liar.requests) == 1


def test_the_deadline_bounds_the_retries_together(build, liar):
    gateway = build(liar.url, timeouts=Timeouts(read_s=0.8))
    liar.rule("/", lies.hang())
    liar.rule("/", lies.delayed(0.4, lies.answer(429, {"retry_after_seconds": 0})), nth=1)
    started = time.monotonic()
    assert "no complete answer within 0.8 s" in str(failure(CALLS["metrics"], gateway))
    assert time.monotonic() - started < 1.1
    assert len(liar.requests) == 2


# Tries


def test_nothing_that_listens_is_tried_three_times_for_a_read(build, liar, exchanges):
    clock = FakeClock()
    gateway = build(liar.url, clock=clock)
    with liar.down():
        problem = failure(CALLS["providers"], gateway)
    host = liar.url.removeprefix("http://")
    assert str(problem) == (f"GET {PROVIDERS}: nothing listens at {host} (connection refused); is the gateway running?")
    assert len(exchanges) == 3
    assert [0.1 <= clock.waited[0] <= 0.2, 0.2 <= clock.waited[1] <= 0.3, len(clock.waited)] == [True, True, 2]


@pytest.mark.parametrize("behaviour", [lies.close(), lies.refuse()])
@pytest.mark.parametrize("name", READS)
def test_a_read_that_did_not_reach_the_gateway_is_sent_again(build, liar, behaviour, name):
    gateway = build(liar.url, clock=FakeClock())
    liar.rule("/", behaviour, nth=1)
    READS[name](gateway)
    assert len(liar.requests) == 2


@pytest.mark.parametrize("behaviour", [lies.close(), lies.refuse()])
@pytest.mark.parametrize("name", ["activate", "chat"])
def test_a_write_and_a_completion_with_an_unknown_effect_are_never_sent_again(build, liar, behaviour, name):
    gateway = build(liar.url, clock=FakeClock())
    liar.rule("/", behaviour, nth=1)
    failure(CALLS[name], gateway)
    assert len(liar.requests) == 1


@pytest.mark.parametrize("name", [*READS, "activate", "chat"])
def test_a_call_is_sent_again_after_a_429(build, liar, name):
    clock = FakeClock()
    gateway = build(liar.url, clock=clock)
    liar.rule("/", lies.answer(429, {"error": "rate_limit_exceeded", "retry_after_seconds": 0}), nth=1)
    CALLS[name](gateway)
    assert len(liar.requests) == 2
    assert 0.1 <= clock.waited[0] <= 0.2


@pytest.mark.parametrize(
    ("body", "headers", "least"),
    [
        ({"retry_after_seconds": 0.5}, {"Retry-After": "1.5"}, 0.5),
        ({}, {"Retry-After": "1.5"}, 1.5),
        ({"retry_after_seconds": 0}, {}, 0.1),
        ({"retry_after_seconds": -5}, {}, 0.1),
        ({"retry_after_seconds": "soon"}, {}, 0.1),
        ({}, {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}, 0.1),
        ({"retry_after_seconds": 1e999}, {}, 0.1),
        (b"", {}, 0.1),
    ],
)
def test_the_pause_is_what_the_gateway_asks_for_plus_jitter(build, liar, body, headers, least):
    clock = FakeClock()
    gateway = build(liar.url, clock=clock)
    liar.rule("/", lies.answer(429, body, headers=headers), nth=1)
    gateway.health()
    assert least <= clock.waited[0] <= least + 0.1


def test_a_429_that_lasts_is_refused_with_the_tries_and_the_remedy(build, liar):
    gateway = build(liar.url, clock=FakeClock())
    liar.rule("/", lies.answer(429, {"message": "Rate limit exceeded", "retry_after_seconds": 0}))
    problem = failure(CALLS["metrics"], gateway, Refused)
    assert problem.reason == (
        "the gateway's rate limit refused it (429: Rate limit exceeded), which asks to wait 0 s; tried 3 times within "
        "the target's timeouts.read (2 s). Raise the gateway's limit, or the deadline"
    )
    assert len(liar.requests) == 3


def test_a_429_with_a_pause_beyond_the_deadline_is_not_sent_again(build, liar):
    clock = FakeClock()
    liar.rule("/", lies.answer(429, {"retry_after_seconds": 60}))
    assert "asks to wait 60 s; tried once" in str(failure(CALLS["metrics"], build(liar.url, clock=clock), Refused))
    assert clock.waited == []


OPENAI = {"error": {"message": "Rate limit reached for gpt-4o", "type": "rate_limit_exceeded", "code": "x"}}
QUOTA = {"error": {"message": "You exceeded your current quota", "type": "insufficient_quota"}}


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (OPENAI, {}),
        (OPENAI, {"Retry-After": "0"}),
        (QUOTA, {"Retry-After": "1"}),
        ({"error": "rate_limit_exceeded", "message": "slow down"}, {"Retry-After": "0"}),
        ({"error": "rate_limit_exceeded", "retry_after_seconds": "0"}, {}),
        ({"error": "rate_limit_exceeded", "retry_after_seconds": True}, {}),
        ({"detail": "busy", "retry_after_seconds": 0}, {}),
        ([{"error": "rate_limit_exceeded", "retry_after_seconds": 0}], {}),
        ({"error": OPENAI["error"], "retry_after_seconds": 0}, {}),
        (b"", {"Retry-After": "0"}),
    ],
)
def test_a_providers_own_429_is_not_sent_again(build, liar, exchanges, body, headers):
    """Deviation 18 has a shape of its own; any other 429 to a completion is the provider's answer to users, too."""
    clock = FakeClock()
    gateway = build(liar.url, clock=clock)
    liar.rule("/chat", lies.answer(429, body, headers=headers))
    problem = failure(CALLS["chat"], gateway)
    assert type(problem) is GatewayError, "nothing is known to have been refused before a provider saw it"
    assert "a provider behind the gateway is rate limiting (429: " in problem.reason
    assert (problem.status, len(liar.requests), clock.waited) == (429, 1, [])
    assert [each.status for each in exchanges] == [429]


def test_a_providers_429_quotes_the_providers_message(build, liar):
    liar.rule("/chat", lies.answer(429, QUOTA))
    problem = failure(CALLS["chat"], build(liar.url, clock=FakeClock()))
    assert "(429: You exceeded your current quota)" in problem.reason


def test_a_429_to_another_completion_call_is_a_providers_too(build, liar):
    """A target's `chat_with` is a completion as well."""
    other = OtherCall("/api/v1/llm/simple/stream", {"content": "{prompt}"})
    gateway = build(liar.url, target=Target("t", "sandbox", chat_with=other), clock=FakeClock())
    liar.rule("/stream", lies.answer(429, OPENAI))
    assert "is rate limiting" in failure(CALLS["chat"], gateway).reason
    assert len(liar.requests) == 1


@pytest.mark.parametrize("name", ["metrics", "activate"])
def test_a_429_to_another_call_than_a_completion_is_the_gateways(build, liar, name):
    clock = FakeClock()
    liar.rule("/", lies.answer(429, OPENAI), nth=1)
    CALLS[name](build(liar.url, clock=clock))
    assert (len(liar.requests), len(clock.waited)) == (2, 1)


# Stopping


def test_a_stop_cuts_a_hanging_call_and_names_it(build, liar, exchanges):
    stop, arrived, stopped_at = StopFlag(), threading.Event(), []

    async def arrive(visit):
        arrived.set()
        await lies.hang()(visit)

    def interrupt():
        arrived.wait(5)
        stopped_at.append(time.monotonic())
        stop.set("ctrl-c")

    liar.rule("/", arrive)
    threading.Thread(target=interrupt).start()
    problem = failure(CALLS["activate"], build(liar.url, stop=stop, timeouts=Timeouts(9, 9, 9)), Interrupted)
    assert time.monotonic() - stopped_at[0] < 0.3
    assert str(problem).startswith("POST /api/v1/providers/openai/activate: cut off while waiting for an answer: ctrl-")
    assert exchanges[0].error == str(problem)


def test_a_stop_ends_the_wait_between_two_tries(build, liar):
    stop = StopFlag()
    gateway = build(liar.url, stop=stop, timeouts=Timeouts(read_s=60))

    async def busy(visit):
        await lies.answer(429, {"retry_after_seconds": 30})(visit)
        stop.set("ctrl-c")

    liar.rule("/", busy)
    started = time.monotonic()
    assert "ctrl-c" in str(failure(CALLS["metrics"], gateway, Interrupted))
    assert time.monotonic() - started < 0.5


def test_an_uninterruptible_gateway_ignores_the_stop_and_allows_no_writes(build, liar, stub):
    stop = StopFlag()
    gateway = build(liar.url, stop=stop)
    gateway.health()
    stop.set("SIGTERM")
    uninterruptible = gateway.uninterruptible()
    with gateway.allow_writes("APP-1.2"), pytest.raises(WriteNotAllowed):
        bring_about(uninterruptible, Activate("openai", "gpt-4o"))
    activate(uninterruptible)
    assert stub.active == ("openai", "gpt-4o")
    assert liar.connections == 1
    with pytest.raises(Interrupted, match="not sent, SIGTERM"):
        gateway.health()


# Evidence


def test_every_exchange_is_passed_on_as_evidence(build, liar, exchanges):
    gateway = build(liar.url, clock=FakeClock())
    liar.rule("/metrics", lies.answer(429, {"retry_after_seconds": 0}), nth=1)
    gateway.metrics("openai")
    activate(gateway)
    refused, metrics, activated = exchanges
    assert (refused.call, refused.status) == (f"GET {PROVIDERS}/openai/metrics", 429)
    assert "rate limit" in refused.error
    assert (metrics.status, metrics.error, metrics.answer) == (200, None, {"metrics": METRICS})
    assert (activated.method, activated.request_body) == ("POST", {"model": "gpt-4o"})
    assert activated.url == f"{liar.url}{PROVIDERS}/openai/activate"
    assert activated.at.endswith("Z")
    assert activated.elapsed_ms > 0


def test_an_exchange_without_an_answer_has_the_reason(build, liar, exchanges):
    gateway = build(liar.url)
    liar.rule("/", lies.close())
    failure(CALLS["chat"], gateway)
    assert (exchanges[0].status, exchanges[0].answer) == (None, None)
    assert "closed the connection without an answer" in exchanges[0].error


def test_an_answer_that_cannot_be_read_is_kept_as_text(gateway, liar, exchanges):
    liar.rule("/", lies.answer(200, b'{"status": "su\xff', "application/json"))
    failure(CALLS["providers"], gateway)
    assert exchanges[0].answer == '{"status": "su\ufffd'
    assert "not UTF-8" in exchanges[0].error


def test_a_long_answer_is_cut_in_evidence_after_it_was_redacted(build, liar, exchanges):
    gateway = build(liar.url, token=TOKEN)
    # Begins 4 characters before the cut: redacting what was cut would leave them.
    start = '{"a": "'
    for body in (start + "x" * (4092 - len(start)) + TOKEN + '"}', "x" * 4092 + TOKEN):
        liar.rule("/alerts", lies.answer(500, body))
        failure(CALLS["alerts"], gateway)
        assert len(exchanges[-1].answer) == 4096
        assert exchanges[-1].answer.endswith("x" + REDACTED[:4])


@pytest.mark.parametrize("number", ["NaN", "1e999"])
def test_evidence_has_no_number_that_json_forbids(gateway, liar, exchanges, number):
    liar.rule("/", lies.answer(500, f'{{"a": {number}}}'))
    failure(CALLS["health"], gateway)
    assert exchanges[0].answer == f'{{"a": {number}}}'


@pytest.mark.parametrize(
    "behaviour",
    [
        lies.answer(500, {"detail": f"bad token {TOKEN}"}),
        lies.answer(400, {"detail": f"Bearer {TOKEN}", "api_key": "hunter2hunter2"}),
        lies.answer(429, {"message": f"{TOKEN} is over its limit"}),
        lies.answer(302, headers={"Location": f"http://u:hunter2hunter2@host/{TOKEN}"}),
        lies.answer(200, f"<p>{TOKEN}</p>", "text/html"),
        lies.answer(200, {"status": "error", "message": base64.b64encode(f"u:{TOKEN}".encode()).decode()}),
        lies.answer(200, {"status": "success", "providers": TOKEN, "active_provider": "sk-hunter2hunter2"}),
    ],
)
def test_no_secret_is_in_an_error_or_in_evidence(build, liar, exchanges, behaviour):
    gateway = build(liar.url, token=TOKEN, clock=FakeClock())
    liar.rule("/", behaviour)
    shown = str(failure(CALLS["providers"], gateway)) + repr(exchanges)
    assert REDACTED in shown
    for secret in (TOKEN, "hunter2", base64.b64encode(f"u:{TOKEN}".encode()).decode()[4:-4]):
        assert secret not in shown


def test_a_password_in_the_base_url_is_sent_and_never_shown(build, liar, exchanges):
    gateway = build(liar.url.replace("://", "://rollout:hunter2hunter2@"))
    gateway.health()
    assert liar.requests[0].headers["authorization"].startswith("Basic ")
    with liar.down():
        assert "hunter2" not in str(failure(CALLS["chat"], gateway)) + repr(exchanges)


# Threads and connections


def test_threads_share_one_gateway(gateway, liar):
    results = []
    threads = [
        threading.Thread(target=lambda call=call: results.append(call(gateway))) for call in [*READS.values()] * 3
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(results) == len(threads)
    assert len(liar.requests) == len(threads)


def test_calls_in_a_row_share_one_connection(gateway, liar):
    for call in CALLS.values():
        call(gateway)
    assert liar.connections == 1


def test_closing_twice_does_nothing_and_later_calls_are_errors(liar):
    gateway = Gateway(Target("t", "sandbox"), url=liar.url, clock=SystemClock(), redactor=Redactor())
    gateway.close()
    gateway.close()
    assert "the client is closed" in str(failure(CALLS["health"], gateway))


def test_only_completions_of_the_suite_are_tagged(build, liar):
    gateway = build(liar.url, rollout_id="r-1")
    gateway.chat("ping")
    gateway.metrics("openai")
    tags = [request.headers.get("x-synthetic") for request in liar.requests]
    assert tags == ["rollout/r-1", None]
