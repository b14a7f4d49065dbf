"""``summary.md``: the rollout on one screen, for the summary page of a pipeline's job."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from rollout.clauses import PHASES
from rollout.evidence import PHASE_TITLES
from rollout.report.outcomes import Came
from rollout.report.story import Story
from rollout.report.verdict import Verdict

# Markdown, and the HTML that it lets through: an answer of a gateway may hold both.
_SPECIAL = re.compile(r"([\\`*_{}\[\]()<>#|~!&@])")
_SIGNS = {"passed": "✅", "failed": "❌", "broken": "❗", "skipped": "⏳"}
_GREEN = ("passed", "not demanded")


def summary(story: Story, came: Sequence[Came], standing: Verdict, facts: Mapping[str, str]) -> str:
    """Return the Markdown: the verdict, the answers to an auditor's questions, a row a phase, and what did not pass.

    Args:
        story: the rollout.
        came: what came of every clause.
        standing: how it stands.
        facts: question -> answer, as the closure's row has them.
    """
    what = _plain(f"{story.change} on {story.request.target.name}")
    lines = [
        f"## {_SIGNS[standing.status]} {_plain(standing.word)}: {what}",
        "",
        *_table(("", ""), facts.items()),
        "",
        *_table(("phase", "clauses"), _phases(came)),
        "",
    ]
    bad = [(str(each.clause), each.outcome, each.message) for each in came if each.outcome not in _GREEN]
    if bad:
        lines += [*_table(("clause", "outcome", "why"), bad), ""]
    return "\n".join(lines)


def _phases(came: Sequence[Came]) -> Iterator[tuple[str, str]]:
    for phase in PHASES:
        counted = Counter(each.outcome for each in came if each.clause.phase == phase)
        yield PHASE_TITLES[phase], ", ".join(f"{count} {outcome}" for outcome, count in counted.items())


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield "|---" * len(head) + "|"
    for row in rows:
        yield f"| {' | '.join(map(_plain, row))} |"


def _plain(text: str) -> str:
    """Return the text as Markdown shows it, on one line."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))
