"""PRE-3: the new provider works in non-production, and every result is verified before proceeding."""

from __future__ import annotations

from collections.abc import Mapping

from rollout.core.result import Outcome
from rollout.core.scenario import ProviderChange
from rollout.core.target import Target
from rollout.gateway.responses import ConnectionTest, Preflight
from rollout.plugin.markers import clause
from rollout.reporting.allure import Show


@clause("PRE-3.1")
def test_the_connection_works_in_non_production(
    staging_connection: Outcome[ConnectionTest], change: ProviderChange, target: Target, show: Show
) -> None:
    """The connection test succeeds on the staging gateway, within the latency bound.

    Fails when the verdict field says failure, whatever the HTTP status, or when it took too long.
    """
    tested = staging_connection.value
    show.facts("Response", tested)
    assert tested.succeeded, f"{change.provider} on {target.staging}: {tested.connection_status}: {tested.message}"
    assert (tested.latency_ms or 0) <= target.latency_bound_ms, (
        f"{change.provider} on {target.staging} took {tested.latency_ms} ms, above {target.latency_bound_ms:.0f} ms"
    )


@clause("PRE-3.2")
def test_the_preflight_is_ready_in_non_production(
    staging_preflight: Outcome[Preflight], change: ProviderChange, target: Target, show: Show
) -> None:
    """The preflight says ready on the staging gateway.

    Fails when a sub-check did not pass, whatever the answer's own status says.
    """
    ready = staging_preflight.value
    show.table("Sub-checks", [{"check": n, "passed": c.passed, "message": c.message} for n, c in ready.checks.items()])
    failed = [f"{name}: {check.message}" for name, check in ready.checks.items() if not check.passed]
    assert ready.ready, (
        f"{change.provider} on {target.staging} is not ready: {'; '.join(failed) or 'it does not say why'}"
    )


@clause("PRE-3.3")
def test_every_precheck_is_verified_before_proceeding(missing_prechecks: Mapping[str, str], show: Show) -> None:
    """The gate: every precheck of this very content has a recorded pass from this run.

    Fails when one failed, was skipped, deselected or never reached.
    """
    show.facts("Not passed", dict(missing_prechecks))
    assert not missing_prechecks, f"not cleared: {', '.join(missing_prechecks)} did not pass"
