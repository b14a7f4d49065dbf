"""A LiteLLM configuration as a document: where an alias leads, and what would keep the proxy from starting with it.

Every function here is pure: the document comes in as plain values, as a YAML loader gives them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rollout.core.key_paths import spell_key
from rollout.core.redaction import Redactor
from rollout.core.schemas.validators import suggest
from rollout.gateway.drivers.litellm_settings import ALIASES

STRATEGIES = (
    "simple-shuffle",
    "least-busy",
    "latency-based-routing",
    "cost-based-routing",
    "usage-based-routing",
    "usage-based-routing-v2",
    "provider-budget-routing",
    "lar1",
)
"""The routing strategies of LiteLLM 1.108; with any other value the proxy does not start."""

NO_ALIAS = "no alias in the file"
"""What stands for a model where the file has no alias of the group."""

_DATABASE = (
    "is database mode: the proxy reads its routing from the database, and an edit of the file would have no effect; "
    "this driver moves a proxy that is configured by its file alone"
)


def configured_alias(document: Mapping[str, Any], group: str) -> str | None:
    """Return where the alias leads in the file, in either spelling; None where it has none.

    Args:
        document: the configuration.
        group: the name that users ask for.
    """
    found = _mapping(_mapping(document, ALIASES[0]), ALIASES[1]).get(group)
    if isinstance(found, dict):
        found = found.get("model")
    return found if isinstance(found, str) else None


def deployed_models(document: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """Return the models of the deployments of one ``model_name``, each once, in the file's order."""
    models = (
        _mapping(entry, "litellm_params").get("model")
        for entry in _entries(document)
        if entry.get("model_name") == name
    )
    return tuple(dict.fromkeys(str(model) for model in models))


def join_models(models: tuple[str, ...]) -> str:
    """Return the models of one ``model_name`` as one text, as ``providers:`` of a target spells them."""
    return ",".join(models)


def flatten(document: Mapping[str, Any]) -> dict[str, str]:
    """Return key -> value of every scalar of a configuration, secrets masked; a key as an edit spells it."""
    masked = Redactor().value(dict(document))
    found = dict(_leaves(masked, ()))
    # What stands there is whatever the proxy's providers need, under names of the operator's choice.
    return {key: "[redacted]" if key.startswith("environment_variables.") else value for key, value in found.items()}


def find_faults(document: Mapping[str, Any], group: str | None, *, judge_strategies: bool = True) -> tuple[str, ...]:
    """Return what would keep the proxy from starting with a configuration, or its alias from leading anywhere.

    Of a proxy whose ``model_name`` splits the requests by weights there is no alias to judge.

    LiteLLM warns of most misspelt keys of ``router_settings`` and starts all the same; those are not among it.

    Args:
        document: the configuration.
        group: the alias that users ask for; None where they ask for a ``model_name``.
        judge_strategies: whether a routing strategy must be one of `STRATEGIES`; not where the proxy's own LiteLLM
            judges it.
    """
    faults = [*_database_faults(document), *_deployment_faults(document), *_router_faults(document)]
    faults += _alias_faults(document, group) if group is not None else ()
    if judge_strategies:
        faults += _strategy_faults(document)
    return tuple(faults)


def _strategy_faults(document: Mapping[str, Any]) -> Iterator[str]:
    router = _mapping(document, ALIASES[0])
    groups = router.get("routing_groups")
    places = [("router_settings", router)]
    if isinstance(groups, list):
        places += [(f"router_settings.routing_groups[{at}]", each) for at, each in enumerate(groups)]
    for place, settings in places:
        strategy = settings.get("routing_strategy") if isinstance(settings, dict) else None
        known = (*STRATEGIES, "priority") if place.endswith("]") else STRATEGIES
        if strategy is not None and strategy not in known:
            yield (
                f"{place}.routing_strategy: {strategy!r} is none that LiteLLM 1.108 knows, and with it the proxy would "
                f"not start; {suggest(str(strategy), list(known))}correct it, or name the proxy's interpreter as "
                "`settings: {python: …}`, whose LiteLLM is asked instead"
            )


def _database_faults(document: Mapping[str, Any]) -> Iterator[str]:
    general = _mapping(document, "general_settings")
    if general.get("database_url"):
        yield f"general_settings.database_url: {_DATABASE}"
    if general.get("store_model_in_db") is True:
        yield f"general_settings.store_model_in_db: {_DATABASE}"
    if _mapping(document, "environment_variables").get("DATABASE_URL"):
        yield f"environment_variables.DATABASE_URL: {_DATABASE}"


def _deployment_faults(document: Mapping[str, Any]) -> Iterator[str]:
    listed = document.get("model_list")
    if not isinstance(listed, list) or not listed:
        yield "model_list: there is no list of deployments, so no alias leads anywhere"
        return
    for at, entry in enumerate(listed):
        if not isinstance(entry, dict) or not isinstance(entry.get("model_name"), str):
            yield f"model_list[{at}]: has no model_name, and the proxy would not start; give it one"
        elif not isinstance(_mapping(entry, "litellm_params").get("model"), str):
            yield f"model_list[{at}].litellm_params: has no model, and the proxy would not start; give it one"


def _router_faults(document: Mapping[str, Any]) -> Iterator[str]:
    router = document.get(ALIASES[0])
    if router is not None and not isinstance(router, dict):
        yield f"{ALIASES[0]}: is no mapping, and the proxy would not start; write its keys below it"


def _alias_faults(document: Mapping[str, Any], group: str) -> Iterator[str]:
    aliases = _mapping(_mapping(document, ALIASES[0]), ALIASES[1])
    key = spell_key((*ALIASES, group))
    if isinstance(aliases.get(group), dict):
        yield f"{key}: is a mapping, of which this driver would drop `hidden`; write the model_name alone"
        return
    leads_to = configured_alias(document, group)
    names = {entry.get("model_name") for entry in _entries(document)}
    if leads_to is None:
        yield f"{key}: is not there, so {group} leads to no deployment; write the model_name that it leads to now"
    elif leads_to not in names:
        yield f"{key}: {leads_to} is no model_name of model_list, so no request to {group} would be answered"
    if group in names:
        yield (
            f"model_list: has deployments of the name {group}, which is an alias too, so what the proxy reports does "
            "not show where it leads; rename them"
        )


def _mapping(document: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = document.get(key) if isinstance(document, dict) else None
    return found if isinstance(found, dict) else {}


def _entries(document: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    listed = document.get("model_list")
    return (entry for entry in (listed if isinstance(listed, list) else ()) if isinstance(entry, dict))


def _leaves(value: Any, at: tuple[str | int, ...]) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, part in value.items():
            yield from _leaves(part, (*at, str(key)))
    elif isinstance(value, (list, tuple)):
        for number, part in enumerate(value):
            yield from _leaves(part, (*at, number))
    else:
        yield spell_key(at), str(value)
