"""APP-3: the governance limits are changed, and nothing else."""

from __future__ import annotations

from rollout.core.result import Outcome
from rollout.plugin.fixtures import AppliedSteps
from rollout.plugin.markers import clause
from rollout.reporting.allure import Show


@clause("APP-3.1")
def test_the_governance_limits_are_updated(applied: Outcome[AppliedSteps], show: Show) -> None:
    """The gateway accepted the new limits.

    Fails when it refuses them, or loses the answer.
    """
    show.text("What happened", applied.value.describe("APP-3.1"))


@clause("APP-3.2")
def test_governance_status_shows_the_new_limits_and_no_other_change(applied: Outcome[AppliedSteps], show: Show) -> None:
    """Governance status shows the new limits, and no other limit changed.

    Fails when it shows other limits than were set, or when another scope changed.
    """
    show.text("What happened", applied.value.describe("APP-3.2"))
