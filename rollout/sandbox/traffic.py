"""Background users, so that metrics move like those of a gateway in use."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress

from rollout.sandbox.completions import Completions
from rollout.sandbox.errors import Refusal
from rollout.sandbox.gateway import Gateway

MOST_AT_ONCE = 2000
"""The most users that wait for an answer at once; beyond it no request is sent."""

_PROMPTS = ("Summarise this mail.", "Translate it into German, please.", "What is a canary?", "Write a haiku.")


class Users:
    """Users of one gateway: they send requests at random at a mean rate, and wait for their answers concurrently."""

    def __init__(self, gateway: Gateway, completions: Completions, per_s: float, seed: int) -> None:
        """Prepare; no request is sent before `run`."""
        self._gateway, self._completions = gateway, completions
        self._random = random.Random(seed)
        self._waiting: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self.per_s = per_s

    def set_rate(self, per_s: float) -> None:
        """Send this many requests per second from now on; 0 sends none."""
        self.per_s = per_s
        self._changed.set()

    async def run(self) -> None:
        """Send requests until cancelled; those that still wait are then cancelled."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        try:
            while True:
                # Paced by the due time, so that the time of sending does not lower the rate.
                due = max(due + self._pause_s(), loop.time() - 1)
                if await self._rate_changed(due - loop.time()):
                    due = loop.time()
                elif len(self._waiting) < MOST_AT_ONCE:
                    self._send()
        finally:
            for task in self._waiting:
                task.cancel()

    def _pause_s(self) -> float:
        return self._random.expovariate(self.per_s) if self.per_s else float("inf")

    async def _rate_changed(self, seconds: float) -> bool:
        """Wait for so many seconds at most; return True as soon as the rate is changed."""
        try:
            await asyncio.wait_for(self._changed.wait(), None if seconds == float("inf") else max(0.0, seconds))
        except TimeoutError:
            return False
        self._changed.clear()
        return True

    def _send(self) -> None:
        task = asyncio.create_task(self._ask(self._random.choice(_PROMPTS)))
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)

    async def _ask(self, prompt: str) -> None:
        if self._gateway.is_starting:
            return
        with suppress(Refusal):
            await self._completions.complete(prompt)
