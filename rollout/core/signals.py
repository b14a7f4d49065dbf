"""The signals of a bake time besides the procedure's triggers, each with a limit of its own (MON-5)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SignalLimit:
    """Where a signal breaches: strictly above one of the two.

    Attributes:
        limit: the highest acceptable value, in the signal's own unit; None uses the factor.
        factor: the highest acceptable multiple of the baseline's value (PRE-5.4); None uses the limit.
    """

    limit: float | None = None
    factor: float | None = None


@dataclass(frozen=True, slots=True)
class PromqlSignal:
    """A number that an expression of PromQL gives.

    Attributes:
        query: the expression; ``{provider}`` and ``{model}`` are filled in. Its result is one number.
        name: the signal's name in verdicts; None names it by its query.
        limit: the highest acceptable number; None uses the factor.
        factor: the highest acceptable multiple of the baseline's number (PRE-5.4); None uses the limit.
    """

    query: str
    name: str | None = None
    limit: float | None = None
    factor: float | None = None

    @property
    def title(self) -> str:
        """The signal's name in verdicts and messages."""
        return self.name or self.query


@dataclass(frozen=True, slots=True)
class Slices:
    """The parts of users' requests that MON-2 looks at one by one.

    Attributes:
        by: the label of the request counters whose values are the parts: ``model``.
        judge: the values whose share of failures breaches by itself; the others are shown.
    """

    by: str
    judge: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Signals:
    """The signals of a bake time; None where a signal is off.

    Attributes:
        first_token: the P95 of the time to the first token of the suite's own requests, which are streamed for it.
        rate_limited_share: the share of requests that are refused with 429: of the suite's own requests, and of users'
            where their source counts codes.
        timeout_share: the share of requests that time out: of the suite's own requests, and of users' where their
            source counts codes.
        cost_per_1k: the cost of 1,000 requests in US dollars, as the gateway counts it.
        promql: numbers of the target's Prometheus.
    """

    first_token: SignalLimit | None = None
    rate_limited_share: SignalLimit | None = None
    timeout_share: SignalLimit | None = None
    cost_per_1k: SignalLimit | None = None
    promql: tuple[PromqlSignal, ...] = ()
