"""PRE-2: the change is documented, reviewed and assessed, and can be rolled back and watched."""

from __future__ import annotations

from rollout.approvals.review import Review
from rollout.approvals.tickets import Ticket
from rollout.core.result import Outcome
from rollout.core.scenario import Scenario
from rollout.engine.prechecks import RollbackPlan
from rollout.engine.source_polls import PollStats
from rollout.plugin.markers import clause
from rollout.reporting.allure import Show


@clause("PRE-2.1")
def test_the_change_is_documented_in_a_ticket(ticket: Outcome[Ticket], show: Show) -> None:
    """The scenario names a ticket of the policy's form, and the tracker, if the policy names one, knows it.

    Fails when there is none, when it does not match the pattern, or when the tracker does not know it.
    """
    show.facts("Ticket", ticket.value)
    assert not ticket.value.problem, ticket.value.problem


@clause("PRE-2.2")
def test_a_second_person_reviewed_the_change(review: Outcome[Review], show: Show) -> None:
    """Enough people other than the author approved exactly what will be applied, or the policy did so beforehand.

    Fails when no approval counts, or only the author's, by name or by key, or when the content was edited afterwards;
    and, where the policy separates duties, when the person who runs this wrote or approved the change, or is not known.
    An emergency without an approval yet is owed: neither passed nor failed.
    """
    show.facts("Review", review.value)
    assert review.value.suffices(), review.value.problem


@clause("PRE-2.3")
def test_the_impact_assessment_is_complete(scenario: Scenario, show: Show) -> None:
    """Risk, who is affected and the cost are written down.

    Fails when the scenario has no impact assessment.
    """
    show.facts("Impact assessment", scenario.impact)
    assert scenario.impact, f"{scenario.source} has no `impact: {{risk, affects, cost}}`; write down what you know"


@clause("PRE-2.4")
def test_the_rollback_plan_would_work_now(rollback_plan: Outcome[RollbackPlan], show: Show) -> None:
    """The rollback's provider is known, connects, is ready, and can be activated on this gateway.

    Fails when the previous provider could not be activated again.
    """
    plan = rollback_plan.value
    show.text("What the rollback would do", "\n".join(plan.steps))
    show.facts("Connection test and preflight of the rollback's provider", plan.evidence)
    assert not plan.problems, f"a rollback to {plan.to} would not work: {'; '.join(plan.problems)}"


@clause("PRE-2.5")
def test_every_source_of_the_monitoring_answers(sources_now: Outcome[PollStats], show: Show) -> None:
    """Status, metrics, alerts, fallbacks and the log answer now with what the triggers need.

    Fails when a source that a trigger will read is unavailable; and, where the policy blocks that, when the window has
    too few requests to show twice the limit of failed requests.
    """
    polls = sources_now.value
    show.table("A sample of each source", polls.rows)
    show.text("What the window can tell", polls.power.lines)
    assert not polls.power.problem, polls.power.problem
    if polls.power.warning:
        show.add_remark(polls.power.warning)
    assert not polls.problems, f"not every source answers: {'; '.join(polls.problems)}"
