"""The journal stands still, is silent or has lost entries, while every request fails: the change is rolled back."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import product
from pathlib import Path

from tests.journal import postgres_server
from tests.support.forks import Child, Server
from tests.support.runs import eventually
from tests.torture.cases import Case, Work
from tests.torture.failing import Frozen, SilentProxy, cut
from tests.torture.support import SETTLES_WITHIN_S, Bench
from tests.torture.truth import is_back, true_code, undone

BACK_WITHIN_S, ENDS_WITHIN_S = 60.0, 120.0
"""From the breach on: until the gateway is rolled back, and until the run has ended."""

WHEN = {"between apply and window": "phase 2", "in mid-window": "sample 4"}
HOWS = ("stands still", "is silent", *(f"has lost its last {count}" for count in (1, 5, 20)))
Fail = Callable[[Bench], None]
Mend = Callable[[], None]


def cases() -> Iterator[Case]:
    """Return every case; those that need a server are left out where there is none."""
    servers = ("sqlite", *(() if postgres_server.missing() else ("postgresql",)))
    for server, how, when, killed in product(servers, HOWS, WHEN, (False, True)):
        if server == "postgresql" or how.startswith("has lost"):
            gone = ", and the run is killed" if killed else ""
            yield Case(f"journal on {server}: it {how} {when}{gone}", _failing(server, how, WHEN[when], killed=killed))


def _failing(kind: str, how: str, entry: str, *, killed: bool) -> Work:
    def work(server: Server, folder: Path) -> None:
        with ExitStack() as stack, Bench(server, folder) as bench:
            fail, mend = _journal(bench, stack, kind, how)
            bench.scenario["monitor"]["window"] = "30s"
            run = bench.begin(entry=entry, do="hold")
            eventually(lambda: bench.reached or run.code is not None, f"{entry}\n{run.text}", SETTLES_WITHIN_S)
            assert bench.reached, run.text
            fail(bench)
            began = time.monotonic()
            bench.direct.put("/sandbox/faults", json=[{"provider": "openai", "error_share": 1}]).raise_for_status()
            if killed:
                run.kill(signal.SIGKILL)
            (folder / "go").touch()
            _judge(bench, run, began, killed=killed)
            mend()
            # A later `recover` finds nothing to roll back a second time, or rolls back.
            assert bench.recover() in {0, 10, 11}, bench.output
            assert is_back(bench), f"recover moved it: {bench.before.against(bench.look())}\n{bench.output}"

    return work


def _judge(bench: Bench, run: Child, began: float, *, killed: bool) -> None:
    eventually(
        lambda: is_back(bench) or time.monotonic() > began + BACK_WITHIN_S, "the time is over", 2 * BACK_WITHIN_S
    )
    took_s = time.monotonic() - began
    assert is_back(bench), (
        f"not back {took_s:.0f} s after the breach: {bench.before.against(bench.look())}\n{bench.output}"
    )
    code = run.wait(max(1.0, began + ENDS_WITHIN_S - time.monotonic()))
    if not killed:
        assert code in {10, 11}, f"exit code {code}\n{bench.output}"
        true_code(bench, code, may_not_know=True)
    undone(bench)
    eventually(lambda: not bench.watchdogs(), f"the watchdog leaves\n{bench.output}", ENDS_WITHIN_S)
    assert is_back(bench), bench.before.against(bench.look())


def _journal(bench: Bench, stack: ExitStack, kind: str, how: str) -> tuple[Fail, Mend]:
    """Prepare the journal; return the function that makes it fail and the one that repairs it."""
    if kind == "postgresql":
        frozen = stack.enter_context(Frozen())
        bench.journal_url = frozen.url
    if how == "stands still":
        return lambda _: frozen.freeze(), frozen.thaw
    if how == "is silent":
        proxy = stack.enter_context(SilentProxy(frozen.port))
        bench.journal_url = frozen.url.replace(f":{frozen.port}/", f":{proxy.port}/")
        return lambda _: proxy.fall_silent(), proxy.speak
    return lambda bench: cut(bench, int(how.rpartition(" ")[2])), lambda: None
