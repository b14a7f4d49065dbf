"""Renders the templates of a new project's files."""

from __future__ import annotations

import shlex
from functools import cache
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from rollout.core.visible import on_one_line

_UNBROKEN = 10_000
"""The width up to which PyYAML keeps a value on one line."""


def render(template: str, **values: Any) -> str:
    """Return a template of ``templates/`` with these values; one that it names and that is not given is an error."""
    return _environment().get_template(template).render(values)


def inline(value: Any) -> str:
    """Return the value as YAML on one line: ``{activate: openai, model: gpt-4o}``."""
    dumped: str = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=_UNBROKEN, sort_keys=False)
    # The end mark of a document that is a scalar.
    return dumped.removesuffix("...\n").strip()


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("rollout.cli.init"),
        # Pipelines and shells have `{{` and `{#` of their own.
        variable_start_string="[[",
        variable_end_string="]]",
        comment_start_string="[#",
        comment_end_string="#]",
        autoescape=select_autoescape(),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"inline": inline, "one_line": on_one_line, "quoted": shlex.quote}
    return environment
