"""A scenario, from its file or from the command line."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rollout.config import canary
from rollout.config.changes import PlacedChange, read_changes
from rollout.config.feasibility import refuse_impossible, refuse_restart
from rollout.config.lacking import refuse_lacking_limits, refuse_needless_waivers, refuse_unmeasured
from rollout.config.monitoring import Layer, apply_policy, merge_layers, refuse_key, refuse_loose, refuse_no_room
from rollout.config.policy_rules import refuse_kinds, refuse_not_standard, refuse_odd_waivers
from rollout.config.restarts import add_restart
from rollout.config.schemas.scenarios import ScenarioSchema
from rollout.config.signal_rules import refuse_signals_without_source
from rollout.config.source import Place, Source
from rollout.config.targets import ListedTarget
from rollout.config.validation import fill_schema
from rollout.core.policy import Policy
from rollout.core.scenario import ChangeClass, Impact, Monitor, ProviderChange, Scenario
from rollout.core.schemas import validators
from rollout.core.target import Target

CheckSandbox = Callable[[Mapping[str, Any]], Iterable[tuple[str, str]]]
"""Returns (path, message) for everything that is wrong with a scenario's ``sandbox:``."""

CheckWindows = Callable[[Scenario, Target, Policy], Iterable[tuple[str, str]]]
"""Returns the key of ``monitor:`` and the message for everything that the windows of a scenario cannot tell."""

_EXAMPLE = "change: {activate: openai, model: gpt-4o}"


@dataclass(frozen=True, slots=True)
class ScenarioRequest:
    """A scenario as it is read, before its target is known.

    Attributes:
        source: the file or the option.
        parsed: its keys.
        name: its `name:`, or one that is made for it.
        ticket: what ``--ticket`` says, or its `ticket:`.
        author: its `author:`, or the user who runs it.
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
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", path.stem).strip("-.")[:64]
    return ScenarioRequest(
        source,
        parsed,
        name=parsed.name or stem or "scenario",
        ticket=ticket or parsed.ticket,
        author=parsed.author or _current_user(env),
        changes=placed,
        file=path,
    )


def read_option(value: str, source: Source, ticket: str | None, env: Mapping[str, str]) -> ScenarioRequest:
    """Return what ``--activate=PROVIDER:MODEL`` asks for; a model's name may have colons of its own."""
    change = source.accept((), parse_activation, value)
    name = f"activate-{value.partition(':')[0].strip()}"
    placed = () if change is None else (PlacedChange(change, ()),)
    return ScenarioRequest(source, ScenarioSchema(), name, ticket, _current_user(env), placed)


def refuse_misfits(
    requested: ScenarioRequest, listed: ListedTarget, policy: Policy, check_sandbox: CheckSandbox | None
) -> None:
    """Refuse what does not fit the target or its policy."""
    parsed, source, target = requested.parsed, requested.source, listed.target
    layers = _layers(requested, listed)
    planned = _monitor(requested, listed)
    if parsed.strategy:
        # A stage that is too short is refused where it stands, and none is named `monitor.window`.
        planned = replace(planned, window_s=max(planned.window_s, policy.window_at_least_s))
    waived = {waiver.clause for waiver in parsed.waivers or ()}
    refuse_loose(layers, planned, policy, waived=waived)
    refuse_signals_without_source(layers, planned, listed.target)
    refuse_unmeasured(layers, planned, target)
    changes = _with_restarts(requested.changes, target)
    refuse_lacking_limits(changes, target, source)
    refuse_needless_waivers(parsed.waivers or (), target, source)
    canary.refuse_odd_strategy(parsed, changes, source, target, policy, weights=listed.splits_traffic())
    may_be_embedded = listed.may_be_embedded()
    for placed in changes:
        refuse_impossible(placed, target, source, may_be_embedded=may_be_embedded)
    if to := _rollback_to(parsed, target):
        refuse_restart(to, ("rollback_to",), target, source, may_be_embedded=may_be_embedded)
    _refuse_disallowed(requested, policy)
    if (
        policy.outside_window == "block"
        and "PRE-4.1" not in waived
        and parsed.change_class is not ChangeClass.EMERGENCY
    ):
        refuse_no_room(layers, planned, target)
    if parsed.sandbox is None:
        return
    if not may_be_embedded:
        source.refuse(
            ("sandbox",), f"steers the embedded gateway only, and this run goes to {target.name!r}; remove it"
        )
    for path, message in check_sandbox(parsed.sandbox) if check_sandbox else ():
        source.refuse(_place(path), message)


