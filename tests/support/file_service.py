"""A small service behind a file, in a process of its own: it reads its provider at its start and on SIGHUP.

    python tests/support/file_service.py start FOLDER    # also: stop, reload, run

FOLDER holds ``service.json`` (`Plan`) and what the service keeps: its process id, its log, ``loaded.jsonl`` with every
provider that took effect, ``requests.jsonl`` with every request, and ``faults.json`` (`Faults`), which is read at each
request. A test judges by these files, which no driver reads or writes.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
import tomllib
from dataclasses import asdict, dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

WITHIN_S = 20.0
HANG_S = 5.0
PROVIDERS = ("ollama", "openai", "vllm")
BUCKETS_S = (0.05, 0.25, 1.0, 2.5)


@dataclass(frozen=True)
class Plan:
    """What the service is started with.

    Attributes:
        file: the file with its provider.
        port: on 127.0.0.1.
        keys: the dotted keys of provider and model.
        ignores_signal: whether it is of a kind that reads its file at its start only.
    """

    file: str
    port: int
    keys: tuple[str, str]
    ignores_signal: bool = False


@dataclass(frozen=True)
class Faults:
    """How the service is broken.

    Attributes:
        hang: no request is answered.
        garbage: reads answer a text that is no JSON.
        offline: providers that cannot be reached.
        failing: providers whose completions fail.
        failing_users: providers whose completions fail for users, and not for the suite.
        impostor: the provider that answers in place of the active one.
    """

    hang: bool = False
    garbage: bool = False
    offline: list[str] = field(default_factory=list)
    failing: list[str] = field(default_factory=list)
    failing_users: list[str] = field(default_factory=list)
    impostor: str = ""


def read_file(plan: Plan) -> dict[str, str]:
    """Return provider and model of the file, by the formats' own libraries."""
    path = Path(plan.file)
    if ".env" in path.name:
        from dotenv import dotenv_values

        found: Any = dotenv_values(path)
        named = [found[key] for key in plan.keys]
    else:
        import yaml

        load = {".json": json.loads, ".toml": tomllib.loads}.get(path.suffix, yaml.safe_load)
        named = [_at(load(path.read_text(encoding="utf-8")), key) for key in plan.keys]
    return dict(zip(("provider", "model"), named, strict=True))


def _at(document: Any, key: str) -> str:
    for name in key.split("."):
        document = document[name]
    return str(document)


class Service:
    """The running service."""

    def __init__(self, folder: Path, plan: Plan) -> None:
        self.folder, self.plan, self.lock = folder, plan, threading.Lock()
        # A counter that is born with its first failure cannot be told from a wrong name.
        self.counted = {(provider, status): 0 for provider in PROVIDERS for status in ("ok", "error")}
        self.took: dict[str, list[float]] = {}
        self.active = read_file(plan)
        self.note("loaded.jsonl", {"why": "start", **self.active})

    def note(self, name: str, entry: dict[str, Any]) -> None:
        """Append a line to one of the files that a test judges by."""
        with self.lock, (self.folder / name).open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")

    def reload(self, *_: Any) -> None:
        """Read the file again; one that cannot be read changes nothing."""
        with contextlib.suppress(Exception):
            self.active = read_file(self.plan)
        self.note("loaded.jsonl", {"why": "SIGHUP", **self.active})

    def faults(self) -> Faults:
        """Return how it is broken now."""
        path = self.folder / "faults.json"
        return Faults(**json.loads(path.read_text(encoding="utf-8"))) if path.exists() else Faults()

    def complete(self, faults: Faults, *, is_synthetic: bool) -> tuple[int, dict[str, Any]]:
        """Return the answer of the active provider to a completion, and count it."""
        began, active = time.monotonic(), dict(self.active)
        failing = (*faults.failing, *faults.offline, *(() if is_synthetic else faults.failing_users))
        is_failing = active["provider"] in failing
        with self.lock:
            where = active["provider"], "error" if is_failing else "ok"
            self.counted[where] += 1
            self.took.setdefault(active["provider"], []).append(time.monotonic() - began)
        if is_failing:
            return 503, {"error": {"message": f"{active['provider']} is overloaded"}}
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "pong"}}
        named = {**active, "provider": faults.impostor} if faults.impostor else active
        return 200, {"object": "chat.completion", **named, "choices": [choice], "usage": {"total_tokens": 3}}

    def metrics(self) -> str:
        """Return the counters in the text format of Prometheus."""
        lines = ["# TYPE llm_requests_total counter"]
        with self.lock:
            for (provider, status), count in self.counted.items():
                lines.append(f'llm_requests_total{{provider="{provider}",status="{status}"}} {count}')
            lines.append("# TYPE llm_latency_seconds histogram")
            for provider, took in self.took.items():
                for bound in (*BUCKETS_S, float("inf")):
                    at_most = sum(each <= bound for each in took)
                    shown = "+Inf" if bound == float("inf") else f"{bound:g}"
                    lines.append(f'llm_latency_seconds_bucket{{provider="{provider}",le="{shown}"}} {at_most}')
                lines.append(f'llm_latency_seconds_count{{provider="{provider}"}} {len(took)}')
                lines.append(f'llm_latency_seconds_sum{{provider="{provider}"}} {sum(took):g}')
        return "\n".join(lines) + "\n"

    def answer(self, method: str, path: str, *, is_synthetic: bool) -> tuple[int, Any]:
        """Return status and body of a request."""
        faults = self.faults()
        if faults.hang:
            time.sleep(HANG_S)
        if faults.garbage:
            return 200, "<html>an error page</html>"
        if path.startswith("/reach/"):
            is_offline = path.removeprefix("/reach/") in faults.offline
            return (503, {"detail": "unreachable"}) if is_offline else (200, {"status": "ok"})
        answers = {
            ("GET", "/healthz"): lambda: (200, {"status": "ok"}),
            ("GET", "/status"): lambda: (200, {"active": self.active, "pid": os.getpid()}),
            ("GET", "/v1/models"): lambda: (200, {"object": "list", "data": [{"id": self.active["model"]}]}),
            ("GET", "/metrics"): lambda: (200, self.metrics()),
            ("POST", "/v1/chat/completions"): lambda: self.complete(faults, is_synthetic=is_synthetic),
        }
        return answers.get((method, path), lambda: (404, {"detail": "not found"}))()


