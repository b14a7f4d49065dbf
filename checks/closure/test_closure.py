"""The decision, as a visible row: kept, or rolled back."""

from __future__ import annotations

import pytest

from rollout.engine.closure import Closure
from rollout.reporting.allure import Show


@pytest.mark.closure
def test_the_change_is_kept(closure: Closure, show: Show) -> None:
    """The change is kept, or the reason why it was rolled back and every step of the rollback.

    Fails when the change was rolled back, when that failed, or when nothing was applied. Skipped while it is in flight.
    """
    show.facts("Decision", closure.facts())
    show.table("The rollback, step by step", closure.rollback)
    show.table("Not passed", [{"clause": clause, "why": why} for clause, why in closure.not_passed.items()])
    assert closure.is_kept, f"{closure.word}: {closure.why}"
