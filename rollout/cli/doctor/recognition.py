"""Which kind of gateway answers, as the drivers of the installed kinds see it; reading only, and nothing that costs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from rollout.config.policies import PRODUCTION
from rollout.core.kinds import DEFAULT_KIND
from rollout.core.recognition import Recognition, Reply
from rollout.gateway.drivers.registry import UnusableKind, installed_kinds
from rollout.gateway.transport import NoAnswer, Transport

DEADLINE_S = 5.0


@dataclass(frozen=True, slots=True)
class Recognised:
    """A kind whose driver recognises the gateway, and what it says."""

    kind: str
    seen: Recognition


def recognise(
    url: str, token: str | None, announce: Callable[[str], None] = lambda _: None
) -> tuple[tuple[Recognised, ...], tuple[str, ...]]:
    """Return the kinds that may be the gateway's, the certain ones first, and the paths that were read, in order.

    Each path is read once, whatever the number of drivers that ask for it. A driver that cannot be used is left out.

    Args:
        url: the base URL.
        token: the bearer token.
        announce: receives what is read before it is sent.
    """
    headers = {"User-Agent": "rollout doctor"} | ({"Authorization": f"Bearer {token}"} if token else {})
    answers: dict[str, Reply | None] = {}
    with closing(Transport(secure=url.startswith("https:"))) as transport:

        def get(path: str) -> Reply | None:
            if path not in answers:
                announce(f"which kind of gateway is it: GET {path} ({DEADLINE_S:g} s at most)")
                answers[path] = _read(transport, url + path, headers)
            return answers[path]

        found = [Recognised(kind, seen) for kind, driver in _drivers() if (seen := driver.recognise(get)) is not None]
    return tuple(sorted(found, key=lambda each: not each.seen.is_certain)), tuple(answers)


def _drivers() -> list[tuple[str, Any]]:
    found = []
    for each in installed_kinds():
        if each.name != DEFAULT_KIND:
            try:
                found.append((each.name, each.load_driver()))
            except UnusableKind:
                continue  # `rollout doctor --kinds` says why
    return found


def _read(transport: Transport, url: str, headers: Mapping[str, str]) -> Reply | None:
    try:
        answer = transport.exchange("GET", url, headers=headers, deadline_s=DEADLINE_S)
    except NoAnswer:
        return None
    return Reply(answer.status, answer.headers, answer.body)


def describe_recognised(found: Recognised, paths: tuple[str, ...]) -> str:
    """Return what was sent to recognise a kind, and what cannot be found out, as text."""
    lines = [f"sent: GET {', GET '.join(paths)}; none of them costs money", "", "what cannot be found out here"]
    return "\n".join([*lines, *(f"  {each}" for each in found.seen.unknown or ("nothing",)), ""])


def propose_target(url: str, token_env: str | None, found: Recognised) -> dict[str, Any]:
    """Return the settings of a target of a recognised kind to start from, as ``targets.yaml`` has them."""
    target: dict[str, Any] = {"url": url, "environment": PRODUCTION, "kind": found.kind}
    if token_env:
        target["token_env"] = token_env
    return target | {"settings": dict(found.seen.settings), "env_file": "none", "log_file": "none", "notify": ["log"]}
