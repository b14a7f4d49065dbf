"""The JSON Schemas (draft 2020-12) of scenario, targets and policy, made from the schemas that loading fills.

    python -m rollout.config.json_schema        # writes rollout/config/json_schemas/ again

A schema accepts every file that loading accepts. It refuses an unknown key, a missing one and a value of a wrong type;
what spans several keys or files, loading alone refuses.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Mapping
from functools import partial
from typing import Any, cast

from pydantic.json_schema import GenerateJsonSchema, models_json_schema
from pydantic_core import core_schema

from rollout.config.former_keys import FORMER_KEYS
from rollout.config.json_schema_files import NAMES, schema_path
from rollout.config.json_values import Json, Validator, json_schema_of, lone_or_list
from rollout.config.schemas import change_windows, changes, monitoring, policies, scenarios, signals, sources, targets
from rollout.core import limits, policy, scenario, target
from rollout.core import signals as core_signals
from rollout.core.kinds import DEFAULT_KIND
from rollout.core.schemas import calls, deviations
from rollout.core.schemas.base import Schema
from rollout.core.schemas.validators import PROVIDER

_CHANGES = (changes.ActivationSchema, changes.EnvironmentSchema, changes.CostLimitSchema, changes.RateLimitSchema)
_DRAFT = "https://json-schema.org/draft/2020-12/schema"

_RECORDS: Mapping[type[Schema], tuple[type, ...]] = {
    calls.ActivationCallSchema: (target.OtherCall,),
    changes.ActivationSchema: (scenario.ProviderChange,),
    signals.FirstTokenSchema: (core_signals.SignalLimit,),
    signals.ShareSignalSchema: (core_signals.SignalLimit,),
    signals.CostSignalSchema: (core_signals.SignalLimit,),
    signals.PromqlSignalSchema: (core_signals.PromqlSignal,),
    signals.SlicesSchema: (core_signals.Slices,),
    signals.SignalsSchema: (core_signals.Signals,),
    sources.AlertmanagerSchema: (target.AlertmanagerSource,),
    change_windows.ChangeWindowSchema: (target.ChangeWindow,),
    calls.ChatCallSchema: (target.OtherCall,),
    changes.CompleteActivationSchema: (scenario.ProviderChange,),
    changes.CostLimitSchema: (scenario.LimitChange,),
    changes.EnvironmentSchema: (scenario.EnvironmentChange,),
    monitoring.ExpectSchema: (scenario.Expectation,),
    change_windows.FreezeSchema: (target.Freeze,),
    scenarios.ImpactSchema: (scenario.Impact,),
    monitoring.MonitorSchema: (scenario.Monitor, limits.Limits),
    scenarios.OperatorSchema: (scenario.Operator,),
    policies.PolicySchema: (policy.Policy,),
    monitoring.ProbeSchema: (scenario.Probe,),
    sources.PrometheusSchema: (target.PrometheusSource,),
    targets.ProviderSchema: (target.ProviderRestart,),
    changes.RateLimitSchema: (scenario.LimitChange,),
    calls.RoutingSchema: (target.Routing,),
    deviations.DeviationsSchema: (target.Target,),
    changes.SafeProviderSchema: (scenario.ProviderChange,),
    scenarios.ScenarioSchema: (scenario.Scenario,),
    targets.ServiceSchema: (target.Service,),
    scenarios.StageSchema: (scenario.Share,),
    policies.StandardChangeSchema: (policy.StandardChange,),
    monitoring.SyntheticPowerSchema: (scenario.SyntheticPower,),
    scenarios.StrategySchema: (scenario.Canary,),
    targets.TargetSchema: (target.Target,),
    targets.TimeoutsSchema: (target.Timeouts,),
    sources.TlsSchema: (target.Tls,),
    scenarios.WaiverSchema: (scenario.Waiver,),
}
"""Schema -> the records whose docstrings describe its keys, where its own does not."""

_ATTRIBUTE = re.compile(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", re.MULTILINE)
_WITHOUT_VALUE = re.compile(r"[;.] None\b.*?(?=[;.](?:\s|$)|$)")
_FIELD = re.compile(r"`(\w+?)_m?s`")


def schema_text(name: str) -> str:
    """Return the JSON Schema of one of the `NAMES`, as its file holds it.

    Raises:
        KeyError: there is no such name.
        LookupError: a key has no description, or nothing says what its validator accepts.
    """
    return json.dumps(_DOCUMENTS[name](), indent=2) + "\n"


def write_files() -> None:
    """Write the files that the package ships."""
    for name in NAMES:
        schema_path(name).write_text(schema_text(name), encoding="utf-8")


class _Generator(GenerateJsonSchema):
    """Describes what the files hold; no key may be without a value, and a key that is left out has no default here."""

    def function_before_schema(self, schema: core_schema.BeforeValidatorFunctionSchema) -> Json:
        """Return what a validator accepts; a schema's own validator of mappings adds nothing."""
        read = cast("Validator", schema["function"]["function"])
        inner = partial(self.generate_inner, schema["schema"])
        owner = getattr(read, "__self__", None)
        return inner() if isinstance(owner, type) and issubclass(owner, Schema) else json_schema_of(read, inner)

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> Json:
        """Return the schema of the value."""
        return self.generate_inner(schema["schema"])

    def nullable_schema(self, schema: core_schema.NullableSchema) -> Json:
        """Return the schema of the value."""
        return self.generate_inner(schema["schema"])

    def dict_schema(self, schema: core_schema.DictSchema) -> Json:
        """Return the schema of a mapping, with the pattern of its keys."""
        keys, values = self.generate_inner(schema["keys_schema"]), self.generate_inner(schema["values_schema"])
        named = {"propertyNames": {"pattern": keys["pattern"]}} if "pattern" in keys else {}
        return {"type": "object", **named, "additionalProperties": values or True}

    def model_schema(self, schema: core_schema.ModelSchema) -> Json:
        """Return the schema of a mapping, each key with its description."""
        found = super().model_schema(schema)
        model = schema["cls"]
        del found["title"]
        found["description"] = _summary(model)
        descriptions = _descriptions(model)
        for field in model.model_fields:
            key = _key(model, field)
            found["properties"][key] = _described(found["properties"][key], f"{model.__name__}.{field}", descriptions)
        required = [_key(model, name) for name in model.required_keys]
        return found | ({"required": required} if required else {})

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - the signature of pydantic
        """Return that no key has a title: its name is enough."""
        return False


