"""An alert that would clear the screen and write a verdict prints harmlessly, wherever a person or a pipeline reads."""

from __future__ import annotations

import base64
import os
import pty
import re
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.kinds import quick
from tests.support.liar import edited
from tests.support.runs import ROOT, WITHOUT_REPORT, Lab, inherited_environment

CLEARS = "\x1b[2J\x1b[H"
FORGED = (
    f"{CLEARS}\x1b]0;KEPT\x07\x1b[32m===== KEPT: all is well =====\x1b[0m\r\nexit code: 0 KEPT\n::error::no "
    "\u202e\x9b2J\u200b [bold]x[/]"
)
SHOWN = r"\x1b[2J\x1b[H"
OBEYED = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
STYLE = re.compile(r"\x1b\[(?:\d+(?:;\d+)*)?m")
MOVES = re.compile(r"\x1b\[(?:\d*[AK]|\?25[hl])")
"""What the live page draws itself over with: up, erase to the end of the line, the cursor hidden and shown."""


def forging(lab: Lab) -> None:
    """Let the gateway's alerts and the new provider's status say it, and a critical alert fire in the window."""
    lab.scenario["ticket"], lab.scenario["notify"] = "OPS-1", ["log"]

    def alerts(body: object) -> object:
        if isinstance(body, dict) and isinstance(body.get("alerts"), list):
            for each in body["alerts"]:
                each["message"] = FORGED
                each["alert_type"] = f"ERROR_SPIKE{FORGED}"
        return body

    lab.liar.rule("/alerts", edited(alerts))
    lab.liar.rule("openai/status", edited(lambda body: {**body, "message": FORGED}))
    lab.once("openai/activate", lambda: lab.alert("ERROR_SPIKE", "openai", FORGED), method="POST")


def environment(lab: Lab) -> dict[str, str]:
    kept = inherited_environment()
    return {**kept, "USER": "tester", "TERM": "xterm-256color", "COLUMNS": "160", "PYTHONPATH": str(ROOT), **lab.env}


def on_a_terminal(lab: Lab, command: list[str]) -> tuple[int, str]:
    """Run a command on a terminal of its own, and return its exit code and all that it sent there."""
    ours, theirs = pty.openpty()
    sent: list[bytes] = []

    def read() -> None:
        with suppress(OSError):
            while piece := os.read(ours, 65536):
                sent.append(piece)

    reader = threading.Thread(target=read, daemon=True)
    child = subprocess.Popen(
        command, cwd=ROOT, env=environment(lab), stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    )
    os.close(theirs)
    reader.start()
    code = child.wait(120)
    reader.join(10)
    os.close(ours)
    return code, b"".join(sent).decode()


def suite(lab: Lab) -> list[str]:
    return [sys.executable, "-m", "pytest", *WITHOUT_REPORT, *lab.options(), f"--reports={lab.reports}"]


def status(lab: Lab) -> list[str]:
    return [sys.executable, "-m", "rollout", "status", "--all", f"--reports={lab.reports}"]


def is_harmless(text: str) -> bool:
    """Return whether nothing in a document or a log would be obeyed."""
    return not OBEYED.search(text) and "\x1b" not in text


@pytest.fixture
def lab(tmp_path: Path):
    with quick(tmp_path) as one:
        forging(one)
        yield one


def test_an_alert_that_forges_a_verdict_is_words_in_a_pipeline(lab: Lab):
    """In a log, the documents and the status nothing is obeyed, no line is forged, and what the alert says is shown."""
    run = lab.run(real=True)
    assert run.code == 10, run.out
    assert is_harmless(run.out)
    assert SHOWN in run.out
    assert not re.search(r"^(?:===== KEPT|exit code: 0|\s*::error)", run.out, re.MULTILINE)
    for document in (run.folder / "change-record.md", run.folder / "post-mortem.md", lab.reports / "operations.log"):
        text = document.read_text(encoding="utf-8")
        assert is_harmless(text), document
        assert "KEPT: all is well" in text, document
        assert not re.search(r"^\W*(===== KEPT|exit code: 0)", text, re.MULTILINE), document
    for document in run.folder.rglob("*"):
        if document.suffix in {".json", ".md", ".csv", ".txt", ".log", ".xml", ".properties"}:
            assert is_harmless(document.read_text(encoding="utf-8").replace("\r\n", "\n")), document
    told = subprocess.run(status(lab), cwd=ROOT, env=environment(lab), capture_output=True, text=True, check=True)
    assert is_harmless(told.stdout)
    assert SHOWN in told.stdout
    assert sum(line.startswith("state") for line in told.stdout.splitlines()) == 1


def test_it_is_words_on_a_terminal_where_our_own_colours_are_sent(lab: Lab):
    """On a terminal the only sequences are pytest's and the live page's own: colours, and moves within the page."""
    code, sent = on_a_terminal(lab, suite(lab))
    assert code == 10, sent
    assert "\x1b[31m" in sent
    left = MOVES.sub("", STYLE.sub("", sent.replace("\r", "")))
    assert is_harmless(left), OBEYED.findall(left)
    assert SHOWN in sent
    assert "\x1b[32m===== KEPT" not in sent
    words = MOVES.sub("", STYLE.sub("", sent))
    assert re.search(r"\n  … (PRE-5\.4 [^\r\n]+)\r  ✓ \1 \(", words), "what runs shows, and its line takes the place"
    assert "… MON-" not in words, "the window shows itself"
    assert "\nrolling back: MON-4: critical alert ERROR_SPIKE" in words
    _, told = on_a_terminal(lab, status(lab))
    assert is_harmless(STYLE.sub("", told.replace("\r", "")))
    assert "\x1b[" in told


def test_the_report_and_every_file_beside_it_show_it_harmlessly(lab: Lab):
    """The page and what it carries inside, the change record, the post-mortem, the summary, JUnit and the index."""
    forging(lab)
    lab.env.pop("XDG_CACHE_HOME")  # where the generator is
    run = lab.run(real=True, report=True)
    assert run.code == 10, run.out
    assert (run.folder / "report.html").is_file(), run.out
    names = ("report.html", "change-record.md", "post-mortem.md", "summary.md", "junit.xml")
    texts = {name: (run.folder / name).read_text(encoding="utf-8") for name in names}
    texts["index.html"] = (lab.reports / "index.html").read_text(encoding="utf-8")
    carried = re.findall(r'd\("([^"]+\.(?:json|txt|csv|html))","([A-Za-z0-9+/=]+)"\)', texts["report.html"])
    assert len(carried) > 30, "what the page carries inside was found"
    texts |= {name: base64.b64decode(content).decode() for name, content in carried}
    assert any("x1b[2J" in text for name, text in texts.items() if name not in names), "it is shown in the report"
    # The generator's own script and style hold none either.
    assert [name for name, text in texts.items() if name != "report.html" and not is_harmless(text)] == []
    assert FORGED not in texts["report.html"]
    assert "\x1b[2J" not in texts["report.html"]
