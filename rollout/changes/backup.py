"""The backup: the gateway's state before the change, on disk, read back, and proven by digests (PRE-1)."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rollout.core.canary_stages import same_weights
from rollout.core.canonical_json import sha256, to_json
from rollout.core.clock import Clock, format_utc
from rollout.core.errors import NotCleared, RolloutError
from rollout.core.scenario import ProviderChange
from rollout.core.target import Target
from rollout.gateway.client import Gateway
from rollout.gateway.host.env_file import EnvFile
from rollout.gateway.host.env_text import values

_STATE_HOME = "set XDG_STATE_HOME to a folder that can be written"


class BackupError(RolloutError):
    """A backup cannot be taken, or is no longer what was written."""


@dataclass(frozen=True, slots=True)
class EnvCopy:
    """The byte-exact copy of the `.env` file beside the original.

    Attributes:
        path: the copy.
        sha256: digest of its bytes.
        keys: names of the keys in it; values never leave the file.
    """

    path: str
    sha256: str
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Backup:
    """The gateway's state at one time.

    Attributes:
        taken_at: UTC.
        previous: the active provider and its model.
        reported_as: the name under which the gateway reports the active provider.
        config: runtime configuration, redacted.
        cost_limits: scope -> limits.
        rate_limits: scope -> limits.
        files: what was saved (``config``, ``providers``, ``limits``) -> path.
        digests: the same keys -> SHA-256 of the file's bytes.
        env: the `.env` copy; None where the target states that the file cannot be reached.
        weights: how the requests were split, destination -> fraction; None where the target cannot split them.
    """

    taken_at: str
    previous: ProviderChange
    reported_as: str
    config: Mapping[str, str]
    cost_limits: Mapping[str, Mapping[str, float]]
    rate_limits: Mapping[str, Mapping[str, float]]
    files: Mapping[str, str]
    digests: Mapping[str, str]
    env: EnvCopy | None
    weights: Mapping[str, float] | None = None

    @classmethod
    def from_record(cls, body: Mapping[str, Any]) -> Backup:
        """Return the backup that a journal entry holds."""
        env = body["env"]
        return cls(
            **{
                **{name: body[name] for name in cls.__dataclass_fields__ if name in body},
                "previous": ProviderChange(**body["previous"]),
                "env": None if env is None else EnvCopy(**{**env, "keys": tuple(env["keys"])}),
            }
        )

    def record(self) -> dict[str, Any]:
        """Return the backup as a journal entry's body."""
        return dict(to_json(self))

    def damage(self, what: str) -> str | None:
        """Return what is wrong with a saved file now; None if it is as it was written."""
        if what != "env":
            return _damage(Path(self.files[what]), self.digests[what])
        return None if self.env is None else _damage(Path(self.env.path), self.env.sha256)


def is_same_provider(one: ProviderChange, other: ProviderChange) -> bool:
    """Return whether two positions are the same; provider names are case-insensitive."""
    return one.provider.casefold() == other.provider.casefold() and one.model == other.model


def take(
    gateway: Gateway, target: Target, folder: Path, *, clock: Clock, redact: Callable[[Any], Any], label: str
) -> Backup:
    """Save the gateway's state, read every file back, and return the backup (PRE-1.1 to 1.3).

    Args:
        gateway: where to read.
        target: names the `.env` file.
        folder: where the redacted files go; made if absent.
        clock: gives the timestamp in the files' names.
        redact: removes secrets from what is written.
        label: the rollout's id, part of every name, so that two backups in one second differ in name (deviation 16).

    Raises:
        GatewayError: a read failed.
        BackupError: a file cannot be written, or does not read back equal.
    """
    now = gateway.snapshot()
    content = {
        "config": redact({"config": to_json(now.config), "config_sources": to_json(now.config_sources)}),
        "providers": redact({**now.providers, **({} if now.weights is None else {"weights": to_json(now.weights)})}),
        "limits": redact(to_json(now.limits)),
    }
    name = f"backup-{clock.now():%Y%m%d-%H%M%S-%f}-{label}"
    files = {what: _save(folder / f"{what}-{name}.json", body) for what, body in content.items()}
    return Backup(
        taken_at=format_utc(clock.now()),
        previous=now.active,
        reported_as=now.reported_as,
        config=content["config"]["config"],
        cost_limits=content["limits"]["cost_limits"],
        rate_limits=content["limits"]["rate_limits"],
        files={what: str(path) for what, (path, _) in files.items()},
        digests={what: digest for what, (_, digest) in files.items()},
        env=_copy_env(target, f"config-{name}.env", clock),
        weights=now.weights,
    )


