"""``rollout init``: write the files of a project that the suite works in, and name the next commands."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from rollout.cli.init.answers import Answers, find_contradictions, read_options, usual_pipeline
from rollout.cli.init.files import (
    ProjectFile,
    find_obstacles,
    first_change_of,
    lines_to_add,
    make_files,
    policy_of,
    write_file,
)
from rollout.cli.init.next_steps import describe_next_steps
from rollout.cli.init.starting_point import StartingPoint, find_starting_point
from rollout.config.config_files import display_path, is_there
from rollout.config.project import Project, read_project
from rollout.config.project_file import OWN_FILE, find_project_file
from rollout.core.errors import ExitCode, InvalidInput, Problem, RolloutError
from rollout.core.visible import beneath


def run(args: argparse.Namespace) -> int:
    """Ask what no option says, write the files that are missing, and return 0; 2 where the questions are left.

    Raises:
        InvalidInput: anything is wrong with options, folder or gateway; nothing is written.
        RolloutError: a file cannot be written.
    """
    try:
        project, answers, start = _prepare(args, os.environ)
    except (KeyboardInterrupt, EOFError):
        print("\nrollout: nothing is written", file=sys.stderr)
        return ExitCode.INTERRUPTED
    files = make_files(answers, start, project)
    _refuse(find_obstacles(files))
    _write(files)
    print(describe_next_steps(args.directory, project, answers, start))
    return ExitCode.KEPT


def _prepare(args: argparse.Namespace, env: Mapping[str, str]) -> tuple[Project, Answers, StartingPoint]:
    """Return the project's places, the complete answers, and what the files are made from; nothing is written."""
    directory, asks = args.directory.resolve(), sys.stdin.isatty() and beneath(sys.stdout).isatty()
    problems = list(_find_misplaced(directory))
    answers = read_options(args, env, problems)
    # At a terminal the gateway that a token is for may be named yet.
    _refuse([*problems, *(() if asks else find_contradictions(answers))])
    project = read_project(directory)
    # A second call has no need of the gateway.
    is_started = all(map(is_there, (project.targets_file, policy_of(project), first_change_of(project))))
    if asks:
        from rollout.cli.init.questions import ask_missing  # noqa: PLC0415 - a terminal's own

        answers = ask_missing(answers, directory, env, gateway=not is_started)
        _refuse(find_contradictions(answers))
    answers = replace(answers, pipeline=answers.pipeline or usual_pipeline(directory))
    if answers.gateway and not is_started:
        print(f"reading {answers.gateway}, as `rollout doctor` does …", flush=True)
    start = find_starting_point(answers, project, env, examines=not is_started)
    return project, _choose_change(answers, start, asks=asks and not is_started), start


def _find_misplaced(directory: Path) -> Iterator[Problem]:
    """Yield why the folder can be no project of its own."""
    try:
        yield from find_obstacles([ProjectFile(directory / OWN_FILE, "")])
        file = find_project_file(directory)
    except OSError as problem:
        yield Problem(display_path(directory), None, "", f"cannot be used ({problem.strerror}); name another folder")
        return
    if file is not None and file.parent != directory:
        owner = display_path(file.parent)
        why = f"is inside the project of {display_path(file)}; its changes belong there: rollout init {owner}"
        yield Problem(display_path(directory), None, "", why)


def _choose_change(answers: Answers, start: StartingPoint, *, asks: bool) -> Answers:
    """Return the answers with a first change that the gateway lists, asked for where none is given."""
    if answers.activate and (reason := start.explain_unlisted(answers.activate)):
        _refuse([Problem("--activate", None, "", reason)])
    if answers.activate or not asks:
        return answers
    from rollout.cli.init.questions import ask_activation  # noqa: PLC0415 - a terminal's own

    return replace(answers, activate=ask_activation(start))


def _refuse(problems: Iterable[Problem]) -> None:
    if found := list(problems):
        raise InvalidInput(found)


def _write(files: Iterable[ProjectFile]) -> None:
    """Write each file that is not there, and print what becomes of each. Raises RolloutError where one cannot be."""
    written: list[str] = []
    for file in files:
        name = display_path(file.path)
        try:
            is_new = write_file(file)
        except OSError as problem:
            there = f"written before: {', '.join(written)}" if written else "nothing is written"
            raise RolloutError(
                f"{name} cannot be written ({problem.strerror}); {there}. Mend that, and call the same command again: "
                "it goes on with what is missing"
            ) from None
        if is_new:
            written.append(name)
            print(f"written: {name}")
        else:
            _describe_kept(file, name)
    if not written:
        print("nothing is written: every file is there already")


def _describe_kept(file: ProjectFile, name: str) -> None:
    lines = lines_to_add(file)
    print(f"kept: {name}, is there already{'; add to it:' if lines else ''}")
    for line in lines:
        print(f"    {line}")
