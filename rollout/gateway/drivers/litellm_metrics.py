"""The counters of a LiteLLM proxy's deployments, from the text that its callback ``prometheus`` serves (MON-2, MON-3).

A deployment is known by the label ``model_id``. A completion of the proxy's own health check has none, and is not
counted. A fallback hides a failed try from the user who asked, and not from the counters of the deployment that failed.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import TYPE_CHECKING

from rollout.core.histogram import Histogram
from rollout.gateway.documents import InvalidResponse, decode_text, describe_size
from rollout.gateway.responses import Latency, Metrics
from rollout.gateway.transport import Answer

if TYPE_CHECKING:
    from prometheus_client import Metric
    from prometheus_client.samples import Sample

REQUESTS = "litellm_deployment_total_requests_total"
FAILURES = "litellm_deployment_failure_responses_total"
LATENCY = "litellm_request_total_latency_metric_bucket"
SPEND = "litellm_spend_metric_total"
TOKENS = "litellm_total_tokens_metric_total"
FALLBACKS = "litellm_deployment_successful_fallbacks_total"
STARTED = "process_start_time_seconds"

_DEPLOYMENT = "model_id"
_ASKED_FOR = "requested_model"
_REASON = "exception_status"


def deployment_metrics(every: list[Sample], deployments: Collection[str]) -> Metrics:
    """Return the counters of these deployments together, since the proxy was started.

    The latencies are those of answered requests, from their arrival at the proxy to their last byte. LiteLLM records no
    latency of a failed one. A deployment without a request has no series yet, and counts as 0.

    Args:
        every: the result of `read_samples`.
        deployments: their ids.

    Raises:
        InvalidResponse: a value is no count.
    """
    samples = [each for each in every if each.labels.get(_DEPLOYMENT) in deployments]
    total, failed = _count(samples, REQUESTS), _count(samples, FAILURES)
    # A scrape may see a failure before the request that it belongs to.
    total = max(total, failed)
    latencies = _histogram(samples, every)
    return Metrics(
        total_requests=total,
        successful_requests=total - failed,
        failed_requests=failed,
        error_rate=failed / total if total else 0.0,
        latency=_percentiles(latencies),
        errors_by_code=_by_reason(samples),
        total_usd=_sum(samples, SPEND),
        total_tokens=_count(samples, TOKENS),
        histogram=latencies,
    )


def count_fallbacks(every: list[Sample], models: Collection[str]) -> int:
    """Return how many requests for these models a fallback has answered, since the proxy was started.

    A proxy without a fallback has no series yet, and counts 0.

    Args:
        every: the result of `read_samples`.
        models: the names that are asked for, and those of the deployments that they lead to.

    Raises:
        InvalidResponse: a value is no count.
    """
    return _count([each for each in every if each.labels.get(_ASKED_FOR) in models], FALLBACKS)


def process_start(every: list[Sample]) -> str | None:
    """Return when the proxy's process was started, as an id of it; None where several processes share the counters.

    Args:
        every: the result of `read_samples`.
    """
    found = [repr(each.value) for each in every if each.name == STARTED]
    return found[0] if len(found) == 1 else None


def read_samples(answer: Answer) -> list[Sample]:
    """Return the samples that ``GET /metrics/`` answered.

    Raises:
        InvalidResponse: the text is none of Prometheus' format, or has no counters of deployments.
    """
    families = _families(answer)
    if not any(family.name == REQUESTS.removesuffix("_total") for family in families):
        raise InvalidResponse(
            f"the metrics hold no {REQUESTS} ({describe_size(answer)}); let the configuration say `litellm_settings: "
            "{callbacks: [prometheus]}`, or the target `settings: {counters: none}`"
        )
    return [sample for family in families for sample in family.samples]


def _families(answer: Answer) -> list[Metric]:
    # The parser is loaded where a proxy of this kind is read.
    from prometheus_client.parser import text_string_to_metric_families  # noqa: PLC0415

    text = decode_text(answer)
    try:
        return list(text_string_to_metric_families(text))
    except (ValueError, KeyError, IndexError) as problem:
        raise InvalidResponse(f"the metrics are not of Prometheus' text format: {problem}") from None


def _sum(samples: list[Sample], name: str) -> float:
    values = [sample.value for sample in samples if sample.name == name]
    if not all(math.isfinite(value) and value >= 0 for value in values):
        raise InvalidResponse(f"the metrics hold a {name} that is no count")
    return math.fsum(values)


def _count(samples: list[Sample], name: str) -> int:
    return round(_sum(samples, name))


def _by_reason(samples: list[Sample]) -> dict[str, int]:
    reasons = {sample.labels.get(_REASON) or "unknown" for sample in samples if sample.name == FAILURES}
    return {
        reason: _count([each for each in samples if (each.labels.get(_REASON) or "unknown") == reason], FAILURES)
        for reason in sorted(reasons)
    }


def _histogram(samples: list[Sample], every: list[Sample]) -> Histogram | None:
    """Return the latencies of these samples; None where no deployment has any yet, so that no bounds are known."""
    counts = {_bound(sample): 0.0 for sample in every if sample.name == LATENCY}
    for sample in samples:
        if sample.name == LATENCY:
            counts[_bound(sample)] += sample.value
    if not counts:
        return None
    try:
        return Histogram.of(counts)
    except ValueError as problem:
        raise InvalidResponse(f"{LATENCY}: {problem}") from None


def _bound(sample: Sample) -> float:
    try:
        return float(sample.labels["le"])
    except (KeyError, ValueError):
        raise InvalidResponse(f"a series of {LATENCY} has no upper bound") from None


def _percentiles(latencies: Histogram | None) -> Latency:
    if latencies is None:
        return Latency(None, None, None, 0)
    p50, p95, p99 = (_quantile_ms(latencies, share) for share in (0.5, 0.95, 0.99))
    return Latency(p50, p95, p99, round(latencies.count))


def _quantile_ms(latencies: Histogram, share: float) -> float | None:
    found = latencies.quantile(share)
    return None if found is None or found.at_least else found.seconds * 1000
