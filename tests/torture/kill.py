"""Kill at every step: each journal entry and each request of a run, the way back included, by each signal."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.forks import Child, Server
from tests.support.liar import Behaviour, delayed, passed_on
from tests.support.runs import eventually
from tests.torture.cases import Case, Work
from tests.torture.support import SETTLES_WITHIN_S, Bench, held, name_of, points, settled, wait_s

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
WRITES = ("/activate", "governance/limits")
"""How the paths of the requests end that write."""

LATE_S = 3.0
"""So much later than the kill a held activation still lands."""


@dataclass(frozen=True)
class Course:
    """What an undisturbed run does: the names of its journal entries and of its requests, in order."""

    name: str
    entries: tuple[str, ...]
    requests: tuple[str, ...]

    @property
    def breach(self) -> bool:
        """Whether it rolls back."""
        return self.name.endswith("rolled back")

    @property
    def three(self) -> bool:
        """Whether it changes provider, environment and limits."""
        return self.name.startswith("three")

    def bench(self, server: Server, folder: Path) -> Bench:
        """Return a bench for it."""
        return Bench(server, folder, breach=self.breach, three=self.three)

    @property
    def first_entry(self) -> int:
        """The number of the first entry that is this course's own: where it rolls back, the rest is the other's."""
        return self.entries.index("rollback") + 1 if self.breach else 1

    @property
    def first_request(self) -> int:
        """The same for requests: the way back looks where it is (two requests), then at the alerts, then it writes."""
        if not self.breach:
            return 1
        alerts = [n for n, name in enumerate(self.requests[: self.writes[-1]], start=1) if name == "GET alerts"]
        return alerts[-1] - 2

    @property
    def writes(self) -> tuple[int, ...]:
        """The numbers of the requests that write."""
        return tuple(n for n, name in enumerate(self.requests, start=1) if name.endswith(WRITES))

    @property
    def own_requests(self) -> list[tuple[int, str]]:
        """The requests in which three changes differ from one: from the first change to the window, or the way back."""
        first = self.first_request if self.breach else self.writes[1]
        last = len(self.requests) if self.breach else self.requests.index("GET admin/audit", self.writes[-1]) + 5
        return list(enumerate(self.requests, start=1))[first - 1 : last]


def undisturbed(server: Server, folder: Path, name: str) -> Course:
    """Run once without harm, and return what there is to harm.

    Args:
        server: forks the processes.
        folder: an empty directory.
        name: ``kept`` or ``rolled back``, with ``three, `` before it for three changes.
    """
    course = Course(name, (), ())
    with course.bench(server, folder) as bench:
        run = bench.begin()
        code = run.wait(SETTLES_WITHIN_S)
        assert code == (10 if course.breach else 0), run.text
        settled(bench, code)
        requests = tuple(f"{each.method} {name_of(each.path)}" for each in bench.liar.requests)
        return Course(name, tuple(points(bench)), requests)


def cases_of_three(course: Course) -> Iterator[Case]:
    """Return the cases of a course with a restart in it: from the first write to the window, and on the way back."""
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
        if name.endswith(WRITES):
            what = f"{course.name}: SIGKILL at request {number} ({name}), which lands {LATE_S:g} s later"
            yield Case(what, _at_request(course, number, signal.SIGKILL, delayed(LATE_S)))
    way = "there" if not course.breach else "back"
    for command in ("stop", "start"):
        for do in ("SIGKILL", "SIGTERM", "both"):
            who = "runner and watchdog" if do == "both" else do
            what = f"{course.name}: {who} while the {command} command of the way {way} runs, which goes on alone"
            yield Case(what, _in_a_command(course, command, do))


def cases(course: Course) -> Iterator[Case]:
    """Return every case of one course."""
    armed = course.entries.index("armed") + 1
    for number, name in list(enumerate(course.entries, start=1))[course.first_entry - 1 :]:
        for sig in SIGNALS:
            yield Case(f"{course.name}: {sig.name} after entry {number} ({name})", _at_entry(course, number, sig.name))
        if number >= armed:
            yield Case(f"{course.name}: runner and watchdog after entry {number} ({name})", _both(course, number))
    for number, name in list(enumerate(course.requests, start=1))[course.first_request - 1 :]:
        for sig in SIGNALS:
            yield Case(f"{course.name}: {sig.name} at request {number} ({name})", _at_request(course, number, sig))
        if name.endswith("activate"):
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
    """End the run while a command of its restart is under way; what nobody waits for any more goes on by itself."""

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


def of_the_way_back(steps: int, *, three: bool = False) -> Iterator[Case]:
    """Return the cases in which watchdog or `recover` die at each request of the way back."""
    what = "way back of three" if three else "way back"
    for number in range(1, steps + 1):
        yield Case(f"{what}: the watchdog dies at its request {number}, then recover", _watchdog_dies(number, three))
        yield Case(f"{what}: recover dies at its request {number}, then recover", _recover_dies(number, three))
    if three:
        return
    yield Case("way back: recover twice at once", _recover_twice)
    yield Case("way back: recover while the runner lives leaves it alone", _recover_while_it_lives)


APPLIED = "outcome 2"
"""The entry that records the activation's outcome; the first is the proof's."""

ALL_APPLIED = "outcome 5"
"""With three changes those of the file, of the restart and of the limits follow it."""


def _applied_and_gone(bench: Bench, do: str) -> None:
    """Leave a rollout in flight: the change is applied, and the run (and, with ``both``, its watchdog) is dead."""
    bench.begin(entry=_applied(bench), do=do).wait(SETTLES_WITHIN_S)


def _applied(bench: Bench) -> str:
    return ALL_APPLIED if bench.three else APPLIED


def _watchdog_dies(number: int, three: bool) -> Work:
    def work(server: Server, folder: Path) -> None:
        with Bench(server, folder, three=three) as bench:

            def kill() -> None:
                for pid in bench.watchdogs():
                    os.kill(pid, signal.SIGKILL)

            last = "/governance/limits$" if three else "/openai/activate$"
            forward = bench.liar.rule(last, passed_on(), method="POST")
            run = bench.begin(entry=_applied(bench), do="SIGKILL")
            eventually(lambda: forward.hits, "the change is applied", SETTLES_WITHIN_S)
            rule = bench.liar.rule("", held(kill, passed_on()), nth=number)
            run.wait(SETTLES_WITHIN_S)
            bench.settle()
            assert rule.hits or number > 1
            assert bench.recover() in {0, 10}, bench.output
            settled(bench, None)

    return work


def _recover_dies(number: int, three: bool) -> Work:
    def work(server: Server, folder: Path) -> None:
        with Bench(server, folder, three=three) as bench:
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
            f"{len(activations)} activations of the previous provider: proof, and one way back"
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
