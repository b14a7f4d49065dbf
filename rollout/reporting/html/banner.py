"""The banner above every row of a report: the verdict with its value and limit, and links to other documents."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from xml.etree.ElementTree import Element

from rollout.journal.journal import Journal
from rollout.journal.record import Kind
from rollout.reporting.allure import ticket_link
from rollout.reporting.html.index import DOCUMENTS, INDEX, STATES, state_of
from rollout.reporting.html.markup import element, html, link
from rollout.reporting.html.story import Story
from rollout.reporting.html.verdict import Verdict
from rollout.reporting.timeline import clock

EARLIER = 5
"""How many earlier rollouts of the same target are linked."""

STYLE = """
body { display: flex; flex-direction: column; height: 100vh; }
#app { flex: 1; min-height: 0; }
#app > div { height: 100%; }
.verdict { flex: none; max-height: 45vh; overflow: auto; padding: .6rem 1.2rem; color: #fff; background: #57606a;
  font: .95rem/1.4 system-ui, sans-serif; }
.verdict.kept { background: #176a2f; } .verdict.back { background: #7a4d00; } .verdict.failed { background: #b3141e; }
.verdict.failed { border: .4rem double #fff; font-size: 1.15rem; }
.verdict p, .verdict pre { margin: .15rem 0; white-space: pre-wrap; overflow-wrap: anywhere; }
.verdict b, .verdict th { font-weight: 700; }
.verdict .first { font-size: 1.1em; }
.verdict .sign { border: 2px solid; border-radius: .2rem; padding: 0 .3em; font-weight: 700; }
.verdict a { color: inherit; margin-right: 1rem; }
.verdict a:focus-visible { outline: 3px solid; outline-offset: 2px; }
.verdict table { display: none; }
/* Hidden: a share of green checks is no verdict of a change, and a change is not retried until it is green. */
div:has(> [data-testid="report-header"]) ~ div article, div:has(> [data-testid="report-title"]) ~ * article,
[data-testid="nav-tab-qualityGate"], [data-testid="retry-filter"],
[data-testid="flaky-filter"], [data-testid="transition-filter"] { display: none; }
@media print {
  body { display: block; }
  body, #app, #app * { height: auto !important; max-height: none !important; overflow: visible !important; }
  .verdict[class] { color: #000; background: none; border: 3px solid; max-height: none; }
  .verdict table { display: table; margin-top: .5rem; font-size: .8rem; }
  .verdict th { text-align: left; vertical-align: top; padding-right: 1rem; }
}
"""

WITHOUT_SCRIPT = "<noscript><style>.verdict table { display: table } .verdict { max-height: none }</style></noscript>"


def banner(story: Story, standing: Verdict, answers: Mapping[str, str], ways: Sequence[Element]) -> str:
    """Return the banner as HTML; in print and without a script it shows all answers.

    Args:
        story: the rollout.
        standing: its verdict.
        answers: an auditor's questions and their answers.
        ways: links to other documents.
    """
    state = state_of(story.record)
    sign, _ = STATES[state]
    shown = element("span", sign, class_="sign", aria_hidden="true")
    why = f": {standing.why}" if standing.why else ""
    commands = (story.record.closed or {}).get("commands", ())
    head = element("header", element("p", shown, " ", element("b", standing.word), why, class_="first"))
    head.set("class", f"verdict {state}")
    if commands:
        head.append(element("p", element("b", "A PERSON IS NEEDED. Check the gateway, then run:")))
        head.append(element("pre", "\n".join(reversed(commands))))
    head.append(element("p", f"{answers['What']}. When: {answers['When']}. Not run: {answers['Not run']}."))
    head.append(element("nav", *ways, aria_label="Around this rollout"))
    rows = (element("tr", element("th", question), element("td", answer)) for question, answer in answers.items())
    head.append(element("table", *rows))
    return f"{html(element('style', STYLE))}{WITHOUT_SCRIPT}{html(head)}"


def ways_on(journal: Journal, story: Story, folder: Path) -> Iterator[Element]:
    """Yield links to the page over all rollouts, the documents, the ticket, and earlier rollouts of the same target.

    Links between reports are relative, so that `reports/` can be moved. A file that is not on this disk is not linked.

    Raises:
        JournalError: the journal cannot be read.
    """
    yield link(f"../{INDEX}", "all rollouts")
    for file, name in DOCUMENTS.items():
        if file != "report.html" and (folder / file).is_file():
            yield link(file, name)
    ticket = ticket_link(story.request.scenario, story.request.policy)
    if ticket is not None:
        yield link(ticket, f"ticket {story.request.scenario.ticket}")
    for rollout, words in _earlier(journal, story):
        there = (folder.parent / rollout / "report.html").is_file()
        yield link(f"../{rollout}/report.html", words) if there else element("span", f"{words} (not on this disk)")


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
