"""What the sources of a window bring home, and what is known before the window begins.

A reading that is not what its source promises (NaN, negative, wrong type) is no reading: `sound` turns it into a failed
look, so that no trigger ever compares with it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any, TypeAlias

from rollout.core.histogram import Histogram
from rollout.core.scenario import Monitor, ProviderChange
from rollout.core.units import truncate
from rollout.gateway.responses import Alert, Connection, ConnectionTest, Latency, Metrics

LINES_KEPT = 5
LINE_KEPT = 300


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


@dataclass(frozen=True, slots=True)
class SyntheticReading:
    """What came of one request of the suite's own.

    Attributes:
        ok: a completion came back, whatever it says; False counts as an error (MON-2).
        latency_ms: how long it took, None if that is unknown.
        provider: who answered, None where the answer does not say.
        model: the model that answered, None where the answer does not say.
        reason: why it failed, or, if `ok`, what is wrong with the answer (MON-5); None if nothing is.
        status: the HTTP status of a failed request; None if none came, so that the gateway may not have counted it.
        control: beside a canary, the previous provider had this request: it says nothing of the new one.
    """

    ok: bool
    latency_ms: float | None
    provider: str | None = None
    model: str | None = None
    reason: str | None = None
    status: int | None = None
    control: bool = False


Reading: TypeAlias = (
    Connection | Metrics | tuple[Alert, ...] | tuple[str, ...] | int | SyntheticReading | str | ConnectionTest
)


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at one source.

    Attributes:
        source: one of `Name`.
        at_s: seconds from the beginning of the window to the start of the look.
        at: the same moment, UTC, ISO 8601.
        reading: what was seen; None if the look failed, from the operator source while nobody asks for an abort, and
            from the synthetic one once its cap is reached.
        error: why the look failed, one line; None if it did not.
        took_s: how long the look took.
        unwatched_s: how much of the time before it nobody watched: what lies beyond twice the source's pace, and the
            time between two calls.
    """

    source: str
    at_s: float
    at: str
    reading: Reading | None
    error: str | None = None
    took_s: float = 0.0
    unwatched_s: float = 0.0

    def record(self) -> dict[str, Any]:
        """Return the sample as a small dict of JSON types, for the journal."""
        told: dict[str, Any] = {"source": str(self.source), "at_s": round(self.at_s, 3), "at": self.at}
        if self.took_s:
            told["took_s"] = round(self.took_s, 3)
        if self.unwatched_s:
            told["unwatched_s"] = round(self.unwatched_s, 3)
        if self.error is not None:
            return told | {"error": self.error}
        return told | _describe_reading(self.source, self.reading)

    @classmethod
    def from_record(cls, body: Mapping[str, Any]) -> Sample:
        """Read `record` back: of the reading whatever a trigger looks at, so that it judges the same again."""
        reading = None if "error" in body else _READERS[body["source"]](body)
        took_s, unwatched_s = body.get("took_s", 0.0), body.get("unwatched_s", 0.0)
        return cls(body["source"], body["at_s"], body["at"], reading, body.get("error"), took_s, unwatched_s)


@dataclass(frozen=True, slots=True)
class Baseline:
    """How the current provider does before the change (PRE-5.4).

    Attributes:
        provider: whose numbers these are.
        users_p95_ms: P95 of the gateway's own percentiles, or from Prometheus' histogram over as long as the window
            will be; None where there was no traffic, or where it lies above the histogram's highest bound.
        users_samples: how many latencies that P95 was taken from.
        users_error_rate: fraction 0-1 since the gateway was started, or over as long as the window will be in
            Prometheus; None where there was no traffic. For people only.
        users_requests: how many requests that rate was taken from.
        synthetic_p95_ms: P95 of the suite's own requests, None if none succeeded.
        synthetic_samples: how many latencies that P95 was taken from.
        synthetic_failures: how many of the suite's own requests failed.
    """

    provider: str
    users_p95_ms: float | None = None
    users_samples: int = 0
    users_error_rate: float | None = None
    users_requests: int = 0
    synthetic_p95_ms: float | None = None
    synthetic_samples: int = 0
    synthetic_failures: int = 0

    def record(self) -> dict[str, Any]:
        """Return the baseline as a dict of JSON types, for the journal."""
        return asdict(self)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Baseline:
        """Read `record` back; keys that are not the baseline's (the journal adds some) are left alone."""
        return cls(**{key: record[key] for key in cls.__dataclass_fields__ if key in record})


@dataclass(frozen=True, slots=True)
class Context:
    """What the triggers know besides the samples.

    Attributes:
        change: the new provider and model.
        previous: the provider and model that a rollback goes back to.
        monitor: paces, limits and least numbers.
        baseline: None where none was measured.
        alerts_before: `Alert.key` of the critical alerts that were firing before the change.
        fixes: what the change is meant to cure: ``TYPE/PROVIDER`` of alerts, or a provider's name.
        counters_before: the new provider's metrics, read right before the activation.
        fallbacks_before: how many fallbacks the gateway listed before the change.
        log_unread_from_s: from when on, in seconds of the window, a log command's lines were lost until the next call.
        control: the control group beside a canary, who serves the rest of the requests; None where there is none.
        window_s: how long the window lasts; None where it is the scenario's.
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

    @property
    def lasts_s(self) -> float:
        """How long the window has to be watched, in seconds."""
        return self.monitor.window_s if self.window_s is None else self.window_s


def is_number(value: object) -> bool:
    """Tell whether `value` is a finite number, at least 0."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) and value >= 0


