"""(c) What a long window costs the runner: 1,080 polls of the gateway, at the procedure's paces, the clock injected.

`rollout.monitoring.bake.run_window` itself, with all its sources and triggers, its plain view, and a real SQLite
journal, to which every sample is written and from which the operator's requests are read. Only the gateway answers from
memory, and the polls run in place: threads and a simulated clock do not mix. Waiting for the disk is no CPU time.
"""

from __future__ import annotations

import gc
import io
import math
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

from bench.table import Row
from rollout.context import RolloutContext
from rollout.core.histogram import Histogram
from rollout.core.scenario import Monitor, Scenario
from rollout.gateway.responses import Metrics
from rollout.journal.record import Kind
from rollout.monitoring.bake import run_window
from rollout.monitoring.live_heading import Heading
from rollout.monitoring.live_view import view_for
from rollout.monitoring.window import watch
from tests.support.rollouts import rollout_in
from tests.support.windows import BACKUP, BASELINE, NEW, OLD, TARGET, FakeGateway, metrics

POLLS = 1080
CPU_S = 3.0
SETTLED_AT = 200
KIB_PER_POLL = 1.0
KIB = 1024
USERS_PER_POLL = 100


class Busy(FakeGateway):
    """A healthy gateway with users.

    Attributes:
        polls: how often it was polled.
        allocated: the memory of Python, in bytes, at the polls in `measured_at`.
    """

    def __init__(self, *measured_at: int) -> None:
        """Start without polls."""
        super().__init__()
        self.polls = 0
        self.allocated: list[int] = []
        self._measured_at = measured_at

    def metrics(self, provider: str, /) -> Metrics:
        """Return counters that rise, and a histogram: without one, only a longer window has requests enough."""
        total = self.counters.total_requests + USERS_PER_POLL
        histogram = Histogram.of({0.1: 0.9 * total, 0.2: total, math.inf: total})
        self.counters = replace(metrics(total), histogram=histogram)
        return super().metrics(provider)

    def _answer(self, call: str, answer: Any) -> Any:
        self.polls += 1
        if self.polls in self._measured_at:
            self.allocated.append(_allocated())
        answer = super()._answer(call, answer)
        # The list of calls is not to be measured.
        self.calls.clear()
        return answer


def measure(folder: Path, polls: int) -> list[Row]:
    """Return CPU and memory of a window of so many polls of the gateway; memory is measured in a second one.

    Args:
        folder: an empty directory.
        polls: polls of the gateway, of all sources together; those of the log and the operator are not among them.

    Raises:
        RuntimeError: the window did not hold, so it was not the one to measure.
    """
    asked, entries, cpu_s = _cpu(folder / "cpu", polls)
    settled_at = min(SETTLED_AT, polls // 2)
    settled, end = _memory(folder / "memory", settled_at, polls)
    per_poll = (end - settled) / KIB / (polls - settled_at)
    return [
        Row(
            "c",
            f"CPU of a window of {_window_s(polls) / 60:.0f} min: {asked} polls, {entries} journal entries",
            f"{cpu_s:.2f} s",
            f"<= {CPU_S:g} s",
            met=cpu_s <= CPU_S,
        ),
        Row(
            "c",
            f"memory of that window, from poll {settled_at} to poll {polls}",
            f"{settled / KIB:.0f} -> {end / KIB:.0f} KiB, {per_poll:.2f} KiB a poll",
            f"<= {KIB_PER_POLL:g} KiB a poll",
            met=per_poll <= KIB_PER_POLL,
        ),
    ]


def _window_s(polls: int) -> float:
    """Return the length of a window, in seconds, with so many polls of the gateway."""
    paces = Monitor()
    every_s = (
        [paces.metrics_every_s] * 2 + [paces.alerts_every_s] * 2 + [paces.synthetic_every_s, paces.way_back_every_s]
    )
    return polls / sum(1 / seconds for seconds in every_s)


def _cpu(folder: Path, polls: int) -> tuple[int, int, float]:
    """Return the number of polls of the gateway, that of journal entries, and the CPU seconds of all threads."""
    gateway = Busy()
    with _rollout(folder, polls, gateway) as rollout:
        began = time.process_time()
        _watch(rollout)
        took_s = time.process_time() - began
        return gateway.polls, len(rollout.journal.entries()), took_s


def _memory(folder: Path, *polls: int) -> tuple[int, int]:
    """Return the bytes that Python holds at the first of these polls, and at the last, with which the window ends."""
    gateway = Busy(*polls)
    tracemalloc.start()
    try:
        with _rollout(folder, polls[-1], gateway) as rollout:
            _watch(rollout)
    finally:
        tracemalloc.stop()
    return gateway.allocated[0], gateway.allocated[-1]


def _watch(rollout: RolloutContext) -> None:
    heading = Heading(rollout.id, rollout.target.name, str(OLD), str(NEW), None, rollout.scenario.monitor.window_s)
    view = view_for(io.StringIO(), heading, rollout.clock)
    in_place = partial(watch, start=lambda poll: poll())
    with patch("rollout.monitoring.bake.watch", in_place):
        watched = run_window(rollout, view)
    view.close()
    if not watched.passed:
        raise RuntimeError(f"the window did not hold: {watched.verdicts}")


@contextmanager
def _rollout(folder: Path, polls: int, gateway: Busy) -> Iterator[RolloutContext]:
    """Give a rollout whose change is applied, according to its journal."""
    folder.mkdir()
    log = folder / "backend.log"
    log.write_text("12:00:00 | INFO     | main:start - up\n", encoding="utf-8")
    monitor = Monitor(window_s=_window_s(polls))
    scenario = Scenario("bench", "bench", TARGET.name, (NEW,), "bench", monitor=monitor)
    rollout = rollout_in(folder, gateway, scenario=scenario, target=replace(TARGET, log_file=log))
    with rollout.journal:
        rollout.append(Kind.BACKUP, **BACKUP.record())
        rollout.append(Kind.BASELINE, **BASELINE.record())
        rollout.take_lease()
        yield rollout


def _allocated() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]
