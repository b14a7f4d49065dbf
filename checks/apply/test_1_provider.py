"""APP-1: the provider is tested, activated, and read back."""

from __future__ import annotations

from rollout.evidence import Show
from rollout.gateway.answers import ConnectionTest
from rollout.marks import clause
from rollout.outcome import Outcome
from rollout.scenario import ProviderChange


@clause("APP-1.1")
def test_the_connection_is_tested_right_before(
    connection_before: Outcome[ConnectionTest], change: ProviderChange, show: Show
) -> None:
    """The new provider's connection test succeeds right before the activation.

    Fails when it does not; then nothing is activated.
    """
    tested = connection_before.value
    show.json("Response", tested)
    assert tested.succeeded, f"{change.provider} is {tested.connection_status}: {tested.message}; nothing was activated"


@clause("APP-1.2")
def test_the_gateway_reports_exactly_this_provider_and_model(activation: Outcome[str], show: Show) -> None:
    """The provider is activated with its model, and the gateway reports exactly them.

    Fails when the gateway refuses, loses the answer, or reports something else than it was told.
    """
    show.text("What happened", activation.value)
