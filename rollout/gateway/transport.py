"""One HTTP exchange with an outer deadline and a cap on the body.

httpx has no total deadline: an answer that arrives byte by byte outlasts every timeout of httpx. So the exchange runs
on a private event loop, and the calling thread waits for it until the deadline at most, in every stage of the exchange:
name look-up, connect, TLS, headers or body.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import math
import socket
import ssl
import sys
import threading
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, InvalidStateError, wait
from dataclasses import dataclass
from enum import Enum
from typing import Any

from rollout.core.clock import NEVER, SLICE_S, StopFlag
from rollout.core.errors import GatewayError, Interrupted
from rollout.core.target import Tls
from rollout.gateway.decoding import Body, TooLong, Unreadable

# httpx loads its command line where click and rich are installed: a tenth of a second for code that is not called here.
# httpx works without that module.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]  # None prevents an import, which typeshed does not know
import httpx  # noqa: E402 - after the line that prevents its command line

CAP_BYTES = 2 * 1024 * 1024
"""The longest body that is read, as received and as decoded."""

# Shorter than any server's own (gunicorn: 2 s), so that an idle connection is never lost to a race with its closing.
_KEEP_ALIVE_S = 1.0
_CLOSE_S = 1.0


@dataclass(frozen=True, slots=True)
class Answer:
    """The gateway's answer, whatever its status.

    Attributes:
        status: the HTTP status.
        headers: names in lower case.
        body: complete, decoded from one content coding at most, at most the cap.
        elapsed_ms: from the request to the last byte.
        arrivals: (bytes of the body so far, milliseconds since the request), in order, a millisecond apart at least.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    elapsed_ms: float
    arrivals: tuple[tuple[int, float], ...] = ()

    def arrival_ms(self, length: int) -> float:
        """Return the milliseconds from the request until so many bytes of the body had arrived, to a millisecond."""
        index = bisect_left(self.arrivals, (length, -math.inf))
        return self.arrivals[index][1] if index < len(self.arrivals) else self.elapsed_ms


@dataclass(frozen=True, slots=True)
class Exchange:
    """One HTTP exchange as evidence; every field is redacted.

    Attributes:
        at: when it began, UTC.
        call: method and path.
        method: the HTTP method.
        url: complete, with its query.
        request_body: the JSON that was sent; None where there was none.
        status: None where no answer came.
        answer: its JSON, or its text; cut at 4 kB.
        elapsed_ms: until the last byte, or until the exchange was given up.
        error: why the answer was not accepted; None where it was.
        bare: where the answer held a secret that the gateway had not masked: dotted paths, empty for a text.
    """

    at: str
    call: str
    method: str
    url: str
    request_body: Any
    status: int | None
    answer: Any
    elapsed_ms: float
    error: str | None
    bare: tuple[str, ...] = ()


class Arrivals:
    """The times at which the parts of a body arrived; parts within a millisecond count as one, so that few are kept."""

    def __init__(self) -> None:
        """Start with nothing."""
        self._noted: list[tuple[int, float]] = []

    def note(self, length: int, at_ms: float) -> None:
        """Note that so many bytes had arrived by then."""
        if self._noted and at_ms - self._noted[-1][1] < 1:
            self._noted[-1] = (length, self._noted[-1][1])
        else:
            self._noted.append((length, at_ms))

    def noted(self) -> tuple[tuple[int, float], ...]:
        """Return the lengths and their times."""
        return tuple(self._noted)


class Failure(Enum):
    """How an exchange ended without an answer."""

    UNREACHED = "the request was not taken: no connection, or closed before a byte of an answer"
    DEADLINE = "no complete answer in time"
    OTHER = "anything else"


@dataclass(frozen=True, slots=True)
class Peer:
    """The called service, as messages name it.

    Attributes:
        name: the service's name.
        url: the setting with its address.
        tls: the setting with its TLS files.
    """

    name: str = "the gateway"
    url: str = "the target's url"
    tls: str = "the target's tls"


GATEWAY = Peer()


class NoAnswer(Exception):
    """An exchange without a complete answer; the message is the reason, for the operator."""

    def __init__(self, failure: Failure, reason: str) -> None:
        """Keep the failure, which decides about a retry."""
        self.failure = failure
        super().__init__(reason)


class _Loop(asyncio.SelectorEventLoop):
    """An event loop whose name look-ups cannot delay the end of the process.

    The standard loop resolves names in a pool whose threads are joined at exit, and a resolver may hang for a minute.
    """

    async def getaddrinfo(self, host: Any, port: Any, **options: Any) -> Any:
        found: Future[Any] = Future()

        def look_up() -> None:
            with contextlib.suppress(InvalidStateError):  # the deadline may have cancelled it
                try:
                    found.set_result(socket.getaddrinfo(host, port, **options))
                except OSError as problem:
                    found.set_exception(problem)

        threading.Thread(target=look_up, name="gateway-look-up", daemon=True).start()
        return await asyncio.wrap_future(found)


