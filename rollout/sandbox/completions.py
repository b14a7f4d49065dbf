"""Completions: a prompt is answered by the provider and model that the weights choose, at once or as a stream."""

from __future__ import annotations

import asyncio
import json
import random
import re
import uuid
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from rollout.core.clock import Clock
from rollout.sandbox.errors import Refusal
from rollout.sandbox.fates import draw_heavy_tail_ms
from rollout.sandbox.gateway import Gateway
from rollout.sandbox.metrics import TIMEOUT, Request
from rollout.sandbox.providers import PROVIDERS, Provider
from rollout.sandbox.routing import pick

_TIMED_OUT = 504
_UNTIL_FIRST_TOKEN = 0.5
_TOKEN = re.compile(r"\s*\S+|\s+$")


@dataclass(frozen=True, slots=True)
class Turn:
    """One request: where it is sent to, when it began, and how long the provider takes for its answer."""

    prompt: str
    provider: Provider
    model: str
    started_s: float
    usual_ms: float


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer.

    Attributes:
        named: ``model`` and ``provider`` as the answer names them; empty where it names neither.
        content: the text.
        usage: its tokens, as an answer states them.
        spoiled: ``empty`` or ``garbage`` where a fault spoils the answer.
    """

    named: Mapping[str, str]
    content: str
    usage: Mapping[str, int]
    spoiled: str | None

    @property
    def tokens(self) -> list[str]:
        """Return the pieces in which the text is streamed; together they are the text."""
        return _TOKEN.findall(self.content)


@dataclass(frozen=True, slots=True)
class Stream:
    """An answer whose first token is there; `pieces` yields the tokens, each when it is due."""

    reply: Reply
    pieces: AsyncIterator[str]


class Completions:
    """The completions of one gateway. Each is counted at its end; a stream whose caller leaves before that is not."""

    def __init__(self, gateway: Gateway) -> None:
        """Prepare; generators of their own make routing independent of how long answers take."""
        self._gateway = gateway
        self._random = random.Random(gateway.settings.seed)
        self._routing_random = random.Random(gateway.settings.seed)

    async def complete(self, prompt: str) -> tuple[dict[str, Any], str | None]:
        """Answer a prompt.

        Returns the OpenAI-style completion, and ``empty`` or ``garbage`` where a fault spoils the answer.
        Raises Refusal: 409 a runtime is being switched, 502 the provider failed, 503 it is offline, 504 it never
        answered.
        """
        turn = self._begin(prompt)
        reply = self._reply(turn, await self._wait(turn, turn.usual_ms))
        self._count_success(turn, reply)
        return as_completion(reply, self._gateway.clock), reply.spoiled

    async def stream(self, prompt: str) -> Stream:
        """Answer a prompt as a stream, and return it when its first token is there. Raises Refusal as `complete`.

        Without faults the first token comes after half of the time that the whole answer takes.
        """
        turn = self._begin(prompt)
        spoiled = await self._wait(turn, turn.usual_ms * _UNTIL_FIRST_TOKEN)
        effect = self._gateway.faults.effect(turn.provider.name, "chat", turn.model)
        await asyncio.sleep(effect.first_token_ms / 1000)
        reply = self._reply(turn, spoiled)
        return Stream(reply, self._pieces(turn, reply, effect.between_tokens_ms))

    def _begin(self, prompt: str) -> Turn:
        view = self._gateway.seen("chat")
        chosen, model = pick(view.weights, self._routing_random) or (view.provider, view.model)
        provider = PROVIDERS[chosen]
        effect = self._gateway.faults.effect(chosen, "chat", model)
        usual_ms = provider.latency_ms + self._random.uniform(-provider.jitter_ms, provider.jitter_ms)
        if effect.heavy_tail:
            usual_ms = draw_heavy_tail_ms(self._random) * effect.heavy_tail
        return Turn(prompt, provider, model, self._gateway.clock.monotonic(), usual_ms * effect.drift)

    async def _wait(self, turn: Turn, usual_ms: float) -> str | None:
        """Wait as long as the provider takes, and return how faults spoil the answer. Raises Refusal."""
        gateway, name = self._gateway, turn.provider.name
        try:
            gateway.refuse_while_switching()
            gateway.connections.refuse_unusable(turn.provider)
            await asyncio.sleep(usual_ms / 1000)
            spoiled = await gateway.disturb("chat", name, turn.model)
        except Refusal as refusal:
            gateway.truth.served(name, turn.model, refusal.status)
            self._count_failure(turn, refusal)
            raise
        gateway.truth.served(name, turn.model, 200)
        return spoiled

    async def _pieces(self, turn: Turn, reply: Reply, between_ms: float) -> AsyncIterator[str]:
        """Yield the tokens, spread over the rest of the answer's time; count the request behind the last one."""
        pause_ms = turn.usual_ms * (1 - _UNTIL_FIRST_TOKEN) / max(1, len(reply.tokens))
        for index, token in enumerate(reply.tokens):
            await asyncio.sleep((pause_ms + between_ms) / 1000 if index else 0)
            yield token
        await asyncio.sleep(pause_ms / 1000)
        self._count_success(turn, reply)

    def _reply(self, turn: Turn, spoiled: str | None) -> Reply:
        content = "" if spoiled == "empty" else _content(turn.prompt, turn.model)
        usage = {"prompt_tokens": 8 + len(turn.prompt.split()), "completion_tokens": 8 + len(content.split())}
        usage["total_tokens"] = usage["prompt_tokens"] + usage["completion_tokens"]
        names = {"model": turn.provider.models[turn.model], "provider": turn.provider.name}
        named = {} if "chat_names_nobody" in self._gateway.deviations else names
        return Reply(named, content, usage, spoiled)

    def _count_success(self, turn: Turn, reply: Reply) -> None:
        gateway, provider, tokens = self._gateway, turn.provider, reply.usage["total_tokens"]
        price = gateway.settings.usd_per_1k_tokens.get(provider.name, provider.usd_per_1k_tokens)
        if "cost_always_zero" in gateway.deviations:
            price = 0.0
        now = gateway.clock.monotonic()
        gateway.metrics[provider.name].count(
            Request(now, 1000 * (now - turn.started_s), tokens=tokens, usd=price * tokens / 1000, model=turn.model)
        )
        gateway.watch_if_due()

    def _count_failure(self, turn: Turn, refusal: Refusal) -> None:
        gateway, provider = self._gateway, turn.provider
        now = gateway.clock.monotonic()
        code = TIMEOUT if refusal.status == _TIMED_OUT else f"http_{refusal.status}"
        offline = gateway.connections.out_of_reach(provider) is not None
        for _ in range(refusal.tries):
            gateway.metrics[provider.name].count(
                Request(now, 1000 * (now - turn.started_s), code, offline, model=turn.model)
            )
        gateway.log.write("ERROR", "gateway:complete", f"{provider.name} failed: {refusal.detail}")
        gateway.watch_if_due()


