"""``summary.md``: the rollout on one screen, for the summary page of a pipeline's job."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from rollout.core.clauses import PHASES
from rollout.core.text import markdown, table
from rollout.reporting.allure import PHASE_TITLES
from rollout.reporting.html.outcomes import ClauseResult
from rollout.reporting.html.story import Story
from rollout.reporting.html.verdict import Verdict

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
    what = markdown(f"{story.change} on {story.request.target.name}")
    lines = [
        f"## {_SIGNS[standing.status]} {markdown(standing.word)}: {what}",
        "",
        *table(("", ""), facts.items()),
        "",
        *table(("phase", "clauses"), _phases(clauses)),
        "",
    ]
    bad = [(str(each.clause), each.outcome, each.message) for each in clauses if each.outcome not in _GREEN]
    if bad:
        lines += [*table(("clause", "outcome", "why"), bad), ""]
    return "\n".join(lines)


def _phases(clauses: Sequence[ClauseResult]) -> Iterator[tuple[str, str]]:
    for phase in PHASES:
        counted = Counter(each.outcome for each in clauses if each.clause.phase == phase)
        yield PHASE_TITLES[phase], ", ".join(f"{count} {outcome}" for outcome, count in counted.items())
