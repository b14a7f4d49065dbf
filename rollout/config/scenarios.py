"""A scenario, from its file or from the command line."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rollout.config import canary, validators
from rollout.config.changes import Placed, changes
from rollout.config.feasibility import refuse_impossible, refuse_restart
from rollout.config.monitoring import Layer, monitor, refuse_loose, refuse_no_room, strictest
from rollout.config.policies import SANDBOX
from rollout.config.policy_rules import refuse_kinds, refuse_not_standard, refuse_odd_waivers
from rollout.config.restarts import fitted
from rollout.config.schemas.activations import CompleteActivationSchema
from rollout.config.schemas.scenarios import ScenarioSchema
from rollout.config.source import Place, Source
from rollout.config.targets import Listed, activation
from rollout.config.urls import is_loopback
from rollout.config.validation import fill
from rollout.core.policy import Policy
from rollout.core.scenario import ChangeClass, Impact, Monitor, Operator, ProviderChange, Scenario, Waiver

CheckSandbox = Callable[[Mapping[str, Any]], Iterable[tuple[str, str]]]
"""Returns (path, message) for everything that is wrong with a scenario's ``sandbox:``."""

_EXAMPLE = "change: {activate: openai, model: gpt-4o}"


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody asks for, before it is known where it goes.

    Attributes:
        source: where it stands.
        form: what it says.
        name: its name, where it gives itself none.
        ticket: what ``--ticket`` says.
        author: who asks, where it names nobody.
        changes: its changes.
        file: its file; None for the command line.
    """

    source: Source
    form: ScenarioSchema
    name: str
    ticket: str | None
    author: str
    changes: tuple[Placed, ...] = ()
    file: Path | None = None


def from_file(path: Path, source: Source, ticket: str | None, env: Mapping[str, str]) -> Asked:
    """Return what the file asks for; what is wrong with it is refused in `source`."""
    form = fill(ScenarioSchema, source.data, source)
    if not source.data and not source.problems:
        source.refuse((), f"is empty; write at least `{_EXAMPLE}`")
    elif source.data and "change" not in source.data:
        source.refuse(("change",), f"is missing; write what to change, such as `{_EXAMPLE}`")
    asked = changes(form.change or (), source, env)
    _refuse_odd_changes(form, asked, source)
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", path.stem).strip("-.")[:64] or "scenario"
    return Asked(source, form, name, ticket, _author(env), asked, path)


def from_option(value: str, source: Source, ticket: str | None, env: Mapping[str, str]) -> Asked:
    """Return what ``--activate=PROVIDER:MODEL`` asks for; a model's name may have colons of its own."""
    provider, colon, model = value.partition(":")
    asked: tuple[Placed, ...] = ()
    if not colon or not model.strip():
        source.refuse((), "names no model; write PROVIDER:MODEL, such as openai:gpt-4o")
    else:
        try:
            asked = (Placed(ProviderChange(validators.provider(provider), validators.text(model)), ()),)
        except ValueError as error:
            source.refuse((), str(error))
    return Asked(source, ScenarioSchema(), f"activate-{provider.strip()}", ticket, _author(env), asked)


def judge(asked: Asked, listed: Listed, policy: Policy, check_sandbox: CheckSandbox | None) -> None:
    """Refuse what does not fit the target or its policy."""
    layers = _layers(asked, listed)
    planned = _monitor(asked, listed)
    if asked.form.strategy:
        # A stage that is too short is refused where it stands, and none is named `monitor.window`.
        planned = replace(planned, window_s=max(planned.window_s, policy.window_at_least_s))
    waived = {waiver.clause for waiver in asked.form.waivers or ()}
    refuse_loose(layers, planned, policy, waived=waived)
    may_be_embedded = _may_be_embedded(listed)
    asked = _fitted(asked, listed)
    canary.refuse_odd(_told(asked), listed.target, policy, weights=_splits(listed))
    for placed in asked.changes:
        refuse_impossible(placed, listed.target, asked.source, may_be_embedded=may_be_embedded)
    if to := _rollback_to(asked, listed):
        refuse_restart(to, ("rollback_to",), listed.target, asked.source, may_be_embedded=may_be_embedded)
    _refuse_what_is_not_let_in(asked, policy)
    if (
        policy.outside_window == "block"
        and "PRE-4.1" not in waived
        and asked.form.change_class is not ChangeClass.EMERGENCY
    ):
        refuse_no_room(layers, planned, listed.target)
    if asked.form.sandbox is None:
        return
    if not may_be_embedded:
        message = f"steers the embedded gateway only, and this run goes to {listed.target.name!r}; remove it"
        asked.source.refuse(("sandbox",), message)
    for path, message in check_sandbox(asked.form.sandbox) if check_sandbox else ():
        asked.source.refuse(_place(path), message)


