"""Sessions that end without a check: their assertions are off, an option only shows something, or other tests are run.

None of them may pass for a phase. An option that the operator types to list the checks (``pytest --collect-only``) asks
for no phase. One that arrives by ``PYTEST_ADDOPTS`` or an ini file was meant for other runs, and ``-m`` asks for a
phase.
"""

from __future__ import annotations

import os
import shlex
import sys
from argparse import Namespace
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest

from rollout.config.project_file import is_procedure
from rollout.core.clauses import Clause
from rollout.core.streams import quiet
from rollout.plugin import selection
from rollout.plugin.terminal import LEFT_OUT
from rollout.reporting.allure import NOT_RUN

CODE = int(pytest.ExitCode.NO_TESTS_COLLECTED)
"""The exit code of a session that was asked for checks and ran none."""

TYPED, VARIABLE = "the command line", "PYTEST_ADDOPTS"
_SHOWS = {
    "collectonly": "--collect-only",
    "help": "--help",
    "version": "--version",
    "markers": "--markers",
    "showfixtures": "--fixtures",
    "show_fixtures_per_test": "--fixtures-per-test",
    "cacheshow": "--cache-show",
}
"""Options with which pytest shows something and runs nothing: destination -> how it is written."""

_LEAVES_OUT = {
    "keyword": "-k",
    "deselect": "--deselect",
    "ignore": "--ignore",
    "ignore_glob": "--ignore-glob",
    "lf": "--last-failed",
    "stepwise": "--stepwise",
}
_DIVERTS = ("file_or_dir", "inifilename", "override_ini", "rootdir")
_LONGEST = 120


@dataclass(frozen=True, slots=True)
class DisplaySession:
    """A session that only shows something.

    Attributes:
        line: what is printed of it, in one line.
        is_typed: whether the operator typed all of its options, without asking for a phase.
    """

    line: str
    is_typed: bool


def announce_display(config: pytest.Config) -> DisplaySession | None:
    """Return what `find_display` does of a session about the checks, and print it first where it was not typed."""
    if hasattr(config, "workerinput") or not names_checks(config):
        return None
    found = find_display(config)
    if found is not None and not found.is_typed:
        quiet(sys.stdout).write(f"{found.line}\n")
    return found


def is_typed_display(config: pytest.Config) -> bool:
    """Return whether the operator typed an option that only shows something, without asking for a phase."""
    found = find_display(config) if names_checks(config) else None
    return found is not None and found.is_typed


def is_exit_0(error: BaseException) -> bool:
    """Return whether an exception would end the process with 0."""
    return isinstance(error, SystemExit) and not error.code


def exit_code_of(config: pytest.Config, found: DisplaySession | None, status: int) -> int:
    """Return the exit code of a session that has begun nothing: 0 only where no check was asked for.

    Args:
        config: the session's.
        found: what `announce_display` returned.
        status: pytest's own exit code.
    """
    if status or hasattr(config, "workerinput") or not names_checks(config):
        return status
    if found is None:
        quiet(sys.stdout).write("NOTHING CHECKED: a plugin ended the session before anything was begun\n")
        return CODE
    return status if found.is_typed else CODE


def find_display(config: pytest.Config) -> DisplaySession | None:
    """Return what is printed of a session that only shows something; None where it runs checks."""
    found = [dest for dest in _SHOWS if _is_on(config.option, dest)]
    if not found:
        return None
    origins = [(_SHOWS[dest], where) for dest in found for where in _origins(config, dest)]
    # All of it once more: where pytest finds --help, it reads no further.
    markexpr = _parsed_whole(config).markexpr
    is_typed = not markexpr and {where for _, where in origins} == {TYPED}
    options = " and ".join(f"{option} ({where})" for option, where in origins)
    phase = f" -m {shlex.quote(markexpr)}" if markexpr else ""
    return DisplaySession(
        f"NOTHING CHECKED: {options} only shows something; no check is run, and the exit code is {CODE}. "
        f"Take the option away there, and run `pytest{phase}`",
        is_typed,
    )


def explain_diversion(config: pytest.Config) -> str | None:
    """Return why other tests than the checks are run although no path was typed; None where that is not so."""
    if _diverts(config, config.invocation_params.args) or not _expects_checks(config) or names_checks(config):
        return None
    where = VARIABLE if _diverts(config, _variable()) else _ini(config)
    return (
        f"NOTHING CHECKED: {where} leads to {', '.join(config.args)} in the place of the checks, and no path was "
        f"typed; nothing was run. Take it out of {where}, or type the path of the tests that you mean"
    )


