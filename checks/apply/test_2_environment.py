"""APP-2: the service's environment is changed, and the service is healthy with it."""

from __future__ import annotations

from rollout.core.result import Outcome
from rollout.plugin.fixtures import AppliedSteps
from rollout.plugin.markers import clause
from rollout.reporting.allure import Show


@clause("APP-2.1")
def test_the_env_file_is_updated_and_nothing_else_in_it(applied: Outcome[AppliedSteps], show: Show) -> None:
    """The .env file is written atomically; comments, unrelated keys, mode and owner stay.

    Fails when it cannot be written, or when a value would not read back equal.
    """
    show.text("What happened", applied.value.describe("APP-2.1"))


@clause("APP-2.2")
def test_the_service_is_restarted(applied: Outcome[AppliedSteps], show: Show) -> None:
    """The configured stop and start commands ran; their output is kept.

    Fails when one ends with an error, cannot be run, or does not end in time.
    """
    show.text("Output of the commands", applied.value.describe("APP-2.2"))


@clause("APP-2.3")
def test_the_service_is_healthy_within_the_deadline(applied: Outcome[AppliedSteps], show: Show) -> None:
    """Startup is polled until the service is healthy.

    Fails when it is not, at the scenario's deadline.
    """
    show.text("What happened", applied.value.describe("APP-2.3"))


@clause("APP-2.4")
def test_the_new_values_are_in_effect(applied: Outcome[AppliedSteps], show: Show) -> None:
    """The service is healthy, and its configuration shows the new values.

    Fails when an old value is still in effect.
    """
    show.text("What happened", applied.value.describe("APP-2.4"))
