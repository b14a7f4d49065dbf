"""HTTP exchanges as evidence: redacted, shortened, and with the places at which an answer held a secret."""

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
    shown, bare = (None, ()) if answer is None else _shown(redactor, answer.body)
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
        bare=bare,
    )


def _shown(redactor: Redactor, body: bytes) -> tuple[Any, tuple[str, ...]]:
    """Return the body redacted, then truncated, and the places of its secrets: half a secret is not recognised."""
    try:
        told = from_json(body, allow_inf_nan=False)
        shown = redactor.value(told)
        text = json.dumps(shown, ensure_ascii=False, allow_nan=False)
    except ValueError:
        told = body.decode(errors="replace")
        text = redactor.text(told)
        return text[:EVIDENCE_CHARACTERS], ("",) if text != told else ()
    bare = tuple(_differing(told, shown))
    return (shown if len(text) <= EVIDENCE_CHARACTERS else text[:EVIDENCE_CHARACTERS]), bare


def _differing(told: Any, shown: Any, path: str = "") -> Iterator[str]:
    """Yield the dotted paths at which the redaction has hidden something."""
    # Where a credential comes from stands under its name too (``config_sources``), and is none.
    if told == shown or told in ("env", "default"):
        return
    if isinstance(told, dict) and isinstance(shown, dict) and told.keys() == shown.keys():
        for key in told:
            yield from _differing(told[key], shown[key], f"{path}.{key}" if path else key)
    elif isinstance(told, list) and isinstance(shown, list) and len(told) == len(shown):
        for number, (one, other) in enumerate(zip(told, shown, strict=True)):
            yield from _differing(one, other, f"{path}[{number}]")
    else:
        yield path
