"""Other calls in the place of the documented ones, and limits."""

import pytest

from rollout.core.errors import GatewayError, Refused, WriteNotAllowed
from rollout.core.redaction import REDACTED
from rollout.core.target import OtherCall, Target, Timeouts
from rollout.core.wishes import Activate, SetLimit
from tests.gateway.conftest import API, TWO_SECONDS, bring_about, set_limit
from tests.support import liar as lies

SERVERS = f"{API}/system/llm-servers/active"
STREAM = f"{API}/llm/simple/stream"
LIMITS = f"{API}/governance/limits"
TARGET = Target(
    "recorded",
    "sandbox",
    timeouts=TWO_SECONDS,
    activate_with={"ollama": OtherCall(SERVERS, {"server_name": "{provider}", "model": "{model}"})},
    chat_with=OtherCall(STREAM, {"content": "{prompt}"}),
    limit_types={"cost": "per_provider", "rate": "rate"},
)
SECRET = "sk-hunter2hunter2"


def events(text):
    return lies.answer(200, text.encode(), "text/event-stream; charset=utf-8")


@pytest.fixture
def other(build, liar):
    """A client of a gateway of the recorded kind."""
    liar.rule(SERVERS, lies.answer(200, {"status": "success", "active_server": "ollama"}))
    liar.rule(STREAM, events('event: content\ndata: {"text": "pong"}\n\nevent: done\ndata: {}\n\n'))
    return build(liar.url, target=TARGET)


def activate(gateway, provider="ollama", model="gemma3:4b"):
    with gateway.allow_writes("APP-1.2"):
        return bring_about(gateway, Activate(provider, model))


def failure(work, error=GatewayError):
    with pytest.raises(error) as caught:
        work()
    assert "\n" not in str(caught.value)
    return caught.value


# Activation by another call (deviation 13)


@pytest.mark.parametrize("name", ["ollama", "Ollama"])
def test_a_provider_with_a_call_of_its_own_is_activated_by_it(other, liar, name):
    activate(other, name)
    (request,) = liar.requests
    assert (request.method, request.path) == ("POST", SERVERS)
    assert request.json == {"server_name": name, "model": "gemma3:4b"}


def test_every_other_provider_is_activated_as_documented(other, liar):
    activate(other, "openai", "gpt-4o")
    assert [request.path for request in liar.requests] == [f"{API}/providers/openai/activate"]


def test_the_other_call_needs_allowed_writes_and_a_model_and_refuses_strange_names(build, liar):
    gateway = build(liar.url, target=Target("t", "sandbox", activate_with={"..": OtherCall("/x/{provider}", {})}))
    with pytest.raises(WriteNotAllowed, match=r"POST \S+ is a write"):
        bring_about(build(liar.url, target=TARGET), Activate("ollama", "gemma3:4b"))
    assert "no model is named" in str(failure(lambda: activate(build(liar.url, target=TARGET), model="")))
    assert "cannot be a provider's name" in str(failure(lambda: activate(gateway, "..")))
    assert liar.requests == []


def test_the_other_call_has_the_activations_deadline(build, liar):
    timeouts = Timeouts(read_s=9, chat_s=9, activate_s=0.3)
    gateway = build(liar.url, target=Target("t", "sandbox", timeouts=timeouts, activate_with=TARGET.activate_with))
    liar.rule(SERVERS, lies.hang())
    assert "deadline for activations; the target's timeouts.activate" in str(failure(lambda: activate(gateway)))


@pytest.mark.parametrize(
    ("behaviour", "error", "says"),
    [
        (lies.answer(400, {"detail": "no such server"}), Refused, "refused (400: no such server)"),
        (lies.answer(404, {"detail": "Not Found"}), Refused, "or set its activate_with.ollama"),
        (lies.answer(200, {"status": "error", "message": "disk full"}), GatewayError, 'status "error": disk full'),
        (lies.answer(200, {"status": "partial"}), GatewayError, "its status is 'partial', not 'success'"),
        (lies.answer(200, {"active_server": "ollama"}), GatewayError, "status is missing"),
        (lies.html(), GatewayError, "is not JSON"),
    ],
)
def test_the_other_calls_answer_is_judged_by_its_status_field(other, liar, behaviour, error, says):
    liar.rule(SERVERS, behaviour)
    problem = failure(lambda: activate(other), error)
    assert isinstance(problem, Refused) == (error is Refused)
    assert says in str(problem)
    assert len(liar.requests) == 1


# A chat by another call (deviation 17)


def test_a_chat_by_another_call_is_answered_by_a_stream(other, liar):
    assert other.chat("say {prompt} {model}").content == "pong"
    (request,) = liar.requests
    assert (request.method, request.path, request.json) == ("POST", STREAM, {"content": "say {prompt} {model}"})


