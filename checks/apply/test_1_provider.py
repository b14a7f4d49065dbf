"""APP-1: the provider is tested, activated, and read back."""

from __future__ import annotations

from rollout.core.result import Outcome
from rollout.plugin.fixtures import AppliedSteps
from rollout.plugin.markers import clause
from rollout.reporting.allure import Show


@clause("APP-1.1")
def test_the_connection_is_tested_right_before(applied: Outcome[AppliedSteps], show: Show) -> None:
    """The new provider's connection test succeeds right before the activation.

    Fails when it does not; then nothing is activated.
    """
    show.text("What happened", applied.value.describe("APP-1.1"))


@clause("APP-1.2")
def test_the_gateway_reports_exactly_this_provider_and_model(applied: Outcome[AppliedSteps], show: Show) -> None:
    """The provider is activated with its model, and the gateway reports exactly them.

    Fails when the gateway refuses, loses the answer, or reports another provider or model.
    """
    show.text("What happened", applied.value.describe("APP-1.2"))
