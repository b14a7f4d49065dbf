"""REV: how what was left behind has done since, what it cost, and what people made of it."""

from __future__ import annotations

from rollout.core.result import Outcome
from rollout.engine.post_change_metrics import Seen
from rollout.plugin.markers import clause
from rollout.reporting.allure import Show


@clause("REV-1")
def test_the_metrics_since_stay_within_the_limits(metrics_since: Outcome[Seen], show: Show) -> None:
    """Error rate and P95 of what serves now, since the rollout's end, stay within the window's own limits.

    Fails above them, and when there is too little to judge by: too few requests, counters that are another provider's.
    """
    show.facts("Since", metrics_since.value.facts)
    show.table("Metrics since the rollout's end", metrics_since.value.rows)
    assert not metrics_since.value.problems, metrics_since.value.message


@clause("REV-2")
def test_the_error_log_shows_nothing_new(errors_since: Outcome[Seen], show: Show) -> None:
    """The log since the rollout's end holds no kind of error that it did not hold before.

    Fails when it does, and when nobody can look: no log that can be read from here, or a part of it that is gone.
    """
    show.facts("Since", errors_since.value.facts)
    show.table("Kinds of errors since the rollout's end", errors_since.value.rows)
    assert not errors_since.value.problems, f"new since the rollout's end: {'; '.join(errors_since.value.problems)}"


@clause("REV-3")
def test_the_cost_is_what_was_estimated(cost_since: Outcome[Seen], show: Show) -> None:
    """What serves now costs no more than was estimated; what the old provider would have cost stands beside it.

    Fails above the estimate, and when nobody knows: no cost and no price, no request, or an estimate in prose only.
    """
    show.facts("Cost", cost_since.value.facts)
    show.table("Used since the rollout's end", cost_since.value.rows)
    assert not cost_since.value.problems, "; ".join(cost_since.value.problems)


@clause("REV-4")
def test_the_documentation_is_updated(documentation: str | None, show: Show) -> None:
    """Somebody says where the updated documentation is.

    Fails when nobody does. The link is shown, and not followed.
    """
    assert documentation, "no link to the updated documentation; give --documentation=URL"
    show.link(documentation, "Updated documentation")


@clause("REV-5")
def test_the_learnings_are_shared(learnings: str | None, show: Show) -> None:
    """Somebody says where the learnings are.

    Fails when nobody does. The link is shown, and not followed.
    """
    assert learnings, "no link to the learnings; give --learnings=URL"
    show.link(learnings, "Learnings")
