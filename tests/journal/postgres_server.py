"""A real PostgreSQL server for the length of a test session, on loopback, in a folder of its own."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path

PASSWORD = "pg-only-for-tests"
START_S = 60.0


def missing() -> str | None:
    """Return what this machine lacks to run it, as text; None if nothing."""
    try:
        import psycopg  # noqa: F401 - its presence is the question
    except ImportError:
        return "the driver is not installed: pip install 'psycopg[binary]'"
    if _folder_of_programs() is None:
        return "the server is not installed: apt-get install postgresql"
    return None


def _folder_of_programs() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).parent if on_path else None


class PostgresServer:
    """Start it with `start`, end it with `stop`; both can be repeated on the same data."""

    def __init__(self) -> None:
        self._programs = _folder_of_programs()
        self._folder = Path(tempfile.mkdtemp(prefix="rollout-pg-"))
        self._user = _unprivileged(self._folder)
        self._process = None
        self._databases = 0
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        secret = self._folder / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        data, pwfile = f"--pgdata={self._folder}/data", f"--pwfile={secret}"
        self._run("initdb", data, pwfile, "--username=rollout", "--auth=scram-sha-256", "--encoding=UTF8",
                  "--locale=C", "--no-sync")  # fmt: skip

    def url(self, database: str = "postgres") -> str:
        """Return the URL of one of its databases, with the password in it."""
        return f"postgresql+psycopg://rollout:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start it and return as soon as it takes connections."""
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(self._programs / "postgres"), "-D", str(self._folder / "data"), "-p", str(self.port), "-F",
                 "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self._folder, **self._user,
            )  # fmt: skip
        deadline = time.monotonic() + START_S
        while not self._answers():
            assert self._process.poll() is None, (self._folder / "log").read_text()
            assert time.monotonic() < deadline, "PostgreSQL did not start in time"
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop it; every client loses its connection."""
        self._process.send_signal(signal.SIGINT)
        self._process.wait(timeout=START_S)

    def freeze(self) -> None:
        """Stop every process of it, as a paused machine does: clients stay connected, and get no answer."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let every process of it go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        # The parent first: it must not make children that are not stopped.
        pid = self._process.pid
        os.kill(pid, number)
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            with suppress(ProcessLookupError):
                os.kill(int(child), number)

    def remove(self) -> None:
        """Stop it and delete its data."""
        self.stop()
        shutil.rmtree(self._folder)

    def new_database(self) -> str:
        """Make an empty database and return its URL."""
        import psycopg

        self._databases += 1
        name = f"journal_{self._databases}"
        plain = self.url().replace("+psycopg", "")
        with psycopg.connect(plain, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    def _answers(self) -> bool:
        import psycopg

        try:
            psycopg.connect(self.url().replace("+psycopg", ""), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [str(self._programs / program), *arguments],
            check=True, capture_output=True, cwd=self._folder, **self._user,
        )  # fmt: skip


def _unprivileged(folder: Path) -> dict:
    # PostgreSQL refuses to run as root.
    if os.geteuid() != 0:
        return {}
    try:
        user = pwd.getpwnam("postgres")
    except KeyError:
        user = pwd.getpwnam("nobody")
    os.chown(folder, user.pw_uid, user.pw_gid)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
