"""What a plan consists of: the state before, and one item for each thing that would be done."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rollout.core.scenario import LimitChange, ProviderChange
from rollout.core.target import Target
from rollout.core.wishes import Activate, SetLimit, Split, Wish
from rollout.core.write_words import describe_write
from rollout.core.writes import HttpCall, Read, Restart
from rollout.gateway.drivers.selection import describe_writes, driver_of
from rollout.monitoring.foreseen_power import UsersTraffic

NOT_MEASURED = UsersTraffic(None, "not known: the precheck measures them (PRE-2.5)")

Limits = Mapping[str, Mapping[str, float]]

_ON_DEMAND = "stop and start of the embedded gateway's own"


@dataclass(frozen=True, slots=True)
class Before:
    """The gateway's state before the change.

    Attributes:
        previous: the active provider and model.
        limits: ``cost`` and ``rate`` -> scope -> limits.
        env: the `.env` file's values; None where it was not read.
        source: where the state was read.
        weights: how the requests are split; None where the target cannot.
        unchecked: what the gateway does not list, and was not checked, in sentences.
        traffic: users' requests.
        usd_per_1k_tokens: the new provider's price; None where it is not known.
    """

    previous: ProviderChange
    limits: Mapping[str, Limits]
    env: Mapping[str, str] | None
    source: str
    weights: Mapping[str, float] | None = None
    unchecked: tuple[str, ...] = ()
    traffic: UsersTraffic = NOT_MEASURED
    usd_per_1k_tokens: float | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that would be done.

    Attributes:
        clause: the clause that does it.
        text: a description, where it is no request.
        method: of a request; empty for a file edit or a command.
        path: of a request.
        body: of a request.
    """

    clause: str
    text: str = ""
    method: str = ""
    path: str = ""
    body: Mapping[str, Any] | None = None

    def __str__(self) -> str:
        """Return such as ``APP-1.2  POST /api/v1/… {"model": "gpt-4o"}``."""
        body = "" if self.body is None else f" {json.dumps(self.body, ensure_ascii=False)}"
        request = f"{self.method} {self.path}{body}" if self.method else ""
        return f"{self.clause:<8} {'  '.join(filter(None, (request, self.text)))}"


@dataclass(frozen=True, slots=True)
class Planned:
    """What apply and rollback would execute, and what cannot be undone.

    Attributes:
        before: the state that was found.
        apply: what apply would execute, in order.
        rollback: what the rollback would execute after it, in order.
        cannot: what cannot be undone.
        stages: what a canary's stages would execute after apply, each once the one before it has held.
        watched: how long the change is watched, and whether the window may go on, in sentences.
    """

    before: Before
    apply: tuple[Item, ...]
    rollback: tuple[Item, ...]
    cannot: tuple[str, ...]
    stages: tuple[Item, ...] = ()
    watched: tuple[str, ...] = ()


def activation(target: Target, to: ProviderChange, clause: str, words: str = "") -> Item:
    """Return the activation of a provider."""
    return _item(target, Activate(to.provider, to.model), clause, words)


def weights(target: Target, shares: Mapping[str, float], clause: str, words: str) -> Item:
    """Return the call that sets the weights."""
    return _item(target, Split(shares), clause, words)


def limit(target: Target, change: LimitChange, clause: str) -> Item:
    """Return the call that sets a limit."""
    return _item(target, SetLimit(change.kind, change.scope, change.values), clause, "")


def _item(target: Target, wish: Wish, clause: str, words: str) -> Item:
    writes = [write for write in describe_writes(target, wish) if not isinstance(write, Restart)]
    match writes:
        case [HttpCall() as call]:
            return Item(clause, words, call.method, call.path, call.body)
    return Item(clause, "  ".join(filter(None, ("; ".join(map(describe_write, writes)), words))))


def read(target: Target, what: Read, clause: str, words: str, provider: str = "") -> Item:
    """Return a read that people are shown in a plan."""
    call = driver_of(target).read_call(what, provider)
    if call.command:
        return Item(clause, f"run {shlex.join(call.command)}  {words}".rstrip())
    return Item(clause, words, call.method, call.path)


def restart(
    target: Target, deadline_s: float, run: str, wait: str, *, unless_active: ProviderChange | None = None
) -> Iterator[Item]:
    """Yield a restart of the service, and the wait for it.

    Args:
        target: the target of the service.
        deadline_s: how long it may take to be healthy.
        run: the clause of the restart.
        wait: the clause of the wait.
        unless_active: it is left out where the gateway reports this active already; None where it happens in any case.
    """
    service = target.service
    commands = _ON_DEMAND if service is None else ", ".join(map(shlex.join, (service.stop, service.start)))
    condition = f"; left out where the gateway reports {unless_active} active already" if unless_active else ""
    yield Item(run, f"restart: {commands}; healthy within {deadline_s:g} s{condition}")
    yield read(target, Read.HEALTH, wait, "until it is healthy")


def env_file(target: Target) -> str:
    """Return how the plan calls the `.env` file."""
    if target.env_file is not None:
        return str(target.env_file)
    return f"what `{shlex.join(target.service.write)}` writes" if target.service and target.service.write else ".env"
