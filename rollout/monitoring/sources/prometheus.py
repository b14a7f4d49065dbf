"""Users' requests from Prometheus, in the place of the gateway's own metrics (MON-2, MON-3, PRE-5.4).

A poll reads instant vectors of the raw counters, all at one moment of the server's clock.
`rollout.monitoring.sources.counter_increases` counts their increases. A poll fails, with a message for the operator,
when a sample is old, when a scrape fails, when an answer is partial (warnings), or when a value is no counter's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, TypeAdapter

from rollout.core import promql as selectors
from rollout.core.clock import Clock
from rollout.core.histogram import Histogram
from rollout.core.scenario import ProviderChange
from rollout.core.signals import PromqlSignal
from rollout.core.target import PrometheusSource
from rollout.gateway.responses import Metrics
from rollout.monitoring.sources.counter_increases import (
    Increase,
    RequestCounts,
    Series,
    Vector,
    histogram,
    percentiles,
    shown,
)
from rollout.monitoring.sources.http_endpoint import Endpoint, Query
from rollout.monitoring.sources.promql_levels import read_level

STALE_AFTER_S = 180.0
"""Three scrapes at Prometheus' default interval of a minute."""

SKEW_S = 300.0
"""The largest difference between the server's clock and this one's; beyond it an answer is cached or a clock wrong."""

BEFORE = "1h"
"""How long before the beginning the last sample of a series may be for the counting to continue from it."""

_SCRAPED = ("job", "instance")
_QUERY = "/api/v1/query"
_TARGETS_SHOWN = 3


class _Sample(BaseModel):
    metric: dict[str, str]
    value: tuple[float, str] | None = None


class _Data(BaseModel):
    resultType: Literal["vector"]  # noqa: N815 - the API's own spelling
    result: list[_Sample]


class _Answer(BaseModel):
    status: Literal["success"]
    data: _Data
    warnings: list[str] = []


class _Found(BaseModel):
    status: Literal["success"]
    data: list[dict[str, str]]


_VECTOR, _SERIES = TypeAdapter(_Answer), TypeAdapter(_Found)


@dataclass(frozen=True, slots=True)
class _Vector:
    """An instant vector; `at` is the server's time, None where the vector is empty."""

    at: float | None
    values: Vector


@dataclass(frozen=True, slots=True)
class _Poll:
    """One poll: the server's time, the age of the newest sample in seconds, and the raw counters."""

    at: float
    age_s: float
    requests: Vector
    errors: Vector
    buckets: Vector


