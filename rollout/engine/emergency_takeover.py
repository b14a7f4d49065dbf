"""The takeover of the target's other rollouts: their last provider, the fencing token, the endings of open ones."""

from __future__ import annotations

from contextlib import suppress

from rollout.changes.backup import is_same_provider
from rollout.context import RolloutContext
from rollout.core.caller import caller
from rollout.core.errors import JournalError, RolloutError
from rollout.core.request import as_opened
from rollout.core.scenario import ProviderChange
from rollout.engine.concurrent_rollouts import others_here
from rollout.engine.emergency_rollout import EmergencyRun
from rollout.journal.leases import LEASE_S
from rollout.journal.record import Decision, Kind, What


def find_previous(run: EmergencyRun) -> None:
    """Find the provider that was active before in the journal, where the gateway did not answer in time."""
    rollout = run.rollout
    run.before = run.order.before
    if run.before is not None:
        return
    try:
        previous = _last_provider_of_others(rollout)
    except JournalError:
        return
    if previous is not None:
        who, run.before = previous
        text = f"what was active could not be read in time; the entries of rollout {who} say {run.before}"
        rollout.append_or_spool(Kind.FINDING, clause="EMG-1", text=text, before=run.before)
        run.say(text)


def _last_provider_of_others(rollout: RolloutContext) -> tuple[str, str] | None:
    """Return the rollout that last activated a provider here, and that provider; None for none.

    Where no rollout has, the provider in the latest backup counts.
    """
    others = others_here(rollout)
    confirmed = [
        (write.at, other.id, write.to)
        for other in others
        for write in other.writes
        if write.what is What.PROVIDER and write.result == "done"
    ]
    if confirmed:
        _, who, place = max(confirmed)
        return who, place
    saved = [(other.id, other.previous) for other in others if other.backup is not None]
    return saved[-1] if saved else None


def take_over(run: EmergencyRun) -> None:
    """Take the newest fencing token, so that a concurrent run sends nothing more."""
    rollout = run.rollout
    try:
        asked_s, holder = rollout.clock.monotonic(), f"{rollout.run}@{rollout.journal.host} ({caller()})"
        rollout.adopt(
            rollout.journal.acquire(rollout.lease_target, rollout.id, holder, LEASE_S, preempts=True), asked_s
        )
        run.taken = tuple(other for other in others_here(rollout) if other.in_flight)
    except JournalError as error:
        run.say(f"the journal cannot be reached, so a rollout under way is not stopped; stop it by hand. {error}")
    for record in run.taken:
        run.say(f"taken over: {record.id} ({record.opened['change']})")


def close_taken_over(run: EmergencyRun) -> None:
    """Close the rollouts that were in flight: the safe provider rolls back the provider, and nothing else."""
    rollout = run.rollout
    for record in run.taken:
        scenario = as_opened(record.opened).scenario if "scenario" in record.opened else None
        others = [str(c) for c in scenario.changes if not isinstance(c, ProviderChange)] if scenario else []
        stays = (
            scenario is not None and scenario.activation is not None and is_same_provider(scenario.activation, run.to)
        )
        why = f"taken over by emergency {rollout.id} ({run.order.by}: {run.order.reason}), which went to {run.to}"
        if others:
            why += f"; not rolled back: {', '.join(others)}; `rollout rollback {record.id}` does that"
        if stays:
            why += "; that is what this rollout activates, so its change is not rolled back"
        if run.problem:
            why += f"; and that is not verified: {run.problem}"
        decision = Decision.ROLLBACK_FAILED if others or stays or run.problem else Decision.ROLLED_BACK
        facts = {
            "decision": decision,
            "word": "TAKEN OVER",
            "why": why,
            "not_passed": {},
            "rollback": [],
            "commands": [],
        }
        if rollout.lease is not None:
            with suppress(RolloutError):
                rollout.journal.append_ending(rollout.lease, record.id, {**facts, "fence": rollout.lease.token})
