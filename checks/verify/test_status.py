"""VER-1: the new provider is connected."""

from __future__ import annotations

from rollout.evidence import Show
from rollout.gateway.answers import Connection
from rollout.marks import clause
from rollout.outcome import Outcome
from rollout.scenario import ProviderChange


@clause("VER-1")
def test_the_provider_is_connected(
    connection_now: Outcome[Connection], status_diagnosis: tuple[str, ...], change: ProviderChange, show: Show
) -> None:
    """The provider's connection status is `connected`.

    Fails on every other word, `unknown` included.
    """
    connection = connection_now.value
    show.facts("Status", connection)
    show.diagnosis(*status_diagnosis)
    assert connection.status == "connected", f"{change.provider} is {connection.status}: {connection.message}"
