"""Sends one call within its deadline, again where its kind allows it, and returns its answer or raises an error.

Every HTTP exchange, retries included, is passed on as evidence, redacted.
"""

from __future__ import annotations

import random
import shlex
from collections.abc import Callable, Sequence
from copy import copy
from importlib.metadata import version
from typing import TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception_type

from rollout.core.clock import NEVER, Clock, StopFlag, format_utc
from rollout.core.errors import GatewayError, Interrupted, Refused, RolloutError
from rollout.core.redaction import Redactor
from rollout.core.target import Target
from rollout.gateway.calls import CHAT, Call, CallKind, Unreached
from rollout.gateway.documents import InvalidResponse
from rollout.gateway.evidence import record_exchange
from rollout.gateway.host.commands import ServiceError, exchange
from rollout.gateway.http_errors import RateLimited, fault
from rollout.gateway.transport import Answer, Exchange, Failure, NoAnswer, Transport

T = TypeVar("T")

TRIES = 3
SHORTEST_WAIT_S = 0.1
LONGEST_OUTPUT = 2 * 1024 * 1024
"""The most bytes that a command which reads may print."""


class Sender:
    """Sends the calls of one gateway. Safe to share between threads."""

    def __init__(
        self,
        target: Target,
        base: str,
        *,
        token: str | None,
        token_env: str | None,
        clock: Clock,
        stop: StopFlag,
        redactor: Redactor,
        on_exchange: Callable[[Exchange], None],
        rollout_id: str | None,
        advise: Callable[[Call, int, str], str],
    ) -> None:
        """Prepare; nothing is sent yet. The arguments are those of `rollout.gateway.client.Gateway`.

        `advise` returns which setting would mend a refused write, given the call, the status and the reason.

        Raises:
            GatewayError: a file of the TLS settings cannot be used.
        """
        self._target = target
        self._base = base
        self._token_env = token_env
        self._clock = clock
        self._stop = stop
        self._redactor = redactor
        self._on_exchange = on_exchange
        self._advise = advise
        self._headers = _headers(target, token, rollout_id)
        # The header marks every completion that the suite requests itself.
        self._synthetic = {**self._headers, "X-Synthetic": f"rollout/{rollout_id}" if rollout_id else "rollout"}
        if token:
            redactor.add(token)
        self._transport = Transport(target.tls, secure=base.casefold().startswith("https:"))

    def uninterruptible(self) -> Sender:
        """Return a sender over the same connections that ignores the stop flag: for a rollback."""
        other = copy(self)
        other._stop = NEVER  # noqa: SLF001 - of its own kind
        return other

    def close(self) -> None:
        """Close the connections, those of ``uninterruptible`` too; a second time does nothing."""
        self._transport.close()

    def send(self, call: Call, parse: Callable[[Answer], T]) -> T:
        """Send `call`, again where its kind allows it, all within one deadline, and return what `parse` makes of it.

        Raises:
            Refused: the gateway refused it.
            GatewayError: there is no answer that `parse` accepts.
            Interrupted: the stop flag was set.
        """
        end = self._clock.monotonic() + self._deadline_s(call)

        def exhausted(state: RetryCallState) -> bool:
            return state.attempt_number >= TRIES or self._clock.monotonic() + state.upcoming_sleep >= end

        retrying = Retrying(
            retry=retry_if_exception_type(call.kind.retried),
            stop=exhausted,
            wait=_pause_s,
            sleep=self._sleep,
            reraise=True,
        )
        try:
            result: T = retrying(self._try, call, parse, end)
        except RateLimited as limited:
            count = retrying.statistics["attempt_number"]
            tries = "once" if count == 1 else f"{count} times"
            wait = "" if limited.retry_after_s is None else f", which asks to wait {limited.retry_after_s:g} s"
            raise Refused(
                limited.call,
                f"{limited.reason}{wait}; tried {tries} within the target's timeouts.{call.kind.deadline} "
                f"({self._deadline_s(call):g} s). Raise the gateway's limit, or the deadline",
                status=limited.status,
            ) from None
        return result

    def run(self, command: Sequence[str], setting: str, kind: CallKind, parse: Callable[[bytes], T]) -> T:
        """Run a command on this host that only reads, and return what `parse` makes of its standard output.

        Args:
            command: the program and its arguments; no shell reads them.
            setting: where the command stands in the target, for messages: ``settings.snapshot``.
            kind: its deadline is the command's; it is never run again.
            parse: raises `InvalidResponse` for an output that cannot be used.

        Raises:
            GatewayError: it cannot be started, failed, did not end in time, or printed what `parse` does not accept.
            Interrupted: the stop flag was set.
        """
        call = Call(setting, "RUN", setting, None, kind)
        at, started = format_utc(self._clock.now()), self._clock.monotonic()
        output: Answer | None = None
        error: str | None = "cut off before its outcome was known"
        try:
            printed = self._printed(command, call)
            output = Answer(0, {}, printed, (self._clock.monotonic() - started) * 1000)
            result = parse(printed)
            error = None
        except (ServiceError, InvalidResponse) as problem:
            error = self._redactor.text(str(problem))
            raise GatewayError(call.name, error) from None
        else:
            return result
        finally:
            elapsed_ms = (self._clock.monotonic() - started) * 1000
            self._on_exchange(record_exchange(self._redactor, shlex.join(command), call, at, output, elapsed_ms, error))

    def _printed(self, command: Sequence[str], call: Call) -> bytes:
        return exchange(
            command,
            timeout_s=self._deadline_s(call),
            clock=self._clock,
            stop=self._stop,
            redact=self._redactor.text,
            setting=f"the target's {call.setting}",
            longest=LONGEST_OUTPUT,
        )

    def _try(self, call: Call, parse: Callable[[Answer], T], end: float) -> T:
        """Send `call` once, and pass the exchange on as evidence, whatever its outcome."""
        at, started = format_utc(self._clock.now()), self._clock.monotonic()
        answer: Answer | None = None
        error: str | None = "cut off before its outcome was known"
        try:
            answer = self._exchange(call, end - started)
            result = self._judged(call, answer, parse)
            error = None
        except RolloutError as problem:
            error = str(problem)
            raise
        else:
            return result
        finally:
            elapsed_ms = answer.elapsed_ms if answer else (self._clock.monotonic() - started) * 1000
            url = self._base + call.path
            self._on_exchange(record_exchange(self._redactor, url, call, at, answer, elapsed_ms, error))

    def _exchange(self, call: Call, left_s: float) -> Answer:
        try:
            return self._transport.exchange(
                call.method,
                self._base + call.path,
                headers=self._synthetic if call.kind is CHAT else self._headers,
                body=call.body,
                deadline_s=left_s,
                stop=self._stop,
            )
        except Interrupted as problem:
            raise Interrupted(f"{call.name}: {problem}") from None
        except NoAnswer as problem:
            raise self._unanswered(call, problem) from None

    def _unanswered(self, call: Call, problem: NoAnswer) -> GatewayError:
        if problem.failure is Failure.DEADLINE:
            kind = call.kind
            return GatewayError(
                call.name,
                f"no complete answer within {self._deadline_s(call):g} s "
                f"(deadline for {kind.meant}; the target's timeouts.{kind.deadline})",
            )
        reason = self._redactor.text(str(problem))
        return (Unreached if problem.failure is Failure.UNREACHED else GatewayError)(call.name, reason)

    def _judged(self, call: Call, answer: Answer, parse: Callable[[Answer], T]) -> T:
        passed_on = call.kind is CHAT
        problem = fault(call.name, call.setting, answer, self._token_advice(), passed_on=passed_on)
        if problem is not None:
            raise self._redacted(problem, self._advice(call, problem))
        try:
            return parse(answer)
        except InvalidResponse as invalid:
            raise GatewayError(call.name, self._redactor.text(str(invalid)), status=answer.status) from None

    def _advice(self, call: Call, problem: GatewayError) -> str:
        if problem.status is None or not isinstance(problem, Refused):
            return ""
        return self._advise(call, problem.status, problem.reason)

    def _redacted(self, problem: GatewayError, advice: str) -> GatewayError:
        reason = self._redactor.text(problem.reason + advice)
        if isinstance(problem, RateLimited):
            return RateLimited(problem.call, reason, problem.retry_after_s)
        return type(problem)(problem.call, reason, status=problem.status)

    def _token_advice(self) -> str:
        sent = "Authorization" in self._headers
        if self._token_env is None:
            return "set the target's token_env" if not sent else "the token that was sent is not accepted"
        if sent:
            return f"the token in the environment variable {self._token_env} is not accepted"
        return f"set the environment variable {self._token_env}, which the target names for its token"

    def _deadline_s(self, call: Call) -> float:
        timeouts = self._target.timeouts
        return {"read": timeouts.read_s, "chat": timeouts.chat_s, "activate": timeouts.activate_s}[call.kind.deadline]

    def _sleep(self, seconds: float) -> None:
        if not self._clock.wait(seconds, self._stop):
            raise Interrupted(f"cut off while waiting to try again: {self._stop.reason}")


def _headers(target: Target, token: str | None, rollout_id: str | None) -> dict[str, str]:
    headers = {"User-Agent": f"rollout/{version('rollout')}", "X-User": target.user}
    if rollout_id:
        headers["X-Rollout-Id"] = rollout_id
    if token:
        headers["Authorization"] = f"Bearer {token.strip()}"
    return headers


def _pause_s(state: RetryCallState) -> float:
    """Return the pause that the gateway asks for, else a growing one; jittered, so that retries spread."""
    problem = state.outcome.exception() if state.outcome else None
    wait_s = problem.retry_after_s if isinstance(problem, RateLimited) else None
    pause_s = SHORTEST_WAIT_S * 2 ** (state.attempt_number - 1) if wait_s is None else max(wait_s, SHORTEST_WAIT_S)
    return pause_s + random.uniform(0, SHORTEST_WAIT_S)
