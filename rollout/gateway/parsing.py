"""Turns the body of an answer into a typed response, one function per call.

Each raises `InvalidResponse` where the body is not of the documented shape: that of the response itself, or one of
`rollout.gateway.shapes` where the two differ.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from rollout.gateway import shapes
from rollout.gateway.documents import (
    EVENTS,
    FAILED,
    InvalidResponse,
    adapter_of,
    describe_mismatch,
    media_type,
    read_document,
    read_shape,
    refuse_failure,
)
from rollout.gateway.responses import (
    Alert,
    Amount,
    AuditEntry,
    Completion,
    Connection,
    ConnectionTest,
    Governance,
    Metrics,
    Preflight,
    ProviderHealth,
    Providers,
    RuntimeConfig,
    Weights,
)
from rollout.gateway.streamed_completions import streamed_completion
from rollout.gateway.transport import Answer

_NOT_UP = {"error", "failure", "failed", "unhealthy", "down", "starting", "offline"}
_ADDS_UP = 1e-6


def health(answer: Answer) -> None:
    """Accept ``GET /health`` with 200, unless its `status` says that the service is not up.

    Raises:
        InvalidResponse: the body is a web page, or its `status` is one such as ``error`` or ``starting``.
    """
    if answer.body.lstrip()[:1] in {b"<", b"{"}:
        refuse_failure(read_document(answer), _NOT_UP)


def providers(answer: Answer) -> Providers:
    """Read ``GET /providers``.

    Raises:
        InvalidResponse: the shape differs, a name occurs twice, or the list contradicts the name of the active one.
    """
    found = read_shape(answer, Providers)
    names = Counter(provider.name.casefold() for provider in found.providers)
    for name, count in names.most_common(1):
        if count > 1:
            raise InvalidResponse(f"the list names {name} {count} times; names are case-insensitive and must differ")
    active = [provider.name for provider in found.providers if provider.is_active]
    if len(active) > 1:
        raise InvalidResponse(f"the list marks {' and '.join(active)} active at once; exactly one can be")
    claimed = (found.active_provider or "").casefold()
    # A name that is not listed is no contradiction: google may be reported as google-gemini (deviation 14).
    if active and claimed in names and claimed != active[0].casefold():
        raise InvalidResponse(f"active_provider says {found.active_provider}, but the list marks {active[0]} active")
    return replace(found, active_provider=found.active_provider or None)


def status(answer: Answer) -> Connection:
    """Read ``GET …/status``."""
    return read_shape(answer, shapes.Status).connection


def connection_test(answer: Answer) -> ConnectionTest:
    """Read ``POST …/test-connection``: succeeded only if both verdict fields do (deviation 5)."""
    shape = read_shape(answer, shapes.ConnectionTest, failed={"error"})
    return ConnectionTest(
        succeeded=shape.status == "success" and shape.connection_status == "connected",
        connection_status=shape.connection_status,
        latency_ms=shape.latency_ms,
        message=shape.message or "",
        reason_code=shape.error_info.reason_code if shape.error_info else None,
    )


def preflight(answer: Answer) -> Preflight:
    """Read ``POST …/preflight``: ready only if both verdict fields are, and all checks passed, at least one."""
    shape = read_shape(answer, shapes.Preflight)
    verdict = shape.ready_for_activation and shape.overall_status == "ready"
    return Preflight(
        ready=verdict and bool(shape.checks) and all(check.passed for check in shape.checks.values()),
        checks=shape.checks,
    )


def activated(answer: Answer) -> None:
    """Read ``POST …/activate``: a claim, which the read-back proves or refutes.

    Raises:
        InvalidResponse: the shape differs, or `status` is anything but ``success``.
    """
    _check_claim(answer, shapes.Activated)


def activated_otherwise(answer: Answer) -> None:
    """Read the answer of the call that a target names in place of ``…/activate`` (deviation 13).

    Its shape is not documented: only its `status` counts.

    Raises:
        InvalidResponse: the answer is no JSON object, or `status` is anything but ``success``.
    """
    _check_claim(answer, shapes.ActivatedOtherwise)


def metrics(answer: Answer) -> Metrics:
    """Read ``GET …/metrics``; percent becomes a fraction (deviation 1)."""
    shape = read_shape(answer, shapes.Metrics).metrics
    return Metrics(
        total_requests=shape.total_requests,
        successful_requests=shape.successful_requests,
        failed_requests=shape.failed_requests,
        error_rate=shape.error_rate / shapes.PERCENT,
        latency=shape.latency,
        errors_by_code=shape.errors.by_code,
        total_usd=shape.cost.total_usd,
        total_tokens=shape.cost.total_tokens,
    )


def provider_health(answer: Answer) -> ProviderHealth:
    """Read ``GET …/health`` of a provider; its rates are fractions already (deviation 1)."""
    return read_shape(answer, shapes.Health).health


def alerts(answer: Answer) -> tuple[Alert, ...]:
    """Read ``GET /alerts``, in the gateway's order; a severity beyond the three is an InvalidResponse."""
    return read_shape(answer, shapes.Alerts).alerts


