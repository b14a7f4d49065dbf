"""A gateway of forty lines: it remembers one active provider, and which connection each request came by."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


class _QuietServer(ThreadingHTTPServer):
    """A client that hangs up while it is answered is no failure, and prints nothing into the next test's output."""

    def handle_error(self, *_: object) -> None:
        """Print nothing."""


class Stub:
    """Serves `answers`, ``(method, path) -> (status, JSON)``, on loopback; anything else is 404.

    Attributes:
        answers: may be changed while it runs; ``POST …/activate`` is built in and changes `active`.
        active: the provider and model that were activated last.
        seen: per request ``(method, path, headers, body, client port)``; the same port is the same connection.
    """

    def __init__(self, answers: dict[tuple[str, str], tuple[int, Any]] | None = None) -> None:
        """Bind a free port."""
        self.answers = answers or {}
        self.active = ("ollama", "gemma3:4b")
        self.seen: list[tuple[str, str, dict[str, str], bytes, int]] = []
        self._server = _QuietServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        """Serve."""
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        """Return status and JSON for one request."""
        if method == "POST" and path.endswith("/activate"):
            self.active = (path.split("/")[-2], json.loads(body)["model"])
            return 200, {"status": "success", "message": "ok", "provider": self.active[0], "model": self.active[1]}
        return self.answers.get((method, path.partition("?")[0]), (404, {"detail": "Not Found"}))

    def _handler(stub) -> type[BaseHTTPRequestHandler]:  # noqa: N805 - `self` is the handler's below
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def serve(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                headers = {name.lower(): value for name, value in self.headers.items()}
                stub.seen.append((self.command, self.path, headers, body, self.client_address[1]))
                status, document = stub.answer(self.command, self.path, body)
                answer = json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            do_GET = do_POST = serve  # noqa: N815 - http.server's names

            def log_message(self, *_: object) -> None:
                """Stay silent."""

        return Handler
