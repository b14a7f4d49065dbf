"""What an examination finds, as data and as text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rollout.cli.doctor.probed_calls import ProbedCall
from rollout.gateway.costs import MAY_COST


@dataclass(frozen=True, slots=True)
class Deviation:
    """One deviation that shows: its number in docs/GATEWAY_API.md, and what was seen."""

    number: int
    seen: str


@dataclass(frozen=True, slots=True)
class Guarantee:
    """A promise of the suite, and whether it holds here: ``yes``, ``no`` or ``unknown``."""

    what: str
    can: str
    why: str


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found.

    Attributes:
        url: the base URL.
        name: what the target is called.
        token_env: the variable with the token; None where none was given.
        calls: every call that was probed.
        deviations: those that show.
        guarantees: what can be promised here.
        target: the target's settings, as ``targets.yaml`` has them.
    """

    url: str
    name: str
    token_env: str | None
    calls: tuple[ProbedCall, ...]
    deviations: tuple[Deviation, ...]
    guarantees: tuple[Guarantee, ...]
    target: Mapping[str, Any]

    @property
    def answers(self) -> bool:
        """Whether the gateway lists its providers, so that the suite can work with it."""
        return any(call.name == "providers" and call.answers for call in self.calls)


def describe_findings(found: Findings) -> str:
    """Return the findings as text."""
    lines = [f"{found.url}, read only", "", "calls"]
    lines += [f"  {'yes' if c.answers else 'NO ':<4} {c.name:<26} {c.path}: {c.result}" for c in found.calls]
    lines += ["", "what may cost money, none of which was sent; a rollout sends it at these clauses"]
    lines += [f"  {paid.method:<4} {paid.call}: {paid.why} ({paid.clauses})" for paid in MAY_COST]
    lines += ["", "deviations that show (numbers of docs/GATEWAY_API.md); what only a write shows is not among them"]
    lines += [f"  {each.number:>2}  {each.seen}" for each in found.deviations] or ["  none"]
    lines += ["", "what the suite can guarantee here"]
    lines += [f"  {each.can:<8} {each.what}: {each.why}" for each in found.guarantees]
    return "\n".join([*lines, ""])
