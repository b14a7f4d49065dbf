"""The answers that ``rollout init`` works with: what its options and its questions say, each checked as it is read."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from rollout.config.load import explain_unusable_token
from rollout.config.scenarios import parse_activation
from rollout.config.source import Source
from rollout.config.urls import base_url
from rollout.core.errors import Problem
from rollout.core.request import EMBEDDED
from rollout.core.scenario import ProviderChange
from rollout.core.schemas import validators

GITHUB, GITLAB, NO_PIPELINE = "github", "gitlab", "none"
PIPELINES = (GITHUB, GITLAB, NO_PIPELINE)
GITLAB_FILE = ".gitlab-ci.yml"

GATEWAY = "gateway"
"""What a target is called that is given no name."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Answers:
    """What is known of the project; None where neither an option nor a question says anything.

    Attributes:
        gateway: the base URL; None stands for the embedded gateway.
        token_env: the variable with the bearer token; None sends none.
        target: what the target is called.
        activate: the first change; None takes the one that the gateway suggests.
        pipeline: one of `PIPELINES`.
    """

    gateway: str | None = None
    token_env: str | None = None
    target: str | None = None
    activate: ProviderChange | None = None
    pipeline: str | None = None

    @property
    def target_name(self) -> str:
        """What the target is called, by default too."""
        return self.target or (GATEWAY if self.gateway else EMBEDDED)


def read_options(args: argparse.Namespace, env: Mapping[str, str], problems: list[Problem]) -> Answers:
    """Return what the options say; every mistake is added to the problems."""

    def accept(option: str, read: Callable[[str], T], value: str | None) -> T | None:
        source = Source(option)
        found = None if value is None else source.accept((), read, value)
        problems.extend(source.problems)
        return found

    return Answers(
        gateway=accept("--gateway", base_url, args.gateway),
        token_env=accept("--token-env", lambda value: token_variable(value, env), args.token_env),
        target=accept("--target", validators.name, args.target),
        activate=accept("--activate", parse_activation, args.activate),
        pipeline=args.ci,
    )


def token_variable(value: str, env: Mapping[str, str]) -> str:
    """Return the name of the variable with the gateway's token.

    Raises:
        ValueError: it is no name, or the variable holds no token.
    """
    name = validators.variable(value)
    if reason := explain_unusable_token(env.get(name, "")):
        raise validators.InvalidValue(f"the environment variable {name} {reason}")
    return name


def find_contradictions(answers: Answers) -> Iterator[Problem]:
    """Yield what one answer says against another."""
    if answers.token_env and not answers.gateway:
        yield Problem(
            "--token-env", None, "", "names the token of a gateway, and no gateway is named; add --gateway=URL"
        )
    if answers.gateway and answers.target == EMBEDDED:
        yield Problem(
            "--target",
            None,
            "",
            f"{EMBEDDED!r} is the gateway that is started on demand; write another name, or leave out --gateway",
        )


def usual_pipeline(directory: Path) -> str:
    """Return the pipeline of a project that names none: GitLab's where its file is there already, else GitHub's."""
    root = repository_of(directory) or directory
    return GITLAB if (root / GITLAB_FILE).is_file() else GITHUB


def repository_of(directory: Path) -> Path | None:
    """Return the root of the git repository that holds the folder; None where there is none."""
    folder = directory.absolute()
    return next((one for one in (folder, *folder.parents) if (one / ".git").exists()), None)
