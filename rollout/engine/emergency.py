"""``rollout emergency``: activate the safe provider and model at once (EMG).

The activation request leaves within half a second of the command's start. What runs before it imports almost nothing,
reads one target of the targets' file, and writes its intent into a file. `rollout.engine.emergency_followup` does the
rest: the journal, the takeover, the read-back, the restart, the request and the records.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from rollout.core.clock import NEVER, SystemClock, format_utc
from rollout.core.errors import ExitCode, RolloutError
from rollout.core.scenario import EMERGENCY_SOURCE
from rollout.core.wishes import Activate
from rollout.core.writes import Command, FileEdit, HttpCall, Restart, Signal, Write
from rollout.engine.emergency_order import Order, read_order, read_token
from rollout.gateway import bare_http
from rollout.gateway.drivers.selection import describe_writes
from rollout.journal import preempt

HELD_S = 60.0
SAID_CHARACTERS = 200
REFUSED = range(400, 500)
FIRST_FAILURE = 300
BUSY = 429
_ACTIVATES_WITHIN_S = 30.0


@dataclass(frozen=True)
class Sent:
    """The result of the activation: ``done``, ``refused`` or ``unknown``, and what the gateway answered."""

    result: str
    detail: str


Say = Callable[[str], None]
Finish = Callable[[Order, Sent, Mapping[str, str], Say], int]


def run(args: argparse.Namespace, finish: Finish) -> int:
    """Activate the safe provider, prove that it is active, and record it.

    Args:
        args: the options.
        finish: the steps after the activation (`rollout.engine.emergency_followup`), loaded when it is called.

    Returns:
        0 done and verified, 11 not verified: an operator must act.

    Raises:
        RolloutError: the order cannot be carried out; nothing was sent.
    """
    order = read_order(args, os.environ)
    _say(f"EMERGENCY {order.id}: {order.target['url']} to {order.to}; active was {order.before or 'not readable'}")
    _spool_intent(order)
    _preempt_lease(order)
    sent = activate(order, os.environ)
    _say(f"activation: {sent.result}{f', {sent.detail}' if sent.detail else ''}")
    try:
        return finish(order, sent, os.environ, _say)
    except (Exception, KeyboardInterrupt) as problem:  # noqa: BLE001 - whatever fails, the operator must know the state
        return _report_unverified(order, sent, problem)


def _report_unverified(order: Order, sent: Sent, problem: BaseException) -> int:
    """Print the state where the proof failed, with the manual commands; return the exit code."""
    from rollout.gateway import manual_commands  # noqa: PLC0415 - the activation does not need it

    target = order.described
    read = manual_commands.read_command(target)
    why = _redact(repr(problem), order, os.environ)
    _say(f"EMERGENCY NOT VERIFIED: the activation of {order.to} was {sent.result}, and then: {why}")
    again = manual_commands.carry_out(target, Activate(order.provider, order.model))
    commands = "\n  ".join((read, *again))
    _say(f"A PERSON IS NEEDED. Check the gateway, then run:\n  {commands}")
    return ExitCode.ROLLBACK_FAILED


def activate(order: Order, env: Mapping[str, str]) -> Sent:
    """Carry out, once each, the writes that the target's driver describes; never raises for what the gateway does.

    Returns:
        the result of the last one that was carried out. A restart among them follows with the proof.
    """
    sent = Sent("unknown", "nothing is described")
    try:
        for write in describe_writes(order.described, Activate(order.provider, order.model)):
            sent = _carry_out(write, order, env)
            if sent.result != "done":
                break
    except (OSError, ValueError, RolloutError) as problem:
        return Sent("unknown", _redact(f"no answer ({str(problem) or type(problem).__name__})", order, env))
    return sent


def _carry_out(write: Write, order: Order, env: Mapping[str, str]) -> Sent:
    """Carry out one write.

    Raises:
        OSError: there is no answer.
        ValueError: a request cannot be written.
        RolloutError: the token is not set, or a write on this host failed.
    """
    if not isinstance(write, HttpCall):
        _change_host(write, order, env)
        return Sent("done", "")
    token = read_token(order.target, env)
    status, answer = bare_http.exchange(order.target, token, write.method, write.path, write.body, _ACTIVATES_WITHIN_S)
    if status in REFUSED:
        return Sent("unknown" if status == BUSY else "refused", _describe_answer(status, answer, order, env))
    try:
        claimed = json.loads(answer).get("status") if answer else None
    except (ValueError, AttributeError, RecursionError):
        claimed = None
    # The gateway only claims it; the read-back proves it (deviations 6 and 9).
    ok = status < FIRST_FAILURE and claimed != "error"
    return Sent("done", "") if ok else Sent("unknown", _describe_answer(status, answer, order, env))


def _change_host(write: FileEdit | Restart | Signal | Command, order: Order, env: Mapping[str, str]) -> None:
    """Edit a file, send a signal or run a command; a restart follows with the proof."""
    match write:
        case FileEdit():
            from rollout.gateway.host.settings_file import apply_file_edit  # noqa: PLC0415 - a call does without

            apply_file_edit(write, secrets={key: env.get(name, "") for key, name in write.secrets.items()})
        case Signal():
            from rollout.gateway.host.signals import send_signal  # noqa: PLC0415 - likewise

            send_signal(write, stop=NEVER)
        case Command():
            from rollout.gateway.host.commands import run_command  # noqa: PLC0415 - likewise

            def redact(text: str) -> str:
                return _redact(text, order, env)

            run_command(write, clock=SystemClock(), stop=NEVER, redact=redact, setting="the driver's settings")


def _describe_answer(status: int, answer: bytes, order: Order, env: Mapping[str, str]) -> str:
    # Redacted before it is truncated: half a secret would not be recognised.
    return f"{status}: {_redact(answer.decode(errors='replace'), order, env)[:SAID_CHARACTERS]}"


def _redact(text: str, order: Order, env: Mapping[str, str]) -> str:
    """Return a text without the token, the environment's secrets and those of the `.env` file."""
    from rollout.core.redaction import knowing  # noqa: PLC0415 - the activation has been sent

    redactor = knowing(env)
    redactor.add(read_token(order.target, env))
    if "env_file" in order.target:
        from rollout.gateway.host.env_text import EnvFileError, values  # noqa: PLC0415

        with suppress(OSError, EnvFileError):
            named = (order.provider, order.model, *(order.before or "").split(":", 1))
            redactor.learn_file(values(Path(order.target["env_file"]).read_bytes()), named)
    return redactor.text(text)


