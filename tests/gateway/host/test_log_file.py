"""Following a log: levels, truncation, rotation, unfinished lines."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from rollout.gateway.host.log_file import LogFollower, bounded, matching, parse

ERROR = "12:34:56 | ERROR    | gateway:chat - upstream gone"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "backend.log"
    path.write_text("12:00:00 | ERROR    | old:old - before\n")
    return path


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def texts(follower: LogFollower) -> list[str]:
    return [line.text for line in follower.read()]


@pytest.mark.parametrize(
    ("line", "level"),
    [
        (ERROR, "ERROR"),
        ("12:34:56.789 | CRITICAL | a:b - c", "CRITICAL"),
        ("ERROR:    Exception in ASGI application", "ERROR"),
        ('INFO:     127.0.0.1:5000 - "GET /errors HTTP/1.1" 200 OK', "INFO"),
        ("12:34:56 | INFO     | metrics:dump - {'errors': 0}", "INFO"),
        ("12:34:56 | INFO     | x:y - ERROR: quoted", "INFO"),
        ("2026-11-23 12:34:56,789 ERROR app: boom", "ERROR"),
        ("2026-11-23T12:34:56Z [ERROR] boom", "ERROR"),
        ("\x1b[31m12:34:56 | ERROR    | a:b - c\x1b[0m", "ERROR"),
        ("    raise ERROR", None),
        ("ERRORS: 3", None),
        ("{'errors': 0}", None),
    ],
)
def test_the_level_is_read_where_it_stands(line: str, level: str | None) -> None:
    assert parse(line).level == level


def test_only_severe_lines_that_match_count() -> None:
    lines = [parse(line) for line in (ERROR, "INFO:     upstream gone", "ERROR:    something else")]
    assert matching(lines, "upstream") == (ERROR,)
    assert matching(lines, None) == ()


def test_what_was_there_before_is_not_read(log: Path) -> None:
    follower = LogFollower(log)
    assert texts(follower) == []
    append(log, ERROR + "\n")
    assert texts(follower) == [ERROR]
    assert texts(follower) == []


def test_an_unfinished_line_waits_for_its_end(log: Path) -> None:
    follower = LogFollower(log)
    append(log, ERROR[:20])
    assert texts(follower) == []
    append(log, ERROR[20:] + "\nnext")
    assert texts(follower) == [ERROR]


def test_a_truncated_log_is_read_from_its_beginning(log: Path) -> None:
    follower = LogFollower(log)
    log.write_text("ERROR:    a\n")
    assert texts(follower) == ["ERROR:    a"]


def test_a_truncated_log_that_has_grown_longer_is_read_from_its_beginning(log: Path) -> None:
    follower = LogFollower(log)
    log.write_text(f"{ERROR}\n" * 50)
    assert texts(follower) == [ERROR] * 50


def test_a_truncated_log_that_begins_as_before_is_read_from_its_beginning(log: Path) -> None:
    log.write_text(f"{ERROR}\n" * 50)
    follower = LogFollower(log)
    log.write_text(f"{ERROR}\n" * 20)
    assert texts(follower) == [ERROR] * 20


def test_a_rotated_log_is_read_to_its_end_and_the_new_one_from_its_beginning(log: Path) -> None:
    follower = LogFollower(log)
    append(log, "ERROR:    last of the old\nunfinished")
    log.rename(log.with_suffix(".1"))
    log.write_text("ERROR:    first of the new\n")
    assert texts(follower) == ["ERROR:    last of the old", "unfinished", "ERROR:    first of the new"]
    append(log, "ERROR:    second\n")
    assert texts(follower) == ["ERROR:    second"]


def test_a_log_that_is_gone_fails_and_loses_nothing(log: Path) -> None:
    follower = LogFollower(log)
    append(log, "ERROR:    last of the old\n")
    log.rename(log.with_suffix(".1"))
    with pytest.raises(FileNotFoundError):
        follower.read()
    log.write_text("ERROR:    first of the new\n")
    assert texts(follower) == ["ERROR:    last of the old", "ERROR:    first of the new"]


def test_bytes_that_are_no_text_do_not_hide_the_level(log: Path) -> None:
    follower = LogFollower(log)
    with log.open("ab") as file:
        file.write(b"ERROR:    \xff\xfe upstream\n" + os.urandom(64).replace(b"\n", b"") + b"\n")
    assert follower.read()[0].level == "ERROR"


def test_of_a_line_without_an_end_the_beginning_is_kept_between_two_words():
    """Neither the memory is filled nor a secret cut in two, and the lines after it are complete."""
    long = b"a " * 32767 + b"half-a-secret" + b"b" * 200_000
    lines = list(bounded(io.BytesIO(b"one\n" + long + b"\ntwo\n" + b"three").readline))
    assert [lines[0], *lines[2:]] == [b"one\n", b"two\n", b"three"]
    assert lines[1] == (b"a " * 32767).rstrip()
