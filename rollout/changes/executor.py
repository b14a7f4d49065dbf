"""Executes the writes that a driver describes: announced in the journal, fenced, sent, and their outcome recorded.

A change states what it wants; the driver of the target's kind says by which writes that comes about. Only here are
they sent, so every write is journalled before it leaves (safety rule 2), under the fencing token (rule 8).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import assert_never

from rollout.context import RolloutContext
from rollout.core.canonical_json import sha256
from rollout.core.clock import NEVER, Clock, StopFlag
from rollout.core.errors import GatewayError, RolloutError
from rollout.core.scenario import ProviderChange
from rollout.core.wishes import Activate, Wish
from rollout.core.write_words import describe_write
from rollout.core.writes import Command, FileEdit, HttpCall, Restart, Signal, Write
from rollout.gateway.client import Gateway
from rollout.gateway.drivers.selection import describe_writes, driver_of
from rollout.gateway.host import env_text
from rollout.gateway.host.commands import run_command
from rollout.gateway.host.env_file import EnvFile
from rollout.journal.record import What


def send(
    rollout: RolloutContext, gateway: Gateway, wish: Wish, *, step: str, direction: str, to: str, what: What
) -> None:
    """Announce the writes that bring `wish` about as one, and carry them out.

    A wish that the driver cannot describe is not announced. A restart that it may take is not carried out here: reads
    show whether it is needed.

    Args:
        rollout: the rollout that writes.
        gateway: its gateway.
        wish: what is wanted.
        step: the clause that writes.
        direction: ``forward``, ``proof`` or ``back``.
        to: what is set, as the journal names it.
        what: what is changed.

    Raises:
        JournalError: the intent is not on disk; nothing was sent.
        GatewayError: it cannot be described, was refused, or it is unknown what happened.
        RolloutError: a write on this host failed, or the environment variable of a secret is not set.
    """
    stop = NEVER if direction == "back" else rollout.stop
    writes = [write for write in describe_writes(rollout.target, wish) if not isinstance(write, Restart)]
    secrets = _secrets_of(rollout, writes)
    contents = _preview(writes, secrets)
    if direction == "forward":
        _refuse_broken(rollout, contents)
    files = {"files": {str(path): sha256(content) for path, content in contents.items()}} if contents else {}
    details = {"writes": [describe_write(write) for write in writes], **files}
    with rollout.journaled_write(step, direction, to, what=what, **details), gateway.allow_writes(step):
        for write in writes:
            carry_out(write, gateway, secrets, clock=rollout.clock, stop=stop, redact=rollout.redactor.text)


def find_broken(rollout: RolloutContext, wish: Wish) -> tuple[str, ...]:
    """Return what the service would not start with if `wish` were carried out now; nothing is written.

    Raises:
        GatewayError: it cannot be described.
        RolloutError: a file cannot be read or edited, or the environment variable of a secret is not set.
    """
    writes = describe_writes(rollout.target, wish)
    return driver_of(rollout.target).validate(_preview(writes, _secrets_of(rollout, writes)))


def find_unstartable(rollout: RolloutContext, places: Iterable[ProviderChange]) -> tuple[str, ...]:
    """Return why the service would not start with what its files hold now, with file and line; nothing is written.

    Args:
        rollout: its target's kind says which files an activation edits, and what they may hold.
        places: the providers and models whose activations name the files; one that cannot be described names none.
    """
    edits: dict[Path, FileEdit] = {}
    for place in places:
        with suppress(GatewayError):
            writes = describe_writes(rollout.target, Activate(place.provider, place.model))
            edits |= {write.path: write for write in writes if isinstance(write, FileEdit) and write.path is not None}
    if not edits:
        return ()
    # As in `carry_out`.
    from rollout.gateway.host.codecs import read_keys  # noqa: PLC0415
    from rollout.gateway.host.settings_file import read_settings_file  # noqa: PLC0415

    contents, problems = {}, []
    for path, edit in edits.items():
        try:
            content = read_settings_file(path)
            read_keys(edit.codec, content, edit.values, file=str(path))
        except RolloutError as problem:
            problems.append(str(problem))
        else:
            contents[path] = content
    return (*problems, *driver_of(rollout.target).validate(contents))


def _refuse_broken(rollout: RolloutContext, contents: Mapping[Path, bytes]) -> None:
    if problems := driver_of(rollout.target).validate(contents):
        raise RolloutError(f"nothing was written, for the service would break: {'; '.join(problems)}")


def _preview(writes: Sequence[Write], secrets: Mapping[str, str]) -> dict[Path, bytes]:
    """Return file -> what the edits would leave in it now."""
    edits = {write.path: write for write in writes if isinstance(write, FileEdit) and write.path is not None}
    if not edits:
        return {}
    from rollout.gateway.host.settings_file import preview_file_edit  # noqa: PLC0415 - as in `carry_out`

    return {path: preview_file_edit(edit, _own(edit, secrets)) for path, edit in edits.items()}


def _secrets_of(rollout: RolloutContext, writes: Sequence[Write]) -> dict[str, str]:
    """Return environment variable -> its value, for each that an edit names."""
    named = {name for write in writes if isinstance(write, FileEdit) for name in write.secrets.values()}
    return resolve_secrets(rollout, {name: name for name in named})


def _own(edit: FileEdit, secrets: Mapping[str, str]) -> dict[str, str]:
    return {key: secrets[name] for key, name in edit.secrets.items()}


def carry_out(
    write: HttpCall | FileEdit | Signal | Command,
    gateway: Gateway,
    secrets: Mapping[str, str],
    *,
    clock: Clock,
    stop: StopFlag,
    redact: Callable[[str], str],
) -> None:
    """Carry out one write, which is announced already.

    Args:
        write: the write.
        gateway: where a call goes; it allows writes.
        secrets: environment variable -> its value, for each that an edit of a file names.
        clock: times a command.
        stop: ends a command, and prevents an edit and a signal.
        redact: takes secrets out of a command's output.

    Raises:
        GatewayError: the call failed.
        SettingsError: the file cannot be edited.
        ServiceError: the signal or the command failed.
    """
    match write:
        case HttpCall():
            gateway.execute(write)
        case FileEdit():
            # The watchdog of a gateway that is written by calls needs no codecs, and little memory.
            from rollout.gateway.host.settings_file import apply_file_edit  # noqa: PLC0415

            apply_file_edit(write, secrets=_own(write, secrets), stop=stop)
        case Signal():
            from rollout.gateway.host.signals import send_signal  # noqa: PLC0415

            send_signal(write, stop=stop)
        case Command():
            run_command(write, clock=clock, stop=stop, redact=redact, setting="the driver's settings")
        case _:
            assert_never(write)


def edit_env(rollout: RolloutContext, file: EnvFile, edit: FileEdit, *, step: str, direction: str, to: str) -> None:
    """Announce an edit of the service's `.env` file with the digest of the result, and make it.

    Raises:
        JournalError: the intent is not on disk; nothing was written.
        EnvFileError: the file cannot be read or written.
        RolloutError: the environment variable of a secret is not set.
    """
    wanted = env_text.edit(file.read(), {**edit.values, **resolve_secrets(rollout, edit.secrets)}, edit.remove)
    with rollout.journaled_write(step, direction, to, what=What.ENVIRONMENT, digest=sha256(wanted)):
        file.write(wanted)


def resolve_secrets(rollout: RolloutContext, secrets: Mapping[str, str]) -> dict[str, str]:
    """Return key -> value for keys that name an environment variable; the redactor learns each value.

    Raises:
        RolloutError: a variable is not set.
    """
    return {key: _secret(rollout, name) for key, name in secrets.items()}


def _secret(rollout: RolloutContext, name: str) -> str:
    value = rollout.env.get(name)
    if not value:
        raise RolloutError(f"the environment variable {name} is not set; it holds a new value of the .env file")
    rollout.redactor.add(value)
    return value
