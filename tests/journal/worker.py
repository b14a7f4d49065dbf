"""A process of its own that uses a journal.

Arguments: ``append URL NAME COUNT``, ``append-forever URL``, ``acquire URL NAME``, ``end URL TOKEN NAMES``,
``announce URL TOKEN NAME`` or ``wait URL``.
"""

import itertools
import os
import signal
import sys
from contextlib import suppress

from rollout.core.clock import SystemClock
from rollout.core.errors import JournalError, TryLater
from rollout.journal.endings import AlreadyEnded
from rollout.journal.journal import Journal
from rollout.journal.leases import Lease, LeaseLost


def say(word):
    # A signal's handler may say something in the middle of another word, which a buffered stream refuses.
    os.write(1, f"{word}\n".encode())


def append(journal, name, count):
    for number in range(int(count)):
        journal.append(name, "count", {"number": number})


def append_forever(journal):
    for number in itertools.count():
        say(journal.append("doomed", "count", {"number": number, "padding": "x" * 2000}).seq)


def acquire(journal, name):
    say("ready")
    sys.stdin.readline()
    try:
        say(journal.acquire("staging", name, f"worker {name}", 600).rollout)
    except TryLater:
        say("held")


def lease_of(journal, token):
    now = journal.now()
    return Lease("staging", "r-1", int(token), "worker", now, now)


def end(journal, token, names):
    """End every rollout under the token; print how often that was granted."""
    lease, granted = lease_of(journal, token), []
    say("ready")
    sys.stdin.readline()
    for name in names.split(","):
        with suppress(AlreadyEnded):
            journal.append_ending(lease, name, {"decision": "kept"})
            granted.append(name)
    say(",".join(granted))


def announce(journal, token, name):
    """Announce writes under the token until it is superseded; print the number of each."""
    lease = lease_of(journal, token)
    say("ready")
    sys.stdin.readline()
    with suppress(LeaseLost):
        while True:
            say(journal.append_held(lease, name, "intent", {}).seq)
    say("lost")


def wait(journal):
    """Append on request, and print which signals are handled meanwhile, and the result."""
    signal.signal(signal.SIGTERM, lambda *_: say("heard"))
    say("ready")
    sys.stdin.readline()
    say("asking")
    try:
        journal.append("r-1", "note", {})
    except JournalError as error:
        say(error)


action, url, *rest = sys.argv[1:]
with Journal.open(url, clock=SystemClock(), wait_s=1 if action == "wait" else 10) as opened:
    actions = {
        "append": append,
        "append-forever": append_forever,
        "acquire": acquire,
        "end": end,
        "announce": announce,
        "wait": wait,
    }
    actions[action](opened, *rest)
