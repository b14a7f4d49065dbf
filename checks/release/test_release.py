"""REL: the pre-release checklist, which only reads."""

from __future__ import annotations

from rollout.core.result import Outcome
from rollout.engine.release_readiness import Finding
from rollout.gateway.responses import Alert, AuditEntry
from rollout.gateway.transport import Exchange
from rollout.plugin.markers import clause
from rollout.reporting.allure import Show


def assert_no_problem(finding: Finding, title: str, show: Show) -> None:
    """Show what was found, and assert that nothing in it is a problem."""
    show.table(title, finding.rows)
    assert not finding.problems, "; ".join(finding.problems)


@clause("REL-1")
def test_every_configured_provider_connects_in_time(provider_connections: Outcome[Finding], show: Show) -> None:
    """Every configured provider connects: a local one within 2 s, one in the cloud within 5 s.

    Fails when one does not, or does later; and when none is configured. The evidence names the others.
    """
    assert_no_problem(provider_connections.value, "Connection tests", show)


@clause("REL-2")
def test_every_preflight_is_ready(provider_preflights: Outcome[Finding], show: Show) -> None:
    """The preflight of every configured provider says ready.

    Fails when one does not, or gives no answer; and when none is configured.
    """
    assert_no_problem(provider_preflights.value, "Preflights", show)


@clause("REL-3")
def test_no_credential_is_a_stand_in(credentials_seen: Outcome[Finding], show: Show) -> None:
    """No credential is a placeholder, padded with spaces, or a masked one that was written back.

    Fails when one is, and when one cannot be read: the gateway masks it, and the .env file does not show it.
    """
    assert_no_problem(credentials_seen.value, "Credentials", show)


@clause("REL-4")
def test_budgets_and_rate_limits_are_set(limits_set: Outcome[Finding], show: Show) -> None:
    """A budget and a rate limit cover every provider that costs something, and every soft limit is below its hard one.

    Fails when one is missing, limits nothing, or has a soft limit that is not below the hard one.
    """
    assert_no_problem(limits_set.value, "Limits", show)


@clause("REL-5")
def test_there_is_a_fallback(fallbacks_ready: Outcome[Finding], show: Show) -> None:
    """Besides the active provider there is one that connects; where a fallback policy names some, one of those.

    Fails when there is none.
    """
    assert_no_problem(fallbacks_ready.value, "Fallbacks", show)


@clause("REL-6")
def test_the_alerts_answer(alerts_answer: Outcome[tuple[Alert, ...]], show: Show) -> None:
    """The alerts can be read, from the source that the target names.

    Fails when they cannot. The evidence shows those that fire.
    """
    show.facts(f"Alerts that fire ({len(alerts_answer.value)})", alerts_answer.value)


@clause("REL-7")
def test_the_audit_log_answers(audit_answers: Outcome[tuple[AuditEntry, ...]], show: Show) -> None:
    """The gateway's audit log can be read.

    Fails when it cannot.
    """
    show.facts(f"Newest entries ({len(audit_answers.value)})", audit_answers.value)


@clause("REL-8")
def test_credentials_are_masked_in_every_answer(answers_seen: tuple[Exchange, ...], bare: str, show: Show) -> None:
    """No answer in this run held a credential that the gateway had not masked.

    Fails when one did, and when there was no answer.
    """
    show.text("Answers", f"{len(answers_seen)} answers were checked")
    assert answers_seen, "there was no answer to check"
    assert not bare, f"not masked: {bare}"
