"""The state that survives a restart: the `.env` file and the governance limits, in one directory."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Container, Mapping
from pathlib import Path
from typing import Any

from rollout.core.errors import RolloutError
from rollout.sandbox import envfile
from rollout.sandbox.files import OWNER_ONLY, write_private
from rollout.sandbox.providers import PROVIDERS
from rollout.sandbox.settings import SandboxSettings, why_not_active

LIMIT_DEFAULTS: Mapping[str, Mapping[str, float]] = {
    "cost": {"soft_limit_usd": 10.0, "hard_limit_usd": 50.0},
    "rate": {"max_requests_per_minute": 6000, "max_tokens_per_minute": 1_000_000},
}
"""Kind of limit -> the limits of a scope for which nobody set any."""

_ACTIVE = "ACTIVE_PROVIDER"
_MODEL = "LLM_MODEL_NAME"


class SandboxFailed(RolloutError):
    """The embedded gateway cannot be started or stopped."""


class State:
    """The configuration in effect, and its files.

    The `.env` file is read once, at the start: a change by hand is in effect after a restart.

    Attributes:
        env_file: the `.env` file.
        config: key -> value as it is shown, defaults included.
        provider: the active provider.
        model: the active model.
        sources: key -> ``env`` or ``default``.
        limits: ``cost`` or ``rate`` -> scope -> the limits, named as in `LIMIT_DEFAULTS`.
    """

    def __init__(self, directory: Path, settings: SandboxSettings, deviations: Container[str] = ()) -> None:
        """Create missing files and load the others. Raises SandboxFailed where a file is invalid."""
        directory.mkdir(parents=True, exist_ok=True, mode=OWNER_ONLY)
        self.env_file = directory / ".env"
        self._limits_file = directory / "limits.json"
        fresh = not self.env_file.exists()
        if fresh:
            rewritten = "activation_rewrites" in deviations
            write_private(self.env_file, _first_text(settings, rewritten=rewritten).encode())
        self._load_config()
        initial = settings.limits
        if not fresh and "limits_lost_on_restart" in deviations:
            self._limits_file.unlink(missing_ok=True)
            initial = {}
        self.limits: dict[str, dict[str, Mapping[str, float]]] = {
            "cost": {"global": LIMIT_DEFAULTS["cost"], **initial},
            "rate": {"global": LIMIT_DEFAULTS["rate"]},
            **kept(self._limits_file, {}),
        }

    def activate(self, provider: str, model: str, *, rewritten: bool = False, at_once: bool = True) -> None:
        """Write the active provider and model to the `.env` file, and put them into effect. Raises OSError.

        Args:
            provider: the provider's name.
            model: one of its models.
            rewritten: whether the keys that describe the runtime are written as well.
            at_once: false puts them into effect at the next start (deviation 7, `Timing.restart_providers`).
        """
        wanted = {_ACTIVE: provider, _MODEL: model} | (described(provider, model) if rewritten else {})
        before = self.env_file.read_bytes()
        text = before.decode()
        for key, value in wanted.items():
            text = envfile.with_value(text, key, value)
        if text.encode() != before:
            write_private(self.env_file, text.encode())
        self.config |= wanted
        self.sources |= dict.fromkeys(wanted, "env")
        if at_once:
            self.provider, self.model = provider, model

    def set_limit(self, kind: str, scope: str, limit: Mapping[str, float]) -> None:
        """Store the limits of one scope; `kind` is ``cost`` or ``rate``. Raises OSError."""
        self.limits[kind][scope] = dict(limit)
        write_private(self._limits_file, json.dumps(self.limits, indent=1).encode())

    def _load_config(self) -> None:
        try:
            from_file = envfile.parse(self.env_file.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise SandboxFailed(f"{self.env_file} cannot be read ({error}). Restore it, or delete it.") from error
        self.config = envfile.DEFAULTS | from_file
        self.sources = dict.fromkeys(envfile.DEFAULTS, "default") | dict.fromkeys(from_file, "env")
        self.provider, self.model = self.config[_ACTIVE].casefold(), self.config[_MODEL]
        reason = why_not_active(PROVIDERS.get(self.provider), self.provider, self.model)
        if reason:
            raise SandboxFailed(f"{self.env_file}: {_ACTIVE} and {_MODEL}: {reason}. Mend the file, or delete it.")


def kept(file: Path, default: Any) -> Any:
    """Return the JSON that an earlier process kept in a file, the default where there is none. Raises SandboxFailed."""
    if not file.exists():
        return default
    try:
        return json.loads(file.read_bytes())
    except ValueError as error:
        raise SandboxFailed(f"{file} is no JSON ({error}). Restore it, or delete it.") from error


def described(provider: str, model: str) -> dict[str, str]:
    """Return the keys in which gateways of this family describe the active runtime a second time."""
    return {
        "LLM_SERVICE_TYPE": "local" if PROVIDERS[provider].endpoint else provider,
        "ACTIVE_LLM_SERVER": provider,
        "LLM_CONFIG_HASH": hashlib.sha256(f"{provider}:{model}".encode()).hexdigest()[:12],
    }


def _first_text(settings: SandboxSettings, *, rewritten: bool) -> str:
    provider, model = settings.initially_active
    more = described(provider, model) if rewritten else {}
    return envfile.TEMPLATE.format(provider=provider, model=model) + "".join(f"{k}={v}\n" for k, v in more.items())
