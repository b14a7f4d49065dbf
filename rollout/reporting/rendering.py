"""Renders the templates of pages and documents.

In a page (``.html``) every value is escaped and shows its controls. A document (``.md``) passes what comes from outside
through the filter ``markdown``.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from rollout.core.text import markdown, one_line, table
from rollout.core.visible import show_controls
from rollout.reporting.timeline import clock

if TYPE_CHECKING:
    from jinja2 import Environment


def render(template: str, **values: Any) -> str:
    """Return a template of ``templates/`` with these values.

    A value that the template names and that is not given is an error, not an empty text.
    """
    return _environment().get_template(template).render(values)


@cache
def _environment() -> Environment:
    # Heavy, and only a page or a document needs it.
    from jinja2 import Environment, PackageLoader, StrictUndefined, pass_eval_context, select_autoescape  # noqa: PLC0415
    from jinja2.nodes import EvalContext  # noqa: PLC0415
    from markupsafe import Markup  # noqa: PLC0415

    @pass_eval_context
    def show(context: EvalContext, value: Any) -> Any:
        return show_controls(str(value)) if context.autoescape and not isinstance(value, Markup) else value

    environment = Environment(
        loader=PackageLoader("rollout.reporting"),
        autoescape=select_autoescape(),
        undefined=StrictUndefined,
        finalize=show,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"clock": clock, "markdown": markdown, "one_line": one_line, "table": _table}
    return environment


def _table(rows: Any, *header: str) -> str:
    return "\n".join(table(header, rows))
