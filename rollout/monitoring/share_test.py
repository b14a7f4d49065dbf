"""One test for shares: is the share of bad requests above its limit (MON-2, MON-3, MON-5)?

A request is bad that failed (MON-2), was slower than the limit (MON-3) or fell back (MON-5). The test is asked after
every poll, keeps 19 numbers and breaches falsely in at most the share alpha of all windows, if requests are
independent. docs/JUDGING.md states it in words, with its literature.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from rollout.monitoring.binomial import lower_tail

FACTORS = (1.2, 1.5, 2.0, 3.0, 5.0, 10.0, 19.0)
"""The alternatives of the test, as multiples of the limit."""

HIGHEST_SHARE = 0.95
"""No alternative is higher: against a share of 1, one good request would be an infinite proof."""

CAP = 1.5
"""The evidence that one poll adds at most, in nats: a burst within one poll does not decide alone."""

UNJUDGEABLE_FROM = 0.9
"""A limit from which on no data can show that it is exceeded."""

GROSS_FACTOR = 5.0
GROSS_SHARES = (0.5, 0.75, 0.95)
GROSS_DISCOUNT = 0.23
"""The part of its evidence that gross failure counts: four failures of one cause are less than one.

With a quarter, two batches of 20 requests that fail as one would just be enough in a window of 30 minutes: of 10,000
windows with such batches and a true share of 3 %, 105 breached instead of 2.
"""

GROSS_OFF_FROM = 0.5

EXCLUDED_AT = 0.05
STRETCH_S = 300.0
STRETCH_REQUESTS = 120

Weights = tuple[tuple[float, float], ...]
"""What a bad and a good request add to the evidence for each alternative, in nats."""


@dataclass(frozen=True, slots=True)
class ShareTest:
    """The test of one share.

    Attributes:
        limit: the highest share that is acceptable, 0-1.
        alpha: the probability with which a window whose share is at or below the limit may breach.
        polls: how many polls of the judged stream a window has at most, its extension included.

    Raises:
        ValueError: a number is outside of its range.
    """

    limit: float
    alpha: float
    polls: int

    def __post_init__(self) -> None:
        """Refuse numbers outside of their range."""
        if not (0.0 <= self.limit <= 1.0 and 0.0 < self.alpha < 1.0 and self.polls >= 1):
            raise ValueError(f"{self} needs a limit of 0 to 1, an alpha between 0 and 1, and at least one poll")

    @property
    def is_judgeable(self) -> bool:
        """Return whether requests can show that the limit is exceeded; otherwise the verdict is *no data*."""
        return is_judgeable(self.limit)

    @property
    def alternatives(self) -> tuple[float, ...]:
        """Return the shares above the limit that the test compares with it, ascending."""
        if not self.is_judgeable:
            return ()
        return tuple(sorted({min(HIGHEST_SHARE, factor * self.limit) for factor in FACTORS}))

    @property
    def gross_limit(self) -> float | None:
        """Return the share of gross failure, which decides within one poll; None where the limit is too high for it."""
        gross = GROSS_FACTOR * self.limit
        return gross if 0.0 < gross < GROSS_OFF_FROM else None

    @property
    def log_threshold(self) -> float:
        """Return ln of the evidence that breaches: for three quarters of alpha; the last is gross failure's."""
        return math.log(4.0 / (3.0 * self.alpha))

    @property
    def log10_threshold(self) -> float:
        """Return the evidence that breaches, as a power of ten."""
        return self.log_threshold / math.log(10.0)


@dataclass(slots=True)
class ShareEvidence:
    """The evidence of a window's polls so far that its share is above the limit.

    Attributes:
        test: the test.
        requests: the requests of all polls.
        failures: the bad ones among them; a fraction where they come from an interpolated histogram.
    """

    test: ShareTest
    requests: float = field(default=0.0, init=False)
    failures: float = field(default=0.0, init=False)
    _weights: Weights = field(init=False, repr=False)
    _gross_weights: Weights = field(init=False, repr=False)
    _since_start: list[float] = field(init=False, repr=False)
    _since_change: list[float] = field(init=False, repr=False)
    _gross: list[float] = field(init=False, repr=False)
    _decides: float | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        """Begin without evidence."""
        test, gross = self.test, self.test.gross_limit
        self._weights = weights(test.limit, test.alternatives)
        self._gross_weights = () if gross is None else weights(gross, GROSS_SHARES)
        self._since_start = [0.0] * len(self._weights)
        self._since_change = [-math.inf] * len(self._weights)
        self._gross = [-math.inf] * len(self._gross_weights)

    def add(self, requests: float, failures: float) -> None:
        """Add one poll of the judged stream; a poll without requests changes nothing.

        Raises:
            ValueError: not 0 <= `failures` <= `requests`, or not finite.
        """
        if not 0 <= failures <= requests < math.inf:
            raise ValueError(f"{failures} of {requests} requests cannot have failed")
        if not requests:
            return
        self.requests += requests
        self.failures += failures
        self._decides = None
        steps = [min(CAP, step) for step in log_ratios(self._weights, requests, failures)]
        self._since_start = [before + step for before, step in zip(self._since_start, steps, strict=True)]
        self._since_change = restart(self._since_change, steps)
        gross = [GROSS_DISCOUNT * step for step in log_ratios(self._gross_weights, requests, failures)]
        self._gross = restart(self._gross, gross)

    @property
    def log_limit_evidence(self) -> float:
        """Return ln of the evidence that the share is above the limit: half since the start, half since a change."""
        return log_mixture(self._since_start, self._since_change, self.test.polls)

    @property
    def log_gross_evidence(self) -> float:
        """Return ln of the evidence of gross failure, a third of it: its part of alpha is a third of the limit's."""
        return log_mean_exp(self._gross) - math.log(3.0 * self.test.polls)

    @property
    def log_evidence(self) -> float:
        """Return ln of the evidence that decides, the larger of the two; minus infinity if nothing can be judged."""
        # Every sample of any source asks for it, and only this stream's polls change it.
        if self._decides is None:
            self._decides = max(self.log_limit_evidence, self.log_gross_evidence)
        return self._decides

    @property
    def log10_evidence(self) -> float:
        """Return the evidence as a power of ten, to be compared with `ShareTest.log10_threshold`."""
        return self.log_evidence / math.log(10.0)

    @property
    def is_breached(self) -> bool:
        """Return whether the polls so far show that the share is above the limit."""
        return self.log_evidence >= self.test.log_threshold

    def describe(self) -> str:
        """Return the evidence in words."""
        evidence, threshold = self.log10_evidence, self.test.log10_threshold
        return f"evidence 10^{evidence:.1f}, a breach takes 10^{threshold:.1f}"


