"""The causes that fit a provider out of reach: from recorded answers, and from messages of other gateways."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from rollout.core.clock import SystemClock
from rollout.core.errors import GatewayError
from rollout.gateway import parsing
from rollout.gateway.diagnosis import _TRY, DEADLINE_S, Cause, Seen, diagnose, diagnose_provider, diagnosed
from rollout.gateway.responses import Connection, ConnectionTest, Preflight, PreflightCheck
from rollout.gateway.transport import Answer
from tests.support.clocks import SimulatedClock
from tests.support.forks import ROOT

SAMPLES = ROOT / "tests" / "gateway-samples"
UNREACHED = (Cause.SERVICE_DOWN, Cause.ENDPOINT_WRONG, Cause.NETWORK)
FINE = ConnectionTest(succeeded=True, connection_status="connected", latency_ms=5.0, message="fine")
READY = Preflight(ready=True, checks={})


def recorded(name: str, parse: Callable[[Answer], Any]) -> Any:
    """Return a recorded answer as the client reads it."""
    response = json.loads((SAMPLES / f"{name}.json").read_text(encoding="utf-8"))["response"]
    body = json.dumps(response["body"]).encode()
    return parse(Answer(response["status"], {"content-type": response["content_type"]}, body, response["elapsed_ms"]))


def offline(code: str | None = None, message: str = "", status: str = "offline") -> Seen:
    return Seen(Connection(status, message, code))


def test_a_service_that_is_down_could_also_be_elsewhere_or_out_of_reach():
    seen = Seen(
        recorded("ollama_down_status", parsing.status),
        recorded("ollama_down_test_connection", parsing.connection_test),
        recorded("ollama_down_preflight", parsing.preflight),
    )
    found = diagnose("ollama", seen)
    assert (found.reason_code, found.causes) == ("connection_failed", UNREACHED)
    assert found.evidence == (
        "status offline (connection_failed): Unable to connect to Ollama server",
        "connection test fails, offline (connection_failed): Unable to connect to Ollama server",
        "preflight not ready: connection offline: Unable to connect to Ollama server",
    )
    assert str(found) == "ollama looks like: service down or endpoint wrong or network (connection_failed)"
    assert len(found.advice) == 3


@pytest.mark.parametrize("part", ["tested", "preflight", "both"])
def test_a_missing_key_is_diagnosed_from_either_answer(part: str):
    tested = recorded("openai_nokey_test_connection", parsing.connection_test)
    ready = recorded("openai_nokey_preflight", parsing.preflight)
    found = diagnose("openai", Seen(None, tested if part != "preflight" else None, ready if part != "tested" else None))
    assert found.causes == (Cause.KEY_MISSING,)
    assert "set the provider's API key" in found.text()
    assert found.reason_code == (None if part == "preflight" else "missing_api_key")


def test_a_service_that_answers_503_is_up():
    found = diagnose("ollama", Seen(recorded("ollama_http503_status", parsing.status)))
    assert (found.reason_code, found.causes) == ("http_error", (Cause.SERVICE_FAILING,))


@pytest.mark.parametrize(
    ("seen", "causes"),
    [
        (offline("invalid_api_key", "OPENAI_API_KEY is not accepted (HTTP 401)"), (Cause.KEY_REFUSED,)),
        (offline(None, "HTTP 403"), (Cause.KEY_REFUSED,)),
        (offline(None, "Incorrect API key provided"), (Cause.KEY_REFUSED,)),
        (offline("http_error", "HTTP 404"), (Cause.ENDPOINT_WRONG,)),
        (offline("http_error", "HTTP 429"), (Cause.OVERLOADED,)),
        (offline("timeout", ""), (Cause.NETWORK, Cause.SERVICE_FAILING)),
        (offline(None, "connect timed out"), (Cause.NETWORK,)),
        (offline(None, "[SSL: CERTIFICATE_VERIFY_FAILED] certificate has expired"), (Cause.NETWORK,)),
        (offline(None, "Temporary failure in name resolution"), (Cause.NETWORK,)),
        (offline(None, "Connection refused"), UNREACHED),
        (offline("connection_failed", "Network is unreachable"), (Cause.NETWORK, *UNREACHED[:2])),
        (offline("gremlins", "it is not well"), (Cause.UNKNOWN,)),
        (offline(), (Cause.UNKNOWN,)),
        (Seen(Connection("offline", "", "connection_failed"), FINE, READY), (Cause.PASSED, *UNREACHED)),
        (Seen(None, None, None, ("connection test: refused", "preflight: refused")), (Cause.GATEWAY,)),
        (
            Seen(
                None,
                None,
                Preflight(
                    ready=False, checks={"credentials": PreflightCheck(passed=False, status="invalid", message="no")}
                ),
            ),
            (Cause.KEY_REFUSED,),
        ),
        (
            Seen(
                None, None, Preflight(ready=False, checks={"endpoint": PreflightCheck(passed=False, status="missing")})
            ),
            (Cause.ENDPOINT_WRONG,),
        ),
    ],
)
def test_the_message_decides_and_the_likeliest_cause_comes_first(seen: Seen, causes: tuple[Cause, ...]):
    assert diagnose("p", seen).causes == causes


def test_every_cause_has_something_to_try():
    assert set(_TRY) == set(Cause)


def test_a_provider_in_order_has_no_diagnosis():
    assert diagnosed("p", Seen(Connection("connected"), FINE, READY)) is None
    assert diagnosed("p", Seen()) is None
    assert diagnosed("p", Seen(Connection("unknown"))) is not None


class Gateway:
    """Answers each call with the attribute of its name."""

    def __init__(self, **answers: Any) -> None:
        self.answers = {"status": Connection("offline"), "test_connection": FINE, "preflight": READY, **answers}
        self.calls: list[str] = []

    def _answer(self, name: str) -> Any:
        self.calls.append(name)
        answer = self.answers[name]
        if isinstance(answer, Exception):
            raise answer
        return answer() if callable(answer) else answer

    def status(self, _: str, /) -> Connection:
        """Return the status."""
        return self._answer("status")

    def test_connection(self, _: str, /) -> ConnectionTest:  # noqa: PT019 - no test
        """Return the connection test."""
        return self._answer("test_connection")

    def preflight(self, _: str, /) -> Preflight:
        """Return the preflight."""
        return self._answer("preflight")


def diagnosed_with(gateway: Gateway, status: Connection | None = None) -> Seen:
    return diagnose_provider(gateway, "p", status, SimulatedClock(), start=lambda work: work())


def test_a_diagnosis_reads_the_status_only_where_none_is_given():
    known, unknown = Gateway(), Gateway()
    diagnosed_with(known, Connection("degraded"))
    assert known.calls == ["test_connection", "preflight"]
    assert diagnosed_with(unknown) == Seen(Connection("offline"), FINE, READY)


def test_a_call_that_fails_is_named_and_ends_nothing():
    seen = diagnosed_with(Gateway(test_connection=GatewayError("POST /x", "refused")), Connection("offline"))
    assert seen.unanswered == ("connection test: POST /x: refused",)
    assert seen.preflight == READY


def test_a_defect_of_the_suite_is_no_answer_and_ends_in_time():
    seen = diagnose_provider(Gateway(preflight=KeyError("x")), "p", Connection("offline"), SystemClock())
    assert seen.unanswered == ("preflight: a defect in the suite: KeyError: 'x'",)


def test_a_diagnosis_is_bounded_however_many_calls_hang():
    clock = SimulatedClock()
    seen = diagnose_provider(Gateway(), "p", None, clock, start=lambda _: None)
    assert clock.monotonic() == DEADLINE_S
    assert len(seen.unanswered) == 3


def test_a_machine_without_threads_has_no_diagnosis_and_no_error():
    def start(_: Callable[[], None]) -> None:
        raise RuntimeError("can't start new thread")

    seen = diagnose_provider(Gateway(), "p", Connection("offline"), SimulatedClock(), start=start)
    assert seen.unanswered == ("the call could not be started: can't start new thread",)
