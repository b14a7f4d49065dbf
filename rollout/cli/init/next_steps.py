"""What ``rollout init`` names at its end: what people fill in, the next commands, and the approvals between them."""

from __future__ import annotations

import os
import shlex
import shutil
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from rollout.cli.init.answers import NO_PIPELINE, Answers, repository_of
from rollout.cli.init.files import FILL_IN, WHEEL, first_change_of, read_existing, signers_of
from rollout.cli.init.starting_point import StartingPoint
from rollout.config.config_files import display_path
from rollout.config.policies import SANDBOX
from rollout.config.project import Project


def describe_next_steps(directory: Path, project: Project, answers: Answers, start: StartingPoint) -> str:
    """Return the next steps as text; the commands can be pasted into a shell."""
    scenario = shlex.quote(os.path.relpath(first_change_of(project), project.root))
    plan = [f"{_program('rollout')} plan --scenario={scenario}"]
    if project.root != Path.cwd():
        plan.insert(0, f"cd {shlex.quote(str(directory))}")
    run = [
        f"{_program('pytest')} -m precheck --scenario={scenario}",
        f"{_program('pytest')} --scenario={scenario}",
    ]
    # An approval covers one content: whatever the plan finds leads to an edit, which makes it void.
    decided = [] if start.environment == SANDBOX else list(_list_approvals(project, answers))
    parts = {
        "first:": list(_list_preparations(project, answers, start)),
        "next:": plan if decided else [*plan, *run],
        "then, once the plan leads to no further edit, for an edit makes an approval void:": decided,
        "at last:": run if decided else [],
    }
    texts = ["\n".join(["", title, *(f"  {line}" for line in lines)]) for title, lines in parts.items() if lines]
    return "\n".join(texts)


def _list_preparations(project: Project, answers: Answers, start: StartingPoint) -> Iterator[str]:
    """Yield what has to be done by people before a rollout can be cleared."""
    scenario = first_change_of(project)
    if FILL_IN in read_existing(scenario):
        yield f"fill in what is marked {FILL_IN} in {display_path(scenario)}"
    yield from (f"complete {display_path(project.targets_file)}: {each}" for each in start.unknown)
    if start.environment != SANDBOX:
        if start.lacks:
            yield f"add {' and '.join(f'`{key}:`' for key in start.lacks)} to {display_path(project.targets_file)}"
        signers = signers_of(project)
        if _holds_only_comments(signers):
            yield f"add the keys of approvers and operators to {display_path(signers)}"
    wheel = project.root / WHEEL
    if answers.pipeline != NO_PIPELINE and not wheel.is_file():
        made = f"{_program('pip')} wheel --no-deps -w {shlex.quote(display_path(wheel.parent))} CHECKOUT"
        yield (
            f"for the pipeline, put the wheel that you installed at {display_path(wheel)}, and into git with the other "
            f"files; from a checkout of the suite: {made}"
        )
    root = repository_of(project.root)
    if answers.pipeline != NO_PIPELINE and root is not None and root != project.root:
        yield f"move the pipeline file to {display_path(root)}, the root of the repository, and start its commands here"


def _list_approvals(project: Project, answers: Answers) -> Iterator[str]:
    """Yield what other people do once the files are as they stay, and what a pipeline needs of it."""
    file = shlex.quote(os.path.relpath(first_change_of(project), project.root))
    yield f"have it approved, and acknowledged with --as operator: {_program('rollout')} approve {file} --key=KEY"
    if answers.pipeline != NO_PIPELINE:
        yield "commit and push the files, the approvals and the wheel: the pipeline runs what is pushed"


def _holds_only_comments(file: Path) -> bool:
    if not file.is_file():
        return False
    lines = read_existing(file).splitlines()
    return all(not line.strip() or line.startswith("#") for line in lines)


def _program(name: str) -> str:
    """Return the name of an installed program, with its folder where the shell would not find this very one."""
    folder = Path(sysconfig.get_path("scripts"))
    found = shutil.which(name)
    return name if found and Path(found).parent == folder else shlex.quote(str(folder / name))
