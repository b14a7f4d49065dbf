"""Real Prometheus and Alertmanager servers from Debian's packages, on loopback, each in a folder of its own.

with PrometheusServer(folder) as prometheus:
    prometheus.scrape(gateway="127.0.0.1:8000")
    prometheus.until('up == 1')
"""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

import httpx

from tests.support.runs import eventually

SCRAPES_EVERY = "200ms"


def missing(program: str) -> str | None:
    """Return what this machine lacks to run the program, in words; None if nothing."""
    return None if shutil.which(program) else f"the server is not installed: apt-get install {program}"


class Server:
    """A server with a web interface on a free port; ended by its own process id."""

    program = ""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.http = httpx.Client(base_url=self.url, timeout=10, trust_env=False)
        self._child: subprocess.Popen[bytes] | None = None

    def options(self) -> list[str]:
        """Return the program's own options."""
        raise NotImplementedError

    def start(self) -> None:
        """Start it, and return as soon as it is ready."""
        log = self.folder / "log"
        with log.open("ab") as out:
            self._child = subprocess.Popen(
                [self.program, f"--web.listen-address=127.0.0.1:{self.port}", *self.options()],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )
        eventually(self._ready, f"{self.program} is ready\n{log.read_text()}")

    def stop(self) -> None:
        """End it."""
        if self._child is not None and self._child.poll() is None:
            self._child.send_signal(signal.SIGTERM)
            self._child.wait(timeout=30)

    def __enter__(self) -> Self:
        """Start it."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End it and close its client."""
        self.stop()
        self.http.close()

    def _ready(self) -> bool:
        assert self._child is not None
        assert self._child.poll() is None, (self.folder / "log").read_text()
        try:
            return self.http.get("/-/ready").status_code == 200
        except httpx.TransportError:
            return False


class PrometheusServer(Server):
    """A Prometheus."""

    program = "prometheus"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._configure({})

    def options(self) -> list[str]:
        """Return where its files are, and that it may be told to read its configuration again."""
        return ["--config.file=prometheus.yml", "--storage.tsdb.path=data", "--web.enable-lifecycle"]

    def scrape(self, **jobs: str) -> None:
        """Scrape these, job -> host:port, and nothing else; return when each was scraped."""
        self._configure(jobs)
        self.http.post("/-/reload").raise_for_status()
        for job in jobs:
            self.until(f'up{{job="{job}"}} == 1')

    def query(self, promql: str) -> list[dict[str, Any]]:
        """Return an instant vector."""
        return self.http.get("/api/v1/query", params={"query": promql}).json()["data"]["result"]

    def value(self, promql: str) -> float | None:
        """Return the value of the one series that there is, None if there is none."""
        found = self.query(promql)
        return float(found[0]["value"][1]) if found else None

    def until(self, promql: str) -> None:
        """Return when the expression has a result."""
        eventually(lambda: self.query(promql), promql)

    def _configure(self, jobs: dict[str, str]) -> None:
        scrapes = [
            {"job_name": job, "static_configs": [{"targets": [address]}], "metrics_path": "/metrics"}
            for job, address in jobs.items()
        ]
        content = {"global": {"scrape_interval": SCRAPES_EVERY, "scrape_timeout": SCRAPES_EVERY}}
        # JSON is YAML.
        file = self.folder / "prometheus.yml"
        file.write_text(json.dumps({**content, "scrape_configs": scrapes}), encoding="utf-8")


class AlertmanagerServer(Server):
    """An Alertmanager without a receiver."""

    program = "prometheus-alertmanager"

    def options(self) -> list[str]:
        """Return where its files are; a cluster of one needs no gossip."""
        (self.folder / "alertmanager.yml").write_text("route: {receiver: none}\nreceivers: [{name: none}]\n")
        return ["--config.file=alertmanager.yml", "--storage.path=data", "--cluster.listen-address="]

    def fire(self, alertname: str, *, until: str = "2100-01-01T00:00:00Z", **labels: str) -> None:
        """Let an alert fire, as Prometheus would; return when it is listed."""
        alert = {
            "labels": {"alertname": alertname, **labels},
            "annotations": {"summary": f"{alertname} by hand", "description": "too much of it"},
            "endsAt": until,
        }
        self.http.post("/api/v2/alerts", json=[alert]).raise_for_status()
        eventually(lambda: self.names() >= {alertname}, f"{alertname} is listed")

    def resolve(self, alertname: str, **labels: str) -> None:
        """Let it be over; return when it is no longer listed."""
        alert = {"labels": {"alertname": alertname, **labels}, "endsAt": "2020-01-01T00:00:00Z",
                 "startsAt": "2019-01-01T00:00:00Z"}  # fmt: skip
        self.http.post("/api/v2/alerts", json=[alert]).raise_for_status()
        eventually(lambda: alertname not in self.names(), f"{alertname} is over")

    def silence(self, alertname: str) -> None:
        """Silence an alert; return when it is."""
        body = {
            "matchers": [{"name": "alertname", "value": alertname, "isRegex": False, "isEqual": True}],
            "startsAt": "2020-01-01T00:00:00Z",
            "endsAt": "2100-01-01T00:00:00Z",
            "createdBy": "tests",
            "comment": "known",
        }
        self.http.post("/api/v2/silences", json=body).raise_for_status()
        eventually(lambda: alertname not in self.names(silenced="false"), f"{alertname} is silenced")

    def names(self, **query: str) -> set[str]:
        """Return the names of the alerts that are listed."""
        return {each["labels"]["alertname"] for each in self.http.get("/api/v2/alerts", params=query).json()}


class Exporter:
    """Serves on ``/metrics`` what `lines` says: series -> value, written as in Prometheus' text format."""

    def __init__(self) -> None:
        self.lines: dict[str, float | str] = {}
        self.fails = False
        exporter = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = "".join(f"{series} {value}\n" for series, value in exporter.lines.items()).encode()
                self.send_response(500 if exporter.fails else 200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
