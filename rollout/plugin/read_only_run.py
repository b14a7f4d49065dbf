"""A run that only reads: every check runs, whatever the outcome of the others, and the run passes or it does not."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from rollout.core.applicability import find_inapplicable
from rollout.core.clauses import Clause
from rollout.core.errors import ExitCode
from rollout.core.policy import Policy
from rollout.journal.record import NOT_APPLICABLE
from rollout.plugin.run import SuiteRun
from rollout.plugin.terminal import name_of, say_not_run
from rollout.reporting.allure import NOT_RUN


def find_inapplicable_checks(lacking: Mapping[str, str], policy: Policy) -> dict[str, str]:
    """Return clause id -> the message of a check that is not applicable, given what the gateway lacks -> why."""
    return {id_: f"{NOT_APPLICABLE}{why}" for id_, why in find_inapplicable(lacking, policy.required).items()}


def begun_with(word: str, reasons: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return clause id -> why, of those whose reason begins with a word, and of the others."""
    found = {id_: why for id_, why in reasons.items() if why.startswith(word)}
    return found, {id_: why for id_, why in reasons.items() if id_ not in found}


class ReadOnlyRun(SuiteRun):
    """One run of checks against a gateway on which nothing is changed.

    Attributes:
        kind: ``review`` or ``release``, the folder of its checks.
        subject: what is checked, described.
        outcomes: clause id -> its outcome and why.
    """

    kind: str
    subject: str

    def __init__(self, plan: Sequence[Clause], left_out: Mapping[str, str], **shared: Any) -> None:
        """Start before the first check.

        Args:
            plan: the clauses that must pass.
            left_out: clause id -> why it is not required.
            shared: what `SuiteRun` takes.
        """
        super().__init__(required_clauses=plan, **shared)
        self._left_out = left_out
        self.outcomes: dict[str, tuple[str, str]] = {}
        self._ended = False

    def ignores_folder(self, folder: str) -> bool:
        """Return whether the checks of this folder below ``checks/`` are those of other kinds of run."""
        return folder != self.kind

    def start_phase(self, clause: Clause | None) -> None:
        """Do nothing: there is one phase."""

    def skip_reason(self, clause: Clause | None) -> str | None:
        """Return why a check must not run any more; None if it may."""
        if clause is not None and clause.id in self._left_out:
            return self._left_out[clause.id]
        return f"{NOT_RUN}{self.stop.reason}" if self.stop else None

    def check_admission(self, clause: Clause | None) -> None:
        """Do nothing: what is refused is refused before the first check."""

    def problems(self) -> dict[str, str]:
        """Return every clause of the plan without a pass, and why."""
        never = f"{NOT_RUN}it was never reached"
        missing = {clause.id: ("not run", self.left_out_by.get(clause.id, never)) for clause in self.required_clauses}
        found = {id_: self.outcomes.get(id_, unseen) for id_, unseen in missing.items()}
        return {id_: why for id_, (outcome, why) in found.items() if outcome != "passed"}

    def end(self) -> None:
        """Record how it ends; once."""
        if not self._ended:
            self._ended = True
            self._record(self.problems())

    @abstractmethod
    def _record(self, problems: Mapping[str, str]) -> None:
        """Record how it ends."""

    @abstractmethod
    def _next_step(self, problems: Mapping[str, str]) -> str:
        """Return what the operator does now; empty where nothing is left to do."""

    @abstractmethod
    def _write_documents(self, reporter: Any) -> None:
        """Write what follows the verdict, the report first, and print where it is."""

    def record_outcome(
        self,
        clause: Clause,
        outcome: str,
        message: str,
        *,
        took_s: float,  # noqa: ARG002 - for the journal, which a release run does not have
        error: BaseException | None,  # noqa: ARG002 - its message suffices
    ) -> None:
        """Record a check's outcome."""
        self.outcomes[clause.id] = (outcome, message)

    def decide_exit_code(self, status: int) -> int:
        """Return the exit code of the process; `status` is pytest's own exit code."""
        self.end()
        if self.stop:
            return ExitCode.INTERRUPTED
        return ExitCode.CHECK_FAILED if self.problems() or self.error else status

    @property
    def passed(self) -> bool:
        """Whether every clause of the plan passed, and nothing failed after them."""
        return not self.problems() and not self.error

    @property
    def word(self) -> str:
        """The verdict, the first words of the closing block."""
        return f"{self.kind.upper()} {'PASSED' if self.passed else 'NOT PASSED'}"

    def summarise(self, reporter: Any) -> None:
        """Print the closing block, the verdict first, and build the report after it."""
        problems = self.problems()
        reporter.write_sep("=", f"{self.word}: {self.subject}", **({"green": True} if self.passed else {"red": True}))
        not_run, failed = begun_with(NOT_RUN, problems)
        for clause, why in failed.items():
            reporter.write_line(f"why: {clause}: {why}")
        say_not_run(reporter, not_run)
        inapplicable, spared = begun_with(NOT_APPLICABLE, self._left_out)
        for clause, why in inapplicable.items():
            reporter.write_line(f"{clause} {why}")
        if spared:
            reporter.write_line(f"not owed: {', '.join(spared)}")
        if self.error:
            reporter.write_line(f"trouble: {self.error}", red=True, bold=True)
        if step := self._next_step(problems):
            reporter.write_line(f"next: {step}")
        reporter.write_line(f"evidence: {self.evidence.folder}")
        reporter.write_line(f"exit code: {self.code} {'PASSED' if self.code == 0 else name_of(self.code)}")
        self._write_documents(reporter)
