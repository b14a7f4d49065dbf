"""A process that has everything imported already, and forks: most of what a run costs is its start.

    child = server().start("pytest", ["--reports=…"], out=file, env={…})  # python -m pytest --reports=… >file 2>&1
    child.wait(90)

A child is a process like any other, with a pid, signals and an exit code of its own, that runs a module as
``python -m`` does, from the project's root or from another folder: only the imports before it are spared, and, unless
it is asked for, the page of the report, which costs as much as the run. What is tested of a process's start needs a
real one.

The watchdog of a run is forked, too: its start costs as much as the run, and each run that applies has one.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import resource
import runpy
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import is_dataclass
from functools import cache, cached_property, partial
from importlib import metadata
from pathlib import Path
from typing import Any, NoReturn, Self

from setproctitle import setproctitle

ROOT = Path(__file__).parents[2]
_PRELOADED = (
    "_pytest._argcomplete",
    "_pytest.faulthandler",
    "_pytest.helpconfig",
    "_pytest.junitxml",
    "_pytest.pastebin",
    "_pytest.setuponly",
    "_pytest.setupplan",
    "_pytest.skipping",
    "_pytest.terminalprogress",
    "_pytest.threadexception",
    "_pytest.tracemalloc",
    "_pytest.unittest",
    "_pytest.unraisableexception",
    "_pytest.warnings",
    "allure_commons",
    "allure_pytest.plugin",
    "anyio._backends._asyncio",
    "anyio.streams.tls",
    "apprise",
    "doctest",
    "encodings.idna",
    "encodings.utf_8_sig",
    "execnet",
    "execnet.gateway_bootstrap",
    "execnet.rsync_remote",
    "faulthandler",
    "httpcore",
    "httpx",
    "jinja2.bccache",
    "jinja2.ext",
    "packaging.version",
    "pdb",
    "pydantic.dataclasses",
    "pytest",
    "pytest_timeout",
    "readline",
    "rich.live",
    "rollout.approvals.tickets",
    "rollout.cli.main",
    "rollout.config",
    "rollout.engine.decision",
    "rollout.engine.evidence_check",
    "rollout.engine.recovery",
    "rollout.engine.session",
    "rollout.engine.traffic",
    "rollout.engine.verification",
    "rollout.engine.watchdog",
    "rollout.gateway.drivers.documented_reads",
    "rollout.monitoring.aggregates",
    "rollout.monitoring.canary",
    "rollout.monitoring.live_view",
    "rollout.monitoring.window",
    "rollout.plugin.entry_point",
    "rollout.plugin.fixtures",
    "rollout.plugin.hooks",
    "rollout.plugin.live_window",
    "rollout.plugin.markers",
    "rollout.plugin.rollout_run",
    "rollout.plugin.session_start",
    "rollout.reporting.html.allure_generator",
    "rollout.reporting.html.assembly",
    "rollout.sandbox.server",
    "sqlalchemy.dialects.sqlite",
    "tomllib",
    "unittest",
    "uvicorn.lifespan.on",
    "uvicorn.protocols.http.h11_impl",
    "xdist.looponfail",
    "xdist.newhooks",
    "xdist.plugin",
)
_PLUGINS = (
    "allure_pytest",
    "anyio",
    "pytest_timeout",
    "rollout",
    "rollout.plugin.fixtures",
    "rollout.plugin.hooks",
    "xdist",
)
# `rollout recover` recognises a running run by the name on its command line.
_NAMES = ("pytest", "rollout")
_CODE = struct.Struct("i")
_MOST = 1 << 20


class Child(ABC):
    """A process that a test has begun.

    Attributes:
        pid: its id.
        out: the file that holds what it printed.
    """

    pid: int
    out: Path

    @property
    def code(self) -> int | None:
        """Its exit code, the negative signal that ended it, None while it lives."""
        return self._ended(0)

    @property
    def text(self) -> str:
        """What it printed so far."""
        return self.out.read_text(encoding="utf-8", errors="replace")

    def wait(self, within_s: float) -> int:
        """Return its exit code; fail, and end it, when it does not end in time."""
        code = self._ended(within_s)
        if code is None:
            self.kill()
            raise AssertionError(f"process {self.pid} did not end within {within_s:g} s:\n{self.text}")
        return code

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send it a signal, if it lives."""
        if self.code is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    @abstractmethod
    def _ended(self, within_s: float) -> int | None: ...


