"""The stages of a canary: how much of the traffic, for how long, and which clause covers it (CAN-2, CAN-3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rollout.core.scenario import ProviderChange, Scenario
from rollout.core.units import show_duration, show_fraction

ALL = 1.0
STABILISE = "CAN-3"

_CLAUSES = ((0.25, "CAN-2.1"), (0.5, "CAN-2.2"), (ALL, "CAN-2.3"))
"""Below this share -> the clause that covers it; all of the traffic is CAN-2.4."""

CLAUSES = (*(clause for _, clause in _CLAUSES), "CAN-2.4", STABILISE)
"""Every clause that a stage can have, in the procedure's order."""

_DIGITS = 6
"""Weights are compared to so many digits: gateways compute with floating-point numbers."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage: a monitoring window of its own.

    Attributes:
        clause: the clause that covers it.
        share: fraction above 0 and up to 1 of the requests that the new provider gets.
        lasts_s: how long it is watched.
    """

    clause: str
    share: float
    lasts_s: float

    @property
    def name(self) -> str:
        """The stage's name in the journal, unique within a canary: ``CAN-2.1 10%``."""
        return f"{self.clause} {show_fraction(self.share)}"

    @property
    def is_all(self) -> bool:
        """Whether the new provider gets every request."""
        return self.share == ALL

    def __str__(self) -> str:
        """Read as ``10% of the traffic for 1h``."""
        return f"{show_fraction(self.share)} of the traffic for {show_duration(self.lasts_s)}"


def stages(scenario: Scenario) -> tuple[Stage, ...]:
    """Return the stages of the scenario's canary, the stabilisation last; none where it is no canary."""
    canary = scenario.canary
    if canary is None:
        return ()
    return (
        *(Stage(clause_of(each.share), round(each.share, _DIGITS), each.lasts_s) for each in canary.shares),
        Stage(STABILISE, ALL, canary.stabilise_s),
    )


def is_staged(scenario: Scenario) -> bool:
    """Return whether the traffic moves over in stages, so that the activation is the last of them."""
    return scenario.canary is not None and bool(scenario.canary.shares)


def clause_of(share: float) -> str:
    """Return the clause that covers a share; the procedure's 10, 25, 50 and 100 % are CAN-2.1 to CAN-2.4."""
    return next((clause for below, clause in _CLAUSES if share < below), "CAN-2.4")


def weights_at(share: float, new: str, previous: str) -> dict[str, float]:
    """Return destination -> weight when the new provider gets `share` of the requests."""
    rest = round(ALL - share, _DIGITS)
    return {new: share, previous: rest} if rest else {new: share}


def same_weights(one: Mapping[str, float], other: Mapping[str, float]) -> bool:
    """Return whether two sets of weights split the traffic alike; destinations are case-insensitive."""
    return _rounded(one) == _rounded(other)


def share_of(weights: Mapping[str, float], destination: str, *, is_active: bool) -> float:
    """Return the fraction of the requests that a destination gets.

    Args:
        weights: in effect; without any, the active provider gets everything.
        destination: whose share.
        is_active: whether it is the active provider and model.
    """
    if not weights:
        return ALL if is_active else 0.0
    return _rounded(weights).get(destination.casefold(), 0.0)


def show_weights(weights: Mapping[str, float]) -> str:
    """Return weights in words: ``openai:gpt-4o 10%, ollama:gemma3:4b 90%``."""
    return ", ".join(f"{name} {show_fraction(weight)}" for name, weight in weights.items()) or "no weights"


def destination(to: ProviderChange, template: str) -> str:
    """Return the gateway's name for provider and model; `template` has ``{provider}`` and perhaps ``{model}`` in it."""
    return template.replace("{provider}", to.provider).replace("{model}", to.model)


def _rounded(weights: Mapping[str, float]) -> dict[str, float]:
    shares = {name.casefold(): round(weight, _DIGITS) for name, weight in weights.items()}
    return {name: share for name, share in shares.items() if share}
