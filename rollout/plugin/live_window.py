"""The window as a pytest run watches it: shown live; a source that is unavailable pages people."""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping
from functools import partial

from rollout.changes.backup import recorded
from rollout.context import RolloutContext
from rollout.core.streams import quiet
from rollout.engine.session import Session
from rollout.monitoring.canary import watch_stages
from rollout.monitoring.live_heading import Heading, describe_phases
from rollout.monitoring.live_view import view_for
from rollout.monitoring.verdict import State, Verdict
from rollout.monitoring.window_result import WindowResult
from rollout.reporting import messages
from rollout.reporting.allure import NOT_RUN
from rollout.reporting.notifications import page


def watch_live(session: Session, env: Mapping[str, str]) -> WindowResult:
    """Watch the change, and show it on the terminal.

    Raises:
        RolloutError: the window could not be watched.
    """
    rollout = session.rollout
    view = view_for(quiet(sys.stdout, rollout.redactor.text), _heading(rollout), rollout.clock, term=env.get("TERM"))
    try:
        return watch_stages(
            rollout,
            view,
            session.for_s,
            partial(_page_unavailable, rollout, env),
            partial(_page_overrun, rollout, env),
        )
    finally:
        view.close()


def reasons_after(breach: Verdict, watched: WindowResult) -> dict[str, str | None]:
    """Return each clause of a window that a breach ended -> why it did not pass; None where it did.

    Args:
        breach: what ended it.
        watched: the window.
    """
    cut = f"{NOT_RUN}{breach.clause} cut its window short"
    reasons: dict[str, str | None] = {
        verdict.clause: verdict.message if verdict.state is State.BREACHED else cut for verdict in watched.verdicts
    }
    for stage in watched.stages:
        of_outcome = {"held": None, "not reached": f"{NOT_RUN}{stage.message}"}
        reasons[stage.clause] = of_outcome.get(stage.outcome, stage.message)
    return reasons


def _page_unavailable(rollout: RolloutContext, env: Mapping[str, str], source: str, message: str) -> None:
    """Page people that a source is unavailable."""
    _page(rollout, env, f"dark: {source}", messages.trouble(rollout, f"NO DATA, {source} cannot be read", message))


def _page_overrun(rollout: RolloutContext, env: Mapping[str, str], message: str) -> None:
    """Page people that this machine is too busy to watch."""
    _page(rollout, env, "overrun", messages.trouble(rollout, "THE WATCHING MACHINE IS TOO BUSY", message))


def _page(rollout: RolloutContext, env: Mapping[str, str], event: str, notice: messages.Message) -> None:
    """Page people in a thread: a channel that hangs must not delay the window."""
    threading.Thread(target=page, args=(rollout, event, notice, env), name="rollout-page", daemon=True).start()


def _heading(rollout: RolloutContext) -> Heading:
    record = rollout.record()
    return Heading(
        rollout=rollout.id,
        target=rollout.target.name,
        previous=str(recorded(record.backup).previous),
        change=rollout.change_text,
        ticket=rollout.scenario.ticket,
        window_s=rollout.scenario.monitor.window_s,
        phases=describe_phases(record),
    )
