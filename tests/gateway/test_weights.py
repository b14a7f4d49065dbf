"""The weights by which a gateway splits its requests: read and set by the target's own calls."""

import pytest

from rollout.core.errors import GatewayError, Refused, WriteNotAllowed
from rollout.core.target import Routing, Target
from rollout.core.wishes import Split
from tests.gateway.conftest import API, TWO_SECONDS, bring_about
from tests.support import liar as lies

WEIGHTS = f"{API}/routing/weights"
TENTH = {"openai:gpt-4o": 0.1, "ollama:gemma3:4b": 0.9}
OTHER = Routing(
    "/routes", "POST", {"split": "{weights}", "why": "rollout"}, "/now", "data.split", "{provider}", percent=True
)


@pytest.fixture
def splitting(build, liar):
    """Return a function that makes a client of a gateway with this routing."""
    return lambda routing=None: build(
        liar.url, target=Target("t", "sandbox", timeouts=TWO_SECONDS, routing=routing or Routing())
    )


def put(gateway, shares):
    with gateway.allow_writes("CAN-2.1"):
        bring_about(gateway, Split(shares))


def test_weights_are_read_as_fractions(splitting, liar):
    liar.rule(WEIGHTS, lies.answer(200, {"status": "success", "weights": {**TENTH, "vllm:x": 0}}))
    assert splitting().weights().shares == TENTH
    liar.rule("/now", lies.answer(200, {"data": {"split": {"openai": 10, "ollama": 90}}}))
    assert splitting(OTHER).weights().shares == {"openai": 0.1, "ollama": 0.9}


def test_weights_are_set_by_the_targets_own_call(splitting, liar):
    liar.rule(WEIGHTS, lies.answer(200, {"status": "success"}))
    liar.rule("/routes", lies.answer(200))
    put(splitting(), TENTH)
    put(splitting(OTHER), {"openai": 0.07, "ollama": 0.93})
    sent = [(request.method, request.path, request.json) for request in liar.requests]
    assert sent == [
        ("PUT", WEIGHTS, {"weights": TENTH}),
        ("POST", "/routes", {"split": {"openai": 7.0, "ollama": 93.0}, "why": "rollout"}),
    ]


def test_setting_weights_is_a_write_and_needs_allowed_writes(splitting, liar):
    with pytest.raises(WriteNotAllowed, match=r"PUT \S+ is a write"):
        bring_about(splitting(), Split(TENTH))
    assert liar.requests == []


def test_a_target_without_routing_sends_nothing(build, liar):
    gateway = build(liar.url)
    with pytest.raises(GatewayError, match="does not say how its requests are split"):
        gateway.weights()
    with pytest.raises(GatewayError, match="does not say how its requests are split"):
        put(gateway, TENTH)
    assert liar.requests == []


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"status": "success"}, "weights: the answer is not of the documented shape"),
        ({"weights": [0.1]}, "not a list"),
        ({"weights": {"openai": "10%"}}, "openai: input should be a valid number"),
        ({"weights": {"openai": True}}, "openai: input should be a valid number"),
        ({"weights": {"openai": -0.1, "ollama": 1.1}}, "greater than or equal to 0"),
        ({"weights": {"openai": 0.1, "ollama": 0.8}}, "add up to 0.9, not to 1"),
        ({"status": "error", "message": "no routes"}, 'status "error": no routes'),
    ],
    ids=str,
)
def test_invalid_weights_are_refused(splitting, liar, body, says):
    liar.rule(WEIGHTS, lies.answer(200, body))
    with pytest.raises(GatewayError, match=says):
        splitting().weights()


@pytest.mark.parametrize(
    ("behaviour", "error", "says"),
    [
        (lies.answer(400, {"detail": "weights add up to 2"}), Refused, "refused .400: weights add up to 2"),
        (lies.answer(404, {"detail": "Not Found"}), Refused, "or set its routing.set.path"),
        (lies.answer(200, {"status": "error", "message": "disk full"}), GatewayError, 'status "error": disk full'),
        (lies.answer(500, {"detail": "boom"}), GatewayError, "the gateway failed .500: boom"),
    ],
)
def test_a_write_that_was_refused_has_the_reason(splitting, liar, behaviour, error, says):
    liar.rule(WEIGHTS, behaviour)
    with pytest.raises(error, match=says) as caught:
        put(splitting(), TENTH)
    assert isinstance(caught.value, Refused) == (error is Refused)
    assert len(liar.requests) == 1
