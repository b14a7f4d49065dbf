"""The executor: a described write is announced, sent under the fencing token, and its outcome recorded."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from rollout.changes import executor
from rollout.core.errors import GatewayError, Interrupted, RolloutError
from rollout.core.wishes import Activate, SetLimit, Wish
from rollout.core.writes import Command, FileEdit, Restart, Write
from rollout.core.writes import Signal as SignalWrite
from rollout.gateway.drivers import selection
from rollout.gateway.host.commands import ServiceError
from rollout.gateway.host.env_file import EnvFile
from rollout.journal.record import Kind, What
from tests.support.gateways import refused
from tests.support.rollouts import NEW
from tests.support.undoing import TARGET, Undoing

Begin = Callable[..., Undoing]

WISH = Activate(NEW.provider, NEW.model)


def send(lab: Undoing, wish: Wish = WISH) -> None:
    executor.send(lab.rollout, lab.gateway, wish, step="APP-1.2", direction="forward", to=str(NEW), what=What.PROVIDER)


def test_the_intent_is_on_disk_before_the_call_and_the_outcome_after_it(undoing: Begin):
    lab = undoing()
    announced: list[int] = []
    lab.gateway.on_write = lambda _words: announced.append(len(lab.entries(Kind.INTENT)))
    send(lab)
    assert announced == [1]
    assert lab.sent() == [("APP-1.2", "forward", str(NEW), "done")]
    assert lab.gateway.state.place == str(NEW)


def test_a_refusal_is_recorded_and_raised(undoing: Begin):
    lab = undoing()
    lab.gateway.fails["activate"] = refused()
    with pytest.raises(GatewayError):
        send(lab)
    assert lab.sent() == [("APP-1.2", "forward", str(NEW), "refused")]


@pytest.mark.parametrize("wish", [Activate(NEW.provider, ""), SetLimit("money", "global", {"x": 1.0})])
def test_what_cannot_be_described_is_not_announced(undoing: Begin, wish):
    lab = undoing()
    with pytest.raises(GatewayError):
        send(lab, wish)
    assert lab.sent() == []
    assert lab.gateway.writes == []


def test_a_secret_comes_from_its_variable_and_the_redactor_knows_it(undoing: Begin, tmp_path: Path):
    path = tmp_path / ".env"
    path.write_bytes(b"# ours\nAPI_KEY=old\nOLD=1\n")
    lab = undoing(target=replace(TARGET, env_file=path))
    lab.rollout.env = {"NEW_KEY": "sk-hunter2hunter2"}
    edit = FileEdit(None, "env", {"LOG_LEVEL": "debug"}, {"API_KEY": "NEW_KEY"}, ("OLD",))
    executor.edit_env(lab.rollout, _file(lab), edit, step="APP-2.1", direction="forward", to=".env")
    assert path.read_bytes() == b"# ours\nAPI_KEY=sk-hunter2hunter2\nLOG_LEVEL=debug\n"
    assert "hunter2" not in lab.rollout.redactor.text("sk-hunter2hunter2")
    assert "hunter2" not in str([entry.body for entry in lab.entries(Kind.INTENT)])


def test_a_secret_whose_variable_is_not_set_changes_nothing(undoing: Begin, tmp_path: Path):
    path = tmp_path / ".env"
    path.write_bytes(b"API_KEY=old\n")
    lab = undoing(target=replace(TARGET, env_file=path))
    edit = FileEdit(None, "env", secrets={"API_KEY": "NEW_KEY"})
    with pytest.raises(RolloutError, match="the environment variable NEW_KEY is not set"):
        executor.edit_env(lab.rollout, _file(lab), edit, step="APP-2.1", direction="forward", to=".env")
    assert path.read_bytes() == b"API_KEY=old\n"
    assert lab.sent() == []


def _file(lab: Undoing) -> EnvFile:
    return EnvFile(lab.rollout.target, clock=lab.clock, redact=str)


LONG_S = 1e6
"""The clock is simulated, and a command is a real process."""


class OnThisHost:
    """A driver whose activation is an edit of a file, a signal and a command on this host."""

    def __init__(self, *writes: Write) -> None:
        self.described = writes

    def writes(self, _wish: Wish) -> tuple[Write, ...]:
        """Return them, whatever is wanted."""
        return self.described


def test_writes_on_this_host_are_carried_out_in_order(undoing: Begin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The restart is left to the reads that show whether it is needed."""
    config, seen = tmp_path / "config.yaml", tmp_path / "seen"
    config.write_text("# ours\nrouter:\n  active: old # now\n  key: none\n", encoding="utf-8")
    edit = FileEdit(config, "yaml", {"router.active": "new"}, {"router.key": "NEW_KEY"})
    copy = Command((sys.executable, "-c", f"import shutil; shutil.copy({str(config)!r}, {str(seen)!r})"), LONG_S)
    lab = undoing()
    lab.rollout.env = {"NEW_KEY": "sk-hunter2hunter2"}
    monkeypatch.setattr(selection, "driver_of", lambda _target: OnThisHost(edit, copy, Restart()))
    send(lab)
    assert seen.read_text() == "# ours\nrouter:\n  active: new # now\n  key: sk-hunter2hunter2\n"
    assert lab.sent() == [("APP-1.2", "forward", str(NEW), "done")]
    assert "hunter2" not in str([entry.body for entry in lab.entries(Kind.INTENT)])


def test_one_key_of_two_files_has_the_secret_of_each(undoing: Begin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    files = [tmp_path / "a.yaml", tmp_path / "b.yaml"]
    for file in files:
        file.write_text("key: none\n", encoding="utf-8")
    edits = [FileEdit(file, "yaml", secrets={"key": name}) for file, name in zip(files, ("ONE", "TWO"), strict=True)]
    lab = undoing()
    lab.rollout.env = {"ONE": "sk-hunter1hunter1", "TWO": "sk-hunter2hunter2"}
    monkeypatch.setattr(selection, "driver_of", lambda _target: OnThisHost(*edits))
    send(lab)
    assert [file.read_text() for file in files] == ["key: sk-hunter1hunter1\n", "key: sk-hunter2hunter2\n"]


def test_a_signal_reaches_the_process_of_the_pid_file(undoing: Begin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    pid_file = tmp_path / "service.pid"
    pid_file.write_text(str(child.pid))
    monkeypatch.setattr(selection, "driver_of", lambda _target: OnThisHost(SignalWrite("SIGTERM", pid_file)))
    send(undoing())
    assert child.wait(30) == -signal.SIGTERM


@pytest.mark.parametrize("stops", [False, True])
def test_a_command_that_fails_leaves_it_unknown_what_happened(
    undoing: Begin, monkeypatch: pytest.MonkeyPatch, stops: bool
):
    lab = undoing()
    failing = Command((sys.executable, "-c", "import sys; sys.exit(3)"), LONG_S)
    monkeypatch.setattr(selection, "driver_of", lambda _target: OnThisHost(failing))
    if stops:
        lab.rollout.stop.set("SIGTERM")
    with pytest.raises(Interrupted if stops else ServiceError, match="SIGTERM" if stops else "exit code 3"):
        send(lab)
    assert lab.sent() == [("APP-1.2", "forward", str(NEW), "unknown")]
