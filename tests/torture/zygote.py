"""Forks processes that have everything imported already: a hundred runs a minute instead of twenty.

A child is a process like any other, with a pid of its own, that runs `pytest`, `rollout` or the embedded gateway; only
the second of imports before it is spared. The name ``pytest`` stands on the command line, because `rollout recover`
tells a run that lives by it.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).parents[2]
PRELOADED = [
    "_pytest.junitxml",
    "allure_pytest.plugin",
    "apprise",
    "httpx",
    "pytest_timeout",
    "rich.live",
    "rollout.cli",
    "rollout.closure",
    "rollout.history",
    "rollout.loading",
    "rollout.monitor",
    "rollout.recovery",
    "rollout.sandbox.server",
    "rollout.session",
    "sqlalchemy.dialects.sqlite",
    "uvicorn.lifespan.on",
    "uvicorn.protocols.http.h11_impl",
    "xdist.plugin",
]


class Child:
    """A process that was forked.

    Attributes:
        pid: its id.
        out: the file that holds what it printed.
    """

    def __init__(self, pid: int, out: Path) -> None:
        """It has just begun."""
        self.pid = pid
        self.out = out
        self._ended = threading.Event()
        self._code: int | None = None

    @property
    def code(self) -> int | None:
        """Its exit code, the negative signal that ended it, None while it lives."""
        return self._code

    @property
    def text(self) -> str:
        """What it printed so far."""
        return self.out.read_text(encoding="utf-8", errors="replace") if self.out.exists() else ""

    def wait(self, within_s: float) -> int:
        """Return its exit code; fail when it does not end in time."""
        if not self._ended.wait(within_s):
            self.kill()
            raise AssertionError(f"process {self.pid} did not end within {within_s:g} s:\n{self.text}")
        assert self._code is not None
        return self._code

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send it a signal, if it lives."""
        if self._code is None:
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                return

    def ended(self, code: int) -> None:
        """Note how it ended."""
        self._code = code
        self._ended.set()


class Zygote:
    """The parent of all of them, in a process of its own; safe to share between threads."""

    def __init__(self) -> None:
        """Start it; the imports are done when the first child was asked for."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.torture.zygote", "pytest"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        self._children: dict[int, Child] = {}
        self._started: dict[int, tuple[threading.Event, list[Any]]] = {}
        self._lock = threading.Lock()
        self._next = 0
        threading.Thread(target=self._listen, daemon=True).start()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """End it, and every child that is left."""
        for child in list(self._children.values()):
            child.kill()
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)

    def start(
        self, what: str, args: Sequence[str], *, out: Path, env: Mapping[str, str] | None = None, fds: int | None = None
    ) -> Child:
        """Fork a child that runs ``pytest``, ``rollout`` or ``sandbox`` with these arguments.

        Args:
            what: which.
            args: its arguments.
            out: where both its streams go.
            env: its environment, complete.
            fds: the largest file in bytes that it may write (RLIMIT_FSIZE); None sets no limit.
        """
        ready, answer = threading.Event(), []
        with self._lock:
            self._next += 1
            number = self._next
            self._started[number] = (ready, answer)
            order = {
                "n": number,
                "what": what,
                "args": list(args),
                "out": str(out),
                "env": dict(env or {}),
                "fsize": fds,
            }
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps(order) + "\n")
        assert ready.wait(60), "the zygote does not answer"
        assert answer, "the zygote is gone"
        child: Child = answer[0]
        return child

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            event = json.loads(line)
            if "ended" in event:
                self._children.pop(event["ended"]).ended(event["code"])
                continue
            ready, answer = self._started.pop(event["n"])
            child = Child(event["pid"], Path(event["out"]))
            self._children[child.pid] = child
            answer.append(child)
            ready.set()
        # It is gone, and with it all of them: nobody waits for what cannot come.
        for child in list(self._children.values()):
            child.ended(-signal.SIGKILL)
        for ready, _ in list(self._started.values()):
            ready.set()


def main() -> None:
    """Fork on demand, and say how each child ended."""
    for name in PRELOADED:
        __import__(name)
    _without_report()
    wake, bell = os.pipe()
    os.set_blocking(bell, False)
    signal.set_wakeup_fd(bell)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    buffer = b""
    while True:
        ready, _, _ = select.select([0, wake], [], [])
        if wake in ready:
            os.read(wake, 4096)
            _reap()
        if 0 in ready:
            read = os.read(0, 65536)
            if not read:
                # Whoever asked for them is gone, perhaps killed: nothing is left behind.
                for pid in _living:
                    os.kill(pid, signal.SIGKILL)
                return
            *lines, buffer = (buffer + read).split(b"\n")
            for line in lines:
                _fork(json.loads(line), (wake, bell))


def _without_report() -> None:
    """Leave out the report that ends a run: it comes after the verdict, and takes longer than the run itself."""
    from rollout import report

    report.built = lambda *_args, **_kw: "report: left out in the torture test"
    report.is_installed = lambda *_args: True


def _say(**event: Any) -> None:
    os.write(1, json.dumps(event).encode() + b"\n")


_living: set[int] = set()


def _reap() -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            return
        _living.discard(pid)
        _say(ended=pid, code=os.waitstatus_to_exitcode(status))


def _fork(order: dict[str, Any], own: Sequence[int]) -> None:
    pid = os.fork()
    if pid:
        _living.add(pid)
        _say(n=order["n"], pid=pid, out=order["out"])
        return
    code = 70
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for fd in own:
            os.close(fd)
        code = _become(order)
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else 1
    except BaseException:  # noqa: BLE001 - a child must never come back as a second zygote
        traceback.print_exc()
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code)


def _become(order: dict[str, Any]) -> int:
    out = os.open(order["out"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    null = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((null, 0), (out, 1), (out, 2)):
        os.dup2(source, target)
    os.setpgid(0, 0)
    os.environ.clear()
    os.environ.update(order["env"])
    time.tzset()
    if order["fsize"] is not None:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (order["fsize"], order["fsize"]))
    return _WORK[order["what"]](order["args"])


def _pytest(args: list[str]) -> int:
    from _pytest.config import _console_main

    sys.argv = ["pytest", *args]
    return int(_console_main())


def _rollout(args: list[str]) -> int:
    from rollout.cli import main as command

    return command(args)


def _sandbox(args: list[str]) -> int:
    from rollout.sandbox.server import Options, serve
    from rollout.sandbox.settings import SandboxSettings

    folder, port, settings = args
    Path(folder).mkdir(parents=True, exist_ok=True)
    serve(
        Options(
            Path(folder), int(port), SandboxSettings.from_mapping(json.loads(settings)), instance=os.urandom(8).hex()
        ),
        lambda _about: None,
    )
    return 0


_WORK = {"pytest": _pytest, "rollout": _rollout, "sandbox": _sandbox}

if __name__ == "__main__":
    main()