class Transport:
    """Exchanges over HTTP, several at once, from any thread; connections are kept alive between them.

    Proxies and other settings of the environment are ignored, and redirects are not followed.
    """

    def __init__(self, tls: Tls | None = None, *, secure: bool = True, peer: Peer = GATEWAY) -> None:
        """Start the private event loop in a daemon thread.

        Args:
            tls: the trusted authorities, and the client certificate.
            secure: whether https is used at all; with plain http the system's authorities are not loaded.
            peer: the called service, for messages.

        Raises:
            GatewayError: a file that `tls` names cannot be used.
        """
        self._peer = peer
        self._client = httpx.AsyncClient(
            verify=_tls_context(tls or Tls(), peer) if secure else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
            trust_env=False,
            follow_redirects=False,
            timeout=None,  # noqa: S113 - the outer deadline is the only one that holds
            limits=httpx.Limits(keepalive_expiry=_KEEP_ALIVE_S),
            headers={"Accept": "application/json", "Accept-Encoding": "identity"},
        )
        self._loop = _Loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="gateway-transport", daemon=True)
        self._thread.start()

    def exchange(
        self,
        method: str,
        url: str,
        *,
        deadline_s: float,
        headers: Mapping[str, str] | None = None,
        body: Any = None,
        stop: StopFlag = NEVER,
    ) -> Answer:
        """Send one request, its body as JSON, and return the complete answer, whatever its status.

        Raises:
            NoAnswer: no complete answer below the cap came by `deadline_s`.
            Interrupted: `stop` was set; noticed within 50 ms, and nothing is sent if it was set before.
        """
        if stop:
            raise Interrupted(f"not sent, {stop.reason}")
        if self._loop.is_closed():
            raise NoAnswer(Failure.OTHER, "not sent, the client is closed")
        future = asyncio.run_coroutine_threadsafe(self._exchange(method, url, headers or {}, body), self._loop)
        try:
            return self._await(future, deadline_s, stop)
        finally:
            future.cancel()

    def close(self) -> None:
        """Cancel the running exchanges, close the connections and end the thread; a second time does nothing."""
        if self._loop.is_closed():
            return
        closing = asyncio.run_coroutine_threadsafe(self._close(), self._loop)
        wait([closing], timeout=_CLOSE_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_CLOSE_S)
        if not self._thread.is_alive():
            self._loop.close()

    def _await(self, future: Future[Answer], deadline_s: float, stop: StopFlag) -> Answer:
        end = self._loop.time() + deadline_s
        while not future.done():
            left = end - self._loop.time()
            if left <= 0:
                raise NoAnswer(Failure.DEADLINE, f"no complete answer within {deadline_s:g} s")
            if stop:
                raise Interrupted(f"cut off while waiting for an answer: {stop.reason}")
            wait([future], timeout=min(left, SLICE_S))
        if future.cancelled():
            raise NoAnswer(Failure.OTHER, "the client was closed while it waited for an answer")
        return future.result()

    async def _close(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._client.aclose()

    async def _exchange(self, method: str, url: str, headers: Mapping[str, str], body: Any) -> Answer:
        started = self._loop.time()
        try:
            # Bytes, because httpx refuses header text beyond ASCII, and a header holds the user's name.
            sent = [(name.encode(), value.encode()) for name, value in headers.items()]
            content = None
            if body is not None:
                sent.append((b"Content-Type", b"application/json"))
                content = json.dumps(body).encode()
            async with self._client.stream(method, url, headers=sent, content=content) as response:
                complete, arrivals = await self._read(response, started)
        except NoAnswer:
            raise
        except Exception as problem:  # httpx lets OSError, OverflowError and groups through
            raise NoAnswer(*_explain(problem, _host(url), self._peer)) from problem
        elapsed_ms = (self._loop.time() - started) * 1000
        return Answer(response.status_code, dict(response.headers), complete, elapsed_ms, arrivals)

    async def _read(self, response: httpx.Response, started: float) -> tuple[bytes, tuple[tuple[int, float], ...]]:
        kind = response.headers.get("content-type", "no content type")
        try:
            body, arrivals = Body(response.headers.get("content-encoding", ""), CAP_BYTES), Arrivals()
            async for piece in response.aiter_raw():
                body.feed(piece)
                arrivals.note(body.length, (self._loop.time() - started) * 1000)
            return body.complete(), arrivals.noted()
        except TooLong:
            raise NoAnswer(
                Failure.OTHER,
                f"the answer is longer than {CAP_BYTES} bytes ({response.status_code}, {kind}) and was not "
                f"read to its end; is this {self._peer.name}'s base URL?",
            ) from None
        except Unreadable as problem:
            raise NoAnswer(
                Failure.OTHER,
                f"the answer {problem} ({response.status_code}, {kind}) and is not read; it was asked for as it is "
                f"(Accept-Encoding: identity), so look at {self._peer.name} and at the proxies in front of it",
            ) from None


def _tls_context(tls: Tls, peer: Peer) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=tls.ca_file)
        if tls.client_cert is not None:
            context.load_cert_chain(tls.client_cert, tls.client_key)
    except OSError as problem:  # ssl.SSLError is one
        named = ", ".join(str(file) for file in (tls.ca_file, tls.client_cert, tls.client_key) if file is not None)
        raise GatewayError(
            "TLS", f"cannot use {named}: {problem.strerror or problem}; check {peer.tls} settings"
        ) from problem
    return context


