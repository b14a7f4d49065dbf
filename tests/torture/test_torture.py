"""A sample of the torture test; `tox run -e torture` runs all of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.journal import postgres_server
from tests.support.forks import Server
from tests.torture import kill, others
from tests.torture.__main__ import every_case
from tests.torture.cases import Case, run

pytest_plugins = ["tests.torture.fixtures"]

KINDS = {
    "SIGKILL at an entry": r"SIGKILL after entry",
    "a signal at an entry": r"SIG(TERM|INT|HUP) after entry",
    "runner and watchdog": r"runner and watchdog after entry",
    "a signal at a request": r"SIG\w+ at request",
    "a late activation": r"lands",
    "a lie, once": r" once at request",
    "a lie that persists": r"from there on",
    "the journal": r"the journal is",
    "the journal, before a write": r"the journal is deleted after entry 8 ",
    "a phase": r"^phases: ",
    "an intruder": r"^intruder: ",
    "an intruder, of three": r"^intruder, of three",
    "a command that goes on alone": r"goes on alone",
    "a lie to three": r"^three.* at request .*\(.*(limits|health|governance)",
    "a canary, killed": r"^canary, kept: SIGKILL at request .*routing/weights",
    "a canary, runner and watchdog": r"^canary, .*: runner and watchdog",
    "a canary's rollback": r"^rollback of canary: recover",
    "an environment, killed": r"^environment, .*: SIGKILL after entry .*APP-2",
    "an environment, runner and watchdog": r"^environment, .*: runner and watchdog",
    "the gateway": r"^gateway: killed and restarted in",
    "stale reads, kept": r"^stale, provider, kept: reads of a remote gateway lag 1 s, stated, chat is true",
    "stale reads, breached": r"^stale, provider, breached: .* remote gateway lag 1 s, not stated, chat is stale$",
    "stale reads of three": r"^stale, three, breached: .* lag 1 s, stated, chat is true",
    "stale reads of a canary": r"^stale, canary, kept: .* lag 1 s, not stated, chat names no provider",
    "a pause of the runner": r"^pause, kept: the runner after intent 2, longer than the lease$",
    "a pause of both": r"^pause, kept: both after intent 2, longer than the lease, with recover",
    "a pause in a rollback": r"^pause, rolled back: the runner after rollback 1, shorter",
    "an unwatched window": r"^pause: the runner for most of the window, 20 users .* fail",
    "an emergency in a run": r"^between, kept: an emergency after entry .* \(intent APP-1.2\)$",
    "an emergency in a rollback": r"^between, rolled back: an emergency after entry .* \(intent RBK-2.1\)$",
    "an emergency before the ending": r"^between, rolled back: an emergency after entry .* \(step RBK-4.3\)$",
    "a rival after the ending": r"^between, kept: a rival after entry .* \(closed\)$",
    "recover in a rollback": r"^between, rolled back: recover after entry .* \(rollback\), while",
    "a journal that lost entries": r"^journal on sqlite: it has lost its last 20 between apply and window$",
    "a journal that lost entries, killed": r"^journal on sqlite: it has lost its last 5 in mid-window, and",
    "a restart in the apply": r"^restarting, provider, kept: the new provider needs a restart, stated",
    "a restart in the rollback": r"^restarting, provider, breached: the previous provider needs a restart, not stated",
    "a slow start": r"^starting, environment, kept: it takes longer",
}

WITH_A_SERVER = {
    "a journal that stands still": r"^journal on postgresql: it stands still in mid-window$",
    "a journal that is silent": r"^journal on postgresql: it is silent in mid-window, and the run is killed$",
}
"""They need a PostgreSQL server."""


@pytest.fixture(scope="module")
def cases(server: Server) -> list[Case]:
    """Every case there is."""
    return every_case(server, rivals=8)


def test_a_case_of_each_kind(server: Server, cases: list[Case]):
    """The sample is the same each time, so that only a change of the code makes it fail."""
    kinds = KINDS if postgres_server.missing() else KINDS | WITH_A_SERVER
    found = {kind: [case for case in cases if re.search(pattern, case.name)] for kind, pattern in kinds.items()}
    assert all(found.values()), [kind for kind, of_kind in found.items() if not of_kind]
    chosen = [of_kind[len(of_kind) // 2] for of_kind in found.values()]
    # Most of a case is waiting: three at once take two processors.
    failed = run(chosen, server, 3, lambda _outcome: None)
    assert not failed, "\n".join(f"{outcome.case.name}: {outcome.why}" for outcome in failed)


def test_eight_rivals(server: Server, tmp_path: Path):
    """Eight runs of one content at once on one target: one applies, and none waits for ever."""
    (case, _) = others.rivals(8)
    case.work(server, tmp_path)


def test_there_are_hundreds(cases: list[Case]):
    names = [case.name for case in cases]
    assert len(set(names)) == len(names)
    assert len(names) > 1500
    for signal in kill.SIGNALS:
        assert sum(signal.name in name for name in names) > 200
