"""MON: the triggers' verdicts at the window's end. The first breach ends the window and rolls back at once."""

from __future__ import annotations

from rollout.core.result import Outcome
from rollout.monitoring.window_outcome import Window
from rollout.plugin.markers import clause
from rollout.reporting.allure import Show


def assert_holds(window: Window, clause_id: str, show: Show) -> None:
    """Assert that the trigger of a clause holds."""
    verdict = window.verdict(clause_id)
    show.facts("Verdict", verdict)
    assert verdict.holds, verdict.message


@clause("MON-1")
def test_the_provider_stays_connected(window: Outcome[Window], diagnosis: tuple[str, ...], show: Show) -> None:
    """The provider never becomes offline or degraded within the window.

    Fails when that is read twice, a second apart, or when the status was never readable.
    """
    verdict = window.value.verdict("MON-1")
    show.facts("Verdict", verdict)
    show.diagnosis(*diagnosis)
    assert verdict.holds, verdict.message


@clause("MON-2")
def test_the_error_rate_stays_within_its_limit(window: Outcome[Window], show: Show) -> None:
    """The error rate stays at or below its limit, over the short span and over the whole window.

    Fails strictly above it, and when there are too few requests to judge.
    """
    assert_holds(window.value, "MON-2", show)


@clause("MON-3")
def test_the_p95_latency_stays_within_its_limit(window: Outcome[Window], show: Show) -> None:
    """The P95 latency stays at or below its limit, over the short span and over the whole window.

    Fails strictly above it, and when there are too few latencies on either side of the comparison.
    """
    assert_holds(window.value, "MON-3", show)


@clause("MON-4")
def test_no_critical_alert_fires(window: Outcome[Window], show: Show) -> None:
    """No critical alert fires that was not firing before.

    Fails when one fires, even if it clears again, and when the alerts were never readable.
    """
    assert_holds(window.value, "MON-4", show)


@clause("MON-5")
def test_no_unexpected_behaviour_is_reported(window: Outcome[Window], show: Show) -> None:
    """No operator, log line, fallback or wrong answer reports unexpected behaviour.

    Fails at the first report, and when one of these sources was never readable.
    """
    assert_holds(window.value, "MON-5", show)


@clause("MON-6")
def test_every_source_gives_enough_data(window: Outcome[Window], show: Show) -> None:
    """Every source answers often enough to judge by.

    Fails when one fails too often in a row or in total.
    """
    assert_holds(window.value, "MON-6", show)


@clause("MON-7")
def test_no_abort_is_requested(window: Outcome[Window], show: Show) -> None:
    """The window runs to its end without an interrupt, a termination signal or a deadline.

    Fails when one of them ended it.
    """
    assert_holds(window.value, "MON-7", show)
