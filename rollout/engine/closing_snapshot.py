"""The snapshot for the review: the active provider, the counters and the log when a rollout ends (REV).

It is captured after the decision, the rollback and the notifications, and its time is bounded: no other step waits for
it, and a gateway that does not answer gets no second request.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from rollout.approvals.obligations import ObligationKind, open_obligation
from rollout.context import RolloutContext
from rollout.core.canonical_json import to_json
from rollout.core.clock import format_utc
from rollout.core.errors import NotCleared, NotOffered, RolloutError
from rollout.core.request import EMBEDDED
from rollout.core.scenario import ProviderChange
from rollout.gateway.client import Gateway
from rollout.gateway.responses import Latency, Metrics
from rollout.journal.record import Kind, RolloutRecord
from rollout.monitoring.sources.error_log import Mark, before, kinds, mark

MOST_KINDS = 500
"""The journal keeps at most this many kinds of errors, the most frequent ones."""


@dataclass(frozen=True, slots=True)
class ClosingSnapshot:
    """The gateway and its log at the end of a rollout.

    Attributes:
        at: when it was captured, UTC.
        serving: the active provider then; None where it could not be read.
        boot: the id of the gateway's process; None where it has none.
        metrics: provider -> its counters then.
        log_file: the log; None where it could not be read.
        log: the position of its end.
        errors: the kinds of errors in it.
        lacking: ``gateway`` or ``log`` -> why it could not be read.
        review_from: the earliest time of the review, UTC.
    """

    at: datetime
    serving: ProviderChange | None
    boot: str | None
    metrics: Mapping[str, Metrics]
    log_file: Path | None
    log: Mark | None
    errors: frozenset[str]
    lacking: Mapping[str, str]
    review_from: datetime


def capture(rollout: RolloutContext) -> None:
    """Write the snapshot to the journal and open the obligation of the review.

    What cannot be read is named in the snapshot and raises nothing. A gateway that was started on demand ends with its
    rollout, so it gets neither snapshot nor review.
    """
    if rollout.target.name == EMBEDDED:
        return
    now, policy = rollout.clock.now(), rollout.policy
    body: dict[str, Any] = {"serving": None, "boot": None, "metrics": {}, "log": None, "errors": [], "lacking": {}}
    body |= {"at": format_utc(now), "review_from": format_utc(now + timedelta(seconds=policy.review_after_s))}
    try:
        # An operator's Ctrl-C does not interrupt it: the decision stands, and this is short.
        body |= _of_gateway(rollout.gateway.uninterruptible())
    except Exception as error:  # noqa: BLE001 - the decision is published, and no error may replace it
        body["lacking"]["gateway"] = str(error) if isinstance(error, RolloutError) else repr(error)
    try:
        body |= _of_log(rollout)
    except OSError as error:
        body["lacking"]["log"] = f"{rollout.target.log_file} cannot be read: {error.strerror}"
    rollout.append_or_spool(Kind.TRACES, **body)
    open_obligation(rollout, ObligationKind.REVIEW, policy.review_within_s)


def of_record(record: RolloutRecord) -> ClosingSnapshot:
    """Return the rollout's closing snapshot.

    Raises:
        NotCleared: the journal holds none.
    """
    body = record.traces
    if body is None:
        raise NotCleared(f"the journal does not say how the gateway was when {record.id} ended, so nothing compares")
    return ClosingSnapshot(
        at=_moment(body["at"]),
        serving=None if body["serving"] is None else ProviderChange(**body["serving"]),
        boot=body["boot"],
        metrics={name: _metrics(counted) for name, counted in body["metrics"].items()},
        log_file=None if body["log"] is None else Path(body["log_file"]),
        log=None if body["log"] is None else Mark(**body["log"]),
        errors=frozenset(body["errors"]),
        lacking=body["lacking"],
        review_from=_moment(body["review_from"]),
    )


def counters(gateway: Gateway) -> dict[str, Metrics]:
    """Return provider -> its counters, for every provider that takes requests; empty where the gateway counts nothing.

    Raises:
        GatewayError: some cannot be read.
    """
    taking = [each.name for each in gateway.providers().providers if each.capabilities.get("inference", True)]
    with suppress(NotOffered):
        return {name: gateway.metrics(name) for name in taking}
    return {}


def _of_gateway(gateway: Gateway) -> dict[str, Any]:
    return {
        "serving": to_json(gateway.active_provider()),
        "boot": gateway.boot_id(),
        "metrics": {name: _counted(metrics) for name, metrics in counters(gateway).items()},
    }


def _of_log(rollout: RolloutContext) -> dict[str, Any]:
    path = rollout.target.log_file
    if path is None:
        return {}
    at = mark(path)
    seen = kinds(before(path, at), rollout.redactor.text)
    return {"log_file": str(path), "log": asdict(at), "errors": [kind for kind, _ in seen.most_common(MOST_KINDS)]}


def _counted(metrics: Metrics) -> dict[str, Any]:
    return {
        "total": metrics.total_requests,
        "failed": metrics.failed_requests,
        "p95_ms": metrics.latency.p95_ms,
        "samples": metrics.latency.samples,
        "usd": metrics.total_usd,
        "tokens": metrics.total_tokens,
    }


def _metrics(counted: Mapping[str, Any]) -> Metrics:
    total, failed = counted["total"], counted["failed"]
    return Metrics(
        total_requests=total,
        successful_requests=total - failed,
        failed_requests=failed,
        error_rate=failed / total if total else 0.0,
        latency=Latency(p50_ms=None, p95_ms=counted["p95_ms"], p99_ms=None, samples=counted["samples"]),
        errors_by_code={},
        total_usd=counted["usd"],
        total_tokens=counted["tokens"],
    )


def _moment(at: str) -> datetime:
    return datetime.fromisoformat(at).astimezone(UTC)
