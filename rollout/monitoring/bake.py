"""The bake time of a rollout: the window's context from the journal, its samples and verdicts into it (MON)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import Any

from rollout.changes.backup import recorded
from rollout.context import RolloutContext
from rollout.core.canary_stages import Stage
from rollout.core.clock import format_utc
from rollout.core.errors import JournalError, NotCleared
from rollout.core.scenario import Scenario
from rollout.gateway.host.log_command import CommandFollower, LogCommandError
from rollout.gateway.responses import ConnectionTest, Latency, Metrics
from rollout.journal.leases import LEASE_S
from rollout.journal.record import Entry, Kind, RolloutRecord
from rollout.monitoring.aggregates import Aggregates
from rollout.monitoring.data_quality import unwatched
from rollout.monitoring.hold import HoldDecision
from rollout.monitoring.live_view import View
from rollout.monitoring.samples import Baseline, Context, Sample, SourceName
from rollout.monitoring.sources.combined import observe_provider
from rollout.monitoring.sources.registry import Source, gateway_sources
from rollout.monitoring.verdict import State, Verdict, show_span
from rollout.monitoring.window import OnDark, Staged, WindowResult, WindowState, watch

IN_PROGRESS = "IN PROGRESS: "
"""How the row of a trigger begins whose window is not over: neither passed nor failed."""

_WORST = ("held", "not reached", "in progress", "failed")

_QUIET = frozenset({SourceName.OPERATOR, SourceName.LOG})
"""Sources of which a look that found nothing is not worth an entry: they have something to say or they have not."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A trigger's verdict at the end of the window, as its check reads it."""

    verdict: Verdict
    holds: bool
    message: str


@dataclass(frozen=True, slots=True)
class Window:
    """A window that has ended.

    Attributes:
        watched: what came of it.
        cut: called when a clause is read whose window another trigger cut short; raises what the caller wants.
    """

    watched: WindowResult
    cut: Callable[[str], None] = field(compare=False)

    def stage(self, clause: str) -> Staged:
        """Return what came of the canary's stages that a clause speaks of; only if all of them held did they hold."""
        __tracebackhide__ = True
        found = [stage for stage in self.watched.stages if stage.clause == clause]
        worst = max(found, key=lambda stage: _WORST.index(stage.outcome))
        if worst.outcome == "in progress":
            self.cut(f"{IN_PROGRESS}{worst.message}")
        if worst.outcome == "not reached":
            self.cut(IN_PROGRESS + worst.message if self.watched.left_s else worst.message)
        return replace(worst, message="; ".join(stage.message for stage in found))

    def verdict(self, clause: str) -> Judged:
        """Return the clause's verdict; only holding over the whole window is a pass."""
        __tracebackhide__ = True
        found = next(v for v in self.watched.verdicts if v.clause == clause)
        if self.watched.left_s and found.state is not State.BREACHED:
            left = show_span(self.watched.left_s)
            self.cut(f"{IN_PROGRESS}{left} left; so far: {found.state}, {found.message}")
        breach = self.watched.breach
        if breach is not None and breach.clause != clause and found.state is not State.BREACHED:
            self.cut(
                f"{breach.clause} ended the window after {self.watched.watched_s:.0f} s; "
                f"until then: {found.state}, {found.message}"
            )
        word = "" if found.state in (State.HOLDING, State.BREACHED) else f"{found.state}, which is never a pass: "
        return Judged(found, found.state is State.HOLDING, f"{word}{found.message}")


def context(scenario: Scenario, record: RolloutRecord, stage: Stage | None = None) -> Context:
    """Return what the triggers know besides the samples, from the journal; `stage` is the canary's.

    Raises:
        NotCleared: the journal holds no backup.
    """
    previous = recorded(record.backup).previous
    return Context(
        change=scenario.activation or previous,
        previous=previous,
        monitor=scenario.monitor,
        baseline=None if record.baseline is None else Baseline.from_record(record.baseline),
        alerts_before=frozenset((record.alerts or {}).get("keys", ())),
        fixes=frozenset(scenario.fixes),
        counters_before=counters_before(record),
        fallbacks_before=(record.counters or {}).get("fallbacks", 0),
        log_unread_from_s=_log_unread(record) if _goes_on(record, stage) else (),
        control=None if stage is None or stage.is_all else previous,
        window_s=scenario.monitor.window_s if stage is None else stage.lasts_s,
    )


