"""APP-4: applying is idempotent."""

from __future__ import annotations

from rollout.changes.catalogue import Repeated
from rollout.core.result import Outcome
from rollout.plugin.markers import clause
from rollout.reporting.allure import Show


@clause("APP-4.1")
def test_applying_again_changes_nothing(repeated: Outcome[Repeated], show: Show) -> None:
    """Applying the same scenario again recognises what is in effect and sends no write.

    Fails when the change is not in effect, or when repeating it wrote to the gateway.
    """
    show.text("What happened", repeated.value.message)
    assert repeated.value.writes == 0, f"applying again sent {repeated.value.writes} write(s): {repeated.value.message}"
