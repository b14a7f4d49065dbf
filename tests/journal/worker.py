"""A process of its own that uses a journal.

Arguments: ``append URL NAME COUNT``, ``append-forever URL`` or ``acquire URL NAME``.
"""

import itertools
import sys

from rollout.clock import SystemClock
from rollout.errors import TryLater
from rollout.journal import Journal


def say(word):
    print(word, flush=True)  # noqa: T201 - the pipe to the test


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


action, url, *rest = sys.argv[1:]
with Journal.open(url, clock=SystemClock()) as opened:
    {"append": append, "append-forever": append_forever, "acquire": acquire}[action](opened, *rest)
