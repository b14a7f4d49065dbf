"""What a window can tell: the smallest share above the limit that its requests show, and what it takes to see more.

`breach_probability` approximates the rule of `rollout.monitoring.share_test` for requests that are spread evenly over
the polls and fail independently from the window's start. The evidence at the window's end is a sum of equal steps,
whose mean and variance are computed from the binomial distribution, the cap included; the sum is taken as normal, and
earlier breaches are added as for a random walk with drift (D. Siegmund, *Sequential Analysis*, 1985). Gross failure is
left out. Simulations of the rule (tests/monitoring/test_power.py) bound the error: the smallest share's excess over the
limit is at most 3 % too low and 12 % too high; it is too high where the cap decides, from some 100 requests a poll on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache

from rollout.monitoring.binomial import divergence, log_probability
from rollout.monitoring.effective_limit import SLOWER_SHARE
from rollout.monitoring.share_test import CAP, HIGHEST_SHARE, ShareTest, log_mean_exp, weights

POWER = 0.9
"""The probability with which a window tells a share that it is said to tell."""

ALIKE = "if every request slows down alike"
"""The condition of a multiple of all latencies."""

MOST_REQUESTS = 10**9

_IN_WORDS = f"in {POWER * 10:.0f} of 10"
_OVERSHOOT = 0.583
_NODES = 48
_WIDEST = 6.0
_NORMAL_FROM = 12.0
_FARTHEST = 40.0
_PRECISION = 1e-3
_FLAT = 1e-9


def delay_bound(limit: float, share: float, alpha: float) -> float:
    """Return the requests that no test needs fewer of on average to tell `share` from `limit`: ln(1 / alpha) / KL.

    (A. Wald, *Sequential Analysis*, 1947.) Both shares lie between 0 and 1, exclusive.
    """
    return -math.log(alpha) / divergence(share, limit)


def breach_probability(test: ShareTest, share: float, requests: int, polls: int) -> float:
    """Return the approximate probability that a window breaches whose requests fail with the probability `share`.

    Args:
        test: the rule; its `polls` include the extension.
        share: the true share, 0-1, above the limit.
        requests: the requests of the window.
        polls: the polls of the window, without an extension.
    """
    steps = min(requests, polls)
    if not (steps and test.is_judgeable):
        return 0.0
    walks = _walks(test, share, requests, polls)
    needed = test.log_threshold

    def is_too_little(deviation: float) -> bool:
        return _evidence([walk.at(deviation) for walk in walks], steps, test.polls) < needed

    if is_too_little(_FARTHEST):
        return 0.0
    deviation = _last(is_too_little, -_FARTHEST, _FARTHEST)
    leading = max(walks, key=lambda walk: walk.at(deviation))
    return leading.crossing_probability(leading.at(deviation), steps)


def smallest_share(test: ShareTest, requests: int, polls: int, power: float = POWER) -> float | None:
    """Return the smallest share above the limit that breaches with the probability `power`; None if none does."""

    def is_unseen(share: float) -> bool:
        return breach_probability(test, share, requests, polls) < power

    highest = max(HIGHEST_SHARE, test.limit)
    return None if is_unseen(highest) else _last(is_unseen, test.limit, highest)


@lru_cache
def requests_needed(test: ShareTest, share: float, polls: int, power: float = POWER) -> int | None:
    """Return the fewest requests of a window that breaches at `share` with the probability `power`.

    None if no number of requests is enough, because each of the polls adds a limited evidence.
    """

    def is_unseen(requests: float) -> bool:
        return breach_probability(test, share, round(requests), polls) < power

    return None if is_unseen(MOST_REQUESTS) else math.ceil(_last(is_unseen, 0.0, float(MOST_REQUESTS)))


def needed_a_minute(test: ShareTest, polls: int, minutes: float) -> int | None:
    """Return the requests a minute of a window that tells twice the limit; None if no number is enough."""
    needed = requests_needed(test, min(1.0, 2.0 * test.limit), polls)
    return None if needed is None else math.ceil(needed / minutes)


def describe_smallest_share(requests: int, limit: float, smallest: float) -> str:
    """Return ``1,800 requests: 5 % from 8 %``; the share is rounded up, so that the power is at least as stated."""
    return f"{requests:,} requests: {_percent(limit)} from {_percent(_round_up(smallest))}"


def describe_shown(requests: int, limit: float, smallest: float | None, needed_a_minute: int | None) -> str:
    """Return what requests that do not show twice the limit show instead, and how many would show it.

    Args:
        requests: the requests so far.
        limit: the share that is acceptable, 0-1.
        smallest: the smallest share that they show; None if they show none.
        needed_a_minute: the synthetic requests a minute that show twice the limit; None if no number does.
    """
    none = f"{requests:,} requests: too few requests or polls to show any share above {_percent(limit)}"
    begins = none if smallest is None else describe_smallest_share(requests, limit, smallest)
    if needed_a_minute is None:
        return begins
    twice = f"{_percent(2.0 * limit)} {_IN_WORDS}"
    return f"{begins}; {needed_a_minute:,} synthetic requests a minute would show {twice}"


def describe_smallest_factor(factor: float, effective: float, smallest: float, share: float) -> str:
    """Return the sentence of a latency limit: its factor, and the smallest one that is told from it.

    Args:
        factor: the multiple of the baseline's P95 that is acceptable.
        effective: the limit as a multiple of the estimated P95, `EffectiveLimit.factor_of`.
        smallest: the multiple of all latencies at which the `smallest_share` is slower than the limit.
        share: the share of requests that may be slower than the limit, 0-1: 5 %, or more if the baseline is small.
    """
    may = f"; {share * 100:.0f} % may be slower" if share > SLOWER_SHARE else ""
    return f"P95 {factor:g} x (effective {effective:.2g} x) from {_round_up(smallest):g} x, {ALIKE}{may}"


def describe_unseen(requests: int, needed_a_minute: int | None, cost: str = "") -> str:
    """Return the sentence for a window that cannot tell twice the limit, with what would.

    Args:
        requests: the requests that the window has.
        needed_a_minute: the synthetic requests a minute that are enough; None if no number is.
        cost: the price of these, in words.
    """
    begins = f"{requests:,} requests: twice the limit cannot be seen"
    if needed_a_minute is None:
        return f"{begins}; the window is too short to show it with ten synthetic requests a second"
    price = f" ({cost})" if cost else ""
    return f"{begins}; {needed_a_minute:,} synthetic requests a minute{price} would show it {_IN_WORDS}"


def _percent(share: float) -> str:
    return f"{share * 100:.6g} %"


def _round_up(value: float) -> float:
    """Return the number with two significant digits, rounded up."""
    digits = 1 - math.floor(math.log10(value))
    # Rounded before: 0.08 x 10^3 may be 80.00000000000001.
    return round(math.ceil(round(value * 10.0**digits, 9)) / 10.0**digits, max(digits, 0))


class _Walk:
    """The evidence against one alternative, as a random walk: mean and variance at the window's end."""

    def __init__(self, moments: Iterable[tuple[float, float, float]]) -> None:
        """Sum up so many steps, each with its mean and variance."""
        self.mean = self.variance = 0.0
        for count, mean, variance in moments:
            self.mean += count * mean
            self.variance += count * variance

    def at(self, deviation: float) -> float:
        """Return the evidence at so many standard deviations from its mean."""
        return self.mean + deviation * math.sqrt(self.variance)

    def crossing_probability(self, barrier: float, steps: int) -> float:
        """Return the probability that the walk is at or above the barrier after any of its steps."""
        if self.variance <= _FLAT:
            return float(self.mean >= barrier)
        deviation = math.sqrt(self.variance)
        barrier += _OVERSHOOT * deviation / math.sqrt(steps)
        at_the_end = _above((barrier - self.mean) / deviation)
        reflected = _above((barrier + self.mean) / deviation)
        if barrier <= 0.0 or not reflected:
            return at_the_end
        earlier = 2.0 * self.mean * barrier / self.variance + math.log(reflected)
        return min(1.0, at_the_end + math.exp(min(0.0, earlier)))