def opening(order: Order) -> list[tuple[str, dict[str, Any]]]:
    """Return the first entries of the emergency's record: its opening, and the intent that precedes the write."""
    change = {"provider": order.provider, "model": order.model, "restart": order.restart}
    scenario = {
        "name": "emergency",
        "source": EMERGENCY_SOURCE,
        "target": order.target["name"],
        "changes": [change],
        "author": order.by,
        "notify": list(order.channels),
    }
    opened = {
        "digest": order.id,  # nothing was approved, and no later run may continue it
        "scenario": scenario,
        "target": order.target,
        "policy": {"name": "emergency"},
        "change": f"EMERGENCY {order.to}",
        "author": order.by,
        "ticket": None,
        "url": order.target["url"],
        "reason": order.reason,
        "before": order.before,
        **({"by": dict(order.caller)} if order.caller else {}),
    }
    intent = {"step": "EMG-1", "direction": "forward", "to": order.to, "before": order.before}
    return [("opened", opened), ("intent", intent)]


def _spool_intent(order: Order) -> None:
    """Write the intent to disk, where `rollout.journal.spool.reconcile` finds it although this process dies.

    A disk that is full or read-only does not stop an emergency.
    """
    folder = order.reports / order.id
    lines = "".join(
        json.dumps({"at": order.at, "rollout": order.id, "kind": kind, "body": body, "because": "emergency"}) + "\n"
        for kind, body in opening(order)
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # `rollout.journal.spool.SPOOL`, which is too heavy to import.
        handle = os.open(folder / "journal-spool.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(handle, "wb") as spool:
            spool.write(lines.encode())
            spool.flush()
            os.fsync(spool.fileno())
    except OSError as problem:
        sys.stderr.write(f"the intent cannot be recorded ({problem}): {lines}")


def _preempt_lease(order: Order) -> None:
    """Give out a newer token for a target that a rollout holds.

    Without it that rollout treats the emergency as a concurrent change and rolls back before SQLAlchemy is loaded.
    Where this does not succeed in time, `rollout.engine.emergency_rollout` repeats it.
    """
    preempt.preempt_lease(
        order.journal,
        order.target["url"],
        rollout=order.id,
        holder=f"emergency of {order.by}",
        since=order.at,
        until=format_utc(datetime.now(UTC) + timedelta(seconds=HELD_S)),
    )


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
