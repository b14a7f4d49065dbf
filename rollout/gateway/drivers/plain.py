"""The parts of a driver that most kinds of gateways have alike: a driver's own begins here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rollout.core.errors import GatewayError
from rollout.core.recognition import Get, Recognition
from rollout.core.scenario import ProviderChange
from rollout.core.writes import ReadCall

if TYPE_CHECKING:
    from rollout.gateway.calls import Call


class PlainDriver:
    """A gateway that reports its providers by the names that activate them, and splits no requests."""

    @classmethod
    def recognise(cls, _get: Get) -> Recognition | None:
        """Return None: nothing over HTTP shows this kind."""
        return None

    def validate(self, _contents: Mapping[Path, bytes]) -> tuple[str, ...]:
        """Return nothing: no content of a file is known to break the service."""
        return ()

    def advise(self, _call: Call, _status: int, _reason: str) -> str:
        """Return nothing: no setting is known to mend a refused write."""
        return ""

    def destination(self, of: ProviderChange) -> str:
        """Refuse: the requests are not split."""
        raise GatewayError(f"weights of {of}", "this kind of gateway splits no requests")

    def paid_reads(self) -> Iterator[str]:
        """Yield nothing: no read costs money."""
        yield from ()

    def active_calls(self) -> tuple[ReadCall, ...]:
        """Return none: no single call shows the active provider."""
        return ()

    def place_in(self, _answers: Sequence[Any]) -> ProviderChange | None:
        """Return None: an emergency begins without the active provider."""
        return None

    def activated_as(self, reported: str) -> str:
        """Return the name itself."""
        return reported

    def reported_as(self, provider: str) -> str:
        """Return the name itself."""
        return provider
