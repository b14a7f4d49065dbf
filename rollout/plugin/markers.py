"""The marker that ties a check to its clause."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import pytest

from rollout.core.clauses import CLAUSES

Check = TypeVar("Check", bound=Callable[..., object])


def clause(id_: str) -> Callable[[Check], Check]:
    """Mark a check as the owner of a clause; the clause's phase becomes its marker too.

    Args:
        id_: as docs/TRACEABILITY.md lists it.

    Raises:
        KeyError: there is no such clause.
    """
    phase = CLAUSES[id_].phase

    def mark(check: Check) -> Check:
        marked: Check = pytest.mark.clause(id_)(getattr(pytest.mark, phase)(check))
        return marked

    return mark
