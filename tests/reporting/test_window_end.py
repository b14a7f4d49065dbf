"""A window that ended inconclusive is told apart from a breach, in every document, with what its window could tell."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rollout.cli.status_facts import collect_facts
from rollout.journal.record import Decision, Kind
from rollout.reporting import messages
from rollout.reporting.change_record import write_change_record
from rollout.reporting.html import index
from rollout.reporting.html.banner import banner
from rollout.reporting.html.outcomes import outcomes
from rollout.reporting.html.summary import summary
from rollout.reporting.html.verdict import facts, verdict
from rollout.reporting.post_mortem import write_post_mortem
from rollout.reporting.timeline import describe_events
from rollout.reporting.window_end import describe_end, describe_shares, unfinished
from tests.support.journaled import JournaledRollout

POWER = "30 requests: 5 % from 39 %; 28 synthetic requests a minute would show 10 % in 9 of 10"
TOLD = (
    "with 30 requests this window tells 39 % and more from the limit of 5 %, in 9 of 10 windows; 28 synthetic requests "
    "a minute would show 10 % in 9 of 10"
)
MESSAGE = "error rate 4.4 % (0.4-14.1 %) over the window's 6 s (2 of 45 requests) is not above 5 %"
WHY = f"MON-2: inconclusive, which is never a pass: {MESSAGE}"
ERRORS: dict[str, Any] = {
    "state": "inconclusive",
    "value": 2 / 45,
    "limit": 0.05,
    "samples": 45,
    "span": "the window's 6 s",
    "message": MESSAGE,
    "decided": False,
    "interval": [0.0041, 0.1412],
    "effective_limit": None,
    "power": POWER,
    "undecided": True,
}
LATENCY: dict[str, Any] = {
    "state": "holding",
    "value": 65.0,
    "limit": 150.0,
    "samples": 30,
    "source": "synthetic",
    "span": "the window's 6 s",
    "message": "P95 65 ms",
    "decided": False,
    "interval": [0.0, 0.161],
    "effective_limit": 204.0,
}
LEFT = "inconclusive to the end (MON-2)"
NUMBERS = "4.4 % (0.4-14.1 %), limit 5 %; from 45 requests of users; the window's 6 s"
SLOWER = "65 ms (0.0-16.1 % slower), limit 150 ms (effective 204 ms); from 30 of the suite's own requests"


def at_its_end(folder: Path, *, errors: dict[str, Any] = ERRORS, decision: Decision | None = Decision.ROLLED_BACK):
    """Return a rollout whose window ended with these verdicts."""
    journaled = JournaledRollout(folder)
    journaled.begins("run-1")
    journaled.backup()
    journaled.writes("APP-1.2", "forward", "openai:gpt-4o")
    journaled.window(breach=False)
    journaled.verdict("MON-1", state="holding", decided=False, value="connected", limit="connected", message="ok")
    journaled.verdict("MON-2", **errors)
    journaled.verdict("MON-3", **LATENCY)
    journaled.outcome("run-1", "MON-2", "failed", WHY.removeprefix("MON-2: "))
    if decision is not None:
        journaled.closes(decision, "ROLLED BACK, verified", WHY)
    journaled.rollout.record()
    return journaled


@pytest.fixture
def journaled(tmp_path: Path) -> Iterator[JournaledRollout]:
    """A rollout that was rolled back because its window could not decide about the error rate."""
    with at_its_end(tmp_path) as found:
        yield found


# What counts as that


def test_what_neither_held_nor_breached_is_named_with_its_state(tmp_path: Path) -> None:
    with at_its_end(tmp_path, errors={**ERRORS, "state": "no data"}) as found:
        record = found.rollout.record()
        assert [each.clause for each in unfinished(record)] == ["MON-2"]
        assert describe_end(record, record.decision) == "rolled back: no data to the end (MON-2)"
        assert describe_end(record, Decision.ROLLBACK_FAILED) == "rollback failed: no data to the end (MON-2)"
        assert describe_end(record, Decision.KEPT) == ""


def test_after_a_breach_nothing_was_left_undecided(tmp_path: Path) -> None:
    """The others were not judged to the window's end, and another window begins without verdicts."""
    with at_its_end(tmp_path, decision=None) as found:
        found.verdict("MON-4", decided=True, value="DATA_LOSS", limit="none", message="critical alert")
        assert unfinished(found.rollout.record()) == ()
        assert describe_end(found.rollout.record(), Decision.ROLLED_BACK) == "rolled back: MON-4 breached"
        found.window(breach=False)
        assert found.rollout.record().verdicts == {}


def test_a_journal_of_an_earlier_version_is_read_with_what_it_has(tmp_path: Path) -> None:
    old = {key: ERRORS[key] for key in ("state", "value", "limit", "samples", "span", "message", "decided")}
    with at_its_end(tmp_path, errors=old) as found:
        record = found.rollout.record()
        assert describe_end(record, record.decision) == f"rolled back: {LEFT}"
        expected = "inconclusive: 4.4 %, limit 5 %; from 45 requests of users; the window's 6 s"
        assert describe_shares(record)["MON-2"] == expected
        assert index.line("r-1", found.rollout.journal.entries("r-1"), found.rollout.clock.now()).ended == LEFT


