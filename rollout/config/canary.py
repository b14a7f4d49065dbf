"""The canary: the scenario's stages over the procedure's, judged against its target and policy (CAN)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from rollout.config import sanity_bounds
from rollout.config.capabilities import why_no_weights
from rollout.config.changes import PlacedChange
from rollout.config.policies import SANDBOX
from rollout.config.schemas.scenarios import ScenarioSchema, StrategySchema
from rollout.config.source import Place, Source
from rollout.core.canary_stages import ALL
from rollout.core.policy import Policy
from rollout.core.scenario import Canary, Impact, ProviderChange
from rollout.core.target import Target
from rollout.core.units import show_duration, show_fraction

PLACE: Place = ("strategy",)


def build_canary(parsed: StrategySchema | None, *, weights: bool) -> Canary | None:
    """Return the canary that a scenario asks for; None for none.

    Args:
        parsed: its strategy.
        weights: whether the target can split the traffic; where it cannot, the single-request test is all there is.
    """
    if parsed is None:
        return None
    planned = parsed.build(Canary)
    has_stages = weights and parsed.single_request != "only"
    return planned if has_stages else replace(planned, shares=())


def duration_s(planned: Canary) -> float:
    """Return how long a canary is watched, all stages together."""
    return sum(each.lasts_s for each in planned.shares) + planned.stabilise_s


def refuse_odd_strategy(
    parsed: ScenarioSchema,
    changes: Sequence[PlacedChange],
    source: Source,
    target: Target,
    policy: Policy,
    *,
    weights: bool,
) -> None:
    """Refuse a strategy that contradicts itself, that the target cannot follow, or that the policy does not accept.

    Args:
        parsed: the scenario with the strategy.
        changes: its changes.
        source: its file.
        target: its target.
        policy: the target's policy.
        weights: whether the target can split the traffic.
    """
    strategy = parsed.strategy
    activations = {placed.place: placed.change for placed in changes if isinstance(placed.change, ProviderChange)}
    # The first word of the risk decides.
    if activations and policy.canary_at_high_risk and parsed.impact and parsed.impact.build(Impact).level == "high":
        _refuse_all_at_once(strategy, source, policy, weights=weights)
    if strategy is None:
        return
    if changes and not activations:
        source.refuse(PLACE, "moves traffic to a provider, and nothing is activated; remove it")
    for place, change in activations.items():
        if change.restart:
            source.refuse(
                (*place, "restart"),
                "a canary moves traffic within moments and cannot wait for restarts; remove `strategy:`",
            )
    _refuse_stages(strategy, source)
    if parsed.monitor is not None and parsed.monitor.window_s is not None:
        source.refuse(("monitor", "window"), "the stages of a canary say how long it is watched; remove it")
    if not weights and strategy.single_request != "only" and strategy.without_weights != "single_request":
        source.refuse(
            PLACE,
            f"traffic cannot move in stages on target {target.name!r}: {why_no_weights(target)}; "
            "write `without_weights: single_request`, which moves all of it at once",
        )
    _refuse_lengths(strategy, source, policy)


def _refuse_all_at_once(parsed: StrategySchema | None, source: Source, policy: Policy, *, weights: bool) -> None:
    if parsed is None:
        source.refuse(("impact", "risk"), f"is high, and {policy.name} demands a canary then; add `strategy: canary`")
    elif parsed.single_request == "only" and weights:
        source.refuse(
            (*PLACE, "single_request"),
            f"the risk is high, and {policy.name} demands all stages where the target splits its traffic; write true",
        )


def _refuse_stages(parsed: StrategySchema, source: Source) -> None:
    place: Place = (*PLACE, "stages")
    if parsed.shares is None:
        return
    if not parsed.shares:
        source.refuse(place, "is an empty list; write the stages, or remove it for the procedure's")
        return
    if parsed.single_request == "only":
        source.refuse(place, "stands beside `single_request: only`, which has no stages; remove one of the two")
    for number, (before, after) in enumerate(pairwise(parsed.shares), 1):
        if after.share <= before.share:
            source.refuse(
                (*place, number, "share"),
                f"{show_fraction(after.share)} is not more than the stage before ({show_fraction(before.share)}); "
                "let the shares rise",
            )
    last = parsed.shares[-1].share
    if last != ALL:
        source.refuse(
            (*place, len(parsed.shares) - 1, "share"), f"the last stage is {show_fraction(last)}; let it be 100%"
        )


def _refuse_lengths(parsed: StrategySchema, source: Source, policy: Policy) -> None:
    """Refuse a stage shorter or longer than the windows that the policy accepts: each is a window of its own."""
    lasting: list[tuple[Place, float]] = [
        (("stages", number, "for"), stage.lasts_s) for number, stage in enumerate(parsed.shares or ())
    ]
    if parsed.stabilise_s is not None:
        lasting.append((("stabilise",), parsed.stabilise_s))
    least = policy.window_at_least_s
    for place, lasts_s in lasting:
        if lasts_s < least:
            source.refuse(
                (*PLACE, *place),
                f"{show_duration(lasts_s)} is shorter than a window that {policy.name} accepts "
                f"({show_duration(least)}); raise it",
            )
    for place, lasts_s in lasting:
        if policy.name != SANDBOX and (words := sanity_bounds.MONITOR["window"].refusal(lasts_s, policy.name)):
            source.refuse((*PLACE, *place), words)
