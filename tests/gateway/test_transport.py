"""The deadline and the cap hold in every stage of an exchange."""

import contextlib
import gzip
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time

import pytest

from rollout.core.clock import StopFlag
from rollout.core.errors import GatewayError, Interrupted
from rollout.core.target import Tls
from rollout.gateway import transport as transport_module
from rollout.gateway.transport import Failure, NoAnswer, Transport
from tests.support import liar as lies

DEADLINE_S = 0.3
GRACE_S = 0.3


@pytest.fixture
def transport():
    transport = Transport()
    yield transport
    transport.close()


@contextlib.contextmanager
def within(seconds):
    started = time.monotonic()
    yield
    assert time.monotonic() - started < seconds


def ends_without_an_answer(transport, url, deadline_s=DEADLINE_S, **options):
    with within(deadline_s + GRACE_S), pytest.raises(NoAnswer) as caught:
        transport.exchange("GET", url, deadline_s=deadline_s, **options)
    return caught.value


def test_an_answer_is_complete_whatever_its_status(transport, liar):
    liar.rule("/x", lies.answer(418, {"detail": "short"}, headers={"X-Mixed": "Case"}))
    answer = transport.exchange("GET", f"{liar.url}/x", deadline_s=2)
    assert (answer.status, answer.body, answer.headers["x-mixed"]) == (418, b'{"detail": "short"}', "Case")
    assert 0 < answer.elapsed_ms < 2000


def test_a_body_is_sent_as_json_with_the_headers(transport, liar):
    transport.exchange("POST", f"{liar.url}/x", body={"a": "ü"}, headers={"X-User": "José"}, deadline_s=2)
    request = liar.requests[0]
    assert request.json == {"a": "ü"}
    assert request.headers["content-type"] == "application/json"
    assert request.headers["x-user"].encode("latin-1").decode() == "José"


@pytest.mark.parametrize("behaviour", [lies.hang(), lies.drip_headers(0.02), lies.drip_body(0.02)])
def test_the_deadline_holds_on_a_hanging_or_dripping_answer(transport, liar, behaviour):
    liar.rule("/x", behaviour)
    problem = ends_without_an_answer(transport, f"{liar.url}/x")
    assert problem.failure is Failure.DEADLINE
    assert str(problem) == "no complete answer within 0.3 s"


def test_the_deadline_holds_on_a_name_lookup(transport, monkeypatch):
    gate = threading.Event()
    monkeypatch.setattr(transport_module.socket, "getaddrinfo", lambda *_, **__: gate.wait(30) and [])
    assert ends_without_an_answer(transport, "http://gateway.test/x").failure is Failure.DEADLINE
    gate.set()


