"""A write in words: what the plan, the journal and the manual commands say."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollout.core.write_words import describe_write
from rollout.core.writes import Claim, Command, Deadline, FileEdit, HttpCall, Restart, Signal, Write

CALL = HttpCall("paths.activate", "POST", "/a", {"model": "gpt-4o"}, Deadline.ACTIVATE, "activations", Claim.ACCEPTED)
WORDS: dict[str, tuple[Write, str]] = {
    "call": (CALL, 'POST /a {"model": "gpt-4o"}'),
    "edit": (
        FileEdit(Path("/etc/gw.yaml"), "yaml", {"a.b": "x", "c": 1}, {"key": "GW_KEY"}, ("old",)),
        'edit /etc/gw.yaml: a.b = "x", c = 1, key = the environment variable GW_KEY, old removed',
    ),
    "environment": (FileEdit(None, "env", {"A": "1"}), 'edit the .env file: A = "1"'),
    "signal": (Signal("SIGHUP", Path("/run/gw.pid")), "send SIGHUP to the process of /run/gw.pid"),
    "command": (Command(("gw", "use", "a b"), 5.0), "run gw use 'a b'"),
    "restart": (Restart(), "restart the service"),
}


@pytest.mark.parametrize(("write", "words"), WORDS.values(), ids=WORDS)
def test_a_write_is_described_without_its_secrets(write: Write, words: str) -> None:
    assert describe_write(write) == words
