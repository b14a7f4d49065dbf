"""What a policy accepts: kinds and classes of change, waivers, and the sources that a target must have."""

from __future__ import annotations

from collections.abc import Sequence

from rollout.config.changes import PlacedChange
from rollout.config.schemas.scenarios import WaiverSchema
from rollout.config.source import Place, Source
from rollout.core.policy import Policy
from rollout.core.scenario import Impact
from rollout.core.standard_changes import kind_of, why_not
from rollout.core.target import Target


def refuse_kinds(changes: Sequence[PlacedChange], policy: Policy, source: Source) -> None:
    """Refuse a change of a kind that the policy does not allow."""
    for placed in changes:
        if (kind := kind_of(placed.change)) not in policy.allowed_changes:
            allowed = " and ".join(sorted(policy.allowed_changes))
            source.refuse(placed.place, f"is of kind {kind}, and {policy.name} allows {allowed} only; remove it")


def refuse_not_standard(changes: Sequence[PlacedChange], impact: Impact | None, policy: Policy, source: Source) -> None:
    """Refuse a scenario that calls itself standard and is not what the policy has approved beforehand."""
    for placed in changes:
        if why := why_not(placed.change, impact, policy):
            source.refuse(("class",), f"{why}; write `class: normal` and have it reviewed")


def refuse_odd_waivers(waivers: Sequence[WaiverSchema], author: str, source: Source) -> None:
    """Refuse a waiver that its author grants, and a second one of a clause."""
    seen: set[str] = set()
    for number, waiver in enumerate(waivers):
        place: Place = ("waivers", number)
        if waiver.granted_by.casefold() == author.casefold():
            source.refuse((*place, "granted_by"), f"{author} is the author; another person has to grant a waiver")
        if waiver.clause in seen:
            source.refuse((*place, "clause"), f"{waiver.clause} is waived above already; keep one of the two")
        seen.add(waiver.clause)


def refuse_missing_sources(target: Target, place: Place, policy: Policy, source: Source) -> None:
    """Refuse a target without a source that its policy requires; an embedded gateway has a log of its own."""
    has_log = target.url is None or target.log_file is not None or bool(target.log_command)
    there = {
        "prometheus": ("sources", target.sources.prometheus is not None, "`sources: {prometheus: …}`"),
        "alertmanager": ("sources", target.sources.alertmanager is not None, "`sources: {alertmanager: …}`"),
        "log": ("log_file", has_log, "`log_file:` or `log_command:`"),
    }
    for name in sorted(policy.required_sources):
        key, is_there, how = there[name]
        if not is_there:
            source.refuse((*place, key), f"{policy.name} requires the source {name} for every window; add {how}")
