"""What the shipped JSON Schemas refuse of a document, and of a file as loading reads it."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from rollout.config.json_schema_files import schema_path
from rollout.config.yaml_source import read_yaml

_KNOWN: dict[tuple[str, bytes], tuple[str, ...]] = {}


@cache
def schema_validator(name: str) -> Draft202012Validator:
    """Return the validator of one of the shipped schemas."""
    return Draft202012Validator(json.loads(schema_path(name).read_text(encoding="utf-8")))


def refusals(name: str, document: Any) -> tuple[str, ...]:
    """Return what the schema called `name` refuses, each with its place; empty where it accepts the document."""
    errors = schema_validator(name).iter_errors(document)
    return tuple(f"{error.json_path}: {error.message}" for error in errors)


def refusals_of_file(name: str, path: Path) -> tuple[str, ...]:
    """Return likewise of a file; of one content it is computed once."""
    content = name, path.read_bytes()
    if content not in _KNOWN:
        _KNOWN[content] = refusals(name, read_yaml(path, path.name).data)
    return _KNOWN[content]
