"""pytest's face of a rollout: hooks only. What they decide is decided elsewhere, without pytest."""

from __future__ import annotations

import os
import signal
from collections.abc import Generator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from _pytest.mark.expression import Expression

from rollout.core.assertions import without_assertions
from rollout.core.clauses import CLAUSES, LATER_PHASES, ORDER, PHASES
from rollout.core.clock import StopFlag, SystemClock
from rollout.core.errors import RolloutError
from rollout.core.options import Options
from rollout.core.units import duration
from rollout.core.visible import for_terminal
from rollout.engine.session import open_session
from rollout.plugin import gc_tuning, modes, unchecked_sessions
from rollout.plugin.folders import prove_folders
from rollout.plugin.rollout_run import RolloutRun
from rollout.plugin.run import SUITE_RUN, SuiteRun
from rollout.plugin.terminal_text import refuse_copies

pytest_plugins = ["rollout.plugin.fixtures"]

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of a rollout."""
    group = parser.getgroup("rollout", "change an LLM gateway's provider, watch it, keep it or take it back")
    group.addoption("--scenario", metavar="FILE", help="what to change (default: scenarios/quickstart.yaml)")
    group.addoption("--activate", metavar="PROVIDER:MODEL", help="a scenario from the command line, e.g. openai:gpt-4o")
    group.addoption("--ticket", metavar="ID", help="the ticket that documents the change")
    group.addoption("--target", metavar="NAME", help="a target of targets.yaml")
    group.addoption("--gateway", metavar="URL", help="the gateway's base URL; one that no target lists is production")
    group.addoption("--policy", metavar="FILE", help="the policy (default: policy.yaml beside the scenario)")
    group.addoption(
        "--journal", metavar="URL", help="where the rollout's state lives (default: REPORTS/journal.sqlite)"
    )
    group.addoption("--reports", metavar="DIR", help="where evidence goes (default: reports)")
    group.addoption(
        "--for",
        dest="watch_for",
        metavar="DURATION",
        help="watch for so long, e.g. 10m, then exit 12; the next `pytest -m monitor` goes on with the window",
    )
    modes.add_options(group)


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
        if _is_rollout(config):
            _open(config)
    finally:
        gc_tuning.is_over()


def _open(config: pytest.Config) -> None:
    if why := without_assertions():
        raise pytest.UsageError(why)
    refuse_copies(config.option)
    if not hasattr(config.option, "allure_report_dir"):
        raise pytest.UsageError("a rollout leaves evidence, which Allure writes: run it without -p no:allure_pytest")
    prove_folders(config.option, config.invocation_params.dir, _reports(config))
    kind = modes.wanted(config.option, partial(_selects, config.option.markexpr))
    if kind is not None:
        config.pluginmanager.import_plugin("rollout.plugin.review_fixtures")
        _begin(config, modes.open_suite_run(kind, config, _reports(config)))
        return
    options = _options(config)
    try:
        session = open_session(options, clock=SystemClock(), flag=StopFlag(), env=os.environ)
    except RolloutError as error:
        raise pytest.UsageError(for_terminal(str(error))) from None
    _begin(config, RolloutRun(session, os.environ))


def _is_rollout(config: pytest.Config) -> bool:
    """Tell whether this session runs checks; the suite's own tests share the project."""
    if hasattr(config, "workerinput"):
        return False
    if why := unchecked_sessions.diverted(config):
        raise pytest.UsageError(why)
    return unchecked_sessions.names_checks(config) and unchecked_sessions.shown(config) is None


def _options(config: pytest.Config) -> Options:
    option, root, here = config.option, config.rootpath, config.invocation_params.dir
    reports = _reports(config)
    scenario = here / option.scenario if option.scenario else None
    if scenario is None and not option.activate:
        scenario = root / "scenarios" / "quickstart.yaml"
    phases = [phase for phase in PHASES if _selects(option.markexpr, phase)]
    if not phases:
        others = " and ".join(LATER_PHASES)
        raise pytest.UsageError(
            f"-m {option.markexpr!r} selects no phase; the phases are {', '.join(PHASES)}, and apart from them {others}"
        )
    between = PHASES[PHASES.index(phases[0]) : PHASES.index(phases[-1])]
    passed_over = [phase for phase in between if phase not in phases]
    if passed_over:
        raise pytest.UsageError(
            f"-m {option.markexpr!r} leaves {', '.join(passed_over)} out of the middle; no phase can be passed over"
        )
    return Options(
        scenario=scenario,
        activate=option.activate,
        ticket=option.ticket,
        target=option.target,
        gateway=option.gateway,
        journal=option.journal or f"sqlite:///{reports / 'journal.sqlite'}",
        reports=reports,
        scenarios=root / "scenarios",
        phases=tuple(phases),
        for_s=_watch_for(option.watch_for, phases),
        policy=here / option.policy if option.policy else None,
    )


