"""A proxy that lies: everything passes through to the upstream, except what a rule says otherwise.

    with Liar(gateway_url) as liar:
        liar.rule("/metrics", answer(500, {"detail": "boom"}), nth=2)     # the second read of any metrics fails
        liar.rule("/activate", effect_without_success())                  # activates, and answers an error
        rule = liar.rule("/providers$", edited(lambda body: {**body, "active_provider": "vllm"}))
        ...
        rule.remove()
        assert liar.seen("POST", "/activate")[-1].json == {"model": "gpt-4o"}
        with liar.down():                                                 # connection refused
            ...

A rule's path is a regular expression, searched in the request's path with its query. The newest rule that applies
wins. `nth` counts the requests that match that rule, from 1. Behaviours are the lower-case functions below; a new one
is any ``async def behaviour(visit: Visit) -> None``. All of it may be changed while requests are under way.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json as json_module
import re
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Self
from urllib.parse import urlsplit

JSON = "application/json"
UPSTREAM_DEADLINE_S = 60.0
POLL_S = 0.005


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it reached the liar.

    Attributes:
        path: with its query.
        headers: names in lower case.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, parsed; None where there is none."""
        return json_module.loads(self.body) if self.body else None


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer to be sent."""

    status: int
    body: bytes
    content_type: str = JSON
    headers: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Visit:
    """A request that a behaviour has to deal with.

    Attributes:
        request: what was asked.
        forward: asks the upstream, at the request's path or another one, and returns its reply; raises OSError if it
            does not answer.
        writer: the caller's connection.
    """

    request: Request
    forward: Callable[..., Awaitable[Reply]]
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        """Send raw bytes to the caller."""
        self.writer.write(data)
        await self.writer.drain()

    async def reply(self, reply: Reply) -> None:
        """Send a complete answer; the connection stays open."""
        await self.send(head(reply, len(reply.body)) + reply.body)

    def hang_up(self, *, reset: bool = False) -> None:
        """Close the connection, in order or with a reset."""
        if reset:
            linger = b"\x01\0\0\0\0\0\0\0"  # on, 0 s: close sends RST
            self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.writer.transport.abort()
        self.writer.close()


Behaviour = Callable[[Visit], Awaitable[None]]


def head(reply: Reply, length: int) -> bytes:
    """Return the status line and headers of `reply`, announcing a body of `length` bytes."""
    phrase = http.client.responses.get(reply.status, "Unknown")
    extra = "".join(f"{name}: {value}\r\n" for name, value in (reply.headers or {}).items())
    return (
        f"HTTP/1.1 {reply.status} {phrase}\r\nContent-Type: {reply.content_type}\r\nContent-Length: {length}\r\n"
        f"{extra}\r\n"
    ).encode()


def passed_on() -> Behaviour:
    """Forward, and answer what the upstream answers."""
    return edited(None)


def edited(edit: Callable[[Any], Any] | None) -> Behaviour:
    """Forward, and answer the upstream's JSON as `edit` returns it."""

    async def behaviour(visit: Visit) -> None:
        reply = await visit.forward()
        if edit is not None:
            body = json_module.dumps(edit(json_module.loads(reply.body))).encode()
            reply = Reply(reply.status, body, reply.content_type)
        await visit.reply(reply)

    return behaviour


def moved(to: Callable[[str], str]) -> Behaviour:
    """Forward to the path that `to` makes of the request's, and answer what is answered there."""

    async def behaviour(visit: Visit) -> None:
        await visit.reply(await visit.forward(to(visit.request.path)))

    return behaviour


def answer(
    status: int = 200, body: Any = b"", content_type: str = JSON, headers: Mapping[str, str] | None = None
) -> Behaviour:
    """Answer without asking the upstream; with 200 and a success in it, that is *success without effect*.

    Args:
        status: the HTTP status.
        body: bytes and text are sent as they are, everything else as JSON (NaN and Infinity included).
        content_type: as the header says.
        headers: more headers.
    """
    content = body.encode() if isinstance(body, str) else body
    if not isinstance(content, bytes):
        content = json_module.dumps(content).encode()

    async def behaviour(visit: Visit) -> None:
        await visit.reply(Reply(status, content, content_type, headers))

    return behaviour


