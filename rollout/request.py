"""What this run is asked to do: a scenario, the target it goes to, and the policy that rules there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from rollout.canonical import plain, sha256
from rollout.policy import Policy
from rollout.scenario import Scenario
from rollout.target import Target

EMBEDDED = "embedded"
"""The target that always exists, and the effective URL of the gateway that is started on demand."""

_WHERE_IT_CAME_FROM = ("file", "source")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a request was read from, which is no part of what it asks.

    Attributes:
        scenario: the scenario's file; None for one from the command line.
        targets: the targets' file; None where there is none.
        policy: the policy's file; None where the built-in ones rule.
        approvals: the folder with the approvals.
        anonymous: whether nobody is named as author, so that it is whoever runs it.
        options: the options that had a part in it, ``--gateway=http://…``; whoever approves it gives the same.
        moved: whether ``--gateway`` leads to another URL than the target's own.
    """

    scenario: Path | None = None
    targets: Path | None = None
    policy: Path | None = None
    approvals: Path = Path("approvals")
    anonymous: bool = False
    options: tuple[str, ...] = ()
    moved: bool = False

    def beside_policy(self, name: str | None) -> Path | None:
        """Return a file that the policy names, by its own folder: who places the policy places this too."""
        return None if name is None else (self.policy or Path()).parent / name


@dataclass(frozen=True, slots=True)
class Request:
    """One validated request.

    Attributes:
        scenario: what is asked.
        target: the gateway it goes to, with ``--target`` and ``--gateway`` applied.
        policy: what the target's environment demands at least.
        origin: where all this was read.
    """

    scenario: Scenario
    target: Target
    policy: Policy
    origin: Origin = field(default_factory=Origin)

    def digest(self, effective_url: str) -> str:
        """Return the SHA-256 that an approval and a clearance are given for (PRE-2.2, PRE-3.3).

        It covers everything but where the scenario was read from. `effective_url` is the target's URL, or
        ``embedded`` for the gateway started on demand, whose port says nothing about the content.
        """
        scenario = {key: value for key, value in plain(self.scenario).items() if key not in _WHERE_IT_CAME_FROM}
        return sha256({"scenario": scenario, "target": self.target, "policy": self.policy, "url": effective_url})


def as_opened(body: Mapping[str, Any]) -> Request:
    """Return the request that a rollout was opened with, from the body of its journal's first entry."""
    kept = {name: body[name] for name in ("scenario", "target", "policy")}
    request: Request = _adapter().validate_python(kept)
    return request


@cache
def _adapter() -> Any:
    from pydantic import TypeAdapter  # noqa: PLC0415 - heavy, and only those who come later need it

    # Made once: whoever reads many rollouts would wait for it each time.
    return TypeAdapter(Request)