class Prometheus:
    """The metrics of a provider from Prometheus, in the gateway's own types; the counts are kept from poll to poll.

    Polls must not run at the same time: the polls of one provider share their counts.
    """

    def __init__(
        self,
        source: PrometheusSource,
        endpoint: Endpoint,
        clock: Clock,
        *,
        since_s: float = 0.0,
        memory: Mapping[str, Any] | None = None,
        slice_by: str | None = None,
    ) -> None:
        """Prepare; nothing is sent yet.

        Args:
            source: the selectors.
            endpoint: the server.
            clock: the clock that the server's is compared with.
            since_s: counting begins so many seconds before the first poll.
            memory: the result of `memory` at the end of an earlier call; counting continues from there instead.
            slice_by: the label by whose values the requests are counted too.
        """
        self._source, self._endpoint, self._clock, self._since_s = source, endpoint, clock, since_s
        self._memory, self._slice_by = memory, slice_by
        self._counting: dict[ProviderChange, RequestCounts] = {}
        self._scraped: set[tuple[str, ...]] = set()

    def metrics(self, of: ProviderChange) -> Metrics:
        """Return the counts since the beginning.

        The percentiles cover the same time, from the histogram where there is one; None for one above the highest
        bound.

        Raises:
            SourceError: Prometheus gives no reliable numbers.
        """
        poll = self._poll(of)
        counting = self._counting.get(of) or self._begin(of, poll)
        counting.requests.add(poll.requests)
        counting.errors.add(poll.errors)
        counting.buckets.add(poll.buckets)
        self._counting[of] = counting
        total, failed = round(counting.total), round(counting.failed)
        latencies = self._readable(counting.histogram)
        return Metrics(
            total_requests=total,
            successful_requests=total - failed,
            failed_requests=failed,
            error_rate=failed / total if total else 0.0,
            latency=percentiles(latencies),
            errors_by_code={},
            histogram=latencies,
            age_s=round(max(0.0, poll.age_s), 3),
            slices=None if self._slice_by is None else counting.slices(self._slice_by),
        )

    def sample(self, of: ProviderChange, previous: ProviderChange) -> Mapping[str, Any]:
        """Return the numbers of one poll, so that the operator can check the selectors (PRE-2.5).

        Raises:
            SourceError: Prometheus gives no reliable numbers, or it has no series of failures of this provider or the
                previous one: with a misspelt selector no failure would be counted.
        """
        poll = self._poll(of)
        if not poll.errors:
            self._refuse_unheard_of(of, previous)
        if self._slice_by is not None:
            self._refuse_unlabelled(self._slice_by, of, previous)
        latencies = self._readable(lambda: histogram(poll.buckets))
        unnamed = self._source.latency_seconds_bucket is None
        none = "no histogram is named; the suite's own requests decide MON-3" if unnamed else "none yet"
        return {
            "requests": f"{sum(poll.requests.values()):g} in {len(poll.requests)} series",
            "errors": f"{sum(poll.errors.values()):g} in {len(poll.errors)} series",
            "latencies": none if latencies is None else latencies.summary(),
            "newest sample": f"{poll.age_s:.1f} s old",
        }

    def level(self, signal: PromqlSignal, of: ProviderChange) -> float:
        """Return the number that a signal's expression gives now.

        Raises:
            SourceError: its result is not one finite number.
        """
        return read_level(self._endpoint, signal, of)

    def memory(self) -> dict[str, Any] | None:
        """Return what a later call needs to continue the counting, as JSON types; None without a poll."""
        counting = next(iter(self._counting.values()), None)
        if counting is not None:
            return counting.memory(self._slice_by)
        return None if self._memory is None else dict(self._memory)

    # One poll

    def _poll(self, of: ProviderChange) -> _Poll:
        scrapes = self._scrapes(of)
        requests = self._read("requests", self._source.requests, of, scrapes.at)
        at = scrapes.at if scrapes.at is not None else requests.at
        if at is None:
            raise self._none("requests", of, f"; {self._name_scrapes()}")
        self._refuse_clock(at)
        ages = [self._age_s("requests", of, at)] if requests.values else [self._age_s("up", of, at)]
        errors = self._read("errors", self._source.errors, of, at).values
        buckets: Vector = {}
        if self._source.latency_seconds_bucket is not None:
            buckets = self._read("latency_seconds_bucket", self._source.latency_seconds_bucket, of, at).values
            ages += [self._age_s("latency_seconds_bucket", of, at)] if buckets else []
            if not buckets and any(requests.values.values()):
                raise self._none("latency_seconds_bucket", of, ", and it has requests; correct the selector")
        self._scraped |= {labels for series in requests.values if all(labels := _labels(series, _SCRAPED))}
        return _Poll(at, max(ages), requests.values, errors, buckets)

    def _scrapes(self, of: ProviderChange) -> _Vector:
        """Return ``up`` of the scrape targets, all of them 1; empty where none is known yet."""
        if self._source.up is not None:
            found = self._read("up", self._source.up, of, None)
            if not found.values:
                raise self._none("up", of, ": Prometheus scrapes no such target; correct the selector")
        elif self._scraped:
            found = self._instant(self._known_scrapes(), None)
        else:
            return _Vector(None, {})
        down = [series for series, value in found.values.items() if value != 1]
        if down:
            names = ", ".join(f"{shown(series)}" for series in down[:_TARGETS_SHOWN])
            raise self._endpoint.error(
                f"the scrape of {len(down)} of {len(found.values)} targets fails ({names} is 0), so their counters are "
                "not seen; is the gateway running, and does it serve its metrics?"
            )
        return found

    def _known_scrapes(self) -> str:
        """Return the selector of ``up`` for the scrape targets of the series that were read so far."""
        matchers = (
            selectors.Matcher(label, "=~", "|".join(map(selectors.escaped, dict.fromkeys(values))))
            for label, values in zip(_SCRAPED, zip(*sorted(self._scraped), strict=True), strict=True)
        )
        return str(selectors.Selector("up", tuple(matchers)))

    def _age_s(self, key: str, of: ProviderChange, at: float) -> float:
        """Return the age of the newest sample, in seconds.

        Raises:
            SourceError: it is too old.
        """
        asked = self._source.up and self._filled(self._source.up, of) if key == "up" else self._selector(key, of)
        times = self._instant(f"timestamp({asked or self._known_scrapes()})", at).values
        age_s = at - max(times.values(), default=-math.inf)
        if age_s > STALE_AFTER_S:
            raise self._endpoint.error(
                f"the newest sample of {key} is {age_s:.0f} s old, and {STALE_AFTER_S:.0f} s are the most: it was not "
                "scraped since; see Prometheus' targets page"
            )
        return age_s

    def _begin(self, of: ProviderChange, poll: _Poll) -> RequestCounts:
        """Return the counts with the values at their beginning, or those that continue an earlier call's.

        The values include series whose last sample is up to `BEFORE` older. Such a series counts from its last value
        when it is scraped again, not from zero.
        """

        def before(key: str) -> Increase:
            if (selector := self._selector(key, of)) is None:
                return Increase()
            return Increase.since(
                self._instant(f"last_over_time({selector}[{BEFORE}])", poll.at - self._since_s).values
            )

        if self._memory is not None:
            return RequestCounts.after(self._memory)
        return RequestCounts(before("requests"), before("errors"), before("latency_seconds_bucket"))

    def _refuse_clock(self, at: float) -> None:
        off_s = at - self._clock.now().timestamp()
        if abs(off_s) > SKEW_S:
            raise self._endpoint.error(
                f"its answer is of a time {abs(off_s):.0f} s {'after' if off_s > 0 else 'before'} this machine's: a "
                "cached answer, or one of the two clocks is wrong"
            )

    def _refuse_unheard_of(self, of: ProviderChange, previous: ProviderChange) -> None:
        wanted = [("match[]", self._filled(self._source.errors, one)) for one in (of, previous)]
        if not self._endpoint.get("/api/v1/series", [*wanted, ("limit", "1")], answer=_SERIES).data:
            raise self._endpoint.error(
                f"no failure was ever counted: {self._filled(self._source.errors, of)} matches no series that "
                f"Prometheus keeps, and none of {previous.provider} does either; correct {self._endpoint.setting}"
                ".errors, or let the gateway export the counter at 0 from its start"
            )

    def _refuse_unlabelled(self, label: str, of: ProviderChange, previous: ProviderChange) -> None:
        read = (self._read("requests", self._source.requests, one, None).values for one in (of, previous))
        found = [series for values in read for series in values]
        if found and not any(label in dict(series) for series in found):
            raise self._endpoint.error(
                f"no series of {self._filled(self._source.requests, of)} has the label {label}, by which "
                "monitor.slices divides; let the gateway export it, or name another label"
            )

    # Queries

    def _read(self, key: str, text: str, of: ProviderChange, at: float | None) -> _Vector:
        try:
            return self._instant(self._filled(text, of), at)
        except ValueError as problem:
            raise self._endpoint.error(f"{self._endpoint.setting}.{key}: {problem}") from problem

    def _selector(self, key: str, of: ProviderChange) -> str | None:
        text = getattr(self._source, key)
        return None if text is None else self._filled(text, of)

    @staticmethod
    def _filled(text: str, of: ProviderChange) -> str:
        return str(selectors.parse(text).filled({"provider": of.provider, "model": of.model}))

    def _instant(self, promql: str, at: float | None) -> _Vector:
        query: Query = [("query", promql)] if at is None else [("query", promql), ("time", f"{at:.3f}")]
        answer = self._endpoint.get(_QUERY, query, answer=_VECTOR)
        if answer.warnings:
            raise self._endpoint.error(f"its answer may be partial; it warns: {'; '.join(answer.warnings)}")
        values = {frozenset(sample.metric.items()): self._number(sample) for sample in answer.data.result}
        times = (sample.value[0] for sample in answer.data.result if sample.value is not None)
        return _Vector(next(times, None), values)

    def _number(self, sample: _Sample) -> float:
        name = shown(frozenset(sample.metric.items()))
        if sample.value is None:
            raise self._endpoint.error(
                f"{name} is a native histogram, which is not read; name the series of its classic buckets"
            )
        number = math.nan
        with suppress(ValueError):
            number = float(sample.value[1])
        if not math.isfinite(number) or number < 0:
            raise self._endpoint.error(f"{name} is {sample.value[1]}, which no counter is")
        return number

    def _readable(self, latencies: Callable[[], Histogram | None]) -> Histogram | None:
        try:
            return latencies()
        except ValueError as problem:
            raise self._endpoint.error(f"{self._endpoint.setting}.latency_seconds_bucket: {problem}") from problem

    def _none(self, key: str, of: ProviderChange, more: str) -> Exception:
        return self._endpoint.error(f"no series matches {self._selector(key, of)}{more}")

    def _name_scrapes(self) -> str:
        return (
            "if its counters are born with the first request, name what is scraped, such as "
            f'`{self._endpoint.setting}.up: up{{job="gateway"}}`, so that no request is told from no scrape'
        )


def _labels(series: Series, names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict(series).get(name, "") for name in names)