def validate_sample(sample: Sample) -> Sample:
    """Return the sample, or a failed look in its place if its reading is not what the source promises."""
    if sample.error is not None:
        return sample if sample.reading is None else replace(sample, reading=None)
    fault = _FAULTS[sample.source](sample.reading) if sample.source in _FAULTS else "there is no such source"
    return sample if fault is None else replace(sample, reading=None, error=f"{sample.source}: {fault}")


def _describe_reading(source: str, reading: Reading | None) -> dict[str, Any]:
    told: dict[str, Any]
    match reading:
        case Connection():
            told = {"status": reading.status, "message": reading.message, "reason_code": reading.reason_code}
        case Metrics():
            latency = reading.latency
            told = {"total": reading.total_requests, "failed": reading.failed_requests}
            told |= {"p95_ms": latency.p95_ms, "samples": latency.samples}
            told |= {"buckets": None if reading.histogram is None else reading.histogram.record()}
            told |= {"age_s": reading.age_s or None}
        case SyntheticReading():
            told = {key: value for key, value in asdict(reading).items() if key != "control" or value}
        case ConnectionTest():
            told = {"succeeded": reading.succeeded, "message": reading.message}
        case tuple():
            return _describe_list(source, reading)
        case _:
            told = {"abort" if source == SourceName.OPERATOR else "count": reading}
    return {key: value for key, value in told.items() if value is not None}


def _describe_list(source: str, reading: tuple[Alert, ...] | tuple[str, ...]) -> dict[str, Any]:
    if source == SourceName.ALERTS:
        alerts = [part for part in reading if isinstance(part, Alert)]
        return {"alerts": [{"key": alert.key, **asdict(alert)} for alert in alerts]}
    return {"matching": len(reading), "lines": [truncate(str(line), LINE_KEPT) for line in reading[:LINES_KEPT]]}


def _status_fault(reading: object) -> str | None:
    return None if isinstance(reading, Connection) and isinstance(reading.status, str) else "the answer has no status"


def _metrics_fault(reading: object) -> str | None:
    if not isinstance(reading, Metrics):
        return "the answer has no metrics"
    counters: dict[str, float] = {
        "total_requests": reading.total_requests,
        "failed_requests": reading.failed_requests,
        "latency.samples": reading.latency.samples,
    }
    if reading.latency.p95_ms is not None:
        counters["latency.p95_ms"] = reading.latency.p95_ms
    wrong = next((name for name, value in counters.items() if not is_number(value)), None)
    if wrong is not None:
        return f"{wrong} is {counters[wrong]!r}, not a number from 0 up"
    if reading.failed_requests > reading.total_requests:
        return f"{reading.failed_requests} of {reading.total_requests} requests failed, which cannot be"
    return None


def _alerts_fault(reading: object) -> str | None:
    sane = isinstance(reading, tuple) and all(isinstance(part, Alert) for part in reading)
    return None if sane else "the answer is not a list of alerts"


def _fallbacks_fault(reading: object) -> str | None:
    return None if isinstance(reading, int) and is_number(reading) else f"{reading!r} is not a count"


def _log_fault(reading: object) -> str | None:
    sane = isinstance(reading, tuple) and all(isinstance(part, str) for part in reading)
    return None if sane else "the look brought no lines"


def _synthetic_fault(reading: object) -> str | None:
    if reading is None:
        # The cap is reached, and nothing was asked: that is not dark, it is as it was agreed.
        return None
    if not isinstance(reading, SyntheticReading) or not isinstance(reading.ok, bool):
        return "the look brought no answer"
    if reading.latency_ms is None:
        return "the request was not timed" if reading.ok else None
    return None if is_number(reading.latency_ms) else f"a latency of {reading.latency_ms!r} ms cannot be"


def _operator_fault(reading: object) -> str | None:
    return None if reading is None or isinstance(reading, str) else "the look brought no reason"


def _connection_test_fault(reading: object) -> str | None:
    return None if isinstance(reading, ConnectionTest) else "the answer has no verdict"


_FAULTS: Mapping[str, Callable[[object], str | None]] = {
    SourceName.STATUS: _status_fault,
    SourceName.METRICS: _metrics_fault,
    SourceName.ALERTS: _alerts_fault,
    SourceName.FALLBACKS: _fallbacks_fault,
    SourceName.LOG: _log_fault,
    SourceName.SYNTHETIC: _synthetic_fault,
    SourceName.OPERATOR: _operator_fault,
    SourceName.ROLLBACK: _connection_test_fault,
    SourceName.CONTROL: _metrics_fault,
}


def _metrics(body: Mapping[str, Any]) -> Metrics:
    total, failed = body["total"], body["failed"]
    latency = Latency(p50_ms=None, p95_ms=body.get("p95_ms"), p99_ms=None, samples=body["samples"])
    histogram = Histogram.from_record(body["buckets"]) if "buckets" in body else None
    rate = failed / total if total else 0.0
    return Metrics(total, total - failed, failed, rate, latency, {}, histogram=histogram, age_s=body.get("age_s", 0.0))


def _alerts(body: Mapping[str, Any]) -> tuple[Alert, ...]:
    fields = Alert.__dataclass_fields__
    return tuple(Alert(**{name: each[name] for name in fields}) for each in body["alerts"])


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
    # Of the lines that were not kept, the number counts.
    SourceName.LOG: lambda body: (*body["lines"], *[""] * (body["matching"] - len(body["lines"]))),
    SourceName.SYNTHETIC: _synthetic,
    SourceName.OPERATOR: lambda body: body.get("abort"),
    SourceName.ROLLBACK: _read_connection_test,
    SourceName.CONTROL: _metrics,
}