def test_a_name_lookup_that_hangs_does_not_delay_the_end_of_the_process():
    script = """
import socket, threading
from rollout.gateway.transport import NoAnswer, Transport
socket.getaddrinfo = lambda *_, **__: threading.Event().wait()
try:
    Transport().exchange("GET", "http://gateway.test/x", deadline_s=0.1)
except NoAnswer as problem:
    print(problem)
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=20, check=True)
    assert ended.stdout == "no complete answer within 0.1 s\n"


def test_the_deadline_holds_on_connecting_and_on_the_tls_handshake(transport):
    with socket.create_server(("127.0.0.1", 0), backlog=1) as silent:  # accepts, and never answers
        problem = ends_without_an_answer(transport, f"https://127.0.0.1:{silent.getsockname()[1]}/x")
    assert problem.failure is Failure.DEADLINE


def test_the_deadline_holds_although_the_loop_itself_is_stuck(transport, liar):
    gate = threading.Event()
    transport._loop.call_soon_threadsafe(gate.wait, 30)
    assert ends_without_an_answer(transport, f"{liar.url}/x").failure is Failure.DEADLINE
    gate.set()


def test_after_a_deadline_the_next_exchange_is_answered(transport, liar):
    liar.rule("/x", lies.hang(), nth=1)
    ends_without_an_answer(transport, f"{liar.url}/x")
    assert transport.exchange("GET", f"{liar.url}/health", deadline_s=2).status == 200


def test_a_body_beyond_the_cap_is_not_read_to_its_end(transport, liar, monkeypatch):
    monkeypatch.setattr(transport_module, "CAP_BYTES", 1000)
    liar.rule("/x", lies.huge(64))
    problem = ends_without_an_answer(transport, f"{liar.url}/x", deadline_s=2)
    assert str(problem).startswith("the answer is longer than 1000 bytes (200, application/json)")


def test_a_body_exactly_at_the_cap_is_read(transport, liar, monkeypatch):
    monkeypatch.setattr(transport_module, "CAP_BYTES", 1000)
    liar.rule("/x", lies.answer(200, b"x" * 1000))
    assert len(transport.exchange("GET", f"{liar.url}/x", deadline_s=2).body) == 1000


def test_a_compressed_body_is_capped_by_its_real_size(transport, liar, monkeypatch):
    monkeypatch.setattr(transport_module, "CAP_BYTES", 10_000)
    liar.rule("/x", lies.answer(200, gzip.compress(b"x" * 1_000_000), headers={"Content-Encoding": "gzip"}))
    assert "longer than 10000 bytes" in str(ends_without_an_answer(transport, f"{liar.url}/x", deadline_s=2))


@pytest.mark.parametrize("behaviour", [lies.hang(), lies.drip_headers(0.02), lies.drip_body(0.02)])
def test_a_stop_cancels_a_call_under_way(transport, liar, behaviour):
    stop, arrived = StopFlag(), threading.Event()

    async def arrive(visit):
        arrived.set()
        await behaviour(visit)

    liar.rule("/x", arrive)
    stopped_at = []

    def interrupt():
        arrived.wait(5)
        stopped_at.append(time.monotonic())
        stop.set("SIGTERM received")

    threading.Thread(target=interrupt).start()
    with pytest.raises(Interrupted, match="cut off while waiting for an answer: SIGTERM received"):
        transport.exchange("GET", f"{liar.url}/x", deadline_s=10, stop=stop)
    assert time.monotonic() - stopped_at[0] < 0.3


def test_nothing_is_sent_after_a_stop(transport, liar):
    stop = StopFlag()
    stop.set("ctrl-c")
    with pytest.raises(Interrupted, match="not sent, ctrl-c"):
        transport.exchange("GET", f"{liar.url}/x", deadline_s=2, stop=stop)
    assert liar.requests == []


def test_one_connection_serves_calls_in_a_row(transport, liar):
    for _ in range(5):
        transport.exchange("GET", f"{liar.url}/health", deadline_s=2)
    assert (len(liar.requests), liar.connections) == (5, 1)


def test_a_connection_that_the_server_dropped_is_not_used_again(transport, liar):
    transport.exchange("GET", f"{liar.url}/health", deadline_s=2)
    with liar.down():
        pass
    assert transport.exchange("GET", f"{liar.url}/health", deadline_s=2).status == 200


def test_several_threads_call_at_once(transport, liar):
    gate, arrived, answers = threading.Event(), threading.Barrier(9), []
    liar.rule("/slow", lies.delayed(gate, lies.answer(200, b"late")))

    def call():
        arrived.wait(5)
        answers.append(transport.exchange("GET", f"{liar.url}/slow", deadline_s=5).body)

    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    arrived.wait(5)
    assert transport.exchange("GET", f"{liar.url}/health", deadline_s=2).status == 200
    assert answers == []
    gate.set()
    for thread in threads:
        thread.join(5)
    assert answers == [b"late"] * 8


def test_proxies_of_the_environment_are_ignored(liar, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    transport = Transport()
    assert transport.exchange("GET", f"{liar.url}/health", deadline_s=2).status == 200
    transport.close()


def test_a_redirect_is_an_answer_and_not_followed(transport, liar):
    liar.rule("/x", lies.answer(302, headers={"Location": "/health"}))
    assert transport.exchange("GET", f"{liar.url}/x", deadline_s=2).status == 302
    assert len(liar.requests) == 1


@pytest.mark.parametrize(
    ("behaviour", "failure", "says"),
    [
        (lies.close(), Failure.UNREACHED, "closed the connection without an answer; did the gateway stop or restart?"),
        (lies.refuse(), Failure.UNREACHED, "the connection to 127.0.0.1:"),
        (lies.cut_body(), Failure.OTHER, "broke off in the middle of its answer"),
        (lies.raw(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"), Failure.OTHER, "did not answer in proper HTTP"),
        (lies.raw(b"HTTP/1.1 200 OK\r\nX: " + b"a" * 300_000), Failure.OTHER, "did not answer in proper HTTP"),
        (lies.answer(200, b"no gzip", headers={"Content-Encoding": "gzip"}), Failure.OTHER, "is not the gzip that"),
    ],
)
def test_a_broken_answer_has_a_reason(transport, liar, behaviour, failure, says):
    liar.rule("/x", behaviour)
    problem = ends_without_an_answer(transport, f"{liar.url}/x", deadline_s=2)
    assert problem.failure is failure
    assert says in str(problem)


def test_a_port_where_nothing_listens_is_named(transport, liar):
    with liar.down():
        problem = ends_without_an_answer(transport, f"{liar.url}/x", deadline_s=2)
    host = liar.url.removeprefix("http://")
    assert problem.failure is Failure.UNREACHED
    assert str(problem) == f"nothing listens at {host} (connection refused); is the gateway running?"


def test_a_name_that_does_not_exist_is_named(transport, monkeypatch):
    def nowhere(*_, **__):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(transport_module.socket, "getaddrinfo", nowhere)
    problem = ends_without_an_answer(transport, "http://gateway.test:8000/x")
    assert problem.failure is Failure.UNREACHED
    assert str(problem) == (
        "the name in gateway.test:8000 cannot be looked up (Name or service not known); check the target's url"
    )


@pytest.mark.parametrize(
    "url", ["localhost:8000/x", "ftp://127.0.0.1/x", "http:///x", "http://127.0.0.1:99999/x", "http://[::1/x"]
)
def test_what_is_no_url_is_named(transport, url):
    problem = ends_without_an_answer(transport, url)
    assert problem.failure is Failure.OTHER
    assert "no http or https URL" in str(problem)


def test_a_header_that_http_forbids_is_refused_without_quoting_it(transport, liar):
    problem = ends_without_an_answer(transport, f"{liar.url}/x", headers={"Authorization": "Bearer se\ncret"})
    assert "header that HTTP does not allow" in str(problem)
    assert "cret" not in str(problem)


def test_a_password_in_the_url_is_not_in_the_reason(transport, liar):
    with liar.down():
        problem = ends_without_an_answer(transport, liar.url.replace("://", "://rollout:hunter2@") + "/x")
    assert "hunter2" not in str(problem)


def test_closing_cuts_what_is_under_way_and_may_be_repeated(liar):
    transport, arrived, outcomes = Transport(), threading.Event(), []

    async def arrive(visit):
        arrived.set()
        await lies.hang()(visit)

    liar.rule("/x", arrive)

    def call():
        try:
            transport.exchange("GET", f"{liar.url}/x", deadline_s=10)
        except NoAnswer as problem:
            outcomes.append(str(problem))

    thread = threading.Thread(target=call)
    thread.start()
    arrived.wait(5)
    with within(1):
        transport.close()
        thread.join(5)
    assert outcomes == ["the client was closed while it waited for an answer"]
    transport.close()
    assert not transport._thread.is_alive()
    with pytest.raises(NoAnswer, match="not sent, the client is closed"):
        transport.exchange("GET", f"{liar.url}/x", deadline_s=10)


def test_a_tls_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(GatewayError, match=r"cannot use .*absent\.pem: .*; check the target's tls settings"):
        Transport(Tls(ca_file=tmp_path / "absent.pem"))


@pytest.fixture
def certificate(tmp_path):
    """A self-signed certificate for 127.0.0.1, and its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed, and nothing else here makes certificates")
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=gateway", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert],
        check=True, capture_output=True,
    )  # fmt: skip
    return cert, key


