"""The driver of gateways with the documented API."""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel

from rollout.core.kinds import DEFAULT_KIND
from rollout.core.schemas.deviations import DeviationsSchema


class Documented:
    """Speaks the API of docs/GATEWAY_API.md.

    Attributes:
        kind: its name in a target.
        summary: what it is, one line.
        settings: what ``settings:`` of a target may say.
    """

    kind: ClassVar[str] = DEFAULT_KIND
    summary: ClassVar[str] = "the API of docs/GATEWAY_API.md; the settings are a gateway's deviations from it"
    settings: ClassVar[type[BaseModel]] = DeviationsSchema
