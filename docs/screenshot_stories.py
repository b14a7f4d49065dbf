"""The rollouts that `docs.screenshots` takes pictures of: real ones of the embedded gateway, each run once."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TypeVar

from playwright.sync_api import Browser, ViewportSize
from rich.text import Text

from rollout.core.clock import SystemClock
from rollout.core.errors import JournalError
from rollout.journal.journal import Journal
from rollout.journal.record import Kind

T = TypeVar("T")
ROOT = Path(__file__).parents[1]
DESK = ViewportSize(width=1400, height=900)
COLUMNS, LINES = 118, 40
LONGEST_RUN_S = 180.0
POLL_S = 0.2
SAMPLES = 120
"""How many samples a window has when its picture is taken."""
IN_TERMINAL = "failing-provider"
SHIPPED = ("quickstart", "slow-provider", "provider-goes-offline", "critical-alert", "canary")
"""Shipped scenarios that run without a terminal."""

CHANGE = """\
change: {activate: openai, model: gpt-4o}
ticket: DEMO-7
author: alice
impact: {risk: "low, a demonstration", affects: the background users of the embedded gateway, cost: none}
operator: carol <carol@example.com>
notify: [log]
sandbox:
  users_per_s: 20
  faults: [{provider: ollama, latency_ms: 200}, {provider: openai, latency_ms: 200}]
"""
OWN: Mapping[str, str] = {
    # Its author approves it, and the new provider is offline: several prechecks refuse it.
    "blocked": """\
change: {activate: openai, model: gpt-4o}
author: alice
approved_by: [alice]
monitor: {window: 20s}
sandbox: {faults: [{provider: openai, status: offline}]}
""",
    # The policy asks for a longer window than the scenario has.
    "waived": f"""\
{CHANGE}
approved_by: [bob]
monitor: {{window: 15s}}
waivers:
  - clause: PRE-4.4
    reason: the vendor ends the old model tonight
    granted_by: dave
    until: 2099-01-01
""",
    # A hotfix that nobody has approved yet: the approval is owed once it is applied.
    "owed": f"""\
{CHANGE}
class: emergency
monitor: {{window: 20s}}
""",
    "watched": f"""\
{CHANGE}
approved_by: [bob]
monitor: {{window: 2m}}
""",
    "killed": f"""\
{CHANGE}
approved_by: [bob]
monitor: {{window: 1m}}
""",
}
"""Scenarios of the pictures' own: name -> YAML."""

POLICY = """\
sandbox:
  window_at_least: 20s
  not_demanded: [PRE-2.1, PRE-2.3, PRE-3.1, PRE-3.2, PRE-4.2, PRE-4.3]
  outside_window: warn
"""
TARGET = """\
demo:
  url: {url}
  environment: sandbox
  safe: {{activate: vllm, model: gemma-3-4b-it}}
"""
# The live view once errors are counted, and the last line of the closing block.
BAKING, ENDED = re.compile(r"MON-2 +\w+ +[1-9][\d.]* %"), re.compile(r"report: .*report\.html")


