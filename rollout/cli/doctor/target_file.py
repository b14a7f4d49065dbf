"""The ``targets.yaml`` to start from."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from rollout.cli.doctor.findings import ACCORDING, Findings, ProbedCalls
from rollout.cli.doctor.stated_settings import stated_settings
from rollout.config.policies import PRODUCTION, SANDBOX
from rollout.config.urls import is_loopback
from rollout.core.errors import RolloutError
from rollout.gateway.embedded_proof import prove_embedded

LONGEST_STALE_S = 600.0
"""The longest `stale_for` that a target may state."""


def build_target(url: str, seen: ProbedCalls, token_env: str | None) -> dict[str, Any]:
    """Return the settings to start from, as ``targets.yaml`` has them."""
    # A tunnel is on loopback too; a gateway elsewhere is not asked whether it is the embedded one.
    embedded = is_loopback(url) and prove_embedded(url).is_embedded
    found: dict[str, Any] = {"url": url, "environment": SANDBOX if embedded else PRODUCTION}
    if token_env:
        found["token_env"] = token_env
    found |= stated_settings(seen)
    keys = {"provider_key": _provider_key(seen), "model_key": model_key(seen)}
    found |= {setting: key for setting, key in keys.items() if key}
    rewritten = [key for key in seen.rewritten if key != found.get("provider_key")]
    if rewritten:
        found["activation_rewrites"] = rewritten
    listed = [each["name"] for each in seen.providers]
    alias = [name for name in listed if seen.active.casefold().startswith(f"{name.casefold()}-")]
    if seen.active and seen.active.casefold() not in {name.casefold() for name in listed} and alias:
        found["reported_as"] = {alias[0]: seen.active}
    if seen.stalest and seen.stalest.stale_for_s <= LONGEST_STALE_S:
        found["stale_for"] = f"{seen.stalest.stale_for_s:g}s"
    return found | {"env_file": "none", "log_file": "none", "notify": ["log"]}


def _provider_key(seen: ProbedCalls) -> str | None:
    """Return the key that holds the active provider; the documented one where it does."""
    keys = ("ACTIVE_PROVIDER", *sorted(seen.config))
    return next((key for key in keys if seen.active and seen.config.get(key) == seen.active), None)


def model_key(seen: ProbedCalls) -> str | None:
    """Return the key that holds the active model; the documented one where it does."""
    keys = ("LLM_MODEL_NAME", *sorted(key for key in seen.config if key.endswith(("MODEL", "MODEL_NAME"))))
    return next((key for key in keys if seen.config.get(key)), None)


def render_target(name: str, settings: Mapping[str, Any]) -> str:
    """Return a target as ``targets.yaml`` has it."""
    return yaml.safe_dump({name: dict(settings)}, sort_keys=False, allow_unicode=True)


def describe_missing_keys(found: Findings) -> list[str]:
    """Return the comment that stands above the target: the keys that an examination cannot read."""
    hints = [
        "# A target file to start from, as `rollout doctor` found the gateway. Add what it cannot read:",
        "#   safe: {activate: PROVIDER, model: MODEL}   where an emergency goes",
        "#   staging: https://…                         the staging gateway (PRE-3)",
        "#   env_file, log_file, service                the service's files and commands; `none` is a decision",
        "#   startup: 60s                               how long a restart may take (15s by default)",
        "#   restart: true                              activations take effect only after a restart;",
        "#   providers: {NAME: {restart: true}}         or those of one provider do",
    ]
    if "stale_for" not in found.target:
        hints.append(
            "#   stale_for: 10s                             how long reads may lag a write (a cache, a replica)"
        )
    if found.local_activation is not None:
        path, body = found.local_activation["path"], found.local_activation["body"]
        filled = ", ".join(f'{name}: "{place}"' for name, place in body.items())
        hints.append(f"#   activate_with: {{ollama: {{path: {path}, body: {{{filled}}}}}}}")
    if found.certain:
        hints.append(f"# {', '.join(found.certain)}: {ACCORDING}.")
    return hints


def write_target_file(text: str, path: Path) -> None:
    """Write a target file; one that is there is never overwritten.

    Raises:
        RolloutError: it is there, or cannot be written.
    """
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise RolloutError(f"{path} is there already and is not overwritten; name another file") from None
    except OSError as problem:
        raise RolloutError(f"{path} cannot be written ({problem.strerror})") from None