def as_completion(reply: Reply, clock: Clock) -> dict[str, Any]:
    """Return the answer in OpenAI's form."""
    choice = {"index": 0, "message": {"role": "assistant", "content": reply.content}, "finish_reason": "stop"}
    return {**_header("chat.completion", reply, clock), "choices": [choice], "usage": dict(reply.usage)}


async def as_chunks(stream: Stream, clock: Clock) -> AsyncIterator[str]:
    """Yield the events of OpenAI's streams; one that a fault makes garbage breaks off in the middle."""
    header = _header("chat.completion.chunk", stream.reply, clock)
    yield _chunk(header, {"role": "assistant", "content": ""})
    left = len(stream.reply.tokens) // 2 if stream.reply.spoiled == "garbage" else None
    async for token in stream.pieces:
        if left == 0:
            yield 'data: {"id": "chatcm'
            return
        left = None if left is None else left - 1
        yield _chunk(header, {"content": token})
    yield _chunk(header, {}, finish_reason="stop")
    yield "data: [DONE]\n\n"


def _header(kind: str, reply: Reply, clock: Clock) -> dict[str, Any]:
    created = int(clock.now().timestamp())
    return {"id": f"chatcmpl-{uuid.uuid4().hex}", "object": kind, "created": created, **reply.named}


def _chunk(header: Mapping[str, Any], delta: Mapping[str, str], finish_reason: str | None = None) -> str:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return f"data: {json.dumps({**header, 'choices': [choice]})}\n\n"


def _content(prompt: str, model: str) -> str:
    return "pong" if prompt.strip().casefold() == "ping" else f"{model} read: {prompt}"
