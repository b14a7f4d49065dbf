"""``rollout plan``: what apply would execute and what the rollback would, before anything is done.

It reads from the gateway at most: what is active, and the limits. An embedded gateway that would be started on demand
is described by its settings, without being started.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from rollout.backup import same_place, where_it_is
from rollout.clock import Clock
from rollout.embedded import described
from rollout.errors import RolloutError
from rollout.gateway.client import Gateway
from rollout.gateway.paths import filled, filled_path, path_of, weights_of
from rollout.redaction import Redactor, is_secret_name
from rollout.request import Request
from rollout.sandbox import envfile
from rollout.sandbox.settings import SandboxSettings
from rollout.sandbox.state import COST_DEFAULT, RATE_DEFAULT
from rollout.scenario import Change, EnvironmentChange, LimitChange, ProviderChange
from rollout.service import EnvFile, values
from rollout.stages import STABILISE, destination, is_staged, stages, weights_at
from rollout.target import Routing, Target

Limits = Mapping[str, Mapping[str, float]]

_ON_DEMAND = ("stop and start of the embedded gateway's own",)


@dataclass(frozen=True, slots=True)
class Before:
    """What the gateway is before the change.

    Attributes:
        previous: the active provider and model.
        limits: ``cost`` and ``rate`` -> scope -> limits.
        env: the `.env` file's values; None where it was not read.
        source: how this is known.
        weights: how the requests are split; None where the target cannot.
    """

    previous: ProviderChange
    limits: Mapping[str, Limits]
    env: Mapping[str, str] | None
    source: str
    weights: Mapping[str, float] | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that would be done.

    Attributes:
        clause: the clause that does it.
        text: what, in words, where it is no request.
        method: of a request; empty for a file edit or a command.
        path: of a request.
        body: of a request.
    """

    clause: str
    text: str = ""
    method: str = ""
    path: str = ""
    body: Mapping[str, Any] | None = None

    @property
    def writes(self) -> bool:
        """Whether it is a request that changes the gateway."""
        return bool(self.method) and self.body is not None

    def __str__(self) -> str:
        """Read as ``APP-1.2  POST /api/v1/… {"model": "gpt-4o"}``."""
        body = "" if self.body is None else f" {json.dumps(self.body, ensure_ascii=False)}"
        request = f"{self.method} {self.path}{body}" if self.method else ""
        return f"{self.clause:<8} {'  '.join(filter(None, (request, self.text)))}"


@dataclass(frozen=True, slots=True)
class Planned:
    """Both ways, and what has none.

    Attributes:
        before: what was found.
        apply: what apply would execute, in order.
        rollback: what the rollback would execute after it, in order.
        cannot: what cannot be undone.
        stages: what a canary's stages would execute after apply, each once the one before it has held.
    """

    before: Before
    apply: tuple[Item, ...]
    rollback: tuple[Item, ...]
    cannot: tuple[str, ...]
    stages: tuple[Item, ...] = ()


def planned(request: Request, before: Before) -> Planned:
    """Return what would be executed if the gateway is as `before` says."""
    request = _with_routing(request)
    changes, target = request.scenario.changes, request.target
    ahead = tuple(_ahead(request, before))
    back = [item for change in reversed(_once(changes)) for item in _back(request, change, before)]
    return Planned(before, ahead, tuple(back), tuple(_cannot(changes, target, before)), tuple(_stages(request, before)))


def look(request: Request, token: str | None, clock: Clock) -> Before:
    """Return what the gateway is, reading only.

    Raises:
        GatewayError: it cannot be read.
    """
    target = request.target
    if target.url is None:
        return _fresh(request)
    gateway = Gateway(target, token=token, clock=clock, redactor=Redactor())
    try:
        limits = gateway.governance()
        previous = where_it_is(gateway, target)
        weights = gateway.weights().shares if target.routing else None
    finally:
        gateway.close()
    both = {"cost": limits.cost_limits, "rate": limits.rate_limits}
    return Before(previous, both, _env(request, clock), f"read from {target.url}", weights)


def with_service(request: Request) -> Request:
    """Return the request with what a running embedded gateway says of itself; asks loopback only."""
    return Request(request.scenario, described(request.target), request.policy)


def text(request: Request, plan: Planned) -> str:
    """Return the plan for people."""
    scenario, before = request.scenario, plan.before
    lines = [
        f"plan for {scenario.name}: {', '.join(map(str, scenario.changes))}",
        f"target {request.target.name}, policy {request.policy.name}, class {scenario.change_class}",
        *(f"waived: {waiver.clause}, by {waiver.granted_by}: {waiver.reason}" for waiver in scenario.waivers),
        f"now active: {before.previous} ({before.source})",
        "",
        "pytest -m apply would execute, in this order (reads are left out):",
        *(f"  {item}" for item in plan.apply or (Item("APP-4.1", "nothing: everything is in effect already"),)),
        *_staged(plan),
        "",
        "the rollback would execute, each step only where it finds the change in effect:",
        *(f"  {item}" for item in plan.rollback),
        "",
        "cannot be undone:",
        *(f"  {words}" for words in plan.cannot),
    ]
    return "\n".join(lines)


