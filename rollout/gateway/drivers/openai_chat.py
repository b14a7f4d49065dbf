"""Completions of a service that speaks OpenAI's chat completions, and who answered them, as a target states it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from rollout.gateway import parsing
from rollout.gateway.calls import CHAT, Call
from rollout.gateway.documents import EVENTS, media_type, parse_object
from rollout.gateway.drivers.json_answers import find_text
from rollout.gateway.drivers.openai_chat_settings import HEADER
from rollout.gateway.responses import Completion
from rollout.gateway.sender import Sender
from rollout.gateway.transport import Answer


def ask(
    sender: Sender, chat: Mapping[str, Any], served_by: Mapping[str, Any] | None, prompt: str, **options: Any
) -> Completion:
    """Request a completion, and return it with the names that the target says can be relied on (VER-2, MON-5).

    Args:
        sender: sends it, once where a provider may have seen it.
        chat: the settings of `ChatSchema`.
        served_by: the settings of `ServedBySchema`; None: the answer's names are not relied on, and are None.
        prompt: the user's message.
        options: ``max_tokens``, and ``stream`` where a stream of events is asked for.

    Raises:
        Refused: the service refused it.
        GatewayError: no completion, or an incomplete one.
    """
    body = {"messages": [{"role": "user", "content": prompt}], "max_tokens": options["max_tokens"]}
    body |= {"model": chat["model"]} if chat["model"] else {}
    body |= {"stream": True} if options.get("stream") else {}
    places = served_by or {"provider": None, "model": None}

    def parse(answer: Answer) -> Completion:
        found = parsing.completion(answer)
        provider, model = (_named(answer, found, name, places[name]) for name in ("provider", "model"))
        return replace(found, provider=provider, model=model)

    return sender.send(Call("settings.chat.path", "POST", chat["path"], body, CHAT), parse)


def _named(answer: Answer, found: Completion, name: str, place: Mapping[str, str] | None) -> str | None:
    if place is None:
        return None
    if HEADER in place:
        return answer.headers.get(place[HEADER]) or None
    if media_type(answer) == EVENTS:
        # The events of a stream are put together already; they name both by these keys, or not at all.
        named: str | None = getattr(found, name) if place["key"] == name else None
        return named
    return find_text(parse_object(answer.body, "the completion"), place["key"])
