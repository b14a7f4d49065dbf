"""docs/YOUR-FIRST-CHANGE.md, followed to the letter: its files are written, its commands run, its output compared.

What differs from the page is replaced by name: the ports are free ones, the waiver ends the day after tomorrow, and the
bake time is shorter. The installation is left out; the wheel has tests of its own.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from rollout.journal.record import Decision
from rollout.journal.replay import replay
from rollout.sandbox.process import find, stop
from tests.support.documents import Passage, commands_of, fenced_blocks
from tests.support.keys import need_ssh_keygen
from tests.support.runs import BARE, end_watchdogs, entries, inherited_environment

PAGE = "docs/YOUR-FIRST-CHANGE.md"
INSTALLATION = ("python3 -m venv .venv && . .venv/bin/activate", "pip install WHEEL")
SHORTER = {"window: 1m": "window: 32s"}  # 29 requests, one a second, show that MON-3 holds
SHOW_CODE = "echo $?"
LONGEST_COMMAND_S = 120.0
NAMED = re.compile(r"# (scenarios/\S+)\n")


@dataclass
class Reader:
    """Follows the page in a directory, from its first block to its last.

    Attributes:
        folder: the directory.
        differs: what stands on the page -> what stands here.
        outputs: command -> what it printed.
        codes: command -> its exit code.
        states: folder of a gateway -> its own word for its state, before the page stops it.
    """

    folder: Path
    differs: Mapping[str, str]
    outputs: dict[str, str] = field(default_factory=dict)
    codes: dict[str, int] = field(default_factory=dict)
    states: dict[str, Any] = field(default_factory=dict)

    def follow(self) -> None:
        """Write each file, run each command, and compare what it prints with what the page shows."""
        code = 0
        for language, text in self._blocks():
            if language == "yaml":
                name = NAMED.match(text)
                assert name, f"a file of the page begins with its name:\n{text}"
                (self.folder / name[1]).write_text(text, encoding="utf-8")
                continue
            steps = [step for step in steps_of(text) if step[0] not in INSTALLATION]
            for number, (command, shown) in enumerate(steps, 1):
                if command.startswith("rollout sandbox stop"):
                    self._read_state(Path(command.split()[-1]))
                self._run(command, code)
                code, output = self.codes[command], self.outputs[command]
                is_shown = steps[number : number + 1] and steps[number][0] == SHOW_CODE
                assert code == 0 or is_shown, f"{command} exits {code}, which the page does not show:\n{output}"
                is_as_shown = re.fullmatch(pattern_of(shown), output) is not None
                assert is_as_shown, f"{command} prints:\n{output}\nthe page shows:\n{shown}"

    def _blocks(self) -> Iterator[tuple[str, str]]:
        """Yield language and text of the page's blocks, with what differs replaced."""
        blocks = [(each.language, each.passage.text) for each in fenced_blocks() if each.passage.file == PAGE]
        assert {language for language, _ in blocks} == {"console", "yaml"}
        for old in self.differs:
            assert any(old in text for _, text in blocks), f"the page has no {old!r} that a test could replace"
        for language, text in blocks:
            for old, new in self.differs.items():
                text = text.replace(old, new)  # noqa: PLW2901 - one after another
            yield language, text

    def _run(self, command: str, code: int) -> None:
        """Run a command in a shell whose last command has exited with `code`."""
        out = self.folder / "output.txt"
        # A file, not a pipe: a background process must not be waited for.
        with out.open("wb") as file:
            done = subprocess.run(
                ["/bin/bash", "-c", f"(exit {code})\n{command}"],
                cwd=self.folder,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                timeout=LONGEST_COMMAND_S,
                check=False,
            )
        printed = out.read_text(encoding="utf-8").splitlines()
        self.codes[command] = done.returncode
        self.outputs[command] = "".join(f"{line.rstrip()}\n" for line in printed)

    def _read_state(self, gateway: Path) -> None:
        running = find(self.folder / gateway)
        assert running is not None
        answer = httpx.get(f"{running.url}/sandbox/state", trust_env=False)
        self.states[gateway.name] = answer.json()

    def _environment(self) -> dict[str, str]:
        """Return the environment of a reader who has installed the suite, and none of the plugins of its own tests."""
        inherited = inherited_environment()
        path = f"{Path(sys.executable).parent}{os.pathsep}{inherited.get('PATH', os.defpath)}"
        return {**inherited, "PATH": path, "PYTEST_ADDOPTS": " ".join(BARE)}

    def close(self) -> None:
        """End what a page that was not followed to its end has left."""
        for folder in self.folder.glob("gateways/*"):
            if running := find(folder):
                stop(running)
        end_watchdogs(self.folder / "reports")


def steps_of(text: str) -> list[tuple[str, str]]:
    """Return the commands of a console's text, each with the lines that are shown below it."""
    commands = [command.text for command in commands_of(Passage(PAGE, 1, text))]
    parts = re.split(r"^(?=\$ )", text, flags=re.MULTILINE)[-len(commands) :]
    return [(command, part.removeprefix(f"$ {command}\n")) for command, part in zip(commands, parts, strict=True)]


def pattern_of(shown: str) -> str:
    """Return the pattern of an output: an ellipsis is the rest of a line, or any lines where it stands alone."""
    lines = shown.splitlines()
    return "".join("(?:.*\n)*" if line == "…" else re.escape(line).replace("…", ".*") + "\n" for line in lines)


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    need_ssh_keygen()
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(2)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        ports = [str(each.getsockname()[1]) for each in sockets]
    until = f"until: {datetime.now(UTC) + timedelta(days=2):%Y-%m-%d}"
    differs = {"8001": ports[0], "8002": ports[1], "until: 2026-12-01": until, **SHORTER}
    reader = Reader(tmp_path, differs)
    yield reader
    reader.close()


def test_the_page_leads_to_a_change_that_is_kept_and_to_a_review_that_comes_too_early(reader: Reader):
    reader.follow()
    production, staging = reader.states["production"], reader.states["staging"]
    assert production["active"] == "openai:gpt-4o"
    assert {provider for _, provider, _, _ in production["served"]} == {"openai"}
    assert (staging["active"], staging["activations"]["count"]) == ("ollama:gemma3:4b", 0)
    assert reader.codes["pytest -m review"] == 13
    assert_evidence_is_where_the_page_says(reader.folder / "reports")


def assert_evidence_is_where_the_page_says(reports: Path) -> None:
    (rollout,) = {entry.rollout for entry in entries(reports)} - {""}
    record = replay(rollout, entries(reports, rollout))
    assert record.decision is Decision.KEPT
    assert set(record.excepted) == {"PRE-4.4"}
    assert len(record.approvals) == 3
    assert {path.name for path in reports.iterdir()} >= {"index.html", "operations.log", "journal.sqlite"}
    assert {path.name for path in (reports / rollout).iterdir()} >= {"change-record.md", "junit.xml", "backup"}
    assert len(list((reports / rollout / "allure-results").iterdir())) == 3


def test_what_the_page_shows_is_compared_line_by_line():
    shown = "a … c\n…\nd\n"
    assert re.fullmatch(pattern_of(shown), "a b c\nd\n")
    assert re.fullmatch(pattern_of(shown), "a b c\nb\nd\n")
    assert not re.fullmatch(pattern_of(shown), "a b c\nd\ne\n")
    assert not re.fullmatch(pattern_of(shown), "b\nd\n")
    assert not re.fullmatch(pattern_of(""), "trouble\n")
