"""Why a provider is offline or degraded: what the gateway answers, which known causes fit it, what to try.

`diagnose` is pure. `diagnose_provider` calls the gateway for `DEADLINE_S` at most, after the rollback, so that it never
delays the rollback.
"""

from __future__ import annotations

import queue
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Any, TypeVar

from rollout.core.clock import Clock
from rollout.core.errors import RolloutError
from rollout.gateway.client import Gateway
from rollout.gateway.responses import Connection, ConnectionTest, Preflight

T = TypeVar("T")

DEADLINE_S = 5.0
"""All calls of one diagnosis end within this time."""


class Cause(StrEnum):
    """Why a provider is out of reach; several causes fit where the gateway's messages do not distinguish them."""

    KEY_MISSING = "key missing"
    KEY_REFUSED = "key refused"
    ENDPOINT_WRONG = "endpoint wrong"
    SERVICE_DOWN = "service down"
    SERVICE_FAILING = "service up and failing"
    OVERLOADED = "quota or rate limit used up"
    NETWORK = "network"
    GATEWAY = "the gateway itself"
    PASSED = "passed already"
    UNKNOWN = "unknown"


_TRY: Mapping[Cause, str] = {
    Cause.KEY_MISSING: "set the provider's API key in the gateway's environment, restart it, and run its preflight",
    Cause.KEY_REFUSED: "renew the provider's API key; it may be revoked, expired, or another account's",
    Cause.ENDPOINT_WRONG: "compare the provider's endpoint in the gateway's configuration with where it really listens",
    Cause.SERVICE_DOWN: "look whether the provider's service runs where the gateway expects it, and start it",
    Cause.SERVICE_FAILING: "read the provider's own log and status page; it is reached, and answers with an error",
    Cause.OVERLOADED: "look at the provider's quota and rate limits; raise them, or send less",
    Cause.NETWORK: "from the gateway's host: resolve the name, connect to the port, look at proxy, firewall and TLS",
    Cause.GATEWAY: "look at the gateway first: it gave no answer about its provider",
    Cause.PASSED: "look for what made it flap: its connection test succeeds now",
    Cause.UNKNOWN: "run the provider's connection test and preflight, and read the gateway's log",
}


