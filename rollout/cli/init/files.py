"""The files of a new project: their texts, and how they are written without overwriting any.

They get the modes that the umask gives, unlike other files with configuration (0600): they belong into git, which keeps
no such mode, approvers and pipelines read them, and they hold names of variables where a secret is needed.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rollout.cli.doctor.target_file import render_target
from rollout.cli.init.answers import GITHUB, GITLAB, GITLAB_FILE, Answers
from rollout.cli.init.rendering import render
from rollout.cli.init.starting_point import StartingPoint
from rollout.config.config_files import display_path
from rollout.config.json_schema_files import NAMES, schema_path
from rollout.config.policies import SANDBOX
from rollout.config.project import SQLITE, Project
from rollout.config.project_file import OWN_FILE, find_project_file
from rollout.config.source import Source
from rollout.core.errors import Problem
from rollout.core.schemas import validators

FIRST_CHANGE = "first-change.yaml"
WHEEL = f"vendor/rollout-{version('rollout')}-py3-none-any.whl"
"""Where a pipeline finds the package: the index has another project by its name."""

FILL_IN = "FILL IN"
"""What marks a key that only people can give."""

_FIRST_ACTIVE = "ollama"
"""The provider that is active in an embedded gateway that is started on demand."""


@dataclass(frozen=True, slots=True)
class ProjectFile:
    """One file to be written.

    Attributes:
        path: where.
        text: its content.
        is_shared: whether such a file usually holds lines of others, so that lines are added to it.
        sign: what shows that a shared file holds the text already; empty compares it line by line.
    """

    path: Path
    text: str
    is_shared: bool = False
    sign: str = ""


def first_change_of(project: Project) -> Path:
    """Return the path of the first scenario."""
    return project.scenarios / FIRST_CHANGE


def policy_of(project: Project) -> Path:
    """Return the path of the policy, which need not exist."""
    return project.policy or project.scenarios / "policy.yaml"


def signers_of(project: Project) -> Path:
    """Return the path of the list of keys that the policy of a new project names."""
    return policy_of(project).with_name("allowed_signers")


def make_files(answers: Answers, start: StartingPoint, project: Project) -> list[ProjectFile]:
    """Return the files in the order in which they are written: the one that makes the folder a project comes last."""
    ignored = render("gitignore", reports=_within(project, project.reports), journal=_journal_within(project))
    return [
        *(ProjectFile(_schema_of(project, name), schema_path(name).read_text(encoding="utf-8")) for name in NAMES),
        *_config_files(answers, start, project),
        ProjectFile(project.root / ".gitignore", ignored, is_shared=True),
        *_pipeline_files(answers, start, project),
        ProjectFile(find_project_file(project.root) or project.root / OWN_FILE, render(OWN_FILE)),
    ]


def find_obstacles(files: Iterable[ProjectFile]) -> Iterator[Problem]:
    """Yield why a file could be neither written nor kept, each folder once."""
    seen = set()
    for path in (file.path for file in files):
        if os.path.isdir(path):  # noqa: PTH112 - `Path.is_dir` raises where a folder may not be searched
            why = "is a folder, and a file of the project is called so; rename it"
            yield Problem(display_path(path), None, "", why)
        elif not os.path.lexists(path):
            folder = next(one for one in path.parents if os.path.lexists(one))
            if folder not in seen and (reason := _explain_unusable(folder)):
                seen.add(folder)
                yield Problem(display_path(folder), None, "", reason)


def write_file(file: ProjectFile) -> bool:
    """Write the file, completely or not at all; return False where one is there already, which is not touched.

    Raises:
        OSError: it cannot be written.
    """
    file.path.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle = os.open(file.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    except FileExistsError:
        return False
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(file.text)
    except BaseException:
        # A later run would keep half a file.
        file.path.unlink(missing_ok=True)
        raise
    return True


def lines_to_add(file: ProjectFile) -> list[str]:
    """Return the lines of a shared file that the one that is there lacks."""
    if not file.is_shared:
        return []
    existing = read_existing(file.path)
    lines = [line for line in file.text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    if file.sign:
        return [] if file.sign in existing else lines
    known = {line.strip() for line in existing.splitlines()}
    return [line for line in lines if line not in known]


def read_existing(path: Path) -> str:
    """Return the text of a file that was kept; empty for one that cannot be read, such as a broken link."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _config_files(answers: Answers, start: StartingPoint, project: Project) -> Iterator[ProjectFile]:
    """Yield targets, policy and scenario; the keys of the approvers before the policy that names them."""
    name, targets, policy = answers.target_name, project.targets_file, policy_of(project)
    is_production = start.environment != SANDBOX
    target = render_target(name, start.settings).strip()
    schema = _schema_beside(project, targets, "target")
    yield ProjectFile(targets, render("targets.yaml", schema=schema, start=start, target=target))
    if is_production:
        yield ProjectFile(signers_of(project), render("allowed_signers"))
    template = f"policy-{'production' if is_production else 'sandbox'}.yaml"
    yield ProjectFile(policy, render(template, schema=_schema_beside(project, policy, "policy")))
    path = first_change_of(project)
    change = answers.activate or start.suggestion
    values: Mapping[str, Any] = {
        "schema": _schema_beside(project, path, "scenario"),
        "start": start,
        "target": name,
        "is_production": is_production,
        "change": change and {"activate": change.provider, "model": change.model},
        "is_given": answers.activate is not None,
        "hint": _describe_listed(start),
        "slow": dict.fromkeys((_FIRST_ACTIVE, change.provider)) if change else (),
    }
    yield ProjectFile(path, render(FIRST_CHANGE, **values))


