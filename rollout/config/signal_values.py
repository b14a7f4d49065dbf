"""What a scenario may say of its signals: limits, factors and expressions of PromQL."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from rollout.core import promql
from rollout.core.schemas.validators import InvalidValue, text
from rollout.core.units import shown

_LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def limit_or_factor(value: Any) -> Any:
    """Return a limit alone as the mapping that it abbreviates; anything else as it is."""
    return value if isinstance(value, Mapping) else {"limit": value}


def level(value: Any) -> float:
    """Return a limit for a number: finite, and at least 0."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise InvalidValue(f"{shown(value)} is not a number; write a plain one such as 20 or 0.5")
    if not 0 <= value < math.inf:
        raise InvalidValue(f"{shown(value)} is out of range; it must be a finite number, at least 0")
    return float(value)


def expression(value: Any) -> str:
    """Return an expression of PromQL whose result can be one number, as far as its text tells."""
    found = text(value)
    try:
        promql.check_expression(found)
    except ValueError as problem:
        raise InvalidValue(str(problem)) from None
    return found


def label(value: Any) -> str:
    """Return the name of a label of Prometheus."""
    found = text(value)
    if not _LABEL.fullmatch(found):
        raise InvalidValue(f"{shown(value)} is no label of Prometheus; write one such as model")
    return found


def refuse_no_limit(given: Collection[str], example: str) -> None:
    """Refuse a signal without a limit, and one with two.

    Raises:
        ValueError: not exactly one of `limit` and `factor` is given.
    """
    limits = [key for key in ("limit", "factor") if key in given]
    if not limits:
        raise ValueError(f"has no limit, so it could never breach; add a `limit` or a `factor`, as in `{example}`")
    if len(limits) > 1:
        raise ValueError("has both a limit and a factor; remove one of the two")


def refuse_same_names(names: Sequence[str]) -> None:
    """Refuse two signals of one name: a verdict could not say which of them breaches.

    Raises:
        ValueError: a name occurs twice.
    """
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"has two promql signals called {shown(twice)}; give each a `name` of its own")
