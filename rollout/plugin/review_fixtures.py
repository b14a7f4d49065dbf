"""Fixtures of the kinds of run besides a rollout: its review, and the run before a release."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from rollout.core.result import Outcome
from rollout.core.scenario import ProviderChange
from rollout.engine import post_change_metrics, release_readiness
from rollout.gateway.responses import Alert, AuditEntry, Governance
from rollout.gateway.transport import Exchange
from rollout.monitoring.sources.combined import observing
from rollout.plugin.fixtures import outcome_fixture
from rollout.plugin.release_run import ReleaseRun
from rollout.plugin.review_run import ReviewRun
from rollout.plugin.run import SuiteRun

# The review, which only reads


@pytest.fixture(scope="session")
def review(suite_run: SuiteRun) -> ReviewRun:
    """The review."""
    assert isinstance(suite_run, ReviewRun)  # noqa: S101 - the checks of other kinds of run are ignored
    return suite_run


@outcome_fixture
def metrics_since(review: ReviewRun) -> post_change_metrics.Seen:
    """Error rate and P95 since the rollout's end."""
    return post_change_metrics.metrics(review.rollout)


@outcome_fixture
def errors_since(review: ReviewRun) -> post_change_metrics.Seen:
    """The kinds of errors since the rollout's end."""
    return post_change_metrics.errors(review.rollout)


@outcome_fixture
def cost_since(review: ReviewRun) -> post_change_metrics.Seen:
    """What it cost since the rollout's end."""
    return post_change_metrics.cost(review.rollout)


@pytest.fixture
def documentation(review: ReviewRun) -> str | None:
    """The link to the updated documentation."""
    return review.documentation


@pytest.fixture
def learnings(review: ReviewRun) -> str | None:
    """The link to the learnings."""
    return review.learnings


# The run before a release, which only reads too


@pytest.fixture(scope="session")
def release(suite_run: SuiteRun) -> ReleaseRun:
    """The run before a release."""
    assert isinstance(suite_run, ReleaseRun)  # noqa: S101 - the checks of other kinds of run are ignored
    return suite_run


@outcome_fixture
def providers_checked(release: ReleaseRun) -> Sequence[release_readiness.Checked]:
    """Every provider, tested and preflighted."""
    return release_readiness.checked(release.gateway, release.clock.monotonic)


@outcome_fixture
def governance_now(release: ReleaseRun) -> Governance:
    """The limits and the fallback policy."""
    return release.gateway.governance()


@outcome_fixture
def provider_connections(providers_checked: Outcome[Sequence[release_readiness.Checked]]) -> release_readiness.Finding:
    """The connections of the configured providers."""
    return release_readiness.connections(providers_checked.value)


@outcome_fixture
def provider_preflights(providers_checked: Outcome[Sequence[release_readiness.Checked]]) -> release_readiness.Finding:
    """Their preflights."""
    return release_readiness.preflights(providers_checked.value)


@outcome_fixture
def credentials_seen(
    release: ReleaseRun, providers_checked: Outcome[Sequence[release_readiness.Checked]]
) -> release_readiness.Finding:
    """The credentials in the configuration, as far as they can be seen."""
    providers, file = providers_checked.value, release.env_file
    written = None if file.error is not None else file.value
    return release_readiness.credentials(
        release.gateway.runtime_config(), written, str(file.error) if file.error else None, providers
    )


@outcome_fixture
def limits_set(
    governance_now: Outcome[Governance], providers_checked: Outcome[Sequence[release_readiness.Checked]]
) -> release_readiness.Finding:
    """Budgets and rate limits."""
    return release_readiness.limits(governance_now.value, providers_checked.value)


@outcome_fixture
def fallbacks_ready(
    release: ReleaseRun,
    governance_now: Outcome[Governance],
    providers_checked: Outcome[Sequence[release_readiness.Checked]],
) -> release_readiness.Finding:
    """Which providers can take over."""
    return release_readiness.fallback(
        governance_now.value, providers_checked.value, release.gateway.providers().active_provider
    )


@outcome_fixture
def alerts_answer(release: ReleaseRun) -> tuple[Alert, ...]:
    """The critical alerts, from the source that the target names."""
    with observing(
        release.gateway,
        release.target,
        ProviderChange("", ""),  # of no provider
        release.env,
        clock=release.clock,
        stop=release.stop,
        redactor=release.evidence.redactor,
    ) as observed:
        return observed.alerts("critical")


@outcome_fixture
def audit_answers(release: ReleaseRun) -> tuple[AuditEntry, ...]:
    """The newest entries of the gateway's audit log."""
    return release.gateway.audit()


@pytest.fixture
def answers_seen(release: ReleaseRun) -> tuple[Exchange, ...]:
    """Every answer of the gateway that this run has seen."""
    return tuple(exchange for exchange in release.seen if exchange.status is not None)


@pytest.fixture
def bare(answers_seen: tuple[Exchange, ...]) -> str:
    """Where an answer held a credential that was not masked; empty where none did."""
    found = {each.call: ", ".join(filter(None, each.bare)) or "its text" for each in answers_seen if each.bare}
    return "; ".join(f"{call}: {where}" for call, where in found.items())
