"""The liar passes everything through unless a rule matches."""

import http.client
import json
import socket
import threading
from urllib.parse import urlsplit

import pytest

from tests.support import liar as lies
from tests.support.liar import Liar
from tests.support.stub import Stub

PROVIDERS = {"providers": [], "active_provider": "ollama"}


@pytest.fixture
def upstream():
    with Stub({("GET", "/providers"): (200, PROVIDERS), ("GET", "/teapot"): (418, {"detail": "short"})}) as stub:
        yield stub


@pytest.fixture
def liar(upstream):
    with Liar(upstream.url) as liar:
        yield liar


def connect(liar, timeout=2.0):
    parts = urlsplit(liar.url)
    return http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)


def ask(liar, path, method="GET", body=None, timeout=2.0):
    connection = connect(liar, timeout)
    try:
        connection.request(method, path, body, {"X-User": "alice"})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def activate(liar):
    return ask(liar, "/p/openai/activate", "POST", json.dumps({"model": "gpt-4o"}))


def test_without_rules_everything_passes_through(liar, upstream):
    assert ask(liar, "/providers?x=1") == (200, json.dumps(PROVIDERS).encode())
    assert ask(liar, "/teapot") == (418, b'{"detail": "short"}')
    assert upstream.seen[0][1] == "/providers?x=1"
    assert upstream.seen[0][2]["x-user"] == "alice"


def test_a_write_passes_through_with_its_body(liar, upstream):
    assert activate(liar)[0] == 200
    assert upstream.active == ("openai", "gpt-4o")
    assert liar.seen("POST", "/activate")[0].json == {"model": "gpt-4o"}


def test_requests_are_recorded_in_order_with_their_headers(liar):
    ask(liar, "/providers")
    ask(liar, "/teapot")
    assert [request.path for request in liar.requests] == ["/providers", "/teapot"]
    assert liar.requests[0].headers["x-user"] == "alice"


def test_a_connection_is_kept_for_the_next_request(liar):
    connection = connect(liar)
    for _ in range(3):
        connection.request("GET", "/providers")
        connection.getresponse().read()
    connection.close()
    assert (len(liar.requests), liar.connections) == (3, 1)


def test_a_rule_holds_for_its_method_and_path_only(liar):
    liar.rule("/providers$", lies.answer(500), method="GET")
    assert ask(liar, "/providers")[0] == 500
    assert ask(liar, "/providers?x")[0] == 200
    assert ask(liar, "/providers", "POST")[0] == 404


def test_nth_lies_once_and_counts_what_matches(liar):
    rule = liar.rule("/providers", lies.answer(500), nth=2)
    assert [ask(liar, path)[0] for path in ("/providers", "/teapot", "/providers", "/providers")] == [
        200,
        418,
        500,
        200,
    ]
    assert rule.hits == 3


def test_the_newest_rule_wins_until_it_is_removed(liar):
    liar.rule("/providers", lies.answer(500))
    newest = liar.rule("/providers", lies.answer(401))
    assert ask(liar, "/providers")[0] == 401
    newest.remove()
    newest.remove()
    assert ask(liar, "/providers")[0] == 500
    liar.clear()
    assert ask(liar, "/providers")[0] == 200


def test_success_without_effect_does_not_reach_the_upstream(liar, upstream):
    liar.rule("/activate", lies.answer(200, {"status": "success"}))
    assert activate(liar) == (200, b'{"status": "success"}')
    assert upstream.active == ("ollama", "gemma3:4b")


@pytest.mark.parametrize("then", [None, lies.answer(503), lies.empty(500)])
def test_effect_without_success_reaches_the_upstream(liar, upstream, then):
    liar.rule("/activate", lies.effect_without_success(then))
    assert activate(liar)[0] >= 500
    assert upstream.active == ("openai", "gpt-4o")


def test_effect_without_any_answer_reaches_the_upstream(liar, upstream):
    liar.rule("/activate", lies.effect_without_success(lies.close()))
    with pytest.raises(http.client.RemoteDisconnected):
        activate(liar)
    assert upstream.active == ("openai", "gpt-4o")


