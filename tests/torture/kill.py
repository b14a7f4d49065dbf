"""Kill at every step: each journal entry and each request of a run, the rollback included, by each signal."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.forks import Child, Server
from tests.support.liar import Behaviour, delayed, passed_on
from tests.support.runs import eventually
from tests.torture.cases import Case, Work
from tests.torture.support import SETTLES_WITHIN_S, Bench, Shape, held, is_write, name_of, points, settled, wait_s

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
LATE_S = 3.0
"""The seconds after the kill at which a held activation still lands."""


@dataclass(frozen=True)
class Course:
    """A run without a fault: the names of its journal entries and of its requests, in order."""

    name: str
    entries: tuple[str, ...]
    requests: tuple[str, ...]

    @property
    def breach(self) -> bool:
        """Whether it rolls back."""
        return self.name.endswith("rolled back")

    @property
    def shape(self) -> Shape:
        """The shape in its name; the provider, where the name has none."""
        return Shape(self.name.rpartition(", ")[0] or Shape.PROVIDER)

    def bench(self, server: Server, folder: Path) -> Bench:
        """Return a bench for it."""
        return Bench(server, folder, breach=self.breach, shape=self.shape)

    @property
    def first_entry(self) -> int:
        """The number of the first entry that is this course's own: a rollback's, where it rolls back."""
        return self.entries.index("rollback") + 1 if self.breach else 1

    @property
    def first_request(self) -> int:
        """The same for requests: the rollback reads the active provider (three requests), then the alerts."""
        return self._last("GET alerts") - 3 if self.breach else 1

    @property
    def writes(self) -> tuple[int, ...]:
        """The numbers of the requests that write."""
        return tuple(n for n, name in enumerate(self.requests, start=1) if is_write(name))

    @property
    def own_requests(self) -> list[tuple[int, str]]:
        """The requests that a restart adds or changes: from the first change to the window, or the rollback."""
        proof, *others = self.writes
        first = self.first_request if self.breach else (others or [proof])[0]
        last = len(self.requests) if self.breach else self._last("GET admin/audit") + 4
        return list(enumerate(self.requests, start=1))[first - 1 : last]

    def _last(self, name: str) -> int:
        return max(n for n, each in enumerate(self.requests, start=1) if each == name)


def names_of(shape: Shape) -> Sequence[str]:
    """Return the names of the two courses of a shape."""
    before = "" if shape is Shape.PROVIDER else f"{shape}, "
    return [f"{before}{end}" for end in ("kept", "rolled back")]


def undisturbed(server: Server, folder: Path, name: str) -> Course:
    """Run once without a fault, and return the course.

    Args:
        server: forks the processes.
        folder: an empty directory.
        name: one of `names_of`.
    """
    course = Course(name, (), ())
    with course.bench(server, folder) as bench:
        run = bench.begin()
        code = run.wait(SETTLES_WITHIN_S)
        assert code == (10 if course.breach else 0), run.text
        settled(bench, code)
        requests = tuple(f"{each.method} {name_of(each.path)}" for each in bench.liar.requests)
        return Course(name, tuple(points(bench)), requests)


def cases_with_a_restart(course: Course) -> Iterator[Case]:
    """Return the cases of a course with a restart in it: from the first write to the window, and in the rollback."""
    armed, window = course.entries.index("armed") + 1, course.entries.index("phase verify") + 1
    for number, name in list(enumerate(course.entries, start=1))[course.first_entry - 1 :]:
        if course.breach or armed <= number <= window:
            for sig in (signal.SIGKILL, signal.SIGTERM):
                yield Case(
                    f"{course.name}: {sig.name} after entry {number} ({name})", _at_entry(course, number, sig.name)
                )
            yield Case(f"{course.name}: runner and watchdog after entry {number} ({name})", _both(course, number))
    for number, name in course.own_requests:
        for sig in (signal.SIGKILL, signal.SIGTERM):
            yield Case(f"{course.name}: {sig.name} at request {number} ({name})", _at_request(course, number, sig))
        if is_write(name):
            what = f"{course.name}: SIGKILL at request {number} ({name}), which lands {LATE_S:g} s later"
            yield Case(what, _at_request(course, number, signal.SIGKILL, delayed(LATE_S)))
    part = "rollback" if course.breach else "apply"
    for command in ("stop", "start"):
        for do in ("SIGKILL", "SIGTERM", "both"):
            who = "runner and watchdog" if do == "both" else do
            what = f"{course.name}: {who} while the {command} command of the {part} runs, which goes on alone"
            yield Case(what, _in_a_command(course, command, do))


def cases(course: Course, signals: Sequence[signal.Signals] = SIGNALS) -> Iterator[Case]:
    """Return every case of one course, by each of these signals."""
    armed = course.entries.index("armed") + 1
    for number, name in list(enumerate(course.entries, start=1))[course.first_entry - 1 :]:
        for sig in signals:
            yield Case(f"{course.name}: {sig.name} after entry {number} ({name})", _at_entry(course, number, sig.name))
        if number >= armed:
            yield Case(f"{course.name}: runner and watchdog after entry {number} ({name})", _both(course, number))
    for number, name in list(enumerate(course.requests, start=1))[course.first_request - 1 :]:
        for sig in signals:
            yield Case(f"{course.name}: {sig.name} at request {number} ({name})", _at_request(course, number, sig))
        if is_write(name):
            what = f"{course.name}: SIGKILL at request {number} ({name}), which lands {LATE_S:g} s later"
            yield Case(what, _at_request(course, number, signal.SIGKILL, delayed(LATE_S)))


def _at_entry(course: Course, number: int, do: str) -> Work:
    def work(server: Server, folder: Path) -> None:
        with course.bench(server, folder) as bench:
            code = bench.begin(entry=number, do=do).wait(SETTLES_WITHIN_S)
            settled(bench, code if code >= 0 else None)

    return work


def _both(course: Course, number: int) -> Work:
    def work(server: Server, folder: Path) -> None:
        with course.bench(server, folder) as bench:
            bench.begin(entry=number, do="both").wait(SETTLES_WITHIN_S)
            bench.settle()
            code = bench.recover()
            assert code in {0, 10}, f"recover answered {code}\n{bench.output}"
            settled(bench, None, lease_may_run_out=True)

    return work


def _at_request(course: Course, number: int, sig: signal.Signals, then: Behaviour | None = None) -> Work:
    def work(server: Server, folder: Path) -> None:
        with course.bench(server, folder) as bench:
            children: list[Child] = []

            def kill() -> None:
                eventually(lambda: children, "the run is known")
                children[0].kill(sig)
                if sig is signal.SIGKILL:
                    children[0].wait(5)

            bench.liar.rule("", held(kill, then or passed_on()), nth=number)
            children.append(bench.begin())
            code = children[0].wait(SETTLES_WITHIN_S)
            settled(bench, code if code >= 0 else None)
            if then is not None:
                wait_s(LATE_S)
                settled(bench, None)

    return work


def _in_a_command(course: Course, command: str, do: str) -> Work:
    """End the run while a command of its restart runs; the command goes on alone."""

    def work(server: Server, folder: Path) -> None:
        with course.bench(server, folder) as bench:
            reached = bench.slowed(command, nth=2 if course.breach else 1)
            run = bench.begin()
            eventually(reached.exists, f"the {command} command runs\n{bench.output}", SETTLES_WITHIN_S)
            if do == "both":
                bench.kill_watchdogs()
            run.kill(signal.SIGKILL if do == "both" else signal.Signals[do])
            code = run.wait(SETTLES_WITHIN_S)
            bench.settle()
            if do == "both":
                assert bench.recover() in {0, 10}, bench.output
            bench.await_commands()
            settled(bench, code if code >= 0 else None, lease_may_run_out=do == "both")

    return work


def of_the_rollback(steps: int, *, shape: Shape = Shape.PROVIDER) -> Iterator[Case]:
    """Return the cases in which watchdog or `recover` die at each request of the rollback."""
    what = "rollback" if shape is Shape.PROVIDER else f"rollback of {shape}"
    for number in range(1, steps + 1):
        yield Case(f"{what}: the watchdog dies at its request {number}, then recover", _watchdog_dies(number, shape))
        yield Case(f"{what}: recover dies at its request {number}, then recover", _recover_dies(number, shape))
    if shape is not Shape.PROVIDER:
        return
    yield Case("rollback: recover twice at once", _recover_twice)
    yield Case("rollback: recover while the runner lives leaves it alone", _recover_while_it_lives)


APPLIED: Mapping[Shape, str] = {
    Shape.PROVIDER: "outcome 2",
    Shape.ENVIRONMENT: "outcome 3",
    Shape.THREE: "outcome 5",
    Shape.CANARY: "outcome 5",
}
"""The entry that records the outcome of the last write, a canary's first share; the first writes are the proof's."""


def _applied_and_gone(bench: Bench, do: str) -> None:
    """Leave a rollout in flight: the change is applied, and the run (and, with ``both``, its watchdog) is dead."""
    bench.begin(entry=APPLIED[bench.shape], do=do).wait(SETTLES_WITHIN_S)


def _watchdog_dies(number: int, shape: Shape) -> Work:
    def work(server: Server, folder: Path) -> None:
        with Bench(server, folder, shape=shape) as bench:

            def kill() -> None:
                for pid in bench.watchdogs():
                    os.kill(pid, signal.SIGKILL)

            run = bench.begin(entry=APPLIED[bench.shape], do="SIGKILL")
            eventually(lambda: bench.reached, "the change is applied", SETTLES_WITHIN_S)
            rule = bench.liar.rule("", held(kill, passed_on()), nth=number)
            run.wait(SETTLES_WITHIN_S)
            bench.settle()
            assert rule.hits or number > 1
            assert bench.recover() in {0, 10}, bench.output
            settled(bench, None)

    return work


def _recover_dies(number: int, shape: Shape) -> Work:
    def work(server: Server, folder: Path) -> None:
        with Bench(server, folder, shape=shape) as bench:
            _applied_and_gone(bench, "both")
            bench.settle()
            children: list[Child] = []

            def kill() -> None:
                eventually(lambda: children, "recover is known")
                children[0].kill()
                children[0].wait(5)

            bench.liar.rule("", held(kill, passed_on()), nth=number)
            children.append(bench.command("recover"))
            children[0].wait(SETTLES_WITHIN_S)
            assert bench.recover() in {0, 10}, bench.output
            settled(bench, None)

    return work


def _recover_twice(server: Server, folder: Path) -> None:
    with Bench(server, folder) as bench:
        _applied_and_gone(bench, "both")
        bench.settle()
        both = [bench.command("recover"), bench.command("recover")]
        codes = {child.wait(SETTLES_WITHIN_S) for child in both}
        assert codes <= {0, 10}, bench.output
        assert 10 in codes, bench.output
        activations = list(bench.liar.seen("POST", "/ollama/activate$"))
        assert len(activations) == 2, (
            f"{len(activations)} activations of the previous provider: proof, and one rollback"
        )
        settled(bench, None)


def _recover_while_it_lives(server: Server, folder: Path) -> None:
    with Bench(server, folder) as bench:
        codes: list[int] = []
        bench.liar.rule("/admin/audit", held(lambda: codes.append(bench.recover()), passed_on()), nth=1)
        code = bench.begin().wait(SETTLES_WITHIN_S)
        assert codes == [0], bench.output
        assert code == 0, bench.output
        settled(bench, code)
