"""What a source reports that is unexpected (MON-5), and the share of a stream as such a report."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from rollout.monitoring.aggregates import Aggregates
from rollout.monitoring.binomial import confidence_sequence
from rollout.monitoring.share_stream import ShareStream
from rollout.monitoring.share_test import ShareTest
from rollout.monitoring.verdict import _at, show_rate


@dataclass(frozen=True, slots=True)
class Finding:
    """What a source reports.

    Attributes:
        source: the source.
        at: when the deciding sample was taken, UTC, ISO 8601.
        text: one sentence for the operator.
        samples: the requests of the share that decided; 1 where none did.
        interval: the confidence sequence of that share.
    """

    source: str
    at: str
    text: str
    samples: int = 1
    interval: tuple[float, float] | None = None


def share_above(
    aggregates: Aggregates, source: str, what: str, stream: ShareStream, test: ShareTest
) -> Iterator[Finding]:
    """Yield the share of a stream as a finding if it is above the limit of its test; `what` continues the sentence."""
    evidence = stream.evidence(test)
    if not evidence.is_breached:
        return
    worst = stream.worst_stretch(test)
    share = show_rate(worst.failures / worst.requests, test.limit)
    text = (
        f"{share} {what} ({worst.failures:.0f} of {worst.requests:.0f}), more than {test.limit * 100:g} %; "
        f"{evidence.describe()}"
    )
    yield Finding(source, _at(aggregates, source), text, round(worst.requests), interval_of(stream))


def interval_of(stream: ShareStream) -> tuple[float, float] | None:
    """Return the confidence sequence of a stream's share; None without a request."""
    window = stream.window
    return _bounds(window.requests, window.failures) if window.requests else None


@lru_cache(maxsize=16)
def _bounds(requests: float, failures: float) -> tuple[float, float]:
    # Most polls of the other sources change neither number.
    return confidence_sequence(requests, failures)
