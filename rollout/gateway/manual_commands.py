"""The manual commands with which an operator restores the gateway when the suite cannot finish the rollback."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping
from typing import Any

from rollout.core.request import Origin
from rollout.core.scenario import ProviderChange, Scenario
from rollout.core.target import Target
from rollout.core.wishes import Activate, Split, Wish
from rollout.core.write_words import describe_write
from rollout.core.writes import Command, FileEdit, HttpCall, Read, Restart, Signal, Write
from rollout.gateway.drivers.selection import describe_writes, driver_of, splits_requests


def carry_out(target: Target, wish: Wish) -> tuple[str, ...]:
    """Return the commands that bring `wish` about on `target`, in order; a restart that may be needed is left out.

    An activation that edits a file is one command, which edits, restarts and proves: `rollout emergency`.

    Raises:
        GatewayError: the gateway cannot be asked for it.
    """
    writes = describe_writes(target, wish)
    if isinstance(wish, Activate) and edits_files(writes):
        to = (f"--provider={wish.provider}", f"--model={wish.model}")
        return (shlex.join(("rollout", "emergency", f"--target={target.name}", *to, "--yes")),)
    return tuple(_command(target, write) for write in writes if not isinstance(write, Restart))


def edits_files(writes: Iterable[Write]) -> bool:
    """Return whether a file is edited among these writes."""
    return any(isinstance(write, FileEdit) for write in writes)


def _command(target: Target, write: Write) -> str:
    match write:
        case HttpCall():
            return send(write.method, f"{target.url}{write.path}", write.body, target.token_env)
        case Signal():
            # Double quotes on purpose: the operator's shell reads the process id.
            name = write.name.removeprefix("SIG")
            return f'kill -s {name} "$(cat {shlex.quote(str(write.pid_file))})"'
        case Command():
            return shlex.join(write.arguments)
    return f"# by hand: {describe_write(write)}"


def read_command(target: Target) -> str:
    """Return the command that shows which provider is active: the target's own, or `curl`."""
    call = driver_of(target).read_call(Read.ACTIVE)
    return shlex.join(call.command) if call.command else get(f"{target.url}{call.path}", target.token_env)


def rollback(
    target: Target, previous: ProviderChange, rollout: str, *, restarts: bool, split: Mapping[str, float] | None
) -> tuple[str, ...]:
    """Return the manual commands for a rollback that is not verified, in reverse order: the first is executed last.

    Args:
        target: the gateway.
        previous: what was active.
        rollout: the rollout's id.
        restarts: whether the rollback needs a restart of the service.
        split: the weights before the change; None where the rollback sets no weights.
    """
    service = target.service
    by_emergency = edits_files(describe_writes(target, Activate(previous.provider, previous.model)))
    restarts = restarts and not by_emergency
    restart = [shlex.join(service.stop), shlex.join(service.start)] if service is not None and restarts else []
    shares = _split(target, split, previous) if split is not None and splits_requests(target) else ()
    activation = carry_out(target, Activate(previous.provider, previous.model))
    again = shlex.join(("rollout", "rollback", rollout))
    return (again, *shares, *reversed(restart), *reversed(activation), read_command(target))


def _split(target: Target, split: Mapping[str, float], previous: ProviderChange) -> tuple[str, ...]:
    return carry_out(target, Split(split, driver_of(target).destination(previous)))


def emergency(target: Target, origin: Origin) -> str | None:
    """Return the command that activates the target's safe provider at once; None where it declares none.

    For another URL than the target's own it names URL, provider and model, and confirms by ``--yes``.
    """
    if target.safe is None:
        return None
    there = (f"--gateway={target.url}", f"--provider={target.safe.provider}", f"--model={target.safe.model}", "--yes")
    return shlex.join(("rollout", "emergency", f"--target={target.name}", *(there if origin.moved else ())))


def approval(scenario: Scenario, origin: Origin, *more: str) -> str:
    """Return the command that approves this content, with the options that are a part of the content."""
    file = () if scenario.source in ("--activate", "") else (scenario.source,)
    return shlex.join(("rollout", "approve", *file, *origin.options, *more))


def send(method: str, url: str, body: Mapping[str, Any], token_env: str | None) -> str:
    """Return the `curl` command that sends `body` as JSON; the token stays in its environment variable."""
    json_body = ("-H", "Content-Type: application/json", "-d", json.dumps(body))
    return shlex.join(("curl", "-sS", "-X", method, url, *json_body)) + _header(token_env)


def get(url: str, token_env: str | None) -> str:
    """Return the `curl` command that reads `url`; the token stays in its environment variable."""
    return shlex.join(("curl", "-sS", url)) + _header(token_env)


def _header(token_env: str | None) -> str:
    # Double quotes on purpose: the operator's shell expands the token.
    return f' -H "Authorization: Bearer ${token_env}"' if token_env else ""