def _walks(test: ShareTest, share: float, requests: int, polls: int) -> list[_Walk]:
    """Return the walks of all alternatives: some polls have one request more than the others."""
    fewer, more = divmod(requests, polls)
    sizes = [(count, size) for count, size in ((polls - more, fewer), (more, fewer + 1)) if count and size]
    moments = [[(count, *moment) for moment in _step_moments(test, share, size)] for count, size in sizes]
    return [_Walk(parts) for parts in zip(*moments, strict=True)]


def _step_moments(test: ShareTest, share: float, requests: int) -> list[tuple[float, float]]:
    """Return mean and variance of the capped evidence of one poll, for each alternative."""
    outcomes = [(failures, requests - failures, probability) for failures, probability in _outcomes(requests, share)]
    moments = []
    for bad, good in weights(test.limit, test.alternatives):
        mean = square = 0.0
        for failures, passed, probability in outcomes:
            capped = min(CAP, failures * bad + passed * good)
            part = probability * capped
            mean += part
            square += part * capped
        moments.append((mean, max(0.0, square - mean * mean)))
    return moments


def _outcomes(requests: int, share: float) -> Iterator[tuple[float, float]]:
    """Yield numbers of failures of one poll with their probabilities: exact ones, or of a normal distribution."""
    mean, deviation = requests * share, math.sqrt(requests * share * (1.0 - share))
    if deviation < _NORMAL_FROM:
        reach = 8.0 * deviation + 8.0
        for failures in range(max(0, math.floor(mean - reach)), min(requests, math.ceil(mean + reach)) + 1):
            yield failures, math.exp(log_probability(failures, requests, share))
        return
    nodes = [_WIDEST * (2.0 * node / _NODES - 1.0) for node in range(_NODES + 1)]
    densities = [math.exp(-0.5 * node * node) for node in nodes]
    total = math.fsum(densities)
    for node, density in zip(nodes, densities, strict=True):
        yield min(float(requests), max(0.0, mean + node * deviation)), density / total


def _evidence(ends: list[float], steps: int, polls: int) -> float:
    """Return the logarithm of the rule's evidence where each alternative's has grown evenly to its end."""
    restarted = [_log_restarted(end, steps) - math.log(polls) for end in ends]
    return log_mean_exp([log_mean_exp(ends), log_mean_exp(restarted)])


def _log_restarted(end: float, steps: int) -> float:
    """Return the logarithm of Shiryaev's and Roberts's statistic after equal steps: the sum of e^(end x k / steps)."""
    step = end / steps
    if abs(step) < _FLAT:
        return math.log(steps)
    if end > 0.0:
        return end + math.log(math.expm1(-end) / math.expm1(-step))
    return step + math.log(math.expm1(end) / math.expm1(step))


def _above(deviation: float) -> float:
    """Return the probability of a standard normal number above `deviation`."""
    return 0.5 * math.erfc(deviation / math.sqrt(2.0))


def _last(is_below: Callable[[float], bool], low: float, high: float) -> float:
    """Return the number between `low` and `high` up to which `is_below` is true, to one in a thousand."""
    while high - low > _PRECISION * max(abs(low), abs(high)) and high - low > _FLAT:
        middle = 0.5 * (low + high)
        low, high = (middle, high) if is_below(middle) else (low, middle)
    return high
