"""The start of a run's pytest session: everything is validated before anything is collected."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import pytest

from rollout.core.assertions import without_assertions
from rollout.core.clock import StopFlag, SystemClock
from rollout.core.errors import RolloutError
from rollout.core.options import Options
from rollout.core.visible import for_terminal
from rollout.engine.session import open_session
from rollout.plugin import modes
from rollout.plugin.command_line import reports_folder, rollout_options, selects_phase
from rollout.plugin.folders import prove_folders
from rollout.plugin.rollout_run import RolloutRun
from rollout.plugin.run import SUITE_RUN, SuiteRun
from rollout.plugin.selection import project_of
from rollout.plugin.session_end import SESSION_END, SessionEnd
from rollout.plugin.terminal_text import refuse_copies


def open_run(config: pytest.Config) -> None:
    """Validate everything, and open the rollout, the review or the release run that the command line asks for.

    Raises:
        pytest.UsageError: it is refused, or no check could be judged in this process.
    """
    if why := without_assertions():
        raise pytest.UsageError(why)
    refuse_copies(config.option)
    if not hasattr(config.option, "allure_report_dir"):
        raise pytest.UsageError("a rollout leaves evidence, which Allure writes: run it without -p no:allure_pytest")
    try:
        project = project_of(config)
        reports = reports_folder(config, project)
        prove_folders(config.option, config.invocation_params.dir, reports)
        kind = modes.wanted(config.option, partial(selects_phase, config.option.markexpr))
        if kind is None:
            run = _open_rollout(rollout_options(config, project, reports))
        else:
            config.pluginmanager.import_plugin("rollout.plugin.review_fixtures")
            run = modes.open_suite_run(kind, config.option, project, reports)
    except RolloutError as error:
        raise pytest.UsageError(for_terminal(str(error))) from None
    _begin(config, run)


def _open_rollout(options: Options) -> SuiteRun:
    session = open_session(options, clock=SystemClock(), flag=StopFlag(), env=os.environ)
    return RolloutRun(session, os.environ)


def _begin(config: pytest.Config, run: SuiteRun) -> None:
    """Point evidence at the run's folder, and switch off what would break a rollout."""
    config.stash[SUITE_RUN], config.stash[SESSION_END] = run, SessionEnd(run)
    option, evidence = config.option, run.evidence
    option.allure_report_dir = option.allure_report_dir or str(evidence.folder / "allure-results" / evidence.run)
    evidence.results = Path(option.allure_report_dir)
    option.attach_capture = False
    # Every reason has a line below its clause; a second copy hides the verdict.
    option.tbstyle, option.reportchars = "no", ""
    if evidence.junit is not None:
        option.xmlpath = getattr(option, "xmlpath", None) or str(evidence.folder / evidence.junit)
    # A second worker would take its own "backup" after the change: one session, one rollout.
    option.dist, option.tx, option.numprocesses = "no", [], None
