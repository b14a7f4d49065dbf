"""A command at a path without a journal exits with 4 and leaves the path as it was (19)."""

from __future__ import annotations

import sqlite3
import stat
from pathlib import Path

import pytest

from rollout.cli.main import main
from rollout.journal.journal import Journal

REMEDY = "Name an existing one with --journal, or its folder with --reports"
OPENED = {"target": {"name": "t"}, "url": "http://x", "change": "c", "author": "alice", "digest": "d"}
COMMANDS = (
    ("verify-journal",),
    ("status", "--all"),
    ("status", "--reconcile=t"),
    ("report",),
    ("recover",),
    ("rollback",),
    ("abort",),
    ("hold", "--for=15m", "--reason=a check"),
    ("prune", "--keep=1", "--to=archives"),
    ("approve", "20260301-120000-x-0000"),
)


def _missing(folder: Path) -> tuple[str, str]:
    return str(folder / "nope"), "there is no such file"


def _below_a_missing_folder(folder: Path) -> tuple[str, str]:
    return f"sqlite:///{folder}/nope/x", "there is no such file"


def _below_a_file(folder: Path) -> tuple[str, str]:
    (folder / "file").write_text("text")
    return str(folder / "file" / "x"), "there is no such file"


def _empty(folder: Path) -> tuple[str, str]:
    (folder / "empty").touch()
    return str(folder / "empty"), "this file is empty"


def _folder(folder: Path) -> tuple[str, str]:
    (folder / "folder").mkdir()
    return str(folder / "folder"), "this is not a file"


def _text(folder: Path) -> tuple[str, str]:
    (folder / "text").write_text("change: {activate: openai, model: gpt-4o}\n")
    return str(folder / "text"), "this file is not a database"


def _other_tables(folder: Path) -> tuple[str, str]:
    sqlite3.connect(folder / "other").executescript("CREATE TABLE invoices (a)").connection.close()
    return str(folder / "other"), "this database is not a rollout journal, its tables are invoices"


def _no_tables(folder: Path) -> tuple[str, str]:
    sqlite3.connect(folder / "bare").executescript("CREATE TABLE a (b); DROP TABLE a").connection.close()
    return str(folder / "bare"), "this database holds none of its tables"


PLACES = (_missing, _below_a_missing_folder, _below_a_file, _empty, _folder, _text, _other_tables, _no_tables)


def _all_of(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Return every path below a folder with its mode and content."""
    return {
        str(path): (path.stat().st_mode, path.read_bytes() if path.is_file() else b"")
        for path in (folder, *sorted(folder.rglob("*")))
    }


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("place", PLACES, ids=lambda make: make.__name__)
def test_a_place_without_a_journal_is_named_with_4_and_left_as_it_was(tmp_path, capsys, monkeypatch, place, command):
    """No command makes a journal where there is none, nor touches what is there instead."""
    monkeypatch.chdir(tmp_path)
    url, why = place(tmp_path)
    before = _all_of(tmp_path)
    code = main([*command, f"--journal={url}"])
    printed = capsys.readouterr()
    at = url.removeprefix("sqlite:///")
    assert (code, printed.out) == (4, ""), printed
    assert printed.err == f"rollout: there is no journal at {at}: {why}. {REMEDY}\n"
    assert _all_of(tmp_path) == before


@pytest.mark.parametrize("command", COMMANDS[:-1], ids=" ".join)
def test_reports_without_a_journal_are_named_and_nothing_is_made(tmp_path, capsys, command):
    """A folder that no run wrote to is no folder of reports, and does not become one."""
    assert main([*command, f"--reports={tmp_path}/reports"]) == 4
    assert f"no journal at {tmp_path}/reports/journal.sqlite: there is no such file" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_holds_no_journal_is_left_without_one(postgres, capsys):
    """A reading command makes no tables in a database of PostgreSQL."""
    url = postgres.new_database()
    for _ in range(2):
        assert main(["verify-journal", f"--journal={url}"]) == 4
        error = capsys.readouterr().err
        assert "there is no journal at postgresql" in error
        assert "this database holds none of its tables" in error


@pytest.mark.parametrize("words", [("verify-journal",), ("status", "--all")], ids=lambda words: words[0])
def test_a_journal_that_is_read_only_is_read(public_folder, clock, ordinary_user, capsys, words):
    """A file of mode 0444 in a folder of mode 0555 is read, and both keep their modes."""
    path = public_folder / "journal.sqlite"
    with Journal.open(str(path), clock=clock) as journal:
        journal.append("r-1", "opened", OPENED)
    # What a command loads, it loads now: Python itself may be out of the ordinary user's reach.
    assert main([*words, f"--reports={public_folder}"]) == 0, capsys.readouterr()
    path.chmod(0o444)
    public_folder.chmod(0o555)
    with ordinary_user():
        assert main([*words, f"--reports={public_folder}"]) == 0, capsys.readouterr()
    assert stat.S_IMODE(path.stat().st_mode) == 0o444
    assert [file.name for file in public_folder.iterdir()] == ["journal.sqlite"]


def test_a_journal_that_others_may_read_is_not_closed_to_them_by_a_read(tmp_path, clock):
    """Only a command that may make a journal restricts who reads it."""
    path = tmp_path / "journal.sqlite"
    Journal.open(str(path), clock=clock).close()
    path.chmod(0o644)
    Journal.open(str(path), clock=clock, create=False).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_a_strangers_file_keeps_its_mode(tmp_path, clock):
    """A path that was mistaken for a journal's is not closed to those who read it."""
    path = tmp_path / "README.md"
    path.write_text("# rollout\n")
    path.chmod(0o644)
    with pytest.raises(Exception, match="there is no journal at"):
        Journal.open(str(path), clock=clock)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