def build(asked: Asked, listed: Listed, policy: Policy) -> Scenario:
    """Return the scenario; nothing in it was refused."""
    form = asked.form
    told = listed.target.notify if form.notify is None else tuple(form.notify)
    return Scenario(
        name=form.name or asked.name,
        source=asked.source.name,
        target=listed.target.name,
        changes=tuple(placed.change for placed in _fitted(asked, listed).changes),
        author=_named(asked),
        ticket=asked.ticket or form.ticket,
        approved_by=tuple(form.approved_by or ()),
        impact=_impact(form),
        operator=Operator(**form.operator.explicit_values()) if form.operator else None,
        notify=tuple(dict.fromkeys((*told, *policy.channels))),
        fixes=tuple(form.fixes or ()),
        rollback_to=_rollback_to(asked, listed),
        monitor=strictest(_monitor(asked, listed), policy),
        canary=canary.canary(form.strategy, weights=_splits(listed)),
        sandbox=form.sandbox or {},
        usd_per_1k_tokens=form.usd_per_1k_tokens or {},
        file=asked.file,
        change_class=form.change_class or ChangeClass.NORMAL,
        waivers=tuple(Waiver(**waiver.explicit_values()) for waiver in form.waivers or ()),
    )


def _fitted(asked: Asked, listed: Listed) -> Asked:
    """Return what is asked for with the restarts that its target needs."""
    placed = (
        replace(one, change=fitted(one.change, listed.target)) if isinstance(one.change, ProviderChange) else one
        for one in asked.changes
    )
    return replace(asked, changes=tuple(placed))


def _rollback_to(asked: Asked, listed: Listed) -> ProviderChange | None:
    to = _optional(asked.form.rollback_to)
    return fitted(to, listed.target) if to else None


def _named(asked: Asked) -> str:
    return asked.form.author or asked.author


def _refuse_what_is_not_let_in(asked: Asked, policy: Policy) -> None:
    form, source = asked.form, asked.source
    refuse_kinds(asked.changes, policy, source)
    if form.change_class is ChangeClass.STANDARD:
        refuse_not_standard(asked.changes, _impact(form), policy, source)
    refuse_odd_waivers(form.waivers or (), _named(asked), source)


def _impact(form: ScenarioSchema) -> Impact | None:
    return Impact(**form.impact.explicit_values()) if form.impact else None


def _refuse_odd_changes(form: ScenarioSchema, asked: tuple[Placed, ...], source: Source) -> None:
    if form.change == []:
        source.refuse(("change",), f"is an empty list; write what to change, such as `{_EXAMPLE}`")
    activated = [str(one.change) for one in asked if isinstance(one.change, ProviderChange)]
    to = _optional(form.rollback_to)
    if str(to) in activated:
        source.refuse(
            ("rollback_to",), "is what the change activates, so a rollback would change nothing; name another"
        )
    if to and asked and len(asked) == len(form.change or ()) and not activated:
        source.refuse(
            ("rollback_to",), "says where a rollback of an activation goes, and nothing is activated; remove it"
        )


def _layers(asked: Asked, listed: Listed) -> tuple[Layer, Layer]:
    return Layer(asked.source, ("monitor",), asked.form.monitor), listed.layer


def _monitor(asked: Asked, listed: Listed) -> Monitor:
    """Return the bake time; a canary's is as long as its stages."""
    baked = monitor(_layers(asked, listed))
    planned = canary.canary(asked.form.strategy, weights=_splits(listed))
    return baked if planned is None else replace(baked, window_s=canary.lasts_s(planned))


def _told(asked: Asked) -> canary.Told:
    form = asked.form
    own_window = form.monitor is not None and form.monitor.window is not None
    return canary.Told(asked.source, form.strategy, form.impact, asked.changes, own_window)


def _splits(listed: Listed) -> bool:
    """Tell whether the target can split its traffic by weights; the embedded gateway can."""
    return listed.target.routing is not None or _may_be_embedded(listed)


def _may_be_embedded(listed: Listed) -> bool:
    url = listed.target.url
    return url is None or (listed.target.environment == SANDBOX and is_loopback(url))


def _place(path: str) -> Place:
    parts = re.findall(r"[^.\[\]]+", path)
    return ("sandbox", *(int(part) if part.isdecimal() else part for part in parts))


def _author(env: Mapping[str, str]) -> str:
    """Return the environment's user; one that cannot be written down is unknown."""
    try:
        return validators.text(env.get("USER") or env.get("LOGNAME"))
    except ValueError:
        return "unknown"


def _optional(form: CompleteActivationSchema | None) -> ProviderChange | None:
    return activation(form) if form else None
