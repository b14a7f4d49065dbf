"""The suite's own requests: few, small, tagged by the client, capped, sent in turn, and judged apart from users'.

The tag is the header ``X-Synthetic: rollout/<id>`` on every completion (`rollout.gateway.client`).
"""

from __future__ import annotations

from http import HTTPStatus
from itertools import cycle
from typing import Protocol

from rollout.clock import Clock
from rollout.errors import GatewayError
from rollout.expectation import answered_by, unmet
from rollout.gateway.answers import Completion
from rollout.samples import SyntheticReading
from rollout.scenario import Monitor, Probe, ProviderChange
from rollout.target import Target


class Chats(Protocol):
    """What a probe needs of a gateway; the call may raise `GatewayError`."""

    def chat(self, prompt: str, *, max_tokens: int = 16) -> Completion:
        """Return the completion of `prompt` by whichever provider is active."""


class Probes:
    """A window's synthetic requests: each call sends the next one in turn, until the cap is reached.

    Attributes:
        sent: how many were sent.
    """

    def __init__(
        self, gateway: Chats, expected: ProviderChange, monitor: Monitor, target: Target, clock: Clock, *, sent: int = 0
    ) -> None:
        """Prepare; nothing is sent yet.

        Args:
            gateway: where to.
            expected: who must answer.
            monitor: the probes, at least one, and their cap.
            target: how the gateway reports its providers.
            clock: times a request that fails.
            sent: how many this window has sent already.
        """
        self._gateway, self._expected, self._target, self._clock = gateway, expected, target, clock
        self._left = cycle(monitor.in_turn)
        self._several = len(monitor.in_turn) > 1
        self._at_most = monitor.synthetic_at_most
        self.sent = sent

    def __call__(self) -> SyntheticReading | None:
        """Send the next request and return what came of it; None, without a request, once the cap is reached.

        Raises:
            GatewayError: as `ask`.
        """
        if self.sent >= self._at_most:
            return None
        self.sent += 1
        return ask(self._gateway, self._expected, next(self._left), self._target, self._clock, named=self._several)


def ask(
    gateway: Chats, expected: ProviderChange, probe: Probe, target: Target, clock: Clock, *, named: bool = False
) -> SyntheticReading:
    """Send one request of the suite's own, and say what came of it; a failed request is a reading, not an error.

    Args:
        gateway: where to.
        expected: who must answer.
        probe: what to ask, and what is expected of the answer.
        target: how the gateway reports its providers.
        clock: times a request that fails.
        named: the reason names the prompt, for it is one of several.

    Raises:
        GatewayError: the gateway's rate limit refused the request, again and again: no provider has seen it.
    """
    began = clock.monotonic()
    try:
        answer = gateway.chat(probe.prompt, max_tokens=probe.max_tokens)
    except GatewayError as error:
        if error.status == HTTPStatus.TOO_MANY_REQUESTS:
            # The gateway's limit on callers says nothing about the provider: it was not looked at.
            raise
        took_ms = (clock.monotonic() - began) * 1000
        return SyntheticReading(ok=False, latency_ms=took_ms, reason=str(error), status=error.status)
    wrong = answered_by(answer, expected, target)
    if wrong is None and (lacking := unmet(probe.expect, answer.content)) is not None:
        wrong = f"{lacking} (to {_shortened(probe.prompt)!r})" if named else lacking
    return SyntheticReading(
        ok=True, latency_ms=answer.elapsed_ms, provider=answer.provider, model=answer.model, reason=wrong
    )


def promise(monitor: Monitor) -> str:
    """Return how many synthetic requests a window sends and what bounds their cost, in words (PRE-4.4)."""
    if not monitor.in_turn:
        return (
            "off: no synthetic request is sent, not for the baseline either. Users decide alone; a window with fewer "
            f"than {monitor.min_requests} of their requests is inconclusive, and the change is taken back"
        )
    tokens = max(probe.max_tokens for probe in monitor.in_turn)
    return (
        f"{monitor.planned_synthetic} in {monitor.window_s:g} s, {monitor.synthetic_at_most} at most, each answer at "
        f"most {tokens} tokens: {monitor.synthetic_at_most * tokens:,} tokens of answers at most. Before the change "
        f"{monitor.min_samples} more measure the baseline. Each is tagged X-Synthetic"
    )


def _shortened(prompt: str) -> str:
    return prompt if len(prompt) <= _PROMPT_KEPT else f"{prompt[: _PROMPT_KEPT - 1]}…"


_PROMPT_KEPT = 40
