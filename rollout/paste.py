"""The commands that a person can paste when the suite could not finish the way back itself."""

from __future__ import annotations

import json
import shlex

from rollout.scenario import ProviderChange
from rollout.target import Target


def activation(target: Target, to: ProviderChange) -> str:
    """Return the `curl` command that activates `to` on `target`; the token stays in its environment variable."""
    path = target.paths.get("activate", "/api/v1/providers/{provider}/activate").format(provider=to.provider)
    parts = ["curl", "-sS", "-X", "POST", f"{target.url}{path}", "-H", "Content-Type: application/json"]
    parts += ["-d", json.dumps({"model": to.model})]
    command = shlex.join(parts)
    if target.token_env:
        # Double quotes on purpose: the shell of the person who pastes it reads the token.
        command += f' -H "Authorization: Bearer ${target.token_env}"'
    return command


def look(target: Target) -> str:
    """Return the `curl` command that shows which provider is active."""
    command = shlex.join(["curl", "-sS", f"{target.url}{target.paths.get('providers', '/api/v1/providers')}"])
    if target.token_env:
        command += f' -H "Authorization: Bearer ${target.token_env}"'
    return command