def _log_unread(record: RolloutRecord) -> tuple[float, ...]:
    """Return when each call ended that another one followed, where no position of the log was left to go on from."""
    followed = (pause for pause in record.pauses if pause["left_s"])
    return tuple(pause["watched_s"] for pause in followed if pause["memory"].get(SourceName.LOG, ()) is None)


def counters_before(record: RolloutRecord) -> Metrics | None:
    """Return the new provider's counters as they were right before its activation; None where nobody read them."""
    body = (record.counters or {}).get("metrics")
    return None if body is None else Metrics(**{**body, "latency": Latency(**body["latency"])})


def run_window(
    rollout: RolloutContext,
    view: View,
    for_s: float | None = None,
    page: OnDark = lambda _source, _message: None,
    *,
    stage: Stage | None = None,
    later_s: float = 0.0,
) -> WindowResult:
    """Watch the change for its bake time, or until the first breach; in slices, if a call has not the time for all.

    Every sample and the deciding verdict are in the journal, so that the verdict can be derived again, and the next
    call goes on where this one stops.

    Args:
        rollout: the rollout.
        view: what people see meanwhile.
        for_s: watch for so long, and leave the rest of the window to a later call; None watches to its end.
        page: tells people, without waiting for it, that a source is dark and the window was extended for it (MON-6).
        stage: the stage of a canary, whose window it is; None where the change was made all at once.
        later_s: how long the stages after it will be watched.

    Raises:
        NotCleared: the journal holds no backup.
        JournalError: a sample cannot be recorded.
    """
    record, began_s = rollout.record(), rollout.clock.monotonic()
    known, holding = context(rollout.scenario, record, stage), HoldDecision(rollout)
    memory = dict(record.pauses[-1]["memory"]) if record.pauses else {}
    if not _goes_on(record, stage):
        # A stage has a control group of its own.
        memory.pop(SourceName.CONTROL, None)
    with _sources(rollout, known, holding, memory) as sources:
        course = _course(rollout, record, [source.name for source in sources], stage)
        lasts_s = _lasts_s(rollout, stage)
        keeper, watched = _bake(rollout, view, known, sources, holding, course, lasts_s=lasts_s, for_s=for_s, page=page)
        if watched.breach is None:
            keeper.collect(wait=True)
        used_up = for_s is not None and rollout.clock.monotonic() - began_s >= for_s
        if watched.left_s or (later_s and used_up and watched.breach is None):
            # A stage that ends with the call is judged by the next one, which looks at everything once more: nobody
            # watches in between, and the share must not rise on what was seen before.
            watched = replace(watched, left_s=watched.left_s + later_s)
            rollout.write(Kind.PAUSE, **_left(watched, sources, keeper))
            return watched
        # Side by side: a breach must not wait for the disk eight times. The looks that found nothing are counted first,
        # so that whoever reads the journal can derive the verdicts again.
        left = (Kind.PAUSE, _left(watched, sources, keeper))
        verdicts = [(Kind.VERDICT, _deciding(verdict, watched, stage)) for verdict in watched.verdicts]
        _record(rollout, [left, *verdicts], spools=watched.breach is not None)
        if later_s:
            # The next stage goes on with what the sources remember.
            rollout.write(Kind.PAUSE, **_left(replace(watched, left_s=later_s), sources, keeper))
        return watched


def _record(rollout: RolloutContext, parts: Sequence[tuple[Kind, Mapping[str, Any]]], *, spools: bool) -> None:
    """Write how the window ended; after a breach the rollback does not wait for a journal that cannot be reached."""
    try:
        rollout.write_all(parts)
    except JournalError:
        if not spools:
            raise
        for kind, body in parts:
            rollout.note(kind, **body)


