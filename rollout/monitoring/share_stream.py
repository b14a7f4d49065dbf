"""The polls of one share, with the evidence of each test on them: one request stream of a window (MON-2, MON-3, MON-5).

A test is asked after every poll, and each poll is added to its evidence once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from rollout.monitoring.share_test import CAP, Counted, ShareEvidence, ShareTest, last_stretch, log_ratios, weights

NOTHING = Counted(0.0, 0.0, 0.0)


@dataclass(slots=True)
class ShareStream:
    """The polls of one share.

    Attributes:
        polls: the polls with their watched seconds, requests and failures, in order.
        window: all polls together.
    """

    polls: list[Counted] = field(default_factory=list)
    window: Counted = NOTHING
    _watched_s: float | None = None
    _evidence: dict[ShareTest, tuple[ShareEvidence, int]] = field(default_factory=dict)

    def add_up_to(self, watched_s: float, requests: float, failures: float) -> None:
        """Add one poll that covers the window's watched time up to `watched_s`, since the poll before."""
        before_s = watched_s if self._watched_s is None else self._watched_s
        self._watched_s = max(watched_s, before_s)
        self.add(self._watched_s - before_s, requests, failures)

    def add(self, seconds: float, requests: float, failures: float) -> None:
        """Add one poll.

        Args:
            seconds: the watched time that it covers.
            requests: the requests since the poll before.
            failures: the bad ones among them.
        """
        self.polls.append(Counted(seconds, requests, failures))
        self.window = Counted(
            self.window.seconds + seconds, self.window.requests + requests, self.window.failures + failures
        )

    def evidence(self, test: ShareTest) -> ShareEvidence:
        """Return the evidence of all polls that the share is above the test's limit."""
        evidence, known = self._evidence.get(test) or (ShareEvidence(test), 0)
        for poll in self.polls[known:]:
            evidence.add(poll.requests, poll.failures)
        self._evidence[test] = evidence, len(self.polls)
        return evidence

    def stretch(self) -> Counted:
        """Return the newest polls that cover 5 min and 120 requests, the longer of the two."""
        return self._window_or(last_stretch(self.polls))

    def latest(self, seconds: float) -> Counted:
        """Return the newest polls that cover so many seconds; all if these are fewer."""
        covered = requests = failures = 0.0
        for poll in reversed(self.polls):
            if covered >= seconds:
                break
            covered += poll.seconds
            requests += poll.requests
            failures += poll.failures
        return Counted(covered, requests, failures)

    def has_recent_request(self, seconds: float) -> bool:
        """Return whether the newest polls that cover so many seconds, all if these are fewer, have a request."""
        covered = 0.0
        for poll in reversed(self.polls):
            if seconds <= covered:
                return False
            if poll.requests > 0:
                return True
            covered += poll.seconds
        return False

    def worst_stretch(self, test: ShareTest) -> Counted:
        """Return the newest polls that say most against the limit: since when the share is above it."""
        ratios = weights(test.limit, test.alternatives)
        worst, highest = self.window, float("-inf")
        sums, found = [0.0] * len(ratios), NOTHING
        for poll in reversed(self.polls):
            found = _together(found, poll)
            steps = log_ratios(ratios, poll.requests, poll.failures)
            sums = [before + min(CAP, step) for before, step in zip(sums, steps, strict=True)]
            if poll.failures and max(sums, default=highest) > highest:
                worst, highest = found, max(sums)
        return self._window_or(worst)

    def _window_or(self, stretch: Counted) -> Counted:
        """Return the stretch, or the window if it is all of it: the order of adding changes the last digits."""
        window = self.window
        is_all = (
            math.isclose(stretch.requests, window.requests)
            and math.isclose(stretch.failures, window.failures)
            and math.isclose(stretch.seconds, window.seconds)
        )
        return window if is_all else stretch


def _together(one: Counted, other: Counted) -> Counted:
    return Counted(one.seconds + other.seconds, one.requests + other.requests, one.failures + other.failures)
