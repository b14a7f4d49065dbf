"""Whether the reading of a poll is what its source promises; otherwise the poll failed."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from types import UnionType

from rollout.gateway.responses import Alert, Connection, ConnectionTest, Metrics
from rollout.monitoring.samples import Sample, SourceName, SyntheticReading, is_number
from rollout.monitoring.signal_samples import Levels


def validate_sample(sample: Sample) -> Sample:
    """Return the sample, or a failed poll in its place if its reading is not what the source promises."""
    if sample.error is not None:
        return sample if sample.reading is None else replace(sample, reading=None)
    fault = _FAULTS[sample.source](sample.reading) if sample.source in _FAULTS else "there is no such source"
    return sample if fault is None else replace(sample, reading=None, error=f"{sample.source}: {fault}")


def _status_fault(reading: object) -> str | None:
    return None if isinstance(reading, Connection) and isinstance(reading.status, str) else "the answer has no status"


def _metrics_fault(reading: object) -> str | None:
    if not isinstance(reading, Metrics):
        return "the answer has no metrics"
    counters = {
        "total_requests": reading.total_requests,
        "failed_requests": reading.failed_requests,
        "latency.samples": reading.latency.samples,
        "latency.p95_ms": 0.0 if reading.latency.p95_ms is None else reading.latency.p95_ms,
    }
    for name, value in counters.items():
        if not is_number(value):
            return f"{name} is {value!r}, not a number from 0 up"
    if reading.failed_requests > reading.total_requests:
        return f"{reading.failed_requests} of {reading.total_requests} requests failed, which cannot be"
    return None


def _fallbacks_fault(reading: object) -> str | None:
    return None if isinstance(reading, int) and is_number(reading) else f"{reading!r} is not a count"


def _synthetic_fault(reading: object) -> str | None:
    if reading is None:
        # The cap is reached and no request was sent: the source is not unavailable.
        return None
    if not isinstance(reading, SyntheticReading) or not isinstance(reading.ok, bool):
        return "the poll returned no answer"
    if reading.latency_ms is None:
        return "the request was not timed" if reading.ok else None
    return None if is_number(reading.latency_ms) else f"a latency of {reading.latency_ms!r} ms cannot be"


def _fault_unless(kind: type | UnionType, fault: str, reading: object) -> str | None:
    """Return the fault, None if the reading is of that type."""
    return None if isinstance(reading, kind) else fault


def _fault_unless_all(kind: type, fault: str, reading: object) -> str | None:
    """Return the fault, None if the reading is a tuple whose parts are of that type."""
    return None if isinstance(reading, tuple) and all(isinstance(part, kind) for part in reading) else fault


def _levels_fault(reading: object) -> str | None:
    is_valid = isinstance(reading, Levels) and all(map(math.isfinite, reading.values.values()))
    return None if is_valid else "the poll returned no numbers"


_FAULTS: Mapping[str, Callable[[object], str | None]] = {
    SourceName.STATUS: _status_fault,
    SourceName.METRICS: _metrics_fault,
    SourceName.ALERTS: partial(_fault_unless_all, Alert, "the answer is not a list of alerts"),
    SourceName.FALLBACKS: _fallbacks_fault,
    SourceName.LOG: partial(_fault_unless_all, str, "the poll returned no lines"),
    SourceName.SYNTHETIC: _synthetic_fault,
    SourceName.OPERATOR: partial(_fault_unless, str | None, "the poll returned no reason"),
    SourceName.ROLLBACK: partial(_fault_unless, ConnectionTest, "the answer has no verdict"),
    SourceName.CONTROL: _metrics_fault,
    SourceName.SIGNALS: _levels_fault,
}