class Forked(Child):
    """One whose parent is the server, which says how it ended."""

    def __init__(self, pid: int, out: Path, line: socket.socket) -> None:
        """It has just begun; `line` is the socket that its exit code comes on."""
        self.pid, self.out, self._line = pid, out, line
        self._code: int | None = None

    def _ended(self, within_s: float) -> int | None:
        if self._code is None:
            waiting = select.poll()
            waiting.register(self._line, select.POLLIN)
            if waiting.poll(within_s * 1000):
                # Looked at and left there: another thread may wait for it too. Nothing: it went with the server.
                code = self._line.recv(_CODE.size, socket.MSG_PEEK)
                self._code = _CODE.unpack(code)[0] if code else -signal.SIGKILL
        return self._code

    def __del__(self) -> None:
        """Let go of the line to the server."""
        self._line.close()


class Started(Child):
    """One that was started from nothing, as people start it."""

    def __init__(
        self, module: str, args: Sequence[str], *, out: Path, env: Mapping[str, str], cwd: Path = ROOT
    ) -> None:
        """Start ``python -m MODULE ARGS``."""
        self.out = out
        command = (sys.executable, "-m", module, *args)
        with out.open("ab") as file:
            self._popen = subprocess.Popen(
                command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=file, stderr=file
            )
        self.pid = self._popen.pid

    def _ended(self, within_s: float) -> int | None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._popen.wait(within_s)
        return None


class Server:
    """The parent of all of them, in a process of its own; safe to share between threads."""

    def __init__(self) -> None:
        """Start it; the imports are done when the first child was asked for."""
        self._line, its = socket.socketpair()
        self._lock = threading.Lock()
        command = (sys.executable, "-m", "tests.support.forks", str(its.fileno()), *_NAMES)
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, pass_fds=(its.fileno(),))
        its.close()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """End it, and every child that is left."""
        self._line.close()
        self._process.wait(10)

    def start(
        self,
        module: str,
        args: Sequence[str],
        *,
        out: Path,
        env: Mapping[str, str],
        cwd: Path = ROOT,
        session: bool = False,
        report: bool = False,
        real_watchdog: bool = False,
        file_bytes: int | None = None,
    ) -> Forked:
        """Fork a child that does what ``python -m MODULE ARGS`` does.

        Args:
            module: what it runs.
            args: its arguments.
            out: where both its streams go; its input is the null device.
            env: its environment, complete.
            cwd: the folder that it runs in.
            session: it leads a session of its own.
            report: a run builds its report as it always does.
            real_watchdog: a run starts its watchdog from nothing, as it always does.
            file_bytes: the largest file that it may write (RLIMIT_FSIZE); None sets no limit.
        """
        order = {
            "module": module,
            "args": list(args),
            "env": dict(env),
            "cwd": str(cwd),
            "session": session,
            "report": report,
            "real_watchdog": real_watchdog,
            "file_bytes": file_bytes,
        }
        line, its = socket.socketpair()
        with out.open("ab") as output, its, self._lock:
            socket.send_fds(self._line, [json.dumps(order).encode() + b"\n"], [output.fileno(), its.fileno()])
            its.close()
            pid = line.recv(_CODE.size)
        assert pid, "the server that forks is gone"
        return Forked(_CODE.unpack(pid)[0], out, line)


@cache
def server() -> Server:
    """Return this process's server, which ends with it."""
    made = Server()
    atexit.register(made.__exit__)
    return made


