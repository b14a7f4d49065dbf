"""The sources of a window's samples: the gateway's API, the service's log, an operator, the synthetic requests.

The polls of one window run in threads, several at a time: the gateway client must be safe for threads.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from typing import Any, Protocol

from rollout.core.capabilities import Capability
from rollout.core.clock import Clock
from rollout.core.target import Target
from rollout.gateway.host.log_file import LogFollower, LogLine, matching
from rollout.gateway.responses import Alert, Completion, Connection, ConnectionTest, Governance, Metrics
from rollout.monitoring.samples import LINE_KEPT, Context, Reading, SourceName
from rollout.monitoring.signal_samples import Levels
from rollout.monitoring.sources.synthetic import Probes

OPERATOR_EVERY_S = 2.0
NOTHING_KNOWN: Mapping[str, Any] = {}
CRITICAL = "critical"
_READS: Mapping[str, tuple[Capability, ...]] = {
    SourceName.STATUS: (Capability.STATUS,),
    SourceName.METRICS: (Capability.COUNTERS,),
    SourceName.ALERTS: (Capability.ALERTS,),
    SourceName.FALLBACKS: (Capability.COST_LIMITS, Capability.RATE_LIMITS),
}
"""Source -> what it reads of the gateway; it is left out where the gateway lacks all of it."""
# A poll that takes longer than so many of its ticks counts as failed (MON-6).
HANGS_AFTER = 3.0
# A completion ends at its own deadline; only one that overruns it by this much hangs.
OVERRUN_S = 5.0


class Watchable(Protocol):
    """The part of a gateway that the sources and the baseline need; every call may raise `GatewayError`."""

    def status(self, provider: str, /) -> Connection:
        """Return the provider's connection status."""

    def metrics(self, provider: str, /) -> Metrics:
        """Return the provider's counters and percentiles."""

    def alerts(self, severity: str, /) -> tuple[Alert, ...]:
        """Return the alerts of that severity."""

    def governance(self) -> Governance:
        """Return the limits and the recent fallbacks."""

    def chat(self, prompt: str, *, max_tokens: int = 16) -> Completion:
        """Return the completion of `prompt` by the active provider."""

    def stream_chat(self, prompt: str, *, max_tokens: int = 16) -> Completion:
        """Return the completion as `chat` does, with the time to its first token."""

    def test_connection(self, provider: str, /) -> ConnectionTest:
        """Return the verdict of a connection test."""


class Follower(Protocol):
    """What reads the new lines of a log: a file's follower, or a command's."""

    def read(self) -> tuple[LogLine, ...]:
        """Return the lines since the last call."""

    def position(self) -> Any:
        """Return the position from which a later follower continues, as JSON types; None where it cannot."""


@dataclass(frozen=True, slots=True)
class Source:
    """One source, polled at its own pace.

    Attributes:
        name: one of `SourceName`.
        every_s: seconds from poll to poll.
        poll: returns the reading; any error that it raises is a failed poll.
        hangs_after_s: a poll that takes longer counts as failed; None means three times `every_s`.
        memory: returns what a later call needs to continue from this one, as JSON types; None where nothing.
    """

    name: str
    every_s: float
    poll: Callable[[], Reading | None]
    hangs_after_s: float | None = None
    memory: Callable[[], Any] | None = None

    @property
    def patience_s(self) -> float:
        """Return after how many seconds a poll without an answer counts as failed."""
        return HANGS_AFTER * self.every_s if self.hangs_after_s is None else self.hangs_after_s


