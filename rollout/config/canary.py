"""The canary: the scenario's stages over the procedure's, judged against its target and policy (CAN)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from rollout.config import sanity_bounds
from rollout.config.changes import PlacedChange
from rollout.config.policies import SANDBOX
from rollout.config.schemas.scenarios import ImpactSchema, StrategySchema
from rollout.config.source import Place, Source
from rollout.core.canary_stages import ALL
from rollout.core.policy import Policy
from rollout.core.scenario import Canary, Impact, ProviderChange, Share
from rollout.core.target import Target
from rollout.core.units import show_duration, show_fraction

PLACE: Place = ("strategy",)
HIGH = "high"
_DEFAULT = Canary()


@dataclass(frozen=True, slots=True)
class StrategyRequest:
    """The parts of a scenario that its strategy is judged with.

    Attributes:
        source: the scenario.
        parsed: its strategy; None where it names none.
        impact: its impact assessment.
        changes: its changes.
        own_window: whether it says how long the window is.
    """

    source: Source
    parsed: StrategySchema | None
    impact: ImpactSchema | None
    changes: Sequence[PlacedChange]
    own_window: bool


def build_canary(parsed: StrategySchema | None, *, weights: bool) -> Canary | None:
    """Return the canary that a scenario asks for; None for none.

    Args:
        parsed: its strategy.
        weights: whether the target can split the traffic; where it cannot, the single-request test is all there is.
    """
    if parsed is None:
        return None
    shares = _DEFAULT.shares
    if parsed.stages is not None:
        shares = tuple(Share(stage.share, stage.lasts) for stage in parsed.stages)
    if parsed.single_request == "only" or not weights:
        shares = ()
    return Canary(shares, parsed.stabilise or _DEFAULT.stabilise_s)


def duration_s(planned: Canary) -> float:
    """Return how long a canary is watched, all stages together."""
    return sum(each.lasts_s for each in planned.shares) + planned.stabilise_s


def refuse_odd_strategy(requested: StrategyRequest, target: Target, policy: Policy, *, weights: bool) -> None:
    """Refuse a strategy that contradicts itself, that the target cannot follow, or that the policy does not accept.

    Args:
        requested: the strategy with what it is judged with.
        target: the scenario's target.
        policy: the target's policy.
        weights: whether the target can split the traffic.
    """
    _refuse_all_at_once(requested, policy, weights=weights)
    parsed, source = requested.parsed, requested.source
    if parsed is None:
        return
    _refuse_without_activation(requested)
    _refuse_stages(parsed, source)
    if requested.own_window:
        source.refuse(("monitor", "window"), "the stages of a canary say how long it is watched; remove it")
    if not weights and parsed.single_request != "only" and parsed.without_weights != "single_request":
        source.refuse(
            PLACE,
            f"target {target.name!r} has no `routing:`, so its traffic cannot move in stages; say how it is set "
            "(`routing: {set: …, read: …}`), or write `without_weights: single_request`",
        )
    _refuse_short(parsed, source, policy)
    if policy.name != SANDBOX:
        _refuse_long(parsed, source, policy)


def _refuse_all_at_once(requested: StrategyRequest, policy: Policy, *, weights: bool) -> None:
    if not policy.canary_at_high_risk or not is_high(requested.impact) or not _activations(requested):
        return
    if requested.parsed is None:
        requested.source.refuse(
            ("impact", "risk"), f"is high, and {policy.name} demands a canary then; add `strategy: canary`"
        )
    elif requested.parsed.single_request == "only" and weights:
        requested.source.refuse(
            (*PLACE, "single_request"),
            f"the risk is high, and {policy.name} demands all stages where the target splits its traffic; write true",
        )


def is_high(impact: ImpactSchema | None) -> bool:
    """Return whether the impact assessment calls the risk high: its first word decides."""
    return impact is not None and Impact(impact.risk, impact.affects, impact.cost).level == HIGH


def _activations(requested: StrategyRequest) -> list[tuple[Place, ProviderChange]]:
    return [(placed.place, placed.change) for placed in requested.changes if isinstance(placed.change, ProviderChange)]


def _refuse_without_activation(requested: StrategyRequest) -> None:
    activations = _activations(requested)
    if requested.changes and not activations:
        requested.source.refuse(PLACE, "moves traffic to a provider, and nothing is activated; remove it")
    for place, change in activations:
        if change.restart:
            requested.source.refuse(
                (*place, "restart"),
                "a canary moves traffic within moments and cannot wait for restarts; remove `strategy:`",
            )


def _refuse_stages(parsed: StrategySchema, source: Source) -> None:
    place: Place = (*PLACE, "stages")
    if parsed.stages is None:
        return
    if not parsed.stages:
        source.refuse(place, "is an empty list; write the stages, or remove it for the procedure's")
        return
    if parsed.single_request == "only":
        source.refuse(place, "stands beside `single_request: only`, which has no stages; remove one of the two")
    for number, (before, after) in enumerate(pairwise(parsed.stages), 1):
        if after.share <= before.share:
            words = f"{show_fraction(after.share)} is not more than the stage before ({show_fraction(before.share)})"
            source.refuse((*place, number, "share"), f"{words}; let the shares rise")
    if parsed.stages[-1].share != ALL:
        last = show_fraction(parsed.stages[-1].share)
        source.refuse((*place, len(parsed.stages) - 1, "share"), f"the last stage is {last}; let it be 100%")


def _refuse_short(parsed: StrategySchema, source: Source, policy: Policy) -> None:
    """Refuse a stage that is shorter than the shortest window that the policy accepts: each is a window of its own."""
    least = policy.window_at_least_s
    asks = f"is shorter than a window that {policy.name} accepts ({show_duration(least)}); raise it"
    for number, stage in enumerate(parsed.stages or ()):
        if stage.lasts < least:
            source.refuse((*PLACE, "stages", number, "for"), f"{show_duration(stage.lasts)} {asks}")
    if parsed.stabilise is not None and parsed.stabilise < least:
        source.refuse((*PLACE, "stabilise"), f"{show_duration(parsed.stabilise)} {asks}")


def _refuse_long(parsed: StrategySchema, source: Source, policy: Policy) -> None:
    """Refuse a stage that is longer than the longest window: each is a window of its own."""
    longest = sanity_bounds.MONITOR["window"]
    lasting: list[tuple[Place, float]] = [
        *((("stages", number, "for"), stage.lasts) for number, stage in enumerate(parsed.stages or ())),
        (("stabilise",), parsed.stabilise or 0.0),
    ]
    for place, lasts_s in lasting:
        if words := longest.refusal(lasts_s, policy.name):
            source.refuse((*PLACE, *place), words)