@dataclass(frozen=True, slots=True)
class Seen:
    """What the gateway answered about a provider; None for a call that was not made, or not answered.

    Attributes:
        status: the connection status that was bad.
        tested: the connection test.
        preflight: the preflight.
        unanswered: why a call gave no answer.
    """

    status: Connection | None = None
    tested: ConnectionTest | None = None
    preflight: Preflight | None = None
    unanswered: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What is known of a provider that is out of reach.

    Attributes:
        provider: whose.
        reason_code: the gateway's machine word for the reason; None where it gives none.
        causes: the known causes that fit, the likeliest first; at least one.
        evidence: what the gateway answered, a line for each answer.
        advice: what to try, a line for each cause.
    """

    provider: str
    reason_code: str | None
    causes: tuple[Cause, ...]
    evidence: tuple[str, ...]
    advice: tuple[str, ...]

    def __str__(self) -> str:
        """Return a line such as ``openai looks like: key missing (missing_api_key)``."""
        code = f" ({self.reason_code})" if self.reason_code else ""
        return f"{self.provider} looks like: {' or '.join(self.causes)}{code}"

    def text(self) -> str:
        """Return the diagnosis with evidence and advice, a line for each part."""
        lines = [str(self), *(f"seen: {line}" for line in self.evidence), *(f"try: {line}" for line in self.advice)]
        return "\n".join(lines)


def diagnose(provider: str, seen: Seen) -> Diagnosis:
    """Return the causes that fit the answers; a call that was not made counts for nothing."""
    causes = tuple(dict.fromkeys(_causes(seen))) or (Cause.UNKNOWN,)
    code = next((part.reason_code for part in (seen.status, seen.tested) if part and part.reason_code), None)
    return Diagnosis(provider, code, causes, tuple(_evidence(seen)), tuple(_TRY[cause] for cause in causes))


def diagnosed(provider: str, seen: Seen) -> Diagnosis | None:
    """Return the diagnosis where an answer is bad or missing, None where none is."""
    unready = seen.preflight is not None and not seen.preflight.ready
    is_called_for = seen.unanswered or unready or any(_bad_answers(seen))
    return diagnose(provider, seen) if is_called_for else None


def start_thread(work: Callable[[], None]) -> None:
    """Run `work` in a daemon thread: a call that hangs does not keep the process alive."""
    threading.Thread(target=work, name="rollout-diagnosis", daemon=True).start()


def diagnose_provider(
    gateway: Gateway,
    provider: str,
    status: Connection | None,
    clock: Clock,
    start: Callable[[Callable[[], None]], None] = start_thread,
) -> Seen:
    """Run connection test and preflight, and return their results within `DEADLINE_S`; nothing is raised.

    Args:
        gateway: the gateway that is called.
        provider: the provider's name.
        status: the bad status that was seen; None reads it now.
        clock: measures the deadline.
        start: runs a call; tests run it in place.
    """
    end = clock.monotonic() + DEADLINE_S
    unanswered: list[str] = []

    def answer(name: str, call: Callable[[str], T]) -> T | None:
        results: queue.SimpleQueue[T | RolloutError] = queue.SimpleQueue()
        start(partial(_deliver, results, call, provider))
        result = clock.receive(results, max(0.0, end - clock.monotonic()))
        if result is None or isinstance(result, RolloutError):
            unanswered.append(f"{name}: {result or f'no answer within {DEADLINE_S:g} s'}")
            return None
        return result

    try:
        status = status or answer("status", gateway.status)
        tested = answer("connection test", gateway.test_connection)
        ready = answer("preflight", gateway.preflight)
    except RuntimeError as error:
        return Seen(status, unanswered=(f"the call could not be started: {error}",))
    return Seen(status, tested, ready, tuple(unanswered))


def _deliver(results: queue.SimpleQueue[Any], call: Callable[[str], Any], provider: str) -> None:
    try:
        results.put(call(provider))
    except RolloutError as error:
        results.put(error)
    except Exception as error:  # noqa: BLE001 - the caller must not wait for an answer that cannot come
        results.put(RolloutError(f"a defect in the suite: {type(error).__name__}: {error}"))


def _causes(seen: Seen) -> Iterator[Cause]:
    if seen.tested is not None and seen.tested.succeeded and (seen.preflight is None or seen.preflight.ready):
        yield Cause.PASSED
    yield from _of_checks(seen.preflight)
    bad = list(_bad_answers(seen))
    for code, message in bad:
        yield from _CODES.get(code.casefold(), ())
        yield from (cause for pattern, cause in _WORDS if pattern.search(message))
    # Last, because it fits whenever anything does not answer: more precise causes come first.
    if any(code.casefold() in _UNREACHED or _REFUSED.search(message) for code, message in bad):
        yield from (Cause.SERVICE_DOWN, Cause.ENDPOINT_WRONG, Cause.NETWORK)
    if seen.unanswered and seen.tested is None and seen.preflight is None:
        yield Cause.GATEWAY


def _of_checks(preflight: Preflight | None) -> Iterator[Cause]:
    checks = {} if preflight is None else preflight.checks
    credentials, endpoint = checks.get("credentials"), checks.get("endpoint")
    if credentials is not None and not credentials.passed:
        yield Cause.KEY_MISSING if credentials.status.casefold() in _ABSENT else Cause.KEY_REFUSED
    if endpoint is not None and not endpoint.passed:
        yield Cause.ENDPOINT_WRONG


def _bad_answers(seen: Seen) -> Iterator[tuple[str, str]]:
    """Yield (reason code, message) of every answer that is bad."""
    if seen.status is not None and seen.status.status != "connected":
        yield seen.status.reason_code or "", seen.status.message or ""
    if seen.tested is not None and not seen.tested.succeeded:
        yield seen.tested.reason_code or "", seen.tested.message
    if seen.preflight is not None:
        yield from (("", check.message or "") for check in seen.preflight.checks.values() if not check.passed)


def _evidence(seen: Seen) -> Iterator[str]:
    if seen.status is not None:
        yield f"status {_describe_answer(seen.status.status, seen.status.reason_code, seen.status.message)}"
    if seen.tested is not None:
        word = "succeeds" if seen.tested.succeeded else f"fails, {seen.tested.connection_status}"
        yield f"connection test {_describe_answer(word, seen.tested.reason_code, seen.tested.message)}"
    if seen.preflight is not None:
        failed = [
            f"{name} {_describe_answer(c.status, None, c.message)}"
            for name, c in seen.preflight.checks.items()
            if not c.passed
        ]
        yield f"preflight {'ready' if seen.preflight.ready else 'not ready'}{': ' if failed else ''}{', '.join(failed)}"
    yield from seen.unanswered


def _describe_answer(word: str, code: str | None, message: str | None) -> str:
    return f"{word}{f' ({code})' if code else ''}{f': {message}' if message else ''}"


_ABSENT = frozenset({"missing", "not_configured", "absent"})
_UNREACHED = frozenset({"connection_failed", "connection_refused", "connection_error", "unreachable"})
_CODES: Mapping[str, tuple[Cause, ...]] = {
    "missing_api_key": (Cause.KEY_MISSING,),
    "invalid_api_key": (Cause.KEY_REFUSED,),
    "authentication_failed": (Cause.KEY_REFUSED,),
    "unauthorized": (Cause.KEY_REFUSED,),
    "invalid_endpoint": (Cause.ENDPOINT_WRONG,),
    "missing_endpoint": (Cause.ENDPOINT_WRONG,),
    "rate_limited": (Cause.OVERLOADED,),
    "quota_exceeded": (Cause.OVERLOADED,),
    "timeout": (Cause.NETWORK, Cause.SERVICE_FAILING),
    "dns_error": (Cause.NETWORK, Cause.ENDPOINT_WRONG),
    "ssl_error": (Cause.NETWORK,),
}
_REFUSED = re.compile(r"unable to connect|connection refused|could not connect|failed to connect", re.IGNORECASE)
_WORDS: tuple[tuple[re.Pattern[str], Cause], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), cause)
    for pattern, cause in (
        (r"\bkey (is )?(not configured|missing|not set)|\bmissing \w*key", Cause.KEY_MISSING),
        (
            r"\bHTTP 40[13]\b|unauthori[sz]ed|forbidden|(invalid|expired|incorrect|revoked)[\w ]* key",
            Cause.KEY_REFUSED,
        ),
        (r"\bHTTP 40[45]\b|\bHTTP 410\b|invalid url|unknown url|no such path", Cause.ENDPOINT_WRONG),
        (r"\bHTTP 5\d\d\b", Cause.SERVICE_FAILING),
        (r"\bHTTP 429\b|quota|too many requests", Cause.OVERLOADED),
        (
            r"timed? ?out|name resolution|unknown host|no route|unreachable|certificate|\btls\b|\bssl\b",
            Cause.NETWORK,
        ),
    )
)
