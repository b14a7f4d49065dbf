"""The first screen of a report says what, who, why, when, kept or not, what decided, and what is not green."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from rollout.core.clock import format_utc
from rollout.journal.record import Decision, Kind
from rollout.reporting.html.assembly import build
from tests.browser.first_screen import DESK, assert_answers
from tests.browser.reader import Reader
from tests.support.journaled import JournaledRollout, verified
from tests.support.journals import ID, Book
from tests.support.runs import Lab
from tests.support.tales import SAFE, Tale, tell

JOB = "https://ci.example.com/gw/7"
BY = {"name": "carol", "service": "Jenkins", "job": JOB, "commit": "9f3182061f1e"}
REVIEW = {"role": "reviewer", "approver": "dora", "at": "2026-11-23T11:00:00.000Z", "source": "approvals/s-dora.json"}
SIGNED = REVIEW | {"signature": "armoured", "key": "SHA256:abc"}
ALWAYS = {
    "What": r"ollama:gemma3:4b → openai:gpt-4o on t \(http://127\.0\.0\.1:1\)",
    "Who": r"author alice; approved by .*dora \(signed with key SHA256:abc, at 2026-11-23 11:00:00Z\)",
    "Run by": rf"carol: precheck, apply, verify, monitor \(Jenkins, {JOB}, commit 9f3182061f1e\); on host vm",
    "Ticket": r"T-1",
    "When": r"opened 2026-11-23 12:00:00Z; .*closed 12:0\d:\d\dZ; took [\d.]+ (s|min)",
}
NOTHING = "nothing: every clause that was planned has an outcome"


@dataclass(frozen=True)
class Story:
    """A rollout and what the first screen of its report says.

    Attributes:
        name: its name.
        write: writes its journal from the window on.
        verdict: the banner's text, as a pattern.
        state: the banner's class, which gives its colour.
        answers: question -> a pattern, beside `ALWAYS`.
    """

    name: str
    write: Callable[[JournaledRollout], None]
    verdict: str
    state: str
    answers: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """Read as its name."""
        return self.name


def broken(clause: str, message: str, value: Any, limit: Any, **more: Any) -> Callable[[JournaledRollout], None]:
    """Return what writes a window that this trigger ended, and the rollback."""

    def write(journaled: JournaledRollout) -> None:
        journaled.window(breach=False)
        broken_in(clause, message, value, limit, **more)(journaled)

    return write


def broken_in(clause: str, message: str, value: Any, limit: Any, **more: Any) -> Callable[[JournaledRollout], None]:
    """Return what writes the breach of this trigger in a window that was written, and the rollback."""

    def write(journaled: JournaledRollout) -> None:
        at = journaled.rollout.journal.entries(journaled.rollout.id)[-1].at
        journaled.verdict(clause, at=at, decided=True, value=value, limit=limit, message=message, **more)
        journaled.outcome("run-1", clause, "failed", message)
        journaled.rollout.append(Kind.ROLLBACK, reason=f"{clause}: {message}")
        journaled.writes("RBK-2.1", "back", "ollama:gemma3:4b")
        journaled.step("RBK-2.2", "the gateway reports ollama:gemma3:4b active")
        journaled.closes(Decision.ROLLED_BACK, "ROLLED BACK, verified", f"{clause}: {message}")

    return write


def rolled_back(clause: str, message: str, deciding: str, *numbers: Any, **more: Any) -> Story:
    """Return the story of a rollback by one trigger; `deciding` is a pattern of value, limit and samples."""
    left = ", ".join(f"MON-{n}" for n in range(1, 8) if f"MON-{n}" != clause)
    answers = {"Kept?": "no: rolled back and verified", "Decided by": f"{clause} .*: {deciding}"}
    answers |= {"Failed": f"^{clause} .*: {re.escape(message)}$", "Not run": f"monitor: {left}$"}
    verdict = f"↩ ROLLED BACK, verified: {clause}: {re.escape(message)}"
    return Story(f"rolled back by {clause}", broken(clause, message, *numbers, **more), verdict, "back", answers)


def kept(*entries: tuple[Kind, dict[str, Any]], **outcomes: tuple[str, str]) -> Callable[[JournaledRollout], None]:
    """Return what writes a window that held, and closes it as kept.

    Args:
        entries: further entries, before the end.
        outcomes: clause, with ``_`` for its signs, -> outcome and message in place of a pass.
    """

    def write(journaled: JournaledRollout) -> None:
        journaled.window(failing_from=99, breach=False)
        journaled.verdict("MON-2", **HELD)
        journaled.phase("run-1", "monitor")
        for name, (outcome, message) in outcomes.items():
            clause = name.replace("__", ".").replace("_", "-", 1)
            journaled.outcome("run-1", clause, outcome, message)
        for kind, body in entries:
            journaled.rollout.append(kind, **body)
        journaled.closes(Decision.KEPT, "KEPT", "every clause of the plan passed")

    return write


def canary(journaled: JournaledRollout) -> None:
    """Write the stages of a canary, of which the second is breached, and the rollback."""
    rollout = journaled.rollout
    for stage in ("CAN-2.1 10%", "CAN-2.2 25%"):
        began_at = format_utc(journaled.clock.now())
        rollout.append(Kind.WINDOW, began_at=began_at, window_s=6.0, stage=stage, control_ms=[])
        for second in range(6):
            total = 20 * second + 1
            journaled.sample("metrics", second, total=total, failed=second, p95_ms=60.0, samples=total)
            journaled.sample("control", second, total=10 * total, failed=0, p95_ms=55.0, samples=total)
            journaled.later()
    broken_in("MON-2", "error rate 5.0 % is above 4 %", 0.05, 0.04)(journaled)


HELD: dict[str, Any] = {
    "state": "holding",
    "decided": False,
    "value": 0.0,
    "limit": 0.05,
    "interval": [0.0, 0.03],
    "effective_limit": None,
    "power": "",
    "message": "error rate 0.0 %",
    "span": "the window's 6 s",
}
YES = {"Kept?": "yes: openai:gpt-4o was active when it was closed", "Not run": NOTHING}
EXCEPTED = "✓! KEPT, WITH EXCEPTIONS: every clause of the plan passed"
OWED = (Kind.OWED, {"what": "review", "due": "2026-11-25T12:00:00.000Z"})
MISSING = (Kind.EVIDENCE, {"run": "run-1", "missing": ["report.html: no space"], "due": None})
STORIES = (
    Story("kept", kept(), "✓ KEPT: every clause of the plan passed", "kept",
          YES | {"Judged": r"MON-2 holding: 0\.0 %"}),
    rolled_back("MON-1", "openai is offline", "offline, limit connected; from 3 of status", "offline", "connected",
                samples=3, source="status"),
    rolled_back("MON-2", "error rate 5.9 % is above 5 %", r"5\.9 %, limit 5 %; from 119 of users", 0.059, 0.05),
    rolled_back("MON-3", "P95 452 ms is above 140 ms", "452 ms, limit 140 ms; from 119 of users", 452.0, 140.0),
    rolled_back("MON-4", "critical alert DATA_LOSS/openai", "DATA_LOSS/openai, limit none; from 2 of alerts",
                "DATA_LOSS/openai", "none", samples=2, source="alerts"),
    rolled_back("MON-5", "3 fallbacks to ollama", "3, limit none; from 4 of fallbacks", 3, None,
                samples=4, source="fallbacks"),
    Story("canary", canary, "↩ ROLLED BACK, verified: MON-2: error rate 5.0 %", "back",
          {"Kept?": "no: rolled back and verified", "Decided by": "MON-2 .*: 5 %, limit 4 %; from 119 of users"}),
    Story("waived", kept(PRE_4__4=("waived", "WAIVED: too short; granted by dora")), EXCEPTED, "excepted",
          YES | {"Exceptions": "waived PRE-4.4", "Waived": "PRE-4.4 WAIVED: too short; granted by dora"}),
    Story("owed", kept(OWED, PRE_2__2=("owed", "OWED: a review by 2026-11-25")), EXCEPTED, "excepted",
          YES | {"Exceptions": "owed PRE-2.2", "Owed": "review, by 2026-11-25 12:00:00Z"}),
    Story("not applicable", kept(VER_3=("not applicable", "NOT APPLICABLE: it has no audit log")), EXCEPTED, "excepted",
          YES | {"Exceptions": "not applicable VER-3", "Not applicable": "VER-3 NOT APPLICABLE: it has no audit log"}),
    Story("incomplete evidence", kept(MISSING), EXCEPTED, "excepted",
          YES | {"Exceptions": "evidence missing", "Evidence missing": "report.html: no space"}),
)  # fmt: skip


@pytest.fixture
def journaled(tmp_path: Path) -> Iterator[JournaledRollout]:
    """A rollout that is verified, with a signed approval and a job that ran it."""
    with verified(tmp_path, by=BY) as journaled:
        journaled.rollout.append(Kind.APPROVAL, **SIGNED)
        journaled.rollout.append(Kind.ARMED, pid=1, host="vm", runner=1)
        yield journaled


@pytest.mark.parametrize("story", STORIES, ids=str)
def test_the_first_screen_answers_every_question(reader: Reader, journaled: JournaledRollout, story: Story) -> None:
    story.write(journaled)
    assert_answers(reader, report_of(journaled), story.verdict, ALWAYS | story.answers, chart=True)
    assert reader.banner.evaluate("banner => banner.className") == f"verdict {story.state}"
    reader.page.set_viewport_size({"width": DESK[0], "height": DESK[1]})
    job = reader.answers.get_by_role("link", name="job of carol")
    expect(job).to_have_attribute("href", JOB)
    expect(job).to_be_in_viewport(ratio=1)


def report_of(journaled: JournaledRollout) -> Path:
    """Build the report and return its path."""
    return build(journaled.rollout.journal, journaled.rollout.id, journaled.rollout.folder, os.environ)


@pytest.mark.parametrize(
    ("shape", "verdict", "kept"),
    [
        ("emergency", "EMERGENCY DONE: ", "yes: "),
        ("emergency failed", "EMERGENCY NOT VERIFIED: it cannot be read", "not known: "),
    ],
)
def test_an_emergency_answers_who_why_and_what_is_owed(
    reader: Reader, tmp_path: Path, shape: str, verdict: str, kept: str
) -> None:
    entries = tell(Tale(shape)).entries
    journal: Any = Book(entries)
    report = build(journal, ID, tmp_path / ID, os.environ)
    answers = {
        "What": f"→ EMERGENCY {SAFE} on",
        "Kept?": kept,
        "Who": "author .*; approved by nobody",
        "Ticket": "reason: ",
        "When": "opened 2026-11-23 12:00:00Z; ",
    }
    assert_answers(reader, report, verdict, answers, chart=False)


def test_a_change_with_exceptions_has_another_colour_than_a_plain_one(reader: Reader, tmp_path: Path) -> None:
    colours = set()
    for number, story in enumerate((STORIES[0], *STORIES[-4:])):
        with verified(tmp_path, id=f"r-{number}") as journaled:
            story.write(journaled)
            reader.open(report_of(journaled))
        colours.add((story.state, reader.banner.evaluate("banner => getComputedStyle(banner).backgroundColor")))
    assert len(colours) == 2


def test_a_blocked_run_names_every_reason(reader: Reader, tmp_path: Path) -> None:
    """The scenario has no ticket, is approved by its author alone, and lacks the impact assessment."""
    with Lab(tmp_path) as lab:
        del lab.scenario["ticket"], lab.scenario["impact"]
        lab.scenario["approved_by"] = ["alice"]
        ended = lab.run(report=True)
        assert lab.writes() == []
    assert ended.code == 1, ended.out
    answers = {
        "What": "ollama:gemma3:4b → openai:gpt-4o on lab",
        "Kept?": "nothing was applied",
        "Failed": r"(?s)PRE-2\.1 .*PRE-2\.2 .*PRE-2\.3 ",
        "Who": "author alice; approved by",
        "Run by": ": precheck",
        "Ticket": "^none",
        "When": r"closed \d\d:\d\d:\d\dZ; took",
        "Not run": "apply: APP-0.1",
    }
    verdict = r"- NOTHING APPLIED: PRE-2\.1: .*; also failed: PRE-2\.2, PRE-2\.3, PRE-3\.3$"
    assert_answers(reader, ended.folder / "report.html", verdict, answers, chart=False)