def gateway_sources(
    gateway: Watchable,
    context: Context,
    target: Target,
    *,
    operator: Callable[[], str | None] | None = None,
    operator_every_s: float = OPERATOR_EVERY_S,
    clock: Clock,
    memory: Mapping[str, Any] = NOTHING_KNOWN,
    log: Follower | None = None,
    counting: Callable[[], Any] | None = None,
    control: tuple[Watchable, Callable[[], Any]] | None = None,
    levels: Callable[[], Levels] | None = None,
    count_fallbacks: Callable[[], int] | None = None,
) -> tuple[Source, ...]:
    """Return the sources of a window on `gateway`, each at the scenario's pace.

    What cannot be read of the gateway is not among them (`Context.lacking`).
    They include the log if the target names a file, from its present end on, or `log` is given; the operator if
    `operator` is given; synthetic requests unless the scenario switches them off.

    Args:
        gateway: the client; it is only read, except that completions and connection tests are sent.
        context: change, previous provider and paces.
        target: names and deadlines, the log file.
        operator: returns why an operator requests an abort, None without a request.
        operator_every_s: seconds between two polls of `operator`.
        clock: measures the synthetic requests.
        memory: source -> the result of its `memory` at the end of an earlier call of this window.
        log: reads the log in the place of the target's file.
        counting: returns what the metrics' source needs in a later call; None where nothing.
        levels: returns the numbers of the scenario's PromQL signals; None where it names none.
        count_fallbacks: returns the gateway's own count of fallbacks; None uses those that it lists beside its limits.
        control: the gateway as observed for a canary's control group, and the memory of that; None uses `gateway`.

    Raises:
        OSError: the target's log file cannot be read.
    """
    new, monitor = context.change.provider, context.monitor
    fallbacks = _FallbackCount(gateway, memory.get(SourceName.FALLBACKS))
    probes = Probes(
        gateway,
        context.change,
        monitor,
        target,
        clock,
        control=context.control,
        sent=memory.get(SourceName.SYNTHETIC, 0),
    )
    sources = [
        Source(SourceName.STATUS, monitor.metrics_every_s, lambda: gateway.status(new)),
        Source(SourceName.METRICS, monitor.metrics_every_s, lambda: gateway.metrics(new), memory=counting),
        Source(SourceName.ALERTS, monitor.alerts_every_s, lambda: critical(gateway.alerts(CRITICAL))),
        Source(SourceName.FALLBACKS, monitor.alerts_every_s, fallbacks, memory=fallbacks.memory),
        Source(
            SourceName.ROLLBACK, monitor.way_back_every_s, lambda: gateway.test_connection(context.previous.provider)
        ),
    ]
    sources = [source for source in sources if not context.why_lacking(*_READS.get(source.name, ()))]
    if count_fallbacks is not None:
        sources = [source for source in sources if source.name != SourceName.FALLBACKS]
        sources.insert(-1, Source(SourceName.FALLBACKS, monitor.alerts_every_s, count_fallbacks))
    if monitor.in_turn:
        sources.insert(
            -1,
            Source(
                SourceName.SYNTHETIC,
                monitor.synthetic_every_s,
                probes,
                hangs_after_s=max(HANGS_AFTER * monitor.synthetic_every_s, target.timeouts.chat_s + OVERRUN_S),
                memory=lambda: probes.sent,
            ),
        )
    if context.control is not None and not context.why_lacking(Capability.COUNTERS):
        name, (group, remember) = context.control.provider, control or (gateway, None)
        # Polled before the canary: a cause that slows both must be in the control group's baseline already.
        sources.insert(
            0, Source(SourceName.CONTROL, monitor.metrics_every_s, lambda: group.metrics(name), memory=remember)
        )
    if levels is not None:
        sources.append(Source(SourceName.SIGNALS, monitor.metrics_every_s, levels))
    if log is None and target.log_file is not None:
        log = LogFollower(target.log_file, after=memory.get(SourceName.LOG))
    if log is not None:
        poll = partial(_read_log, log, monitor.error_pattern)
        sources.append(Source(SourceName.LOG, monitor.log_every_s, poll, memory=log.position))
    if operator is not None:
        sources.append(Source(SourceName.OPERATOR, operator_every_s, operator))
    return tuple(sources)


def critical(alerts: tuple[Alert, ...]) -> tuple[Alert, ...]:
    """Return the critical ones: a gateway may ignore the severity that it was asked for."""
    return tuple(alert for alert in alerts if alert.severity.casefold() == CRITICAL)


def _read_log(log: Follower, pattern: str | None) -> tuple[str, ...]:
    # Truncated as the journal keeps them, so that the audit judges the same lines.
    return tuple(line[:LINE_KEPT] for line in matching(log.read(), pattern))


class _FallbackCount:
    """Counts fallbacks from poll to poll: the gateway lists recent ones only, so their number alone hides new ones."""

    def __init__(self, gateway: Watchable, memory: Mapping[str, Any] | None) -> None:
        self._gateway = gateway
        self._listed = None if memory is None else Counter(memory["listed"])
        self._count = 0 if memory is None else memory["count"]

    def __call__(self) -> int:
        now = Counter(_identity(entry) for entry in self._gateway.governance().recent_fallbacks)
        self._count += (now if self._listed is None else now - self._listed).total()
        self._listed = now
        return self._count

    def memory(self) -> dict[str, Any] | None:
        """Return the count, and the digests of the listed fallbacks; None before the first poll."""
        return None if self._listed is None else {"count": self._count, "listed": dict(self._listed)}


def _identity(entry: Mapping[str, object]) -> str:
    # A digest, because the journal keeps it: the text of a fallback may contain a secret, and would be redacted.
    return sha256(repr(sorted((key, repr(value)) for key, value in entry.items())).encode()).hexdigest()[:16]