def test_a_delayed_write_lands_although_the_caller_has_left(liar, upstream):
    gate, landed = threading.Event(), threading.Event()

    async def forward(visit):
        await visit.forward()
        landed.set()

    liar.rule("/activate", lies.delayed(gate, forward))
    with pytest.raises(TimeoutError):
        ask(liar, "/activate", "POST", timeout=0.05)
    assert upstream.active == ("ollama", "gemma3:4b")
    liar.rule("/activate", lies.delayed(0.0, forward))
    with pytest.raises(TimeoutError):
        ask(liar, "/p/openai/activate", "POST", json.dumps({"model": "late"}), timeout=0.2)
    assert landed.wait(2)
    assert upstream.active == ("openai", "late")
    gate.set()


def test_an_edited_answer_is_the_upstreams_with_a_difference(liar):
    liar.rule("/providers", lies.edited(lambda body: {**body, "active_provider": "vllm"}))
    assert json.loads(ask(liar, "/providers")[1]) == {**PROVIDERS, "active_provider": "vllm"}


@pytest.mark.parametrize(
    ("behaviour", "status", "body"),
    [
        (lies.html(), 200, b"<html>"),
        (lies.empty(), 200, b""),
        (lies.truncated({"status": "success"}), 200, b'{"status":'),
        (lies.answer(200, {"rate": float("nan")}), 200, b'{"rate": NaN}'),
        (lies.answer(429, {"retry_after_seconds": 0}, headers={"Retry-After": "0"}), 429, b'{"retry'),
    ],
)
def test_canned_answers_are_given_as_asked(liar, behaviour, status, body):
    liar.rule("/providers", behaviour)
    answered = ask(liar, "/providers")
    assert answered[0] == status
    assert answered[1].startswith(body)


def test_a_huge_answer_is_huge(liar):
    liar.rule("/providers", lies.huge(3))
    assert len(ask(liar, "/providers")[1]) > 3 * 1024 * 1024


@pytest.mark.parametrize(
    ("behaviour", "error"),
    [
        (lies.hang(), TimeoutError),
        (lies.close(), http.client.RemoteDisconnected),
        (lies.refuse(), ConnectionResetError),
        (lies.cut_body(), http.client.IncompleteRead),
        (lies.raw(b"SSH-2.0-OpenSSH\r\n"), http.client.BadStatusLine),
    ],
)
def test_broken_answers_break_as_asked(liar, behaviour, error):
    liar.rule("/providers", behaviour)
    with pytest.raises(error):
        ask(liar, "/providers", timeout=0.3)


def test_dripped_headers_come_byte_by_byte_and_never_end(liar):
    liar.rule("/providers", lies.drip_headers(0.01))
    connection = connect(liar)
    connection.request("GET", "/providers")
    with connection.sock.makefile("rb") as received:
        assert received.read(40) == b"HTTP/1.1 200 OK\r\nX-Slow: aaaaaaaaaaaaaaa"
    connection.close()


def test_a_dripped_body_begins_with_whole_headers(liar):
    liar.rule("/providers", lies.drip_body(0.01))
    connection = connect(liar)
    connection.request("GET", "/providers")
    response = connection.getresponse()
    assert response.status == 200
    assert response.read(9) == b'{"a": "aa'
    connection.close()


def test_while_it_is_down_connections_are_refused_and_later_taken_on_the_same_port(liar):
    url = liar.url
    parts = urlsplit(url)
    idle = connect(liar)
    idle.request("GET", "/providers")
    idle.getresponse().read()
    with liar.down():
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((parts.hostname, parts.port), timeout=1)
        assert idle.sock.recv(1) == b""
    assert liar.url == url
    assert ask(liar, "/providers")[0] == 200
    idle.close()


def test_an_upstream_that_is_gone_gives_no_answer():
    with Liar("http://127.0.0.1:9") as liar, pytest.raises(http.client.RemoteDisconnected):
        ask(liar, "/providers")


def test_several_callers_at_once_do_not_wait_for_each_other(liar):
    gate = threading.Event()
    liar.rule("/slow", lies.delayed(gate))
    slow = threading.Thread(target=ask, args=(liar, "/slow"), daemon=True)
    slow.start()
    assert ask(liar, "/providers")[0] == 200
    gate.set()
    slow.join(2)
    assert not slow.is_alive()
