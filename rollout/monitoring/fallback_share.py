"""The share of users' requests that another provider answered in the place of the new one (MON-5).

The fallbacks and the counters of requests are two sources, each at its own pace. A fallback is paired with a request
that the counters have: those of one poll are at most its requests, and the rest waits. A fallback that the counters,
read after it, do not have is a request that they do not count, and is added to them.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

from rollout.monitoring.share_stream import ShareStream


@dataclass(frozen=True, slots=True)
class FallbackPoll:
    """One poll of the fallbacks.

    Attributes:
        at_s: when it began, in seconds of the window.
        fallbacks: the fallbacks since the poll before.
        requests: users' requests that were counted since the poll before.
        counted_to_s: the moment of the latest counters.
    """

    at_s: float
    fallbacks: float
    requests: float
    counted_to_s: float


@dataclass(slots=True)
class PairedFallbacks:
    """The fallbacks that are paired with requests, and those that wait for theirs.

    Attributes:
        stream: the requests of each poll, and the fallbacks among them.
        counted: the requests that the counters have.
    """

    stream: ShareStream = field(default_factory=ShareStream)
    counted: float = 0.0
    _waiting: deque[tuple[float, float]] = field(default_factory=deque)

    @property
    def waiting(self) -> float:
        """The fallbacks whose requests may still be counted."""
        return sum(fallbacks for _, fallbacks in self._waiting)

    def add(self, poll: FallbackPoll) -> None:
        """Pair the fallbacks of one poll."""
        if poll.fallbacks:
            self._waiting.append((poll.at_s, poll.fallbacks))
        self.counted += poll.requests
        paired = self._take(poll.requests)
        uncounted = self._take(math.inf, before_s=poll.counted_to_s)
        self.stream.add(0.0, poll.requests + uncounted, paired + uncounted)

    def _take(self, most: float, before_s: float = math.inf) -> float:
        """Remove at most so many waiting fallbacks that were listed before then, the oldest first; return how many."""
        taken = 0.0
        while self._waiting and taken < most and self._waiting[0][0] < before_s:
            at_s, fallbacks = self._waiting.popleft()
            part = min(fallbacks, most - taken)
            taken += part
            if part < fallbacks:
                self._waiting.appendleft((at_s, fallbacks - part))
        return taken


@dataclass(slots=True)
class FallbackShare:
    """The polls of the fallbacks in a window, with users' requests.

    Attributes:
        polls: the polls, in order.
    """

    polls: list[FallbackPoll] = field(default_factory=list)
    _fallbacks: float = 0.0
    _requests: float = 0.0
    _paired: dict[tuple[float, float], tuple[PairedFallbacks, int]] = field(default_factory=dict)

    def add(self, at_s: float, *, fallbacks: float, requests: float, counted_to_s: float) -> None:
        """Add one poll.

        Args:
            at_s: when it began, in seconds of the window.
            fallbacks: users' fallbacks since the window's first poll.
            requests: users' requests since the window's first counters.
            counted_to_s: the moment of the latest counters.
        """
        # The suite's own requests are subtracted from both, and may be counted later than they ended.
        newly, counted = max(0.0, fallbacks - self._fallbacks), max(0.0, requests - self._requests)
        self._fallbacks += newly
        self._requests += counted
        self.polls.append(FallbackPoll(at_s, newly, counted, counted_to_s))

    def paired(self, fallbacks_before: float, requests_before: float) -> PairedFallbacks:
        """Return the fallbacks with their requests, those between the activation and the window's first poll first."""
        key = (fallbacks_before, requests_before)
        paired, known = self._paired.get(key) or (PairedFallbacks(), 0)
        if not known and self.polls:
            first = self.polls[0]
            paired.add(FallbackPoll(first.at_s, fallbacks_before, requests_before, -math.inf))
        for poll in self.polls[known:]:
            paired.add(poll)
        self._paired[key] = paired, len(self.polls)
        return paired
