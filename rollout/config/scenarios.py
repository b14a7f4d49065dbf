"""A scenario, from its file or from the command line."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rollout.config import canary, validators
from rollout.config.changes import PlacedChange, read_changes
from rollout.config.feasibility import refuse_impossible, refuse_restart
from rollout.config.monitoring import Layer, apply_policy, merge_layers, refuse_loose, refuse_no_room
from rollout.config.policies import SANDBOX
from rollout.config.policy_rules import refuse_kinds, refuse_not_standard, refuse_odd_waivers
from rollout.config.restarts import add_restart
from rollout.config.schemas.activations import CompleteActivationSchema
from rollout.config.schemas.scenarios import ScenarioSchema
from rollout.config.source import Place, Source
from rollout.config.targets import ListedTarget, build_activation
from rollout.config.urls import is_loopback
from rollout.config.validation import fill_schema
from rollout.core.policy import Policy
from rollout.core.scenario import ChangeClass, Impact, Monitor, Operator, ProviderChange, Scenario, Waiver

CheckSandbox = Callable[[Mapping[str, Any]], Iterable[tuple[str, str]]]
"""Returns (path, message) for everything that is wrong with a scenario's ``sandbox:``."""

_EXAMPLE = "change: {activate: openai, model: gpt-4o}"


@dataclass(frozen=True, slots=True)
class ScenarioRequest:
    """A scenario as it is read, before its target is known.

    Attributes:
        source: the file or the option.
        parsed: its keys.
        name: the name of a scenario without `name:`.
        ticket: what ``--ticket`` says.
        author: the user who runs it, for a scenario without `author:`.
        changes: its changes.
        file: its file; None for the command line.
    """

    source: Source
    parsed: ScenarioSchema
    name: str
    ticket: str | None
    author: str
    changes: tuple[PlacedChange, ...] = ()
    file: Path | None = None


def read_file(path: Path, source: Source, ticket: str | None, env: Mapping[str, str]) -> ScenarioRequest:
    """Return what the file asks for; what is wrong with it is refused in `source`."""
    parsed = fill_schema(ScenarioSchema, source.data, source)
    if not source.data and not source.problems:
        source.refuse((), f"is empty; write at least `{_EXAMPLE}`")
    elif source.data and "change" not in source.data:
        source.refuse(("change",), f"is missing; write what to change, such as `{_EXAMPLE}`")
    placed = read_changes(parsed.change or (), source, env)
    _refuse_odd_changes(parsed, placed, source)
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", path.stem).strip("-.")[:64] or "scenario"
    return ScenarioRequest(source, parsed, name, ticket, _current_user(env), placed, path)


def read_option(value: str, source: Source, ticket: str | None, env: Mapping[str, str]) -> ScenarioRequest:
    """Return what ``--activate=PROVIDER:MODEL`` asks for; a model's name may have colons of its own."""
    provider, colon, model = value.partition(":")
    placed: tuple[PlacedChange, ...] = ()
    if not colon or not model.strip():
        source.refuse((), "names no model; write PROVIDER:MODEL, such as openai:gpt-4o")
    else:
        try:
            placed = (PlacedChange(ProviderChange(validators.provider(provider), validators.text(model)), ()),)
        except ValueError as error:
            source.refuse((), str(error))
    return ScenarioRequest(source, ScenarioSchema(), f"activate-{provider.strip()}", ticket, _current_user(env), placed)


def refuse_misfits(
    requested: ScenarioRequest, listed: ListedTarget, policy: Policy, check_sandbox: CheckSandbox | None
) -> None:
    """Refuse what does not fit the target or its policy."""
    layers = _layers(requested, listed)
    planned = _monitor(requested, listed)
    if requested.parsed.strategy:
        # A stage that is too short is refused where it stands, and none is named `monitor.window`.
        planned = replace(planned, window_s=max(planned.window_s, policy.window_at_least_s))
    waived = {waiver.clause for waiver in requested.parsed.waivers or ()}
    refuse_loose(layers, planned, policy, waived=waived)
    may_be_embedded = _may_be_embedded(listed)
    requested = _with_restarts(requested, listed)
    canary.refuse_odd_strategy(_strategy_request(requested), listed.target, policy, weights=_splits(listed))
    for placed in requested.changes:
        refuse_impossible(placed, listed.target, requested.source, may_be_embedded=may_be_embedded)
    if to := _rollback_to(requested, listed):
        refuse_restart(to, ("rollback_to",), listed.target, requested.source, may_be_embedded=may_be_embedded)
    _refuse_disallowed(requested, policy)
    if (
        policy.outside_window == "block"
        and "PRE-4.1" not in waived
        and requested.parsed.change_class is not ChangeClass.EMERGENCY
    ):
        refuse_no_room(layers, planned, listed.target)
    if requested.parsed.sandbox is None:
        return
    if not may_be_embedded:
        message = f"steers the embedded gateway only, and this run goes to {listed.target.name!r}; remove it"
        requested.source.refuse(("sandbox",), message)
    for path, message in check_sandbox(requested.parsed.sandbox) if check_sandbox else ():
        requested.source.refuse(_place(path), message)


