"""``targets.yaml``: the gateways that are known by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from rollout.config import sanity_bounds, urls
from rollout.config.former_keys import rename_former_keys
from rollout.config.monitoring import Layer
from rollout.config.policies import PRODUCTION, SANDBOX
from rollout.config.restarts import refuse_odd_restarts
from rollout.config.schemas.activations import ActivationSchema, SafeProviderSchema
from rollout.config.schemas.calls import ActivationCallSchema, ChatCallSchema, RoutingSchema
from rollout.config.schemas.change_windows import ChangeWindowSchema, FreezeSchema
from rollout.config.schemas.sources import SourcesSchema
from rollout.config.schemas.targets import ProviderSchema, ServiceSchema, TargetSchema
from rollout.config.source import Place, Source
from rollout.config.validation import fill_schema, refuse_invalid_name
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
    {"url", "token_env", "user", "staging", "staging_token_env", "env_file", "log_file", "provider_key", "model_key"}
    | {"reported_as", "prove_way_back", "time_zone", "restart"}
)
_LIMIT_TYPES = {"cost": "cost", "rate": "rate"}
_EVERY_DAY = frozenset(range(7))


@dataclass(frozen=True, slots=True)
class ListedTarget:
    """A target with what the file says beyond it.

    Attributes:
        target: the target.
        place: where it stands in ``targets.yaml``.
        layer: its defaults for the bake time.
    """

    target: Target
    place: Place
    layer: Layer


def read_targets(source: Source, policies: Mapping[str, Policy]) -> dict[str, ListedTarget]:
    """Return name -> target; `embedded` is always among them."""
    found = {EMBEDDED: _listed(EMBEDDED, TargetSchema(), source)}
    for name, written in source.data.items():
        refuse_invalid_name(source, name)
        data = rename_former_keys(name, written, source)
        parsed = fill_schema(TargetSchema, data, source, (name,))
        _refuse_contradictions(name, parsed, data, source)
        found[name] = _listed(name, parsed, source)
        _refuse_out_of_bounds(found[name].target, parsed, source)
        _refuse_unknown_environment(found[name].target, policies, source)
    _refuse_shared_urls(found.values(), source)
    return {name: replace(one, target=_with_staging(one.target, found, source)) for name, one in found.items()}


def build_activation(parsed: ActivationSchema) -> ProviderChange:
    """Return the activation that a mapping asks for."""
    return ProviderChange(parsed.activate, parsed.model, restart=bool(parsed.restart), startup_s=parsed.startup)


def _listed(name: str, parsed: TargetSchema, source: Source) -> ListedTarget:
    return ListedTarget(_target(name, parsed), (name,), Layer(source, (name, "monitor"), parsed.monitor))


def _target(name: str, parsed: TargetSchema) -> Target:
    given = parsed.explicit_values()
    parts: dict[str, Any] = {key: value for key, value in given.items() if key in _AS_THEY_ARE}
    if parsed.tls:
        parts["tls"] = Tls(**parsed.tls.explicit_values())
    if parsed.paths:
        parts["paths"] = parsed.paths.explicit_values()
    if parsed.timeouts:
        parts["timeouts"] = Timeouts(
            **{f"{call}_s": seconds for call, seconds in parsed.timeouts.explicit_values().items()}
        )
    if parsed.service:
        parts["service"] = _service(parsed.service)
    if parsed.startup:
        parts["startup_s"] = parsed.startup
    if parsed.chat_with:
        parts["chat_with"] = _call(parsed.chat_with)
    if parsed.routing:
        parts["routing"] = _routing(parsed.routing)
    if parsed.limit_types:
        parts["limit_types"] = _LIMIT_TYPES | parsed.limit_types.explicit_values()
    if parsed.latency_bound:
        parts["latency_bound_ms"] = parsed.latency_bound
    target = Target(
        name=name,
        log_command=tuple(parsed.log_command or ()),
        environment=SANDBOX if name == EMBEDDED else parsed.environment or PRODUCTION,
        env_file_stated="env_file" in given,
        activate_with={provider: _call(call) for provider, call in (parsed.activate_with or {}).items()},
        activation_rewrites=tuple(parsed.activation_rewrites or ()),
        providers={provider: _provider(own) for provider, own in (parsed.providers or {}).items()},
        stale_for_s=parsed.stale_for or 0.0,
        sources=_sources(parsed.sources or SourcesSchema()),
        windows=tuple(_window(window) for window in parsed.windows or ()),
        freezes=tuple(_freeze(freeze) for freeze in parsed.freezes or ()),
        notify=tuple(parsed.notify or ()),
        **parts,
    )
    return replace(target, safe=_safe(parsed.safe, target)) if parsed.safe else target


def _safe(parsed: SafeProviderSchema, target: Target) -> ProviderChange:
    return ProviderChange(
        parsed.activate, parsed.model, restart=bool(parsed.restart) or target.restarts(parsed.activate)
    )


def _provider(parsed: ProviderSchema) -> ProviderRestart:
    return ProviderRestart(parsed.restart, parsed.startup)


def _service(parsed: ServiceSchema) -> Service:
    parts: dict[str, Any] = {
        key: tuple(value) for key, value in parsed.explicit_values().items() if isinstance(value, list)
    }
    if parsed.timeout:
        parts["timeout_s"] = parsed.timeout
    return Service(**parts)


def _sources(parsed: SourcesSchema) -> Sources:
    kinds: dict[str, type[PrometheusSource | AlertmanagerSource]] = {
        "prometheus": PrometheusSource,
        "alertmanager": AlertmanagerSource,
    }
    found: dict[str, Any] = {}
    for kind, source in parsed.explicit_values().items():
        parts = source.explicit_values()
        if source.tls:
            parts["tls"] = Tls(**source.tls.explicit_values())
        if isinstance(parts.get("match"), list):
            parts["match"] = tuple(parts["match"])
        # A mapping that was refused may lack a required key; its target is never used.
        found[kind] = kinds[kind](**dict.fromkeys(source.required_keys, "") | parts)
    return Sources(**found)


def _call(parsed: ActivationCallSchema | ChatCallSchema) -> OtherCall:
    return OtherCall(parsed.path or "", parsed.body or {})


def _routing(parsed: RoutingSchema) -> Routing:
    parts: dict[str, Any] = {"percent": parsed.unit == "percent"}
    if parsed.put:
        parts |= {f"set_{key}": value for key, value in parsed.put.explicit_values().items()}
    if parsed.read:
        parts |= {f"read_{key}": value for key, value in parsed.read.explicit_values().items()}
    if parsed.destination:
        parts["destination"] = parsed.destination
    return Routing(**parts)


def _window(parsed: ChangeWindowSchema) -> ChangeWindow:
    return ChangeWindow(parsed.days or _EVERY_DAY, parsed.opens, parsed.closes)


def _freeze(parsed: FreezeSchema) -> Freeze:
    return Freeze(parsed.begins, parsed.ends, parsed.reason or "")


def _refuse_contradictions(name: str, parsed: TargetSchema, data: Any, source: Source) -> None:
    embedded = name == EMBEDDED or parsed.embedded
    if embedded and parsed.url:
        source.refuse((name, "url"), "the embedded gateway is started on demand and has no url; remove it")
    if embedded and parsed.service:
        source.refuse((name, "service"), "the embedded gateway brings its own way to be stopped and started; remove it")
    if not embedded and isinstance(data, dict) and "url" not in data:
        source.refuse((name,), "says neither where it is nor that it is embedded; write `url: https://…`")
    if parsed.log_file and parsed.log_command:
        source.refuse((name, "log_command"), "stands beside a log_file; the log is read from one of the two")
    may_be_embedded = embedded or (parsed.environment == SANDBOX and urls.is_loopback(parsed.url or ""))
    refuse_odd_restarts(name, parsed, source, may_be_embedded=may_be_embedded)
    if name == EMBEDDED and (parsed.embedded is False or parsed.environment not in {None, SANDBOX}):
        source.refuse(
            (name,), f"this name is kept for the embedded gateway with environment {SANDBOX}; use another name"
        )


def _refuse_out_of_bounds(target: Target, parsed: TargetSchema, source: Source) -> None:
    if target.environment == SANDBOX:
        return
    timeouts = parsed.timeouts.explicit_values() if parsed.timeouts else {}
    given = {f"timeouts.{call}": seconds for call, seconds in timeouts.items()}
    given |= {"service.timeout": parsed.service and parsed.service.timeout, "latency_bound": parsed.latency_bound}
    sanity_bounds.refuse_out_of_bounds(sanity_bounds.TARGET, given, target.environment, source, (target.name,))


def _refuse_unknown_environment(target: Target, policies: Mapping[str, Policy], source: Source) -> None:
    if target.environment not in policies:
        hint = suggest(target.environment, policies)
        known = f"{hint}policy.yaml knows {', '.join(sorted(policies))}"
        source.refuse((target.name, "environment"), f"{shown(target.environment)} is no environment; {known}")


def _refuse_shared_urls(listed: Iterable[ListedTarget], source: Source) -> None:
    owners: dict[str, str] = {}
    for one in listed:
        url = one.target.url
        if url and owners.setdefault(url, one.target.name) != one.target.name:
            # Else one gateway would have two policies, and the looser one would be a way around the other.
            source.refuse((*one.place, "url"), f"is the url of {owners[url]!r} too; one gateway is one target")


def _with_staging(target: Target, listed: Mapping[str, ListedTarget], source: Source) -> Target:
    if target.staging is None:
        return target
    place = (target.name, "staging")
    named = listed.get(target.staging)
    if named is None:
        return replace(target, staging=_staging_url(target, listed, source))
    if named.target.url is None or named.target.environment == PRODUCTION or named.target.name == target.name:
        source.refuse(place, f"{target.staging!r} is not a non-production gateway with a url; name another (PRE-3.1)")
    return replace(
        target, staging=named.target.url, staging_token_env=target.staging_token_env or named.target.token_env
    )


def _staging_url(target: Target, listed: Mapping[str, ListedTarget], source: Source) -> str | None:
    place, staging = (target.name, "staging"), str(target.staging)
    if "/" not in staging and "@" not in staging:
        hint = suggest(staging, listed)
        source.refuse(place, f"{shown(staging)} is no target; {hint}write a target's name or a URL such as https://…")
        return None
    try:
        url = urls.base_url(staging)
    except ValueError as error:
        source.refuse(place, str(error))
        return None
    owner = next((one.target for one in listed.values() if one.target.url == url), None)
    if url == target.url or (owner and owner.environment == PRODUCTION):
        source.refuse(place, "is a production gateway; name a non-production one (PRE-3.1)")
    return url
