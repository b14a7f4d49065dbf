"""The end of a run's pytest session: the decision, the evidence, the exit code, the closing block; each of them once.

Another plugin may end the session early, or raise while it ends. Every step is done nevertheless, and none of their
errors replaces the exit code.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest

from rollout.core.streams import quiet
from rollout.core.visible import for_terminal
from rollout.plugin.run import SuiteRun, describe_error
from rollout.plugin.terminal_text import OneLine


class SessionEnd:
    """The steps that end one run's session.

    Attributes:
        run: the run.
        is_answered: whether the exit code is decided.
    """

    def __init__(self, run: SuiteRun) -> None:
        """Keep the run that ends."""
        self.run = run
        self.is_answered = False
        self._is_summed_up = False
        self._is_closed = False

    def record_error(self, error: BaseException) -> None:
        """Keep what failed after the decision, for the closing block."""
        self.run.error = describe_error(error)

    def attempt(self, work: Callable[[], object]) -> None:
        """Do one step of the end; a step that fails is recorded, and the others are done all the same."""
        try:
            work()
        except Exception as error:  # noqa: BLE001 - on any error, the exit code remains the verdict's
            self.record_error(error)

    def write_evidence(self, option: Any) -> None:
        """Redact what pytest has written by itself, and write what Allure shows beside it; neither waits for the other.

        Args:
            option: pytest's options.
        """
        evidence = self.run.evidence
        self.attempt(lambda: evidence.redact_junit(getattr(option, "xmlpath", None)))
        self.attempt(lambda: evidence.write_environment(evidence.results))

    def decide_exit_code(self, status: int) -> int:
        """Return the exit code of the process (README.md, exit codes); `status` is pytest's own."""
        self.is_answered = True
        try:
            self.run.code = self.run.decide_exit_code(status)
        except Exception as error:  # noqa: BLE001 - a defect of the suite must not pass for a verdict
            self.record_error(error)
        return self.run.code

    def print_summary(self, reporter: Any) -> None:
        """Print the closing block; after it, only what failed since."""
        if self._is_summed_up:
            OneLine(reporter).write_line(f"trouble: {self.run.error}", red=True, bold=True)
            return
        self._is_summed_up = True
        self.run.summarise(OneLine(reporter))

    def end_late(self, config: pytest.Config) -> None:
        """End a run that no `pytest_sessionfinish` has ended."""
        if self.is_answered:
            if not self._is_summed_up:
                # Of an internal error pytest prints no summary.
                self._print_late(config)
            return
        self.attempt(self.run.end)
        self.write_evidence(config.option)
        session = config.pluginmanager.get_plugin("session")
        self.decide_exit_code(int(getattr(session, "exitstatus", pytest.ExitCode.INTERNAL_ERROR)))
        self._print_late(config)

    def break_off(self, config: pytest.Config, error: BaseException) -> None:
        """End a session that another plugin has broken off with `error`."""
        self.record_error(error)
        self.end_late(config)
        self._print_late(config)
        self.close()

    def _print_late(self, config: pytest.Config) -> None:
        reporter: Any = config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            self.attempt(lambda: self.print_summary(reporter))

    def close(self) -> None:
        """Close what the run holds, and restore the signals; once."""
        if self._is_closed:
            return
        self._is_closed = True
        run = self.run
        try:
            run.close()
        except Exception as error:  # noqa: BLE001 - the exit code is decided, and a traceback would replace it
            quiet(sys.stderr, run.evidence.redactor.text).write(for_terminal(f"rollout: {error}\n"))
        # Here, and not at exit, where a reader that has left would set the exit code.
        quiet(sys.stdout).flush()
        run.evidence.close()
        run.stop_requests.restore_signals()


SESSION_END = pytest.StashKey[SessionEnd]()
"""Where a pytest session keeps how its run ends; absent in sessions that run no checks."""