def _staged(plan: Planned) -> Iterator[str]:
    if plan.stages:
        yield ""
        yield "pytest -m monitor would execute, stage after stage, each only once the one before it has held:"
        yield from (f"  {item}" for item in plan.stages)


def _fresh(request: Request) -> Before:
    settings = SandboxSettings.from_mapping(request.scenario.sandbox)
    previous = ProviderChange(settings.initial_provider, settings.initial_model)
    limits: dict[str, Limits] = {"cost": {"global": COST_DEFAULT, **settings.limits}, "rate": {"global": RATE_DEFAULT}}
    env = envfile.parse(envfile.TEMPLATE.format(provider=previous.provider, model=previous.model))
    return Before(previous, limits, env, "an embedded gateway would be started on demand; so it begins", {})


def _with_routing(request: Request) -> Request:
    """Return the request with the embedded gateway's weights, which one that is started on demand cannot tell yet."""
    if request.target.routing is not None or not is_staged(request.scenario):
        return request
    return replace(request, target=replace(request.target, routing=Routing()))


def _env(request: Request, clock: Clock) -> Mapping[str, str] | None:
    if not any(isinstance(change, EnvironmentChange) for change in request.scenario.changes):
        return None
    try:
        found = values(EnvFile(request.target, clock=clock, redact=str).read())
    except RolloutError:
        return None  # apply says why; the plan assumes that the change is needed
    return {key: value for key, value in found.items() if value is not None}


def _ahead(request: Request, before: Before) -> Iterator[Item]:
    changes, target = request.scenario.changes, request.target
    if all(_in_effect(change, before) for change in changes):
        return
    if target.prove_way_back:
        yield _activation(target, before.previous, "APP-0.2", "a no-op: it proves the way back")
        if is_staged(request.scenario):
            yield _weights(target, before.weights or {}, "APP-0.2", "a no-op as well")
    if request.scenario.canary is not None:
        yield from _single_request(request, before)
    for change in changes:
        if isinstance(change, ProviderChange):
            tested = path_of("test_connection", target.paths, change.provider)
            yield Item("APP-1.1", "changes nothing", "POST", tested)
        if isinstance(change, ProviderChange) and is_staged(request.scenario):
            continue
        if _in_effect(change, before):
            yield Item("APP-4.1", f"{change}: in effect already, nothing is done")
        else:
            yield from _forward(target, change)


def _single_request(request: Request, before: Before) -> Iterator[Item]:
    target, new = request.target, _activated(request)
    if new is None:
        return
    yield Item("CAN-1", "changes nothing", "POST", path_of("test_connection", target.paths, new.provider))
    yield _activation(target, new, "CAN-1")
    yield Item(
        "CAN-1", "one request", "POST", target.chat_with.path if target.chat_with else path_of("chat", target.paths)
    )
    yield _activation(target, before.previous, "CAN-1", "straight back")


def _stages(request: Request, before: Before) -> Iterator[Item]:
    """Yield how a canary's share rises; the writes of a stage follow the watching of the one before."""
    target, new = request.target, _activated(request)
    if new is None or target.routing is None or not is_staged(request.scenario):
        return
    names = [destination(to, target.routing.destination) for to in (new, before.previous)]
    for stage in stages(request.scenario):
        if stage.clause == STABILISE:
            yield Item(stage.clause, f"nothing: {stage} more")
        elif stage.is_all:
            words = f"then {stage}; weights that the activation leaves in effect are set to 100% too"
            yield _activation(target, new, stage.clause, words)
        else:
            yield _weights(target, weights_at(stage.share, *names), stage.clause, f"then {stage}")


def _activated(request: Request) -> ProviderChange | None:
    return next((change for change in request.scenario.changes if isinstance(change, ProviderChange)), None)


def _forward(target: Target, change: Change) -> Iterator[Item]:
    if isinstance(change, ProviderChange):
        yield _activation(target, change, "APP-1.2")
        if change.restart:
            yield from _restart(target, "APP-2.2", "APP-2.3")
    elif isinstance(change, EnvironmentChange):
        for key, value in change.values.items():
            yield Item("APP-2.1", f"{_file(target)}: set {key}={'***' if is_secret_name(key) else value}")
        for key, variable in change.secrets.items():
            yield Item("APP-2.1", f"{_file(target)}: set {key} to the value of the environment variable {variable}")
        for key in change.remove:
            yield Item("APP-2.1", f"{_file(target)}: remove {key}")
        yield from _restart(target, "APP-2.2", "APP-2.3")
    else:
        yield _limit(target, change, "APP-3.1")


