"""Kinds of errors, and the lines since a mark through rotation and truncation."""

from __future__ import annotations

import gzip
from dataclasses import asdict
from pathlib import Path

import pytest

from rollout.gateway.host.log_file import parse
from rollout.monitoring.sources.error_log import LogLost, Mark, before, kind, kinds, mark, since


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("12:34:56 | ERROR    | complete - failed after 31 ms", "01:02:03 | ERROR | complete - failed after 7 ms"),
        ("request 1f2e3d4c-aaaa-bbbb-cccc-0123456789ab lost", "request 9f2e3d4c-aaaa-bbbb-cccc-0123456789ff lost"),
        ("chatcmpl-0af31b22c9d84e55 broke off", "chatcmpl-ffe31b22c9d84e01 broke off"),
        ("session ab12CD34ef56GH78ij ended", "session zz99YY88xx77WW66vv ended"),
    ],
)  # fmt: skip
def test_lines_that_differ_in_numbers_and_ids_are_of_one_kind(one: str, other: str):
    assert kind(one) == kind(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("openai failed: HTTP 401", "openai failed: HTTP 502"),
        ("status=500", "status=429"),
        ("openai failed", "google failed"),
    ],
)
def test_another_status_or_another_word_is_another_kind(one: str, other: str):
    assert kind(one) != kind(other)


def test_only_severe_lines_count_and_secrets_are_taken_out_first():
    lines = map(parse, ("INFO:     fine", "ERROR:    key hunter2 refused", "ERROR:    key hunter2 refused"))
    assert kinds(lines, lambda text: text.replace("hunter2", "[redacted]")) == {"ERROR: key [redacted] refused": 2}


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "gateway.log"
    path.write_text("ERROR: old\n")
    return path


def added(log: Path, at: Mark) -> list[str]:
    return [line.text for line in since(log, at)]


def test_what_was_added_is_distinguished_from_what_was_there(log: Path):
    at = mark(log)
    log.write_text(log.read_text() + "ERROR: new\n")
    assert [line.text for line in before(log, at)] == ["ERROR: old"]
    assert added(log, at) == ["ERROR: new"]
    assert Mark(**asdict(at)) == at


def test_a_log_that_was_rotated_is_read_on_in_the_file_it_was_moved_to(log: Path):
    at = mark(log)
    log.write_text(log.read_text() + "ERROR: before the rotation\n")
    log.rename(log.with_name("gateway.log.1"))
    log.write_text("ERROR: after it\n")
    assert added(log, at) == ["ERROR: before the rotation", "ERROR: after it"]


def test_what_is_lost_raises_an_error(log: Path):
    at = mark(log)
    log.write_text("ERR")
    with pytest.raises(LogLost, match="was truncated or written anew"):
        added(log, at)
    log.write_text("ERROR: quite another beginning, and longer than before\n")
    with pytest.raises(LogLost, match="was truncated or written anew"):
        added(log, at)
    log.rename(log.with_name("elsewhere"))
    log.write_text("ERROR: new\n")
    with pytest.raises(LogLost, match="the file that it was then is gone or compressed"):
        added(log, at)
    log.unlink()
    with pytest.raises(LogLost, match="is gone"):
        added(log, at)


def test_a_rotated_part_that_is_compressed_is_not_read(log: Path):
    at = mark(log)
    log.rename(log.with_name("gateway.log.2"))
    log.with_name("gateway.log.1.gz").write_bytes(gzip.compress(b"ERROR: unseen\n"))
    log.write_text("ERROR: new\n")
    with pytest.raises(LogLost, match=r"a part of it is compressed: gateway\.log\.1\.gz"):
        added(log, at)