def test_another_call_may_answer_with_a_completion_as_documented(other, liar):
    completion = {"choices": [{"message": {"content": "pong"}}], "model": "gemma3:4b", "provider": "ollama"}
    liar.rule(STREAM, lies.answer(200, completion))
    answer = other.chat("ping")
    assert (answer.content, answer.model, answer.provider) == ("pong", "gemma3:4b", "ollama")


@pytest.mark.parametrize(
    ("behaviour", "says"),
    [
        (events('event: start\ndata: {}\n\nevent: content\ndata: {"text": "po"}\n\n'), "broke off"),
        (events('event: error\ndata: {"code": "down", "message": "no route"}\n\n'), "says error: down: no route"),
        (lies.answer(404, {"detail": "Not Found"}), "no such path (404); check the target's url, or set its chat_with"),
        (lies.hang(), "no complete answer within 2 s (deadline for completions"),
    ],
)
def test_a_stream_that_fails_is_an_error_and_not_sent_again(other, liar, behaviour, says):
    liar.rule(STREAM, behaviour)
    assert says in str(failure(lambda: other.chat("ping")))
    assert len(liar.requests) == 1


def test_a_streams_error_and_its_evidence_are_redacted(other, liar, exchanges):
    liar.rule(STREAM, events(f'event: error\ndata: {{"message": "bad key {SECRET}"}}\n\n'))
    shown = str(failure(lambda: other.chat("ping"))) + repr(exchanges)
    assert REDACTED in shown
    assert "hunter2" not in shown


# Governance limits


def test_a_limit_is_set(gateway, liar):
    set_limit(gateway)
    (request,) = liar.requests
    assert (request.method, request.path) == ("POST", LIMITS)
    assert request.json == {
        "limit_type": "cost",
        "scope": "openai",
        "soft_limit_usd": 200.0,
        "hard_limit_usd": 250.0,
    }


def test_the_kind_is_translated_and_a_reported_scope_is_sent_as_its_name(other, liar):
    with other.allow_writes("RBK-3.4"):
        bring_about(other, SetLimit("cost", "provider:openai", {"hard_limit_usd": 5}))
        bring_about(other, SetLimit("rate", "global", {"max_requests_per_minute": 60}))
    assert [request.json for request in liar.requests] == [
        {"limit_type": "per_provider", "scope": "openai", "hard_limit_usd": 5},
        {"limit_type": "rate", "scope": "global", "max_requests_per_minute": 60},
    ]


def test_a_limit_without_allowed_writes_is_refused_and_names_the_remedy(gateway, liar):
    with pytest.raises(WriteNotAllowed, match=r"POST \S+/limits is a write.* `with gateway\.allow_writes\(STEP\)"):
        bring_about(gateway, SetLimit("cost", "openai", {"hard_limit_usd": 5}))
    assert liar.requests == []


@pytest.mark.parametrize(("kind", "values"), [("cost", {}), ("money", {"hard_limit_usd": 5})])
def test_an_empty_limit_is_not_sent(gateway, liar, kind, values):
    with gateway.allow_writes("APP-3.1"):
        problem = failure(lambda: bring_about(gateway, SetLimit(kind, "openai", values)))
    assert "nothing to set: give limits, of a kind among cost, rate" in str(problem)
    assert liar.requests == []


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (
            400,
            {"detail": "Soft limit cannot be greater than hard limit"},
            "(400: Soft limit cannot be greater than hard",
        ),
        (
            422,
            {"detail": [{"loc": ["body", "hard_limit_usd"], "msg": "Input should be greater than 0"}]},
            "(422: hard_l",
        ),
        (404, {"detail": "Not Found"}, "or set its paths.limits"),
    ],
)
def test_a_limit_that_is_refused_quotes_the_gateways_message(gateway, liar, status, body, says):
    liar.rule(LIMITS, lies.answer(status, body))
    problem = failure(lambda: set_limit(gateway), Refused)
    assert problem.status == status
    assert says in str(problem)


def test_a_limit_is_sent_again_after_a_429_only(gateway, liar):
    liar.rule(LIMITS, lies.answer(429, {"retry_after_seconds": 0}), nth=1)
    set_limit(gateway)
    assert len(liar.requests) == 2
    liar.rule(LIMITS, lies.close())
    failure(lambda: set_limit(gateway))
    assert len(liar.requests) == 3


def test_a_limit_has_the_deadline_of_reads(build, liar):
    gateway = build(liar.url, timeouts=Timeouts(read_s=0.3, chat_s=9, activate_s=9))
    liar.rule(LIMITS, lies.hang())
    assert "deadline for setting limits; the target's timeouts.read" in str(failure(lambda: set_limit(gateway)))
