"""The request of a run: a scenario, the target it goes to, and the policy that rules there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from rollout.core.canonical_json import by_field_name, sha256, to_json
from rollout.core.limits import Limits
from rollout.core.policy import Policy, usual
from rollout.core.scenario import Monitor, Scenario
from rollout.core.target import Target

EMBEDDED = "embedded"
"""The target that always exists, and the effective URL of the gateway that is started on demand."""

ABOUT = "/sandbox/about"
"""The path at which an embedded gateway describes itself."""

_WHERE_IT_CAME_FROM = ("file", "source")
_LATER_IN_A_MONITOR = ("synthetic", "baseline_requests", "signals", "slices")
_LATER_IN_LIMITS = ("error_rate_rise", "fallback_share", "unexpected_share")
_LATER_IN_A_TARGET = ("restart", "startup_s", "providers", "stale_for_s", "fallbacks_are_normal")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a request was read from, which is no part of what it asks.

    Attributes:
        scenario: the scenario's file; None for one from the command line.
        targets: the targets' file; None where there is none.
        policy: the policy's file; None where the built-in ones rule.
        approvals: the folder with the approvals.
        anonymous: whether no author is named, so that the user of the process is the author.
        options: the options that the request depends on, ``--gateway=http://…``; `rollout approve` needs the same.
        moved: whether ``--gateway`` leads to another URL than the target's own.
        ruled: why production's policy rules where the embedded gateway's might; empty where it needs no explanation.
        notice: which keys of the targets' file have a new name; empty where none has.
    """

    scenario: Path | None = None
    targets: Path | None = None
    policy: Path | None = None
    approvals: Path = Path("approvals")
    anonymous: bool = False
    options: tuple[str, ...] = ()
    moved: bool = False
    ruled: str = ""
    notice: str = ""

    def header_lines(self) -> list[str]:
        """Return the header's lines about the files: why production's policy rules, and which keys have a new name."""
        return [f"{word}: {line}" for word, line in (("policy", self.ruled), ("deprecated", self.notice)) if line]

    def beside_policy(self, name: str | None) -> Path | None:
        """Return a file that the policy names, by its own folder: the owner of the policy owns this file too."""
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
        ``embedded`` for the gateway started on demand, whose port says nothing about the content. What a file leaves
        out that version 0.1 did not know is left out, so that its approvals stay valid for this content.
        """
        return sha256(
            {
                "scenario": self._scenario(),
                "target": self._target(),
                "policy": self._policy(),
                "url": effective_url,
            }
        )

    def _scenario(self) -> dict[str, Any]:
        found = {key: value for key, value in to_json(self.scenario).items() if key not in _WHERE_IT_CAME_FROM}
        startup_s = self.target.startup_s_of(None)
        found["changes"] = [_change(change, startup_s) for change in found["changes"]]
        found["rollback_to"] = _change(found["rollback_to"], startup_s)
        _leave_out(found["monitor"], _LATER_IN_A_MONITOR, to_json(Monitor()))
        _leave_out(found["monitor"]["limits"], _LATER_IN_LIMITS, to_json(Limits()))
        return found

    def _target(self) -> dict[str, Any]:
        found: dict[str, Any] = to_json(self.target)
        _leave_out(found, _LATER_IN_A_TARGET, to_json(Target(self.target.name, self.target.environment)))
        found["safe"] = _change(found["safe"], self.target.startup_s_of(None))
        return found

    def _policy(self) -> dict[str, Any]:
        silent = usual(self.policy.name)
        return {key: value for key, value in to_json(self.policy).items() if key not in silent or silent[key] != value}


def as_opened(body: Mapping[str, Any]) -> Request:
    """Return the request that a rollout was opened with, from the body of its journal's first entry.

    A key that a journal of version 0.1 does not know has the value of a file that does not state it.
    """
    kept = {name: body[name] for name in ("scenario", "target", "policy")}
    kept["target"] = by_field_name(Target, kept["target"])
    kept["policy"] = {**usual(kept["policy"].get("name", "")), **kept["policy"]}
    request: Request = _adapter().validate_python(kept)
    return request


def _leave_out(found: dict[str, Any], keys: Iterable[str], silent: Mapping[str, Any]) -> None:
    """Leave out of `found` each of the keys whose value is that of a file that does not state it."""
    for key in keys:
        if found[key] == silent[key]:
            del found[key]


def _change(change: Any, startup_s: float) -> Any:
    """Return a change as an approval covers it: an edit of the `.env` file with the start-up that it comes to."""
    if not isinstance(change, dict) or change.get("startup_s", 0.0) is not None:
        return change
    others = {key: value for key, value in change.items() if key != "startup_s"}
    return others if "provider" in change else {**others, "startup_s": startup_s}


@cache
def _adapter() -> Any:
    from pydantic import TypeAdapter  # noqa: PLC0415 - heavy, and only later phases need it

    # Made once: a process that reads many rollouts would build it for each of them.
    return TypeAdapter(Request)
