"""CAN: one request on the new provider, the previous one again at once, then stage after stage, each watched."""

from __future__ import annotations

from rollout.changes.canary import Tried
from rollout.core.result import Outcome
from rollout.monitoring.window_outcome import Window
from rollout.plugin.markers import clause
from rollout.reporting.allure import Show


@clause("CAN-1")
def test_a_single_request_proves_the_new_provider(single_request: Outcome[Tried], show: Show) -> None:
    """The new provider is activated, answers one request, and the previous one is active again at once.

    A gateway that can ask it directly moves no user for it, and nothing is written. Fails when it cannot be activated,
    does not answer as expected, or when the return fails; nothing is kept then.
    """
    tried = single_request.value
    show.facts("Both activations, as the journal has them", tried.writes)
    show.add_remark(tried.answered)
    results = [write.result for write in tried.writes]
    due = [] if tried.is_direct else ["done", "done"]
    assert results == due, f"there and back took {len(results)} write(s) that ended as {results}"


def assert_held(window: Window, clause_id: str, show: Show) -> None:
    """Assert that every trigger held in the stage of a clause."""
    stage = window.stage(clause_id)
    show.facts("Stage", stage)
    assert stage.outcome == "held", stage.message


@clause("CAN-2.1")
def test_a_first_share_of_the_traffic_holds(window: Outcome[Window], show: Show) -> None:
    """The gateway gives the new provider the first share, and every trigger holds for the whole stage.

    Fails when the share cannot be set or read back, and when a trigger breaches or cannot judge in this stage.
    """
    assert_held(window.value, "CAN-2.1", show)


@clause("CAN-2.2")
def test_a_quarter_of_the_traffic_holds(window: Outcome[Window], show: Show) -> None:
    """The gateway gives the new provider a quarter or more, and every trigger holds for the whole stage.

    Fails when the share cannot be set or read back, and when a trigger breaches or cannot judge in this stage.
    """
    assert_held(window.value, "CAN-2.2", show)


@clause("CAN-2.3")
def test_half_of_the_traffic_holds(window: Outcome[Window], show: Show) -> None:
    """The gateway gives the new provider half or more, and every trigger holds for the whole stage.

    Fails when the share cannot be set or read back, and when a trigger breaches or cannot judge in this stage.
    """
    assert_held(window.value, "CAN-2.3", show)


@clause("CAN-2.4")
def test_all_of_the_traffic_holds(window: Outcome[Window], show: Show) -> None:
    """The new provider is activated permanently with all of the traffic, and every trigger holds for the whole stage.

    Fails when it cannot be activated or read back, and when a trigger breaches or cannot judge in this stage.
    """
    assert_held(window.value, "CAN-2.4", show)


@clause("CAN-3")
def test_it_stays_stable_before_the_rollout_is_complete(window: Outcome[Window], show: Show) -> None:
    """All of the traffic stays on the new provider for the stabilisation, and every trigger holds for all of it.

    Fails when a trigger breaches or cannot judge, or when the traffic was split meanwhile.
    """
    assert_held(window.value, "CAN-3", show)
