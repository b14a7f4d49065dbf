"""A proxy on which packets can get lost: it passes everything on until it falls silent."""

import selectors
import socket
import threading


class SilentProxy:
    """Listens on a free port of loopback; nothing that it accepts is ever closed from its side before `close`."""

    def __init__(self, port: int) -> None:
        self.silent = False
        self._to = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._peers: dict[socket.socket, socket.socket] = {}
        self._over = False
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Close everything."""
        self._over = True
        self._thread.join()
        for each in (*self._peers, self._listener):
            each.close()
        self._selector.close()

    def _run(self) -> None:
        while not self._over:
            for key, _ in self._selector.select(0.05):
                if key.fileobj is self._listener:
                    self._accept()
                else:
                    self._pass_on(key.fileobj)

    def _accept(self) -> None:
        one, other = self._listener.accept()[0], socket.create_connection(("127.0.0.1", self._to))
        self._peers |= {one: other, other: one}
        self._selector.register(one, selectors.EVENT_READ)
        self._selector.register(other, selectors.EVENT_READ)

    def _pass_on(self, one: socket.socket) -> None:
        try:
            data = one.recv(65536)
        except OSError:
            data = b""
        if self.silent and data:
            return
        try:
            self._peers[one].sendall(data) if data else self._peers[one].shutdown(socket.SHUT_WR)
        except OSError:
            data = b""
        if not data:
            self._selector.unregister(one)
