"""The terminal of a run: the header, one line a clause, and the closing block."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import pytest

from rollout.approvals.waivers import unused
from rollout.core.clauses import CLAUSES, PHASES, Clause
from rollout.core.errors import ExitCode
from rollout.core.streams import quiet
from rollout.core.visible import on_one_line
from rollout.engine.closure import Closure
from rollout.engine.session import Session
from rollout.journal.record import EVIDENCE_OWED, Decision, RolloutRecord
from rollout.monitoring.live_page import truncate_line
from rollout.plugin.terminal_text import guard, guard_logs
from rollout.reporting.window_end import describe_ending, unfinished, what_it_could_tell

LEFT_OUT = "left out by "
"""Begins, behind `NOT RUN`, the reason of a clause whose check an option left out."""

MARKS = {
    "passed": "✓",
    "failed": "✗",
    "not run": "·",
    "skipped": "-",
    "waived": "!",
    "owed": "!",
    "not applicable": "○",
}
_GOOD = {Decision.KEPT: {"green": True}, None: {"green": True}, Decision.NOTHING_APPLIED: {"yellow": True}}
_BAD: dict[str, bool] = {"red": True, "bold": True}
_COLOURS = {
    "passed": {"green": True},
    "failed": {"red": True},
    "not run": {"yellow": True},
    "skipped": {"yellow": True},
    "waived": {"yellow": True, "bold": True},
    "owed": {"yellow": True, "bold": True},
    "not applicable": {"light": True},
}


_SECTIONS = {phase: f"{number} {phase}" for number, phase in enumerate((*PHASES, "closure", "review"), start=1)}
_SECTIONS["release"] = "release"

_RUNNING = "a check is running"
"""Stands where pytest keeps what is on its unfinished line, so that each line of its own begins below that."""


class TerminalReporter:
    """A line a clause, through pytest's terminal reporter, which knows whether there is a terminal and colour."""

    def __init__(self, redact: Callable[[str], str]) -> None:
        """Begin without a reporter: then nothing is printed.

        Args:
            redact: takes secrets out of what is printed.
        """
        self._redact = redact
        self._reporter: Any = None
        self._phase: str | None = None

    def attach(self, reporter: Any) -> None:
        """Replace pytest's file names, dots and percentages, and redact everything that pytest prints."""
        # Everything that pytest prints passes: warnings, and the traceback of what fails outside of a check.
        guard(reporter._tw, self._redact)  # noqa: SLF001 - pytest has no public way to it
        self._reporter = reporter
        reporter.showfspath = False
        reporter._show_progress_info = False  # noqa: SLF001 - pytest has no public switch for it
        if (logs := reporter.config.pluginmanager.get_plugin("logging-plugin")) is not None:
            guard_logs(logs, self._redact)
        if getattr(reporter.config.option, "capture", None) == "no":
            sys.stdout, sys.stderr = (quiet(each, self._redact) for each in (sys.stdout, sys.stderr))

    def status(self, report: pytest.TestReport) -> tuple[str, str, str]:
        """Return which counter pytest raises, and nothing to print: the line is printed already."""
        if report.when == "setup" and report.passed:
            return "", "", ""
        category = "error" if report.failed and report.when == "setup" else report.outcome
        return category, "", ""

    def begin(self, clause: Clause | None) -> None:
        """Show on a terminal which check is running, until its line takes the place."""
        reporter = self._reporter
        # With -v pytest names the check itself.
        if reporter is None or not reporter.isatty or reporter.showlongtestinfo:
            return
        self._begin_section(clause)
        # A line that is wrapped could not be written over.
        text = truncate_line(f"  … {_title(clause)}", reporter._tw.fullwidth - 1)  # noqa: SLF001 - no public way to it
        reporter.write(text, flush=True)
        reporter.currentfspath = _RUNNING

    def row(self, clause: Clause | None, outcome: str, message: str, duration_s: float) -> None:
        """Print one clause's line, and the reason below it where it did not pass; a log gets it at once."""
        reporter = self._reporter
        if reporter is None:
            return
        again = ""
        if reporter.currentfspath == _RUNNING:
            again, reporter.currentfspath = "\r", None
        self._begin_section(clause)
        reporter.write_line(f"{again}  {MARKS[outcome]} {_title(clause)} ({duration_s:.2f} s)", **_COLOURS[outcome])
        # Not `splitlines`: it ends a line at control characters too, and drops them.
        for line in message.split("\n") if message else ():
            reporter.write_line(f"      {line}")
        reporter.flush()

    def _begin_section(self, clause: Clause | None) -> None:
        phase = clause.phase if clause else "closure"
        if phase != self._phase:
            self._phase = phase
            self._reporter.write_line(_SECTIONS[phase], bold=True)

    def print_line(self, text: str) -> None:
        """Print one line between those of the clauses, at once."""
        if self._reporter is not None:
            self._reporter.write_line(on_one_line(text))
            self._reporter.flush()


