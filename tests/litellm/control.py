"""Starts and stops one LiteLLM proxy, as the service manager of an operator would: `control.py start|stop FOLDER`.

The folder holds `proxy.json` with the command and its environment. The process is known by its id, and by the port in
its command line: an id that belongs to another process by now is left alone.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

ENDS_WITHIN_S = 15


def running(folder: Path) -> int | None:
    """Return the process id of the folder's proxy; None where it does not run."""
    try:
        pid = int((folder / "proxy.pid").read_text())
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError):
        return None
    return pid if str(folder / "config.yaml").encode() in command else None


def start(folder: Path) -> None:
    """Start the proxy in the background; it is not waited for."""
    if running(folder) is not None:
        raise SystemExit(f"the proxy of {folder} is running already")
    about = json.loads((folder / "proxy.json").read_text())
    with (folder / "proxy.log").open("ab") as log:
        process = subprocess.Popen(
            about["command"],
            env=about["env"],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    (folder / "proxy.pid").write_text(str(process.pid))


def stop(folder: Path) -> None:
    """End the proxy, and wait until it has ended."""
    pid = running(folder)
    if pid is None:
        return
    ended = os.pidfd_open(pid)
    try:
        for number in (signal.SIGTERM, signal.SIGKILL):
            signal.pidfd_send_signal(ended, number)
            if select.select([ended], [], [], ENDS_WITHIN_S)[0]:
                return
    finally:
        os.close(ended)


if __name__ == "__main__":
    {"start": start, "stop": stop}[sys.argv[1]](Path(sys.argv[2]))