@contextmanager
def _sources(
    rollout: RolloutContext, known: Context, holding: HoldDecision, memory: Mapping[str, Any]
) -> Iterator[tuple[Source, ...]]:
    """Open what the window reads, and close it when the call ends."""
    target, clock, redactor = rollout.target, rollout.clock, rollout.redactor
    with ExitStack() as stack:
        observed = stack.enter_context(observe_provider(rollout, known.change, memory=memory.get(SourceName.METRICS)))
        control, log = None, None
        if known.control is not None:
            control = stack.enter_context(
                observe_provider(rollout, known.control, memory=memory.get(SourceName.CONTROL))
            )
        try:
            if target.log_command:
                log = CommandFollower(target.log_command, clock, redactor.text)
                stack.callback(log.close)
            sources = gateway_sources(
                observed,
                known,
                target,
                operator=holding.abort_asked,
                clock=clock,
                memory=memory,
                log=log,
                counting=observed.memory,
                beside=None if control is None else (control, control.memory),
            )
        except LogCommandError as error:
            raise NotCleared(str(error)) from error
        except OSError as error:
            raise NotCleared(f"the log {target.log_file} cannot be followed: {error.strerror}") from error
        yield sources


def _bake(
    rollout: RolloutContext,
    view: View,
    known: Context,
    sources: Sequence[Source],
    holding: HoldDecision,
    course: WindowState,
    *,
    lasts_s: float,
    for_s: float | None,
    page: OnDark,
) -> tuple[_Keeper, WindowResult]:
    dark = {name for name, looks in course.history.looks.items() if looks.failed_in_a_row}
    keeper = _Keeper(rollout, view, dark)
    # A sample changes some of the verdicts; the others need not be redacted again.
    redacted = lru_cache(maxsize=16)(partial(_redacted, rollout=rollout))

    def show(verdicts: tuple[Verdict, ...], watched_s: float) -> None:
        view.unwatched(unwatched(course.history))
        view.held(holding.words())
        view.verdicts(tuple(map(redacted, verdicts)), watched_s)

    watched = watch(
        sources,
        known,
        clock=rollout.clock,
        stop=rollout.stop,
        window_s=lasts_s,
        on_sample=keeper.keep,
        on_verdicts=show,
        on_dark=page,
        course=course,
        for_s=for_s,
        holds=holding.holds,
    )
    watched = replace(
        watched,
        breach=watched.breach and _redacted(watched.breach, rollout),
        verdicts=tuple(_redacted(verdict, rollout) for verdict in watched.verdicts),
    )
    return keeper, watched


def _lasts_s(rollout: RolloutContext, stage: Stage | None) -> float:
    return rollout.scenario.monitor.window_s if stage is None else stage.lasts_s


@dataclass(slots=True)
class _Keeper:
    """Keeps the samples of one call: those worth an entry in the journal, of the others their number.

    Attributes:
        dark: the sources whose latest look failed.
        quiet: source -> how many looks found nothing, and the latest of them.
        pending: the entries that are on their way to the journal, in order.
    """

    rollout: RolloutContext
    view: View
    dark: set[str]
    quiet: dict[str, tuple[int, Sample]] = field(default_factory=dict)
    pending: deque[Future[Any]] = field(default_factory=deque)

    def keep(self, sample: Sample) -> None:
        """Keep a sample, without waiting for the journal.

        Raises:
            JournalError: an earlier one is not on disk, and the journal's deadline has passed.
            LeaseLost: this process is superseded.
        """
        self.collect()
        if not self.pending:
            # A journal that does not answer would hold the window up; the watchdog renews the lease too.
            self.rollout.hold_lease(LEASE_S / 2)
        if self.is_told(sample):
            self.append(sample)
        else:
            looks, _ = self.quiet.get(sample.source, (0, sample))
            self.quiet[sample.source] = (looks + 1, sample)
        self.dark = self.dark | {sample.source} if sample.error is not None else self.dark - {sample.source}
        self.view.sample(_without_secrets(sample, self.rollout))

    def is_told(self, sample: Sample) -> bool:
        """Tell whether a sample is worth an entry of its own."""
        # The first good look after a dark one is told, or the dark ones would count as one row.
        told = sample.source not in _QUIET or sample.source in self.dark
        return told or sample.error is not None or bool(sample.reading) or bool(sample.unwatched_s)

    def append(self, sample: Sample) -> None:
        """Append a sample to the journal."""
        self.pending.append(self.rollout.write_soon(Kind.SAMPLE, **sample.record()))

    def collect(self, *, wait: bool = False) -> None:
        """Take what the journal has answered; with `wait`, all of it. Raises JournalError as `keep`."""
        while self.pending and (wait or self.pending[0].done()):
            self.pending.popleft().result()


