"""The synthetic requests: few, small, tagged by the client, capped, sent in turn, and judged apart from users'.

The tag is the header ``X-Synthetic: rollout/<id>`` on every completion (`rollout.gateway.client`).
"""

from __future__ import annotations

import math
from http import HTTPStatus
from itertools import cycle
from typing import Protocol

from rollout.core.clock import Clock
from rollout.core.errors import GatewayError, Refused
from rollout.core.scenario import AT_MOST, Monitor, Probe, ProviderChange
from rollout.core.signals import Signals
from rollout.core.target import Target
from rollout.gateway.expectations import EMPTY, answered_by, is_from, unmet
from rollout.gateway.responses import Completion
from rollout.monitoring.answer_kinds import Unexpected
from rollout.monitoring.samples import SyntheticReading
from rollout.monitoring.share_test import fewest_requests


class Chats(Protocol):
    """The part of a gateway that a probe needs; the call may raise `GatewayError`."""

    def chat(self, prompt: str, *, max_tokens: int = 16) -> Completion:
        """Return the completion of `prompt` by the active provider."""

    def stream_chat(self, prompt: str, *, max_tokens: int = 16) -> Completion:
        """Return the completion as `chat` does, with the time to its first token."""


class Probes:
    """A window's synthetic requests: each call sends the next one in turn, until the cap is reached.

    Attributes:
        sent: how many were sent.
    """

    def __init__(
        self,
        gateway: Chats,
        expected: ProviderChange,
        monitor: Monitor,
        target: Target,
        clock: Clock,
        *,
        control: ProviderChange | None = None,
        sent: int = 0,
    ) -> None:
        """Prepare; nothing is sent yet.

        Args:
            gateway: the gateway to send to.
            expected: the provider and model that must answer.
            monitor: the probes, at least one, and their cap.
            target: how the gateway reports its providers.
            clock: times a request that fails.
            control: the control group of a canary, which may answer as well.
            sent: how many this window has sent already.
        """
        self._gateway, self._expected, self._target, self._clock = gateway, expected, target, clock
        self._control = control
        self._left = cycle(monitor.in_turn)
        self._open: Probe | None = None
        self._signals = monitor.signals
        self._confirms = monitor.limits.unexpected_share is None
        self._several = len(monitor.in_turn) > 1
        self._at_most = monitor.synthetic_at_most
        self.sent = sent

    def __call__(self) -> SyntheticReading | None:
        """Send the next request and return its result; None, without a request, once the cap is reached.

        A prompt whose answer breaks an expectation is sent again, until one more answer of the new provider confirms
        or refutes it (MON-5).

        Raises:
            GatewayError: as `ask`.
        """
        if self.sent >= self._at_most:
            return None
        self.sent += 1
        probe = self._open or next(self._left)
        found = ask(
            self._gateway,
            self._expected,
            probe,
            self._target,
            self._clock,
            control=self._control,
            named=self._several,
            signals=self._signals,
        )
        if self._open is not None:
            self._open = None if is_judged(found) else self._open
        elif found.unexpected == Unexpected.UNMET and self._confirms:
            self._open = probe
        return found


def ask(
    gateway: Chats,
    expected: ProviderChange,
    probe: Probe,
    target: Target,
    clock: Clock,
    *,
    control: ProviderChange | None = None,
    named: bool = False,
    signals: Signals | None = None,
) -> SyntheticReading:
    """Send one synthetic request and return its result; a failed request is a reading, not an error.

    During a canary, a failure that does not name the control group counts against the canary.

    Args:
        gateway: the gateway to send to.
        expected: the provider and model that must answer.
        probe: the prompt, and what is expected of the answer.
        target: how the gateway reports its providers.
        clock: times a request that fails.
        control: the control group of a canary, which may answer as well.
        named: the reason names the prompt, for it is one of several.
        signals: the scenario's signals: the answer is streamed where the time to its first token is one.

    Raises:
        GatewayError: the gateway's rate limit refused the request at every attempt, so no provider has received it;
            where the share of those is a signal, that is a reading.
    """
    signals = signals or _NO_SIGNALS
    chat = gateway.chat if signals.first_token is None else gateway.stream_chat
    began = clock.monotonic()
    try:
        answer = chat(probe.prompt, max_tokens=probe.max_tokens)
    except GatewayError as error:
        is_limited = isinstance(error, Refused) and error.status == HTTPStatus.TOO_MANY_REQUESTS
        if is_limited and signals.rate_limited_share is None:
            # The gateway's rate limit is no failure of the provider, which has not received the request.
            raise
        took_s = clock.monotonic() - began
        return SyntheticReading(
            ok=False,
            latency_ms=took_s * 1000,
            reason=str(error),
            status=error.status,
            control=control is not None and _names_only(str(error), control, expected),
            unexpected=Unexpected.RATE_LIMITED if is_limited else None,
            timed_out=error.status is None and took_s >= target.timeouts.chat_s,
        )
    is_control = control is not None and _is_from_control(answer, expected, control, target)
    reason, unexpected = (None, None) if is_control else _unexpected(answer, expected, probe, target, named=named)
    return SyntheticReading(
        ok=True,
        latency_ms=answer.elapsed_ms,
        provider=answer.provider,
        model=answer.model,
        reason=reason,
        control=is_control,
        unexpected=unexpected,
        first_token_ms=answer.first_token_ms,
    )


