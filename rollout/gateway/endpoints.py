"""The path of each call. A target may change any path, or replace a call by another one (deviations 13 and 17)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

DEFAULTS: Mapping[str, str] = {
    "health": "/health",
    "runtime_config": "/api/v1/config/runtime",
    "providers": "/api/v1/providers",
    "status": "/api/v1/providers/{provider}/status",
    "test_connection": "/api/v1/providers/{provider}/test-connection",
    "preflight": "/api/v1/providers/{provider}/preflight",
    "activate": "/api/v1/providers/{provider}/activate",
    "metrics": "/api/v1/providers/{provider}/metrics",
    "provider_health": "/api/v1/providers/{provider}/health",
    "alerts": "/api/v1/alerts",
    "governance": "/api/v1/governance/status",
    "limits": "/api/v1/governance/limits",
    "chat": "/api/v1/chat/completions",
    "audit": "/api/v1/admin/audit",
    "system_status": "/api/v1/system/status",
}
"""Call name -> path as documented; the names are the keys of a target's `paths`."""

ALL_PERCENT = 100.0
_DIGITS = 6
_PLACE = re.compile(r"\{(provider|model|prompt)\}")


def path_of(call: str, paths: Mapping[str, str], provider: str | None = None) -> str:
    """Return the path of `call`, the target's own before the documented one, `provider` percent-encoded.

    Raises:
        ValueError: the provider's name would lead to another path (it is empty, ``.`` or ``..``).
    """
    template = paths.get(call, DEFAULTS[call])
    return template if provider is None else filled_path(template, provider=provider)


def life_of(paths: Mapping[str, str]) -> str:
    """Return the name of the call that shows whether the service is up.

    ``/health`` sends a paid request to every model on some gateways, so it is called only where a target names it.

    Args:
        paths: the target's paths.
    """
    return "health" if "health" in paths else "system_status"


def weights_of(template: Mapping[str, str], shares: Mapping[str, float], *, percent: bool) -> dict[str, Any]:
    """Return the body that sets weights: the text ``{weights}`` of the target's `routing` replaced by the shares.

    Args:
        template: the body as the target has it.
        shares: destination -> fraction 0-1.
        percent: whether the gateway takes percentages.
    """
    weights = {name: round(share * (ALL_PERCENT if percent else 1.0), _DIGITS) for name, share in shares.items()}
    return {key: weights if value == "{weights}" else value for key, value in template.items()}


def filled_path(template: str, **values: str) -> str:
    """Return a path with ``{provider}``, ``{model}`` and ``{prompt}`` replaced, percent-encoded; those not given stay.

    Raises:
        ValueError: the provider's name would lead to another path (it is empty, ``.`` or ``..``).
    """
    provider = values.get("provider")
    if provider in {"", ".", ".."}:
        raise ValueError(f"{provider!r} cannot be a provider's name: the path would lead elsewhere")
    return filled(template, **{name: quote(value, safe="") for name, value in values.items()})


def filled(template: str, **values: str) -> str:
    """Return a text with ``{provider}``, ``{model}`` and ``{prompt}`` replaced; those not given stay.

    They are replaced in one pass: a prompt that contains ``{model}`` is sent unchanged.
    """
    return _PLACE.sub(lambda place: values.get(place[1], place[0]), template)