def _scenario() -> Json:
    definitions, references = _definitions(scenarios.ScenarioSchema, *_CHANGES)
    properties = definitions["ScenarioSchema"]["properties"]
    change = lone_or_list({"anyOf": [references[model] for model in _CHANGES]}, least=1)
    properties["change"] = {"description": properties["change"]["description"]} | change
    return _document("A scenario", references[scenarios.ScenarioSchema], definitions)


def _target() -> Json:
    definitions, references = _definitions(targets.TargetSchema, deviations.DeviationsSchema)
    properties = definitions["TargetSchema"]["properties"]
    definitions["TargetSchema"] |= {
        "if": {"properties": {"kind": {"const": DEFAULT_KIND}}},
        "then": {"properties": {"settings": references[deviations.DeviationsSchema]}},
    }
    for former, new in FORMER_KEYS.items():
        properties[former] = properties[new] | {"description": f"Is now `{new}`.", "deprecated": True}
    return _document("The targets, by name", _by_name(references[targets.TargetSchema]), definitions)


def _policy() -> Json:
    definitions, references = _definitions(policies.PolicySchema)
    return _document("The policy, by environment", _by_name(references[policies.PolicySchema]), definitions)


_DOCUMENTS = {"scenario": _scenario, "target": _target, "policy": _policy}


def _definitions(*models: type[Schema]) -> tuple[Json, Mapping[type[Schema], Json]]:
    """Return the definitions of the models and of what is in them, and the reference to each model."""
    found, document = models_json_schema([(model, "validation") for model in models], schema_generator=_Generator)
    return document["$defs"], {model: found[model, "validation"] for model in models}


def _document(title: str, schema: Json, definitions: Json) -> Json:
    return {"$schema": _DRAFT, "title": title, **schema, "$defs": definitions}


def _by_name(reference: Json) -> Json:
    return {
        "type": "object",
        "propertyNames": {"pattern": rf"^\s*{PROVIDER.pattern}\s*$"},
        "additionalProperties": reference,
    }


def _key(model: type[Schema], name: str) -> str:
    """Return the key of a field; a key is its own."""
    return (model.model_fields[name].alias if name in model.model_fields else None) or name


def _summary(model: type) -> str:
    """Return the first paragraph of the docstring, as a user reads it."""
    return _in_markdown((inspect.getdoc(model) or "").partition("\n\n")[0])


def _descriptions(model: type[Schema]) -> Mapping[str, str]:
    """Return field -> description: of the records that the schema becomes, and, before these, of the schema itself."""
    parts = [*reversed(_RECORDS.get(model, ())), *reversed(model.__mro__)]
    return {name: text for part in parts for name, text in _ATTRIBUTE.findall(inspect.getdoc(part) or "")}


def _described(value: Json, field: str, descriptions: Mapping[str, str]) -> Json:
    """Return the schema of a key's value with its description, to which that of its type is added.

    Raises:
        LookupError: there is none.
    """
    try:
        text = _in_markdown(descriptions[field.partition(".")[2]])
    except KeyError:
        raise LookupError(f"{field} has no description; add it to the schema's docstring") from None
    sentence = text[:1].upper() + text[1:]
    return value | {"description": " ".join(filter(None, (sentence, value.get("description"))))}


def _in_markdown(text: str) -> str:
    """Return a docstring's text for someone who writes a file: keys instead of fields, nothing about `None`."""
    line = " ".join(text.split()).replace("``", "`")
    return _FIELD.sub(r"`\1`", _WITHOUT_VALUE.sub("", line))


if __name__ == "__main__":
    write_files()
