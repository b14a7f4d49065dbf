"""Records the samples of one call in the journal: those with a finding, and the number of the others (MON)."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Any

from rollout.context import RolloutContext
from rollout.gateway.responses import ConnectionTest
from rollout.journal.leases import LEASE_S
from rollout.journal.record import Kind
from rollout.monitoring.live_view import View
from rollout.monitoring.samples import Sample, SourceName
from rollout.monitoring.sources.registry import Source
from rollout.monitoring.window import WindowResult

_QUIET = frozenset({SourceName.OPERATOR, SourceName.LOG})
"""Sources of which a poll without a finding gets no entry: only their findings are evidence."""


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
            self.append(sample)
        else:
            polls, _ = self.quiet.get(sample.source, (0, sample))
            self.quiet[sample.source] = (polls + 1, sample)
        self.unavailable = (
            self.unavailable | {sample.source} if sample.error is not None else self.unavailable - {sample.source}
        )
        self.view.sample(_redact_sample(sample, self.rollout))

    def has_an_entry(self, sample: Sample) -> bool:
        """Return whether a sample gets an entry of its own."""
        # The first good poll after a failed one gets an entry, or failed polls on both sides would count as one row.
        is_evidence = sample.source not in _QUIET or sample.source in self.unavailable
        return is_evidence or sample.error is not None or bool(sample.reading) or bool(sample.unwatched_s)

    def append(self, sample: Sample) -> None:
        """Append a sample to the journal."""
        self.pending.append(self.rollout.append_soon(Kind.SAMPLE, **sample.record()))

    def collect(self, *, wait: bool = False) -> None:
        """Remove the confirmed entries from `pending`; with `wait`, wait for all. Raises JournalError as `keep`."""
        while self.pending and (wait or self.pending[0].done()):
            self.pending.popleft().result()


def pause_entry(watched: WindowResult, sources: Sequence[Source], recorder: SampleRecorder) -> dict[str, Any]:
    """Return the body of the `pause` entry: the state of the window for the next call, and for the audit's replay."""
    quiet = {
        source: {"looks": polls, "at_s": last.at_s, "at": last.at} for source, (polls, last) in recorder.quiet.items()
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


def _redact_sample(sample: Sample, rollout: RolloutContext) -> Sample:
    tested = sample.reading
    if not isinstance(tested, ConnectionTest):
        return sample
    return replace(sample, reading=replace(tested, message=rollout.redactor.text(tested.message)))
