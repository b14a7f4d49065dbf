"""Users' requests of the new provider beside those of the control group, during a canary (MON-2)."""

from __future__ import annotations

from dataclasses import dataclass, field

from rollout.monitoring.counters import Counters
from rollout.monitoring.own_requests import Requests
from rollout.monitoring.rise_test import Group, RiseEvidence, RiseTest
from rollout.monitoring.users_requests import of_users


@dataclass(slots=True)
class ErrorsOfBoth:
    """Users' requests of the new provider and of the control group, poll by poll (a canary).

    Attributes:
        blocks: the requests of each poll: one of the two groups has none.
    """

    blocks: list[tuple[Group, Group]] = field(default_factory=list)
    _control: Group = field(default_factory=Group)
    _evidence: dict[RiseTest, tuple[RiseEvidence, int]] = field(default_factory=dict)

    def add_treated(self, requests: float, failures: float) -> None:
        """Add the new provider's requests since the poll before."""
        self.blocks.append((Group(requests, failures), Group()))

    def add_control(self, counters: Counters, own: Requests) -> None:
        """Add the control group's requests since the poll before."""
        span, known = of_users(counters.latest(), own), self._control
        if span is None:
            return
        failures = max(0.0, span.failures - known.failures)
        new = Group(max(failures, span.requests - known.requests), failures)
        self._control = known.plus(new)
        self.blocks.append((Group(), new))

    def evidence(self, test: RiseTest) -> RiseEvidence:
        """Return the evidence of all polls that the new provider's share rose by more than the test's factor."""
        evidence, known = self._evidence.get(test) or (RiseEvidence(test), 0)
        for treated, control in self.blocks[known:]:
            evidence.add(treated, control)
        self._evidence[test] = evidence, len(self.blocks)
        return evidence
