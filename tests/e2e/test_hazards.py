"""pytest's own hazards: whatever option, plugin, signal or broken pipe ends a run, only a whole plan keeps a change.

What ends a run, row by row:

| event                                  | test                                                                   |
|----------------------------------------|------------------------------------------------------------------------|
| a check fails                          | `test_a_failed_check_rolls_back`                                       |
| SIGINT in a check body                 | `test_an_interrupted_check_is_never_shown_as_passed`                   |
| SIGINT during a fixture's setup        | `test_a_signal_in_the_window_rolls_back` (the window is a fixture)     |
| SIGINT during the finalizer            | `test_signals_during_the_rollback_change_nothing`                      |
| SIGTERM, SIGHUP                        | the same two                                                           |
| SIGKILL                                | `tests/engine/test_watchdog.py`                                        |
| pytest-timeout, method thread          | `test_a_timeout_in_the_window_rolls_back`, `…does_not_cut_a_rollback`  |
| pytest-timeout, method signal          | the same                                                               |
| xdist worker killed                    | `test_distribution_is_off`: there is no worker                         |
| xdist, SIGINT to the controller        | `test_a_signal_with_distribution_asked_for_rolls_back`                 |
| xdist, SIGTERM to the controller       | the same                                                               |
| tox interrupted                        | `test_tox_leaves_time_for_a_rollback`                                  |
"""

from __future__ import annotations

import configparser
import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from rollout.core.clauses import PHASES, planned
from rollout.core.errors import JournalError
from rollout.journal.record import Decision, RolloutRecord
from rollout.plugin.hooks import RunHooks
from rollout.plugin.session_end import SessionEnd
from tests.support.liar import answer, delayed, passed_on
from tests.support.runs import BARE, ROOT, WITHOUT_REPORT, eventually, inherited_environment, reports_in
from tests.torture.support import Bench, agrees, held, settled

pytest_plugins = ["tests.torture.fixtures"]

ERROR_RATE = "checks/monitor/test_triggers.py::test_the_error_rate_stays_within_its_limit"
NOT_NOW = answer(503, {"detail": "not now"})
SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
EVERY_CLAUSE = {clause.id for clause in planned(PHASES)}


def run(bench: Bench, *args: str, env: dict[str, str] | None = None) -> int:
    """Run to the end, and return the exit code; nothing may be in between afterwards."""
    child = bench.begin(*args, env=env)
    code = child.wait(90)
    assert "Traceback" not in child.text, child.text
    settled(bench, code)
    return code


def meddled(bench: Bench, how: str, clause: str = "") -> int:
    """Run with a plugin that meddles."""
    env = {"MEDDLE": json.dumps({"how": how, "clause": clause})}
    child = bench.begin("-p", "tests.torture.meddler", env=env)
    code = child.wait(90)
    settled(bench, code)
    return code


def last(bench: Bench) -> RolloutRecord:
    """Return the newest rollout."""
    record = bench.record()
    assert record is not None
    return record


def vouched_for(bench: Bench) -> set[str]:
    """Return the clauses that the verdict does not name as missing."""
    closed = last(bench).closed
    assert closed is not None
    return EVERY_CLAUSE - set(closed["not_passed"])


def in_the_window(bench: Bench, number: int) -> Any:
    """Begin a run that gets the signal in the middle of its window."""
    bench.scenario["monitor"]["window"] = "20s"
    children: list[Any] = []
    bench.liar.rule("/openai/metrics", held(lambda: children[0].kill(number), passed_on()), nth=10)
    children.append(bench.begin())
    return children[0]


# Checks that are left out


@pytest.mark.parametrize(
    ("args", "missing"),
    [
        (("-k", "not stays_connected and not error_rate"), {"MON-1", "MON-2"}),
        (("--deselect", ERROR_RATE), {"MON-2"}),
        (("--ignore=checks/verify",), {"VER-1", "VER-2", "VER-3", "VER-4"}),
        (("--ignore-glob=*test_audit.py",), {"VER-3"}),
    ],
    ids=["-k", "--deselect", "--ignore", "--ignore-glob"],
)
def test_a_check_that_was_left_out_is_not_vouched_for(bench: Bench, args: tuple[str, ...], missing: set[str]):
    assert run(bench, *args) == 10
    assert not vouched_for(bench) & missing
    assert {id_ for id_ in EVERY_CLAUSE if id_.startswith(("PRE", "APP"))} <= vouched_for(bench)


