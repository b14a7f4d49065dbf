"""A window that another process watches, followed by its journal entries: the same view, from the same samples (MON).

The journal has each sample at once, and the verdicts at the window's end only: until then they are derived from the
samples, as the audit derives them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from rollout.core.canary_stages import Stage, stages
from rollout.core.request import as_opened
from rollout.journal.record import Entry, Kind, RolloutRecord
from rollout.journal.replay import apply_entry
from rollout.monitoring.aggregates import Aggregates
from rollout.monitoring.data_quality import unwatched
from rollout.monitoring.extension import Extension
from rollout.monitoring.hold import of_record
from rollout.monitoring.live_heading import Heading, heading_of
from rollout.monitoring.live_view import View
from rollout.monitoring.samples import Context, Sample
from rollout.monitoring.triggers import judge
from rollout.monitoring.verdict import Verdict
from rollout.monitoring.verdict_text import read_verdict
from rollout.monitoring.window_state import trigger_context

MOMENTS = 150
"""So many moments of the samples of one batch are judged at most: a trend needs no more of them."""

_AFTER_IT = frozenset({Kind.ROLLBACK, Kind.PHASE, Kind.CLOSED})
"""Kinds that follow the window; the verdicts of a stage are followed by the next stage."""

OpenView = Callable[[Heading], View]


@dataclass(slots=True)
class _Window:
    """The window, or the stage of a canary, that is watched.

    Attributes:
        began_at: when it began, UTC.
        context: what its triggers judge by besides the samples.
        aggregates: its samples so far.
        seen_s: the moment of the latest sample, in seconds of the window.
        judged_s: the moment for which it was judged last; a poll that took longer than another comes after it.
        verdicts: those of its end, in order; empty before it.
    """

    began_at: datetime
    context: Context
    aggregates: Aggregates = field(default_factory=lambda: Aggregates(()))
    seen_s: float = 0.0
    judged_s: float = 0.0
    verdicts: tuple[Verdict, ...] = ()


class FollowedWindow:
    """A rollout, and the view of its window while that is watched by a process elsewhere.

    Attributes:
        record: the rollout so far.
        view: shows the window; None before it begins and after its end.
    """

    def __init__(self, rollout: str, open_view: OpenView) -> None:
        """Follow a rollout from its first entry on; `open_view` is called when its window begins."""
        self.record = RolloutRecord(rollout)
        self.view: View | None = None
        self._open_view = open_view
        self._window: _Window | None = None

    def apply(self, entries: Sequence[Entry], now: datetime) -> None:
        """Show what the next entries of the rollout, in order, say of its window at `now`.

        Raises:
            RolloutError, KeyError, TypeError, ValueError: they are of another version of the suite.
        """
        step = max(1, sum(entry.kind == Kind.SAMPLE for entry in entries) // MOMENTS)
        for number, entry in enumerate(entries):
            if entry.kind == Kind.SAMPLE:
                self._add(Sample.from_record(entry.body), is_judged=number % step == 0)
            else:
                apply_entry(self.record, entry)
                self._note(entry)
        if self.view is None or self._window is None:
            return
        hold = of_record(self.record, now)
        self.view.held(None if hold is None else str(hold))
        if not self._window.verdicts:
            self._judge(max(self._window.seen_s, (now - self._window.began_at).total_seconds()))

    def close(self) -> None:
        """End the view, where one is open."""
        if self.view is not None:
            self.view.close()
        self.view, self._window = None, None

    @property
    def is_left(self) -> bool:
        """Whether the latest call has left the rest of the window to a later call, which has not begun yet."""
        pauses = self.record.pauses
        return self._window is not None and bool(pauses) and self._window.seen_s <= pauses[-1]["watched_s"]

    def _note(self, entry: Entry) -> None:
        if entry.kind == Kind.WINDOW:
            self._begin()
        elif entry.kind in _AFTER_IT:
            self.close()
        elif self.view is None or self._window is None:
            return
        elif entry.kind == Kind.EXTENDED:
            self.view.extended(Extension.from_record(entry.body))
        elif entry.kind == Kind.VERDICT:
            self._window.verdicts += (read_verdict(entry.body),)
            self.view.verdicts(self._window.verdicts, entry.body["watched_s"])
        elif entry.kind == Kind.PAUSE:
            for source, polls in entry.body["quiet"].items():
                last = Sample(source, polls["at_s"], polls["at"], None)
                self._window.aggregates.add_quiet_polls(source, polls["looks"], last)

    def _begin(self) -> None:
        scenario, body = as_opened(self.record.opened).scenario, self.record.window or {}
        stage = next((each for each in stages(scenario) if each.name == body.get("stage")), None)
        began_at = datetime.fromisoformat(body["began_at"]).astimezone(UTC)
        self._window = _Window(began_at, trigger_context(scenario, self.record, stage))
        if self.view is None:
            self.view = self._open_view(heading_of(self.record, scenario))
        if stage is not None:
            planned = stages(scenario)
            passed_s = sum(each.lasts_s for each in planned[: planned.index(stage)])
            self.view.stage(describe_stage(stage), passed_s)

    def _add(self, sample: Sample, *, is_judged: bool) -> None:
        if self.view is None or self._window is None:
            return
        self._window.aggregates.add(sample)
        self._window.seen_s = max(self._window.seen_s, sample.at_s)
        self.view.sample(sample)
        if is_judged:
            self._judge(sample.at_s)

    def _judge(self, now_s: float) -> None:
        if self.view is None or self._window is None:
            return
        window = self._window
        window.judged_s = max(window.judged_s, now_s)
        self.view.unwatched(unwatched(window.aggregates))
        if not self.is_left:
            self.view.verdicts(judge(window.aggregates, window.context, window.judged_s), window.judged_s)


def describe_stage(stage: Stage) -> str:
    """Return the stage of a canary with its clause."""
    return f"{stage.clause} {stage}"