def _reports(config: pytest.Config) -> Path:
    asked = config.option.reports
    return (config.invocation_params.dir / asked if asked else config.rootpath / "reports").absolute()


def _watch_for(asked: str | None, phases: list[str]) -> float | None:
    if asked is None:
        return None
    if phases[-1] != PHASES[-1]:
        raise pytest.UsageError(f"--for says how long to watch, and -m selects no {PHASES[-1]} phase; leave it out")
    try:
        seconds = duration(asked)
    except ValueError as error:
        raise pytest.UsageError(for_terminal(f"--for: {error}")) from None
    if seconds <= 0:
        raise pytest.UsageError(f"--for: {asked} is no time to watch; write a duration such as 10m")
    return seconds


def _selects(markexpr: str, phase: str) -> bool:
    """Tell whether ``-m`` asks for the phase: the plan follows from this, not from what was collected."""

    def carries(name: str, /, **_: str | int | bool | None) -> bool:
        return name in (phase, "clause")

    return not markexpr or Expression.compile(markexpr).evaluate(carries)


def _begin(config: pytest.Config, occasion: SuiteRun) -> None:
    """Point evidence at the occasion's folder, and switch off what would break a rollout."""
    config.stash[SUITE_RUN] = occasion
    option, folder = config.option, occasion.folder
    option.allure_report_dir = option.allure_report_dir or str(folder / "allure-results" / occasion.run)
    occasion.results = Path(option.allure_report_dir)
    option.attach_capture = False
    # Every reason has its line in the listing; a second copy below it hides the verdict.
    option.tbstyle, option.reportchars = "no", ""
    if occasion.junit is not None:
        option.xmlpath = getattr(option, "xmlpath", None) or str(folder / occasion.junit)
    # A second worker would take its own "backup" after the change: one session, one rollout.
    option.dist, option.tx, option.numprocesses = "no", [], None


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Say what will be changed, where, and where the options came from."""
    occasion = config.stash.get(SUITE_RUN, None)
    return [] if occasion is None else occasion.header(config.option)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Turn signals into a sticky flag (safety rule 6), and let the listing be ours."""
    occasion = session.config.stash.get(SUITE_RUN, None)
    if occasion is None:
        return
    for number in SIGNALS:
        occasion.former[number] = signal.signal(number, occasion.on_signal)
    reporter: Any = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None:
        occasion.attach_terminal(reporter)


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(
    session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
) -> Generator[None, None, None]:
    """Order the checks as the procedure does, and put the closure last: after deselection, whatever was chosen."""
    occasion = config.stash.get(SUITE_RUN, None)
    if occasion is None:
        yield
        return
    items[:] = [item for item in items if "closure" not in item.keywords]
    yield
    items[:] = [item for item in items if _clause(item) not in occasion.excluded_clauses and not occasion.only_closes]
    items.sort(key=lambda item: ORDER.get(_clause(item), len(ORDER)))
    occasion.collected({_clause(item) for item in items}, unchecked_sessions.left_out_by(config))
    if occasion.closes:
        closure = config.rootpath / "checks" / "closure" / "test_closure.py"
        module = pytest.Module.from_parent(session, path=closure)
        items.extend(item for item in module.collect() if isinstance(item, pytest.Item))
    for item in items:
        _label(item, occasion)


@pytest.hookimpl
def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Pass over the checks of other occasions: they are neither loaded nor part of this one."""
    occasion = config.stash.get(SUITE_RUN, None)
    if occasion is None or collection_path.parent != config.rootpath / "checks":
        return None
    return occasion.ignores_folder(collection_path.name) or None


def _clause(item: pytest.Item) -> str:
    marker = item.get_closest_marker("clause")
    return str(marker.args[0]) if marker else ""


def _label(item: pytest.Item, occasion: SuiteRun) -> None:
    clause = CLAUSES.get(_clause(item))
    for kind, value in occasion.labels(clause):
        item.add_marker(pytest.mark.allure_label(value, label_type=kind))
    for link, name in occasion.links():
        item.add_marker(pytest.mark.allure_link(link, link_type="issue", name=name))
    item.obj.__allure_display_name__ = occasion.title(clause)  # type: ignore[attr-defined]


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Stop before a check that must not run any more, and say why."""
    occasion = item.config.stash.get(SUITE_RUN, None)
    if occasion is None:
        return
    clause = CLAUSES.get(_clause(item))
    occasion.start_phase(clause)
    reason = occasion.skip_reason(clause)
    if reason:
        pytest.skip(reason)
    occasion.check_admission(clause)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """Attach what was said to the gateway to the check that made it be said."""
    occasion = item.config.stash.get(SUITE_RUN, None)
    try:
        yield
    finally:
        if occasion is not None:
            occasion.attach_exchanges()


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Say in one line why a check failed, and record its outcome in the journal."""
    occasion, clause = item.config.stash.get(SUITE_RUN, None), CLAUSES.get(_clause(item))
    if occasion is not None:
        occasion.apply_waiver(clause, call)
    report = yield
    if occasion is not None:
        occasion.conclude(clause, report, call.excinfo)
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_report_teststatus(report: pytest.TestReport, config: pytest.Config) -> tuple[str, str, str] | None:
    """Silence pytest's dots: `Progress` prints a line a clause."""
    occasion = config.stash.get(SUITE_RUN, None)
    if occasion is None or report.when not in ("setup", "call"):
        return None
    return occasion.status(report)