def main() -> None:
    """Fork on demand, and say how each child ended; a child leaves the loop, and is then a process like any other."""
    line = socket.socket(fileno=int(sys.argv[1]))
    for name in _PRELOADED:
        __import__(name)
    # They belong to plugins, and pytest would warn that their assertions cannot be rewritten any more.
    for name in _PLUGINS:
        sys.modules[name].__doc__ = "PYTEST_DONT_REWRITE"
    # httpcore looks for it at each request; a failed search of the whole path takes longer than the request.
    sys.modules.setdefault("sniffio", None)  # type: ignore[arg-type]
    from rollout.plugin import gc_tuning

    _build_once()
    _read_installed_packages()
    # pytest keeps the rewritten checks for the next run, also where the environment asks it not to.
    sys.dont_write_bytecode = False
    gc_tuning.is_over()
    loop = _Loop(line)
    order = loop.run()
    if order is not None:
        _become(order, loop.asking)


def _build_once() -> None:
    """Build what the first run of a process builds, and each run of its own would build again."""
    from rollout.core import policy, request, scenario, target
    from rollout.core.schemas import base
    from rollout.gateway import documents, responses, shapes
    from rollout.reporting import rendering

    request._adapter()
    for kind in (policy.Policy, target.Target, scenario.ProviderChange, scenario.Monitor, scenario.Scenario):
        base._adapter(kind)
    of_gateway = (responses.Providers, responses.RuntimeConfig, responses.Governance)
    for kind in (*of_gateway, *(each for each in vars(shapes).values() if is_dataclass(each))):
        documents.adapter_of(kind)
    templates = rendering._environment()
    for name in templates.list_templates():
        templates.get_template(name)


class _Installed(metadata.PathDistribution):
    """An installed package, whose files are read once: pytest looks for plugins in every package at each start."""

    @cached_property
    def entry_points(self) -> metadata.EntryPoints:
        return super().entry_points

    @cached_property
    def files(self) -> Any:
        return super().files


def _read_installed_packages() -> None:
    installed = [_Installed(each._path) for each in metadata.distributions()]
    for each in installed:
        if any(point.group == "pytest11" for point in each.entry_points):
            list(each.files or ())
    metadata.distributions = lambda: iter(installed)


class _Loop:
    def __init__(self, line: socket.socket) -> None:
        self.line, self.buffer = line, b""
        self.children: dict[int, socket.socket] = {}
        # What a child asks for: each message comes as a whole, from whichever child.
        self.asked, self.asking = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.wake, self.bell = socket.socketpair()
        self.bell.settimeout(0)
        signal.set_wakeup_fd(self.bell.fileno())
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def run(self) -> dict[str, Any] | None:
        """Return the order in a child; in the parent None, once no client is left."""
        while True:
            ready, _, _ = select.select([self.line, self.wake, self.asked], [], [])
            if self.wake in ready:
                self.wake.recv(4096)
                self.reap()
            if self.asked in ready:
                order, fds, _, _ = socket.recv_fds(self.asked, _MOST, 4)
                if self.fork(*fds):
                    return dict(json.loads(order))
            if self.line in ready:
                asked, fds, _, _ = socket.recv_fds(self.line, _MOST, 2)
                if not asked:
                    # The client is gone, perhaps killed: no child is left behind.
                    for pid in self.children:
                        os.kill(pid, signal.SIGKILL)
                    return None
                while not asked.endswith(b"\n"):
                    asked += self.line.recv(_MOST)
                if self.fork(*fds):
                    return dict(json.loads(asked))

    def fork(self, err: int, line: int, *streams: int) -> bool:
        """Fork; return whether this is the child.

        Args:
            err: its standard error; its output, too, unless `streams` are given.
            line: the socket that its pid and its exit code are sent on.
            streams: its input and its output; without them the input is the null device.
        """
        pid = os.fork()
        if pid:
            for each in (err, *streams):
                os.close(each)
            self.children[pid] = socket.socket(fileno=line)
            self.children[pid].sendall(_CODE.pack(pid))
            return False
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for each in (self.line, self.wake, self.bell, self.asked, *self.children.values()):
            each.close()
        os.close(line)
        null = os.open(os.devnull, os.O_RDONLY)
        for source, target in zip((*(streams or (null, err)), err), (0, 1, 2), strict=True):
            os.dup2(source, target)
        for each in {err, null, *streams}:
            os.close(each)
        return True

    def reap(self) -> None:
        while self.children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            # The client may be gone.
            with self.children.pop(pid) as line, contextlib.suppress(OSError):
                line.sendall(_CODE.pack(os.waitstatus_to_exitcode(status)))