def handler_of(service: Service) -> type[BaseHTTPRequestHandler]:
    """Return the handler of the service's requests."""

    class Handler(BaseHTTPRequestHandler):
        def _do(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            is_synthetic = "X-Synthetic" in self.headers
            status, body = service.answer(self.command, self.path, is_synthetic=is_synthetic)
            seen = {"path": self.path, "status": status, "provider": service.active["provider"]}
            service.note("requests.jsonl", seen | {"synthetic": is_synthetic})
            content = (body if isinstance(body, str) else json.dumps(body)).encode()
            kind = "text/plain; version=0.0.4" if self.path == "/metrics" else "application/json"
            with contextlib.suppress(OSError):  # a caller that hangs up
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(content)))
                self.send_header("X-Served-By", service.active["provider"])
                self.end_headers()
                self.wfile.write(content)

        do_GET = do_POST = _do  # noqa: N815 - the names that http.server calls

        def log_message(self, *_: Any) -> None:
            pass

    return Handler


class Folder:
    """The service's folder, from outside: starts and stops it, and reads what it keeps."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def plan(self) -> Plan:
        """What it is started with."""
        said = json.loads((self.path / "service.json").read_text(encoding="utf-8"))
        return Plan(**{**said, "keys": tuple(said["keys"])})

    def prepare(self, plan: Plan) -> None:
        """Write what it is started with."""
        self.path.mkdir(parents=True, exist_ok=True)
        (self.path / "service.json").write_text(json.dumps(asdict(plan)), encoding="utf-8")

    def lines(self, name: str) -> list[dict[str, Any]]:
        """Return the entries of ``loaded.jsonl`` or ``requests.jsonl``."""
        path = self.path / name
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []

    def set_faults(self, **faults: Any) -> None:
        """Break it so, or not at all."""
        beside = self.path / "faults.new"
        beside.write_text(json.dumps(faults), encoding="utf-8")
        beside.replace(self.path / "faults.json")

    def command(self, action: str) -> list[str]:
        """Return the command of an action: start, stop or reload."""
        return [sys.executable, str(Path(__file__).resolve()), action, str(self.path)]

    def pid(self) -> int | None:
        """Return the process id of the service that runs; None where none does."""
        with contextlib.suppress(OSError, ValueError):
            pid = int((self.path / "service.pid").read_text(encoding="utf-8"))
            status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
            return pid if status.rpartition(")")[2].split()[0] != "Z" else None
        return None

    def start(self) -> None:
        """Start it, and return once it answers."""
        if self.pid() is not None:
            raise SystemExit("it runs already")
        with (self.path / "service.log").open("ab") as log:
            child = subprocess.Popen(
                self.command("run"), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        self._await(lambda: child.poll() is not None or self.answers(), "it does not answer")
        if child.poll() is not None:
            raise SystemExit(f"it ended with {child.returncode}: {(self.path / 'service.log').read_text()[-300:]}")
        child.returncode = 0  # it outlives this process

    def stop(self) -> None:
        """End it, by its own process id."""
        pid = self.pid()
        if pid is not None:
            os.kill(pid, signal.SIGTERM)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)
            self._await(lambda: self.pid() is None, "it does not end")

    def reload(self) -> None:
        """Send SIGHUP, and return once the file has been read."""
        before, pid = len(self.lines("loaded.jsonl")), self.pid()
        if pid is None:
            raise SystemExit("it does not run")
        os.kill(pid, signal.SIGHUP)
        self._await(lambda: len(self.lines("loaded.jsonl")) > before, "it does not read its file")

    def answers(self) -> bool:
        """Return whether something listens."""
        connection = http.client.HTTPConnection("127.0.0.1", self.plan.port, timeout=1.0)
        try:
            connection.connect()
        except OSError:
            return False
        finally:
            connection.close()
        return True

    def run(self) -> None:
        """Be the service."""
        service = Service(self.path, self.plan)
        signal.signal(signal.SIGHUP, signal.SIG_IGN if self.plan.ignores_signal else service.reload)
        signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
        server = ThreadingHTTPServer(("127.0.0.1", self.plan.port), handler_of(service))
        server.daemon_threads = True
        (self.path / "service.pid").write_text(str(os.getpid()), encoding="utf-8")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        while True:
            signal.pause()

    def _await(self, condition: Any, what: str) -> None:
        until = time.monotonic() + WITHIN_S
        while not condition():
            if time.monotonic() > until:
                raise SystemExit(f"{what} within {WITHIN_S:g} s")
            time.sleep(0.02)


if __name__ == "__main__":
    getattr(Folder(Path(sys.argv[2])), sys.argv[1])()
