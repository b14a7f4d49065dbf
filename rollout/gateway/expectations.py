"""Which provider answered (VER-2, MON-5, RBK-4.1), and whether the answer is what a probe expects (MON-5)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NoReturn

from rollout.core.scenario import Expectation, ProviderChange
from rollout.core.target import Target
from rollout.core.units import truncate
from rollout.gateway.drivers.selection import driver_of
from rollout.gateway.responses import Completion

EMPTY = "the completion is empty"
_LONGEST = 200
_SNAPSHOT = re.compile(r"-(\d{4}-\d{2}-\d{2}|\d{8}|\d{4}|latest)$")


def same_model(answered: str, expected: str) -> bool:
    """Return whether `answered` is `expected` or a dated snapshot of it (``gpt-4o-2024-08-06`` of ``gpt-4o``)."""
    return answered == expected or _SNAPSHOT.sub("", answered) == expected


def answered_by(answer: Completion, expected: ProviderChange, target: Target) -> str | None:
    """Return what is wrong with the answer: empty, another provider or model; None if nothing is.

    An answer that names no provider or no model is judged by what it names.
    """
    if not answer.content.strip():
        return EMPTY
    names = {expected.provider.casefold(), driver_of(target).reported_as(expected.provider).casefold()}
    if answer.provider is not None and answer.provider.casefold() not in names:
        return f"{answer.provider} answered instead of {expected.provider}"
    if answer.model is not None and not same_model(answer.model, expected.model):
        return f"model {answer.model} answered instead of {expected.model}"
    return None


def named(answer: Completion) -> str:
    """Return the provider and model that the answer names: ``the answer names openai and model gpt-4o``."""
    if answer.provider is None and answer.model is None:
        return "the answer names no model and no provider"
    provider = answer.provider or "no provider"
    return f"the answer names {provider} and {f'model {answer.model}' if answer.model else 'no model'}"


def is_from(answer: Completion, one: ProviderChange, target: Target) -> bool:
    """Return whether the answer can be from this provider and model, by its names; its content does not matter."""
    return answered_by(replace(answer, content="-"), one, target) is None


def unmet(expect: Expectation, content: str) -> str | None:
    """Return which expectation an answer does not meet; None if it meets them all."""
    if expect.contains is not None and expect.contains not in content:
        return f"the answer does not contain {expect.contains!r}"
    if expect.matches is not None and re.search(expect.matches, content) is None:
        return f"the answer does not match {expect.matches!r}"
    if expect.max_length is not None and len(content) > expect.max_length:
        return f"the answer has {len(content):,} characters, {expect.max_length:,} are the most"
    return None if expect.json_schema is None else _unfit(expect.json_schema, content)


def _unfit(schema: Mapping[str, Any], content: str) -> str | None:
    try:
        value = json.loads(content, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        return f"the answer is not JSON: {error}"
    # Loaded here, because only a JSON Schema needs them.
    from jsonschema import Draft202012Validator  # noqa: PLC0415
    from jsonschema.exceptions import best_match  # noqa: PLC0415
    from referencing import Registry  # noqa: PLC0415

    # A registry of its own: the default one fetches a `$ref` from the network.
    validator = Draft202012Validator(schema, registry=Registry())
    fault = best_match(validator.iter_errors(value))
    if fault is None:
        return None
    return f"the answer does not satisfy its JSON Schema at {fault.json_path}: {truncate(fault.message, _LONGEST)}"


def _refuse(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON")