def _leave_out_the_page() -> None:
    """Let everything be written but the page and its pictures, and by this process."""
    from rollout.engine import late_report
    from rollout.reporting.html import allure_generator, assembly, report_process

    def left_out(*_: object) -> None:
        raise allure_generator.GeneratorMissing("no test reads it: this run was forked")

    assembly._write_page = allure_generator.generate = left_out
    late_report.start = _start_nothing
    report_process.build_in_own_process = _build_here


def _build_here(
    journal_url: str, rollout: str, folder: Path, results: Mapping[str, Path], env: Mapping[str, str]
) -> tuple[str, str]:
    from rollout.core.clock import SystemClock
    from rollout.journal.journal import Journal
    from rollout.reporting.html.assembly import built

    with Journal.open(journal_url, clock=SystemClock(), create=False) as journal:
        return built(journal, rollout, folder, env, results)


def _start_nothing(*_: object) -> bool:
    """Start no process that builds a report: an emergency writes the page over all rollouts itself."""
    return False


class _ForkedWatchdog:
    """A watchdog that the server has forked, with what `rollout.engine.watchdog` uses of a `subprocess.Popen`."""

    def __init__(self, asking: socket.socket, log: Path) -> None:
        from rollout.engine import watchdog

        soft, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
        order = {
            "module": "rollout.engine.watchdog",
            "args": [],
            "env": watchdog._environment(os.environ),
            "cwd": str(Path.cwd()),
            "session": True,
            "report": False,
            "real_watchdog": True,
            "file_bytes": None if soft == resource.RLIM_INFINITY else soft,
        }
        (its_in, to_it), (from_it, its_out) = os.pipe(), os.pipe()
        self._line, its = socket.socketpair()
        with log.open("ab") as errors, its:
            fds = [errors.fileno(), its.fileno(), its_in, its_out]
            socket.send_fds(asking, [json.dumps(order).encode()], fds)
        os.close(its_in)
        os.close(its_out)
        (self.pid,) = _CODE.unpack(self._line.recv(_CODE.size))
        self.stdin, self.stdout = os.fdopen(to_it, "wb"), os.fdopen(from_it, "rb")

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)

    def wait(self) -> int:
        return int(_CODE.unpack(self._line.recv(_CODE.size))[0])


def _become(order: Mapping[str, Any], asking: socket.socket) -> None:
    if order["session"]:
        os.setsid()
    if order["module"] == "rollout.engine.watchdog":
        # `rollout recover` and the tests know a watchdog by it. It is found beside the environment as it was.
        setproctitle("python -m rollout.engine.watchdog")
    os.environ.clear()
    os.environ.update(order["env"])
    os.chdir(order["cwd"])
    _set_search_path(order["cwd"], order["env"].get("PYTHONPATH", ""))
    time.tzset()
    if order["file_bytes"] is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (order["file_bytes"], order["file_bytes"]))
    if not order["report"]:
        _leave_out_the_page()
    if not order["real_watchdog"]:
        from rollout.engine import watchdog

        watchdog._start = partial(_ForkedWatchdog, asking)
    sys.argv = [order["module"], *order["args"]]
    try:
        runpy.run_module(order["module"], run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        if not isinstance(ended.code, int | None):
            raise
        _end(ended.code or 0)
    _end(0)


def _set_search_path(cwd: str, more: str) -> None:
    """Search modules and installed packages where ``python -m`` does; what is preloaded has been found already."""
    sys.path[0] = cwd
    if more:
        sys.path[1:1] = more.split(os.pathsep)
        metadata.distributions = metadata.Distribution.discover


def _end(code: int) -> NoReturn:
    """End as an interpreter does, except that its modules are not taken apart.

    That touches each page of memory that is shared with the server, and takes as long as a fifth of a precheck.
    """
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
