"""Changing the service's `.env` file (APP-2, RBK-3)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from rollout.changes import executor, limits, restart
from rollout.changes.backup import Backup, recorded
from rollout.changes.read_back import require_shown
from rollout.context import RolloutContext
from rollout.core.canonical_json import sha256
from rollout.core.clock import NEVER, StopFlag
from rollout.core.errors import GatewayError, RolloutError
from rollout.core.scenario import EnvironmentChange
from rollout.core.target import Target
from rollout.core.wishes import SetEnvironment
from rollout.core.writes import FileEdit
from rollout.gateway.drivers.selection import describe_writes, driver_of
from rollout.gateway.host import env_file, env_text
from rollout.journal.record import RolloutRecord, What


def in_effect(rollout: RolloutContext, change: EnvironmentChange) -> bool:
    """Return whether the file holds the new values already.

    Raises:
        EnvFileError: it cannot be read.
    """
    now = env_text.values(file_of(rollout, rollout.stop).read())
    is_set = all(now.get(key) == value for key, value in _wanted(rollout, change).items())
    return is_set and not now.keys() & set(change.remove)


def own(_target: Target, change: EnvironmentChange) -> frozenset[str]:
    """Return the keys that the change may move."""
    return frozenset(change.keys)


def steps(rollout: RolloutContext, change: EnvironmentChange) -> Iterator[tuple[str, Callable[[], str]]]:
    """Yield the steps: write the file, restart, wait, and see the values in effect."""
    if in_effect(rollout, change):
        for clause in ("APP-2.1", "APP-2.2", "APP-2.3", "APP-2.4"):
            yield clause, lambda: "in effect already; nothing was done"
        return
    yield "APP-2.1", lambda: _write(rollout, change)
    yield "APP-2.2", lambda: restart.commands(rollout, rollout.stop, step="APP-2.2", direction="forward")
    yield "APP-2.3", lambda: restart.await_health(rollout, rollout.gateway, rollout.stop)
    yield "APP-2.4", lambda: _verify(rollout, change)


def restore(rollout: RolloutContext, backup: Backup, record: RolloutRecord) -> str:
    """Restore the file byte for byte or, if it was edited since, only this rollout's keys (RBK-3.1).

    Raises:
        EnvFileError: it cannot be read or written.
        RolloutError: it was edited since; the edits are kept, and an operator must compare.
    """
    if backup.env is None:
        raise RolloutError("there is no copy of the .env file to restore")
    saved, file = Path(backup.env.path).read_bytes(), file_of(rollout, NEVER)
    if sha256(saved) != backup.env.sha256:
        raise RolloutError(f"{backup.env.path} is no longer the backup that was taken: its SHA-256 differs")
    now = file.read()
    if now == saved:
        if not record.to_undo(What.ENVIRONMENT):
            return "it is as it was"
        return _put_once_more(rollout, file, saved)
    kept = saved
    if sha256(now) not in {write.digest for write in record.writes}:
        foreign = _foreign(rollout, now, saved)
        kept = env_text.put_back(now, saved, [key for key in _all_keys(rollout) if key not in foreign])
    if kept != now:
        _put(rollout, file, kept)
    if kept == saved:
        return "restored byte for byte"
    raise RolloutError("the .env file was edited since; only this rollout's keys were put back, compare the rest")


def _put_once_more(rollout: RolloutContext, file: env_file.EnvFile, saved: bytes) -> str:
    """Undo by a write even what reads do not show: a command may read the file from a copy that lags.

    Raises:
        EnvFileError: it cannot be written, and is not as it was when reads cannot lag behind any more.
    """
    try:
        _put(rollout, file, saved)
    except env_text.EnvFileError as error:
        rollout.clock.wait(rollout.target.stale_for_s)
        if file.read() != saved:
            raise
        return f"it is as it was, read twice; writing it once more failed: {error}"
    return "restored byte for byte, as it reads already"


def _foreign(rollout: RolloutContext, now: bytes, saved: bytes) -> set[str]:
    """Return the keys of this rollout that have another value since; it is not overwritten."""
    here, before = env_text.values(now), env_text.values(saved)
    known: dict[str, set[str | None]] = {}
    for change in rollout.scenario.changes:
        if isinstance(change, EnvironmentChange):
            # Only the run that set a secret knows its value: it is left out.
            for key, value in (*change.values.items(), *((key, None) for key in change.remove)):
                known.setdefault(key, {before.get(key)}).add(value)
    return {key for key, values in known.items() if here.get(key) not in values}


def file_of(rollout: RolloutContext, stop: StopFlag) -> env_file.EnvFile:
    """Return the target's `.env` file, here or behind the target's read and write commands."""
    return env_file.EnvFile(rollout.target, clock=rollout.clock, stop=stop, redact=rollout.redactor.text)


def _write(rollout: RolloutContext, change: EnvironmentChange) -> str:
    wish, file = SetEnvironment(change.values, change.secrets, change.remove), file_of(rollout, rollout.stop)
    for write in describe_writes(rollout.target, wish):
        if isinstance(write, FileEdit):
            executor.edit_env(rollout, file, write, step="APP-2.1", direction="forward", to=str(change))
    return f"written: {', '.join(change.keys)}"


def _put(rollout: RolloutContext, file: env_file.EnvFile, content: bytes) -> None:
    with rollout.journaled_write("RBK-3.1", "back", ".env", what=What.ENVIRONMENT):
        file.write(content)


def _verify(rollout: RolloutContext, change: EnvironmentChange) -> str:
    rollout.gateway.health()
    if not in_effect(rollout, change):
        raise GatewayError(".env", f"the file does not hold {', '.join(change.keys)} as it was written")
    require_shown(rollout, "GET config/runtime", lambda: _still_old(rollout, change))
    config = rollout.gateway.runtime_config().config
    lost = limits.put_back_lost(rollout)
    unseen = [key for key in (*change.values, *change.secrets) if key not in config]
    hidden = f"the gateway does not show {', '.join(unseen)}" if unseen else ""
    return "; ".join(filter(None, ("in effect", hidden, lost)))


def _still_old(rollout: RolloutContext, change: EnvironmentChange) -> str:
    """Return whose old value the gateway still reports, empty for no key; keys that it does not show are left out."""
    config, hide = rollout.gateway.runtime_config().config, rollout.redactor.value
    before = hide(dict(recorded(rollout.last_known_record().backup).config))
    old = [key for key, value in change.values.items() if key in config and config[key] != value]
    # The backup has secrets redacted: what is compared with it is redacted too.
    old += [key for key in change.remove if key in config and hide({key: config[key]})[key] == before.get(key)]
    return f"the old value of {', '.join(old)} is still in effect" if old else ""


def _wanted(rollout: RolloutContext, change: EnvironmentChange) -> dict[str, str]:
    return {**change.values, **executor.resolve_secrets(rollout, change.secrets)}


def _all_keys(rollout: RolloutContext) -> tuple[str, ...]:
    """Return every key that this rollout may have moved, an activation's own among them."""
    keys = [key for change in rollout.scenario.changes if isinstance(change, EnvironmentChange) for key in change.keys]
    return (*keys, *driver_of(rollout.target).activation_keys())
