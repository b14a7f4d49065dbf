"""``rollout serve``: a page on this machine with the windows in flight, live."""

from __future__ import annotations

import argparse
import os
import socket
from contextlib import suppress

from rollout.config.project import journal_in
from rollout.core.clock import SystemClock
from rollout.core.errors import RolloutError
from rollout.core.redaction import knowing
from rollout.journal.journal import Journal
from rollout.serve.application import build_application
from rollout.serve.board import Board

HOST = "127.0.0.1"
_SHUTDOWN_S = 1
"""An open page does not keep the server alive for longer."""


def run(args: argparse.Namespace) -> int:
    """Serve the page until Ctrl-C, and return 0.

    Raises:
        RolloutError: there is no journal, or the port is taken.
    """
    import uvicorn  # noqa: PLC0415 - heavy; a mistake in the options is named before it

    url = args.journal or journal_in(args.reports)
    with (
        Journal.open(url, clock=SystemClock(), redact=knowing(os.environ).value, create=False) as journal,
        _listen(args.port) as listener,
    ):
        server: uvicorn.Server
        application = build_application(Board(journal), args.reports, lambda: server.should_exit)
        config = uvicorn.Config(
            application, log_level="error", access_log=False, timeout_graceful_shutdown=_SHUTDOWN_S, lifespan="off"
        )
        server = uvicorn.Server(config)
        port = listener.getsockname()[1]
        print(f"the page is http://{HOST}:{port}/ until Ctrl-C; it reads the journal, and changes nothing", flush=True)
        # uvicorn raises the signal again after a clean end.
        with suppress(KeyboardInterrupt):
            server.run(sockets=[listener])
    return 0


def _listen(port: int) -> socket.socket:
    # With the protocol TCP, because asyncio leaves Nagle's delay on without it.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        # A browser that comes before the server is ready waits for it.
        listener.listen()
    except (OSError, OverflowError) as error:
        listener.close()
        why = getattr(error, "strerror", None) or error
        raise RolloutError(
            f"--port: {port} cannot be used on {HOST} ({why}); end what listens there, or leave the option out"
        ) from None
    return listener
