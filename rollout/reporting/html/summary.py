"""``summary.md``: the rollout on one screen, for the summary page of a pipeline's job."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from rollout.reporting.allure import PHASE_TITLES
from rollout.reporting.html.outcomes import ClauseResult
from rollout.reporting.html.story import Story
from rollout.reporting.html.verdict import Verdict
from rollout.reporting.rendering import render

_SIGNS = {"passed": "✅", "failed": "❌", "broken": "❗", "skipped": "⏳"}
_GREEN = ("passed", "not demanded")


def summary(story: Story, clauses: Sequence[ClauseResult], standing: Verdict, facts: Mapping[str, str]) -> str:
    """Return the Markdown: the verdict, the answers to an auditor's questions, a row a phase, and what did not pass.

    Args:
        story: the rollout.
        clauses: the outcome of every clause.
        standing: its verdict.
        facts: question -> answer, as in the closure's row.
    """
    return render(
        "summary.md",
        sign=_SIGNS[standing.status],
        standing=standing,
        what=f"{story.change} on {story.request.target.name}",
        answers=facts,
        phases=[(PHASE_TITLES[phase], _count(clauses, phase)) for phase in story.phases],
        bad=[(each.clause, each.outcome, each.message) for each in clauses if each.outcome not in _GREEN],
    )


def _count(clauses: Sequence[ClauseResult], phase: str) -> str:
    counted = Counter(each.outcome for each in clauses if each.clause.phase == phase)
    return ", ".join(f"{count} {outcome}" for outcome, count in counted.items())
