"""``junit.xml``: one test case for each clause of the plan, run or not, and one for the decision.

The file of pytest holds what one process has run: no earlier phase, and no check that was never reached.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence

from rollout.core.visible import show_controls
from rollout.reporting.allure import CLOSURE_ROW, CLOSURE_TITLE, PHASE_TITLES
from rollout.reporting.html.outcomes import ClauseResult
from rollout.reporting.html.story import Story
from rollout.reporting.html.verdict import Verdict

_TAGS = {
    "passed": None,
    "failed": "failure",
    "not run": "error",
    "waived": "skipped",
    "owed": "skipped",
    "not applicable": "skipped",
    "pending": "skipped",
    "not demanded": "skipped",
}
_OF_THE_DECISION = {"passed": None, "failed": "failure", "broken": "error", "skipped": "skipped"}
_COUNTED = {"failures": "failure", "errors": "error", "skipped": "skipped"}


def junit(story: Story, clauses: Sequence[ClauseResult], standing: Verdict) -> bytes:
    """Return the XML: a suite a phase, whose test cases are the plan's clauses, and one for the closure.

    A clause that was planned and never reached is an error ``NOT RUN``; one that is waived, owed, not applicable, still
    to come or not demanded is skipped, with its reason.
    """
    root = ET.Element("testsuites", name=story.record.id)
    for phase in story.phases:
        suite = ET.SubElement(root, "testsuite", name=PHASE_TITLES[phase], timestamp=story.record.opened_at[:19])
        for each in clauses:
            if each.clause.phase == phase:
                _case(suite, str(each.clause), _TAGS.get(each.outcome, "error"), each.message, each.took_s)
    closure = ET.SubElement(root, "testsuite", name=CLOSURE_TITLE, timestamp=story.events[-1].at[:19])
    _case(closure, CLOSURE_ROW, _OF_THE_DECISION[standing.status], str(standing), 0.0)
    for suite in (*root, root):
        _count(suite)
    ET.indent(root)
    text: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return text


def _case(suite: ET.Element, name: str, tag: str | None, message: str, took_s: float) -> None:
    case = ET.SubElement(suite, "testcase", classname=suite.attrib["name"], name=name, time=f"{took_s:.3f}")
    if tag is not None:
        ET.SubElement(case, tag, message=show_controls(message))


def _count(suite: ET.Element) -> None:
    cases = list(suite.iter("testcase"))
    suite.set("tests", str(len(cases)))
    for name, tag in _COUNTED.items():
        suite.set(name, str(sum(case.find(tag) is not None for case in cases)))
    suite.set("time", f"{sum(float(case.attrib['time']) for case in cases):.3f}")