def differences(backup: Backup, gateway: Gateway, redact: Callable[[Any], Any]) -> dict[str, str]:
    """Return what differs from the backup now: ``KEY``, ``limits SCOPE``, ``weights NAME`` -> ``before -> now``.

    Raises:
        GatewayError: a read failed.
    """
    config, limits = redact(dict(gateway.runtime_config().config)), gateway.limits()
    # Both, because the backup may have been written before the `.env` file's secrets were known.
    found = _diff(redact(dict(backup.config)), config, "")
    found |= _diff(backup.cost_limits, limits.cost_limits, "cost limits ")
    if backup.weights is not None and not same_weights(backup.weights, now := gateway.weights().shares):
        found |= _diff(backup.weights, now, "weights ")
    return found | _diff(backup.rate_limits, limits.rate_limits, "rate limits ")


def env_difference(backup: Backup, target: Target, clock: Clock) -> dict[str, str]:
    """Return that the `.env` file's bytes differ from the backup's, by ``.env``; empty where nothing can be compared.

    Raises:
        EnvFileError: it cannot be read.
    """
    if backup.env is None or sha256(EnvFile(target, clock=clock, redact=str).read()) == backup.env.sha256:
        return {}
    return {".env": "its bytes differ from the backup's"}


def recorded(body: Mapping[str, Any] | None) -> Backup:
    """Return the backup of the journal.

    Raises:
        NotCleared: none was taken.
        BackupError: the entry does not hold one.
    """
    if body is None:
        raise NotCleared("there is no backup in the journal; run `pytest -m precheck` first")
    try:
        return Backup.from_record(body)
    except (KeyError, TypeError) as error:
        raise BackupError(
            f"the journal's entry of the backup cannot be read ({type(error).__name__}: {error}), so it is not known "
            "what to go back to; `rollout verify-journal` says whether it was altered"
        ) from error


def _diff(before: Mapping[str, Any], now: Mapping[str, Any], prefix: str) -> dict[str, str]:
    return {
        f"{prefix}{key}": f"{before.get(key, 'absent')} -> {now.get(key, 'absent')}"
        for key in sorted(before.keys() | now.keys())
        if before.get(key) != now.get(key)
    }


def _damage(path: Path, digest: str) -> str | None:
    try:
        found = sha256(path.read_bytes())
    except OSError as error:
        return f"{path} cannot be read: {error.strerror}"
    return None if found == digest else f"{path} was altered: SHA-256 is {found[:12]}, it was {digest[:12]}"


def _save(path: Path, content: Any) -> tuple[Path, str]:
    data = json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False).encode()
    _write_private(path, data, "name a folder that can be written with --reports=DIR")
    return path, sha256(data)


def _copy_env(target: Target, name: str, clock: Clock) -> EnvCopy | None:
    """Copy the file byte for byte beside the original; one behind commands into this user's own state folder.

    Never into the reports, which are uploaded: it holds secrets.
    """
    file = EnvFile(target, clock=clock, redact=str)
    if target.env_file is None and not (target.service and target.service.read):
        return None
    data = file.read()
    copy = _state_folder() / name if file.path is None else file.path.with_name(name)
    _write_private(copy, data, _STATE_HOME if file.path is None else f"let this user write to {copy.parent}")
    return EnvCopy(str(copy), sha256(data), tuple(sorted(values(data))))


def _state_folder() -> Path:
    """Return where copies of files on other hosts are kept.

    Raises:
        BackupError: this user has no home folder.
    """
    named = os.environ.get("XDG_STATE_HOME")
    try:
        home = Path(named) if named else Path.home() / ".local" / "state"
    except RuntimeError:
        raise BackupError(f"the .env file's copy has no place: this user has no home folder; {_STATE_HOME}") from None
    return home / "rollout" / "backups"


def _write_private(path: Path, data: bytes, mend: str) -> None:
    """Write durably, mode 0600, under a name that is never reused, and read back; `mend` names the remedy."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            raise BackupError(f"{path} exists already; a backup is never overwritten")
        handle, scratch = tempfile.mkstemp(dir=path.parent, prefix=".backup-")
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(scratch).replace(path)
        read_back = path.read_bytes()
    except OSError as error:
        raise BackupError(
            f"{path}: the backup cannot be written ({error.strerror}); nothing was applied; {mend}"
        ) from error
    if read_back != data:
        raise BackupError(f"{path}: the backup does not read back equal; nothing was applied")
