"""The requests of each slice of a window, poll by poll: of each value of a label (MON-2)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from rollout.monitoring.share_stream import ShareStream


@dataclass(slots=True)
class SliceStreams:
    """The slices so far.

    Attributes:
        streams: the value of the label -> its requests and failures.
    """

    streams: dict[str, ShareStream] = field(default_factory=lambda: defaultdict(ShareStream))
    _known: Mapping[str, tuple[int, int]] | None = None

    def add(self, slices: Mapping[str, tuple[int, int]], seconds: float) -> None:
        """Add a reading of the counts so far; a slice that appears after the first reading counts from zero.

        Args:
            slices: the value of the label -> its requests and failures so far.
            seconds: the watched time since the reading before.
        """
        before, self._known = self._known, {**(self._known or {}), **slices}
        if before is None:
            return
        for value, (requests, failures) in slices.items():
            known = before.get(value, (0, 0))
            failed = max(0, failures - known[1])
            self.streams[value].add(seconds, max(failed, requests - known[0]), failed)
