"""REV: metrics, errors and cost of the serving provider since the rollout's end; documentation and learnings."""

from __future__ import annotations

from rollout.core.result import Outcome
from rollout.engine.post_change_metrics import Seen
from rollout.plugin.markers import clause
from rollout.reporting.allure import Show


@clause("REV-1")
def test_the_metrics_since_stay_within_the_limits(metrics_since: Outcome[Seen], show: Show) -> None:
    """Error rate and P95 of the serving provider, since the rollout's end, stay within the window's own limits.

    Fails above them, and when it is inconclusive: too few requests, or counters of another provider.
    """
    show.facts("Since", metrics_since.value.facts)
    show.table("Metrics since the rollout's end", metrics_since.value.rows)
    assert not metrics_since.value.problems, metrics_since.value.message


@clause("REV-2")
def test_the_error_log_shows_nothing_new(errors_since: Outcome[Seen], show: Show) -> None:
    """The log since the rollout's end holds no kind of error that it did not hold before.

    Fails when it does, and when the log cannot be read on this machine, or a part of it is gone.
    """
    show.facts("Since", errors_since.value.facts)
    show.table("Kinds of errors since the rollout's end", errors_since.value.rows)
    assert not errors_since.value.problems, f"new since the rollout's end: {'; '.join(errors_since.value.problems)}"


@clause("REV-3")
def test_the_cost_is_what_was_estimated(cost_since: Outcome[Seen], show: Show) -> None:
    """The serving provider costs no more than was estimated; the old provider's cost is shown for comparison.

    Fails above the estimate, and when the cost is unknown: no cost and no price, no request, or an estimate in prose.
    """
    show.facts("Cost", cost_since.value.facts)
    show.table("Used since the rollout's end", cost_since.value.rows)
    assert not cost_since.value.problems, "; ".join(cost_since.value.problems)


@clause("REV-4")
def test_the_documentation_is_updated(documentation: str | None, show: Show) -> None:
    """A link names the updated documentation.

    Fails without a link. The link is shown, and not followed.
    """
    assert documentation, "no link to the updated documentation; give --documentation=URL"
    show.link(documentation, "Updated documentation")


@clause("REV-5")
def test_the_learnings_are_shared(learnings: str | None, show: Show) -> None:
    """A link names the learnings.

    Fails without a link. The link is shown, and not followed.
    """
    assert learnings, "no link to the learnings; give --learnings=URL"
    show.link(learnings, "Learnings")