def _pipeline_files(answers: Answers, start: StartingPoint, project: Project) -> Iterator[ProjectFile]:
    """Yield the pipeline, if one is asked for."""
    names = {GITHUB: ("github.yml", ".github/workflows/rollout.yml"), GITLAB: ("gitlab-ci.yml", GITLAB_FILE)}
    if answers.pipeline not in names:
        return
    template, place = names[answers.pipeline]
    text = render(
        template,
        scenario=_within(project, first_change_of(project)) or str(first_change_of(project)),
        reports=_within(project, project.reports) or str(project.reports),
        target=answers.target_name,
        token_env=start.token_env,
        wheel=WHEEL,
    )
    yield ProjectFile(project.root / place, text, is_shared=True, sign="rollout recover")


def _describe_listed(start: StartingPoint) -> str:
    """Return the names of the providers for a comment; one that no scenario can hold is left out."""
    names = [name for name in start.listed if Source("").accept((), validators.provider, name) is not None]
    return f"; the gateway lists {', '.join(names)}" if names else ""


def _within(project: Project, path: Path) -> str:
    """Return the path as it is written in the project's folder; empty where it is elsewhere."""
    return path.relative_to(project.root).as_posix() if path.is_relative_to(project.root) else ""


def _journal_within(project: Project) -> str:
    """Return the path of a journal's file below the project, unless the folder of the evidence holds it."""
    path = Path((project.journal or "").removeprefix(SQLITE))
    return "" if path.is_relative_to(project.reports) or not path.is_absolute() else _within(project, path)


def _schema_of(project: Project, name: str) -> Path:
    return project.scenarios / "schemas" / f"{name}.json"


def _schema_beside(project: Project, path: Path, name: str) -> str:
    """Return the path of a schema, counted from the folder of the file that names it."""
    return Path(os.path.relpath(_schema_of(project, name), path.parent)).as_posix()


def _explain_unusable(folder: Path) -> str:
    """Return why no file can be made in the folder; empty where one can."""
    if not folder.is_dir():
        return "is no folder; name another one, or move the file away"
    if not os.access(folder, os.W_OK | os.X_OK):
        return "cannot be written; name another folder, or mend its permissions"
    return ""
