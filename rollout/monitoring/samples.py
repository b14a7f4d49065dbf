"""The samples of a window's sources, and what is known before the window begins.

`validate_sample` turns a reading that its source does not promise (NaN, negative, wrong type) into a failed poll.
No trigger compares with such a reading.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any, TypeAlias

from rollout.core.capabilities import Capability
from rollout.core.histogram import Histogram
from rollout.core.policy import ALPHA
from rollout.core.scenario import Monitor, ProviderChange
from rollout.core.units import truncate
from rollout.gateway.responses import Alert, Connection, ConnectionTest, Latency, Metrics
from rollout.monitoring.signal_samples import Levels, SignalBaseline

LINES_KEPT = 5
LINE_KEPT = 300
_RARE = ("control", "unexpected", "timed_out")

LATE_S = 0.5
"""A synthetic request for which this machine was late by more has a latency that is not the gateway's alone. A machine
with time to spare is late by milliseconds; half a second is what a fast provider's whole answer takes."""

NOTICED_LATE_S = 0.05
"""A lateness up to this is a machine's usual one; a longer one is subtracted from the latencies it may be part of."""


class SourceName(StrEnum):
    """The sources of a window."""

    STATUS = "status"
    METRICS = "metrics"
    ALERTS = "alerts"
    FALLBACKS = "fallbacks"
    LOG = "log"
    SYNTHETIC = "synthetic"
    OPERATOR = "operator"
    ROLLBACK = "way_back"
    CONTROL = "control"
    SIGNALS = "signals"


@dataclass(frozen=True, slots=True)
class SyntheticReading:
    """The result of one synthetic request.

    Attributes:
        ok: a completion was received, whatever its content; False counts as an error (MON-2).
        latency_ms: its duration, None if that is unknown.
        provider: the provider that answered, None where the answer does not name one.
        model: the model that answered, None where the answer does not name one.
        reason: why it failed, or, if `ok`, why the answer is unexpected (MON-5); None for an expected answer.
        status: the HTTP status of a failed request; None if none came, so that the gateway may not have counted it.
        control: during a canary, the previous provider answered this request, so it does not count for the new one.
        unexpected: one of `rollout.monitoring.answer_kinds.Unexpected` where the result is unexpected and no proof by
            itself; None otherwise, and in journals of earlier versions.
        first_token_ms: the time to the first token; None where the answer is no stream.
        timed_out: it failed at the suite's own deadline.
    """

    ok: bool
    latency_ms: float | None
    provider: str | None = None
    model: str | None = None
    reason: str | None = None
    status: int | None = None
    control: bool = False
    unexpected: str | None = None
    first_token_ms: float | None = None
    timed_out: bool = False


Reading: TypeAlias = (
    Connection | Metrics | Levels | tuple[Alert, ...] | tuple[str, ...] | int | SyntheticReading | str | ConnectionTest
)


@dataclass(frozen=True, slots=True)
class Sample:
    """The result of one poll of one source.

    Attributes:
        source: one of `SourceName`.
        at_s: seconds from the beginning of the window to the start of the poll.
        at: the same moment, UTC, ISO 8601.
        reading: what the poll returned; None if it failed, from the operator source while no abort is requested, and
            from the synthetic one once its cap is reached.
        error: why the poll failed, one line; None if it succeeded.
        took_s: the duration of the poll.
        unwatched_s: the seconds before it that were not watched: the time beyond twice the source's pace, and the time
            between two calls.
        late_s: by how many seconds this machine was late for it: the longest delay of its start, of this process
            while the poll was in flight, and of its result.
    """

    source: str
    at_s: float
    at: str
    reading: Reading | None
    error: str | None = None
    took_s: float = 0.0
    unwatched_s: float = 0.0
    late_s: float = 0.0

    @property
    def is_late(self) -> bool:
        """Whether this machine was too busy for it: its latency is not held against the gateway."""
        return self.late_s > LATE_S

    def record(self) -> dict[str, Any]:
        """Return the sample as a small dict of JSON types, for the journal."""
        # A delay that changes no verdict is not kept.
        late_s = self.late_s if self.late_s > NOTICED_LATE_S else 0.0
        spans = {"took_s": self.took_s, "unwatched_s": self.unwatched_s, "late_s": late_s}
        return {
            "source": str(self.source),
            "at_s": round(self.at_s, 3),
            "at": self.at,
            **{name: round(seconds, 3) for name, seconds in spans.items() if seconds},
            **(_describe_reading(self.source, self.reading) if self.error is None else {"error": self.error}),
        }

    @classmethod
    def from_record(cls, body: Mapping[str, Any]) -> Sample:
        """Return the sample of a `record`, with every part of the reading that a trigger judges."""
        return cls(
            source=body["source"],
            at_s=body["at_s"],
            at=body["at"],
            reading=None if "error" in body else _READERS[body["source"]](body),
            error=body.get("error"),
            took_s=body.get("took_s", 0.0),
            unwatched_s=body.get("unwatched_s", 0.0),
            late_s=body.get("late_s", 0.0),
        )


