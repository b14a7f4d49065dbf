"""Every name, every encoding, every place: planted at once, nothing of it is found; without redaction, all of it is.

What is planted is in `tests.support.planting`. It stands in the gateway's `.env` and the run's environment, and it is
repeated by the gateway (status, alerts, metrics, audit, chat; in bodies and in headers), by the restart's commands, by
checks, hooks, logs and warnings, and by the scenario's own words.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.kinds import ENVIRONMENT, PROVIDER, quick
from tests.support.liar import answer, edited
from tests.support.planting import IN_ENVIRONMENT, IN_FILE, Search, encodings, everything, plants
from tests.support.runs import ROOT, Lab, Run

PLANTED = plants()
LEAK = everything(PLANTED.values())
ENV_FILE = "ACTIVE_PROVIDER=ollama\nLLM_MODEL_NAME=gemma3:4b\nOPENAI_API_KEY=sk-demo-made-up-for-the-sandbox-cdef\n"
LEAKING = ("-p", "tests.support.leaking", "-o", "junit_logging=all", "--log-level=INFO")
NOISY = """
import os, subprocess, sys
print(os.environ["LEAK"], flush=True)
print(os.environ["LEAK"], file=sys.stderr, flush=True)
sys.exit(subprocess.run(sys.argv[1:]).returncode)
"""


@dataclass(frozen=True)
class Left:
    """What a run left.

    Attributes:
        run: it, ended.
        places: name of a place -> what stood there: files, messages, the terminal.
        lines: the command lines that were seen while it ran, of it and of its children.
    """

    run: Run
    places: dict[str, bytes]
    lines: bytes

    def found(self) -> dict[str, set[tuple[str, str]]]:
        """Return place -> which secrets stand there, and how."""
        search = Search(PLANTED)
        told = {place: search.within(content) for place, content in {**self.places, "ps": self.lines}.items()}
        return {place: seen for place, seen in told.items() if seen}


def prepared(lab: Lab, *, redacted: bool) -> None:
    """Plant everything."""
    about = lab.direct.get("/sandbox/about").json()
    script = lab.folder / "noisy.py"
    script.write_text(NOISY)
    noisy = [sys.executable, str(script)]
    lab.target |= {"service": {"stop": [*noisy, *about["stop"]], "start": [*noisy, *about["start"]]}}
    lab.target |= {"env_file": str(lab.sandbox.env_file), "log_file": about["log_file"]}
    lab.scenario |= {"notify": ["log", "LAB_HOOK"]}
    lab.scenario["impact"] = {**lab.scenario["impact"], "affects": f"all that use {PLANTED['DB_PASS']}"}
    port = lab.liar.url.rpartition(":")[2]
    lab.env |= {"LAB_HOOK": f"json://127.0.0.1:{port}/hook", "LEAK": LEAK, "PYTHONPATH": str(ROOT)}
    lab.env |= {name: PLANTED[name] for name in IN_ENVIRONMENT}
    if not redacted:
        lab.env["PYTHONPATH"] += f"{os.pathsep}{ROOT / 'tests' / 'support' / 'unredacted'}"
    repeat(lab)


def repeat(lab: Lab) -> None:
    """Let the gateway repeat it where that fails nothing, and once in each kind of error."""
    headers = {"X-Seen": encodings(PLANTED["JWT"])["percent"], "Retry-After": "0"}
    lab.liar.rule("/hook", answer(200, {}))
    lab.liar.rule("/alerts", answer(500, {"detail": LEAK}, headers=headers), nth=6)
    lab.liar.rule("/metrics", answer(502, f"<html>{LEAK}</html>", "text/html"), nth=8)
    lab.liar.rule("/chat", edited(lambda body: body | {"note": LEAK} if isinstance(body, dict) else body))
    lab.liar.rule("openai/status", edited(lambda body: {**body, "message": LEAK}))
    lab.liar.rule("/audit", edited(lambda body: body | {"note": LEAK} if isinstance(body, dict) else body))


def watching(stop: threading.Event, seen: set[bytes]) -> None:
    """Collect the command lines of every process of this project, until told to stop."""
    while not stop.wait(0.05):
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                line = path.read_bytes()
            except OSError:
                continue
            if b"rollout" in line or b"LEAK" in line:
                seen.add(line)


def run(stack: ExitStack, folder: Path, *, back: bool, redacted: bool = True) -> Left:
    """Run a change of provider and environment to its end, with everything planted."""
    env = folder / "gateway" / ".env"
    env.parent.mkdir()
    env.write_text(ENV_FILE + "".join(f"{name}='{PLANTED[name]}'\n" for name in IN_FILE))
    lab = stack.enter_context(quick(folder, [PROVIDER, ENVIRONMENT]))
    prepared(lab, redacted=redacted)
    lab.env["LEAK_IN"] = "check" if back else ""
    seen: set[bytes] = set()
    stop = threading.Event()
    watcher = threading.Thread(target=watching, args=(stop, seen), daemon=True)
    watcher.start()
    log = lab.reports / "pytest.log"
    ended = lab.run(*LEAKING, f"--log-file={log}", f"--junitxml={lab.reports / 'pytest.xml'}", real=True)
    stop.set()
    watcher.join()
    files = {str(path.relative_to(lab.reports)): path.read_bytes() for path in lab.reports.rglob("*") if path.is_file()}
    messages = b"\n".join(each.body for each in lab.liar.requests if each.path.startswith("/hook"))
    assert messages, ended.out[-3000:]
    assert any(b"rollout.engine.watchdog" in line for line in seen)
    return Left(ended, {**files, "messages": messages, "terminal": ended.out.encode()}, b"\n".join(seen))


@pytest.fixture(scope="module")
def stack() -> Iterator[ExitStack]:
    """Whatever the labs need to be ended."""
    with ExitStack() as one:
        yield one


def test_nothing_of_it_is_found_where_the_change_is_kept(stack: ExitStack, tmp_path: Path):
    """A change that is kept leaves no piece of any secret: in a file, the journal, a message, or on the terminal."""
    left = run(stack, tmp_path, back=False)
    assert left.run.code == 0, left.run.out
    assert left.found() == {}


def test_nothing_of_it_is_found_where_the_change_is_rolled_back(stack: ExitStack, tmp_path: Path):
    """Nor does one that a check's exception, which holds all of it, has taken back."""
    left = run(stack, tmp_path, back=True)
    assert left.run.code == 10, left.run.out
    assert "[redacted]" in left.run.out
    assert left.found() == {}


def test_without_redaction_all_of_it_is_found(stack: ExitStack, tmp_path: Path):
    """The same run with redaction switched off leaves every secret in every encoding, in each kind of place."""
    left = run(stack, tmp_path, back=True, redacted=False)
    found = left.found()
    wanted = Search(PLANTED).wanted
    assert wanted - set().union(*found.values()) == set()
    kinds = {Path(place).name.rpartition("-")[2] for place in found}
    assert {"terminal", "messages", "journal.sqlite", "pytest.log", "pytest.xml", "result.json", "record.md"} <= kinds
    for place in ("terminal", "pytest.log"):
        assert wanted - found[place] == set(), place
    assert "ps" not in found