@pytest.mark.parametrize(
    "args",
    [
        ("-k", "nothing_of_that_name"),
        ("--ignore=checks/precheck",),
        ("--deselect", "checks/precheck/test_2_review.py"),
        ("checks/apply",),
        ("checks/precheck",),
        (ERROR_RATE,),
        ("--setup-only",),
        ("--setup-plan",),
        ("-m", "apply"),
        ("-m", "precheck", "-m", "apply"),
        ("-p", "no:rollout.plugin.fixtures"),
    ],
    ids=" ".join,
)
def test_without_a_whole_precheck_nothing_is_applied(bench: Bench, args: tuple[str, ...]):
    assert run(bench, *args) == 1
    assert not bench.wrote


def test_phases_with_one_missing_between_them_are_refused(bench: Bench):
    assert bench.begin("-m", "precheck or verify").wait(60) == 4
    assert not bench.liar.requests


def test_the_last_expression_of_several_counts(bench: Bench):
    assert run(bench, "-m", "monitor", "-m", "precheck") == 0
    assert not bench.wrote
    assert "CLEARED" in bench.output


@pytest.mark.parametrize("option", ["--collect-only", "--fixtures", "--markers", "--help"])
def test_what_only_shows_something_opens_no_rollout(bench: Bench, option: str):
    assert bench.begin(option).wait(60) == 0
    assert not (bench.reports / "journal.sqlite").exists()
    assert not bench.liar.requests
    assert ("NOTHING CHECKED" in bench.output) == (option == "--collect-only")


def test_the_checks_that_failed_last_time_are_not_a_precheck(bench: Bench):
    cache = ("-p", "cacheprovider", "-o", f"cache_dir={bench.folder / 'cache'}")
    rule = bench.liar.rule("/twin/.*/preflight", NOT_NOW)
    assert bench.begin(*cache).wait(60) == 1
    rule.remove()
    assert run(bench, *cache, "--lf") == 1
    assert not bench.wrote


@pytest.mark.parametrize("option", ["-x", "--maxfail=1", "--stepwise"])
def test_a_session_that_stops_at_the_first_failure_still_rolls_back(bench: Bench, option: str):
    bench.liar.rule("/admin/audit", NOT_NOW)
    cache = ("-p", "cacheprovider", "-p", "stepwise", "-o", f"cache_dir={bench.folder / 'cache'}")
    assert run(bench, *cache, option) == 10
    assert "VER-4" not in vouched_for(bench)


def test_a_failed_check_rolls_back(bench: Bench):
    bench.liar.rule("/admin/audit", NOT_NOW)
    assert run(bench) == 10
    assert str(last(bench).closed["why"]).startswith("VER-3: ")  # type: ignore[index]


# Plugins, and the lack of them


@pytest.mark.parametrize(
    "names", ["terminal", "junitxml timeout xdist", "logging skipping capture faulthandler warnings"]
)
def test_without_some_of_pytests_plugins_the_verdict_is_the_same(bench: Bench, names: str):
    without = [word for name in names.split() for word in ("-p", f"no:{name}")]
    # pyproject.toml asks for --tb, which the terminal's plugin knows.
    assert run(bench, *without, *(("-o", "addopts=") if names == "terminal" else ())) == 0
    assert last(bench).decision is Decision.KEPT
    assert vouched_for(bench) == EVERY_CLAUSE


def test_without_the_one_that_writes_the_evidence_nothing_is_begun(bench: Bench):
    assert bench.begin("-p", "no:allure_pytest").wait(60) == 4
    assert "run it without -p no:allure_pytest" in bench.output
    assert not (bench.reports / "journal.sqlite").exists()


@pytest.mark.parametrize(("how", "clause"), [("skip", "MON-1"), ("xfail_norun", "VER-2")])
def test_a_check_that_was_skipped_is_not_vouched_for(bench: Bench, how: str, clause: str):
    assert meddled(bench, how, clause) == 10
    assert clause not in vouched_for(bench)


def test_a_failure_that_was_expected_is_one_all_the_same(server: Any, tmp_path: Path):
    with Bench(server, tmp_path, breach=True) as bench:
        assert meddled(bench, "xfail", "MON-2") == 10
        assert "MON-2" not in vouched_for(bench)


@pytest.mark.parametrize("how", ["skip", "xfail_norun"])
def test_a_precheck_that_was_skipped_clears_nothing(bench: Bench, how: str):
    assert meddled(bench, how, "PRE-2.4") == 1
    assert not bench.wrote