@pytest.hookimpl(wrapper=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, None, None]:
    """Close what is still open, whatever happened, and answer with the exit code that the journal tells."""
    occasion = session.config.stash.get(SUITE_RUN, None)
    if occasion is None:
        yield
        return
    # A journal that is gone: the other plugins still end their session.
    occasion.attempt(occasion.end)
    try:
        yield
    except BaseException as error:  # noqa: BLE001 - `pytest.exit` of another plugin would set the exit code
        occasion.record_error(error)
    _leave_evidence(session.config, occasion)
    session.exitstatus = occasion.exit_code(int(session.exitstatus))


def _leave_evidence(config: pytest.Config, occasion: SuiteRun) -> None:
    """Redact what pytest has written by itself, and write what Allure shows beside it; neither waits for the other."""
    occasion.attempt(lambda: occasion.redact(getattr(config.option, "xmlpath", None)))
    occasion.attempt(lambda: occasion.write_environment(config.option.allure_report_dir))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> Generator[None, int, int]:
    """Answer with the occasion's exit code, whatever other plugins raise while the session ends.

    What wraps this plugin's own `pytest_sessionfinish`, or raises in another hook after it, never reaches that.
    """
    shown = unchecked_sessions.announced(config)
    trouble: BaseException | None = None
    status = int(pytest.ExitCode.INTERNAL_ERROR)
    try:
        status = yield
    except BaseException as error:
        trouble = error
        if isinstance(error, pytest.UsageError) or (
            SUITE_RUN not in config.stash and not unchecked_sessions.is_exit_0(error)
        ):
            raise
        status = 0
    occasion = config.stash.get(SUITE_RUN, None)
    if occasion is None:
        return unchecked_sessions.answer(config, shown, int(status))
    if trouble is not None:
        _break_off(config, occasion, trouble)
    # Another plugin may have answered in the session's place.
    _end_late(config, occasion)
    return occasion.answer


def _break_off(config: pytest.Config, occasion: SuiteRun, trouble: BaseException) -> None:
    """Go on with the end of a session that another plugin has broken off."""
    occasion.record_error(trouble)
    _end_late(config, occasion)
    _sum_up(config, occasion)
    occasion.close()


def _end_late(config: pytest.Config, occasion: SuiteRun) -> None:
    """End an occasion that no `pytest_sessionfinish` has ended."""
    if occasion.is_answered:
        if not occasion.is_summed_up:
            # Of an internal error pytest prints no summary.
            _sum_up(config, occasion)
        return
    occasion.attempt(occasion.end)
    _leave_evidence(config, occasion)
    session = config.pluginmanager.get_plugin("session")
    occasion.exit_code(int(getattr(session, "exitstatus", pytest.ExitCode.INTERNAL_ERROR)))
    _sum_up(config, occasion)


def _sum_up(config: pytest.Config, occasion: SuiteRun) -> None:
    reporter: Any = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None:
        occasion.attempt(lambda: occasion.summarise_once(reporter))


@pytest.hookimpl(tryfirst=True, optionalhook=True)
def pytest_timeout_set_timer(item: pytest.Item, settings: Any) -> bool | None:
    """Take the place of pytest-timeout's methods: one ends the process, the other cuts a rollback."""
    occasion = item.config.stash.get(SUITE_RUN, None)
    if occasion is None:
        return None
    occasion.limit(_clause(item) or item.name, settings.timeout)
    return True


@pytest.hookimpl(tryfirst=True, optionalhook=True)
def pytest_timeout_cancel_timer(item: pytest.Item) -> bool | None:
    """End the time limit."""
    occasion = item.config.stash.get(SUITE_RUN, None)
    if occasion is None:
        return None
    occasion.unlimit()
    return True


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Say the verdict first, then why, then what to do."""
    occasion = config.stash.get(SUITE_RUN, None)
    if occasion is not None:
        occasion.summarise_once(terminalreporter)
    elif config.option.collectonly and unchecked_sessions.is_release_or_review(config):
        terminalreporter.write_line("NOTHING CHECKED: --collect-only lists the checks, and vouches for none of them")


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Let go of the gateway, the journal and the signals."""
    occasion = config.stash.get(SUITE_RUN, None)
    if occasion is not None:
        _end_late(config, occasion)
        occasion.close()