def html(status: int = 200) -> Behaviour:
    """Answer a web page, as a reverse proxy does for a wrong path."""
    return answer(status, "<html><head><title>Welcome</title></head><body>It works!</body></html>", "text/html")


def empty(status: int = 200) -> Behaviour:
    """Answer no body at all."""
    return answer(status, b"")


def truncated(body: Any, keep: float = 0.5) -> Behaviour:
    """Answer the first part of `body`'s JSON, properly framed: HTTP is satisfied, JSON is not."""
    data = json_module.dumps(body).encode()
    return answer(200, data[: int(len(data) * keep)])


def huge(megabytes: int = 16) -> Behaviour:
    """Answer valid JSON of that size."""
    return answer(200, b'{"padding": "' + b"x" * (megabytes * 1024 * 1024) + b'"}')


def hang() -> Behaviour:
    """Take the request and never answer."""

    async def behaviour(visit: Visit) -> None:  # noqa: ARG001 - the request is not used
        await asyncio.Event().wait()

    return behaviour


def drip_headers(every_s: float = 0.05) -> Behaviour:
    """Answer one byte of a header at a time, for ever."""
    return _dripping(b"HTTP/1.1 200 OK\r\nX-Slow: ", b"a", every_s)


def drip_body(every_s: float = 0.05) -> Behaviour:
    """Answer the headers at once, then one byte of the body at a time, for ever."""
    return _dripping(head(Reply(200, b""), 10_000_000) + b'{"a": "', b"a", every_s)


def _dripping(start: bytes, drop: bytes, every_s: float) -> Behaviour:
    async def behaviour(visit: Visit) -> None:
        await visit.send(start)
        while not visit.writer.is_closing():
            await asyncio.sleep(every_s)
            await visit.send(drop)

    return behaviour


def cut_body(body: bytes = b'{"status": "success"', announced: int = 1000) -> Behaviour:
    """Announce more than is sent, then close."""

    async def behaviour(visit: Visit) -> None:
        await visit.send(head(Reply(200, b""), announced) + body)
        visit.hang_up()

    return behaviour


def raw(data: bytes) -> Behaviour:
    """Send these very bytes, HTTP or not, then close."""

    async def behaviour(visit: Visit) -> None:
        await visit.send(data)
        visit.hang_up()

    return behaviour


def close() -> Behaviour:
    """Take the request and close the connection in order, without an answer."""
    return raw(b"")


def refuse() -> Behaviour:
    """Take the request and reset the connection. For a connection that is refused, see `Liar.down`."""

    async def behaviour(visit: Visit) -> None:
        visit.hang_up(reset=True)

    return behaviour


def effect_without_success(then: Behaviour | None = None) -> Behaviour:
    """Forward, throw the upstream's answer away, then do `then`: by default answer 500."""
    then = then or answer(500, {"detail": "Internal Server Error"})

    async def behaviour(visit: Visit) -> None:
        await visit.forward()
        await then(visit)

    return behaviour


def delayed(until: float | threading.Event, then: Behaviour | None = None) -> Behaviour:
    """Wait for so many seconds, or for the event, then do `then`: by default pass on, even if the caller has left."""
    then = then or passed_on()

    async def behaviour(visit: Visit) -> None:
        if isinstance(until, threading.Event):
            while not until.is_set():  # noqa: ASYNC110 - the event is another thread's
                await asyncio.sleep(POLL_S)
        else:
            await asyncio.sleep(until)
        await then(visit)

    return behaviour


class Rule:
    """What was asked of the liar; `hits` counts the requests that matched, whether or not their turn was the nth."""

    def __init__(self, rules: list[Rule], method: str | None, path: str, nth: int | None, behaviour: Behaviour) -> None:
        """Start counting at 0."""
        self.hits = 0
        self.behaviour = behaviour
        self._rules, self._method, self._path, self._nth = rules, method, re.compile(path), nth

    def applies(self, request: Request) -> bool:
        """Count the request if it matches, and return whether it is this rule's turn."""
        if self._method not in {None, request.method} or not self._path.search(request.path):
            return False
        self.hits += 1
        return self._nth in {None, self.hits}

    def remove(self) -> None:
        """Stop lying about this; a second time does nothing."""
        with contextlib.suppress(ValueError):
            self._rules.remove(self)