def test_a_session_of_skipped_checks_does_not_exit_0(bench: Bench):
    assert meddled(bench, "skip_all") == 1
    assert not bench.wrote


@pytest.mark.parametrize(
    ("how", "clause"),
    [("exit", "VER-2"), ("interrupt", "APP-1.2"), ("crash", "MON-3"), ("crash", "APP-0.2"), ("shouldfail", "VER-4")],
)
def test_a_session_that_is_broken_off_rolls_back(bench: Bench, how: str, clause: str):
    """`pytest.exit` with exit code 0, KeyboardInterrupt, a plugin that crashes, a session timeout: 10 each time."""
    assert meddled(bench, how, clause) == 10


@pytest.mark.parametrize(
    ("how", "at"),
    [
        ("raise", "finish"),
        ("exit", "finish"),
        ("interrupt", "finish"),
        ("raise", "before finish"),
        ("exit", "before finish"),
        ("raise", "after finish"),
        ("exit", "after finish"),
        ("raise", "summary"),
        ("raise", "unconfigure"),
    ],
)
def test_what_other_plugins_raise_at_the_end_changes_neither_verdict_nor_evidence(bench: Bench, how: str, at: str):
    """The exit code stands, what pytest wrote by itself is redacted, and Allure's surroundings are written."""
    junit, secret = bench.folder / "pytest.xml", "sk-never0to1be2seen3"
    env = {"MEDDLE": json.dumps({"how": how, "at": at, "clause": ""}), "LEAK": secret}
    plugins = ("-p", "tests.torture.meddler", "-p", "tests.support.leaking", "-o", "junit_logging=all")
    child = bench.begin(*plugins, f"--junitxml={junit}", env=env)
    assert child.wait(90) == 0, child.text
    settled(bench, 0)
    assert last(bench).decision is Decision.KEPT
    assert "KEPT" in child.text
    assert "Traceback" not in child.text, child.text
    assert ("RuntimeError: meddled with" in child.text) == (how == "raise")
    assert secret not in child.text
    # Raised before every other plugin's end, pytest's own writer has not come to write it.
    assert junit.exists() == (at != "before finish")
    assert not junit.exists() or secret not in junit.read_text(encoding="utf-8")
    assert list(bench.reports.glob("*/allure-results/*/environment.properties"))


def test_a_rollback_is_answered_with_10_whatever_another_plugin_exits_with(bench: Bench):
    bench.liar.rule("/admin/audit", answer(500))
    env = {"MEDDLE": json.dumps({"how": "exit", "at": "after finish", "clause": ""})}
    child = bench.begin("-p", "tests.torture.meddler", env=env)
    assert child.wait(90) == 10, child.text
    settled(bench, 10)


def test_a_junit_file_in_the_home_folder_is_redacted_too(bench: Bench):
    """The option's ``~`` and ``$NAME`` are expanded by pytest, and by no shell."""
    secret = "sk-never0to1be2seen3"
    child = bench.begin(
        "-p", "tests.support.leaking", "-o", "junit_logging=all", "-m", "precheck", "--junitxml=~/$SUB/pytest.xml",
        env={"LEAK": secret, "HOME": str(bench.folder), "SUB": "deep"},
    )  # fmt: skip
    child.wait(90)
    assert secret not in (bench.folder / "deep" / "pytest.xml").read_text(encoding="utf-8")


def test_a_closure_that_fails_lets_the_other_plugins_end_their_session():
    """A wrapper that does not yield is an error of its own, a traceback in the place of the exit code."""
    broken = JournalError("the journal is gone")
    suite_run = Mock(**{"end.side_effect": broken, "decide_exit_code.return_value": 1}, error=None)
    session = Mock(exitstatus=0)
    ending = RunHooks(SessionEnd(suite_run)).pytest_sessionfinish(session)
    next(ending)
    with pytest.raises(StopIteration):
        ending.send(None)
    assert suite_run.error == "JournalError: the journal is gone"
    assert session.exitstatus == 1


# Distribution


