"""The proof of an emergency: its provider is active and answers a request, after a remedy where one is needed."""

from __future__ import annotations

from datetime import datetime

from rollout.changes import limits, provider, restart, weights
from rollout.changes.backup import is_same_provider
from rollout.changes.executor import find_unstartable
from rollout.changes.read_back import READ_BACK_S, attempt, remedied
from rollout.context import RolloutContext
from rollout.core.canary_stages import ALL, share_of, show_weights
from rollout.core.clock import NEVER
from rollout.core.errors import RolloutError
from rollout.core.scenario import ProviderChange
from rollout.engine.emergency_rollout import EmergencyRun
from rollout.gateway.drivers.selection import always_restarts, splits_requests, takes_restart
from rollout.gateway.expectations import answered_by, named


def prove(run: EmergencyRun, *, refused: bool) -> None:
    """Prove that the provider is active, with a remedy for each missed deadline, and answers one request (EMG-2)."""
    waits_for_restart = takes_restart(run.rollout.target, run.to)
    restarts = run.order.restart or (not refused and always_restarts(run.rollout.target, run.to))
    remedies = {} if refused or waits_for_restart else {"once more": lambda: _activate_again(run)}
    if run.rollout.target.service is not None and not refused and not restarts:
        remedies["restart"] = lambda: _restart(run)
    restarted = attempt(lambda: _restart(run)) if restarts else "not needed"
    problem, tried = remedied(
        lambda: doubt_active(run.rollout, run.to),
        remedies,
        within_s=0.0 if refused or waits_for_restart else READ_BACK_S,
        clock=run.rollout.clock,
    )
    for each in tried:
        run.say(f"{each.because}; {each.name}: {each.outcome}")
        restarted = each.outcome if each.name == "restart" else restarted
    problem = problem or _await_late_writes(run) or _send_all(run) or _doubt_answer(run)
    problem = problem or doubt_active(run.rollout, run.to)
    run.problem = problem
    run.step(
        "EMG-1",
        "failed" if problem else "passed",
        problem or f"{run.to} is active; a request was answered: {run.answered}",
    )
    failed = restarted.startswith("failed")
    run.problem = run.problem or (restarted if failed else "")
    run.step("EMG-2", "failed" if failed else "passed", restarted)


def _await_late_writes(run: EmergencyRun) -> str:
    """Read again once no write of a rollout that was taken over can arrive any more (safety rule 9).

    Its process may be paused between the intent and the write, or its answer is lost while the gateway still processes
    it. The gateway does not check fencing tokens.

    Returns:
        why the provider is not active then, although it was activated again; empty if it is.
    """
    clock, longest_s = run.rollout.clock, run.rollout.target.timeouts.activate_s
    under_way = [write for record in run.taken for write in record.writes if write.result in (None, "unknown")]
    lands = max((datetime.fromisoformat(write.at) for write in under_way), default=clock.now())
    left_s = (lands - clock.now()).total_seconds() + longest_s if under_way else 0.0
    if left_s <= 0:
        return ""
    run.say(f"{run.to} is active; a write that was under way may land for {left_s:.0f} s more, then it is read again")
    clock.wait(left_s)
    problem, _ = remedied(
        lambda: doubt_active(run.rollout, run.to),
        {"once more": lambda: _activate_again(run)},
        within_s=run.rollout.target.stale_for_s,
        clock=clock,
    )
    return problem


def doubt_active(rollout: RolloutContext, to: ProviderChange) -> str:
    """Return why the gateway does not report the provider active, empty if it does."""
    try:
        here = rollout.gateway.active_provider()
    except RolloutError as error:
        return str(error)
    return "" if is_same_provider(here, to) else f"the gateway reports {here} active instead of {to}"


def _send_all(run: EmergencyRun) -> str:
    """Set weights that send requests elsewhere, such as a canary's; return why that is not verified, empty if it is."""
    rollout = run.rollout
    elsewhere = doubt_weights(rollout, run.to)
    if not elsewhere:
        return ""
    try:
        weights.send(rollout, rollout.gateway, weights.all_weights(rollout, run.to), step="EMG-1", direction="back")
    except RolloutError as error:
        return f"{elsewhere}, and setting the weights failed: {error}"
    run.say(f"{elsewhere}; the weights were set: all requests go to {run.to}")
    return doubt_weights(rollout, run.to)


def doubt_weights(rollout: RolloutContext, to: ProviderChange) -> str:
    """Return why not every request goes to the provider, empty if they do, or the target splits none."""
    if not splits_requests(rollout.target):
        return ""
    try:
        shares = rollout.gateway.weights().shares
    except RolloutError as error:
        return f"how the requests are split is not known: {error}"
    share = share_of(shares, weights.named(rollout, to), is_active=True)
    return "" if share == ALL else f"the activation left the requests split by {show_weights(shares)}"


def _activate_again(run: EmergencyRun) -> str:
    return provider.activate(run.rollout, run.rollout.gateway, run.to, step="EMG-1", direction="back")


def _restart(run: EmergencyRun) -> str:
    """Restart the service, and return what happened.

    Raises:
        RolloutError: it would not start with what its file holds now, and was not stopped; or it did not come back.
    """
    rollout = run.rollout
    if problems := find_unstartable(rollout, (run.to,)):
        raise RolloutError(
            f"{'; '.join(problems)}. The service would not start with it, so it is not restarted and goes on with what "
            "it has read; correct the file, and then run the manual commands"
        )
    try:
        before, unread = limits.by_name(rollout.gateway.limits()), ""
    except RolloutError as error:
        # Limits that cannot be read cannot be restored; that does not stop an emergency.
        before, unread = {}, f"; whether limits were lost is not known: {error}"
    restart.commands(rollout, NEVER, step="EMG-2", direction="back")
    healthy = restart.await_health(rollout, rollout.gateway, NEVER, back=True)
    lost = limits.put_back(rollout, rollout.gateway, before, step="EMG-2", direction="back")
    again = f"; it lost limits, which were put back: {', '.join(lost)}" if lost else ""
    return f"restarted, {healthy}{again}{unread}"


def _doubt_answer(run: EmergencyRun) -> str:
    rollout = run.rollout
    try:
        answer = rollout.gateway.chat(rollout.scenario.monitor.prompt)
    except RolloutError as error:
        return str(error)
    run.answered = named(answer)
    return answered_by(answer, run.to, rollout.target) or ""
