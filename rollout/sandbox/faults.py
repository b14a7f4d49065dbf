"""Faults: which effect they have on which calls of a provider, and when."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from rollout.core.clock import Clock
from rollout.sandbox.fates import Batch, BatchedFates, Drift, Fates

ANY = "*"
"""Stands for every provider."""

CALLS = (
    "activate",
    "alerts",
    "audit",
    "chat",
    "config",
    "governance",
    "health",
    "metrics",
    "preflight",
    "providers",
    "routing",
    "status",
    "system",
    "test_connection",
)
"""The calls that a fault can name."""

ERROR_STATUSES = {
    429: "rate limit exceeded",
    500: "internal error",
    502: "upstream error",
    503: "overloaded",
    504: "upstream timed out",
}
"""The HTTP statuses with which a fault can let calls fail, and the reasons that the gateway gives."""

STATUSES = ("degraded", "offline")
"""The connection statuses that a fault can impose, the worse one last."""

_NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Brownout:
    """A short time, again and again, in which more calls fail.

    Attributes:
        every_s: from the beginning of one to the beginning of the next.
        lasts_s: the last seconds of each such period, in which it acts.
        error_share: fraction 0-1 of calls that fail then, in place of the fault's own.
    """

    every_s: float
    lasts_s: float
    error_share: float

    def is_on(self, elapsed_s: float) -> bool:
        """Return whether it acts so many seconds after the fault's beginning."""
        return elapsed_s % self.every_s >= self.every_s - self.lasts_s


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of one provider.

    Attributes:
        provider: its name, ``*`` for any. A call that names no provider (alerts, config…) has the faults of the
            active provider.
        model: the only model of it whose completions have the fault; None has no such limit.
        since: ``now`` (when the fault is set, or the gateway starts), or ``activation`` (when the provider was last
            activated by a change from another one, after the fault was set; until then it has no effect).
        after_s: seconds from then to the first effect.
        for_s: seconds that the effect lasts; None has no end.
        latency_ms: time added to each call.
        first_token_ms: time added before the first token of a streamed completion.
        between_tokens_ms: time added between two tokens of a streamed completion.
        heavy_tail: a completion takes as long as a draw of `fates.draw_heavy_tail_ms`, times this number, in place of
            the provider's usual time; 0 leaves that.
        drift: standard deviation of the logarithm of a factor on the time of completions, which wanders by the minute.
        error_share: fraction 0-1 of calls that fail, kept in every 20 calls.
        error_status: the HTTP status with which they fail; 504 is counted as a timeout.
        batch: the calls fail in batches.
        brownout: a short time, again and again, in which more calls fail.
        retries: a failed completion is tried so many times more, and each try is counted as a failed request.
        status: ``offline`` or ``degraded``: the connection status, whatever `calls` lists.
        answer: ``empty`` (200 without content) or ``garbage`` (200 with a body that is cut off).
        hang: the call is not answered before the fault ends or the gateway gives up.
        calls: the calls that latency, errors, bad answers and hanging concern.
        when: configuration key -> value; the fault acts only while all of them are in effect.
    """

    provider: str
    since: str = "now"
    after_s: float = 0.0
    for_s: float | None = None
    latency_ms: float = 0.0
    first_token_ms: float = 0.0
    between_tokens_ms: float = 0.0
    heavy_tail: float = 0.0
    drift: float = 0.0
    error_share: float = 0.0
    error_status: int = 502
    batch: Batch | None = None
    brownout: Brownout | None = None
    retries: int = 0
    status: str | None = None
    answer: str | None = None
    hang: bool = False
    calls: tuple[str, ...] = ("chat",)
    when: Mapping[str, str] = field(default_factory=dict)
    model: str | None = None


@dataclass(frozen=True, slots=True)
class Effect:
    """The joint effect of all faults on one call at this moment; the fields are those of `Fault`.

    `drift` is the factor; of the faults that let calls fail, the one with the greatest share counts.
    """

    latency_ms: float = 0.0
    first_token_ms: float = 0.0
    between_tokens_ms: float = 0.0
    heavy_tail: float = 0.0
    drift: float = 1.0
    error_share: float = 0.0
    error_status: int = 502
    batch: Batch | None = None
    retries: int = 0
    answer: str | None = None
    hang: bool = False


_NO_EFFECT = Effect()


class Faults:
    """The faults that are set, and the times from which they count.

    Attributes:
        faults: all of them.
        activations: provider -> when it was last activated by a change, in the machine's monotonic seconds.
    """

    def __init__(
        self, faults: Iterable[Fault], clock: Clock, config: Mapping[str, str] = _NOTHING, *, seed: int = 0
    ) -> None:
        """Set the first faults now; `config` is the configuration in effect, read at each call."""
        self._clock = clock
        self._config = config
        self._seed = seed
        self.replace(faults)

    def replace(self, faults: Iterable[Fault]) -> None:
        """Set these faults instead of all earlier ones; ``now`` is this moment, activations count from now on.

        The generators begin again.
        """
        self.faults = tuple(faults)
        self.activations: dict[str, float] = {}
        self._set_at = self._clock.monotonic()
        self._fates: dict[str, Fates | BatchedFates] = {}
        self._drifts = [
            Drift(f"{self._seed}/{index}/drift", fault.drift) if fault.drift else None
            for index, fault in enumerate(self.faults)
        ]

    def activated(self, provider: str) -> None:
        """Note that the provider was activated by a change from another one."""
        self.activations[provider] = self.activations[ANY] = self._clock.monotonic()

    def effect(self, provider: str, call: str, model: str | None = None) -> Effect:
        """Return the effect on this call now; `model` is the one that a completion is sent to."""
        found = [
            (fault, elapsed_s, drift.factor(elapsed_s) if drift else 1.0)
            for fault, elapsed_s, drift in self._active(provider)
            if call in fault.calls and fault.model in (None, model)
        ]
        if not found:
            return _NO_EFFECT
        shares = [_error_share(fault, elapsed_s) for fault, elapsed_s, _ in found]
        faults = [fault for fault, *_ in found]
        failing = faults[shares.index(max(shares))]
        return Effect(
            latency_ms=sum(fault.latency_ms for fault in faults),
            first_token_ms=sum(fault.first_token_ms for fault in faults),
            between_tokens_ms=sum(fault.between_tokens_ms for fault in faults),
            heavy_tail=max(fault.heavy_tail for fault in faults),
            drift=math.prod(factor for *_, factor in found),
            error_share=max(shares),
            error_status=failing.error_status,
            batch=failing.batch,
            retries=failing.retries,
            answer=next((fault.answer for fault in faults if fault.answer), None),
            hang=any(fault.hang for fault in faults),
        )

    def is_next_failing(self, provider: str, call: str, effect: Effect) -> bool:
        """Return whether the next such call fails, by the share and the batches of its effect."""
        if not effect.error_share:
            return False
        key = f"{self._seed}/{provider}/{call}/{effect.error_share}/{effect.batch}"
        if key not in self._fates:
            share, batch = effect.error_share, effect.batch
            self._fates[key] = BatchedFates(key, share, batch) if batch else Fates(key, share)
        return self._fates[key].is_next_failing()

    def status(self, provider: str) -> str | None:
        """Return the connection status that the faults impose now, the worst one; None imposes none."""
        found = (fault.status for fault, *_ in self._active(provider) if fault.status)
        return max(found, key=STATUSES.index, default=None)

    def _active(self, provider: str) -> Iterator[tuple[Fault, float, Drift | None]]:
        """Yield the faults in effect, each with the seconds since its beginning and its drift."""
        for fault, drift in zip(self.faults, self._drifts, strict=True):
            if fault.provider in (provider, ANY) and (elapsed_s := self._elapsed_s(fault)) is not None:
                yield fault, elapsed_s, drift

    def _elapsed_s(self, fault: Fault) -> float | None:
        """Return the seconds since the fault's beginning; None while it is not in effect."""
        if any(self._config.get(key) != value for key, value in fault.when.items()):
            return None
        since = self._set_at if fault.since == "now" else self.activations.get(fault.provider)
        if since is None:
            return None
        elapsed_s = self._clock.monotonic() - since - fault.after_s
        return elapsed_s if elapsed_s >= 0 and (fault.for_s is None or elapsed_s < fault.for_s) else None


def _error_share(fault: Fault, elapsed_s: float) -> float:
    brownout = fault.brownout
    return brownout.error_share if brownout and brownout.is_on(elapsed_s) else fault.error_share
