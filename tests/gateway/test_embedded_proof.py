"""The proof that a gateway is the embedded one: one request, within a deadline, without a token."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from rollout.gateway import embedded_proof
from rollout.gateway.embedded_proof import Standing, prove_embedded

TRUE = {
    "kind": "rollout-sandbox",
    "instance": "a1b2",
    "pid": 17,
    "url": "http://127.0.0.1:8000",
    "dir": "/srv/state",
    "env_file": "/srv/state/.env",
    "log_file": "/srv/state/gateway.log",
    "twin_url": "http://127.0.0.1:8000/twin",
    "token_required": False,
    "in_flight": False,
    "stop": ["rollout", "sandbox", "stop"],
    "start": ["rollout", "sandbox", "start"],
}


def http(body: bytes, status: str = "200 OK", kind: str = "application/json", more: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{more}\r\n".encode() + body


@contextmanager
def serving(answer: bytes, *, drip_s: float | None = None) -> Iterator[tuple[str, list[bytes]]]:
    """Answer each connection with these bytes, all at once or one at a time; give the URL and the requests."""
    listener, received = socket.create_server(("127.0.0.1", 0)), list[bytes]()

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                received.append(connection.recv(65536))
                try:
                    for part in [answer] if drip_s is None else [answer[at : at + 1] for at in range(len(answer))]:
                        connection.sendall(part)
                        time.sleep(drip_s or 0)
                except OSError:
                    continue

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", received
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def test_the_embedded_gateways_answer_is_known_and_read():
    with serving(http(json.dumps(TRUE).encode())) as (url, received):
        seen = prove_embedded(url)
    assert (seen.is_embedded, seen.why) == (True, "")
    assert seen.about is not None
    assert (seen.about.staging_url, seen.about.stop) == (TRUE["twin_url"], ("rollout", "sandbox", "stop"))
    assert len(received) == 1
    assert received[0].startswith(b"GET /sandbox/about HTTP/1.1\r\n")
    assert b"authorization" not in received[0].lower()


@pytest.mark.parametrize("key", list(TRUE))
@pytest.mark.parametrize("how", ["missing", "of another type"])
def test_an_answer_of_another_shape_is_another_gateways(key: str, how: str):
    body = {name: value for name, value in TRUE.items() if name != key or how != "missing"}
    if how != "missing":
        body[key] = {"not": "that"}
    seen = embedded_proof._judged(200, "application/json", json.dumps(body).encode())
    assert (seen.standing, seen.why) == (Standing.OTHER, "HTTP 200 with JSON of another shape")


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (http(b'{"detail": "Not Found"}', "404 Not Found"), "HTTP 404"),
        (http(b"", "503 Service Unavailable"), "HTTP 503"),
        (http(json.dumps(TRUE).encode(), "202 Accepted"), "HTTP 202"),
        (http(b"<h1>Welcome</h1>", kind="text/html"), "another type than JSON ('text/html')"),
        (http(b"{not json"), "JSON of another shape"),
        (http(b"\xff\xfe"), "JSON of another shape"),
        (http(b"[" * 9000), "JSON of another shape"),
        (http(b"[]"), "JSON of another shape"),
        (http(json.dumps({**TRUE, "more": "x" * embedded_proof.CAP_BYTES}).encode()), "more than 16384 bytes"),
        (b"SSH-2.0-\x1b[2JOpenSSH_9.2\r\n", "its answer is no proper HTTP"),
        (b"", "no answer: RemoteDisconnected"),
        (http(json.dumps(TRUE).encode())[:-10], "JSON of another shape"),
    ],
    ids=[
        "404",
        "503",
        "202",
        "HTML",
        "no JSON",
        "no UTF-8",
        "deep",
        "a list",
        "too long",
        "no HTTP",
        "closed",
        "cut off",
    ],
)
def test_any_other_answer_is_not_the_embedded_gateways(answer: bytes, why: str):
    with serving(answer) as (url, _):
        seen = prove_embedded(url)
    assert not seen.is_embedded
    assert why in seen.why
    assert seen.why.isprintable()


def test_a_redirect_is_not_followed():
    """The redirect may lead to an embedded gateway; the URL itself is none."""
    with serving(http(json.dumps(TRUE).encode())) as (embedded, received):
        with serving(http(b"", "307 Temporary Redirect", more=f"Location: {embedded}/sandbox/about\r\n")) as (url, _):
            seen = prove_embedded(url)
        assert (seen.standing, seen.why) == (Standing.OTHER, "HTTP 307")
        assert received == []


def test_a_proxy_of_the_environment_is_not_asked():
    """A proxy would get the request for every URL on loopback, and could answer it."""
    env = {**os.environ, **dict.fromkeys(("http_proxy", "HTTP_PROXY", "all_proxy"), "http://127.0.0.1:9")}
    with serving(http(json.dumps(TRUE).encode())) as (url, received):
        code = f"from rollout.gateway.embedded_proof import prove_embedded; print(prove_embedded({url!r}).is_embedded)"
        done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert (done.stdout.strip(), len(received)) == ("True", 1)


def test_a_port_without_a_server_gives_no_answer():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    seen = prove_embedded(f"http://127.0.0.1:{port}")
    assert seen.standing is Standing.SILENT
    assert "Connection refused" in seen.why


@pytest.mark.parametrize("part", ["nothing", "a drip"])
def test_an_answer_that_takes_too_long_is_none(part: str):
    """The deadline is an outer one: an answer of one byte after the other never ends otherwise."""
    answer, drip_s = (http(json.dumps(TRUE).encode()), 0.05) if part == "a drip" else (b"HT", 5.0)
    with serving(answer, drip_s=drip_s) as (url, _):
        began = time.monotonic()
        seen = prove_embedded(url, within_s=0.3)
        assert time.monotonic() - began < 3
    assert (seen.standing, seen.why) == (Standing.SILENT, "no complete answer within 0.3 s")
