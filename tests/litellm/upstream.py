"""A provider of ours behind the proxy: OpenAI's chat completions, with faults and a counter."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import AsyncIterator
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.support.runs import eventually


def free_port() -> int:
    """Return a port of loopback on which nothing listens."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


class Upstream:
    """One provider on loopback, in a thread of the test.

    Attributes:
        requests: how many completions were asked for.
        status: the status of every answer.
        delay_s: how long every answer takes.
    """

    def __init__(self, name: str) -> None:
        self.name, self.port = name, free_port()
        self.requests, self.status, self.delay_s = 0, 200, 0.0
        self.on()

    @property
    def url(self) -> str:
        """The base URL, as ``api_base`` takes it."""
        return f"http://127.0.0.1:{self.port}/v1"

    def on(self) -> None:
        """Listen."""
        app = Starlette(routes=[Route("/v1/chat/completions", self._answer, methods=["POST"])])
        config = uvicorn.Config(app, host="127.0.0.1", port=self.port, log_level="error", lifespan="off")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        eventually(lambda: self._server.started, f"upstream {self.name} listens")

    def off(self) -> None:
        """Listen no more, and close every connection."""
        self._server.should_exit = self._server.force_exit = True
        self._thread.join(10)
        assert not self._thread.is_alive()

    def heal(self) -> None:
        """Take every fault away."""
        self.status, self.delay_s = 200, 0.0
        if not self._thread.is_alive():
            self.on()

    async def _answer(self, request: Request) -> Response:
        self.requests += 1
        asked = await request.json()
        await asyncio.sleep(self.delay_s)
        if self.status != 200:
            return JSONResponse({"error": {"message": f"{self.name} is broken", "code": self.status}}, self.status)
        if asked.get("stream"):
            return StreamingResponse(self._events(asked["model"]), media_type="text/event-stream")
        choice = {"index": 0, "message": {"role": "assistant", "content": "pong"}, "finish_reason": "stop"}
        return JSONResponse(self._about(asked["model"], "chat.completion") | {"choices": [choice], "usage": _USAGE})

    async def _events(self, model: str) -> AsyncIterator[str]:
        for delta, reason in (({"role": "assistant", "content": "pong"}, None), ({}, "stop")):
            choice = {"index": 0, "delta": delta, "finish_reason": reason}
            chunk = self._about(model, "chat.completion.chunk") | {"choices": [choice]}
            yield f"data: {json.dumps(chunk)}\n\n"
        yield "data: [DONE]\n\n"

    def _about(self, model: str, kind: str) -> dict[str, Any]:
        return {"id": "chatcmpl-1", "object": kind, "created": 1, "model": model}


_USAGE = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
