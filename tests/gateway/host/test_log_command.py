"""Following a log through a command: its lines, its restarts and its end."""

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
    """Return the first `count` lines."""
    found: list[str] = []

    def enough() -> bool:
        found.extend(line.text for line in follower.read())
        return len(found) >= count

    eventually(enough, f"{count} lines")
    return found


def message_at_end(follower: CommandFollower) -> str:
    """Return the message of the first failed poll, after the command has ended."""
    messages: list[str] = []

    def has_failed() -> bool:
        try:
            follower.read()
        except LogCommandError as error:
            messages.append(str(error))
        return bool(messages)

    eventually(has_failed, "a failed poll")
    return messages[0]


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


def test_an_ended_command_makes_the_log_unavailable_and_its_last_line_is_quoted(follow: Follow) -> None:
    code = "import sys; print('ERROR:    last line', flush=True); sys.exit('first\\ntoken hunter2-hunter2 refused')"
    follower = follow(*python(code))
    assert lines(follower) == ["ERROR:    last line"]
    message = message_at_end(follower)
    assert "has ended: exit code 1 (token [redacted] refused); it is started again" in message
    assert "hunter2" not in message


def test_it_is_started_again_after_a_pause_that_doubles(follow: Follow, clock: SimulatedClock, tmp_path: Path) -> None:
    marks = tmp_path / "starts"
    follower = follow(*python(f"open({str(marks)!r}, 'a').write('x')"))

    def starts() -> int:
        return len(marks.read_text()) if marks.exists() else 0

    message_at_end(follower)
    for start, pause_s in ((1, FIRST_PAUSE_S), (2, 2 * FIRST_PAUSE_S), (3, 4 * FIRST_PAUSE_S)):
        clock.advance(pause_s - 0.01)
        message_at_end(follower)
        assert starts() == start
        clock.advance(0.02)
        message_at_end(follower)
        assert starts() == start + 1


def test_a_running_command_without_output_is_a_poll_without_lines(follow: Follow) -> None:
    assert follow("sleep", "60").read() == ()


def test_closing_ends_the_command_and_its_children(follow: Follow) -> None:
    code = "import subprocess, time; print(subprocess.Popen(['sleep', '60']).pid, flush=True); time.sleep(60)"
    follower = follow(*python(code))
    (pid,) = map(int, lines(follower))
    follower.close()
    follower.close()
    eventually(lambda: gone(pid), "the child's child is gone")


def test_closing_ends_the_children_of_an_ended_command(follow: Follow) -> None:
    code = "import subprocess; print(subprocess.Popen(['sleep', '60']).pid, flush=True)"
    follower = follow(*python(code))
    (pid,) = map(int, lines(follower))
    eventually(lambda: follower._run._end() is not None, "the command has ended")
    follower.close()
    eventually(lambda: gone(pid), "the orphan is gone")


def test_a_command_that_ignores_sigterm_is_killed(follow: Follow) -> None:
    code = "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(os.getpid(), flush=True)"
    follower = follow(*python(f"{code}; time.sleep(60)"))
    (pid,) = map(int, lines(follower))
    follower.close()
    eventually(lambda: gone(pid), "it is gone")


def test_a_command_that_does_not_exist_is_an_error(follow: Follow) -> None:
    with pytest.raises(LogCommandError, match=r"'no-such-program' cannot be started .*correct the target's"):
        follow("no-such-program")


def test_more_lines_than_can_be_kept_make_a_poll_fail(follow: Follow, monkeypatch: pytest.MonkeyPatch) -> None:
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
    # An orphan is reaped by the process that adopts it; until then it is a zombie.
    return " Z " in Path(f"/proc/{pid}/stat").read_text() if Path(f"/proc/{pid}/stat").exists() else True