@pytest.mark.parametrize("args", [("-n", "2", "--dist=load"), ("--tx", "2*popen", "--dist=each"), ("-d", "--tx=popen")])
def test_distribution_is_off(bench: Bench, args: tuple[str, ...]):
    """One session is one rollout: one run in the journal, one activation, the exit code of the verdict."""
    assert run(bench, *args) == 0
    assert last(bench).decision is Decision.KEPT
    assert len(bench.liar.seen("POST", "/openai/activate$")) == 1
    assert len([entry for entry in bench.entries() if entry.kind == "run"]) == 1
    assert "distribution is off" in bench.output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_signal_with_distribution_asked_for_rolls_back(bench: Bench, number: signal.Signals):
    bench.scenario["monitor"]["window"] = "20s"
    children: list[Any] = []
    bench.liar.rule("/openai/metrics", held(lambda: children[0].kill(number), passed_on()), nth=10)
    children.append(bench.begin("-n", "2"))
    code = children[0].wait(60)
    assert code == 10
    settled(bench, code)


# Time limits


@pytest.mark.parametrize(("method", "func_only"), [("thread", "false"), ("signal", "false"), ("signal", "true")])
def test_a_timeout_in_the_window_rolls_back(bench: Bench, method: str, func_only: str):
    """The window is longer than the limit, so the run stops as if it was asked to."""
    bench.scenario["monitor"]["window"] = "9s"
    code = run(bench, "--timeout=7", f"--timeout-method={method}", "-o", f"timeout_func_only={func_only}")
    if func_only == "true":
        # The window is a fixture's setup, which such a limit does not count.
        assert code == 0
        return
    assert code == 10
    assert "pytest-timeout: MON-1 took longer than 7 s" in last(bench).closed["why"]  # type: ignore[index]


@pytest.mark.parametrize("method", ["thread", "signal"])
def test_a_timeout_does_not_cut_a_rollback(server: Any, tmp_path: Path, method: str):
    """The limit passes while the rollback waits for an answer."""
    with Bench(server, tmp_path, breach=True) as bench:
        bench.target["timeouts"]["read"] = "20s"
        bench.liar.rule("/ollama/status", delayed(8), nth=1)
        assert run(bench, "--timeout=7", f"--timeout-method={method}") == 10
        assert "MON-7" not in last(bench).closed["why"]  # type: ignore[index]


@pytest.mark.parametrize("method", ["thread", "signal"])
def test_a_timeout_before_any_write_writes_nothing(bench: Bench, method: str):
    bench.target["timeouts"]["read"] = "10s"
    bench.liar.rule("/twin/.*/preflight", delayed(3))
    assert run(bench, "--timeout=1", f"--timeout-method={method}") == 2
    assert not bench.wrote


def test_a_session_timeout_before_any_write_writes_nothing(bench: Bench):
    assert run(bench, "--session-timeout=0.1") in {1, 2}
    assert not bench.wrote


# Signals, and readers that leave


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_a_signal_in_the_window_rolls_back(bench: Bench, number: signal.Signals):
    code = in_the_window(bench, number).wait(60)
    settled(bench, code)
    assert code == 10
    why = str(last(bench).closed["why"])  # type: ignore[index]
    assert re.fullmatch(rf"MON-7: asked to stop after \d+ s: {number.name} asked the run to stop", why), why


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_signals_during_the_rollback_change_nothing(server: Any, tmp_path: Path, number: signal.Signals):
    with Bench(server, tmp_path, breach=True) as bench:
        children: list[Any] = []

        def insist() -> None:
            for _ in range(3):
                children[0].kill(number)

        bench.liar.rule("/ollama/status", held(insist, passed_on()))
        children.append(bench.begin())
        code = children[0].wait(60)
        settled(bench, code)
        assert code == 10


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_an_interrupted_check_is_never_shown_as_passed(bench: Bench, number: signal.Signals):
    """The signal arrives while VER-3 waits for its answer."""
    children: list[Any] = []
    bench.liar.rule("/admin/audit", held(lambda: children[0].kill(number), delayed(0.5)))
    children.append(bench.begin())
    code = children[0].wait(60)
    settled(bench, code)
    assert code == 10
    assert last(bench).clauses["VER-3"].outcome == "failed"
    shown = {}
    for path in bench.reports.glob("*/allure-results/*/*-result.json"):
        result = json.loads(path.read_text(encoding="utf-8"))
        story = next(label["value"] for label in result["labels"] if label["name"] == "story")
        shown[story.partition(" ")[0]] = result["status"]
    assert shown["VER-3"] in {"failed", "broken"}
    assert shown["VER-2"] == "passed"


