"""The log's last lines before a restart: bounded, redacted, escaped for a terminal, and never overwritten."""

from __future__ import annotations

import os
import stat
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from rollout.audit import manifest, seal
from rollout.cli.main import main
from rollout.context import RolloutContext
from rollout.core.clock import SystemClock
from rollout.core.redaction import Redactor
from rollout.core.target import Target
from rollout.gateway.host.log_tail import MOST_BYTES, MOST_LINES, LogTail, keep_log_tail
from rollout.journal.record import Decision, Kind
from rollout.sandbox.process import start, stop
from tests.support.clocks import SimulatedClock
from tests.support.rollouts import rollout_in
from tests.support.runs import Lab
from tests.support.windows import TARGET

SECRET = "Zq7Lw3Vx9Tb5Rk2Pm8Gd"


def kept(target: Target, folder: Path, clock: SystemClock | SimulatedClock | None = None) -> LogTail:
    return keep_log_tail(target, folder, clock=clock or SimulatedClock(), redact=Redactor([SECRET]).text)


def lines_of(tail: LogTail) -> list[str]:
    assert tail.path is not None, tail
    return tail.path.read_text(encoding="utf-8").splitlines()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "backend.log"


@pytest.fixture
def target(log: Path) -> Target:
    return replace(TARGET, log_file=log)


def test_the_last_lines_of_the_file_are_kept_under_a_header(target: Target, log: Path, tmp_path: Path):
    log.write_text("".join(f"12:00:00 | INFO     | main:run - {number}\n" for number in range(1000)))
    head, *lines = lines_of(kept(target, tmp_path / "r-1"))
    assert head == f"# the last 200 lines of {log} at 2026-11-23T12:00:00.000Z"
    assert lines == [f"12:00:00 | INFO     | main:run - {number}" for number in range(800, 1000)]


def test_long_lines_are_kept_up_to_64_kib_and_only_whole(target: Target, log: Path, tmp_path: Path):
    log.write_text("".join(f"{number:03}{'x' * 997}\n" for number in range(300)))
    tail = kept(target, tmp_path)
    _, *lines = lines_of(tail)
    assert {len(line) for line in lines} == {1000}
    assert len(lines) == MOST_BYTES // 1001
    assert lines[-1].startswith("299")


def test_a_file_that_is_one_endless_line_is_not_cut_in_the_middle(target: Target, log: Path, tmp_path: Path):
    """Half a secret would not be recognised."""
    secret = SECRET * 7
    log.write_text(secret * 2_000)
    tail = keep_log_tail(target, tmp_path, clock=SimulatedClock(), redact=Redactor([secret]).text)
    assert tail == LogTail(None, "it is empty")


def test_only_the_owner_may_read_it_and_nothing_is_overwritten(target: Target, log: Path, tmp_path: Path):
    log.write_text("one\n")
    first, second = kept(target, tmp_path), kept(target, tmp_path)
    assert [tail.path and tail.path.name for tail in (first, second)] == [
        "log-before-restart-1.log",
        "log-before-restart-2.log",
    ]
    assert first.path is not None
    assert stat.S_IMODE(first.path.stat().st_mode) == 0o600
    assert str(first) == f"the end of the service's log, as it was before the restart, is kept in {first.path}"


def test_a_symbolic_link_in_the_folder_is_not_followed(target: Target, log: Path, tmp_path: Path):
    log.write_text("one\n")
    elsewhere = tmp_path / "elsewhere"
    (tmp_path / "log-before-restart-1.log").symlink_to(elsewhere)
    assert kept(target, tmp_path).path == tmp_path / "log-before-restart-2.log"
    assert not elsewhere.exists()


def test_secrets_are_taken_out_of_several_lines_too(target: Target, log: Path, tmp_path: Path):
    """The lines of a key are removed although its first line is older than the kept lines."""
    body = "\n".join("MIIEowIBAAKCAQEA" for _ in range(MOST_LINES))
    key = f"-----BEGIN RSA PRIVATE KEY-----\n{body}\n-----END RSA PRIVATE KEY-----\n"
    log.write_text(f"{key}password={SECRET}\nlast\n")
    text = "\n".join(lines_of(kept(target, tmp_path)))
    assert SECRET not in text
    assert "MIIE" not in text
    assert text.endswith("last")


def test_a_key_whose_first_line_is_beyond_what_fits_is_recognised(target: Target, log: Path, tmp_path: Path):
    body = "\n".join("MIIEowIBAAKCAQEA" for _ in range(MOST_LINES))
    key = f"-----BEGIN RSA PRIVATE KEY-----\n{body}\n-----END RSA PRIVATE KEY-----\n"
    log.write_text(key + "\n".join(["x" * 630] * 100))
    assert "MIIE" not in "\n".join(lines_of(kept(target, tmp_path)))


