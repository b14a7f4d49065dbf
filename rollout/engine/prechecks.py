"""What the prechecks read and judge (PRE). The gateway is only read, tested and preflighted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from rollout.approvals.waivers import judged_by_waiver
from rollout.changes import limits
from rollout.changes.backup import Backup
from rollout.changes.executor import find_broken
from rollout.changes.rollback import planned_steps
from rollout.changes.rollback_provider import candidates
from rollout.context import RolloutContext
from rollout.core.canonical_json import to_json
from rollout.core.capabilities import Capability
from rollout.core.change_windows import closes_at, frozen, opens_at
from rollout.core.clock import format_utc
from rollout.core.errors import GatewayError, TryLater
from rollout.core.result import Outcome
from rollout.core.scenario import ChangeClass, EnvironmentChange, ProviderChange
from rollout.core.schemas.validators import suggest
from rollout.core.target import Target
from rollout.core.wishes import Activate
from rollout.engine.traffic import TrafficPoll
from rollout.engine.window_power import foresee_with_baseline
from rollout.gateway.client import Gateway
from rollout.gateway.diagnosis import Diagnosis, Seen, diagnosed
from rollout.gateway.drivers.selection import driver_of
from rollout.journal.record import Kind
from rollout.monitoring import baseline as measuring
from rollout.monitoring.samples import Baseline
from rollout.monitoring.signals import describe_lacking
from rollout.monitoring.sources.combined import observe_provider, promql_levels


@dataclass(frozen=True, slots=True)
class RollbackPlan:
    """Where a rollback would go, what it would do, and why it would not work (PRE-2.4)."""

    to: ProviderChange
    steps: Sequence[str]
    evidence: Mapping[str, Any]
    problems: Sequence[str]


@dataclass(frozen=True, slots=True)
class Health:
    """Every provider's status, the new provider's tests here, the problems, and their diagnoses (PRE-5.1)."""

    rows: Sequence[Mapping[str, Any]]
    evidence: Mapping[str, Any]
    problems: Sequence[str]
    diagnoses: Sequence[Diagnosis] = ()


@dataclass(frozen=True, slots=True)
class Firing:
    """The critical alerts, and the keys of those that the scenario does not claim to fix (PRE-5.3)."""

    rows: Sequence[Mapping[str, Any]]
    keys: frozenset[str]
    unexplained: Sequence[str]


@dataclass(frozen=True, slots=True)
class Measured:
    """The baseline, the limit and the power that follow from it as text, and why it does not suffice (PRE-5.4)."""

    baseline: Baseline
    limit: str
    problems: Sequence[str]
    power: str


def plan_rollback(rollout: RolloutContext, backup: Backup) -> RollbackPlan:
    """Test the provider that a rollback would activate, and read whether it can be activated.

    Raises:
        GatewayError: a test gave no verdict.
    """
    to = candidates(rollout, backup)[0]
    listed = rollout.gateway.providers().find(to.provider) or rollout.gateway.providers().find(backup.reported_as)
    tested, ready = rollout.gateway.test_connection(to.provider), rollout.gateway.preflight(to.provider)
    problems = []
    if listed is None:
        problems.append(f"the gateway does not list {to.provider}")
    elif not listed.capabilities.get("activate"):
        problems.append(f"{to.provider} cannot be activated on this gateway (capabilities.activate is not true)")
    is_fixed = _is_fixed(rollout, to.provider)
    if not tested.succeeded and not is_fixed:
        problems.append(f"its connection test says {tested.connection_status}: {tested.message}")
    if not ready.ready and not is_fixed:
        failed = [f"{name}: {check.message}" for name, check in ready.checks.items() if not check.passed]
        problems.append(f"its preflight is not ready: {'; '.join(failed)}")
    problems += find_broken(rollout, Activate(to.provider, to.model))
    problems += _undo_of_others(rollout, backup)
    evidence = {"connection_test": to_json(tested), "preflight": to_json(ready)}
    return RollbackPlan(to, planned_steps(rollout, backup), evidence, problems)


def _undo_of_others(rollout: RolloutContext, backup: Backup) -> list[str]:
    """Return why environment and limit changes could not be undone."""
    problems = []
    if any(isinstance(change, EnvironmentChange) for change in rollout.scenario.changes):
        if rollout.target.service is None:
            problems.append(f"target {rollout.target.name!r} does not say how its service is stopped and started")
        if backup.env is None:
            problems.append("there is no copy of the .env file, so it could not be restored")
    if rollout.policy.limits_for_good == "refuse":
        problems += limits.all_for_good(rollout, backup)
    return problems


def health(rollout: RolloutContext) -> Health:
    """Read every provider's status; test and preflight the new provider here, because staging has other credentials.

    Raises:
        GatewayError: something cannot be read.
    """
    gateway, new = rollout.gateway, rollout.expected_active
    gateway.health()
    providers = gateway.providers()
    active = driver_of(rollout.target).activated_as(providers.active_provider or "").casefold()
    rows = [
        {
            "provider": p.name,
            "status": p.connection.status,
            "message": p.connection.message,
            "active": p.name.casefold() == active,
        }
        for p in providers.providers
    ]
    listed = providers.find(new.provider)
    if listed is None:
        known = [provider.name for provider in providers.providers]
        hint = f"{suggest(new.provider, known)}it knows {', '.join(known)}"
        return Health(rows, {}, [f"the gateway knows no provider {new.provider!r}; {hint}"])
    if not listed.capabilities.get("activate"):
        return Health(rows, {}, [f"{new.provider} cannot be activated (capabilities.activate is not true)"])
    tested, ready = gateway.test_connection(new.provider), gateway.preflight(new.provider)
    has_status = gateway.capabilities[Capability.STATUS] is None
    problems = [
        f"{p.name}, the active provider, is {p.connection.status}: {p.connection.message}; if the change is meant to "
        "fix that, name it in `fixes:`"
        for p in providers.providers
        if has_status and p.name.casefold() == active and p.connection.status != "connected"
        if not _is_fixed(rollout, p.name)
    ]
    problems += find_broken(rollout, Activate(new.provider, new.model))
    problems += limits.unknown_scopes(rollout, [provider.name for provider in providers.providers])
    if listed.models and new.model not in listed.models:
        hint = f"{suggest(new.model, listed.models)}it has {', '.join(listed.models)}"
        problems.append(f"{new.provider} has no model {new.model!r}; {hint}")
    if not tested.succeeded:
        problems.append(f"{new.provider} fails its connection test here: {tested.connection_status}: {tested.message}")
    elif (tested.latency_ms or 0) > rollout.target.latency_bound_ms:
        problems.append(f"{new.provider}'s connection test took {tested.latency_ms:.0f} ms here")
    if not ready.ready:
        failed = [f"{name}: {check.message}" for name, check in ready.checks.items() if not check.passed]
        problems.append(f"{new.provider}'s preflight is not ready here: {'; '.join(failed) or 'it does not say why'}")
    diagnoses = [
        *(diagnosed(p.name, Seen(p.connection)) for p in providers.providers if p.name.casefold() == active),
        diagnosed(new.provider, Seen(None, tested, ready)),
    ]
    evidence = {"connection_test": to_json(tested), "preflight": to_json(ready)}
    return Health(rows, evidence, problems, [found for found in diagnoses if found is not None])


def _is_fixed(rollout: RolloutContext, name: str) -> bool:
    """Return whether the scenario claims to fix the provider or alert of this name."""
    return name.casefold() in {fixed.casefold() for fixed in rollout.scenario.fixes}


def alerts(rollout: RolloutContext) -> Firing:
    """Read the critical alerts that are firing before the change.

    Raises:
        GatewayError: they cannot be read.
    """
    with observe_provider(rollout, rollout.expected_active) as observed:
        firing = observed.alerts("critical")
    rows = [{"alert": a.key, "since": a.timestamp, "details": a.technical_details} for a in firing]
    unexplained = {a.key for a in firing if not (_is_fixed(rollout, a.key) or _is_fixed(rollout, a.provider or ""))}
    return Firing(rows, frozenset(alert.key for alert in firing), sorted(unexplained))


def measure(
    rollout: RolloutContext, backup: Outcome[Backup], staging: Gateway | None, before: Outcome[TrafficPoll]
) -> Measured:
    """Measure the current provider, write the baseline to the journal, and judge whether it suffices.

    Raises:
        Interrupted: the run was asked to stop.
        JournalError: the baseline is not on disk.
    """
    monitor, previous = rollout.scenario.monitor, backup.value.previous
    # As long as the window will be; the gateway's own counters begin with its start.
    with observe_provider(rollout, previous, since_s=max(monitor.window_s, monitor.short_span_s)) as observed:
        measured = measuring.measure(
            observed,
            previous,
            monitor,
            rollout.clock,
            rollout.stop,
            target=rollout.target,
            levels=promql_levels(observed, monitor, relative=True),
        )
    rollout.append(Kind.BASELINE, **measured.record())
    problems = []
    enough_users = measured.users_p95_ms is not None and measured.users_samples >= monitor.min_samples
    enough_own = measured.synthetic_samples >= monitor.min_samples
    if not (enough_users or enough_own):
        problems.append(
            f"too few requests to measure {previous}: {measured.users_samples} of its users and "
            f"{measured.synthetic_samples} of the suite's own, at least {monitor.min_samples} are needed"
            + ("" if monitor.in_turn else "; without users' requests, do not switch the suite's own off (probes: off)")
        )
    rate = measured.users_error_rate or 0.0
    is_exempt = monitor.limits.p95_ms is not None or _is_fixed(rollout, measured.provider)
    if rate > monitor.limits.error_rate and not is_exempt:
        problems.append(
            f"{previous} is too sick to compare with: {rate:.1%} of {measured.users_requests} requests failed; "
            "set monitor.p95 to an absolute limit, or name it in `fixes:`"
        )
    p95_ms = measured.users_p95_ms if measured.users_p95_ms is not None else measured.synthetic_p95_ms
    limit_ms = monitor.limits.p95_ms or (None if p95_ms is None else monitor.limits.latency_factor * p95_ms)
    problems += _too_slow_already(rollout, staging, limit_ms)
    problems += describe_lacking(monitor.signals, measured.signals)
    shown = "unknown" if limit_ms is None else f"{limit_ms:.1f} ms"
    return Measured(measured, shown, problems, foresee_with_baseline(rollout, backup, before, measured))


def _too_slow_already(rollout: RolloutContext, staging: Gateway | None, limit_ms: float | None) -> list[str]:
    if staging is None or limit_ms is None:
        return []
    try:
        latency = staging.metrics(rollout.expected_active.provider).latency
    except GatewayError as error:
        return [f"the new provider's latency on the staging gateway cannot be read: {error}"]
    if latency.p95_ms is None or latency.samples < rollout.scenario.monitor.min_samples or latency.p95_ms <= limit_ms:
        return []
    new = rollout.expected_active.provider
    return [
        f"{new}'s P95 on the staging gateway is {latency.p95_ms:.0f} ms already, above the limit of {limit_ms:.0f} ms"
    ]


def timing(rollout: RolloutContext) -> dict[str, str | None]:
    """Return when the change would end, the window, and a warning where it does not fit into an open one (PRE-4.1).

    Raises:
        TryLater: they do not fit, and the policy blocks that.
    """
    now, target = rollout.clock.now(), rollout.target
    waits = rollout.scenario.change_class is not ChangeClass.EMERGENCY
    ends = now + timedelta(seconds=rollout.scenario.monitor.window_s)
    closes = closes_at(target, now)
    warning = _out_of_time(target, now, ends)
    if warning and waits and rollout.policy.outside_window == "block":
        raise TryLater(warning)
    return {
        "now": format_utc(now),
        "bake_ends": format_utc(ends),
        "window_closes": format_utc(closes) if closes else None,
        "time_zone": target.time_zone,
        "warning": warning,
    }


def _out_of_time(target: Target, now: datetime, ends: datetime) -> str | None:
    """Return why the target does not allow a change from now until `ends`; None if it does."""
    closes, freeze = closes_at(target, now), frozen(target, now, ends)
    opens = opens_at(target, now)
    later = format_utc(opens) if opens else "no known time"
    if freeze is not None:
        why, begins, thaws = freeze
        holds = f"a freeze holds until {format_utc(thaws)} ({why.reason})"
        soon = (
            f"a freeze begins at {format_utc(begins)} ({why.reason}), before the bake time ends at {format_utc(ends)}"
        )
        return f"{holds if begins <= now else soon}; the next change may begin at {later}"
    if target.windows and closes is None:
        return f"no change window is open; the next one opens at {later}"
    if closes is not None and ends > closes:
        return (
            f"the window closes at {format_utc(closes)}, before the bake time ends at {format_utc(ends)}; "
            f"the next one opens at {later}"
        )
    return None


def turned(rollout: RolloutContext) -> dict[str, str]:
    """Check again what may have changed since the precheck: health, alerts, window (safety, volatile prechecks).

    Raises:
        GatewayError: something cannot be read.
        TryLater: the window has closed.
    """
    checks: dict[str, Callable[[], dict[str, str]]] = {
        "PRE-5.1": lambda: {f"health {n}": problem for n, problem in enumerate(health(rollout).problems, 1)},
        "PRE-5.3": lambda: {f"alert {key}": "is firing now" for key in alerts(rollout).unexplained},
    }
    found: dict[str, str] = {}
    for clause, check in checks.items():
        problems = check()
        if problems and not judged_by_waiver(rollout, clause, "")[0]:
            found |= problems
    keep_to_window(rollout)
    return found


def keep_to_window(rollout: RolloutContext) -> None:
    """Refuse to begin outside of a window: the window of the precheck may be closed by now.

    Raises:
        TryLater: it is closed, the policy blocks that, and no waiver of PRE-4.1 is valid.
        JournalError: the waivers cannot be read.
    """
    try:
        timing(rollout)
    except TryLater as closed:
        is_waived, message = judged_by_waiver(rollout, "PRE-4.1", str(closed))
        if not is_waived:
            raise TryLater(message) from None
