"""VER-4: nothing else changed."""

from __future__ import annotations

from collections.abc import Mapping

from rollout.core.result import Outcome
from rollout.plugin.markers import clause
from rollout.reporting.allure import Show


@clause("VER-4")
def test_nothing_else_changed(unintended: Outcome[Mapping[str, str]], show: Show) -> None:
    """Configuration and limits differ from the backup in the intended keys only.

    Fails when another key or limit changed, except those that the target declares as an activation's side effects.
    """
    show.facts("Unintended differences", dict(unintended.value))
    listed = "; ".join(f"{what}: {how}" for what, how in unintended.value.items())
    assert not unintended.value, f"more changed than was asked for: {listed}"