def test_what_could_move_a_cursor_is_escaped(target: Target, log: Path, tmp_path: Path):
    log.write_bytes("\x1b[2J forged\r\u202e\x07 \xe4\r\n".encode() + b"\xff\x00\n")
    _, first, second = lines_of(kept(target, tmp_path))
    assert first == r"\x1b[2J forged\r\u202e\x07 \xe4".replace(r"\xe4", "\xe4")
    assert second == "\N{REPLACEMENT CHARACTER}\\x00"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"log_file": None}, "target test names no log; set its log_file, or log_command"),
        ({"log_file": Path("/nowhere/backend.log")}, "No such file or directory"),
        ({"log_file": Path("/")}, "Is a directory"),
        ({"log_command": ("/nowhere/tail",)}, "the log command '/nowhere/tail' cannot be started"),
        ({"log_command": (sys.executable, "-c", "raise SystemExit(3)")}, "exit code 3"),
    ],
)
def test_what_cannot_be_read_is_a_reason_and_no_error(tmp_path: Path, change: dict[str, object], reason: str):
    tail = kept(replace(TARGET, **change), tmp_path / "r-1", SystemClock())
    assert tail.path is None
    assert reason in tail.reason
    assert str(tail).startswith("the end of the service's log is not kept: ")


def test_a_pipe_in_the_place_of_the_file_is_not_waited_for(target: Target, log: Path, tmp_path: Path):
    os.mkfifo(log)
    assert "is no regular file" in kept(target, tmp_path).reason


def test_a_folder_that_cannot_be_written_is_a_reason(target: Target, log: Path, tmp_path: Path):
    log.write_text("one\n")
    (tmp_path / "r-1").write_text("a file")
    assert kept(target, tmp_path / "r-1").reason == "File exists"


FOLLOWS = "import sys, time; print(*range(300), sep='\\n', flush=True); time.sleep(60)"
SILENT = "import time; time.sleep(60)"
ENDS = "print('one'); print('two')"


def test_what_the_log_command_prints_is_kept_although_it_goes_on(target: Target, tmp_path: Path):
    """``tail -n 200 -F`` never ends: what it has printed when it stops printing is the log's end."""
    began = time.monotonic()
    tail = kept(replace(target, log_command=(sys.executable, "-c", FOLLOWS)), tmp_path, SystemClock())
    head, *lines = lines_of(tail)
    assert head.startswith("# the last 200 lines of the log command at ")
    assert lines == [str(number) for number in range(100, 300)]
    assert time.monotonic() - began < 10, "three seconds, on a busy machine"


def test_a_log_command_that_ends_is_kept_too(target: Target, tmp_path: Path):
    tail = kept(replace(target, log_command=(sys.executable, "-c", ENDS)), tmp_path, SystemClock())
    assert lines_of(tail)[1:] == ["one", "two"]


def test_a_log_command_that_prints_nothing_is_not_waited_for(target: Target, tmp_path: Path):
    tail = kept(replace(target, log_command=(sys.executable, "-c", SILENT)), tmp_path)
    assert tail.reason == "the log command printed nothing within 2 s"


def test_the_embedded_gateways_log_outlives_its_restart_in_the_tail(tmp_path: Path):
    """Deviation 21: the gateway truncates its log at start; its last lines before are kept."""
    with Lab(tmp_path) as lab:
        log = lab.sandbox.directory / "logs" / "backend.log"
        lab.direct.get("/api/v1/providers/vllm/status")
        tail = kept(Target("lab", "sandbox", log_file=log), tmp_path / "r-1")
        stop(lab.sandbox)
        start(lab.sandbox.directory)
        assert "/providers/vllm/status" in "\n".join(lines_of(tail))
        assert "/providers/vllm/status" not in log.read_text(encoding="utf-8")


@pytest.fixture
def rollout(tmp_path: Path) -> Iterator[RolloutContext]:
    """A closed rollout that has kept the log's tail."""
    rollout = rollout_in(tmp_path)
    with rollout.journal:
        opened = {"target": {"name": "t"}, "url": "http://x", "change": "c", "author": "alice", "digest": "d"}
        rollout.append(Kind.OPENED, **opened)
        rollout.append(Kind.CLOSED, decision=Decision.KEPT, word="KEPT", why="it held")
        yield rollout


def tail_of(rollout: RolloutContext, tmp_path: Path) -> Path:
    log = tmp_path / "backend.log"
    log.write_text("one\n")
    path = kept(replace(TARGET, log_file=log), rollout.folder).path
    assert path is not None
    return path


@pytest.mark.parametrize("by", ["run-1", "watchdog", "recover"])
def test_it_is_listed_by_every_end_of_a_rollout_and_the_journal_verifies(
    rollout: RolloutContext, tmp_path: Path, by: str
):
    path = tail_of(rollout, tmp_path)
    seal.conclude(rollout.journal, rollout.id, rollout.folder, {}, by=by)
    assert path.name in manifest.listed(rollout.journal.entries(rollout.id))
    assert main(["verify-journal", f"--reports={tmp_path}"]) == 0


def test_one_that_was_altered_is_not_listed_anew(
    rollout: RolloutContext, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """The list is never rewritten: a later run's list does not hide that the file was altered."""
    path = tail_of(rollout, tmp_path)
    seal.conclude(rollout.journal, rollout.id, rollout.folder, {}, by="run-1")
    path.write_text("nothing happened\n")
    seal.conclude(rollout.journal, rollout.id, rollout.folder, {}, by="run-2")
    assert len(rollout.journal.entries(rollout.id, Kind.MANIFEST)) == 1
    assert main(["verify-journal", f"--reports={tmp_path}"]) == 1
    assert path.name in capsys.readouterr().out