class Studio:
    """The rollouts that the pictures show, each of which runs once, in one journal.

    Attributes:
        folder: a temporary folder for everything.
        reports: the reports' folder.
        chromium: the browser.
    """

    def __init__(self, folder: Path, chromium: Browser) -> None:
        """Write the scenarios and their policy."""
        self.folder, self.chromium = folder, chromium
        self.reports = folder / "reports"
        for name, text in OWN.items():
            (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
        (folder / "policy.yaml").write_text(POLICY, encoding="utf-8")
        self.report = cache(self._report)
        self.terminal = cache(self._terminal)
        self.watched = cache(self._watched)

    def _report(self, story: str) -> Path:
        """Let the story happen, and return its report."""
        match story:
            case "emergency":
                return self._emergency()
            case "killed":
                return self._killed()
            case "aborted":
                return self.watched() / "aborted.html"
            case "in-progress":
                return self.watched() / "in-progress.html"
            case _ if story == IN_TERMINAL:
                self.terminal()
                return self._newest(story)
        subprocess.run(self._command(story), cwd=ROOT, stdout=subprocess.DEVNULL, check=False)  # noqa: S603
        return self._newest(story)

    def _terminal(self) -> tuple[str, str]:
        """Return the terminal's screen in the window and at the end, with their colours."""
        live, end = in_terminal(self._command(IN_TERMINAL))
        return live.replace(str(self.reports), "reports"), end.replace(str(self.reports), "reports")

    def _watched(self) -> Path:
        """Take ``live.png`` in a window, build the report in it and after an abort, and return the folder of these."""
        with self._running("watched") as process:
            rollout = self._in_window("watched")
            with self._served() as url:
                shoot_live_page(self.chromium, url, self.folder / "live.png")
            self._rollout("report", rollout)
            shutil.copy(self.reports / rollout / "report.html", self.folder / "in-progress.html")
            self._rollout("abort", rollout, "--reason=users report empty answers")
            process.wait(LONGEST_RUN_S)
        shutil.copy(self._newest("watched"), self.folder / "aborted.html")
        return self.folder

    def _killed(self) -> Path:
        """Kill a run in its window; its watchdog rolls back and builds the report."""
        with self._running("killed") as process:
            self._in_window("killed")
            process.send_signal(signal.SIGKILL)
        return self._newest("killed")

    def _emergency(self) -> Path:
        """Order an emergency at a gateway of its own, and return the report, which nobody asks for."""
        command = (program("rollout"), "sandbox", f"--dir={self.folder / 'gateway'}")
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as gateway:  # noqa: S603
            try:
                targets = self.folder / "gateway.yaml"  # beside the scenarios, the name would make it theirs
                targets.write_text(TARGET.format(url=address(gateway)), encoding="utf-8")
                reason = "--reason=every third answer of the active provider is an error"
                self._rollout("emergency", "--target=demo", f"--targets={targets}", "--yes", reason)
                return self._newest("emergency")
            finally:
                gateway.send_signal(signal.SIGINT)

    # Parts of a story

    def _command(self, story: str) -> tuple[str, ...]:
        scenario = (self.folder if story in OWN else ROOT / "scenarios") / f"{story}.yaml"
        return (program("pytest"), f"--scenario={scenario}", f"--reports={self.reports}")

    def _rollout(self, *arguments: str) -> None:
        command = (program("rollout"), *arguments, f"--reports={self.reports}")
        subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, check=False)  # noqa: S603

    @contextmanager
    def _running(self, story: str) -> Iterator[subprocess.Popen[bytes]]:
        with subprocess.Popen(self._command(story), cwd=ROOT, stdout=subprocess.DEVNULL) as process:  # noqa: S603
            try:
                yield process
            finally:
                process.kill()

    @contextmanager
    def _served(self) -> Iterator[str]:
        """Serve the live page; yield its address."""
        command = (program("rollout"), "serve", f"--reports={self.reports}")
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:  # noqa: S603
            try:
                yield address(server)
            finally:
                server.send_signal(signal.SIGINT)

    def _in_window(self, story: str) -> str:
        """Wait until the story's window has gone on for a while, and return the rollout's id."""

        def rollout() -> str:
            found = [*self.reports.glob(f"*-{story}-*/")]
            return found[0].name if found and self._samples(found[0].name) >= SAMPLES else ""

        return wait_for(rollout, "samples in the window")

    def _samples(self, rollout: str) -> int:
        try:
            with Journal.open(str(self.reports / "journal.sqlite"), clock=SystemClock(), create=False) as journal:
                return sum(entry.kind == Kind.SAMPLE for entry in journal.entries(rollout))
        except JournalError:
            return 0  # it is only being made

    def _newest(self, story: str) -> Path:
        """Return the story's report, for which the watchdog or a command's process may still need a while."""
        return wait_for(
            lambda: max(self.reports.glob(f"*-{story}-*/report.html"), default=None), f"a report of {story}"
        )


def program(name: str) -> str:
    """Return the program of this environment."""
    return str(Path(sys.executable).with_name(name))


def address(server: subprocess.Popen[str]) -> str:
    """Return the address that a server prints first."""
    for line in server.stdout or ():
        if found := re.search(r"http://127\.0\.0\.1:\d+", line):
            return found[0]
    raise SystemExit("the server ended without printing its address")


def wait_for(look: Callable[[], T | None], what: str) -> T:
    """Return what `look` returns as soon as it is true.

    Raises:
        SystemExit: it never was.
    """
    until = time.monotonic() + LONGEST_RUN_S
    while not (found := look()):
        if time.monotonic() > until:
            raise SystemExit(f"not within {LONGEST_RUN_S:g} s: {what}")
        time.sleep(POLL_S)
    return found


def in_terminal(command: tuple[str, ...]) -> tuple[str, str]:
    """Run a command in a terminal of its own; return the screen while it bakes and at its end, with colours."""
    tmux = ("tmux", "-L", f"rollout-{time.monotonic_ns()}")
    size = ("-x", str(COLUMNS), "-y", str(LINES))
    subprocess.run([*tmux, "new-session", "-d", *size, "-c", str(ROOT), *command, ";", "set", "remain-on-exit", "on"], check=True)  # fmt: skip  # noqa: E501, S603
    try:
        return screen_when(tmux, BAKING), screen_when(tmux, ENDED)
    finally:
        subprocess.run([*tmux, "kill-server"], check=False)  # noqa: S603


def screen_when(tmux: tuple[str, ...], shown: re.Pattern[str]) -> str:
    """Return the screen as soon as it shows this."""

    def screen() -> str:
        told = subprocess.run([*tmux, "capture-pane", "-pe"], check=True, capture_output=True, text=True)  # noqa: S603
        return told.stdout if shown.search(Text.from_ansi(told.stdout).plain) else ""

    return wait_for(screen, f"{shown.pattern} in the terminal")


def shoot_live_page(chromium: Browser, url: str, path: Path) -> None:
    """Write the picture of the live page once it shows a rollout; it is never at rest."""
    page = chromium.new_page(viewport=DESK)
    page.goto(url)
    page.locator("article figure").first.wait_for()
    page.screenshot(path=path)
    page.close()
