"""Every document of a rollout names who ran it, with the job's address and the commit."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from rollout.core.clauses import PHASES
from rollout.journal.record import Decision, Kind
from rollout.reporting import messages
from rollout.reporting.change_record import write_change_record
from rollout.reporting.html import index
from rollout.reporting.html.banner import links_of
from rollout.reporting.html.outcomes import outcomes
from rollout.reporting.html.verdict import facts, timeline, verdict
from tests.support.journaled import JournaledRollout

JOB = "https://dev.azure.com/acme/gw/_build/results?buildId=7"
BOB = {"name": "b|ob", "service": "Azure Pipelines", "job": JOB, "commit": "a" * 40}
CAROL = {"name": "carol", "service": "", "job": "", "commit": ""}
RUN_BY = f"b|ob: precheck (Azure Pipelines, {JOB}, commit aaaaaaaaaaaa); carol: apply, verify, monitor"


def begun(journaled: JournaledRollout, run: str, by: Mapping[str, str], *phases: str, **more: bool) -> None:
    journaled.rollout.append(Kind.RUN, run=run, phases=list(phases), pid=1, by=by, **more)


@pytest.fixture
def journaled(tmp_path: Path) -> Iterator[JournaledRollout]:
    """A rollout that bob's job cleared, that alice was refused to apply, and that carol applied and kept."""
    with JournaledRollout(tmp_path) as journaled:
        begun(journaled, "run-1", BOB, "precheck")
        begun(journaled, "run-2", {**CAROL, "name": "alice"}, "apply", refused=True)
        begun(journaled, "run-3", CAROL, *PHASES[1:])
        journaled.closes(Decision.KEPT, "KEPT", "every clause of the plan passed")
        yield journaled


def test_the_report_answers_it_and_links_the_job(journaled: JournaledRollout) -> None:
    story, folder = journaled.story, journaled.rollout.folder
    assert facts(story, verdict(story, ""), outcomes(story))["Run by"] == RUN_BY
    assert (JOB, "job of b|ob (precheck)") in [*links_of(journaled.rollout.journal, story, folder)]
    events = [row["name"].partition("Z ")[2] for row in timeline(story)]
    assert events[1:4] == [
        "run: precheck, by b|ob",
        "run: apply, by alice, refused",
        "run: apply, verify, monitor, by carol",
    ]


def test_the_page_over_all_rollouts_names_them(journaled: JournaledRollout) -> None:
    text = index.write(journaled.rollout.journal, journaled.rollout.folder.parent).read_text(encoding="utf-8")
    assert (
        f'run by b|ob (precheck), commit aaaaaaaaaaaa, <a href="{JOB}" rel="noreferrer">Azure Pipelines</a></div>'
        in text
    )
    assert "<div>run by carol (apply, verify, monitor)</div>" in text
    assert "run by alice" not in text


def test_the_change_record_lists_them(journaled: JournaledRollout) -> None:
    rollout = journaled.rollout
    path = write_change_record(rollout, rollout.record(), rollout.record().closed or {})
    assert json.loads(path.read_text(encoding="utf-8"))["who"]["implementers"] == [
        {**BOB, "phases": ["precheck"]},
        {**CAROL, "phases": ["apply", "verify", "monitor"]},
    ]
    rows = [row for row in path.with_suffix(".md").read_text(encoding="utf-8").splitlines() if "Run by" in row]
    assert rows == [
        f"| Run by | b\\|ob: precheck; Azure Pipelines, commit {'a' * 40} <{JOB}> |",
        "| Run by | carol: apply, verify, monitor |",
    ]


def test_the_messages_name_them(journaled: JournaledRollout) -> None:
    planned = messages.plan(journaled.rollout)
    assert f"Run by: {RUN_BY}" in planned.body.splitlines()
    assert planned.gist == "by alice, approved by bob, run by b|ob, carol, ticket T-1"
