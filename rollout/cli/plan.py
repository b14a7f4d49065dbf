"""``rollout plan``: what apply would execute and what the rollback would, before anything is done.

It only reads from the gateway: the active provider, and the limits. An embedded gateway that would be started on demand
is described by its settings, without being started.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace

from rollout.changes.backup import is_same_provider
from rollout.cli import plan_items as items
from rollout.cli.plan_items import Before, Item, Limits, Planned
from rollout.cli.scenario_options import load_request
from rollout.core.applicability import find_inapplicable
from rollout.core.canary_stages import STABILISE, is_staged, stages, weights_at
from rollout.core.capabilities import Capability
from rollout.core.clauses import CLAUSES, PHASES
from rollout.core.clock import Clock, SystemClock
from rollout.core.downtime import proof_price, startup_s
from rollout.core.errors import RolloutError
from rollout.core.policy import BLOCK, EXECUTE
from rollout.core.redaction import Redactor, is_secret_name
from rollout.core.request import Request
from rollout.core.scenario import Change, EnvironmentChange, LimitChange, ProviderChange
from rollout.core.target import Routing, Target
from rollout.core.wishes import Split
from rollout.core.writes import Read
from rollout.engine.credentials import connect
from rollout.engine.embedded_gateway import described
from rollout.engine.listed_names import look_up
from rollout.engine.traffic import measure_traffic
from rollout.engine.window_power import price_of
from rollout.gateway.drivers.selection import (
    always_restarts,
    asks_directly,
    capabilities_of,
    driver_of,
    is_followed_by_restart,
    lacking_of,
    takes_restart,
)
from rollout.gateway.host.env_file import EnvFile
from rollout.gateway.host.env_text import values
from rollout.monitoring.extension import describe_plan
from rollout.monitoring.foreseen_power import foresee_power
from rollout.monitoring.sources.synthetic import promise
from rollout.sandbox import envfile
from rollout.sandbox.settings import SandboxSettings
from rollout.sandbox.state import LIMIT_DEFAULTS


def run(args: argparse.Namespace) -> int:
    """Print the plan of the scenario that the options name, and return 0.

    Raises:
        InvalidInput: the scenario is not valid, or the gateway does not list what it names.
        GatewayError: the gateway cannot be read.
    """
    request, clock = with_service(load_request(args)), SystemClock()
    plan = planned(request, read_before(request, os.environ, clock))
    print(text(request, replace(plan, watched=describe_plan(request.scenario, request.target, clock.now()))))
    return 0


def planned(request: Request, before: Before) -> Planned:
    """Return what would be executed on a gateway in the state `before`."""
    request = _with_routing(request)
    changes, target = request.scenario.changes, request.target
    return Planned(
        before,
        apply=tuple(_ahead(request, before)),
        rollback=tuple(item for change in _undone(changes) for item in _back(request, change, before)),
        cannot=tuple(_cannot(changes, target, before)),
        stages=tuple(_stages(request, before)),
    )


def read_before(request: Request, env: Mapping[str, str], clock: Clock) -> Before:
    """Return the gateway's state, reading only.

    Raises:
        InvalidInput: the gateway does not list a provider or model of the request.
        GatewayError: it cannot be read.
    """
    target = request.target
    unchecked = look_up(request, env, clock=clock, redactor=Redactor())
    if target.url is None:
        return _fresh(request)
    with closing(connect(target, env, clock=clock, redactor=Redactor())) as gateway:
        now = gateway.snapshot()
        price = price_of(request.scenario, target, gateway.metrics)
        traffic = measure_traffic(gateway, target, now.active, env, clock)
    both = {"cost": now.limits.cost_limits, "rate": now.limits.rate_limits}
    source = f"read from {target.url}"
    return Before(now.active, both, _env(request, clock), source, now.weights, unchecked, traffic, price)


def with_service(request: Request) -> Request:
    """Return the request with the settings of a running embedded gateway; asks loopback only."""
    return replace(request, target=described(request.target))


def text(request: Request, plan: Planned) -> str:
    """Return the plan as text."""
    scenario, before = request.scenario, plan.before
    return "\n".join(
        [
            f"plan for {scenario.name}: {', '.join(map(str, scenario.changes))}",
            f"target {request.target.name}, policy {request.policy.name}, class {scenario.change_class}",
            *request.origin.header_lines(),
            *(f"waived: {waiver.clause}, by {waiver.granted_by}: {waiver.reason}" for waiver in scenario.waivers),
            f"now active: {before.previous} ({before.source})",
            *before.unchecked,
            "",
            "pytest -m apply would execute, in this order (reads are left out):",
            *(f"  {item}" for item in plan.apply or (Item("APP-4.1", "nothing: everything is in effect already"),)),
            *_staged(plan),
            *(
                ["", "pytest -m monitor watches the change:", *(f"  {words}" for words in plan.watched)]
                if plan.watched
                else []
            ),
            "",
            "the rollback would execute; what was written is undone by a write, whatever reads say:",
            *(f"  {item}" for item in plan.rollback),
            "",
            *_list_notices(request, plan),
            *_list_inapplicable(request),
            "",
            "may cost money:",
            *(f"  {words}" for words in driver_of(request.target).paid_reads()),
            f"  synthetic requests: {promise(request.scenario.monitor, len(stages(request.scenario)) or 1)}",
            "",
            "what the window can tell:",
            *(f"  {words}" for words in _foresee(request, before)),
            "",
            "cannot be undone:",
            *(f"  {words}" for words in plan.cannot),
        ]
    )


def _list_notices(request: Request, plan: Planned) -> Iterator[str]:
    target, policy = request.target, request.policy
    previous = plan.before.previous
    price = proof_price(target, previous, restarts=takes_restart(target, previous))
    if not plan.apply:
        yield "nothing is written, so the rollback needs no proof"
    elif not target.prove_way_back:
        yield f"the proof of the rollback (APP-0.2): target {target.name!r} switches it off (prove_way_back: false)"
    elif price is None:
        yield "the proof of the rollback (APP-0.2) costs users nothing"
    else:
        yield f"the proof of the rollback (APP-0.2) costs users {price};"
        paid = (
            "pays it" if policy.prove_way_back == EXECUTE else "leaves it out: the rollback is proven except for that"
        )
        yield f"policy {policy.name!r} {paid} (prove_way_back: {policy.prove_way_back})"
    if target.stale_for_s:
        yield (
            f"reads may lag a write by {target.stale_for_s:g} s (stale_for): what is in effect is proven by reads that "
            "are further apart"
        )


def _foresee(request: Request, before: Before) -> tuple[str, ...]:
    found = foresee_power(
        request.scenario,
        request.policy,
        before.traffic,
        usd_per_1k_tokens=before.usd_per_1k_tokens,
        counts_codes=request.target.sources.prometheus is None,
    )
    is_blocked = found.unseen and request.policy.power == BLOCK
    ends = f"with this traffic policy {request.policy.name!r} fails PRE-2.5 (power: block)"
    return (*found.lines, ends) if is_blocked else found.lines


def _staged(plan: Planned) -> list[str]:
    heading = "pytest -m monitor would execute, stage after stage, each only once the one before it has held:"
    return ["", heading, *(f"  {item}" for item in plan.stages)] if plan.stages else []


def _fresh(request: Request) -> Before:
    settings = SandboxSettings.from_mapping(request.scenario.sandbox)
    previous = ProviderChange(*settings.initially_active)
    limits: dict[str, Limits] = {
        "cost": {"global": LIMIT_DEFAULTS["cost"], **settings.limits},
        "rate": {"global": LIMIT_DEFAULTS["rate"]},
    }
    env = envfile.parse(envfile.TEMPLATE.format(provider=previous.provider, model=previous.model))
    begins = "an embedded gateway would be started on demand; so it begins"
    price = price_of(request.scenario, request.target, None)
    return Before(previous, limits, env, begins, {}, usd_per_1k_tokens=price)


def _with_routing(request: Request) -> Request:
    """Return the request with the embedded gateway's weights, not known yet of one that starts on demand."""
    if capabilities_of(request.target)[Capability.WEIGHTS] is None or not is_staged(request.scenario):
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
        yield from _proof(request, before.previous)
        if is_staged(request.scenario):
            yield items.weights(target, before.weights or {}, "APP-0.2", "a no-op as well")
    if request.scenario.canary is not None:
        yield from _single_request(request, before)
    for change in changes:
        if isinstance(change, ProviderChange):
            yield _connection_test(target, change, "APP-1.1")
            if is_staged(request.scenario):
                continue
        if _in_effect(change, before):
            yield Item("APP-4.1", f"{change}: in effect already, nothing is done")
        else:
            yield from _forward(request, change)


