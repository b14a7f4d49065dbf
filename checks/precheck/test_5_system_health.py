"""PRE-5: the system is healthy, and its present state is known."""

from __future__ import annotations

from rollout.changes.backup import Backup
from rollout.core.result import Outcome
from rollout.core.target import Target
from rollout.engine.prechecks import Firing, Health, Measured
from rollout.gateway.diagnosis import Diagnosis
from rollout.gateway.drivers.selection import driver_of
from rollout.gateway.responses import Providers
from rollout.plugin.markers import clause
from rollout.reporting.allure import Show


@clause("PRE-5.1")
def test_the_system_is_healthy(health: Outcome[Health], show: Show) -> None:
    """The service is up, the new provider is ready here too, and the previous one is connected.

    Fails when a status cannot be read, the new provider is not ready here, or the previous one is not connected and
    `fixes:` does not name it.
    """
    seen = health.value
    show.table("Providers", seen.rows)
    show.facts("The new provider here", seen.evidence)
    show.diagnosis(*map(Diagnosis.text, seen.diagnoses))
    assert not seen.problems, "; ".join(seen.problems)


@clause("PRE-5.2")
def test_exactly_one_provider_is_active_and_in_the_backup(
    backup: Outcome[Backup], providers_now: Outcome[Providers], target: Target, show: Show
) -> None:
    """Exactly one provider is active, and it is the one in the backup.

    Fails when none or several are, or when the active one changed since the backup.
    """
    active = [provider.name for provider in providers_now.value.providers if provider.is_active]
    reported = providers_now.value.active_provider or ""
    if not active and driver_of(target).activated_as(reported) != reported:
        # Under its other name no listed provider is marked (deviation 14).
        active = [reported]
    show.facts("Active provider and model", {"active": active, "backup": backup.value.previous})
    assert len(active) == 1, f"{len(active)} providers are active: {', '.join(active) or 'none'}; exactly one must be"
    assert reported == backup.value.reported_as, (
        f"{reported or 'none'} is active, the backup says {backup.value.reported_as}"
    )


@clause("PRE-5.3")
def test_no_critical_alert_is_firing(alerts_now: Outcome[Firing], show: Show) -> None:
    """No critical alert fires, except those that the scenario names under `fixes:`.

    Fails when another one fires: an earlier defect must not count against the change.
    """
    firing = alerts_now.value
    show.table("Critical alerts", firing.rows)
    assert not firing.unexplained, (
        f"critical alerts are firing: {', '.join(firing.unexplained)}; clear them, or name them in `fixes:`"
    )


@clause("PRE-5.4")
def test_the_baseline_is_measured(baseline: Outcome[Measured], show: Show) -> None:
    """P95 and error rate of the current provider are measured from enough requests to mean something.

    Fails when there are too few, when the current provider is too sick to compare with and no absolute limit is set,
    or when the new provider's P95 on the staging gateway is above the limit already.
    """
    measured = baseline.value
    show.facts("Baseline", measured.baseline)
    show.text("Limit for P95", measured.limit)
    show.text("What the window can tell", measured.power)
    assert not measured.problems, "; ".join(measured.problems)