def _host(url: str) -> str:
    """Return ``host:port``, for messages: never the user's part of a URL, which may hold a password."""
    with contextlib.suppress(httpx.InvalidURL):
        parsed = httpx.URL(url)
        port = parsed.port or {"http": 80, "https": 443}.get(parsed.scheme)
        return f"{parsed.host}:{port}" if parsed.host and port else url
    return url


def _causes(problem: BaseException) -> Iterator[BaseException]:
    """Yield `problem` and its causes, members of groups included."""
    beneath = problem.__cause__ or problem.__context__
    yield problem
    for member in problem.exceptions if isinstance(problem, BaseExceptionGroup) else ():
        yield from _causes(member)
    if beneath is not None:
        yield from _causes(beneath)


def _explain(problem: Exception, host: str, peer: Peer) -> tuple[Failure, str]:
    """Return how the exchange failed, from what httpx raised, and what happened, why, and the remedy."""
    for cause in _causes(problem):
        match cause:
            case ssl.SSLError():
                return Failure.OTHER, _tls_reason(cause, host, peer)
            case socket.gaierror():
                return Failure.UNREACHED, f"the name in {host} cannot be looked up ({cause.strerror}); check {peer.url}"
            case ConnectionRefusedError():
                return Failure.UNREACHED, f"nothing listens at {host} (connection refused); is {peer.name} running?"
            case OSError(errno=errno.EHOSTUNREACH | errno.ENETUNREACH):
                return (
                    Failure.UNREACHED,
                    f"{host} cannot be reached ({cause.strerror}); check {peer.url} and the network",
                )
    return _broken(problem, host, peer)


def _tls_reason(problem: ssl.SSLError, host: str, peer: Peer) -> str:
    if isinstance(problem, ssl.SSLCertVerificationError):
        return (
            f"the certificate of {host} is not trusted ({problem.verify_message}); name its authority in "
            f"{peer.tls}.ca_file"
        )
    why = (problem.reason or str(problem)).replace("_", " ").lower()
    return f"no TLS connection to {host} ({why}); does {peer.name} speak https there, and want a client certificate?"


def _broken(problem: Exception, host: str, peer: Peer) -> tuple[Failure, str]:
    text = str(problem) or type(problem).__name__
    match problem:
        case httpx.UnsupportedProtocol() | httpx.InvalidURL() | OverflowError() | ExceptionGroup():
            return Failure.OTHER, f"{host} is no http or https URL that can be called; check {peer.url}"
        case httpx.ConnectError():
            return Failure.UNREACHED, f"no connection to {host} ({text}); is {peer.name} running?"
        case httpx.RemoteProtocolError():
            return _improper(text, host, peer)
        case httpx.NetworkError():
            return Failure.UNREACHED, f"the connection to {host} broke ({text}); did {peer.name} stop or restart?"
        case httpx.LocalProtocolError():
            # Its text quotes the header, and the header may be the token.
            return (
                Failure.OTHER,
                "the request has a header that HTTP does not allow; is there a line feed in the token?",
            )
    return Failure.OTHER, f"the call to {host} failed ({type(problem).__name__}: {text})"


def _improper(text: str, host: str, peer: Peer) -> tuple[Failure, str]:
    """Distinguish what httpx raises as one error: no answer, half an answer, and one that is not HTTP."""
    if "without sending a response" in text:
        return Failure.UNREACHED, f"{host} closed the connection without an answer; did {peer.name} stop or restart?"
    if "without sending complete" in text:
        return Failure.OTHER, f"{host} broke off in the middle of its answer; did {peer.name} stop or restart?"
    return Failure.OTHER, f"{host} did not answer in proper HTTP ({text}); is this {peer.name}'s base URL?"
