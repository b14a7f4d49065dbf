"""A relative limit: has the share of failures risen by more than a factor, against a baseline or a control group?

Against a baseline the limit is a share again, `share_limit_of_rise`, for `rollout.monitoring.share_test`. Against a
control group that is served at the same time, `RiseEvidence` compares poll by poll: what raises both groups' failures
alike is no evidence. docs/JUDGING.md states both in words.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from rollout.monitoring.binomial import upper_bound
from rollout.monitoring.share_test import CAP, HIGHEST_SHARE, log_mixture, restart

RISES = (1.2, 1.5, 2.0, 3.0, 5.0, 10.0)
"""The alternatives of the test, as multiples of the factor that is acceptable."""

PRIOR_FAILURES = 0.5
PRIOR_REQUESTS = 50.0
"""What the estimate of the control group's share begins with; any would be valid, and this one is 1 %."""


def share_limit_of_rise(requests: int, failures: int, factor: float, alpha: float) -> float:
    """Return the limit for a share of at most `factor` times the baseline's; at most 1.

    Half of `alpha` is spent on the baseline: its true share lies above the bound with that probability at most. The
    test of the share has the other half.

    Args:
        requests: the baseline's requests.
        failures: those of them that failed.
        factor: the rise that is acceptable, at least 1.
        alpha: the trigger's.
    """
    return min(1.0, factor * upper_bound(failures, requests, alpha / 2))


@dataclass(frozen=True, slots=True)
class RiseTest:
    """The test of a rise against a control group.

    Attributes:
        factor: the rise that is acceptable, at least 1.
        alpha: the probability with which a window may breach whose share is at most `factor` times the control group's.
        polls: how many polls of the judged stream a window has at most, its extension included.

    Raises:
        ValueError: a number is outside of its range.
    """

    factor: float
    alpha: float
    polls: int

    def __post_init__(self) -> None:
        """Refuse numbers outside of their range."""
        if not (1.0 <= self.factor < math.inf and 0.0 < self.alpha < 1.0 and self.polls >= 1):
            raise ValueError(f"{self} needs a factor of at least 1, an alpha between 0 and 1, and at least one poll")

    @property
    def log10_threshold(self) -> float:
        """Return the evidence that breaches, as a power of ten."""
        return -math.log10(self.alpha)


@dataclass(frozen=True, slots=True)
class Group:
    """The requests of one group.

    Attributes:
        requests: how many there were.
        failures: how many of them failed.
    """

    requests: float = 0.0
    failures: float = 0.0

    def plus(self, other: Group) -> Group:
        """Return both together."""
        return Group(self.requests + other.requests, self.failures + other.failures)


@dataclass(slots=True)
class RiseEvidence:
    """The evidence of a window's polls so far that the new provider's share rose by more than the factor.

    Each poll is a block of Turner, Ly and Grünwald (*Generic E-variables for exact sequential k-sample tests that allow
    for optional stopping*, 2024): the likelihood of two shares that were chosen before the poll, divided by that of
    the nearest two shares within the factor. The expected value of the ratio is at most 1 for all shares within the
    factor, also if they change from poll to poll.

    Attributes:
        test: the test.
        treated: the new provider's requests of all polls that count.
        control: the control group's.
    """

    test: RiseTest
    treated: Group = field(default=Group(), init=False)
    control: Group = field(default=Group(), init=False)
    _pending: tuple[Group, Group] = field(default=(Group(), Group()), init=False, repr=False)
    _since_start: list[float] = field(init=False, repr=False)
    _since_change: list[float] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Begin without evidence."""
        self._since_start = [0.0] * len(RISES)
        self._since_change = [-math.inf] * len(RISES)

    def add(self, treated: Group, control: Group) -> None:
        """Add one poll; what one group alone has waits for the other's next requests.

        Raises:
            ValueError: a group has not 0 <= failures <= requests, or not finite ones.
        """
        for group in (treated, control):
            if not 0 <= group.failures <= group.requests < math.inf:
                raise ValueError(f"{group.failures} of {group.requests} requests cannot have failed")
        treated, control = self._pending[0].plus(treated), self._pending[1].plus(control)
        self._pending = (treated, control)
        if not (treated.requests and control.requests):
            return
        self._pending = (Group(), Group())
        steps = [min(CAP, self._log_ratio(rise * self.test.factor, treated, control)) for rise in RISES]
        self._since_start = [before + step for before, step in zip(self._since_start, steps, strict=True)]
        self._since_change = restart(self._since_change, steps)
        self.treated, self.control = self.treated.plus(treated), self.control.plus(control)

    @property
    def waiting(self) -> float:
        """The new provider's latest requests, beside which the control group has none."""
        return self._pending[0].requests

    @property
    def log10_evidence(self) -> float:
        """Return the evidence as a power of ten, to be compared with `RiseTest.log10_threshold`."""
        return log_mixture(self._since_start, self._since_change, self.test.polls) / math.log(10.0)

    @property
    def is_breached(self) -> bool:
        """Return whether the polls so far show that the share rose by more than the factor."""
        return self.log10_evidence >= self.test.log10_threshold

    def _log_ratio(self, rise: float, treated: Group, control: Group) -> float:
        """Return the logarithm of the block's ratio, against the alternative that treated = `rise` x control."""
        seen = self.control.requests + rise * self.treated.requests + PRIOR_REQUESTS
        share = (self.control.failures + self.treated.failures + PRIOR_FAILURES) / seen
        share = min(share, HIGHEST_SHARE / rise)
        return log_block_ratio(share, rise * share, self.test.factor, treated, control)


def log_block_ratio(control_share: float, treated_share: float, factor: float, treated: Group, control: Group) -> float:
    """Return the logarithm of the likelihood of two shares over that of the nearest two that are within `factor`.

    Nearest is the least divergence for as many requests. Both groups must have requests, and the shares lie between 0
    and 1; the ratio is 1 if they are within the factor themselves.
    """
    if treated_share <= factor * control_share:
        return 0.0
    null = _nearest_control_share(control_share, treated_share, factor, treated.requests, control.requests)
    return _log_likelihood_ratio(control_share, null, control) + _log_likelihood_ratio(
        treated_share, factor * null, treated
    )


def _nearest_control_share(control: float, treated: float, factor: float, treated_n: float, control_n: float) -> float:
    """Return the share t of the control group for which (t, factor x t) diverges least from (control, treated).

    The derivative of the divergence is zero at the smaller root of a t^2 - b t + c.
    """
    a = factor * (control_n + treated_n)
    b = control_n * (1.0 + factor * control) + treated_n * (factor + treated)
    c = control_n * control + treated_n * treated
    return 2.0 * c / (b + math.sqrt(max(0.0, b * b - 4.0 * a * c)))


def _log_likelihood_ratio(share: float, null: float, group: Group) -> float:
    passed = group.requests - group.failures
    return group.failures * math.log(share / null) + passed * (math.log1p(-share) - math.log1p(-null))
