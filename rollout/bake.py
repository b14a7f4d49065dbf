"""The bake time of a rollout: the window's context from the journal, its samples and verdicts into it (MON)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from typing import Any

from rollout.backup import recorded
from rollout.errors import NotCleared
from rollout.gateway.answers import ConnectionTest, Latency, Metrics
from rollout.monitor import Watched, watch
from rollout.record import Kind, Record
from rollout.samples import Baseline, Context, Name, Sample
from rollout.sources import gateway_sources
from rollout.triggers import State, Verdict
from rollout.view import View
from rollout.workspace import LEASE_S, Rollout

_QUIET = frozenset({Name.OPERATOR, Name.LOG})
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

    watched: Watched
    cut: Callable[[str], None] = field(compare=False)

    def verdict(self, clause: str) -> Judged:
        """Return the clause's verdict; only holding over the whole window is a pass."""
        __tracebackhide__ = True
        found = next(v for v in self.watched.verdicts if v.clause == clause)
        breach = self.watched.breach
        if breach is not None and breach.clause != clause and found.state is not State.BREACHED:
            self.cut(
                f"{breach.clause} ended the window after {self.watched.watched_s:.0f} s; "
                f"until then: {found.state}, {found.message}"
            )
        word = "" if found.state in (State.HOLDING, State.BREACHED) else f"{found.state}, which is never a pass: "
        return Judged(found, found.state is State.HOLDING, f"{word}{found.message}")


def context(rollout: Rollout, record: Record) -> Context:
    """Return what the triggers know besides the samples, from the journal.

    Raises:
        NotCleared: the journal holds no backup.
    """
    counters = record.counters or {}
    return Context(
        change=rollout.serving,
        previous=recorded(record.backup).previous,
        monitor=rollout.scenario.monitor,
        baseline=None if record.baseline is None else Baseline.from_record(record.baseline),
        alerts_before=frozenset((record.alerts or {}).get("keys", ())),
        fixes=frozenset(rollout.scenario.fixes),
        counters_before=_metrics(counters.get("metrics")),
        fallbacks_before=counters.get("fallbacks", 0),
    )


def bake(rollout: Rollout, view: View) -> Watched:
    """Watch the change for its bake time, or until the first breach.

    Every sample and the deciding verdict are in the journal, so that the verdict can be derived again.

    Args:
        rollout: the rollout.
        view: what people see meanwhile.

    Raises:
        NotCleared: the journal holds no backup.
        JournalError: a sample cannot be recorded.
    """
    known = context(rollout, rollout.record())
    try:
        sources = gateway_sources(
            rollout.gateway, known, rollout.target, operator=lambda: abort_asked(rollout), clock=rollout.clock
        )
    except OSError as error:
        raise NotCleared(f"the log {rollout.target.log_file} cannot be followed: {error.strerror}") from error

    def keep(sample: Sample) -> None:
        rollout.hold_lease(LEASE_S / 2)
        if sample.error is not None or sample.reading or sample.source not in _QUIET:
            rollout.write(Kind.SAMPLE, **sample.record())
        view.sample(_without_secrets(sample, rollout))

    # A sample changes some of the verdicts; the others need not be redacted again.
    redacted = lru_cache(maxsize=16)(partial(_redacted, rollout=rollout))

    def show(verdicts: tuple[Verdict, ...], watched_s: float) -> None:
        view.verdicts(tuple(map(redacted, verdicts)), watched_s)

    watched = watch(
        sources,
        known,
        clock=rollout.clock,
        stop=rollout.stop,
        window_s=rollout.scenario.monitor.window_s,
        on_sample=keep,
        on_verdicts=show,
    )
    watched = replace(
        watched,
        breach=watched.breach and _redacted(watched.breach, rollout),
        verdicts=tuple(_redacted(verdict, rollout) for verdict in watched.verdicts),
    )
    # Side by side: a breach must not wait for the disk seven times.
    rollout.write_all(Kind.VERDICT, [_deciding(verdict, watched) for verdict in watched.verdicts])
    return watched


def abort_asked(rollout: Rollout) -> str | None:
    """Return why an operator asked for an abort, from anywhere the journal is reachable; None if nobody did."""
    asked = rollout.journal.entries(rollout.id, Kind.ABORT)
    return f"{asked[0].body['by']}: {asked[0].body['reason']}" if asked else None


def _redacted(verdict: Verdict, rollout: Rollout) -> Verdict:
    # A gateway may say anything in an alert or a message, and people are shown the verdict.
    text = rollout.redactor.text
    value = text(verdict.value) if isinstance(verdict.value, str) else verdict.value
    return replace(verdict, value=value, message=text(verdict.message))


def _without_secrets(sample: Sample, rollout: Rollout) -> Sample:
    tested = sample.reading
    if not isinstance(tested, ConnectionTest):
        return sample
    return replace(sample, reading=replace(tested, message=rollout.redactor.text(tested.message)))


def _deciding(verdict: Verdict, watched: Watched) -> dict[str, Any]:
    decided = watched.breach is not None and watched.breach.clause == verdict.clause
    return {**verdict.record(), "decided": decided, "watched_s": watched.watched_s}


def _metrics(body: dict[str, Any] | None) -> Metrics | None:
    return None if body is None else Metrics(**{**body, "latency": Latency(**body["latency"])})
