"""What a scenario and its policy need of a gateway, and the gateway lacks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rollout.config.capabilities import lacking_of
from rollout.config.changes import PlacedChange
from rollout.config.monitoring import Layer, refuse_key
from rollout.config.schemas.scenarios import WaiverSchema
from rollout.config.source import Place, Source
from rollout.core.applicability import OBSERVES, find_inapplicable
from rollout.core.capabilities import Capability
from rollout.core.clauses import why_never_left_out
from rollout.core.policy import Policy
from rollout.core.scenario import LimitChange, Monitor
from rollout.core.target import Target

_KINDS = {"cost": Capability.COST_LIMITS, "rate": Capability.RATE_LIMITS}
_SOURCES = {Capability.ALERTS: "alertmanager", Capability.COUNTERS: "prometheus"}


def refuse_lacking_limits(changes: Iterable[PlacedChange], target: Target, source: Source) -> None:
    """Refuse a change of limits that the gateway does not have."""
    lacking = lacking_of(target)
    for placed in changes:
        if isinstance(placed.change, LimitChange) and (why := lacking.get(_KINDS[placed.change.kind])):
            source.refuse(
                placed.place,
                f"sets {placed.change.kind} limits, and the gateway of target {target.name!r} has none: {why}; "
                "remove it",
            )


def refuse_unmeasured(layers: Sequence[Layer], planned: Monitor, target: Target) -> None:
    """Refuse a bake time in which nothing counts errors, or costs that it limits."""
    why = lacking_of(target).get(Capability.COUNTERS)
    if not why:
        return
    remedy = "name Prometheus (`sources: {prometheus: …}`) in the target"
    if not planned.in_turn:
        refuse_key(
            layers,
            "probes",
            f"are off, and the gateway of target {target.name!r} counts no requests: {why}; so nothing would measure "
            f"errors and latency (MON-2, MON-3); send some, or {remedy}",
        )
    if planned.signals is not None and planned.signals.cost_per_1k is not None:
        refuse_key(
            layers,
            "signals",
            f"cost_per_1k is counted by the gateway, and that of target {target.name!r} counts nothing: {why}; "
            "write an expression under `promql` in its place",
        )


def refuse_lacking_required(
    waived: Iterable[str], policy: Policy, target: Target, place: Place, source: Source
) -> None:
    """Refuse a target whose gateway lacks what a clause observes that the policy requires and nothing else gives.

    Args:
        waived: the clauses that the scenario waives.
        policy: names the clauses.
        target: the target.
        place: where it stands in `source`.
        source: the targets' file.
    """
    inapplicable = find_inapplicable(lacking_of(target))
    for clause in sorted(policy.required & inapplicable.keys() - set(waived)):
        others = "".join(f"add `sources: {{{name}: …}}`, or " for name in _other_sources(clause))
        source.refuse(
            (*place, "sources"),
            f"{policy.name} requires {clause}, which is not applicable here: {inapplicable[clause]}; "
            f"{others}waive {clause} in the scenario",
        )


def refuse_needless_waivers(waivers: Sequence[WaiverSchema], target: Target, source: Source) -> None:
    """Refuse a waiver of a clause that may be waived only where the gateway lacks what the clause observes."""
    inapplicable = find_inapplicable(lacking_of(target))
    for number, waiver in enumerate(waivers):
        why = why_never_left_out(waiver.clause)
        if why and waiver.clause not in inapplicable:
            source.refuse(("waivers", number, "clause"), f"{waiver.clause} cannot be waived: {why}")


def _other_sources(clause: str) -> Iterator[str]:
    """Yield the sources of a target that give what the clause observes."""
    yield from (_SOURCES[each] for each in OBSERVES[clause] if each in _SOURCES)
