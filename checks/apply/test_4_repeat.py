"""APP-4: applying is idempotent."""

from __future__ import annotations

from rollout.changes import Repeated
from rollout.evidence import Show
from rollout.marks import clause
from rollout.outcome import Outcome


@clause("APP-4.1")
def test_applying_again_changes_nothing(repeated: Outcome[Repeated], show: Show) -> None:
    """Applying the same scenario again recognises what is in effect and sends no write.

    Fails when the change is not in effect, or when repeating it wrote to the gateway.
    """
    show.text("What happened", repeated.value.message)
    assert repeated.value.writes == 0, f"applying again sent {repeated.value.writes} write(s): {repeated.value.message}"
