"""Unexpected answers to the suite's own requests (MON-5): some are proof, others are confirmed by one more request."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from rollout.monitoring.answer_kinds import Unexpected
from rollout.monitoring.samples import Sample, SyntheticReading
from rollout.monitoring.share_stream import ShareStream

Answer: TypeAlias = tuple[Sample, str]
"""An answer, and why it is unexpected."""


@dataclass(slots=True)
class UnexpectedAnswers:
    """The answers of the new provider that are unexpected.

    Attributes:
        proof: the first that is proof by itself: of another provider or model where fallbacks are not normal, and any
            unexpected answer in a journal of an earlier version.
        confirmed: the first that breaks an expectation right after one that does.
        unconfirmed: the latest, if it breaks an expectation, and the one before it does not.
        unmet: all answers of the new provider, and how many break an expectation.
        fallbacks: all answers, and how many are fallbacks.
    """

    proof: Answer | None = None
    confirmed: Answer | None = None
    unconfirmed: Answer | None = None
    unmet: ShareStream = field(default_factory=ShareStream)
    fallbacks: ShareStream = field(default_factory=ShareStream)

    def add(self, sample: Sample, reading: SyntheticReading) -> None:
        """Add one request; one that was not answered neither confirms nor refutes."""
        if not reading.ok:
            return
        is_fallback, is_unmet = reading.unexpected == Unexpected.FALLBACK, reading.unexpected == Unexpected.UNMET
        self.fallbacks.add(0.0, 1, int(is_fallback))
        if is_fallback:
            return
        self.unmet.add(0.0, 1, int(is_unmet))
        found = None if reading.reason is None else (sample, reading.reason)
        if not is_unmet:
            self.proof, self.unconfirmed = self.proof or found, None
        elif self.unconfirmed is None:
            self.unconfirmed = found
        else:
            self.confirmed, self.unconfirmed = self.confirmed or found, None