def _connection_test(target: Target, change: ProviderChange, clause: str) -> Item:
    return items.read(target, Read.TEST_CONNECTION, clause, "changes nothing", change.provider)


def _proof(request: Request, previous: ProviderChange) -> Iterator[Item]:
    """Yield what proves the rollback, as far as the policy pays for it."""
    target = request.target
    price = proof_price(target, previous, restarts=takes_restart(target, previous))
    paid = request.policy.prove_way_back == EXECUTE
    switches = any(name.casefold() == previous.provider.casefold() for name in target.activate_with)
    if price and switches and not paid:
        yield Item("APP-0.2", f"nothing: activating {previous} once more would be {price}")
        return
    yield items.activation(target, previous, "APP-0.2", "a no-op: it proves the rollback")
    if price and paid and takes_restart(target, previous):
        yield from items.restart(target, _deadline_s(request, previous), "APP-0.2", "APP-0.2")


def _deadline_s(request: Request, *ways: ProviderChange) -> float:
    return startup_s(request.target, (*request.scenario.changes, *ways))


def _single_request(request: Request, before: Before) -> Iterator[Item]:
    target, new = request.target, _activated(request)
    if new is None:
        return
    yield _connection_test(target, new, "CAN-1")
    if asks_directly(target):
        yield items.read(target, Read.COMPLETION, "CAN-1", f"one request to {new} alone; no user is moved")
        return
    yield items.activation(target, new, "CAN-1")
    yield items.read(target, Read.COMPLETION, "CAN-1", "one request")
    yield items.activation(target, before.previous, "CAN-1", "straight back")


