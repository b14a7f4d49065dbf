"""The calls to a gateway before they are sent: method, path, body, deadline, and the errors that are retried."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rollout.core.errors import GatewayError
from rollout.core.target import OtherCall
from rollout.core.writes import HttpCall
from rollout.gateway.endpoints import filled, filled_path
from rollout.gateway.http_errors import RateLimited


class Unreached(GatewayError):
    """The gateway did not receive the call, so a call that only reads may be sent again."""


@dataclass(frozen=True, slots=True)
class CallKind:
    """The deadline of a call, and the errors after which it is sent again."""

    deadline: str
    meant: str
    retried: tuple[type[Exception], ...]


READ = CallKind("read", "reads", (Unreached, RateLimited))
# A 429 was refused before it had an effect; after any other error the effect is unknown.
CHAT = CallKind("chat", "completions", (RateLimited,))


@dataclass(frozen=True, slots=True)
class Call:
    """One call, before it is sent; `setting` is the target's setting that places it: ``paths.activate``."""

    setting: str
    method: str
    path: str
    body: Any
    kind: CallKind

    @property
    def name(self) -> str:
        """Method and path, ``GET /api/v1/providers``."""
        return f"{self.method} {self.path.partition('?')[0]}"


def write_call(write: HttpCall) -> Call:
    """Return the call of a write that a driver describes."""
    kind = CallKind(write.deadline, write.meant, (RateLimited,))
    return Call(write.setting, write.method, write.path, write.body, kind)


def replacement_call(call: OtherCall, setting: str, kind: CallKind, **values: str) -> Call:
    """Return the call that takes the place of a documented one, its places filled."""
    try:
        path = filled_path(call.path, **values)
    except ValueError as problem:
        raise GatewayError(f"POST {setting}", str(problem)) from None
    return Call(setting, "POST", path, {name: filled(text, **values) for name, text in call.body.items()}, kind)