def names_checks(config: pytest.Config) -> bool:
    """Return whether the session is about the checks; the suite's own tests share the project."""
    checks, args = config.rootpath / "checks", config.args
    if not args:
        # Where pytest finds --help, it reads no further.
        given = _parsed_whole(config)
        if not given.file_or_dir and selection.has_packaged_checks(config):
            return selection.asks_for_run(given)
        args = given.file_or_dir or ["."]
    paths = [_place(config, arg) for arg in args]
    if checks.is_dir() and any(path == checks or checks in path.parents or path in checks.parents for path in paths):
        return True
    # Another ini file or root leads away from the project, and not from its checks.
    return any(is_procedure(folder) for path in paths for folder in (path / "checks", path, *path.parents))


def left_out_by(config: pytest.Config) -> str:
    """Return the options that may leave checks out, each with its value and where it came from; empty without any."""
    found = [
        f"{_written(option, value)} ({' and '.join(_origins(config, dest))})"
        for dest, option in _LEAVES_OUT.items()
        for value in _values(getattr(config.option, dest, None))
    ]
    roots = (config.rootpath, selection.checks_folder(config))
    found += [f"the path {arg}" for arg in config.args if "::" in arg or _place(config, arg) not in roots]
    return ", ".join(found)


def left_out_clauses(required: Iterable[Clause], collected: Collection[str], options: str) -> dict[str, str]:
    """Return the id of each required clause without a check in the session -> the reason.

    Args:
        required: the clauses that must pass.
        collected: the ids of the clauses that have a check.
        options: what `left_out_by` returns.
    """
    return {
        clause.id: f"{NOT_RUN}{LEFT_OUT}{options}; run the phase whole: pytest -m {clause.phase}"
        for clause in required
        if options and clause.id not in collected
    }


def _expects_checks(config: pytest.Config) -> bool:
    """Return whether a session without a typed path is about the checks."""
    if selection.has_packaged_checks(config):
        return selection.asks_for_run(config.option)
    return is_procedure(config.invocation_params.dir / "checks")


def _diverts(config: pytest.Config, args: Iterable[str]) -> bool:
    given = _parsed(config, args)
    return any(getattr(given, dest, None) for dest in _DIVERTS)


def _place(config: pytest.Config, arg: str) -> Path:
    return (config.invocation_params.dir / arg.split("::", maxsplit=1)[0]).resolve()


def _values(value: object) -> Iterable[object]:
    if isinstance(value, (list, tuple)):
        return value
    return [value] if value else []


def _written(option: str, value: object) -> str:
    if value is True:
        return option
    text = shlex.quote(str(value))
    text = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
    return f"{option} {text}" if option == "-k" else f"{option}={text}"


def _origins(config: pytest.Config, dest: str) -> list[str]:
    """Return where an option came from: the command line, the variable, the ini file, or a plugin that has set it."""
    given = ((TYPED, config.invocation_params.args), (VARIABLE, _variable()), (_ini(config), config.getini("addopts")))
    return [where for where, args in given if _is_on(_parsed(config, args), dest)] or ["a plugin"]


def _is_on(given: Namespace, dest: str) -> bool:
    value = getattr(given, dest, None)
    # A single --version outside of the command line shows nothing.
    return value > 1 if dest == "version" and isinstance(value, int) else bool(value)


def _ini(config: pytest.Config) -> str:
    if any(each.startswith("addopts") for each in config.option.override_ini or ()):
        return "-o addopts"
    return "an ini option" if config.inipath is None else config.inipath.name


def _variable() -> list[str]:
    return shlex.split(os.environ.get(VARIABLE, ""))


def _parsed_whole(config: pytest.Config) -> Namespace:
    """Return the options of the ini file, the variable and the command line together."""
    return _parsed(config, [*config.getini("addopts"), *_variable(), *config.invocation_params.args])


def _parsed(config: pytest.Config, args: Iterable[str]) -> Namespace:
    # pytest has no public way to parse a part of its arguments.
    return config._parser.parse_known_args(list(args))  # noqa: SLF001
