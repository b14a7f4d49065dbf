"""Sends messages, each over its own channel, in a process of its own that the caller ends at a deadline.

It is a process and not a thread: what a channel's library loads, waits for or leaves behind ends with it. A thread
pool of that library, which Python joins before it exits, does not delay the end of the run.
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
"""The limit of the worker's memory: Apprise reads and decodes a channel's answer whatever its size."""

_EXCEPTION = "Socket Exception: "
"""The beginning of the line with which Apprise logs, below its warnings, why a connection failed."""

_CAUSE = re.compile(r".*Caused by \w+\([\"'](?:\w+\(.*?\): )?(.*?)[\"']\)\)", re.DOTALL)
"""The cause within an error of urllib3, which wraps it."""


def main() -> int:
    """Read the messages as JSON from standard input, and print the result of each attempt as a line of JSON.

    A message has `channel`, `url`, `subject`, `body` and `tries`; a result has `channel`, `accepted` and `detail`.
    A channel may have several results: the last one counts.
    """
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_DATA, (MOST_BYTES, resource.getrlimit(resource.RLIMIT_DATA)[1]))
    messages = json.load(sys.stdin)
    printing = threading.Lock()
    threads = [threading.Thread(target=_deliver, args=(message, printing), daemon=True) for message in messages]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sys.stdout.flush()
    # Not `return`: Apprise's own threads may still wait for a channel.
    os._exit(0)


def _deliver(message: Mapping[str, Any], printing: threading.Lock) -> None:
    for left in reversed(range(message["tries"])):
        accepted, detail = _send(message)
        result = {"channel": message["channel"], "accepted": accepted, "detail": detail}
        with printing:
            print(json.dumps(result), flush=True)  # noqa: T201 - the output of the process
        if accepted or not left:
            return
        time.sleep(AGAIN_AFTER_S)


def _send(message: Mapping[str, Any]) -> tuple[bool, str]:
    """Send a message once; return whether the channel accepted it, and why not."""
    import apprise  # noqa: PLC0415 - the tests import this module, and none of them needs it

    # At a higher level Apprise does not format the reason.
    logging.getLogger("apprise").setLevel(logging.DEBUG)
    sender = apprise.Apprise(asset=apprise.AppriseAsset(app_id="rollout", app_desc="rollout", app_url=""))
    if not sender.add(message["url"]):
        return False, "it holds no URL that Apprise understands; its documentation lists them"
    result = sender.notify(
        title=message["subject"],
        body=message["body"],
        # Plain text: a gateway's message in it is not markup.
        body_format=apprise.NotifyFormat.TEXT,
        log_level=logging.DEBUG,
    )
    logged = list(result.logs())
    errors = [entry.message for entry in logged if entry.level in ("WARNING", "ERROR", "CRITICAL")]
    errors += [entry.message.removeprefix(_EXCEPTION) for entry in logged if entry.message.startswith(_EXCEPTION)]
    if result:
        return True, "accepted"
    why = "; ".join(_CAUSE.sub(r"\1", each) for each in dict.fromkeys(errors))
    return False, why or "the channel refused the message or cannot be reached"


if __name__ == "__main__":
    sys.exit(main())
