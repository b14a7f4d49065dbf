"""The questions of ``rollout init`` on a terminal: one for each answer that no option gives."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.prompt import Prompt
from rich.text import Text

from rollout.cli.init.answers import GATEWAY, PIPELINES, Answers, token_variable, usual_pipeline
from rollout.cli.init.starting_point import StartingPoint
from rollout.config.scenarios import parse_activation
from rollout.config.urls import base_url
from rollout.core.scenario import ProviderChange
from rollout.core.schemas import validators
from rollout.core.visible import beneath

T = TypeVar("T")


def ask_missing(answers: Answers, directory: Path, env: Mapping[str, str], *, gateway: bool) -> Answers:
    """Return the answers with those that are asked for, all but the first change.

    Args:
        answers: what the options say.
        directory: the project's folder.
        env: environment variables: the token must be set in it.
        gateway: whether a gateway is needed.

    Raises:
        EOFError: the input ends.
    """
    if gateway and answers.gateway is None:
        question = "URL of the gateway (empty: the embedded gateway, which is started on demand)"
        answers = replace(answers, gateway=_ask(question, _unless_empty(base_url)))
    if answers.gateway and answers.token_env is None:
        question = "Environment variable with its bearer token (empty: it asks for none)"
        answers = replace(answers, token_env=_ask(question, _unless_empty(lambda value: token_variable(value, env))))
    if answers.gateway and answers.target is None:
        answers = replace(answers, target=_ask("Name of the target", validators.name, GATEWAY))
    if answers.pipeline is None:
        question = f"Pipeline ({', '.join(PIPELINES)})"
        answers = replace(answers, pipeline=_ask(question, validators.choice(*PIPELINES), usual_pipeline(directory)))
    return answers


def ask_activation(start: StartingPoint) -> ProviderChange | None:
    """Return the first change; None where it is left open, and to be filled in later.

    Raises:
        EOFError: the input ends.
    """

    def read(value: str) -> ProviderChange:
        change = parse_activation(value)
        if reason := start.explain_unlisted(change):
            raise validators.InvalidValue(reason)
        return change

    usual = start.suggestion
    question = "First change, PROVIDER:MODEL" + ("" if usual else " (empty: fill it in later)")
    return _ask(question, _unless_empty(read), str(usual or ""))


def _ask(question: str, read: Callable[[str], T], usual: str = "") -> T:
    """Ask until the answer can be read."""
    console = Console(file=beneath(sys.stdout), highlight=False)
    while True:
        answer = Prompt.ask(Text(question), console=console, default=usual, show_default=bool(usual))
        try:
            return read(answer.strip())
        except ValueError as error:
            console.print(f"  {error}", markup=False)


def _unless_empty(read: Callable[[str], T]) -> Callable[[str], T | None]:
    return lambda value: read(value) if value else None