@pytest.fixture
def tls_server(certificate):
    """The port of a TLS server that answers every connection with an empty 200."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    server = socket.create_server(("127.0.0.1", 0))

    def serve():
        with contextlib.suppress(OSError):
            while True:
                connection, _ = server.accept()
                with contextlib.suppress(OSError), context.wrap_socket(connection, server_side=True) as secure:
                    secure.recv(65536)
                    secure.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    threading.Thread(target=serve, daemon=True).start()
    yield server.getsockname()[1]
    server.close()


def test_a_certificate_of_an_unknown_authority_is_not_trusted(transport, tls_server):
    problem = ends_without_an_answer(transport, f"https://127.0.0.1:{tls_server}/x", deadline_s=2)
    assert problem.failure is Failure.OTHER
    assert "is not trusted (self-signed certificate); name its authority in the target's tls.ca_file" in str(problem)


def test_a_certificate_of_the_targets_own_authority_is_trusted(tls_server, certificate):
    transport = Transport(Tls(ca_file=certificate[0]))
    assert transport.exchange("GET", f"https://127.0.0.1:{tls_server}/x", deadline_s=2).status == 200
    transport.close()


def test_https_to_a_plain_server_is_named(transport):
    server = socket.create_server(("127.0.0.1", 0))

    def serve():
        connection, _ = server.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

    threading.Thread(target=serve, daemon=True).start()
    problem = ends_without_an_answer(transport, f"https://127.0.0.1:{server.getsockname()[1]}/x", deadline_s=2)
    server.close()
    assert "no TLS connection to 127.0.0.1" in str(problem)
    assert "does the gateway speak https there" in str(problem)
