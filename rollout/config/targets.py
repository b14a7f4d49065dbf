"""``targets.yaml``: the gateways that are known by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from rollout.config import sanity_bounds, urls
from rollout.config.capabilities import why_no_weights
from rollout.config.former_keys import rename_former_keys
from rollout.config.monitoring import Layer
from rollout.config.policies import PRODUCTION, SANDBOX
from rollout.config.restarts import refuse_odd_restarts
from rollout.config.schemas.targets import TargetSchema
from rollout.config.source import Place, Source
from rollout.config.target_kinds import read_kind
from rollout.config.validation import fill_schema
from rollout.core.kinds import DEFAULT_KIND
from rollout.core.policy import Policy
from rollout.core.request import EMBEDDED
from rollout.core.schemas import validators
from rollout.core.schemas.calls import RoutingSchema
from rollout.core.target import Routing, Target
from rollout.core.units import shown


@dataclass(frozen=True, slots=True)
class ListedTarget:
    """A target with what the file says beyond it.

    Attributes:
        target: the target.
        place: where it stands in ``targets.yaml``.
        layer: its defaults for the bake time.
        has_valid_settings: whether the driver of its kind can be asked what its gateway has.
    """

    target: Target
    place: Place
    layer: Layer
    has_valid_settings: bool = True

    def may_be_embedded(self) -> bool:
        """Return whether it is the embedded gateway, or may turn out to be one."""
        url = self.target.url
        return url is None or (self.target.environment == SANDBOX and urls.is_loopback(url))

    def splits_traffic(self) -> bool:
        """Return whether the target can split its traffic by weights; the embedded gateway can."""
        return self.may_be_embedded() or why_no_weights(self.target) is None


def read_targets(source: Source, policies: Mapping[str, Policy]) -> dict[str, ListedTarget]:
    """Return name -> target; `embedded` is always among them."""
    found = {EMBEDDED: _listed(EMBEDDED, TargetSchema(), source, {})}
    for name, written in source.data.items():
        source.accept((name,), validators.name, name)
        data = rename_former_keys(name, written, source)
        parsed = fill_schema(TargetSchema, data, source, (name,))
        _refuse_contradictions(name, parsed, data, source)
        known = len(source.problems)
        parsed, settings = read_kind(name, parsed, source)
        is_valid = len(source.problems) == known or parsed.kind in {None, DEFAULT_KIND}
        found[name] = replace(_listed(name, parsed, source, settings), has_valid_settings=is_valid)
        _refuse_out_of_bounds(found[name].target, parsed, source)
        _refuse_unknown_environment(found[name].target, policies, source)
    _refuse_shared_urls(found.values(), source)
    return {name: replace(one, target=_with_staging(one.target, found, source)) for name, one in found.items()}


def _listed(name: str, parsed: TargetSchema, source: Source, settings: Mapping[str, Any]) -> ListedTarget:
    return ListedTarget(_target(name, parsed, settings), (name,), Layer(source, (name, "monitor"), parsed.monitor))


def _target(name: str, parsed: TargetSchema, settings: Mapping[str, Any]) -> Target:
    target = parsed.build(
        Target,
        name=name,
        environment=SANDBOX if name == EMBEDDED else parsed.environment or PRODUCTION,
        env_file_stated="env_file" in parsed.model_fields_set,
        routing=_routing(parsed.routing) if parsed.routing else None,
        settings=settings,
    )
    if target.safe is None:
        return target
    restart = target.safe.restart or target.restarts(target.safe.provider)
    return replace(target, safe=replace(target.safe, restart=restart))


def _routing(parsed: RoutingSchema) -> Routing:
    """Return the routing, whose record has the keys of both calls beside one another."""
    calls = {"set": parsed.put, "read": parsed.read}
    parts = {
        f"{call}_{key}": value for call, said in calls.items() if said for key, value in said.explicit_values().items()
    }
    return parsed.build(Routing, percent=parsed.unit == "percent", **parts)


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
    if target.environment != SANDBOX:
        given = parsed.explicit_values()
        parts = {
            f"{key}.{part}": value for key in ("timeouts", "service") for part, value in given.get(key, {}).items()
        }
        sanity_bounds.refuse_out_of_bounds(
            sanity_bounds.TARGET, given | parts, target.environment, source, (target.name,)
        )


def _refuse_unknown_environment(target: Target, policies: Mapping[str, Policy], source: Source) -> None:
    if target.environment not in policies:
        known = f"{validators.suggest(target.environment, policies)}policy.yaml knows {', '.join(sorted(policies))}"
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
    elif named.target.kind != target.kind:
        source.refuse(
            place,
            f"{target.staging!r} is of kind {named.target.kind!r}, and this target of kind {target.kind!r}; name a "
            "gateway of the same kind",
        )
    return replace(
        target, staging=named.target.url, staging_token_env=target.staging_token_env or named.target.token_env
    )


def _staging_url(target: Target, listed: Mapping[str, ListedTarget], source: Source) -> str | None:
    place, staging = (target.name, "staging"), str(target.staging)
    if "/" not in staging and "@" not in staging:
        source.refuse(
            place,
            f"{shown(staging)} is no target; {validators.suggest(staging, listed)}write a target's name or a URL such "
            "as https://…",
        )
        return None
    url = source.accept(place, urls.base_url, staging)
    owner = next((one.target for one in listed.values() if one.target.url == url), None)
    if url is not None and (url == target.url or (owner and owner.environment == PRODUCTION)):
        source.refuse(place, "is a production gateway; name a non-production one (PRE-3.1)")
    return url
