"""Validators of Prometheus selectors and Alertmanager matchers."""

from __future__ import annotations

import re
from typing import Any

from rollout.config.validators import InvalidValue, require, text
from rollout.core import promql


def counter(value: Any) -> str:
    """Return an instant vector selector of raw counters, as it is written."""
    found = text(value)
    promql.parse(found)
    return found


def matcher(value: Any) -> str:
    """Return a matcher such as ``severity="critical"``, as it is written."""
    if isinstance(require(value), dict):
        raise InvalidValue("is a mapping; put the whole matcher in quotes: 'severity=\"critical\"'")
    found = promql.matcher(text(value))
    if found.operator in {"=~", "!~"}:
        try:
            re.compile(found.value)
        except re.error as error:
            raise InvalidValue(f"has a regular expression that is none ({error}); mend it or escape it") from None
    return str(found)
