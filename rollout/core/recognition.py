"""What shows that a gateway is of a kind, and what a target of that kind has to say (`rollout doctor`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to one GET.

    Attributes:
        status: the HTTP status.
        headers: names in lower case.
        body: complete.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


Get = Callable[[str], Reply | None]
"""Sends a GET to a path, once, and returns its answer; None where there is none."""


@dataclass(frozen=True, slots=True)
class Recognition:
    """What a driver says of a gateway that it was shown.

    Attributes:
        shown_by: what was seen, one sentence.
        is_certain: whether no other kind answers so.
        settings: the settings of the kind, as far as they were seen.
        unknown: what cannot be found out, each with how to, in sentences.
    """

    shown_by: str
    is_certain: bool
    settings: Mapping[str, Any] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()
