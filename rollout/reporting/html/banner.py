"""The first screen of a report, above every row: the verdict, an auditor's answers, the chart, and links."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from rollout.journal.journal import Journal
from rollout.journal.record import Kind
from rollout.reporting.allure import ticket_link
from rollout.reporting.html.index import INDEX, STATES, documents_in, state_of
from rollout.reporting.html.story import Story
from rollout.reporting.html.verdict import Verdict
from rollout.reporting.rendering import render
from rollout.reporting.timeline import clock

EARLIER = 5
"""How many earlier rollouts of the same target are linked."""

Link = tuple[str, str]
"""A URL, empty for a document that is not on this disk, and its words."""


FIRST = (
    *("What", "Kept?", "Decided by", "Failed", "Exceptions", "Judged", "Who", "Run by", "Ticket", "When", "Not run"),
    *("Waived", "Not applicable", "Owed", "Evidence missing", "Not documented", "Rollback held"),
)
"""The questions that the first screen answers, in its order; print and a browser without a script show all."""


def banner(
    story: Story,
    standing: Verdict,
    answers: Mapping[str, str],
    links: Iterable[Link],
    chart: bytes | None = None,
) -> str:
    """Return the banner as HTML; in print and without a script it shows all answers.

    Args:
        story: the rollout.
        standing: its verdict.
        answers: an auditor's questions and their answers.
        links: other documents.
        chart: the chart of the bake time as SVG; None without a window.
    """
    state = state_of(story.record)
    decided = {"Judged"} if "Decided by" in answers else set()
    first = {question: answers[question] for question in FIRST if question in answers and question not in decided}
    return render(
        "banner.html",
        state=state,
        sign=STATES[state][0],
        standing=standing,
        also=", ".join(_also_failed(story, standing)),
        commands=(story.record.closed or {}).get("commands", ()),
        first=first,
        later={question: answer for question, answer in answers.items() if question not in first},
        links=links,
        chart=chart and base64.b64encode(chart).decode(),
    )


def banner_of_release(word: str, subject: str, answers: Mapping[str, str], *, passed: bool) -> str:
    """Return the banner of a check before a release as HTML: it is about no rollout, so it has no chart (REL).

    Args:
        word: the verdict.
        subject: what was checked, described.
        answers: questions and their answers; one without an answer is left out.
        passed: whether every check of the plan passed.
    """
    state = "kept" if passed else "failed"
    return render(
        "banner.html",
        state=state,
        sign=STATES[state][0],
        standing={"title": word, "why": subject},
        also="",
        commands=(),
        later={},
        chart=None,
        first={question: answer for question, answer in answers.items() if answer},
        links=[(f"../{INDEX}", "all rollouts")],
    )


def _also_failed(story: Story, standing: Verdict) -> list[str]:
    """Return the clauses that failed beside the one that the verdict gives as its reason."""
    failed = (id_ for id_, each in story.record.clauses.items() if each.outcome == "failed")
    return [id_ for id_ in failed if not standing.why.startswith(f"{id_}:")]


def links_of(journal: Journal, story: Story, folder: Path) -> Iterator[Link]:
    """Yield links to the page over all rollouts, the documents, ticket, jobs, and earlier rollouts of the same target.

    Links between reports are relative, so that `reports/` can be moved. A file that is not on this disk is not linked.

    Raises:
        JournalError: the journal cannot be read.
    """
    yield f"../{INDEX}", "all rollouts"
    yield from ((file, name) for file, name in documents_in(folder).items() if file != "report.html")
    ticket = ticket_link(story.request.scenario, story.request.policy)
    if ticket is not None:
        yield ticket, f"ticket {story.request.scenario.ticket}"
    for each in story.record.implementers:
        if each.caller.job:
            yield each.caller.job, f"job of {each.caller.name} ({', '.join(each.phases)})"
    for rollout, words in _earlier(journal, story):
        there = (folder.parent / rollout / "report.html").is_file()
        yield (f"../{rollout}/report.html", words) if there else ("", f"{words} (not on this disk)")


def _earlier(journal: Journal, story: Story) -> list[tuple[str, str]]:
    found: dict[str, str] = {}
    for entry in journal.entries(None, Kind.OPENED, Kind.CLOSED):
        if entry.rollout == story.record.id:
            break
        if entry.kind == Kind.OPENED and entry.body.get("target", {}).get("name") == story.request.target.name:
            found[entry.rollout] = f"{clock(entry.at)} not closed"
        elif entry.rollout in found:
            found[entry.rollout] = f"{found[entry.rollout][:20]} {entry.body['word']}"
    return [(rollout, f"earlier: {words}") for rollout, words in reversed(found.items())][:EARLIER]
