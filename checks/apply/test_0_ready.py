"""APP-0: the gateway is unchanged since the backup, and a rollback is possible."""

from __future__ import annotations

from collections.abc import Mapping

from rollout.core.result import Outcome
from rollout.plugin.markers import clause
from rollout.reporting.allure import Show


@clause("APP-0.1")
def test_the_gateway_still_equals_the_backup(changed_meanwhile: Outcome[Mapping[str, str]], show: Show) -> None:
    """The gateway still equals the backup, and the precheck's findings still hold.

    Fails when the gateway was changed, when the clearance is too old, or when health or alerts got worse.
    """
    show.facts("Differences", dict(changed_meanwhile.value))
    listed = "; ".join(f"{what}: {how}" for what, how in changed_meanwhile.value.items())
    assert not changed_meanwhile.value, f"changed since the backup: {listed}; run `pytest -m precheck` again"


@clause("APP-0.2")
def test_the_rollback_is_proven(rollback_proof: Outcome[str], show: Show) -> None:
    """Activating the current provider and model once more succeeds.

    Fails when the gateway refuses it: it would refuse a rollback too, so nothing is applied.
    """
    show.text("Proof", rollback_proof.value)
