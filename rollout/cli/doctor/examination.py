"""The examination of a gateway: what it answers, how it deviates, and what the suite can guarantee there.

Nothing is written, no provider is called, and nothing is asked that may cost money. What only reads is sent as GET. A
call that writes or may cost (`rollout.gateway.costs`, ``/health`` among them) is probed with OPTIONS, which
executes nothing: 404 means that it is absent, 405 that it exists. Where the gateway serves an OpenAPI document, that
says where a call is, and whether it exists where OPTIONS does not tell.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

from pydantic_core import from_json

from rollout.cli.doctor.deviations import find_deviations
from rollout.cli.doctor.findings import ACCORDING, Findings, ProbedCall, ProbedCalls
from rollout.cli.doctor.guarantees import find_guarantees
from rollout.cli.doctor.stated_settings import certain_settings, local_activation
from rollout.cli.doctor.target_file import build_target
from rollout.config.urls import base_url
from rollout.core.clock import Clock, SystemClock
from rollout.core.errors import InvalidInput, Problem, RolloutError
from rollout.gateway import documents, openapi, parsing
from rollout.gateway.caching import stale_for_s
from rollout.gateway.endpoints import DEFAULTS, filled_path
from rollout.gateway.transport import Answer, NoAnswer, Transport

DEADLINE_S = 5.0
TRIES = 3
MOST_PROVIDERS = 10
OK, NOT_FOUND, NOT_ALLOWED, BUSY = 200, 404, 405, 429
DENIED = (401, 403)

_CALLS: Mapping[str, Callable[[Answer], Any]] = {
    "providers": parsing.providers,
    "runtime_config": parsing.runtime_config,
    "system_status": parsing.boot_id,
    "alerts": parsing.alerts,
    "governance": parsing.governance,
    "audit": parsing.audit,
}
_OF_PROVIDERS: Mapping[str, Callable[[Answer], Any]] = {
    "status": parsing.status,
    "metrics": parsing.metrics,
    "provider_health": parsing.provider_health,
}
_NEVER_SENT = ("health", "test_connection", "preflight", "activate", "limits", "chat")
"""Calls that write or may cost money: they are probed with OPTIONS only."""


def read_address(gateway: str, token_env: str | None, env: Mapping[str, str]) -> tuple[str, str | None]:
    """Return the base URL, and the token; None where none is sent.

    Raises:
        RolloutError: the URL is none, or the token's variable is not set.
    """
    try:
        url = base_url(gateway)
    except ValueError as problem:
        raise InvalidInput([Problem("--gateway", None, "", str(problem))]) from None
    if token_env and not env.get(token_env):
        raise RolloutError(f"--token-env: the environment variable {token_env} is not set")
    return url, env[token_env].strip() if token_env else None


def examine(
    url: str,
    name: str,
    token_env: str | None,
    token: str | None,
    clock: Clock | None = None,
    announce: Callable[[str], None] = lambda _: None,
) -> Findings:
    """Probe every call once, reading only, and return what was found; `announce` receives each call before it is sent.

    Args:
        url: the base URL.
        name: what the target is called.
        token_env: the variable with the token.
        token: the token.
        clock: times the pauses.
        announce: receives what is sent.
    """
    seen = _probe(url, token, clock or SystemClock(), announce)
    target = build_target(url, seen, token_env)
    return Findings(
        url,
        name,
        token_env,
        calls=tuple(seen.calls.values()),
        deviations=tuple(find_deviations(seen, token_env)),
        guarantees=find_guarantees(seen),
        target=target,
        certain=certain_settings(seen, target),
        local_activation=local_activation(seen),
    )


def _probe(url: str, token: str | None, clock: Clock, announce: Callable[[str], None]) -> ProbedCalls:
    headers = {"User-Agent": "rollout doctor"} | ({"Authorization": f"Bearer {token}"} if token else {})
    transport, seen = Transport(secure=url.startswith("https:")), ProbedCalls()
    try:
        _probe_all(_Prober(transport, url, headers, clock, seen, announce))
    finally:
        transport.close()
    return seen


@dataclass(frozen=True, slots=True)
class _Prober:
    """Sends GET or OPTIONS, up to `TRIES` times on 429."""

    transport: Transport
    url: str
    headers: Mapping[str, str]
    clock: Clock
    seen: ProbedCalls
    announce: Callable[[str], None]

    def ask(self, name: str, path: str, parse: Callable[[Answer], Any] | None) -> None:
        """Probe a call once, and keep the result; without `parse`, only whether the call exists."""
        # Without the provider's name, which is text of the gateway.
        what = name.split(maxsplit=1)[0].rstrip(",")
        self.announce(f"examining the gateway: call {len(self.seen.calls) + 1}, {what} ({DEADLINE_S:g} s at most)")
        self.seen.calls[name] = self._probed(name, path, parse)

    def _probed(self, name: str, path: str, parse: Callable[[Answer], Any] | None) -> ProbedCall:
        try:
            answer = self._answer("GET" if parse else "OPTIONS", path)
        except NoAnswer as problem:
            return ProbedCall(name, path, answers=False, result=str(problem))
        if parse is None:
            answers, result = _existence(name, answer.status, self.seen)
            return ProbedCall(name, path, answers, result, answer.status)
        document = _json(answer)
        if answer.status != OK:
            return ProbedCall(name, path, answers=False, result=_why(answer, document), status=answer.status)
        try:
            parse(answer)
        except documents.InvalidResponse as problem:
            return ProbedCall(name, path, answers=False, result=str(problem), status=OK, document=document)
        return ProbedCall(
            name,
            path,
            answers=True,
            result=f"as documented, {answer.elapsed_ms:.0f} ms",
            status=OK,
            document=document,
            stale_for_s=stale_for_s(answer.headers),
        )

    def _answer(self, method: str, path: str) -> Answer:
        for _ in range(TRIES):
            answer = self.transport.exchange(method, self.url + path, headers=self.headers, deadline_s=DEADLINE_S)
            if answer.status != BUSY:
                break
            self.seen.busy += 1
            self.clock.wait(0.1)
        return answer


def _probe_all(asker: _Prober) -> None:
    seen = asker.seen
    for name, parse in _CALLS.items():
        asker.ask(name, DEFAULTS[name], parse)
    _read_document(asker)
    for each in seen.providers[:MOST_PROVIDERS]:
        for name, parse in _OF_PROVIDERS.items():
            asker.ask(f"{name} {each['name']}", filled_path(seen.path_of(name), provider=each["name"]), parse)
    provider = quote(seen.providers[0]["name"], safe="") if seen.providers else "none"
    for name in _NEVER_SENT:
        asker.ask(name, seen.path_of(name).replace("{provider}", provider), None)
    for name in ("health, elsewhere", "chat, elsewhere", "activate, elsewhere"):
        if name != "health, elsewhere" or not seen.answers("health"):
            asker.ask(name, seen.path_of(name), None)


def _read_document(asker: _Prober) -> None:
    """Read the OpenAPI document, and send each call that has not answered to the path that the document states."""
    seen = asker.seen

    def believe(answer: Answer) -> None:
        seen.api = openapi.api_document(answer)

    asker.ask("openapi", openapi.PATH, believe)
    found = seen.calls["openapi"]
    stated = "what is never sent is only guessed"
    if seen.api is not None:
        stated = f"it states {len(seen.api.calls.keys() & DEFAULTS.keys())} of {len(DEFAULTS)} calls"
    seen.calls["openapi"] = replace(found, result=f"{found.result}; {stated}")
    for name, parse in _CALLS.items():
        if not seen.answers(name) and seen.path_of(name) != DEFAULTS[name]:
            asker.ask(name, seen.path_of(name), parse)


def _existence(name: str, status: int, seen: ProbedCalls) -> tuple[bool, str]:
    """Return whether a call that was never sent is there, by the status of OPTIONS and the document, and why."""
    stated = seen.states(name)
    if status == NOT_FOUND:
        return False, f"it is not there{f', although {openapi.PATH} states it' if stated else ''}"
    if stated:
        return True, f"it is there, {ACCORDING}, and was not sent"
    if status == NOT_ALLOWED:
        return True, "it is there, and was not sent"
    if seen.api is not None:
        return False, f"it is not there, {ACCORDING}"
    return True, f"{status}: it may be there, and was not sent"


def _why(answer: Answer, document: Mapping[str, Any]) -> str:
    if answer.status in DENIED:
        return f"{answer.status}: it asks for a token; name its variable with --token-env"
    return f"{answer.status}: {documents.describe_error(document)}" if document else str(answer.status)


def _json(answer: Answer) -> Mapping[str, Any]:
    try:
        # The standard library's fails with another error where the nesting is too deep.
        document = from_json(answer.body)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}