def test_a_verdict_without_a_value_says_why_it_has_none(tmp_path: Path) -> None:
    few = {**ERRORS, "value": None, "message": "too few requests to judge"}
    with at_its_end(tmp_path, errors=few) as found:
        assert describe_shares(found.rollout.record())["MON-2"] == "inconclusive: too few requests to judge"


def test_a_story_knows_when_its_window_went_on(tmp_path: Path) -> None:
    with at_its_end(tmp_path, decision=None) as found:
        found.rollout.append(Kind.EXTENDED, at_s=6.0, until_s=7.0, at_most_s=12.0, extended_s=1.0, why="MON-2")
        assert found.story.window.extended_at_s == [6.0]


# Where it is shown


def test_the_page_over_all_rollouts_counts_it_apart_from_breaches(journaled: JournaledRollout) -> None:
    rollout = journaled.rollout
    seen = index.line("r-1", rollout.journal.entries("r-1"), rollout.clock.now())
    assert (seen.state, seen.ended) == ("undecided", f"{LEFT}; the window could tell: MON-2: {TOLD}")
    text = index.write(rollout.journal, rollout.folder.parent).read_text(encoding="utf-8")
    assert "1 rolled back, verified: nothing breached, inconclusive to the end" in text
    assert f"<b>Not decided: </b>{seen.ended}" in text
    assert ".sign.undecided" in text


def test_the_report_and_the_summary_answer_what_was_not_decided(journaled: JournaledRollout) -> None:
    story = journaled.story
    standing, clauses = verdict(story, ""), outcomes(story)
    answers = facts(story, standing, clauses)
    assert answers["Ended"] == f"rolled back: {LEFT}"
    assert answers["It could tell"] == f"MON-2: {TOLD}"
    assert answers["Judged"].startswith(f"MON-2 inconclusive: {NUMBERS}; MON-3 holding: {SLOWER}")
    assert 'class="verdict undecided"' in banner(story, standing, answers, [])
    assert LEFT in summary(story, clauses, standing, answers)


def test_the_timeline_has_what_was_not_decided_and_nothing_of_what_a_breach_cut(tmp_path: Path) -> None:
    with at_its_end(tmp_path, decision=None) as found:
        entries = found.rollout.journal.entries("r-1")
        shown = [event for event in describe_events(entries) if event.kind == Kind.VERDICT]
        assert [(each.status, each.text) for each in shown] == [
            ("broken", f"MON-2 is inconclusive after 6 s, the window ends: {MESSAGE}")
        ]
        found.verdict("MON-4", decided=True, value="DATA_LOSS", limit="none", message="critical alert")
        shown = [event for event in describe_events(found.rollout.journal.entries("r-1")) if event.kind == Kind.VERDICT]
        assert [each.text for each in shown] == ["MON-4 breached after 6 s, the window ends: critical alert"]


def test_the_change_record_has_the_verdicts_and_how_the_window_ended(journaled: JournaledRollout) -> None:
    rollout, record = journaled.rollout, journaled.rollout.record()
    path = write_change_record(rollout, record, {**(record.closed or {}), "decision": record.decision})
    found = json.loads(path.read_text(encoding="utf-8"))
    assert found["ended"] == f"rolled back: {LEFT}"
    assert found["inconclusive"] == [{"clause": "MON-2", "state": "inconclusive", "message": MESSAGE, "power": POWER}]
    assert found["verdicts"]["MON-2"]["interval"] == [0.0041, 0.1412]
    assert found["verdicts"]["MON-3"]["effective_limit"] == 204.0
    lines = path.with_suffix(".md").read_text(encoding="utf-8").splitlines()
    title = "MON-2 The error rate stays at or below the limit"
    for line in (
        f"| Ended | rolled back: {LEFT} |",
        f"| Inconclusive to the end | {title}: {MESSAGE} |",
        f"| What the window could tell | {POWER} |",
        f"| {title} | inconclusive: {NUMBERS} |",
    ):
        assert line in lines, line


def test_the_draft_of_the_post_mortem_blames_no_breach(journaled: JournaledRollout) -> None:
    text = write_post_mortem(journaled.rollout, WHY, []).read_text(encoding="utf-8")
    assert f"**No trigger was breached:** {LEFT}. What the window could tell: MON-2: {TOLD}\n" in text
    assert f"**MON-2 at the end:** inconclusive: {NUMBERS}\n" in text
    assert "- Does the next window have enough requests to decide it" in text
    assert "**What decided:**" not in text
    assert "\n\n\n" not in text.split("## How long")[0]


def test_the_message_says_what_was_not_decided(journaled: JournaledRollout) -> None:
    record = journaled.rollout.record()
    body = messages.verdict(journaled.rollout, record, record.closed or {}, "read it").body
    assert f"\nEnded: rolled back: {LEFT}\nIt could tell: MON-2: {TOLD}\nMON-2: inconclusive: {NUMBERS}\n" in body


def test_the_status_tells_it_apart_from_a_breach(journaled: JournaledRollout) -> None:
    found = collect_facts(journaled.rollout.record(), None)
    assert found["state"] == "rolled back"
    assert found["ended"] == f"rolled back: {LEFT}"
    assert found["power"] == f"MON-2: {TOLD}"