class RolloutReporter(TerminalReporter):
    """The terminal of a rollout: its header and its closing block."""

    def __init__(self, session: Session) -> None:
        """Keep the session that the lines describe."""
        super().__init__(session.rollout.redactor.text)
        self._session = session

    def header(self, option: Any) -> list[str]:
        """Return the header: what, where, from which option, and what is switched off."""
        session, rollout = self._session, self._session.rollout
        source = "--activate" if option.activate else "--scenario" if option.scenario else "default"
        target = "--gateway" if option.gateway else "--target" if option.target else "from the scenario"
        where = "started on demand" if session.embedded else target
        ruled = f" of {option.policy} (--policy)" if option.policy else ""
        lines = [
            f"rollout: {rollout.id} ({'continued' if session.resumed else 'new'})",
            f"scenario: {rollout.scenario.source} ({source}), SHA-256 {rollout.digest[:12]}",
            f"change: {rollout.change_text}, class {rollout.scenario.change_class}",
            f"target: {rollout.target.name} at {rollout.target.url} ({where}), policy {rollout.policy.name}{ruled}",
            *rollout.origin.header_lines(),
            f"phases: {', '.join(session.phases)}; distribution is off: one session is one rollout",
            f"evidence: {rollout.folder}",
        ]
        if session.writes_evidence:
            lines.append("every check has passed already; this run writes the evidence that could not be written then")
        return lines + session.remarks

    def summary(self, reporter: Any, closure: Closure, code: int, trouble: str | None) -> None:
        """Print the verdict, why, what was not run, where the evidence is, and the next step."""
        rollout, record = self._session.rollout, self._session.rollout.last_known_record()
        colour = _COLOURS["owed"] if closure.undocumented else _GOOD.get(closure.decision, _BAD)
        reporter.write_sep("=", f"{headline(closure)}: {rollout.change_text} on {rollout.target.name}", **colour)
        reporter.write_line(f"why: {closure.why}")
        for line in _undecided(record):
            reporter.write_line(line)
        for clause, each in record.excepted.items():
            reporter.write_line(f"{clause} {each.message}", **_COLOURS[each.outcome])
        for row in closure.rollback:
            reporter.write_line(f"  {row['at']} {row['clause']} {row['outcome']}: {row['seen']}")
        for missing in closure.undocumented:
            reporter.write_line(f"NOT DOCUMENTED: {missing}", **_BAD)
        say_not_run(reporter, {clause: why for clause, why in closure.not_passed.items() if why.startswith("NOT RUN")})
        left_out = [id_ for id_ in self._session.left_out if CLAUSES[id_].phase in self._session.phases]
        if left_out:
            reporter.write_line(f"not owed: {', '.join(left_out)}")
        if spare := unused(rollout.scenario.waivers, rollout.last_known_record()):
            reporter.write_line(f"waivers that were not needed: {', '.join(spare)}")
        if trouble:
            reporter.write_line(f"trouble: {trouble}", **_BAD)
        for command in closure.commands:
            reporter.write_line(f"  {command}", **_BAD)
        if closure.next_step:
            reporter.write_line(f"next: {closure.next_step}")
        reporter.write_line(f"evidence: {rollout.folder}")
        name = "PASSED" if code == 0 and closure.decision is not Decision.KEPT else name_of(code)
        reporter.write_line(f"exit code: {code} {name}")

    def late_problems(self, reporter: Any, late: Iterable[str]) -> None:
        """Print what of a kept change's evidence could not be written after the closing block."""
        for each in late:
            reporter.write_line(f"EVIDENCE MISSING: {each}", **_BAD)

    def evidence_owed(self, reporter: Any, code: int) -> None:
        """Print what the policy makes of missing evidence: the next step, and the exit code that replaces the first."""
        reporter.write_line(f"next: make room, then pytest -m {PHASES[-1]}: it writes the evidence, and no check runs")
        reporter.write_line(f"exit code: {code} {name_of(code)}")


def _undecided(record: RolloutRecord) -> Iterator[str]:
    """Yield what was inconclusive to the window's end, and what the window could tell."""
    if unfinished(record) and (words := describe_ending(record)):
        yield f"ended: {words}"
    if words := what_it_could_tell(record):
        yield f"it could tell: {words}"


def headline(closure: Closure) -> str:
    """Return the verdict, and whether evidence of it is missing."""
    names_it = closure.word == EVIDENCE_OWED or not closure.undocumented
    return closure.word if names_it else f"{closure.word}, EVIDENCE MISSING"


def _title(clause: Clause | None) -> str:
    return str(clause) if clause else "closure"


def say_not_run(reporter: Any, not_run: Mapping[str, str]) -> None:
    """Print which clauses were not run, and which options left them out; `not_run` is clause id -> why."""
    if not_run:
        reporter.write_line(f"not run: {', '.join(not_run)}")
    for why in dict.fromkeys(why for why in not_run.values() if LEFT_OUT in why):
        reporter.write_line(f"  {why}")


def name_of(code: int) -> str:
    """Return an exit code's name."""
    return next((known.name for known in ExitCode if known == code), "pytest's own")
