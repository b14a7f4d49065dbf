"""What a file holds where a validator reads a value, as JSON Schema.

pydantic knows what a validator returns: a number of seconds. The file holds text: ``30m``. A schema never accepts less
than its validator; where it accepts more, loading refuses the rest.

A pattern is read by Python and by the JavaScript of an editor. It allows the white space that the validator removes.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from rollout.config import env_entries, probes, quantities, signal_values, urls
from rollout.core.clauses import CLAUSES
from rollout.core.schemas import commands, validators

Json = dict[str, Any]
Validator = Callable[[Any], Any]


def json_schema_of(read: Validator, inner: Callable[[], Json]) -> Json:
    """Return the JSON Schema of what `read` accepts.

    Args:
        read: a validator.
        inner: makes the schema of what its result is read into; called where it reads a list or a mapping.

    Raises:
        LookupError: nothing here says what the validator accepts.
    """
    maker = _maker(read)
    if maker in VALUES:
        return dict(VALUES[maker])
    if maker in _CONTAINERS:
        return _CONTAINERS[maker](inner())
    arguments = inspect.getclosurevars(read).nonlocals
    if maker is validators.choice:
        return {"enum": [str(word) for word in arguments["allowed"]]}
    if maker is quantities.whole_number:
        return {"type": "integer", "minimum": arguments["least"]}
    raise LookupError(f"{__name__} does not say what {maker.__module__}.{maker.__name__} accepts; add it there")


def lone_or_list(item: Json, *, least: int = 0) -> Json:
    """Return the schema of a list of such items, of which a lone one may stand for a list of one."""
    lone = item["anyOf"] if item.keys() == {"anyOf"} else [item]
    return {"anyOf": [*lone, {"type": "array", "items": item} | ({"minItems": least} if least else {})]}


def _maker(read: Validator) -> Validator:
    """Return the function that made a validator, such as `choice`; of any other the validator itself."""
    found: Validator = getattr(sys.modules[read.__module__], read.__qualname__.partition(".")[0])
    return found


def _only(pattern: str, description: str = "") -> Json:
    """Return the schema of text that the pattern matches as a whole."""
    found = {"type": "string", "pattern": rf"^\s*(?:{pattern})\s*$"}
    return found | ({"description": description} if description else {})


def _none_or(schema: Json) -> Json:
    return {"anyOf": [{"const": "none"}, schema]}


def _clauses(read: Validator) -> Json:
    """Return the schema of the clauses that a validator accepts: completed in capitals, accepted in any."""
    return {"anyOf": [{"enum": list(_accepted(read, CLAUSES))}, {"type": "string", "pattern": r"[a-z\s]"}]}


def _accepted(read: Validator, values: Iterable[str]) -> Iterable[str]:
    for value in values:
        try:
            yield read(value)
        except ValueError:
            continue


_NUMBER = r"[0-9]+(?:\.[0-9]+)?"
_NAME = validators.PROVIDER.pattern
_DAY = "|".join("".join(f"[{sign}{sign.upper()}]" for sign in name) for name in quantities.DAYS)
_PARTS = "".join(rf"(?:{_NUMBER}{unit}\s*)?" for unit in ("d", "h", "m", "s", "ms"))

_TEXT: Json = {"type": ["string", "integer"], "pattern": r"\S"}
_LINE: Json = {"type": "string", "pattern": r"\S"}
_NAMED: Json = _TEXT | {"pattern": rf"^\s*{_NAME}\s*$"}
_REGEX: Json = _TEXT | {"description": "In Python's syntax."}
_DURATION = _only(rf"(?=\S){_PARTS}", "A duration with its unit: `30m`, `10s`, `1h30m` or `500ms`.")
_RATIO: Json = {"type": ["number", "string"], "exclusiveMinimum": 0}
_PERCENT: Json = _RATIO | {"pattern": rf"^\s*{_NUMBER}\s*%?\s*$"}
_OFF: Json = {"enum": ["off", False]}
_FILE = _only("/.*", "An absolute path.")
_VARIABLE: Json = {"type": "string", "pattern": f"^{validators.VARIABLE.pattern}$"}

VALUES: Mapping[Validator, Json] = {
    validators.text: _TEXT,
    validators.prose: _TEXT,
    validators.pattern: _REGEX,
    validators.secret_pattern: _REGEX,
    validators.header: _TEXT | {"pattern": r"^\s*[ -~]+\s*$"},
    validators.name: _NAMED,
    validators.provider: _NAMED,
    validators.provider_and_model: _only(rf"{_NAME}:.*\S"),
    validators.scope: _TEXT | {"pattern": rf"^\s*(?:provider:)?{_NAME}\s*$"},
    validators.variable: _VARIABLE,
    validators.channel: {
        "type": "string",
        "pattern": "^(?:log|[A-Z_][A-Z0-9_]*)$",
        "description": "`log`, or the name of an environment variable with an Apprise URL.",
    },
    validators.waivable: _clauses(validators.waivable),
    validators.dispensable: _clauses(validators.dispensable),
    validators.observing: _clauses(validators.observing),
    validators.flag: {"type": "boolean"},
    validators.true_or_only: {"enum": [True, "only"]},
    validators.file: _FILE,
    validators.file_or_none: _none_or(_FILE),
    validators.path: _only(r"/(?!.*\{[^{}]*\})\S*"),
    validators.provider_path: _only(r"/\S*\{provider\}\S*", "`{provider}` stands for the provider."),
    validators.ticket_url: _only(r"https?://\S.*\{ticket\}.*"),
    validators.counter: _LINE | {"description": "A PromQL selector of raw counters."},
    validators.matcher: _LINE,
    urls.base_url: _only(r"[Hh][Tt][Tt][Pp][Ss]?://[^\s@?#]+"),
    commands.command: {
        "type": "array",
        "minItems": 1,
        "items": _TEXT,
        "description": "A program and its arguments, one item each; no shell reads it.",
    },
    commands.template: {"type": "string"},
    commands.activation_path: _only(r"/\S*"),
    commands.destination: {"type": "string", "pattern": r"\{provider\}"},
    env_entries.key: _VARIABLE,
    env_entries.value: {"type": ["string", "number", "boolean"]},
    env_entries.holder: {"type": "string", "pattern": "^[A-Z_][A-Z0-9_]{0,127}$"},
    probes.json_schema: {"type": "object"},
    quantities.seconds: _DURATION,
    quantities.seconds_or_none: _none_or(_DURATION),
    quantities.startup: _DURATION,
    quantities.pace: _DURATION,
    quantities.staleness: _DURATION,
    quantities.milliseconds: _DURATION,
    quantities.share: _PERCENT | {"exclusiveMaximum": 1, "description": "A share: `5%` or `0.05`."},
    signal_values.label: _TEXT | {"pattern": r"^\s*[A-Za-z_][A-Za-z0-9_]*\s*$"},
    signal_values.level: {"type": "number", "minimum": 0},
    signal_values.expression: _TEXT | {"description": "An expression of PromQL whose result is one number."},
    quantities.judged_share: _PERCENT | {"exclusiveMaximum": 0.9, "description": "A share: `5%` or `0.05`."},
    quantities.alpha: _PERCENT | {"maximum": 0.1, "description": "A probability: `0.01` or `1%`."},
    quantities.power: _PERCENT | {"minimum": 0.5, "maximum": 0.999, "description": "A probability: `0.9` or `90%`."},
    quantities.portion: _PERCENT | {"maximum": 1, "description": "A share: `10%` or `0.1`."},
    quantities.factor: _RATIO
    | {"exclusiveMinimum": 1, "pattern": rf"^\s*{_NUMBER}\s*x?\s*$", "description": "A factor: `2x` or `2`."},
    quantities.tokens: {"type": "integer", "minimum": 1},
    quantities.dollars: {"type": "number", "exclusiveMinimum": 0},
    quantities.price: {"type": "number", "minimum": 0},
    quantities.a_minute: {"type": "integer", "exclusiveMinimum": 0},
    quantities.days: lone_or_list(_only(rf"(?:{_DAY})[^-]*(?:-\s*(?:{_DAY})[^-]*)?"), least=1),
    quantities.time_of_day: {
        "type": "string",
        "pattern": r"^(?:(?:[01]?[0-9]|2[0-3]):[0-5][0-9]|24:00)$",
        "description": 'A time of the day: `"22:00"`.',
    },
    quantities.moment: _only("2[0-9]{3}.*", 'A date, or a date and a time of the day: `"2026-12-18 18:00"`.'),
    quantities.time_zone: _LINE,
}
"""Validator of a single value -> what a file holds there."""

_CONTAINERS: Mapping[Validator, Callable[[Json], Json]] = {
    validators.require: lambda inner: inner,
    validators.mapping: lambda inner: inner,
    env_entries.by_key: lambda inner: inner,
    validators.items: lambda inner: lone_or_list(inner["items"]),
    validators.strategy: lambda inner: {"anyOf": [{"const": "canary"}, inner]},
    validators.contact: lambda inner: {"anyOf": [_only(r"[^<>]*\S\s*<[^<>]+>"), inner]},
    signal_values.limit_or_factor: lambda inner: {"anyOf": [{"type": ["number", "string"]}, inner]},
    quantities.on_no_data: lambda inner: {"anyOf": [{"enum": ["extend", "roll_back"]}, inner]},
    probes.expectation: lambda inner: {"anyOf": [_TEXT | {"type": "string"}, inner]},
    probes.in_turn: lambda inner: {"anyOf": [_OFF, *lone_or_list(inner["items"], least=1)["anyOf"]]},
}
"""Validator of a list or a mapping -> what a file holds there, made of what it holds inside."""
