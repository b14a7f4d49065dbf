"""HTTP exchanges as evidence: redacted, truncated, and with the places at which an answer held a secret."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from pydantic_core import from_json

from rollout.core.redaction import Redactor
from rollout.gateway.calls import Call
from rollout.gateway.transport import Answer, Exchange

EVIDENCE_CHARACTERS = 4096


def record_exchange(
    redactor: Redactor, url: str, call: Call, at: str, answer: Answer | None, elapsed_ms: float, error: str | None
) -> Exchange:
    """Return the exchange as evidence; every field is redacted."""
    shown, unmasked = (None, ()) if answer is None else _shown(redactor, answer.body)
    return Exchange(
        at=at,
        call=call.name,
        method=call.method,
        url=redactor.text(url),
        request_body=redactor.value(call.body),
        status=answer.status if answer else None,
        answer=shown,
        elapsed_ms=elapsed_ms,
        error=error,
        bare=unmasked,
    )


def _shown(redactor: Redactor, body: bytes) -> tuple[Any, tuple[str, ...]]:
    """Return the body redacted, then truncated, and the dotted paths of its secrets.

    The redaction is first, because half a secret is not recognised.
    """
    try:
        decoded = from_json(body, allow_inf_nan=False)
        shown = redactor.value(decoded)
        text = json.dumps(shown, ensure_ascii=False, allow_nan=False)
    except ValueError:
        decoded = body.decode(errors="replace")
        text = redactor.text(decoded)
        return text[:EVIDENCE_CHARACTERS], ("",) if text != decoded else ()
    unmasked = tuple(_differing(decoded, shown))
    return (shown if len(text) <= EVIDENCE_CHARACTERS else text[:EVIDENCE_CHARACTERS]), unmasked


def _differing(decoded: Any, shown: Any, path: str = "") -> Iterator[str]:
    """Yield the dotted paths of the values that the redaction has changed."""
    # ``config_sources`` holds the origin of a credential under the credential's key; the origin is no secret.
    if decoded == shown or decoded in ("env", "default"):
        return
    if isinstance(decoded, dict) and isinstance(shown, dict) and decoded.keys() == shown.keys():
        for key in decoded:
            yield from _differing(decoded[key], shown[key], f"{path}.{key}" if path else key)
    elif isinstance(decoded, list) and isinstance(shown, list) and len(decoded) == len(shown):
        for number, (one, other) in enumerate(zip(decoded, shown, strict=True)):
            yield from _differing(one, other, f"{path}[{number}]")
    else:
        yield path
