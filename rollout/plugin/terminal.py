"""What the terminal shows: the header, one line a clause, and the closing block."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rollout.approvals.waivers import unused
from rollout.core.clauses import CLAUSES, PHASES, Clause
from rollout.core.errors import ExitCode
from rollout.engine.closure import Closure
from rollout.engine.session import Session
from rollout.journal.record import EVIDENCE_OWED, Decision

LEFT_OUT = "left out by "
"""Begins, after what every clause begins with that was not run, why nobody has collected its check."""

MARKS = {"passed": "✓", "failed": "✗", "not run": "·", "skipped": "-", "waived": "!", "owed": "!"}
_GOOD = {Decision.KEPT: {"green": True}, None: {"green": True}, Decision.NOTHING_APPLIED: {"yellow": True}}
_BAD: dict[str, bool] = {"red": True, "bold": True}
_COLOURS = {
    "passed": {"green": True},
    "failed": {"red": True},
    "not run": {"yellow": True},
    "skipped": {"yellow": True},
    "waived": {"yellow": True, "bold": True},
    "owed": {"yellow": True, "bold": True},
}


_SECTIONS = {phase: f"{number} {phase}" for number, phase in enumerate((*PHASES, "closure", "review"), start=1)}
_SECTIONS["release"] = "release"


class TerminalReporter:
    """A line a clause, through pytest's terminal reporter, which knows whether there is a terminal and colour."""

    def __init__(self) -> None:
        """Begin without a reporter: then nothing is printed."""
        self._reporter: Any = None
        self._phase: str | None = None

    def attach(self, reporter: Any) -> None:
        """Take the place of pytest's file names, dots and percentages."""
        self._reporter = reporter
        reporter.showfspath = False
        reporter._show_progress_info = False  # noqa: SLF001 - pytest has no public switch for it

    def row(self, clause: Clause | None, outcome: str, message: str, duration_s: float) -> None:
        """Print one clause's line, and the reason below it where it did not pass."""
        if self._reporter is None:
            return
        phase = clause.phase if clause else "closure"
        if phase != self._phase:
            self._phase = phase
            self._reporter.write_line(_SECTIONS[phase], bold=True)
        title = str(clause) if clause else "closure"
        self._reporter.write_line(f"  {MARKS[outcome]} {title} ({duration_s:.2f} s)", **_COLOURS[outcome])
        # Not `splitlines`, which takes what a terminal obeys for the end of a line, and drops it.
        for line in message.split("\n") if message else ():
            self._reporter.write_line(f"      {line}")


class RolloutReporter(TerminalReporter):
    """What a rollout shows besides: its header and its closing block."""

    def __init__(self, session: Session) -> None:
        """Keep what the lines speak of."""
        super().__init__()
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
            f"change: {rollout.what}, class {rollout.scenario.change_class}",
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
        rollout = self._session.rollout
        colour = _COLOURS["owed"] if closure.undocumented else _GOOD.get(closure.decision, _BAD)
        reporter.write_sep("=", f"{headline(closure)}: {rollout.what} on {rollout.target.name}", **colour)
        reporter.write_line(f"why: {closure.why}")
        for exception in rollout.last_known_record().exceptions:
            reporter.write_line(exception, **_COLOURS["waived"])
        for row in closure.rollback:
            reporter.write_line(f"  {row['at']} {row['clause']} {row['outcome']}: {row['seen']}")
        for missing in closure.undocumented:
            reporter.write_line(f"NOT DOCUMENTED: {missing}", **_BAD)
        not_run = {clause: why for clause, why in closure.not_passed.items() if why.startswith("NOT RUN")}
        say_not_run(reporter, not_run)
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


def headline(closure: Closure) -> str:
    """Return the verdict, and whether evidence of it is missing."""
    names_it = closure.word == EVIDENCE_OWED or not closure.undocumented
    return closure.word if names_it else f"{closure.word}, EVIDENCE MISSING"


def say_not_run(reporter: Any, not_run: Mapping[str, str]) -> None:
    """Print which clauses were not run, and which options left them out; `not_run` is clause id -> why."""
    if not_run:
        reporter.write_line(f"not run: {', '.join(not_run)}")
    for why in dict.fromkeys(why for why in not_run.values() if LEFT_OUT in why):
        reporter.write_line(f"  {why}")


def name_of(code: int) -> str:
    """Return an exit code's name."""
    try:
        return ExitCode(code).name
    except ValueError:
        return "pytest's own"