def governance(answer: Answer) -> Governance:
    """Read ``GET /governance/status``, the limits only."""
    return read_shape(answer, Governance)


def limit_set(answer: Answer) -> None:
    """Read ``POST /governance/limits``: a claim, which the read-back proves or refutes.

    Raises:
        InvalidResponse: the shape differs, or `status` is anything but ``success``.
    """
    _check_claim(answer, shapes.LimitSet)


def done(answer: Answer) -> None:
    """Read the answer of a write that shows only whether it was accepted; an empty one is accepted too.

    Raises:
        InvalidResponse: its `status` is a failure.
    """
    if answer.body.strip():
        refuse_failure(read_document(answer), FAILED)


def weights(answer: Answer, at: str, total: float) -> Weights:
    """Read the weights of a gateway that splits its requests (CAN-2).

    Args:
        answer: the gateway's answer.
        at: the keys that lead to them, dotted.
        total: what they add up to, 1 or 100.

    Raises:
        InvalidResponse: there are none, they are no numbers from 0 up, or they do not add up to `total`.
    """
    document = read_document(answer)
    refuse_failure(document, FAILED)
    found: Any = document
    for key in at.split("."):
        found = found.get(key) if isinstance(found, dict) else None
    try:
        given = adapter_of(dict[str, Amount]).validate_python(found, strict=True)
    except ValidationError as problem:
        raise InvalidResponse(f"{at}: {describe_mismatch(problem.errors(include_url=False))}") from None
    if given and not math.isclose(math.fsum(given.values()), total, rel_tol=_ADDS_UP):
        raise InvalidResponse(f"the weights at {at} add up to {math.fsum(given.values()):g}, not to {total:g}")
    # A gateway may list a destination without a share; it is left out.
    return Weights({name: weight / total for name, weight in given.items() if weight})


def completion(answer: Answer) -> Completion:
    """Read ``POST /chat/completions``, or server-sent events (`rollout.gateway.streamed_completions`).

    An empty content is returned as it is, for a check to judge (deviation 10).

    Raises:
        InvalidResponse: the shape differs, or the stream has an error event or no end.
    """
    if media_type(answer) == EVENTS:
        return streamed_completion(answer)
    shape = read_shape(answer, shapes.Completion)
    return Completion(
        content=shape.choices[0].message.content or "",
        model=shape.model,
        provider=shape.provider,
        total_tokens=shape.usage.total_tokens if shape.usage else 0,
        elapsed_ms=answer.elapsed_ms,
    )


def audit(answer: Answer) -> tuple[AuditEntry, ...]:
    """Read ``GET /admin/audit``, newest first; a user that was not recorded reads ``unknown``, as at the gateway."""
    return read_shape(answer, shapes.Audit).entries


def runtime_config(answer: Answer) -> RuntimeConfig:
    """Read ``GET /config/runtime``."""
    return read_shape(answer, RuntimeConfig)


def boot_id(answer: Answer) -> str | None:
    """Read the boot's id from ``GET /system/status``; None where there is none (deviation 2)."""
    return read_shape(answer, shapes.SystemStatus).boot_id


def _check_claim(answer: Answer, shape: type[shapes.Claim]) -> None:
    status = read_shape(answer, shape).status
    if status != "success":
        raise InvalidResponse(f"answered {answer.status}, but its status is {status!r}, not 'success'")
