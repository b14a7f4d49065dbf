"""Following a log through a command: its lines, its death and its end."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rollout.core.redaction import Redactor
from rollout.gateway.host.log_command import FIRST_PAUSE_S, CommandFollower, LogCommandError
from rollout.gateway.host.log_file import matching
from tests.support.clocks import SimulatedClock
from tests.support.runs import eventually

Follow = Callable[..., CommandFollower]
TAIL = ("tail", "-n", "0", "-F")


@pytest.fixture
def clock() -> SimulatedClock:
    return SimulatedClock()


@pytest.fixture
def follow(clock: SimulatedClock) -> Iterator[Follow]:
    opened: list[CommandFollower] = []

    def start(*command: str) -> CommandFollower:
        opened.append(CommandFollower(command, clock, Redactor(["hunter2-hunter2"]).text))
        return opened[-1]

    yield start
    for one in opened:
        one.close()


def python(code: str) -> tuple[str, str, str]:
    return (sys.executable, "-c", code)


def lines(follower: CommandFollower, count: int = 1) -> list[str]:
    """Return so many lines as they come."""
    found: list[str] = []

    def enough() -> bool:
        found.extend(line.text for line in follower.read())
        return len(found) >= count

    eventually(enough, f"{count} lines")
    return found


def died(follower: CommandFollower) -> str:
    """Return what a look says once the command is gone."""
    said: list[str] = []

    def dark() -> bool:
        try:
            follower.read()
        except LogCommandError as error:
            said.append(str(error))
        return bool(said)

    eventually(dark, "a failed look")
    return said[0]


def test_what_a_command_prints_is_followed_and_judged_by_level_and_pattern(follow: Follow, tmp_path: Path) -> None:
    log = tmp_path / "backend.log"
    log.write_text("ERROR:    upstream, before\n")
    follower = follow(*TAIL, str(log))
    # Whether tail has reached the end of the file shows only in what it prints.
    probes = []

    def follows() -> bool:
        probes.append("x")
        with log.open("a") as file:
            file.write("INFO:     probe\n")
        return bool(follower.read())

    eventually(follows, "tail follows the file")
    with log.open("a") as file:
        file.write("INFO:     {'errors': 'upstream'}\nERROR:    upstream gone\n")
    found = []
    eventually(lambda: found.extend(follower.read()) or any(line.is_severe for line in found), "the last line")
    assert matching(found, "upstream") == ("ERROR:    upstream gone",)


def test_no_shell_reads_the_command(follow: Follow) -> None:
    follower = follow("echo", "$HOME; `id`")
    assert lines(follower) == ["$HOME; `id`"]


def test_a_command_that_dies_is_dark_and_says_its_last_words(follow: Follow) -> None:
    code = "import sys; print('ERROR:    last line', flush=True); sys.exit('first\\ntoken hunter2-hunter2 refused')"
    follower = follow(*python(code))
    assert lines(follower) == ["ERROR:    last line"]
    said = died(follower)
    assert "has ended: exit code 1 (token [redacted] refused); it is started again" in said
    assert "hunter2" not in said


def test_it_is_started_again_after_a_pause_that_doubles(follow: Follow, clock: SimulatedClock, tmp_path: Path) -> None:
    marks = tmp_path / "starts"
    follower = follow(*python(f"open({str(marks)!r}, 'a').write('x')"))

    def starts() -> int:
        return len(marks.read_text()) if marks.exists() else 0

    died(follower)
    for start, pause_s in ((1, FIRST_PAUSE_S), (2, 2 * FIRST_PAUSE_S), (3, 4 * FIRST_PAUSE_S)):
        clock.advance(pause_s - 0.01)
        died(follower)
        assert starts() == start
        clock.advance(0.02)
        died(follower)
        assert starts() == start + 1


def test_a_silent_command_that_stays_is_a_look_without_lines(follow: Follow) -> None:
    assert follow("sleep", "60").read() == ()


def test_it_ends_with_the_window_and_takes_along_what_it_started(follow: Follow) -> None:
    code = "import subprocess, time; print(subprocess.Popen(['sleep', '60']).pid, flush=True); time.sleep(60)"
    follower = follow(*python(code))
    (pid,) = map(int, lines(follower))
    follower.close()
    follower.close()
    eventually(lambda: gone(pid), "the child's child is gone")


def test_what_a_dead_command_left_behind_ends_with_the_window(follow: Follow) -> None:
    code = "import subprocess; print(subprocess.Popen(['sleep', '60']).pid, flush=True)"
    follower = follow(*python(code))
    (pid,) = map(int, lines(follower))
    eventually(lambda: follower._run._end() is not None, "the command has ended")
    follower.close()
    eventually(lambda: gone(pid), "the orphan is gone")


def test_a_command_that_does_not_listen_is_killed(follow: Follow) -> None:
    code = "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(os.getpid(), flush=True)"
    follower = follow(*python(f"{code}; time.sleep(60)"))
    (pid,) = map(int, lines(follower))
    follower.close()
    eventually(lambda: gone(pid), "it is gone")


def test_a_command_that_there_is_not_says_so(follow: Follow) -> None:
    with pytest.raises(LogCommandError, match=r"'no-such-program' cannot be started .*correct the target's"):
        follow("no-such-program")


def test_a_flood_that_nobody_could_keep_is_a_failed_look(follow: Follow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rollout.gateway.host.log_command.MOST_LINES", 10)
    follower = follow(*python("print('\\n'.join(map(str, range(100))), flush=True); import time; time.sleep(60)"))
    eventually(lambda: follower._run._lost == 90, "all is read")
    with pytest.raises(LogCommandError, match="printed 90 lines more than can be kept"):
        follower.read()
    assert follower.read() == ()


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    # An orphan is reaped by whoever adopts it; until then it is a zombie.
    return " Z " in Path(f"/proc/{pid}/stat").read_text() if Path(f"/proc/{pid}/stat").exists() else True
