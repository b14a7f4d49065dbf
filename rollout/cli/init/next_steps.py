"""What ``rollout init`` names at its end: what people fill in, and the next three commands."""

from __future__ import annotations

import os
import shlex
import shutil
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from rollout.cli.init.answers import NO_PIPELINE, Answers, repository_of
from rollout.cli.init.files import FILL_IN, WHEEL, first_change_of, signers_of
from rollout.cli.init.starting_point import StartingPoint
from rollout.config.config_files import display_path
from rollout.config.policies import SANDBOX
from rollout.config.project import Project


def describe_next_steps(directory: Path, project: Project, answers: Answers, start: StartingPoint) -> str:
    """Return the next steps as text; the commands can be pasted into a shell."""
    first = [f"  {line}" for line in _list_preparations(project, answers, start)]
    scenario = shlex.quote(os.path.relpath(first_change_of(project), project.root))
    commands = [
        f"{_program('rollout')} plan --scenario={scenario}",
        f"{_program('pytest')} -m precheck --scenario={scenario}",
        f"{_program('pytest')} --scenario={scenario}",
    ]
    if project.root != Path.cwd():
        commands.insert(0, f"cd {shlex.quote(str(directory))}")
    return "\n".join(["", *(["first:", *first, ""] if first else []), "next:", *(f"  {each}" for each in commands)])


def _list_preparations(project: Project, answers: Answers, start: StartingPoint) -> Iterator[str]:
    """Yield what has to be done by people before a rollout can be cleared."""
    scenario = first_change_of(project)
    if FILL_IN in scenario.read_text(encoding="utf-8", errors="replace"):
        yield f"fill in what is marked {FILL_IN} in {display_path(scenario)}"
    if start.environment != SANDBOX:
        if start.lacks:
            yield f"add {' and '.join(f'`{key}:`' for key in start.lacks)} to {display_path(project.targets_file)}"
        signers = signers_of(project)
        if _holds_only_comments(signers):
            yield f"add the keys of approvers and operators to {display_path(signers)}"
        file = shlex.quote(os.path.relpath(scenario, project.root))
        yield f"have it approved, and acknowledged with --as operator: {_program('rollout')} approve {file} --key=KEY"
    if answers.pipeline != NO_PIPELINE and not (project.root / WHEEL).is_file():
        made = "`pip wheel --no-deps -w vendor CHECKOUT`"
        yield f"for the pipeline, put the package's wheel at {display_path(project.root / WHEEL)} ({made})"
    root = repository_of(project.root)
    if answers.pipeline != NO_PIPELINE and root is not None and root != project.root:
        yield f"move the pipeline file to {display_path(root)}, the root of the repository, and start its commands here"


def _holds_only_comments(file: Path) -> bool:
    if not file.is_file():
        return False
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    return all(not line.strip() or line.startswith("#") for line in lines)


def _program(name: str) -> str:
    """Return the name of an installed program, with its folder where the shell would not find this very one."""
    folder = Path(sysconfig.get_path("scripts"))
    found = shutil.which(name)
    return name if found and Path(found).parent == folder else shlex.quote(str(folder / name))
