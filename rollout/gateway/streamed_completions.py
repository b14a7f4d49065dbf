"""A completion that arrives as a stream of events, put together: the recorded gateway's events, or OpenAI's chunks.

The recorded gateway names its events: ``start``, ``content`` with a text, ``done``, ``error`` (deviations 10 and 17).
OpenAI's chunks are events without a name, each a JSON object with ``choices[0].delta.content``; ``[DONE]`` ends them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rollout.gateway.documents import InvalidResponse, decode_text, describe_error, describe_size, parse_object
from rollout.gateway.responses import Completion
from rollout.gateway.sse import Event, events
from rollout.gateway.transport import Answer

_CHUNK, _END_OF_CHUNKS = "message", "[DONE]"
_NAMED = {"start", "content", "done", "error"}
_UNKNOWN: dict[str, Any] = {}


@dataclass(frozen=True, slots=True)
class _Part:
    """One event as a part of a completion; `document` is empty for an event that is no part of one."""

    event: Event
    document: dict[str, Any]
    content: str
    is_last: bool


def streamed_completion(answer: Answer) -> Completion:
    """Join the events of a completion; `first_token_ms` is when the first piece of content had arrived.

    Raises:
        InvalidResponse: the stream has an error event or no end, or an event is not of the recorded shape.
    """
    text = decode_text(answer)
    parts = [_part(event, answer) for event in events(text)]
    for part in parts:
        if part.event.name == "error" or (part.event.name == _CHUNK and part.document.get("error")):
            raise InvalidResponse(f"the stream of events says error: {_reason(part.document) or 'no reason given'}")
    if not any(part.is_last for part in parts):
        raise InvalidResponse(_broken_off(parts, answer))
    first = next((part for part in parts if part.content), None)
    return Completion(
        content="".join(part.content for part in parts),
        model=_named(parts, "model"),
        provider=_named(parts, "provider"),
        total_tokens=_total_tokens(parts),
        elapsed_ms=answer.elapsed_ms,
        first_token_ms=None if first is None else answer.arrival_ms(len(text[: first.event.end].encode())),
    )


def _part(event: Event, answer: Answer) -> _Part:
    if event.name == _CHUNK:
        return _chunk(event, answer)
    if event.name not in _NAMED:
        return _Part(event, _UNKNOWN, "", is_last=False)
    if event.name == "error" and not event.data.startswith("{"):
        return _Part(event, {"message": event.data}, "", is_last=False)
    document = _document(event, answer)
    content = document.get("text") if event.name == "content" else ""
    if not isinstance(content, str):
        raise InvalidResponse("an event of the stream is not of the recorded shape: content without a text")
    return _Part(event, document, content, is_last=event.name == "done")


def _chunk(event: Event, answer: Answer) -> _Part:
    if event.data.strip() == _END_OF_CHUNKS:
        return _Part(event, _UNKNOWN, "", is_last=True)
    document = _document(event, answer)
    # The chunk with the usage has no choice.
    choices = document.get("choices") or [{}]
    choice = choices[0] if isinstance(choices, list) else None
    delta = (choice.get("delta") or {}) if isinstance(choice, dict) else None
    content = (delta.get("content") or "") if isinstance(delta, dict) else None
    if not isinstance(choice, dict) or not isinstance(content, str):
        raise InvalidResponse("an event of the stream is not of the documented shape: choices[0].delta.content")
    return _Part(event, document, content, is_last=choice.get("finish_reason") is not None)


def _document(event: Event, answer: Answer) -> dict[str, Any]:
    return parse_object(event.data.encode(), f"event {event.name} of {describe_size(answer)}") if event.data else {}


def _reason(document: dict[str, Any]) -> str:
    code = document.get("code")
    return ": ".join(filter(None, (code if isinstance(code, str) else "", describe_error(document))))


def _broken_off(parts: list[_Part], answer: Answer) -> str:
    names = list(dict.fromkeys(part.event.name for part in parts))
    last = _END_OF_CHUNKS if names == [_CHUNK] else "done"
    return (
        f"the answer is a stream of events that broke off: its last, {last}, never came (events: "
        f"{', '.join(names) or 'none'}; {describe_size(answer)}); did the gateway stop or restart?"
    )


def _named(parts: list[_Part], field: str) -> str | None:
    """Return the last value of `field`, provider or model, in the events; None where no event has it."""
    found = (part.document.get(field) for part in reversed(parts))
    return next((value for value in found if isinstance(value, str) and value), None)


def _total_tokens(parts: list[_Part]) -> int:
    """Return the tokens of the chunk with the usage; 0 where no chunk has it."""
    for part in reversed(parts):
        usage = part.document.get("usage")
        tokens = usage.get("total_tokens") if isinstance(usage, dict) else None
        if isinstance(tokens, int) and tokens >= 0:
            return tokens
    return 0
