"""pytest's hooks, and nothing else: they delegate to the run, its evidence, terminal and session end.

Those of `RunHooks` are registered only in a session that runs checks.
"""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from rollout.config.project_file import CLOSURE
from rollout.core.clauses import CLAUSES, LATER_PHASES, ORDER, PHASES
from rollout.plugin import gc_tuning, selection, unchecked_sessions
from rollout.plugin.check_outcomes import apply_waiver, record_outcome
from rollout.plugin.command_line import add_options, is_rollout
from rollout.plugin.run import SuiteRun
from rollout.plugin.session_end import SESSION_END, SessionEnd
from rollout.plugin.session_start import open_run

pytest_plugins = ["rollout.plugin.fixtures"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of a run."""
    add_options(parser)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Open the rollout before anything is collected, so that bad input is refused before the first request.

    Raises:
        pytest.UsageError: it is refused, or no check could be judged in this process.
    """
    config.addinivalue_line("markers", "clause(id): the clause of the procedure that this check decides")
    config.addinivalue_line("markers", "closure: the decision, kept or rolled back; runs last, whatever was selected")
    for phase in (*PHASES, *LATER_PHASES):
        config.addinivalue_line("markers", f"{phase}: checks of the {phase} phase")
    try:
        if is_rollout(config):
            open_run(config)
            config.pluginmanager.register(RunHooks(config.stash[SESSION_END]))
    finally:
        gc_tuning.is_over()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> Generator[None, int, int]:
    """Answer with the run's exit code, whatever other plugins raise while the session ends.

    What wraps this plugin's own `pytest_sessionfinish`, or raises in another hook after it, never reaches that.
    """
    selection.select_checks(config)
    display = unchecked_sessions.announce_display(config)
    trouble: BaseException | None = None
    status = int(pytest.ExitCode.INTERNAL_ERROR)
    try:
        status = yield
    except BaseException as error:
        trouble = error
        if isinstance(error, pytest.UsageError) or (
            SESSION_END not in config.stash and not unchecked_sessions.is_exit_0(error)
        ):
            raise
        status = 0
    end = config.stash.get(SESSION_END, None)
    if end is None:
        return unchecked_sessions.exit_code_of(config, display, int(status))
    if trouble is not None:
        end.break_off(config, trouble)
    # Another plugin may have answered in the session's place.
    end.end_late(config)
    return end.run.code


def pytest_report_header(config: pytest.Config) -> str | None:
    """Print how checks are run, where a project that adopts the suite runs its own tests."""
    if SESSION_END in config.stash or hasattr(config, "workerinput") or not selection.has_packaged_checks(config):
        return None
    return "rollout: no check is run; name a phase (-m precheck) or a scenario (--scenario=FILE)"


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print that a list of the checks vouches for none of them."""
    if config.option.collectonly and unchecked_sessions.is_typed_display(config):
        terminalreporter.write_line("NOTHING CHECKED: --collect-only lists the checks, and vouches for none of them")


class RunHooks:
    """The hooks of a session that runs checks."""

    def __init__(self, end: SessionEnd) -> None:
        """Delegate to the run that `end` ends."""
        self._end, self._run = end, end.run

    def pytest_report_header(self, config: pytest.Config) -> list[str]:
        """Print what will be changed, where, and where the options came from."""
        return self._run.header(config.option)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Handle signals (safety rule 6), and take over pytest's terminal reporter."""
        self._run.stop_requests.handle_signals()
        reporter: Any = session.config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            self._run.terminal.attach(reporter)

    @pytest.hookimpl(wrapper=True)
    def pytest_collection_modifyitems(
        self, session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
    ) -> Generator[None, None, None]:
        """Order the checks as the procedure does, and put the closure last: after deselection, whatever was chosen."""
        run = self._run
        items[:] = [item for item in items if "closure" not in item.keywords]
        yield
        items[:] = [item for item in items if _clause(item) not in run.excluded_clauses and not run.only_closes]
        items.sort(key=lambda item: ORDER.get(_clause(item), len(ORDER)))
        options = unchecked_sessions.left_out_by(config)
        run.left_out_by = unchecked_sessions.left_out_clauses(run.required_clauses, set(map(_clause, items)), options)
        if run.closes:
            module = pytest.Module.from_parent(session, path=selection.checks_folder(config) / CLOSURE)
            items.extend(item for item in module.collect() if isinstance(item, pytest.Item))
        for item in items:
            _label(item, run)

    def pytest_ignore_collect(self, collection_path: Path, config: pytest.Config) -> bool | None:
        """Ignore the checks of other kinds of run: they are neither loaded nor part of this one."""
        if collection_path.parent != selection.checks_folder(config):
            return None
        return self._run.ignores_folder(collection_path.name) or None

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Show which check is running; the window shows itself."""
        if "window" not in getattr(item, "fixturenames", ()):
            self._run.terminal.begin(CLAUSES.get(_clause(item)))
        return (yield)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Skip a check that must not run any more, with the reason, and fail the first one of a run that is refused."""
        clause = CLAUSES.get(_clause(item))
        self._run.start_phase(clause)
        reason = self._run.skip_reason(clause)
        if reason:
            pytest.skip(reason)
        self._run.check_admission(clause)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self) -> Generator[None, None, None]:
        """Attach the exchanges with the gateway to the check that caused them."""
        try:
            yield
        finally:
            self._run.evidence.attach_exchanges()

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Put into one line why a check failed, and record its outcome in the journal."""
        clause = CLAUSES.get(_clause(item))
        apply_waiver(self._run, clause, call)
        report = yield
        record_outcome(self._run, clause, report, call.excinfo)
        return report

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        """Silence pytest's dots: the run's terminal prints a line a clause."""
        return self._run.terminal.status(report) if report.when in ("setup", "call") else None

    @pytest.hookimpl(wrapper=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, None, None]:
        """Decide how the run ends, whatever happened before, and answer with its exit code."""
        # Without its journal this step fails; the other plugins still end their session.
        self._end.attempt(self._run.end)
        try:
            yield
        except BaseException as error:  # noqa: BLE001 - `pytest.exit` of another plugin would set the exit code
            self._end.record_error(error)
        self._end.write_evidence(session.config.option)
        session.exitstatus = self._end.decide_exit_code(int(session.exitstatus))

    @pytest.hookimpl(tryfirst=True, optionalhook=True)
    def pytest_timeout_set_timer(self, item: pytest.Item, settings: Any) -> bool:
        """Replace pytest-timeout's methods: one ends the process, the other cuts a rollback."""
        self._run.stop_requests.start_time_limit(_clause(item) or item.name, settings.timeout)
        return True

    @pytest.hookimpl(tryfirst=True, optionalhook=True)
    def pytest_timeout_cancel_timer(self) -> bool:
        """End the time limit."""
        self._run.stop_requests.cancel_time_limit()
        return True

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Print the verdict first, then why, then what to do."""
        self._end.print_summary(terminalreporter)

    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(self, config: pytest.Config) -> None:
        """Close the gateway and the journal, and restore the signals."""
        self._end.end_late(config)
        self._end.close()


def _clause(item: pytest.Item) -> str:
    marker = item.get_closest_marker("clause")
    return str(marker.args[0]) if marker else ""


def _label(item: pytest.Item, run: SuiteRun) -> None:
    clause, evidence = CLAUSES.get(_clause(item)), run.evidence
    for kind, value in evidence.labels(clause):
        item.add_marker(pytest.mark.allure_label(value, label_type=kind))
    for link, name in evidence.links:
        item.add_marker(pytest.mark.allure_link(link, link_type="issue", name=name))
    item.obj.__allure_display_name__ = evidence.title(clause)  # type: ignore[attr-defined]
