"""A pytest run that checks a gateway: a rollout, its review, or the check before a release.

`SuiteRun` states what each kind of run decides. What all kinds share is in its collaborators: the evidence
(`rollout.plugin.evidence`), the terminal (`rollout.plugin.terminal`), the requests to stop
(`rollout.plugin.stop_requests`), the outcome of a check (`rollout.plugin.check_outcomes`) and the end of the session
(`rollout.plugin.session_end`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from rollout.core.clauses import Clause
from rollout.core.clock import StopFlag
from rollout.core.errors import ExitCode
from rollout.plugin.check_durations import CheckDurations
from rollout.plugin.evidence import RunEvidence
from rollout.plugin.stop_requests import StopRequests
from rollout.plugin.terminal import TerminalReporter


class SuiteRun(ABC):
    """One pytest run that checks a gateway; its methods are what each kind of run decides.

    Attributes:
        evidence: its evidence.
        terminal: its terminal output.
        stop: set when a signal or a time limit asks the run to stop.
        stop_requests: sets it.
        env: the environment variables, for tokens and channels.
        durations: how long the running check takes.
        required_clauses: the clauses that must pass in this run.
        left_out_by: the id of a required clause that has no check in this session -> the options that left it out.
        code: the exit code of the process.
        error: what failed after the decision, for the closing block; None if nothing did.
        closes: whether its last row is the closure: kept or rolled back.
        only_closes: whether its closure is all that runs.
        excluded_clauses: the ids of clauses whose checks are no part of it, and not shown.
    """

    closes = only_closes = False
    excluded_clauses: frozenset[str] = frozenset()

    def __init__(
        self,
        *,
        evidence: RunEvidence,
        terminal: TerminalReporter,
        stop: StopFlag,
        env: Mapping[str, str],
        required_clauses: Sequence[Clause],
    ) -> None:
        """Start before the first check."""
        self.evidence, self.terminal, self.stop, self.env = evidence, terminal, stop, env
        self.stop_requests, self.durations = StopRequests(stop), CheckDurations()
        self.required_clauses = required_clauses
        self.left_out_by: dict[str, str] = {}
        self.code = int(ExitCode.CHECK_FAILED)
        self.error: str | None = None

    @abstractmethod
    def header(self, option: Any) -> list[str]:
        """Return the header's lines; `option` are pytest's options."""

    # Which checks run

    @abstractmethod
    def ignores_folder(self, folder: str) -> bool:
        """Return whether the checks of this folder below ``checks/`` are those of other kinds of run."""

    @abstractmethod
    def start_phase(self, clause: Clause | None) -> None:
        """Note the phase that is about to run; None stands for the closure, here and below."""

    @abstractmethod
    def skip_reason(self, clause: Clause | None) -> str | None:
        """Return why a check must not run any more; None if it may."""

    @abstractmethod
    def check_admission(self, clause: Clause | None) -> None:
        """Raise why this run may not go on, before a check.

        Raises:
            RolloutError: the refusal.
        """

    # What their outcomes mean

    def judge_failure(self, clause: Clause, error: BaseException, message: str) -> tuple[bool, str]:  # noqa: ARG002
        """Return whether a waiver or a pending approval covers a check that did not pass, and its message.

        Nothing covers it unless the kind of run knows of such.
        """
        return False, message

    @abstractmethod
    def record_outcome(
        self, clause: Clause, outcome: str, message: str, *, took_s: float, error: BaseException | None
    ) -> None:
        """Record a check's outcome; `error` is what it raised, None where it raised nothing."""

    # How the run ends

    @abstractmethod
    def end(self) -> None:
        """Decide how the run ends; once, whichever hook comes first."""

    @abstractmethod
    def decide_exit_code(self, status: int) -> int:
        """Return the exit code of the process; `status` is pytest's own exit code."""

    @abstractmethod
    def summarise(self, reporter: Any) -> None:
        """Print the closing block, the verdict first."""

    @abstractmethod
    def close(self) -> None:
        """Close the gateway and the journal of this run."""


def describe_error(error: BaseException) -> str:
    """Return an error's type and text."""
    return f"{type(error).__name__}: {error}"


SUITE_RUN = pytest.StashKey[SuiteRun]()
"""Where a pytest session keeps its run; absent in sessions that run no checks."""
