"""The setting of a target that would mend a write which the gateway refused (APP-1.2, APP-3.1, RBK-2.1)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus
from urllib.parse import unquote

from rollout.core.target import Target
from rollout.gateway.calls import Call
from rollout.gateway.endpoints import DEFAULTS

_CALL = "{path: …, body: {…}}"
_ANOTHER_CALL = re.compile(r"\bactivat|\bendpoint\b|\b(an)?other (call|path)\b|(?<!\w)/\w[\w-]*/\w", re.IGNORECASE)
"""How a gateway speaks of an activation by another call: ``should use /system/llm-servers/active endpoint``."""
_MISFITS: Mapping[int, str] = {
    HTTPStatus.BAD_REQUEST: "another call activates this provider",
    HTTPStatus.NOT_FOUND: "another name or call activates this provider",
    HTTPStatus.METHOD_NOT_ALLOWED: "the path takes another method",
    HTTPStatus.UNPROCESSABLE_ENTITY: "the gateway takes another body",
}
"""Status -> what it says about an activation that is sent to the wrong place, or in the wrong form."""
_LIMIT_TYPE = re.compile(r"\blimit[ _-]?type", re.IGNORECASE)


def advise_setting(call: Call, target: Target, status: int, reason: str) -> str:
    """Return which setting would mend a refused write, as the end of a message; empty where none would.

    Args:
        call: the call that was refused.
        target: the target that it was sent to.
        status: the HTTP status, 4xx.
        reason: the message so far, with the gateway's reason.
    """
    if call.setting.startswith("activate_with."):
        return f"; check path and body of the target's {call.setting}" if status in _MISFITS else ""
    if call.setting == "paths.activate":
        return _of_activation(call, target, status, reason)
    return _of_limit(call, target, status, reason) if call.setting == "paths.limits" else ""


def _of_activation(call: Call, target: Target, status: int, reason: str) -> str:
    own = f"activate_with.{_provider(call, target)}: {_CALL}"
    if status == HTTPStatus.NOT_FOUND and call.setting in reason:
        return f", or {own}, where another call activates this provider"
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        return f"; this path takes no {call.method}: set the target's {call.setting}, or {own}"
    if status == HTTPStatus.BAD_REQUEST and not _ANOTHER_CALL.search(reason):
        return ""
    where = _MISFITS.get(status)
    return f"; where {where}, set the target's {own}" if where else ""


def _of_limit(call: Call, target: Target, status: int, reason: str) -> str:
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        return f"; this path takes no {call.method}: set the target's {call.setting}"
    sent = call.body["limit_type"]
    kind = next((kind for kind, word in target.limit_types.items() if word == sent), None)
    if kind is None or not _LIMIT_TYPE.search(reason):
        return ""
    return f"; set the target's limit_types.{kind} to the gateway's word for it"


def _provider(call: Call, target: Target) -> str:
    """Return the provider that an activation's path names."""
    before, _, after = target.paths.get("activate", DEFAULTS["activate"]).partition("{provider}")
    return unquote(call.path.removeprefix(before).removesuffix(after))
