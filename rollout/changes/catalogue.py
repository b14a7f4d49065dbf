"""The changes of a scenario: applied in order, each read back, recognised when they are in effect, undone in reverse.

Each kind is a module of its own with the same three functions: `in_effect`, `steps` and `own`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from rollout.changes import canary, environment, limits, provider, restart, weights
from rollout.changes.backup import (
    Backup,
    BackupError,
    differences,
    env_difference,
    is_same_provider,
)
from rollout.context import RolloutContext
from rollout.core.canary_stages import is_staged, show_weights
from rollout.core.clauses import CLAUSES, ORDER
from rollout.core.downtime import proof_price
from rollout.core.errors import ConcurrentChange, GatewayError, NotReached, RolloutError
from rollout.core.scenario import Change, EnvironmentChange, LimitChange, ProviderChange
from rollout.gateway.drivers.selection import takes_restart
from rollout.gateway.host.env_text import values

_KINDS: Mapping[type, ModuleType] = {
    ProviderChange: provider,
    EnvironmentChange: environment,
    LimitChange: limits,
}


@dataclass(frozen=True, slots=True)
class Done:
    """One step that succeeded.

    Attributes:
        clause: the clause of the step.
        change: the change it belongs to.
        message: what happened.
        took_s: how long it took.
    """

    clause: str
    change: str
    message: str
    took_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Applied:
    """How far the changes came.

    Attributes:
        done: the steps that succeeded, in order.
        failed: the step that ended it, and why; None if none did.
        failed_took_s: how long that step took.
    """

    done: tuple[Done, ...]
    failed: tuple[str, RolloutError] | None
    failed_took_s: float = 0.0

    def took_s(self, clause: str) -> float:
        """Return how long the clause's own steps took; 0 for one that was never reached."""
        failed_s = self.failed_took_s if self.failed is not None and self.failed[0] == clause else 0.0
        return sum((done.took_s for done in self.done if done.clause == clause), failed_s)

    def describe(self, clause: str) -> str:
        """Return what happened at a clause.

        Changes are applied in the scenario's order and reported in the procedure's. Where the failed step is reported
        later, the first clause that was not reached fails with its reason.

        Raises:
            RolloutError: why it failed.
            NotReached: an earlier step failed.
        """
        __tracebackhide__ = True
        if self.failed is not None and self.failed[0] == clause:
            raise self.failed[1]
        if self.failed is not None and clause not in {done.clause for done in self.done}:
            cut = f"{self.failed[0]} ({CLAUSES[self.failed[0]].title}) failed before it"
            if ORDER[self.failed[0]] > ORDER[clause]:
                raise RolloutError(f"{cut}: {self.failed[1]}")
            raise NotReached(cut)
        return "\n".join(f"{done.change}: {done.message}" for done in self.done if done.clause == clause)


@dataclass(frozen=True, slots=True)
class Repeated:
    """The result of applying once more: a message, and how many writes it sent (APP-4.1)."""

    message: str
    writes: int


def kind_of(change: Change) -> ModuleType:
    """Return the module of this kind of change."""
    return _KINDS[type(change)]


def in_effect(rollout: RolloutContext) -> bool:
    """Return whether every change is in effect already.

    Raises:
        RolloutError: it cannot be read.
    """
    return all(kind_of(change).in_effect(rollout, change) for change in rollout.scenario.changes)


def no_longer_in_effect(rollout: RolloutContext) -> dict[str, str]:
    """Return the changes that were changed again since; `changed_since` leaves their keys out, as this rollout's own.

    Raises:
        RolloutError: it cannot be read.
    """
    return {
        str(change): "not in effect any more"
        for change in rollout.scenario.changes
        # `changed_since` compares the active provider itself.
        if not isinstance(change, ProviderChange) and not kind_of(change).in_effect(rollout, change)
    }


def apply(rollout: RolloutContext) -> Applied:
    """Apply every change in order, each step read back; the first failure ends it.

    A change that is in effect already is recognised, and nothing is sent for it (APP-4.1).
    """
    done: list[Done] = []
    for change in rollout.scenario.changes:
        for clause, work in kind_of(change).steps(rollout, change):
            began_s = rollout.clock.monotonic()
            try:
                message = work()
            except RolloutError as error:
                return Applied(tuple(done), (clause, error), rollout.clock.monotonic() - began_s)
            done.append(Done(clause, str(change), message, rollout.clock.monotonic() - began_s))
    return Applied(tuple(done), None)