@dataclass(frozen=True, slots=True)
class Baseline:
    """Latency and error rate of the current provider before the change (PRE-5.4).

    Attributes:
        provider: the provider that was measured.
        users_p95_ms: P95 in ms of the gateway's own percentiles, or of Prometheus' histogram over the length of the
            window; None where there was no traffic, or where it lies above the histogram's highest bound.
        users_samples: the number of latencies of that P95.
        users_error_rate: fraction 0-1 since the gateway was started, or over the length of the window in Prometheus;
            None where there was no traffic. It is shown, and no trigger compares with it.
        users_requests: the number of requests of that rate.
        synthetic_p95_ms: P95 in ms of the synthetic requests, None if none succeeded.
        synthetic_samples: the number of latencies of that P95.
        synthetic_failures: how many synthetic requests failed.
        synthetic_latencies_ms: the latencies of that P95, ascending; empty in journals of earlier versions.
        users_histogram: the users' latencies, where their source has a histogram.
        signals: the scenario's signals; None where it names none.
    """

    provider: str
    users_p95_ms: float | None = None
    users_samples: int = 0
    users_error_rate: float | None = None
    users_requests: int = 0
    synthetic_p95_ms: float | None = None
    synthetic_samples: int = 0
    synthetic_failures: int = 0
    synthetic_latencies_ms: tuple[float, ...] = ()
    users_histogram: Histogram | None = None
    signals: SignalBaseline | None = None

    def record(self) -> dict[str, Any]:
        """Return the baseline as a dict of JSON types, for the journal."""
        histogram = self.users_histogram
        buckets = None if histogram is None else histogram.record()
        return asdict(self) | {
            "synthetic_latencies_ms": list(self.synthetic_latencies_ms),
            "users_histogram": buckets,
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Baseline:
        """Return the baseline of a `record`; other keys, such as those that the journal adds, are ignored."""
        known = {key: record[key] for key in cls.__dataclass_fields__ if key in record}
        buckets, signals = known.pop("users_histogram", None), known.pop("signals", None)
        return cls(
            **known | {"synthetic_latencies_ms": tuple(known.get("synthetic_latencies_ms", ()))},
            users_histogram=None if buckets is None else Histogram.from_record(buckets),
            signals=None if signals is None else SignalBaseline.from_record(signals),
        )


@dataclass(frozen=True, slots=True)
class Context:
    """What the triggers judge by besides the samples.

    Attributes:
        change: the new provider and model.
        previous: the provider and model that a rollback restores.
        monitor: poll intervals, limits and minimum numbers.
        baseline: the measured baseline; None where none was measured.
        alerts_before: `Alert.key` of the critical alerts that were firing before the change.
        fixes: what the change is meant to fix: ``TYPE/PROVIDER`` of alerts, or a provider's name.
        counters_before: the new provider's metrics, read right before the activation.
        fallbacks_before: how many fallbacks the gateway listed before the change.
        log_unread_from_s: since when, in seconds of the window, a log command's lines were lost until the next call.
        control: the control group of a canary, which serves the rest of the requests; None where there is none.
        window_s: the length of the window in seconds; None where it is the scenario's.
        alpha: the probability with which one trigger may breach in the rollout although its share is within the limit.
        stages: among how many windows the rollout divides `alpha`: the stages of a canary.
        share: the part of the requests that the new provider gets, above 0 and up to 1.
        control_latencies_ms: the latencies of the control group's synthetic requests in the stage before, ascending.
        fallbacks_are_normal: whether an answer by another provider is a fallback, and no proof (MON-5).
        lacking: what cannot be read of the gateway, each with the reason; no source of it is polled.
        counts_codes: whether the source of users' numbers counts failures by code, and costs: the gateway's own does.
    """

    change: ProviderChange
    previous: ProviderChange
    monitor: Monitor
    baseline: Baseline | None = None
    alerts_before: frozenset[str] = frozenset()
    fixes: frozenset[str] = frozenset()
    log_unread_from_s: tuple[float, ...] = ()
    counters_before: Metrics | None = None
    fallbacks_before: int = 0
    control: ProviderChange | None = None
    window_s: float | None = None
    alpha: float = ALPHA
    stages: int = 1
    share: float = 1.0
    control_latencies_ms: tuple[float, ...] = ()
    fallbacks_are_normal: bool = False
    counts_codes: bool = True
    lacking: tuple[tuple[str, str], ...] = ()

    def why_lacking(self, *capabilities: Capability) -> str:
        """Return why none of these can be read of the gateway; empty where one can."""
        if not self.lacking:
            return ""
        reasons = [dict(self.lacking).get(each, "") for each in capabilities]
        return reasons[0] if reasons and all(reasons) else ""

    @property
    def lasts_s(self) -> float:
        """The length of the window in seconds, without extensions."""
        return self.monitor.window_s if self.window_s is None else self.window_s


def excuse_lateness(sample: Sample, reading: SyntheticReading) -> SyntheticReading | None:
    """Return a synthetic request without what this machine's own lateness may have added; None if nothing is left.

    A short lateness is subtracted from its latencies. After a long one they are not known, and a failure without an
    HTTP answer is this machine's: its own deadline passed while it stood still.
    """
    if sample.late_s <= NOTICED_LATE_S:
        return reading
    if not sample.is_late:
        late_ms = 1000.0 * sample.late_s
        return replace(
            reading,
            latency_ms=None if reading.latency_ms is None else max(0.0, reading.latency_ms - late_ms),
            first_token_ms=None if reading.first_token_ms is None else max(0.0, reading.first_token_ms - late_ms),
        )
    if not reading.ok and reading.status is None:
        return None
    return replace(reading, latency_ms=None, first_token_ms=None)


def is_number(value: object) -> bool:
    """Return whether `value` is a finite number, at least 0."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) and value >= 0


def _describe_reading(source: str, reading: Reading | None) -> dict[str, Any]:
    body: dict[str, Any]
    match reading:
        case Connection():
            body = {"status": reading.status, "message": reading.message, "reason_code": reading.reason_code}
        case Metrics():
            body = {
                "total": reading.total_requests,
                "failed": reading.failed_requests,
                "p95_ms": reading.latency.p95_ms,
                "samples": reading.latency.samples,
                "buckets": None if reading.histogram is None else reading.histogram.record(),
                "age_s": reading.age_s or None,
                "codes": dict(reading.errors_by_code) or None,
                "usd": reading.total_usd or None,
                "slices": None
                if reading.slices is None
                else {name: list(part) for name, part in reading.slices.items()},
            }
        case Levels():
            body = {"values": dict(reading.values)}
        case SyntheticReading():
            body = {key: value for key, value in asdict(reading).items() if key not in _RARE or value}
        case ConnectionTest():
            body = {"succeeded": reading.succeeded, "message": reading.message}
        case tuple():
            return _describe_list(source, reading)
        case _:
            body = {"abort" if source == SourceName.OPERATOR else "count": reading}
    return {key: value for key, value in body.items() if value is not None}


def _as_lists(slices: Mapping[str, tuple[int, int]] | None) -> dict[str, list[int]] | None:
    return None if slices is None else {name: list(part) for name, part in slices.items()}


def _describe_list(source: str, reading: tuple[Alert, ...] | tuple[str, ...]) -> dict[str, Any]:
    if source == SourceName.ALERTS:
        return {"alerts": [{"key": part.key, **asdict(part)} for part in reading if isinstance(part, Alert)]}
    return {"matching": len(reading), "lines": [truncate(str(line), LINE_KEPT) for line in reading[:LINES_KEPT]]}


def _metrics(body: Mapping[str, Any]) -> Metrics:
    total, failed = body["total"], body["failed"]
    return Metrics(
        total_requests=total,
        successful_requests=total - failed,
        failed_requests=failed,
        error_rate=failed / total if total else 0.0,
        latency=Latency(p50_ms=None, p95_ms=body.get("p95_ms"), p99_ms=None, samples=body["samples"]),
        errors_by_code=body.get("codes", {}),
        total_usd=body.get("usd", 0.0),
        slices={name: (part[0], part[1]) for name, part in body["slices"].items()} if "slices" in body else None,
        histogram=Histogram.from_record(body["buckets"]) if "buckets" in body else None,
        age_s=body.get("age_s", 0.0),
    )


def _alerts(body: Mapping[str, Any]) -> tuple[Alert, ...]:
    return tuple(Alert(**{name: each[name] for name in Alert.__dataclass_fields__}) for each in body["alerts"])


def _connection(body: Mapping[str, Any]) -> Connection:
    return Connection(body["status"], body.get("message"), body.get("reason_code"))


def _synthetic(body: Mapping[str, Any]) -> SyntheticReading | None:
    if "ok" not in body:
        return None
    given = {name: body[name] for name in SyntheticReading.__dataclass_fields__ if name in body}
    return SyntheticReading(**{"latency_ms": None, **given})


def _read_connection_test(body: Mapping[str, Any]) -> ConnectionTest:
    return ConnectionTest(body["succeeded"], "", None, body["message"])


_READERS: Mapping[str, Callable[[Mapping[str, Any]], Reading | None]] = {
    SourceName.STATUS: _connection,
    SourceName.METRICS: _metrics,
    SourceName.ALERTS: _alerts,
    SourceName.FALLBACKS: lambda body: int(body["count"]),
    # Lines that were not kept count by their number.
    SourceName.LOG: lambda body: (*body["lines"], *[""] * (body["matching"] - len(body["lines"]))),
    SourceName.SYNTHETIC: _synthetic,
    SourceName.OPERATOR: lambda body: body.get("abort"),
    SourceName.ROLLBACK: _read_connection_test,
    SourceName.CONTROL: _metrics,
    SourceName.SIGNALS: lambda body: Levels(body["values"]),
}