def _back(request: Request, change: Change, before: Before) -> Iterator[Item]:
    target = request.target
    if isinstance(change, ProviderChange):
        ways = (request.scenario.rollback_to, before.previous, target.safe)
        first, *others = dict.fromkeys(way for way in ways if way is not None)
        if _in_effect(change, before) and same_place(first, change):
            return
        if is_staged(request.scenario):
            yield _weights(target, before.weights or {}, "RBK-2.1", "at once: the new provider gets nothing any more")
        way = _activation(target, first, "RBK-2.1")
        if _comes_back(request, change, first, before):
            yield Item(
                "RBK-2.1", f"unless the .env file and the restart have brought {first} back, as is expected: {way}"
            )
            return
        fallback = f"if it is offline: {', then '.join(map(str, others))}" if others else ""
        yield replace(way, text=fallback)
        if change.restart:
            yield from _restart(target, "RBK-3.2", "RBK-3.3")
    elif isinstance(change, EnvironmentChange):
        yield Item("RBK-3.1", f"{_file(target)}: restore the backup byte for byte ({', '.join(change.keys)})")
        yield from _restart(target, "RBK-3.2", "RBK-3.3")
    else:
        saved = before.limits[change.kind].get(change.reported_scope)
        if saved is not None and not _in_effect(change, before):
            yield _limit(target, LimitChange(change.kind, change.scope, saved), "RBK-3.4")


def _comes_back(request: Request, change: Change, to: ProviderChange, before: Before) -> bool:
    """Tell whether an `.env` file that is restored before, and its restart, bring the active provider back."""
    changes, env = request.scenario.changes, before.env or {}
    restored = any(isinstance(later, EnvironmentChange) for later in changes[changes.index(change) :])
    keys = (request.target.provider_key, request.target.model_key)
    return restored and tuple(env.get(key) for key in keys) == (to.provider, to.model)


def _cannot(changes: tuple[Change, ...], target: Target, before: Before) -> Iterator[str]:
    yield "requests that are answered meanwhile, and what they cost"
    for change in changes:
        if isinstance(change, LimitChange) and change.reported_scope not in before.limits[change.kind]:
            yield f"{change}: there are none now, and the gateway cannot take limits away again"
        if isinstance(change, EnvironmentChange) or (isinstance(change, ProviderChange) and change.restart):
            yield "the restart: requests under way, and what the gateway keeps in memory (audit log, metrics)"
    if target.activation_rewrites:
        yield f"{', '.join(target.activation_rewrites)}: an activation rewrites them, back as well"


def _in_effect(change: Change, before: Before) -> bool:
    if isinstance(change, ProviderChange):
        return same_place(change, before.previous)
    if isinstance(change, LimitChange):
        now = before.limits[change.kind].get(change.reported_scope, {})
        return all(now.get(name) == value for name, value in change.values.items())
    if before.env is None or change.secrets:
        return False
    env = before.env
    return all(env.get(key) == value for key, value in change.values.items()) and not env.keys() & set(change.remove)


def _once(changes: tuple[Change, ...]) -> tuple[Change, ...]:
    """Return the changes without a second one of those that are undone as one: activations, and edits of the file."""
    seen: set[type] = set()
    kept = []
    for change in reversed(changes):
        if isinstance(change, LimitChange) or type(change) not in seen:
            kept.append(change)
        seen.add(type(change))
    return tuple(reversed(kept))


def _activation(target: Target, to: ProviderChange, clause: str, words: str = "") -> Item:
    names = {"provider": to.provider, "model": to.model}
    for name, call in target.activate_with.items():
        if name.casefold() == to.provider.casefold():
            body = {key: filled(value, **names) for key, value in call.body.items()}
            return Item(clause, words, "POST", filled_path(call.path, **names), body)
    return Item(clause, words, "POST", path_of("activate", target.paths, to.provider), {"model": to.model})


def _weights(target: Target, shares: Mapping[str, float], clause: str, words: str) -> Item:
    routing = target.routing or Routing()
    body = weights_of(routing.set_body, shares, percent=routing.percent)
    return Item(clause, words, routing.set_method, routing.set_path, body)


def _limit(target: Target, change: LimitChange, clause: str) -> Item:
    asked = {"limit_type": target.limit_types[change.kind], "scope": change.scope.removeprefix("provider:")}
    return Item(clause, "", "POST", path_of("limits", target.paths), {**asked, **change.values})


def _restart(target: Target, run: str, wait: str) -> Iterator[Item]:
    service = target.service
    commands = _ON_DEMAND if service is None else (shlex.join(service.stop), shlex.join(service.start))
    for command in commands:
        yield Item(run, f"run: {command}")
    yield Item(wait, "until it is healthy", "GET", path_of("health", target.paths))


def _file(target: Target) -> str:
    if target.env_file is not None:
        return str(target.env_file)
    return f"what `{shlex.join(target.service.write)}` writes" if target.service and target.service.write else ".env"