def repeat(rollout: RolloutContext) -> Repeated:
    """Apply once more, only if everything is in effect, so that the proof applies nothing.

    An activation by a canary's stages is recognised there.

    Raises:
        GatewayError: a change is not in effect, or the gateway cannot be read.
    """
    staged = is_staged(rollout.scenario)
    at_once = [each for each in rollout.scenario.changes if not (staged and isinstance(each, ProviderChange))]
    missing = [str(change) for change in at_once if not kind_of(change).in_effect(rollout, change)]
    if missing:
        here = rollout.gateway.active_provider()
        raise GatewayError("read back", f"not in effect: {', '.join(missing)}; {here} is active")
    before = len(rollout.record().writes)
    message = "\n".join(f"{done.change}: {done.message}" for done in apply(rollout).done)
    return Repeated(message, len(rollout.record().writes) - before)


def changed_since(rollout: RolloutContext, backup: Backup) -> dict[str, str]:
    """Return what differs from the backup although this rollout did not change it (APP-0.1, VER-4).

    What this rollout's own changes write, and what the target declares, does not count once it wrote.

    Raises:
        GatewayError: the gateway cannot be read.
    """
    found = differences(backup, rollout.gateway, rollout.redactor.value)
    if not rollout.record().applied:
        return found | env_difference(backup, rollout.target, rollout.clock)
    staged, own = is_staged(rollout.scenario), own_keys(rollout)
    kept = {key: how for key, how in found.items() if key not in own and not (staged and key.startswith("weights "))}
    kept |= _env_keys(rollout, backup)
    return kept | (canary.astray(rollout, backup) if staged else provider.moved(rollout, rollout.expected_active))


def own_keys(rollout: RolloutContext) -> frozenset[str]:
    """Return what this rollout's changes may move: configuration keys, and limits as ``cost limits SCOPE``."""
    return frozenset().union(*(kind_of(change).own(rollout.target, change) for change in rollout.scenario.changes))


def _env_keys(rollout: RolloutContext, backup: Backup) -> dict[str, str]:
    """Return the keys of the `.env` file changed outside this rollout, by name: values never leave the file."""
    if backup.env is None:
        return {}
    try:
        before = values(Path(backup.env.path).read_bytes())
    except OSError as error:
        raise BackupError(
            f"{backup.env.path}: the backup of the .env file cannot be read ({error.strerror})"
        ) from error
    now = values(environment.file_of(rollout, rollout.stop).read())
    changed = {key for key in before.keys() | now.keys() if before.get(key) != now.get(key)}
    return {f".env {key}": "differs from the backup's" for key in sorted(changed - own_keys(rollout))}


def prove_rollback(rollout: RolloutContext, backup: Backup) -> str:
    """Activate the current provider and model once more: a no-op that shows that a rollback would be accepted.

    Returns:
        what happened.

    Raises:
        Refused: the gateway would refuse the rollback; nothing was changed and nothing will be.
        GatewayError: it is unknown what happened.
        ConcurrentChange: the activation led elsewhere.
    """
    if in_effect(rollout):
        return "everything is in effect already; nothing will be written, so nothing needs to be undone"
    previous, target = backup.previous, rollout.target
    restarts = takes_restart(target, previous)
    price = proof_price(target, previous, restarts=restarts)
    pays = price is None or rollout.policy.prove_way_back == "execute"
    if not pays and previous.provider in target.activate_with:
        return f"proven except the runtime switch: {price}; its connection test and preflight passed (PRE-2.4)"
    provider.refuse_concurrent(rollout.gateway, previous)
    provider.activate(rollout, rollout.gateway, previous, step="APP-0.2", direction="proof")
    proven = f"{previous} was activated once more and is active"
    if restarts:
        proven += f", after {_restarted(rollout, backup)}" if pays else f"; proven except the restart: {price}"
    here = rollout.gateway.active_provider()
    if not is_same_provider(here, previous):
        raise ConcurrentChange(f"activating {previous} once more led to {here}; a rollback would too")
    if not is_staged(rollout.scenario):
        return proven
    before = backup.weights or {}
    weights.send(
        rollout, rollout.gateway, before, step="APP-0.2", direction="proof", rest=weights.named(rollout, previous)
    )
    return f"{proven}; {show_weights(before)} were set once more"


def _restarted(rollout: RolloutContext, backup: Backup) -> str:
    """Restart the service for the proof, and restore the limits that the restart has lost."""
    outcome = restart.restart(rollout, rollout.gateway, rollout.stop, step="APP-0.2", direction="proof")
    lost = limits.put_back(rollout, rollout.gateway, limits.by_name(backup), step="APP-0.2", direction="proof")
    again = f"; put back: {', '.join(lost)}" if lost else ""
    return f"a restart ({outcome}{again})"