class Liar:
    """The proxy, on a free loopback port, in a thread of its own.

    Attributes:
        upstream: where requests are passed on to; may be changed.
        requests: every request so far, in order of arrival.
        connections: how many connections were accepted so far.
    """

    def __init__(self, upstream: str) -> None:
        """Bind the port; listening begins with the ``with`` block."""
        self.upstream = upstream.rstrip("/")
        self.requests: list[Request] = []
        self.connections = 0
        self._rules: list[Rule] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="liar", daemon=True)
        self._port = 0
        self._server: asyncio.Server | None = None
        # asyncio holds them only weakly: one that is to hang for ever would be collected when its caller leaves.
        self._serving: set[asyncio.Task[None] | None] = set()

    @property
    def url(self) -> str:
        """The base URL of the liar."""
        return f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        """Listen."""
        self._thread.start()
        self._do(self._listen())
        return self

    def __exit__(self, *_: object) -> None:
        """Drop every connection and stop listening."""
        self._do(self._silence())
        self._do(self._cancel_everything())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def rule(self, path: str, behaviour: Behaviour, *, method: str | None = None, nth: int | None = None) -> Rule:
        """Lie about requests whose path matches `path`; `nth` limits it to the nth of them."""
        rule = Rule(self._rules, method, path, nth, behaviour)
        self._rules.insert(0, rule)
        return rule

    def clear(self) -> None:
        """Remove every rule."""
        self._rules.clear()

    def seen(self, method: str, path: str = "") -> list[Request]:
        """Return the requests of that method whose path matches the regular expression."""
        return [each for each in list(self.requests) if each.method == method and re.search(path, each.path)]

    @contextmanager
    def down(self) -> Iterator[None]:
        """Refuse connections inside the block and drop the existing ones; afterwards listen on the same port again."""
        self._do(self._silence())
        self._do(self._cancel_everything())
        try:
            yield
        finally:
            self._do(self._listen())

    def _do(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=10)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port, limit=2**20)
        self._port = self._server.sockets[0].getsockname()[1]

    async def _silence(self) -> None:
        if self._server is not None:
            self._server.close()

    async def _cancel_everything(self) -> None:
        own = asyncio.current_task()
        tasks = [task for task in asyncio.all_tasks() if task is not own]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)  # lets the transports close

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        self._serving.add(task)
        try:
            while not writer.is_closing() and (request := await _read_request(reader)) is not None:
                self.requests.append(request)
                await self._behaviour_for(request)(Visit(request, self._forwarder(request), writer))
        except (OSError, http.client.HTTPException, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the caller left, the upstream gave no answer (then neither does the liar), or the liar goes down
        finally:
            self._serving.discard(task)
            with contextlib.suppress(OSError):
                writer.close()

    def _behaviour_for(self, request: Request) -> Behaviour:
        applying = [rule for rule in list(self._rules) if rule.applies(request)]
        return applying[0].behaviour if applying else passed_on()

    def _forwarder(self, request: Request) -> Callable[..., Awaitable[Reply]]:
        async def forward(path: str | None = None) -> Reply:
            return await asyncio.to_thread(_ask, self.upstream, replace(request, path=path or request.path))

        return forward


async def _read_request(reader: asyncio.StreamReader) -> Request | None:
    """Read one request with its body; None when the caller has closed the connection."""
    line = await reader.readline()
    if not line:
        return None
    method, _, rest = line.decode("latin-1").partition(" ")
    path = rest.rpartition(" ")[0]
    headers = {}
    while (header := (await reader.readline()).decode("latin-1").strip()) != "":
        name, _, value = header.partition(":")
        headers[name.strip().lower()] = value.strip()
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Request(method, path, headers, body)


def _ask(upstream: str, request: Request) -> Reply:
    parts = urlsplit(upstream)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=UPSTREAM_DEADLINE_S)
    hop_by_hop = {"host", "connection", "content-length", "transfer-encoding"}
    headers = {name: value for name, value in request.headers.items() if name not in hop_by_hop}
    try:
        connection.request(request.method, parts.path + request.path, request.body or None, headers)
        response = connection.getresponse()
        kept = {
            name: value
            for name, value in response.getheaders()
            if name.lower() not in {"content-type", "content-length", "connection", "transfer-encoding", "keep-alive"}
        }
        return Reply(response.status, response.read(), response.getheader("content-type", JSON), kept)
    finally:
        connection.close()