def build_scenario(requested: ScenarioRequest, listed: ListedTarget, policy: Policy) -> Scenario:
    """Return the scenario; nothing in it was refused."""
    parsed = requested.parsed
    channels = listed.target.notify if parsed.notify is None else tuple(parsed.notify)
    return Scenario(
        name=parsed.name or requested.name,
        source=requested.source.name,
        target=listed.target.name,
        changes=tuple(placed.change for placed in _with_restarts(requested, listed).changes),
        author=_author_of(requested),
        ticket=requested.ticket or parsed.ticket,
        approved_by=tuple(parsed.approved_by or ()),
        impact=_impact(parsed),
        operator=Operator(**parsed.operator.explicit_values()) if parsed.operator else None,
        notify=tuple(dict.fromkeys((*channels, *policy.channels))),
        fixes=tuple(parsed.fixes or ()),
        rollback_to=_rollback_to(requested, listed),
        monitor=apply_policy(_monitor(requested, listed), policy),
        canary=canary.build_canary(parsed.strategy, weights=_splits(listed)),
        sandbox=parsed.sandbox or {},
        usd_per_1k_tokens=parsed.usd_per_1k_tokens or {},
        file=requested.file,
        change_class=parsed.change_class or ChangeClass.NORMAL,
        waivers=tuple(Waiver(**waiver.explicit_values()) for waiver in parsed.waivers or ()),
    )


def _with_restarts(requested: ScenarioRequest, listed: ListedTarget) -> ScenarioRequest:
    """Return the scenario with the restarts that its target needs."""
    placed = (
        replace(one, change=add_restart(one.change, listed.target)) if isinstance(one.change, ProviderChange) else one
        for one in requested.changes
    )
    return replace(requested, changes=tuple(placed))


def _rollback_to(requested: ScenarioRequest, listed: ListedTarget) -> ProviderChange | None:
    to = _optional(requested.parsed.rollback_to)
    return add_restart(to, listed.target) if to else None


def _author_of(requested: ScenarioRequest) -> str:
    return requested.parsed.author or requested.author


def _refuse_disallowed(requested: ScenarioRequest, policy: Policy) -> None:
    parsed, source = requested.parsed, requested.source
    refuse_kinds(requested.changes, policy, source)
    if parsed.change_class is ChangeClass.STANDARD:
        refuse_not_standard(requested.changes, _impact(parsed), policy, source)
    refuse_odd_waivers(parsed.waivers or (), _author_of(requested), source)


def _impact(parsed: ScenarioSchema) -> Impact | None:
    return Impact(**parsed.impact.explicit_values()) if parsed.impact else None


def _refuse_odd_changes(parsed: ScenarioSchema, placed: tuple[PlacedChange, ...], source: Source) -> None:
    if parsed.change == []:
        source.refuse(("change",), f"is an empty list; write what to change, such as `{_EXAMPLE}`")
    activated = [str(one.change) for one in placed if isinstance(one.change, ProviderChange)]
    to = _optional(parsed.rollback_to)
    if str(to) in activated:
        source.refuse(
            ("rollback_to",), "is what the change activates, so a rollback would change nothing; name another"
        )
    if to and placed and len(placed) == len(parsed.change or ()) and not activated:
        source.refuse(
            ("rollback_to",), "says where a rollback of an activation goes, and nothing is activated; remove it"
        )


def _layers(requested: ScenarioRequest, listed: ListedTarget) -> tuple[Layer, Layer]:
    return Layer(requested.source, ("monitor",), requested.parsed.monitor), listed.layer


def _monitor(requested: ScenarioRequest, listed: ListedTarget) -> Monitor:
    """Return the bake time; a canary's is as long as its stages."""
    baked = merge_layers(_layers(requested, listed))
    planned = canary.build_canary(requested.parsed.strategy, weights=_splits(listed))
    return baked if planned is None else replace(baked, window_s=canary.duration_s(planned))


def _strategy_request(requested: ScenarioRequest) -> canary.StrategyRequest:
    parsed = requested.parsed
    own_window = parsed.monitor is not None and parsed.monitor.window is not None
    return canary.StrategyRequest(requested.source, parsed.strategy, parsed.impact, requested.changes, own_window)


def _splits(listed: ListedTarget) -> bool:
    """Return whether the target can split its traffic by weights; the embedded gateway can."""
    return listed.target.routing is not None or _may_be_embedded(listed)


def _may_be_embedded(listed: ListedTarget) -> bool:
    url = listed.target.url
    return url is None or (listed.target.environment == SANDBOX and is_loopback(url))


def _place(path: str) -> Place:
    parts = re.findall(r"[^.\[\]]+", path)
    return ("sandbox", *(int(part) if part.isdecimal() else part for part in parts))


def _current_user(env: Mapping[str, str]) -> str:
    """Return the environment's user; one that cannot be written down is unknown."""
    try:
        return validators.text(env.get("USER") or env.get("LOGNAME"))
    except ValueError:
        return "unknown"


def _optional(parsed: CompleteActivationSchema | None) -> ProviderChange | None:
    return build_activation(parsed) if parsed else None
