"""Whether the proxy's own LiteLLM takes a configuration: it is loaded by the interpreter of the proxy's environment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rollout.core.clock import SystemClock
from rollout.core.errors import RolloutError
from rollout.core.redaction import Redactor
from rollout.core.secret_names import is_secret_name
from rollout.core.units import truncate
from rollout.core.writes import Command
from rollout.gateway.drivers.litellm_settings import LiteLLMSettings
from rollout.gateway.host.commands import ServiceError, run_command
from rollout.gateway.host.settings_document import Document

TIMEOUT_S = 120.0
"""How long it may take; importing LiteLLM takes 3 s, and a minute where the machine is busy."""

_LONGEST = 400
_PROGRAM = """
import os, sys
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
os.environ["LITELLM_TELEMETRY"] = "False"
import yaml
from litellm import Router
with open(sys.argv[1], encoding="utf-8") as file:
    document = yaml.safe_load(file)
settings = document.setdefault("router_settings", None) or {}
if sys.argv[2]:
    settings.setdefault("model_group_alias", {})[sys.argv[2]] = sys.argv[3]
known = set(Router.get_valid_args())
try:
    Router(model_list=document.get("model_list"), **{key: settings[key] for key in settings if key in known})
except Exception as problem:
    print(f"{type(problem).__name__}: {problem}", file=sys.stderr)
    sys.exit(3)
"""
"""It names no provider's key, sends nothing, and writes nothing."""

_REFUSED = 3


def load_with(settings: LiteLLMSettings, data: bytes, provider: str) -> str:
    """Return why the proxy's LiteLLM does not take the configuration with the alias moved; empty where it does.

    Args:
        settings: name the interpreter and the file.
        data: the file's bytes, whose secrets are kept out of the message.
        provider: where the alias would lead.
    """
    redactor = Redactor(_secrets(Document.of("yaml", data, str(settings.config)).plain))
    arguments = (str(settings.python), "-c", _PROGRAM, str(settings.config), settings.group or "", provider)
    command = Command(arguments, TIMEOUT_S)
    try:
        run_command(command, clock=SystemClock(), redact=redactor.text, setting="the target's settings.python")
    except ServiceError as failed:
        if failed.ran is None or failed.ran.exit_code != _REFUSED:
            return redactor.text(str(failed).replace(_PROGRAM, "…"))
        said = failed.ran.output.strip().splitlines()
        why = truncate(said[-1] if said else "no reason given", _LONGEST)
        return (
            f"{settings.config}: the LiteLLM of {settings.python} does not load it, so the proxy would not start: {why}"
        )
    except RolloutError as problem:
        return str(problem)
    return ""


def _secrets(value: Any, name: str = "") -> Iterator[str]:
    """Yield the texts under names that mean a secret."""
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from _secrets(part, str(key))
    elif isinstance(value, list):
        for part in value:
            yield from _secrets(part, name)
    elif isinstance(value, str) and is_secret_name(name) and not value.startswith("os.environ/"):
        yield value
