"""Which tokens go to which gateway, and which texts are secrets in everything that is written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from rollout.core.canonical_json import to_json
from rollout.core.clock import NEVER, Clock, StopFlag
from rollout.core.redaction import Redactor
from rollout.core.request import Request
from rollout.core.scenario import EnvironmentChange
from rollout.core.target import Target
from rollout.gateway.client import Gateway, ignore
from rollout.gateway.drivers.selection import driver_of
from rollout.gateway.host.env_text import EnvFileError, values
from rollout.gateway.transport import Exchange
from rollout.journal.record import RolloutRecord


def redactor_for(request: Request, env: Mapping[str, str]) -> Redactor:
    """Return the redactor of everything that is written about this request.

    It knows the variables that the request names (tokens, channels, new values of the `.env` file), those of the
    environment whose names are those of secrets, and the policy's own patterns.
    """
    content = to_json(request)
    changes = [change for change in request.scenario.changes if isinstance(change, EnvironmentChange)]
    names = [*_named_tokens(content), *(name for change in changes for name in change.secrets.values())]
    redactor = Redactor((env[name] for name in names if env.get(name)), request.policy.redact)
    for channel in (*request.scenario.notify, *request.target.notify, *request.policy.channels):
        redactor.add_url(env.get(channel, ""))
    redactor.learn(env, texts_of(content))
    return redactor


def _named_tokens(value: Any) -> Iterator[str]:
    """Yield the variables that are named under ``token_env`` and the like: the gateway's, a source's, the tracker's."""
    if isinstance(value, dict):
        yield from (str(part) for key, part in value.items() if key.endswith("token_env") and part)
        for part in value.values():
            yield from _named_tokens(part)


def learn_env_files(redactor: Redactor, target: Target, record: RolloutRecord | None) -> None:
    """Register the secrets of the service's `.env` file, as it is on this host and as the backup has it.

    A file that is read through commands is known once the backup is taken. A file that cannot be read is skipped.
    """
    copy = ((record and record.backup) or {}).get("env")
    for path in (target.env_file, Path(copy["path"]) if copy else None):
        if path is not None:
            learn_env_file(redactor, path, target)


def learn_env_file(redactor: Redactor, path: Path, target: Target) -> None:
    """Register the secrets of one `.env` file, or a copy of it; one that cannot be read or parsed has none."""
    with suppress(OSError, EnvFileError):
        found = values(path.read_bytes())
        # The active provider and model are no secrets: the rollback restores them.
        active = [found.get(key) or "" for key in driver_of(target).activation_keys()[:2]]
        # Neither are paths and URLs: the journal refers to files by them.
        redactor.learn_file(found, (*texts_of(to_json(target)), *active, str(path), str(Path.cwd())))


def texts_of(value: Any) -> Iterator[str]:
    """Yield every text in mappings and lists, the names of keys left out."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (Mapping, list, tuple)):
        for part in value.values() if isinstance(value, Mapping) else value:
            yield from texts_of(part)


def token_of(name: str | None, env: Mapping[str, str]) -> str | None:
    """Return the token in the environment variable `name`; None where the target sends none."""
    return env.get(name) if name else None


def connect(
    target: Target,
    env: Mapping[str, str],
    *,
    clock: Clock,
    redactor: Redactor,
    stop: StopFlag = NEVER,
    on_exchange: Callable[[Exchange], None] = ignore,
    rollout_id: str | None = None,
) -> Gateway:
    """Return a client of the target's gateway, with the token that the target names; nothing is sent.

    The arguments are those of `Gateway`.

    Raises:
        GatewayError: the target has no URL, or a file of its TLS settings cannot be used.
    """
    return Gateway(
        target,
        token=token_of(target.token_env, env),
        clock=clock,
        stop=stop,
        redactor=redactor,
        on_exchange=on_exchange,
        rollout_id=rollout_id,
    )