def _stages(request: Request, before: Before) -> Iterator[Item]:
    """Yield how a canary's share rises; the writes of a stage follow the watching of the one before."""
    target, new = request.target, _activated(request)
    if new is None or not is_staged(request.scenario):
        return
    names = [driver_of(target).destination(to) for to in (new, before.previous)]
    for stage in stages(request.scenario):
        if stage.clause == STABILISE:
            yield Item(stage.clause, f"nothing: {stage} more")
        elif stage.is_all:
            yield items.activation(
                target,
                new,
                stage.clause,
                f"then {stage}; weights that the activation leaves in effect are set to 100% too",
            )
        else:
            yield items.weights(target, weights_at(stage.share, *names), stage.clause, f"then {stage}")
        if stage.clause != STABILISE and is_followed_by_restart(target, Split(weights_at(stage.share, *names))):
            yield from items.restart(target, _deadline_s(request), stage.clause, stage.clause)


def _activated(request: Request) -> ProviderChange | None:
    return next((change for change in request.scenario.changes if isinstance(change, ProviderChange)), None)


def _forward(request: Request, change: Change) -> Iterator[Item]:
    target = request.target
    if isinstance(change, ProviderChange):
        yield items.activation(target, change, "APP-1.2")
        if takes_restart(target, change):
            yield from items.restart(
                target, _deadline_s(request), "APP-2.2", "APP-2.3", unless_active=_unless(target, change)
            )
    elif isinstance(change, EnvironmentChange):
        edits = (
            *(f"set {key}={'***' if is_secret_name(key) else value}" for key, value in change.values.items()),
            *(f"set {key} to the value of the environment variable {name}" for key, name in change.secrets.items()),
            *(f"remove {key}" for key in change.remove),
        )
        yield from (Item("APP-2.1", f"{items.env_file(target)}: {edit}") for edit in edits)
        yield from items.restart(target, _deadline_s(request), "APP-2.2", "APP-2.3")
    else:
        yield items.limit(target, change, "APP-3.1")