def _course(rollout: RolloutContext, record: RolloutRecord, names: Iterable[str], stage: Stage | None) -> WindowState:
    """Return where the window stands; one that no call has paused begins now, and the journal says so."""
    if record.window is None or not _goes_on(record, stage):
        began_at = rollout.clock.now()
        told = {} if stage is None else {"stage": stage.name}
        rollout.write(Kind.WINDOW, began_at=format_utc(began_at), window_s=_lasts_s(rollout, stage), **told)
        return WindowState(began_at, Aggregates(names))
    began_at = datetime.fromisoformat(record.window["began_at"]).astimezone(UTC)
    history = seen(rollout.journal.entries(rollout.id, Kind.SAMPLE), record, names)
    return WindowState(began_at, history, record.pauses[-1]["watched_s"])


def _goes_on(record: RolloutRecord, stage: Stage | None) -> bool:
    """Tell whether an earlier call has watched a part of this very window."""
    name = None if stage is None else stage.name
    return record.window is not None and bool(record.pauses) and record.window.get("stage") == name


def seen(samples: Iterable[Entry], record: RolloutRecord, names: Iterable[str]) -> Aggregates:
    """Return what was seen in the record's window so far: the samples since it began, and the looks without one.

    Args:
        samples: the rollout's sample entries, in order.
        record: the rollout; its window has begun.
        names: the sources that the window expects.
    """
    history = Aggregates(names)
    began = 0 if record.window is None else record.window["seq"]
    for entry in samples:
        if entry.seq > began:
            history.add(Sample.from_record(entry.body))
    for pause in record.pauses:
        for source, told in pause["quiet"].items():
            history.saw_nothing(source, told["looks"], Sample(source, told["at_s"], told["at"], None))
    return history


def _left(watched: WindowResult, sources: Sequence[Source], keeper: _Keeper) -> dict[str, Any]:
    """Return how this call leaves the window, for the call that goes on and for whoever judges it again."""
    quiet = {
        source: {"looks": looks, "at_s": last.at_s, "at": last.at} for source, (looks, last) in keeper.quiet.items()
    }
    return {
        "watched_s": watched.watched_s,
        "left_s": watched.left_s,
        "at": watched.ended_at,
        "standing": {verdict.clause: f"{verdict.state}, {verdict.message}" for verdict in watched.verdicts},
        "sources": [str(source.name) for source in sources],
        "quiet": quiet,
        "memory": {source.name: source.memory() for source in sources if source.memory is not None},
    }


def _redacted(verdict: Verdict, rollout: RolloutContext) -> Verdict:
    # A gateway may say anything in an alert or a message, and people are shown the verdict.
    text = rollout.redactor.text
    value = text(verdict.value) if isinstance(verdict.value, str) else verdict.value
    return replace(verdict, value=value, message=text(verdict.message))


def _without_secrets(sample: Sample, rollout: RolloutContext) -> Sample:
    tested = sample.reading
    if not isinstance(tested, ConnectionTest):
        return sample
    return replace(sample, reading=replace(tested, message=rollout.redactor.text(tested.message)))


def _deciding(verdict: Verdict, watched: WindowResult, stage: Stage | None) -> dict[str, Any]:
    decided = watched.breach is not None and watched.breach.clause == verdict.clause
    told = {} if stage is None else {"stage": stage.name}
    return {**verdict.record(), "decided": decided, "watched_s": watched.watched_s, **told}
