"""VER-2: a real request is answered."""

from __future__ import annotations

from rollout.changes.answer_proof import Answered
from rollout.core.result import Outcome
from rollout.core.target import Target
from rollout.plugin.markers import clause
from rollout.reporting.allure import Show


@clause("VER-2")
def test_a_real_request_is_answered_by_the_expected_provider(
    answer: Outcome[Answered], target: Target, show: Show
) -> None:
    """A real request gets a non-empty completion from the expected provider and model, within the latency bound.

    Fails when it is empty, late, or answered by another provider; a dated snapshot of the model counts as the model.
    """
    answered = answer.value
    show.facts("Completion", answered.completion)
    show.add_remark(answered.seen)
    assert not answered.problem, answered.problem
    assert answered.completion.elapsed_ms <= target.latency_bound_ms, (
        f"the answer took {answered.completion.elapsed_ms:.0f} ms, above {target.latency_bound_ms:.0f} ms"
    )