def _unless(target: Target, to: ProviderChange) -> ProviderChange | None:
    """Return what spares the restart where it is active already; None where the restart happens in any case."""
    return None if always_restarts(target, to) else to


def _back(request: Request, change: Change, before: Before) -> Iterator[Item]:
    target = request.target
    if isinstance(change, ProviderChange):
        ways = (request.scenario.rollback_to, before.previous, target.safe)
        first, *others = dict.fromkeys(way for way in ways if way is not None)
        if _in_effect(change, before) and is_same_provider(first, change):
            return
        if is_staged(request.scenario):
            yield items.weights(
                target, before.weights or {}, "RBK-2.1", "at once: the new provider gets nothing any more"
            )
        way = items.activation(target, first, "RBK-2.1")
        fallback = ", then ".join(f"{to} (a restart)" if takes_restart(target, to) else str(to) for to in others)
        yield replace(way, text=f"if it is offline: {fallback}" if others else "")
        if takes_restart(target, change) or takes_restart(target, first):
            yield from items.restart(
                target, _deadline_s(request, first), "RBK-3.2", "RBK-3.3", unless_active=_unless(target, first)
            )
    elif isinstance(change, EnvironmentChange):
        yield Item("RBK-3.1", f"{items.env_file(target)}: restore the backup byte for byte ({', '.join(change.keys)})")
        yield from items.restart(target, _deadline_s(request, before.previous), "RBK-3.2", "RBK-3.3")
    else:
        saved = before.limits[change.kind].get(change.reported_scope)
        if saved is not None and not _in_effect(change, before):
            yield items.limit(target, LimitChange(change.kind, change.scope, saved), "RBK-3.4")


def _cannot(changes: tuple[Change, ...], target: Target, before: Before) -> Iterator[str]:
    yield "requests that are answered meanwhile, and what they cost"
    for change in changes:
        if isinstance(change, LimitChange) and change.reported_scope not in before.limits[change.kind]:
            yield f"{change}: there are none now, and the gateway cannot take limits away again"
        if isinstance(change, EnvironmentChange) or (
            isinstance(change, ProviderChange) and any(takes_restart(target, to) for to in (change, before.previous))
        ):
            yield "the restart: requests under way, and what the gateway keeps in memory (audit log, metrics)"
    if target.activation_rewrites:
        yield f"{', '.join(target.activation_rewrites)}: an activation rewrites them, back as well"


def _in_effect(change: Change, before: Before) -> bool:
    if isinstance(change, ProviderChange):
        return is_same_provider(change, before.previous)
    if isinstance(change, LimitChange):
        now = before.limits[change.kind].get(change.reported_scope, {})
        return all(now.get(name) == value for name, value in change.values.items())
    if before.env is None or change.secrets:
        return False
    env = before.env
    return all(env.get(key) == value for key, value in change.values.items()) and not env.keys() & set(change.remove)


def _list_inapplicable(request: Request) -> Iterator[str]:
    """Yield which clauses are not applicable on this gateway, each with the reason."""
    lacking = lacking_of(request.target)
    found = find_inapplicable(lacking, request.policy.required)
    rows = [f"  {clause}: {why}" for clause, why in found.items() if CLAUSES[clause].phase in PHASES]
    if rows:
        yield from ("not applicable on this gateway, and never a pass:", *rows, "")


def _undone(changes: tuple[Change, ...]) -> Iterator[Change]:
    """Yield the changes from the last one on, of those that are undone as one (activations, edits) only the last."""
    seen: set[type] = set()
    for change in reversed(changes):
        if isinstance(change, LimitChange) or type(change) not in seen:
            yield change
        seen.add(type(change))
