"""A sample of the torture test; `tox run -e torture` runs all of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

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
    "a canary's way back": r"^way back of canary: recover",
    "an environment, killed": r"^environment, .*: SIGKILL after entry .*APP-2",
    "an environment, runner and watchdog": r"^environment, .*: runner and watchdog",
    "the gateway": r"^gateway: killed and restarted in",
}


@pytest.fixture(scope="module")
def cases(server: Server) -> list[Case]:
    """Every case there is."""
    return every_case(server, rivals=8)


def test_a_case_of_each_kind(server: Server, cases: list[Case]):
    """The same ones each time: a suite that is another one each day would fail for what nobody has changed."""
    found = {kind: [case for case in cases if re.search(pattern, case.name)] for kind, pattern in KINDS.items()}
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
    assert len(names) > 900
    for signal in kill.SIGNALS:
        assert sum(signal.name in name for name in names) > 200
