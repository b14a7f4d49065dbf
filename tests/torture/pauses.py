"""The runner, the watchdog or both stand still (SIGSTOP) and go on (SIGCONT), for less and for more than the lease."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from itertools import product
from pathlib import Path

from tests.support.forks import Child, Server
from tests.support.runs import eventually
from tests.torture.cases import Case, Work
from tests.torture.senders import Senders
from tests.torture.support import SETTLES_WITHIN_S, Bench, examined
from tests.torture.truth import as_recorded, at_most_one_ending, id_of, record_of

LEASE_S = 5.0
"""The lease of these cases. An activation must be shorter: a lease is renewed for twice as long before each."""

SHORT_LEASE = (r"^LEASE_S = 60\.0$", f"LEASE_S = {LEASE_S}")
TIMEOUTS = {"read": "1s", "chat": "2s", "activate": "1500ms"}
SHORT_S, LONG_S = 1.5, LEASE_S + 3.0
WINDOW_S = 6.0

WHO = {"the runner": "SIGSTOP", "the watchdog": "stop watchdog", "both": "stop both"}
KEPT = ("armed 1", "intent 1", "intent 2", "outcome 2", "phase 2", "window 1", "sample 8", "verdict 1", "closed 1")
ROLLED_BACK = ("rollback 1", "step 1", "intent 3", "outcome 3", "step 4", "step 6", "closed 1")


def cases() -> Iterator[Case]:
    """Return every case."""
    for breach, entries in ((False, KEPT), (True, ROLLED_BACK)):
        for entry, who in product(entries, WHO):
            course = "rolled back" if breach else "kept"
            what = f"pause, {course}: {who} after {entry}"
            yield Case(f"{what}, shorter than the lease", _paused(entry, who, SHORT_S, breach=breach))
            yield Case(f"{what}, longer than the lease", _paused(entry, who, LONG_S, breach=breach))
            yield Case(
                f"{what}, longer than the lease, with recover meanwhile",
                _paused(entry, who, LONG_S, breach=breach, recover=True),
            )
    for users, failing in ((0, False), (20, False), (20, True)):
        what = f"{users} users a second, {'most requests fail meanwhile' if failing else 'nothing goes wrong'}"
        yield Case(f"pause: the runner for most of the window, {what}", _unwatched(users, failing=failing))


def _bench(server: Server, folder: Path, *, breach: bool = False, users: int = 0) -> Bench:
    return Bench(server, folder, breach=breach, rewrites=[SHORT_LEASE], settings={"users_per_s": users})


def _paused(entry: str, who: str, for_s: float, *, breach: bool, recover: bool = False) -> Work:
    def work(server: Server, folder: Path) -> None:
        with _bench(server, folder, breach=breach) as bench:
            bench.target["timeouts"] = dict(TIMEOUTS)
            senders = Senders(bench)
            run = bench.begin(entry=entry, do=WHO[who])
            try:
                eventually(lambda: bench.reached or run.code is not None, f"{entry}\n{run.text}", SETTLES_WITHIN_S)
                assert bench.reached, f"the run ended before {entry}\n{run.text}"
                watchdogs = bench.watchdogs()
                time.sleep(for_s)
                if recover:
                    _recovered(bench)
            finally:
                _go_on(run.pid, *bench.watchdogs())
            code = run.wait(2 * SETTLES_WITHIN_S)
            bench.settle()
            _judge(bench, run, code, senders, [run.pid, *watchdogs])

    return work


def _recovered(bench: Bench) -> None:
    child = bench.command("recover")
    child.wait(SETTLES_WITHIN_S)
    assert "Traceback" not in child.text, child.text


def _go_on(*pids: int) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def _judge(bench: Bench, run: Child, code: int, senders: Senders, owners: list[int]) -> None:
    """Assert that no write was sent under an old token, and that gateway, journal and exit code agree in the end."""
    for pid in owners:
        late = senders.late(pid, id_of(run))
        assert not late, f"{late} by a process that was superseded\n{bench.output}"
    # For the case that no process was left, or that each left the rollback to the next one.
    assert bench.recover() in {0, 10}, bench.output
    at_most_one_ending(bench)
    as_recorded(bench, code, id_of(run))
    with bench.journal() as journal:
        examined(bench, journal)


def _unwatched(users: int, *, failing: bool) -> Work:
    """Stop the runner right after the window began, until it would be over."""

    def work(server: Server, folder: Path) -> None:
        with _bench(server, folder, users=users) as bench:
            bench.scenario["monitor"]["window"] = f"{WINDOW_S:g}s"
            run = bench.begin(entry="sample 3", do="SIGSTOP")
            try:
                eventually(lambda: bench.reached, f"the window is open\n{run.text}", SETTLES_WITHIN_S)
                fault = {"provider": "openai", "error_share": 0.9}
                bench.direct.put("/sandbox/faults", json=[fault] if failing else []).raise_for_status()
                time.sleep(WINDOW_S)
                bench.direct.delete("/sandbox/faults").raise_for_status()
            finally:
                _go_on(run.pid)
            code = run.wait(2 * SETTLES_WITHIN_S)
            bench.settle()
            as_recorded(bench, code, id_of(run))
            assert not failing or code == 10, f"exit code {code}, and nine in ten requests had failed\n{bench.output}"
            if code == 0:
                watched_s = _window_s(bench, id_of(run)) - WINDOW_S
                assert watched_s > WINDOW_S / 2, f"kept, and watched for {watched_s:.1f} s of {WINDOW_S:g} s"

    return work


def _window_s(bench: Bench, rollout: str) -> float:
    """Return the seconds from the beginning of the window to the closure."""
    began = next(entry.at for entry in bench.entries(rollout) if entry.kind == "window")
    record = record_of(bench, rollout)
    assert record is not None
    return (datetime.fromisoformat(record.closed_at) - datetime.fromisoformat(began)).total_seconds()
