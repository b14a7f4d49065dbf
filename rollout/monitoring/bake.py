"""The bake time of a rollout: one call of its window, whose samples and verdicts go to the journal (MON)."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from typing import Any

from rollout.context import RolloutContext
from rollout.core.canary_stages import Stage
from rollout.core.errors import JournalError
from rollout.gateway.responses import ConnectionTest
from rollout.journal.leases import LEASE_S
from rollout.journal.record import Kind
from rollout.monitoring.aggregates import Aggregates
from rollout.monitoring.data_quality import unwatched
from rollout.monitoring.error_rise import describe_rise
from rollout.monitoring.extension import Extension
from rollout.monitoring.hold import HoldDecision
from rollout.monitoring.live_view import View
from rollout.monitoring.samples import Context, Sample, SourceName
from rollout.monitoring.sources.combined import open_sources
from rollout.monitoring.sources.registry import Source
from rollout.monitoring.verdict import Verdict
from rollout.monitoring.window import OnOverrun, OnUnavailable, watch
from rollout.monitoring.window_result import WindowResult, WindowState
from rollout.monitoring.window_state import control_latencies, has_begun, take_up_window, trigger_context

_QUIET = frozenset({SourceName.OPERATOR, SourceName.LOG})
"""Sources of which a poll without a finding gets no entry: only their findings are evidence."""


def run_window(
    rollout: RolloutContext,
    view: View,
    for_s: float | None = None,
    page: OnUnavailable = lambda _source, _message: None,
    page_overrun: OnOverrun = lambda _message: None,
    *,
    stage: Stage | None = None,
    later_s: float = 0.0,
) -> WindowResult:
    """Watch the change for its bake time, or until the first breach; several calls share a window that one cannot end.

    Every sample and the deciding verdict are in the journal, so that the audit derives the verdict again, and the next
    call continues from there.

    Args:
        rollout: the rollout.
        view: shows the window while it runs.
        for_s: watch for so long, and leave the rest of the window to a later call; None watches to its end.
        page: notifies, without waiting, that a source is unavailable and that the window was extended for it (MON-6).
        page_overrun: notifies, without waiting, that this machine is too busy to watch.
        stage: the stage of a canary, whose window it is; None where the change was made all at once.
        later_s: the watched time of the stages after it, in seconds.

    Raises:
        NotCleared: the journal holds no backup.
        JournalError: a sample cannot be recorded.
    """
    record, began_s = rollout.record(), rollout.clock.monotonic()
    known = trigger_context(rollout.scenario, record, stage, control_latencies(rollout, record, stage))
    hold_decision = HoldDecision(rollout)
    memory = dict(record.pauses[-1]["memory"]) if record.pauses else {}
    if not has_begun(record, stage):
        # A stage has a control group of its own.
        memory.pop(SourceName.CONTROL, None)
    with open_sources(rollout, known, hold_decision, memory) as sources:
        state = take_up_window(rollout, record, [source.name for source in sources], stage, known, later_s)
        if record.extension is not None and has_begun(record, stage):
            view.extended(Extension.from_record(record.extension))
        pages = (page, page_overrun)
        recorder, watched = _watch_redacted(
            rollout, view, known, sources, hold_decision, state, for_s=for_s, pages=pages
        )
        if watched.breach is None:
            recorder.collect(wait=True)
        used_up = for_s is not None and rollout.clock.monotonic() - began_s >= for_s
        if watched.left_s or (later_s and used_up and watched.breach is None):
            # A stage that ends with the call is judged by the next call, which polls each source once more: between the
            # calls nothing is watched, and the share must not rise on samples from before.
            watched = replace(watched, left_s=watched.left_s + later_s)
            rollout.append(Kind.PAUSE, **pause_entry(watched, sources, recorder))
            return watched
        # In one transaction: a breach must not wait for the disk eight times. The polls without a finding come first,
        # for the audit derives the verdicts from them.
        _record(
            rollout,
            [
                (Kind.PAUSE, pause_entry(watched, sources, recorder)),
                *((Kind.VERDICT, _verdict_entry(verdict, watched, stage)) for verdict in watched.verdicts),
                *_findings(watched, state.aggregates, known),
            ],
            spools=watched.breach is not None,
        )
        if later_s:
            # The next stage starts from the memory of the sources.
            rollout.append(Kind.PAUSE, **pause_entry(replace(watched, left_s=later_s), sources, recorder))
        return watched


def _findings(
    watched: WindowResult, aggregates: Aggregates, known: Context
) -> Iterator[tuple[Kind, Mapping[str, Any]]]:
    """Yield what a window without a breach found nevertheless: a rise of the error rate within its limit."""
    if watched.breach is not None or known.monitor.limits.error_rate_rise is not None:
        return
    note = describe_rise(aggregates.users.stream, aggregates.requests.errors, known)
    if note:
        yield Kind.FINDING, {"clause": "MON-2", "text": f"the error rate is within its limit, but {note}"}


def _record(rollout: RolloutContext, parts: Sequence[tuple[Kind, Mapping[str, Any]]], *, spools: bool) -> None:
    """Write how the window ended; after a breach the rollback does not wait for a journal that cannot be reached."""
    try:
        rollout.append_all(parts)
    except JournalError:
        if not spools:
            raise
        for kind, body in parts:
            rollout.append_or_spool(kind, **body)


def _watch_redacted(
    rollout: RolloutContext,
    view: View,
    known: Context,
    sources: Sequence[Source],
    hold_decision: HoldDecision,
    state: WindowState,
    *,
    for_s: float | None,
    pages: tuple[OnUnavailable, OnOverrun],
) -> tuple[SampleRecorder, WindowResult]:
    recorder = SampleRecorder(
        rollout, view, {name for name, polls in state.aggregates.polls.items() if polls.failed_in_a_row}
    )
    # A sample changes some of the verdicts; the others need not be redacted again.
    redacted = lru_cache(maxsize=16)(partial(_redact_verdict, rollout=rollout))

    def show(verdicts: tuple[Verdict, ...], watched_s: float) -> None:
        view.unwatched(unwatched(state.aggregates))
        view.held(hold_decision.describe())
        view.verdicts(tuple(map(redacted, verdicts)), watched_s)

    def extend(extension: Extension) -> None:
        extension = replace(extension, why=rollout.redactor.text(extension.why))
        recorder.keep_extension(extension)
        view.extended(extension)

    def overrun(message: str) -> None:
        view.overrun(message)
        pages[1](message)

    watched = watch(
        sources,
        known,
        clock=rollout.clock,
        stop=rollout.stop,
        window_s=known.lasts_s,
        on_sample=recorder.keep,
        on_verdicts=show,
        on_unavailable=pages[0],
        on_extended=extend,
        on_overrun=overrun,
        state=state,
        for_s=for_s,
        holds=hold_decision.holds,
    )
    watched = replace(
        watched,
        breach=watched.breach and _redact_verdict(watched.breach, rollout),
        verdicts=tuple(_redact_verdict(verdict, rollout) for verdict in watched.verdicts),
    )
    return recorder, watched


def _redact_verdict(verdict: Verdict, rollout: RolloutContext) -> Verdict:
    # An alert or a message of a gateway may contain a secret, and the verdict is shown.
    text = rollout.redactor.text
    value, message = text(verdict.value) if isinstance(verdict.value, str) else verdict.value, text(verdict.message)
    is_unchanged = value == verdict.value and message == verdict.message
    return verdict if is_unchanged else replace(verdict, value=value, message=message)


def _verdict_entry(verdict: Verdict, watched: WindowResult, stage: Stage | None) -> dict[str, Any]:
    return {
        **verdict.record(),
        "decided": watched.breach is not None and watched.breach.clause == verdict.clause,
        "watched_s": watched.watched_s,
        **({} if stage is None else {"stage": stage.name}),
    }


@dataclass(slots=True)
class SampleRecorder:
    """Records the samples of one call: those with a finding as entries of the journal, of the others their number.

    Attributes:
        unavailable: the sources whose latest poll failed.
        quiet: source -> how many polls found nothing, and the sample of the latest.
        pending: the entries that the journal has not confirmed yet, in order.
    """

    rollout: RolloutContext
    view: View
    unavailable: set[str]
    quiet: dict[str, tuple[int, Sample]] = field(default_factory=dict)
    pending: deque[Future[Any]] = field(default_factory=deque)

    def keep(self, sample: Sample) -> None:
        """Keep a sample, without waiting for the journal.

        Raises:
            JournalError: an earlier sample is not on disk, and the journal's deadline has passed.
            LeaseLost: this process is superseded.
        """
        self.collect()
        if not self.pending:
            # A journal that does not answer would delay the window; the watchdog renews the lease too.
            self.rollout.hold_lease(LEASE_S / 2)
        if self.has_an_entry(sample):
            self.pending.append(self.rollout.append_soon(Kind.SAMPLE, **sample.record()))
        else:
            polls, _ = self.quiet.get(sample.source, (0, sample))
            self.quiet[sample.source] = (polls + 1, sample)
        self.unavailable = (
            self.unavailable | {sample.source} if sample.error is not None else self.unavailable - {sample.source}
        )
        self.view.sample(_redact_sample(sample, self.rollout))

    def keep_extension(self, extension: Extension) -> None:
        """Record that the window goes on, without waiting for the journal."""
        self.pending.append(self.rollout.append_soon(Kind.EXTENDED, **extension.record()))

    def has_an_entry(self, sample: Sample) -> bool:
        """Return whether a sample gets an entry of its own."""
        # The first good poll after a failed one gets an entry, or failed polls on both sides would count as one row.
        return (
            sample.source not in _QUIET
            or sample.source in self.unavailable
            or sample.error is not None
            or bool(sample.reading)
            or bool(sample.unwatched_s)
        )

    def collect(self, *, wait: bool = False) -> None:
        """Remove the confirmed entries from `pending`; with `wait`, wait for all. Raises JournalError as `keep`."""
        while self.pending and (wait or self.pending[0].done()):
            self.pending.popleft().result()


def pause_entry(watched: WindowResult, sources: Sequence[Source], recorder: SampleRecorder) -> dict[str, Any]:
    """Return the body of the `pause` entry: the state of the window for the next call, and for the audit's replay."""
    return {
        "watched_s": watched.watched_s,
        "left_s": watched.left_s,
        "extended_s": watched.extended_s,
        "at": watched.ended_at,
        "standing": {verdict.clause: f"{verdict.state}, {verdict.message}" for verdict in watched.verdicts},
        "sources": [str(source.name) for source in sources],
        "quiet": {
            source: {"looks": polls, "at_s": last.at_s, "at": last.at}
            for source, (polls, last) in recorder.quiet.items()
        },
        "memory": {source.name: source.memory() for source in sources if source.memory is not None},
    }


def _redact_sample(sample: Sample, rollout: RolloutContext) -> Sample:
    if not isinstance(sample.reading, ConnectionTest):
        return sample
    message = rollout.redactor.text(sample.reading.message)
    return replace(sample, reading=replace(sample.reading, message=message))
