"""The proof of a rollback: no read counts before reads can show the last write (RBK-2.2, RBK-4)."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta

from rollout.changes import provider, weights
from rollout.changes.answer_proof import count_requests
from rollout.changes.backup import differences, env_difference, is_same_provider
from rollout.changes.rollback_provider import activate_previous
from rollout.changes.rollback_run import RollbackRun
from rollout.context import RolloutContext
from rollout.core.canary_stages import is_staged
from rollout.core.errors import GatewayError, NotOffered, RolloutError
from rollout.core.scenario import ProviderChange
from rollout.gateway.expectations import answered_by, named, same_model
from rollout.gateway.responses import Completion
from rollout.journal.leases import LEASE_S
from rollout.journal.record import What, Write

ROUNDS = 3
"""How many pairs of reads may disagree before the gateway counts as unsettled."""


def verify_active(run: RollbackRun) -> str:
    """Read back which provider is active, when nothing that was sent can land any more (RBK-2.2).

    Raises:
        GatewayError: it is another one, or it cannot be read.
    """
    outlast_lost_writes(run)
    rollout, wanted = run.rollout, _wanted(run)
    here = settled(run)
    is_back = is_same_provider(here, wanted)
    to_undo = rollout.last_known_record().to_undo(What.PROVIDER)
    if to_undo or (is_same_provider(here, rollout.expected_active) and not is_back):
        # It could not be undone before, its activation landed after the rollback's, or a restart brought it up again.
        activate_previous(run, wanted, rollout.clock.monotonic() + rollout.target.timeouts.activate_s)
        here = settled(run)
    if not is_same_provider(here, wanted):
        raise GatewayError("GET providers", f"{here} is active instead of {wanted}")
    if not has_weights(rollout, run.backup.weights):
        return f"the gateway reports {here} active"
    # A lost write of weights may have landed after the rollback's as well.
    return f"the gateway reports {here} active; {weights.restore(rollout, run.gateway, run.backup)}"


def _wanted(run: RollbackRun) -> ProviderChange:
    return run.rollout.scenario.rollback_to or run.backup.previous


def settled(run: RollbackRun) -> ProviderChange:
    """Return the active provider, by two agreeing reads that are further apart than reads may lag behind writes.

    Raises:
        GatewayError: it cannot be read, or reads do not agree.
    """
    clock, lag_s = run.rollout.clock, run.rollout.target.stale_for_s
    reads = [run.gateway.active_provider()]
    for _ in range(ROUNDS):
        if lag_s:
            clock.wait(lag_s)
        reads.append(run.gateway.active_provider())
        if is_same_provider(*reads[-2:]):
            return reads[-1]
    raise GatewayError("GET providers", f"the reads do not agree: {', then '.join(map(str, reads))}")


def outlast_lost_writes(run: RollbackRun) -> None:
    """Wait until a write whose answer was lost can no longer land: the gateway knows no fencing."""
    for write in run.rollout.last_known_record().writes:
        latest = datetime.fromisoformat(write.at) + timedelta(seconds=lands_within_s(run, write))
        left_s = max(0.0, (latest - run.rollout.clock.now()).total_seconds())
        if left_s:
            with suppress(RolloutError):  # the rollback goes on without its journal
                run.rollout.hold_lease(left_s + LEASE_S)
            run.rollout.clock.wait(left_s)


def lands_within_s(run: RollbackRun, write: Write) -> float:
    """Return how long after its announcement a write may still land whose answer was lost; 0 if it cannot.

    A command ends at the runner's timeout, or goes on alone when the runner is killed.
    """
    target = run.rollout.target
    is_call = write.what in (What.LIMITS, What.WEIGHTS) and write.direction == "forward"
    leads_elsewhere = write.what is What.PROVIDER and write.to != str(_wanted(run))
    if write.result in (None, "unknown") and (is_call or leads_elsewhere):
        return target.timeouts.activate_s
    if write.result is None and target.service is not None:
        if write.what is What.RESTART:
            return 2 * target.service.timeout_s
        if write.what is What.ENVIRONMENT and target.service.write:
            return target.service.timeout_s
    return 0.0


def request_works(run: RollbackRun) -> str:
    """Send one request, and see that the provider that is active has answered it (RBK-4.1).

    Raises:
        GatewayError: it was not answered, another one has answered, or the provider that answered cannot be shown; or
            the gateway reports another provider active than RBK-2.2 has read back.
    """
    rollout, here = run.rollout, _still_active(run)
    before = count_requests(run.gateway, here.provider, GatewayError)
    answer = run.gateway.chat(rollout.scenario.monitor.prompt)
    problem = answered_by(answer, here, rollout.target) or _not_shown(run, answer, here, before)
    if problem:
        raise GatewayError("POST chat/completions", problem)
    return f"a request was answered in {answer.elapsed_ms:.0f} ms; {named(answer)}{_counter(run, answer, here)}"


def _still_active(run: RollbackRun) -> ProviderChange:
    """Return the active provider; where RBK-2.2 has passed, it must be the one that was read back there.

    Reads that lag without a `stale_for` can show the state from before the change to RBK-2.2, and the new provider
    afterwards. A repetition of the step reads again.
    """
    here, wanted = run.gateway.active_provider(), _wanted(run)
    is_proven = any(step.clause == "RBK-2.2" and step.outcome == "passed" for step in run.steps)
    if is_proven and not is_same_provider(here, wanted):
        raise GatewayError("GET providers", f"{here} is active, and RBK-2.2 has read {wanted}: the reads do not agree")
    return here


def _not_shown(run: RollbackRun, answer: Completion, here: ProviderChange, before: int | None) -> str:
    """Return why the answer does not show its provider; empty if it does: by a name, or by a counter that moved."""
    if answer.provider is not None:
        return ""
    new = run.rollout.expected_active
    if answer.model is not None and not same_model(answer.model, new.model):
        return ""
    after = count_requests(run.gateway, here.provider, GatewayError)
    if before is not None and after is not None and after > before:
        return ""
    counter = "cannot be read" if after is None else f"stayed at {after}"
    named = "neither provider nor model" if answer.model is None else "no provider"
    return f"who answered cannot be shown: the answer names {named}, and {here.provider}'s request counter {counter}"


def _counter(run: RollbackRun, answer: Completion, here: ProviderChange) -> str:
    """Return what shows the provider where the answer names neither provider nor a model of its own."""
    shown = answer.provider or (answer.model and not same_model(answer.model, run.rollout.expected_active.model))
    return "" if shown else f"; {here.provider}'s request counter rose"


def stabilises(run: RollbackRun) -> str:
    """Poll until the provider was connected so many times in a row (RBK-4.2).

    On a gateway without a status of its providers, the service must be healthy so many times in a row.

    Raises:
        GatewayError: it is not, or the gateway reports another provider active than RBK-2.2 has read back.
    """
    monitor = run.rollout.scenario.monitor
    here, without = _still_active(run), ""
    for poll in range(monitor.stable_polls):
        if poll:
            run.rollout.clock.wait(min(monitor.confirm_after_s, monitor.metrics_every_s))
        try:
            connection = run.gateway.status(here.provider)
        except NotOffered as lacking:
            run.gateway.health()
            without = lacking.reason
            continue
        if connection.status != "connected":
            raise GatewayError(f"GET providers/{here.provider}/status", f"{connection.status}: {connection.message}")
    if without:
        return f"the service was healthy {monitor.stable_polls} times in a row; its provider has no status: {without}"
    return f"{here.provider} was connected {monitor.stable_polls} times in a row"


def equals_backup(run: RollbackRun) -> str:
    """Compare configuration, limits, weights and the `.env` file with the backup (RBK-4.3).

    Raises:
        GatewayError: they differ, or cannot be read.
    """
    found, wanted = differences(run.backup, run.gateway, run.rollout.redactor.value), _wanted(run)
    if not is_same_provider(wanted, run.backup.previous):
        # RBK-2.2 has proven that the scenario's `rollback_to` is active: what its activation writes is as it should be.
        found = {key: how for key, how in found.items() if key not in provider.own(run.rollout.target, wanted)}
    found |= env_difference(run.backup, run.rollout.target, run.rollout.clock)
    if found:
        listed = "; ".join(f"{key}: {how}" for key, how in found.items())
        raise GatewayError("GET config/runtime", f"the gateway differs from the backup: {listed}")
    return "the diff is empty"


def has_weights(rollout: RolloutContext, weights_before: object) -> bool:
    """Return whether a rollback concerns weights: a canary sets them, and an activation removes those of the backup."""
    return weights_before is not None and (is_staged(rollout.scenario) or bool(weights_before))
