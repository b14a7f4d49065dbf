"""Sends messages, each over its own channel: a process of its own, which ends at a deadline.

A process and not a thread: whatever a channel's library loads, waits for or leaves behind ends with it, and its pool
of threads, which Python joins before it exits, cannot hold up a run's own end.
"""

from __future__ import annotations

import json
import logging
import os
import re
import resource
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

AGAIN_AFTER_S = 1.0
MOST_BYTES = 1024**3
"""Apprise reads an answer to its end, and decodes it as often as it says: no channel's answer may fill the machine."""

_EXCEPTION = "Socket Exception: "
"""How Apprise begins the line that says why a connection failed; it thinks that nobody wants to know."""

_CAUSE = re.compile(r".*Caused by \w+\([\"'](?:\w+\(.*?\): )?(.*?)[\"']\)\)", re.DOTALL)
"""urllib3 wraps the cause into what wraps it."""


def main() -> int:
    """Read the letters as JSON from standard input, and print what became of each, a line of JSON at a time.

    A letter has `channel`, `url`, `subject`, `body` and `tries`; what is printed has `channel`, `accepted` and
    `detail`. A channel may have several lines: the last one counts.
    """
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_DATA, (MOST_BYTES, resource.getrlimit(resource.RLIMIT_DATA)[1]))
    letters = json.load(sys.stdin)
    printing = threading.Lock()
    threads = [threading.Thread(target=_carry, args=(letter, printing), daemon=True) for letter in letters]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sys.stdout.flush()
    # Not `return`: Apprise's own threads may still wait for somebody.
    os._exit(0)


def _carry(letter: Mapping[str, Any], printing: threading.Lock) -> None:
    for left in reversed(range(letter["tries"])):
        accepted, detail = _sent(letter)
        said = {"channel": letter["channel"], "accepted": accepted, "detail": detail}
        with printing:
            print(json.dumps(said), flush=True)  # noqa: T201 - it is what the process is for
        if accepted or not left:
            return
        time.sleep(AGAIN_AFTER_S)


def _sent(letter: Mapping[str, Any]) -> tuple[bool, str]:
    """Return whether the channel accepted the letter, and what was said."""
    import apprise  # noqa: PLC0415 - the tests import this module, and none of them needs it

    # Else the reason is never formatted.
    logging.getLogger("apprise").setLevel(logging.DEBUG)
    sender = apprise.Apprise(asset=apprise.AppriseAsset(app_id="rollout", app_desc="rollout", app_url=""))
    if not sender.add(letter["url"]):
        return False, "it holds no URL that Apprise understands; its documentation lists them"
    result = sender.notify(
        title=letter["subject"],
        body=letter["body"],
        # As it is: nothing in it is markup, whatever a gateway's message looks like.
        body_format=apprise.NotifyFormat.TEXT,
        log_level=logging.DEBUG,
    )
    said = [entry.message for entry in result.logs() if entry.level in ("WARNING", "ERROR", "CRITICAL")]
    said += [entry.message.removeprefix(_EXCEPTION) for entry in result.logs() if entry.message.startswith(_EXCEPTION)]
    if result:
        return True, "accepted"
    why = "; ".join(_CAUSE.sub(r"\1", each) for each in dict.fromkeys(said))
    return False, why or "the channel refused the message or cannot be reached"


if __name__ == "__main__":
    sys.exit(main())