def is_judged(reading: SyntheticReading) -> bool:
    """Return whether the expectations of a prompt were compared with this answer: the new provider's."""
    return reading.ok and not reading.control and reading.unexpected in {None, Unexpected.UNMET}


def _unexpected(
    answer: Completion, expected: ProviderChange, probe: Probe, target: Target, *, named: bool
) -> tuple[str | None, Unexpected | None]:
    """Return why an answer is unexpected, None if it is not, and what it is if it is no proof by itself."""
    if not answer.content.strip() and is_from(answer, expected, target):
        return EMPTY, Unexpected.UNMET
    wrong = answered_by(answer, expected, target)
    if wrong is not None:
        return wrong, Unexpected.FALLBACK if target.fallbacks_are_normal else None
    lacking = unmet(probe.expect, answer.content)
    if lacking is None:
        return None, None
    return (f"{lacking} (to {_shortened(probe.prompt)!r})" if named else lacking), Unexpected.UNMET


def _names_only(reason: str, control: ProviderChange, canary: ProviderChange) -> bool:
    return control.provider.casefold() in reason.casefold() and canary.provider.casefold() not in reason.casefold()


def _is_from_control(answer: Completion, canary: ProviderChange, control: ProviderChange, target: Target) -> bool:
    """Return whether the control group answered; an answer that names neither provider nor model counts for it."""
    names_either = answer.provider is not None or answer.model is not None
    return is_from(answer, control, target) and not (names_either and is_from(answer, canary, target))


def promise(monitor: Monitor, windows: int = 1) -> str:
    """Return how many synthetic requests are sent and what bounds their cost, in words (PRE-4.4).

    Args:
        monitor: the paces, and the cap of one window.
        windows: how many windows the change has: the stages of a canary.
    """
    if not monitor.in_turn:
        least = max(monitor.min_requests, fewest_requests(monitor.limits.error_rate))
        return (
            "off: no synthetic request is sent, not for the baseline either. Users decide alone; a window with fewer "
            f"than {least} of their requests is inconclusive, and the change is rolled back"
        )
    tokens = max(probe.max_tokens for probe in monitor.in_turn)
    asked, cap = monitor.synthetic, windows * monitor.synthetic_at_most
    # A power raises the pace, so that only the cap bounds it.
    most = (cap if asked is not None else min(cap, math.ceil(AT_MOST * monitor.planned_synthetic))) * tokens
    power = "" if asked is None else f"as many as show twice the limit with a power of {asked.power:g}, at least "
    stage = " a stage" if windows > 1 else ""
    return (
        f"{power}{monitor.planned_synthetic} in {monitor.window_s:g} s, twice as many in a window that goes on, "
        f"{monitor.synthetic_at_most}{stage} at most, each answer at most {tokens} tokens: {most:,} tokens of answers "
        "at most. "
        f"Before the change {monitor.planned_baseline} more measure the baseline. Each is tagged X-Synthetic"
    )


def _shortened(prompt: str) -> str:
    return prompt if len(prompt) <= _PROMPT_KEPT else f"{prompt[: _PROMPT_KEPT - 1]}…"


_PROMPT_KEPT = 40
_NO_SIGNALS = Signals()
