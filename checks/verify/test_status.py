"""VER-1: the new provider is connected."""

from __future__ import annotations

from rollout.core.result import Outcome
from rollout.core.scenario import ProviderChange
from rollout.gateway.responses import Connection
from rollout.plugin.markers import clause
from rollout.reporting.allure import Show


@clause("VER-1")
def test_the_provider_is_connected(
    connection_now: Outcome[Connection], status_diagnosis: tuple[str, ...], change: ProviderChange, show: Show
) -> None:
    """The provider's connection status is `connected`.

    Fails with every other status, `unknown` included.
    """
    connection = connection_now.value
    show.facts("Status", connection)
    show.diagnosis(*status_diagnosis)
    assert connection.status == "connected", f"{change.provider} is {connection.status}: {connection.message}"
