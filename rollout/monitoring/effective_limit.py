"""The limit of a P95 with the uncertainty of its baseline in it (MON-3, PRE-5.4).

"P95 is above L" says "more than 5 % of the requests are slower than L". The baseline's own P95 is an estimate: the
limit is a multiple of a latency that the baseline's true P95 exceeds with a probability of at most alpha / 2. The other
half of alpha is the test's (`rollout.monitoring.share_test`). Too few requests give no such latency. Then the limit is
a multiple of the estimate, and the share of requests that may be slower is larger instead.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from rollout.core.histogram import Histogram
from rollout.monitoring.binomial import upper_bound, upper_tail

SLOWER_SHARE = 0.05
"""The share of requests that are slower than their P95."""

P95 = 1.0 - SLOWER_SHARE


@dataclass(frozen=True, slots=True)
class EffectiveLimit:
    """A limit for the share of requests that are slower than a latency.

    Attributes:
        limit_ms: the latency; a request that takes longer is bad.
        share: the highest share of bad requests that is acceptable, 0-1; 5 %, or more if the baseline is small.
        requests: the requests of the baseline.
        is_interpolated: whether the baseline's latency was interpolated within a bucket of a histogram.
    """

    limit_ms: float
    share: float
    requests: int
    is_interpolated: bool = False

    def factor_of(self, p95_ms: float) -> float:
        """Return the limit as a multiple of the baseline's estimated P95: the factor that is really applied."""
        return self.limit_ms / p95_ms


def effective_limit(ordered_latencies_ms: Sequence[float], factor: float, alpha: float) -> EffectiveLimit | None:
    """Return the limit at `factor` times the baseline's P95; None without a request.

    Args:
        ordered_latencies_ms: the baseline's latencies, ascending.
        factor: the multiple that is acceptable, at least 1.
        alpha: the trigger's; half of it is spent on the baseline.
    """
    rank, share = _rank_and_share(len(ordered_latencies_ms), alpha)
    if not rank:
        return None
    return EffectiveLimit(factor * ordered_latencies_ms[rank - 1], share, len(ordered_latencies_ms))


def effective_limit_of_histogram(histogram: Histogram, factor: float, alpha: float) -> EffectiveLimit | None:
    """Return the limit from a baseline's histogram; None without a request, or above the highest finite bound.

    The latency is interpolated within its bucket. The k-th of m latencies in a bucket is taken at k / m of its width;
    its mean place is k / (m + 1), so that the limit is rather too wide than too narrow.
    """
    count = math.floor(histogram.count)
    rank, share = _rank_and_share(count, alpha)
    found = histogram.quantile(rank / histogram.count) if rank else None
    if found is None or found.at_least:
        return None
    return EffectiveLimit(factor * found.seconds * 1000.0, share, count, is_interpolated=True)


def fewest_baseline_requests(alpha: float) -> int:
    """Return the fewest requests of a baseline from which 5 % of the requests may be slower than the limit, not more.

    The slowest of so many is below the true P95 with a probability of at most `alpha` / 2: 104 at alpha 0.01.
    """
    return math.ceil(math.log(alpha / 2.0) / math.log(P95))


def slower_share(requests: int, alpha: float) -> float:
    """Return the share of requests that may be slower than the multiple of a P95 of so many requests: 5 %, or more."""
    return _rank_and_share(requests, alpha)[1]


def factor_that_exceeds(ordered_latencies_ms: Sequence[float], limit_ms: float, share: float) -> float | None:
    """Return the multiple of all latencies of the baseline at which `share` of them is slower than the limit.

    None if one of that share is 0 ms: no multiple of it is slower.
    """
    rank = math.ceil((1.0 - share) * len(ordered_latencies_ms))
    latency_ms = ordered_latencies_ms[max(rank, 1) - 1]
    return limit_ms / latency_ms if latency_ms > 0.0 else None


@dataclass(frozen=True, slots=True)
class Slower:
    """How many requests of a histogram are slower than a limit.

    Attributes:
        requests: all requests.
        failures: those slower than the limit, interpolated within the limit's bucket: a fraction.
        unknown: those above the highest finite bound, if the limit is above it too; each may be slower or not.
    """

    requests: float
    failures: float
    unknown: float = 0.0


def count_slower(histogram: Histogram, limit_ms: float) -> Slower:
    """Count the requests of a histogram that are slower than the limit, interpolated within the limit's bucket.

    A count by entire buckets would be the count at another limit.
    """
    limit_s, (start, below) = limit_ms / 1000.0, (0.0, 0.0)
    for bound, count in histogram.buckets:
        if limit_s <= bound:
            if math.isinf(bound):
                return Slower(histogram.count, 0.0, unknown=count - below)
            within = max(0.0, (limit_s - start) / (bound - start))
            return Slower(histogram.count, histogram.count - below - within * (count - below))
        start, below = bound, count
    return Slower(histogram.count, 0.0)


# The limit is asked for at every poll, and neither number changes within a window.
@lru_cache(maxsize=32)
def _rank_and_share(requests: int, alpha: float) -> tuple[int, float]:
    """Return the rank k of the baseline's latency and the share of requests that may be slower than its multiple.

    k is the smallest rank with P(Bin(n, 0.95) >= k) <= alpha / 2. If there is none, k is the estimate's own rank, and
    the share is the 1 - alpha / 2 quantile of Beta(n - k + 1, k). Both are 0 without a request.
    """
    if not requests:
        return 0, 0.0
    if upper_tail(requests, requests, P95) <= alpha / 2:
        return _first(lambda rank: upper_tail(rank, requests, P95) <= alpha / 2, requests), SLOWER_SHARE
    rank = math.ceil(P95 * requests)
    return rank, upper_bound(requests - rank, requests, alpha / 2)


def _first(is_enough: Callable[[int], bool], highest: int) -> int:
    """Return the smallest number up to `highest` that is enough, if each above it is enough too and `highest` is."""
    low, high = 0, highest
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_enough(middle) else (middle, high)
    return high