def refuse_unjudgeable(requested: ScenarioRequest, listed: ListedTarget, problems: Iterable[tuple[str, str]]) -> None:
    """Refuse windows that cannot tell what they have to; those of a canary are the strategy's stages."""
    for key, message in problems:
        if key == "window" and requested.parsed.strategy:
            requested.source.refuse(canary.PLACE, message)
        else:
            refuse_key(_layers(requested, listed), key, message)


def build_scenario(requested: ScenarioRequest, listed: ListedTarget, policy: Policy) -> Scenario:
    """Return the scenario; nothing in it was refused."""
    parsed = requested.parsed
    channels = listed.target.notify if parsed.notify is None else parsed.notify
    return parsed.build(
        Scenario,
        name=requested.name,
        source=requested.source.name,
        target=listed.target.name,
        changes=[placed.change for placed in _with_restarts(requested.changes, listed.target)],
        author=requested.author,
        ticket=requested.ticket,
        notify=list(dict.fromkeys((*channels, *policy.channels))),
        rollback_to=_rollback_to(parsed, listed.target),
        monitor=apply_policy(_monitor(requested, listed), policy),
        canary=canary.build_canary(parsed.strategy, weights=listed.splits_traffic()),
        file=requested.file,
    )


def parse_activation(value: str) -> ProviderChange:
    """Return the change that ``PROVIDER:MODEL`` stands for; a model's name may have colons of its own.

    Raises:
        ValueError: it names no provider, or no model.
    """
    provider, _, model = value.partition(":")
    if not model.strip():
        raise validators.InvalidValue("names no model; write PROVIDER:MODEL, such as openai:gpt-4o")
    return ProviderChange(validators.provider(provider), validators.text(model))


def _with_restarts(changes: Iterable[PlacedChange], target: Target) -> list[PlacedChange]:
    """Return the changes with the restarts that their target needs."""
    return [
        replace(one, change=add_restart(one.change, target)) if isinstance(one.change, ProviderChange) else one
        for one in changes
    ]


def _rollback_to(parsed: ScenarioSchema, target: Target) -> ProviderChange | None:
    return add_restart(parsed.rollback_to.build(ProviderChange), target) if parsed.rollback_to else None


def _refuse_disallowed(requested: ScenarioRequest, policy: Policy) -> None:
    parsed, source = requested.parsed, requested.source
    refuse_kinds(requested.changes, policy, source)
    if parsed.change_class is ChangeClass.STANDARD:
        impact = parsed.impact.build(Impact) if parsed.impact else None
        refuse_not_standard(requested.changes, impact, policy, source)
    refuse_odd_waivers(parsed.waivers or (), requested.author, source)


def _refuse_odd_changes(parsed: ScenarioSchema, placed: tuple[PlacedChange, ...], source: Source) -> None:
    if parsed.change == []:
        source.refuse(("change",), f"is an empty list; write what to change, such as `{_EXAMPLE}`")
    activated = [str(one.change) for one in placed if isinstance(one.change, ProviderChange)]
    to = parsed.rollback_to.build(ProviderChange) if parsed.rollback_to else None
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
    planned = canary.build_canary(requested.parsed.strategy, weights=listed.splits_traffic())
    return baked if planned is None else replace(baked, window_s=canary.duration_s(planned))


def _place(path: str) -> Place:
    parts = re.findall(r"[^.\[\]]+", path)
    return ("sandbox", *(int(part) if part.isdecimal() else part for part in parts))


def _current_user(env: Mapping[str, str]) -> str:
    """Return the environment's user; one that cannot be written down is unknown."""
    try:
        return validators.text(env.get("USER") or env.get("LOGNAME"))
    except ValueError:
        return "unknown"
