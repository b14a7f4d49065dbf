"""``targets.yaml``: the gateways that are known by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from rollout.config import sanity_bounds, urls
from rollout.config.monitoring import Layer
from rollout.config.policies import PRODUCTION, SANDBOX
from rollout.config.restarts import refuse_odd_restarts
from rollout.config.schemas.activations import ActivationSchema, SafeProviderSchema
from rollout.config.schemas.calls import ActivationCallSchema, ChatCallSchema, RoutingSchema
from rollout.config.schemas.change_windows import ChangeWindowSchema, FreezeSchema
from rollout.config.schemas.sources import SourcesSchema
from rollout.config.schemas.targets import ProviderSchema, ServiceSchema, TargetSchema
from rollout.config.source import Place, Source
from rollout.config.validation import fill, reads_as_name
from rollout.config.validators import suggest
from rollout.core.policy import Policy
from rollout.core.request import EMBEDDED
from rollout.core.scenario import ProviderChange
from rollout.core.target import (
    AlertmanagerSource,
    ChangeWindow,
    Freeze,
    OtherCall,
    PrometheusSource,
    ProviderRestart,
    Routing,
    Service,
    Sources,
    Target,
    Timeouts,
    Tls,
)
from rollout.core.units import shown

_AS_THEY_ARE = frozenset(
    {"url", "token_env", "user", "twin", "twin_token_env", "env_file", "log_file", "provider_key", "model_key"}
    | {"reported_as", "prove_way_back", "time_zone", "restart"}
)
_LIMIT_TYPES = {"cost": "cost", "rate": "rate"}
_EVERY_DAY = frozenset(range(7))


@dataclass(frozen=True, slots=True)
class Listed:
    """A target with what the file says beyond it.

    Attributes:
        target: the target.
        place: where it stands in ``targets.yaml``.
        layer: its defaults for the bake time.
    """

    target: Target
    place: Place
    layer: Layer


def targets(source: Source, policies: Mapping[str, Policy]) -> dict[str, Listed]:
    """Return name -> target; `embedded` is always among them."""
    found = {EMBEDDED: _listed(EMBEDDED, TargetSchema(), source)}
    for name, data in source.data.items():
        reads_as_name(source, name)
        form = fill(TargetSchema, data, source, (name,))
        _refuse_contradictions(name, form, data, source)
        found[name] = _listed(name, form, source)
        _refuse_out_of_bounds(found[name].target, form, source)
        _refuse_unknown_environment(found[name].target, policies, source)
    _refuse_shared_urls(found.values(), source)
    return {name: replace(one, target=_with_twin(one.target, found, source)) for name, one in found.items()}


def activation(form: ActivationSchema) -> ProviderChange:
    """Return the activation that a form asks for."""
    return ProviderChange(form.activate, form.model, restart=bool(form.restart), startup_s=form.startup)


def _listed(name: str, form: TargetSchema, source: Source) -> Listed:
    return Listed(_target(name, form), (name,), Layer(source, (name, "monitor"), form.monitor))


def _target(name: str, form: TargetSchema) -> Target:
    given = form.explicit_values()
    parts: dict[str, Any] = {key: value for key, value in given.items() if key in _AS_THEY_ARE}
    if form.tls:
        parts["tls"] = Tls(**form.tls.explicit_values())
    if form.paths:
        parts["paths"] = form.paths.explicit_values()
    if form.timeouts:
        parts["timeouts"] = Timeouts(
            **{f"{call}_s": seconds for call, seconds in form.timeouts.explicit_values().items()}
        )
    if form.service:
        parts["service"] = _service(form.service)
    if form.startup:
        parts["startup_s"] = form.startup
    if form.chat_with:
        parts["chat_with"] = _call(form.chat_with)
    if form.routing:
        parts["routing"] = _routing(form.routing)
    if form.limit_types:
        parts["limit_types"] = _LIMIT_TYPES | form.limit_types.explicit_values()
    if form.latency_bound:
        parts["latency_bound_ms"] = form.latency_bound
    target = Target(
        name=name,
        log_command=tuple(form.log_command or ()),
        environment=SANDBOX if name == EMBEDDED else form.environment or PRODUCTION,
        env_file_stated="env_file" in given,
        activate_with={provider: _call(call) for provider, call in (form.activate_with or {}).items()},
        activation_rewrites=tuple(form.activation_rewrites or ()),
        providers={provider: _provider(own) for provider, own in (form.providers or {}).items()},
        stale_for_s=form.stale_for or 0.0,
        sources=_sources(form.sources or SourcesSchema()),
        windows=tuple(_window(window) for window in form.windows or ()),
        freezes=tuple(_freeze(freeze) for freeze in form.freezes or ()),
        notify=tuple(form.notify or ()),
        **parts,
    )
    return replace(target, safe=_safe(form.safe, target)) if form.safe else target


def _safe(form: SafeProviderSchema, target: Target) -> ProviderChange:
    return ProviderChange(form.activate, form.model, restart=bool(form.restart) or target.restarts(form.activate))


def _provider(form: ProviderSchema) -> ProviderRestart:
    return ProviderRestart(form.restart, form.startup)


def _service(form: ServiceSchema) -> Service:
    parts: dict[str, Any] = {
        key: tuple(value) for key, value in form.explicit_values().items() if isinstance(value, list)
    }
    if form.timeout:
        parts["timeout_s"] = form.timeout
    return Service(**parts)


def _sources(form: SourcesSchema) -> Sources:
    kinds: dict[str, type[PrometheusSource | AlertmanagerSource]] = {
        "prometheus": PrometheusSource,
        "alertmanager": AlertmanagerSource,
    }
    found: dict[str, Any] = {}
    for kind, source in form.explicit_values().items():
        parts = source.explicit_values()
        if source.tls:
            parts["tls"] = Tls(**source.tls.explicit_values())
        if isinstance(parts.get("match"), list):
            parts["match"] = tuple(parts["match"])
        # Of a form that was refused, what is missing is not in it; nobody will use what comes of it.
        found[kind] = kinds[kind](**dict.fromkeys(source.needed, "") | parts)
    return Sources(**found)


def _call(form: ActivationCallSchema | ChatCallSchema) -> OtherCall:
    return OtherCall(form.path or "", form.body or {})


def _routing(form: RoutingSchema) -> Routing:
    parts: dict[str, Any] = {"percent": form.unit == "percent"}
    if form.put:
        parts |= {f"set_{key}": value for key, value in form.put.explicit_values().items()}
    if form.read:
        parts |= {f"read_{key}": value for key, value in form.read.explicit_values().items()}
    if form.destination:
        parts["destination"] = form.destination
    return Routing(**parts)


def _window(form: ChangeWindowSchema) -> ChangeWindow:
    return ChangeWindow(form.days or _EVERY_DAY, form.opens, form.closes)


def _freeze(form: FreezeSchema) -> Freeze:
    return Freeze(form.begins, form.ends, form.reason or "")


def _refuse_contradictions(name: str, form: TargetSchema, data: Any, source: Source) -> None:
    embedded = name == EMBEDDED or form.embedded
    if embedded and form.url:
        source.refuse((name, "url"), "the embedded gateway is started on demand and has no url; remove it")
    if embedded and form.service:
        source.refuse((name, "service"), "the embedded gateway brings its own way to be stopped and started; remove it")
    if not embedded and isinstance(data, dict) and "url" not in data:
        source.refuse((name,), "says neither where it is nor that it is embedded; write `url: https://…`")
    if form.log_file and form.log_command:
        source.refuse((name, "log_command"), "stands beside a log_file; the log is read from one of the two")
    may_be_embedded = embedded or (form.environment == SANDBOX and urls.is_loopback(form.url or ""))
    refuse_odd_restarts(name, form, source, may_be_embedded=may_be_embedded)
    if name == EMBEDDED and (form.embedded is False or form.environment not in {None, SANDBOX}):
        source.refuse(
            (name,), f"this name is kept for the embedded gateway with environment {SANDBOX}; use another name"
        )


def _refuse_out_of_bounds(target: Target, form: TargetSchema, source: Source) -> None:
    if target.environment == SANDBOX:
        return
    timeouts = form.timeouts.explicit_values() if form.timeouts else {}
    given = {f"timeouts.{call}": seconds for call, seconds in timeouts.items()}
    given |= {"service.timeout": form.service and form.service.timeout, "latency_bound": form.latency_bound}
    sanity_bounds.refuse(sanity_bounds.TARGET, given, target.environment, source, (target.name,))


def _refuse_unknown_environment(target: Target, policies: Mapping[str, Policy], source: Source) -> None:
    if target.environment not in policies:
        hint = suggest(target.environment, policies)
        known = f"{hint}policy.yaml knows {', '.join(sorted(policies))}"
        source.refuse((target.name, "environment"), f"{shown(target.environment)} is no environment; {known}")


def _refuse_shared_urls(listed: Iterable[Listed], source: Source) -> None:
    owners: dict[str, str] = {}
    for one in listed:
        url = one.target.url
        if url and owners.setdefault(url, one.target.name) != one.target.name:
            # Else one gateway would have two policies, and the looser one would be a way around the other.
            source.refuse((*one.place, "url"), f"is the url of {owners[url]!r} too; one gateway is one target")


def _with_twin(target: Target, listed: Mapping[str, Listed], source: Source) -> Target:
    if target.twin is None:
        return target
    place = (target.name, "twin")
    named = listed.get(target.twin)
    if named is None:
        return replace(target, twin=_twin_url(target, listed, source))
    if named.target.url is None or named.target.environment == PRODUCTION or named.target.name == target.name:
        source.refuse(place, f"{target.twin!r} is not a non-production gateway with a url; name another (PRE-3.1)")
    return replace(target, twin=named.target.url, twin_token_env=target.twin_token_env or named.target.token_env)


def _twin_url(target: Target, listed: Mapping[str, Listed], source: Source) -> str | None:
    place, twin = (target.name, "twin"), str(target.twin)
    if "/" not in twin and "@" not in twin:
        hint = suggest(twin, listed)
        source.refuse(place, f"{shown(twin)} is no target; {hint}write a target's name or a URL such as https://…")
        return None
    try:
        url = urls.base_url(twin)
    except ValueError as error:
        source.refuse(place, str(error))
        return None
    owner = next((one.target for one in listed.values() if one.target.url == url), None)
    if url == target.url or (owner and owner.environment == PRODUCTION):
        source.refuse(place, "is a production gateway; name a non-production one (PRE-3.1)")
    return url
