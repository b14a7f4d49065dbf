"""Executes the writes that a driver describes: announced in the journal, fenced, sent, and their outcome recorded.

A change states what it wants; the driver of the target's kind says by which writes that comes about. Only here are
they sent, so every write is journalled before it leaves (safety rule 2), under the fencing token (rule 8).
"""

from __future__ import annotations

from collections.abc import Mapping

from rollout.context import RolloutContext
from rollout.core.canonical_json import sha256
from rollout.core.errors import RolloutError
from rollout.core.wishes import Wish
from rollout.core.writes import FileEdit
from rollout.gateway.client import Gateway
from rollout.gateway.drivers.selection import describe_calls
from rollout.gateway.host import env_text
from rollout.gateway.host.env_file import EnvFile
from rollout.journal.record import What


def send(
    rollout: RolloutContext, gateway: Gateway, wish: Wish, *, step: str, direction: str, to: str, what: What
) -> None:
    """Announce the calls that bring `wish` about as one write, and send them.

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
    """
    calls = describe_calls(rollout.target, wish)
    with rollout.journaled_write(step, direction, to, what=what), gateway.allow_writes(step):
        for call in calls:
            gateway.execute(call)


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
