"""The other end of a channel, on loopback: a real SMTP server and a real receiver of webhooks, good or bad."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller

NOBODY = "nobody@example.com"
"""The recipient that the mail server does not know."""


def free_port() -> int:
    """Return a port without a listener."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Mailbox:
    """An SMTP server's handler that keeps what it is given.

    Attributes:
        port: where it listens.
        mails: what arrived, in order.
        refused: how many recipients were refused.
    """

    def __init__(self) -> None:
        """Begin empty."""
        self.port = free_port()
        self.mails: list[EmailMessage] = []
        self.refused = 0

    def url(self, to: str = "oncall@example.com") -> str:
        """Return the Apprise URL of a mail to `to`."""
        return f"mailto://localhost:{self.port}?from=rollout@example.com&to={to}"

    async def handle_RCPT(  # noqa: N802 - aiosmtpd calls it so
        self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any
    ) -> str:
        """Refuse `NOBODY`."""
        if address == NOBODY:
            self.refused += 1
            return "550 5.1.1 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802 - likewise
        self, _server: Any, _session: Any, envelope: Any
    ) -> str:
        """Keep the mail."""
        mail = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        return "250 OK"


@contextmanager
def mail_server() -> Iterator[Mailbox]:
    """Run a mail server."""
    mailbox = Mailbox()
    controller = Controller(mailbox, hostname="127.0.0.1", port=mailbox.port)
    controller.start()
    try:
        yield mailbox
    finally:
        controller.stop()


@dataclass
class Webhook:
    """A receiver of Apprise's ``json://``.

    Attributes:
        port: where it listens.
        posts: what arrived, in order.
        answers: the statuses of the next answers; 200 when they are used up.
    """

    port: int = 0
    posts: list[dict[str, Any]] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)

    def url(self, secret: str = "") -> str:
        """Return its Apprise URL, with a password and a path, which must be shown nowhere."""
        return f"json://hook:{secret}@127.0.0.1:{self.port}/{secret}" if secret else f"json://127.0.0.1:{self.port}/"


@contextmanager
def webhook() -> Iterator[Webhook]:
    """Run a receiver of webhooks."""
    receiver = Webhook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status = receiver.answers.pop(0) if receiver.answers else 200
            if status == 200:
                receiver.posts.append(body)
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver.port = server.server_address[1]
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def silent_server() -> Iterator[int]:
    """Run a server that accepts every connection and never sends a byte; yield its port."""
    with closing(socket.socket()) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(8)
        yield int(listening.getsockname()[1])