@dataclass(frozen=True, slots=True)
class Counted:
    """The requests of a poll, of a stretch or of a window.

    Attributes:
        seconds: the watched time that they cover.
        requests: how many there were.
        failures: how many of them were bad.
    """

    seconds: float
    requests: float
    failures: float


def excludes_twice_the_limit(requests: float, failures: float, limit: float) -> bool:
    """Return whether so few failures have a probability of at most 5 % at twice the limit.

    Fractions of requests count against the exclusion. A limit of 5 % takes 29 requests without a failure.
    """
    return lower_tail(math.ceil(failures), math.floor(requests), min(1.0, 2.0 * limit)) <= EXCLUDED_AT


def is_holding(window: Counted, stretch: Counted, limit: float) -> bool:
    """Return whether a window passes at its end.

    For it and for its `last_stretch`, the estimate is at or below the limit, and twice the limit is excluded. Without
    the stretch's estimate, 55 of 1,000 windows were kept in which one request a second began to fail at twice the
    limit in minute 20.
    """
    return is_within(window, limit) and is_within(stretch, limit)


def is_within(part: Counted, limit: float) -> bool:
    """Return whether the estimate of these requests is at or below the limit, and twice the limit is excluded."""
    # A quotient, not a product: 29 of 100 is exactly 0.29, and 0.29 x 100 is less than 29.
    if not part.requests or part.failures / part.requests > limit:
        return False
    return excludes_twice_the_limit(part.requests, part.failures, limit)


def is_judgeable(limit: float) -> bool:
    """Return whether requests can show that a share is above the limit; False for a limit that is no number."""
    return 0.0 < limit < UNJUDGEABLE_FROM


def fewest_requests(limit: float) -> int:
    """Return the fewest requests that exclude twice the limit, if none of them fails: 29 at 5 %."""
    twice = min(1.0, 2.0 * limit)
    return 1 if twice >= 1.0 - EXCLUDED_AT else math.ceil(math.log(EXCLUDED_AT) / math.log1p(-twice))


def last_stretch(polls: Sequence[Counted]) -> Counted:
    """Return the newest polls that cover 5 min and 120 requests, the longer of the two; all if these are fewer."""
    seconds = requests = failures = 0.0
    for poll in reversed(polls):
        if seconds >= STRETCH_S and requests >= STRETCH_REQUESTS:
            break
        seconds += poll.seconds
        requests += poll.requests
        failures += poll.failures
    return Counted(seconds, requests, failures)


def weights(limit: float, alternatives: Iterable[float]) -> Weights:
    """Return the logarithms of the likelihood ratios of one bad and one good request, for each alternative."""
    return tuple(
        (math.log(share / limit), math.log1p(-share) - math.log1p(-limit)) for share in alternatives if share > limit
    )


def log_ratios(ratios: Weights, requests: float, failures: float) -> list[float]:
    """Return the logarithm of the likelihood ratio of a poll, for each alternative."""
    return [failures * bad + (requests - failures) * good for bad, good in ratios]


def restart(before: Sequence[float], steps: Sequence[float]) -> list[float]:
    """Return Shiryaev's and Roberts's statistic after one more step, in logarithms: R <- (1 + R) e^step."""
    return [_log1p_exp(value) + step for value, step in zip(before, steps, strict=True)]


def log_mixture(since_start: Sequence[float], since_change: Sequence[float], polls: int) -> float:
    """Return ln(mean(e^A) / 2 + mean(e^R) / (2 T)) of at most T polls: its expected value is at most 1 at any poll."""
    parts = (log_mean_exp(since_start), log_mean_exp(since_change) - math.log(polls))
    return log_mean_exp(parts)


def log_mean_exp(values: Sequence[float]) -> float:
    """Return the logarithm of the mean of e^value, minus infinity for no values."""
    highest = max(values, default=-math.inf)
    if highest == -math.inf:
        return highest
    return highest + math.log(math.fsum(math.exp(value - highest) for value in values) / len(values))


def _log1p_exp(value: float) -> float:
    return max(value, 0.0) + math.log1p(math.exp(-abs(value)))
