"""The JSON Schemas that the package ships; `rollout.config.json_schema` writes them."""

from __future__ import annotations

from pathlib import Path

NAMES = ("scenario", "target", "policy")
"""What there is a schema of: a scenario's file, ``targets.yaml`` and ``policy.yaml``."""

FOLDER = Path(__file__).parent / "json_schemas"


def schema_path(name: str) -> Path:
    """Return the file with the schema of one of the `NAMES`."""
    return FOLDER / f"{name}.json"
