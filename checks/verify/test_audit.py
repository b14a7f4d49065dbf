"""VER-3: the gateway's audit log shows the change."""

from __future__ import annotations

from rollout.core.result import Outcome
from rollout.engine.verification import Audited
from rollout.plugin.markers import clause
from rollout.reporting.allure import Show


@clause("VER-3")
def test_the_audit_log_shows_the_change(audited: Outcome[Audited], show: Show) -> None:
    """Who, what, when and result of the change are in the gateway's audit log, or their absence is a finding.

    Fails when the log cannot be read, or when it says that the change failed.
    """
    seen = audited.value
    show.table("The gateway's own entries", seen.rows)
    show.facts("The suite's own record", seen.own)
    show.text("Finding", seen.finding or "none: the gateway recorded the change")
    assert not seen.problem, seen.problem
