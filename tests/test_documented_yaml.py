"""Every block of YAML in the documents is valid: a scenario, a target, a policy, a part of one, or a pipeline."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from rollout.config.schemas.policies import PolicySchema
from rollout.config.schemas.scenarios import ScenarioSchema
from rollout.config.schemas.targets import TargetSchema
from rollout.config.source import Source
from rollout.config.validation import fill_schema
from rollout.config.yaml_source import read_yaml
from rollout.core.schemas.base import Schema
from rollout.sandbox.settings import SandboxSettings
from tests.support.documents import Passage, fenced_blocks, languages, scripts_of, yaml_blocks
from tests.support.json_schemas import refusals, schema_validator

BLOCKS = list(yaml_blocks())
PIPELINE = frozenset({"jobs", "steps", "uses", "run", "script"})
"""Keys of GitHub Actions and GitLab, at the top, in a job or in a step."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What a block may be.

    Attributes:
        schema: the name of its JSON Schema.
        model: what loading fills from it, or from each value where it is listed by name.
        listed: whether the file holds several of them, by name.
        missing: what a part of one is completed with.
    """

    schema: str
    model: type[Schema]
    listed: bool
    missing: Mapping[str, Any]

    def keys(self) -> set[str]:
        """Return the keys that it knows."""
        return set(schema_validator(self.schema).schema["$defs"][self.model.__name__]["properties"])

    def problems(self, data: dict[str, Any]) -> list[str]:
        """Return what is wrong with a whole one, or with a part of one once the rest is filled in."""
        complete = self.missing | data
        source = Source("block")
        fill_schema(self.model, complete, source)
        SandboxSettings.from_mapping(data.get("sandbox", {}))
        document = {"name": complete} if self.listed else complete
        return [*refusals(self.schema, document), *map(str, source.in_order())]


ACTIVATION = {"activate": "openai", "model": "gpt-4o"}
SCENARIO = Kind("scenario", ScenarioSchema, listed=False, missing={"change": ACTIVATION})
TARGET = Kind("target", TargetSchema, listed=True, missing={"url": "https://gateway.example.com"})
POLICY = Kind("policy", PolicySchema, listed=True, missing={})


def kind_of(data: Any) -> tuple[Kind | None, list[dict[str, Any]]]:
    """Return the kind with the most of the block's keys, and its mappings; no kind for none.

    A block is the file itself, or a part that stands in one: the keys of a scenario, of one target or of one
    environment.
    """
    if not isinstance(data, dict):
        return None, []
    values = list(data.values())
    named = values if all(isinstance(value, dict) for value in values) else []
    candidates = [(SCENARIO, [data]), (TARGET, [data]), (POLICY, [data]), (TARGET, named), (POLICY, named)]
    known = [sum(len(part.keys() & kind.keys()) for part in parts) for kind, parts in candidates]
    return candidates[known.index(max(known))] if max(known) else (None, [])


def is_pipeline(data: Any) -> bool:
    """Return whether the block is a pipeline, a job of one, or a list of steps."""
    parts = [data, *(data.values() if isinstance(data, dict) else data if isinstance(data, list) else ())]
    return any(isinstance(part, dict) and part.keys() & PIPELINE for part in parts)


def problems_of(block: Passage, folder: Path) -> list[str]:
    """Return what is wrong with a block, each problem with the block's place."""
    if is_pipeline(yaml.safe_load(block.text)):
        # Its command lines are those of `pipeline_commands`, which are validated with those of the consoles.
        return [] if list(scripts_of(block)) else [f"{block}: a pipeline that runs nothing"]
    path = folder / "block.yaml"
    path.write_text(block.text, encoding="utf-8")
    source = read_yaml(path, "block.yaml")
    kind, parts = kind_of(source.data)
    found = [str(problem) for problem in source.in_order()]
    if kind is None:
        found.append("is neither a scenario, targets, a policy nor a pipeline")
    else:
        found += [problem for part in parts for problem in kind.problems(part)]
    return [f"{block}: {problem}" for problem in found]


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_a_block_of_yaml_is_valid(block: Passage, tmp_path: Path):
    assert problems_of(block, tmp_path) == []


def test_the_documents_hold_blocks_of_known_languages_only():
    """A block in another language would be read by no test; ``text`` is what a program prints.

    Blocks of Python are the page's driver, which `tests/testing/test_conformance.py` installs and tries.
    """
    assert languages() <= {"console", "cron", "python", "text", "toml", "yaml"}
    assert {block.passage.file for block in fenced_blocks() if block.language == "python"} == {"docs/WRITE-A-DRIVER.md"}


def test_every_block_of_toml_is_toml():
    for block in fenced_blocks():
        if block.language == "toml":
            tomllib.loads(block.passage.text)


def test_every_kind_is_among_the_documents():
    kinds = [kind_of(data)[0] for block in BLOCKS if not is_pipeline(data := yaml.safe_load(block.text))]
    assert {kind.schema for kind in kinds if kind} == {"scenario", "target", "policy"}
    assert len(kinds) < len(BLOCKS)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("colour: red\n", "is neither a scenario, targets, a policy nor a pipeline"),
        ("- red\n", "is no mapping at its top"),
        ("change: {activate: openai}\n", "$.change: "),
        ("monitor: {window: 30}\nticket: OPS-1\n", "has no unit"),
        ("monitor: {windwo: 30m}\n", "'windwo' was unexpected"),
        ("waivers: [{clause: PRE-1.1, reason: r, granted_by: d, until: 2026-12-01}]\n", "cannot be waived"),
        ("production: {url: https://x, sources: {prometeus: {}}}\n", "'prometeus' was unexpected"),
        ("startup: 5s\nstale_for: 1h\n", "is too long"),
        ("standard: [{kind: providers}]\n", "'providers' is not possible here"),
        ("staging: {review: signd, channels: [log]}\n", "'signd' is not possible here"),
        ("job: {script: []}\n", "a pipeline that runs nothing"),
    ],
)
def test_a_block_with_a_mistake_is_named_with_its_file_and_line(text: str, problem: str, tmp_path: Path):
    found = problems_of(Passage("docs/CANARY.md", 17, text), tmp_path)
    assert any(problem in each for each in found), found
    assert all(each.startswith("docs/CANARY.md:17: ") for each in found)