@pytest.mark.parametrize(("streams", "breach"), [("stdout", False), ("stdout", True), ("both", True)])
def test_a_reader_that_leaves_changes_neither_verdict_nor_exit_code(
    server: Any, tmp_path: Path, streams: str, *, breach: bool
):
    """``pytest | head -1``: the pipe breaks after the first line."""
    with Bench(server, tmp_path, breach=breach) as bench:
        # The report is built with both streams closed: it costs as much as the run.
        without = () if streams == "both" else WITHOUT_REPORT
        args = [sys.executable, "-m", "pytest", *BARE, *without, *bench.options(), f"--reports={bench.reports}"]
        errors = subprocess.STDOUT if streams == "both" else subprocess.DEVNULL
        with subprocess.Popen(
            args, cwd=ROOT, stdout=subprocess.PIPE, stderr=errors, stdin=subprocess.DEVNULL, env=_env()
        ) as child:
            assert child.stdout is not None
            child.stdout.readline()
            child.stdout.close()
            code = child.wait(60)
        settled(bench, code)
        assert code == (10 if breach else 0), bench.record


def test_a_reader_that_leaves_before_the_first_flush_does_not_set_the_exit_code(bench: Bench):
    """A short run, whose output fits into Python's buffer to its end."""
    args = [*BARE, *bench.options(), f"--reports={bench.reports}", "-m", "precheck", "-q"]
    read, write = os.pipe()
    os.close(read)
    with subprocess.Popen([sys.executable, "-m", "pytest", *args], cwd=ROOT, stdout=write, env=_env()) as child:
        os.close(write)
        code = child.wait(60)
    settled(bench, code)
    assert code == 0


@pytest.mark.parametrize("is_installed", [True, False], ids=["installed", "without installation"])
def test_an_absolute_path_after_a_space_is_the_scenario_or_refused(is_installed: bool, tmp_path: Path):
    """Pytest takes the path for the place of the tests, and finds no conftest there."""
    scenario = tmp_path / "x.yaml"
    scenario.write_text("change: {activate: openai, model: gpt-4o}\n", encoding="utf-8")
    with reports_in(tmp_path) as reports:
        command = [
            sys.executable,
            "-m",
            "pytest",
            *BARE,
            "-m",
            "precheck",
            "--scenario",
            str(scenario),
            f"--reports={reports}",
        ]
        env = _env() | ({} if is_installed else {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"})
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=env)
        assert ended.returncode == (0 if is_installed else 4), ended.stdout + ended.stderr
        assert (reports / "journal.sqlite").exists() is is_installed
    if is_installed:
        assert f"scenario: {scenario} (--scenario)" in ended.stdout
        assert "19 passed" in ended.stdout or "CLEARED" in ended.stdout
    else:
        assert "unrecognized arguments: --scenario" in ended.stderr


def test_a_terminal_that_is_gone_rolls_back(bench: Bench):
    """The terminal hangs up: SIGHUP, and every write to it fails from then on."""
    bench.scenario["monitor"]["window"] = "20s"
    args = [sys.executable, "-m", "pytest", *BARE, *bench.options(), f"--reports={bench.reports}"]
    pid, terminal = pty.fork()
    if not pid:
        os.chdir(ROOT)
        os.execve(args[0], args, _env())  # noqa: S606 - the child's: nothing returns from it
    os.set_blocking(terminal, False)
    _drain_until(terminal, lambda: bench.wrote and len(bench.liar.seen("GET", "/openai/metrics")) >= 4)
    os.close(terminal)
    code = eventually(lambda: _ended(pid), "it ends", 60)
    settled(bench, code)
    assert code == 10
    assert "SIGHUP" in last(bench).closed["why"]  # type: ignore[index]


def _drain_until(terminal: int, condition: Any) -> None:
    def drained() -> bool:
        with contextlib.suppress(BlockingIOError):
            os.read(terminal, 65536)
        return bool(condition())

    eventually(drained, "the window is open", 60)


def _ended(pid: int) -> int | None:
    found, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if found else None


def _env() -> dict[str, str]:
    kept = inherited_environment()
    return {**kept, "TERM": "xterm", "COLUMNS": "100"}


def test_tox_leaves_time_for_a_rollback():
    """Its own defaults are 0.3 and 0.2 s."""
    tox = configparser.ConfigParser()
    tox.read(ROOT / "tox.ini", encoding="utf-8")
    for name in ("interrupt_timeout", "terminate_timeout"):
        assert int(tox["testenv"][name]) >= 60


def test_kept_means_that_every_clause_passed(bench: Bench):
    """The other way round, so that none of the above passes for want of a rollout that works."""
    assert run(bench) == 0
    assert vouched_for(bench) == EVERY_CLAUSE
    agrees(bench, bench.look(), is_kept=True)
