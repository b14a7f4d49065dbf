"""An archive of `rollout prune` is verified by itself: no journal, and every alteration shows."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from rollout.audit import seal
from rollout.cli.main import main
from rollout.core.canonical_json import sha256
from rollout.journal.record import Decision, Kind
from tests.support.journaled import JournaledRollout
from tests.support.keys import listed, make_key

Contents = dict[str, bytes]


@pytest.fixture
def archive(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """The archive of a rollout, between the entries of another one; journal and folder are gone afterwards."""
    reports = closed_rollout(tmp_path)
    assert main(["prune", f"--reports={reports}", "--keep=0", f"--to={tmp_path / 'archives'}"]) == 0
    capsys.readouterr()
    reports.rename(tmp_path / "gone")
    return tmp_path / "archives" / "r-1.tar.gz"


def closed_rollout(tmp_path: Path, **env: str) -> Path:
    """Return the reports of a rollout with a result, whose files are listed and, with a key, sealed."""
    with JournaledRollout(tmp_path, id="r-1") as journaled:
        rollout = journaled.rollout
        journaled.begins("run-1", "precheck")
        journaled.check("run-1", "PRE-1.1")
        rollout.journal.append("r-0", Kind.OPENED, rollout.record().opened)
        journaled.closes(Decision.NOTHING_APPLIED, "NOTHING APPLIED", "PRE-5.3: an alert")
        seal.conclude(rollout.journal, "r-1", rollout.folder, env, by="run-1")
        return rollout.folder.parent


def verify(archive: Path, capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, str]:
    code = main(["verify-journal", f"--reports={archive.parent / 'none'}", f"--archive={archive}", *options])
    return code, "".join(capsys.readouterr())


def rewrite(archive: Path, change: Callable[[Contents], None]) -> Path:
    with tarfile.open(archive) as tar:
        contents = {each.name: file.read() for each in tar if (file := tar.extractfile(each)) is not None}
    change(contents)
    altered = archive.with_name("altered.tar.gz")
    with tarfile.open(altered, "w:gz") as tar:
        for name, content in contents.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return altered


def lines(contents: Contents) -> list[str]:
    return contents["r-1.journal.jsonl"].decode().splitlines()


def store(contents: Contents, found: list[str]) -> None:
    contents["r-1.journal.jsonl"] = "".join(f"{line}\n" for line in found).encode()


def test_a_sound_archive_is_whole_without_a_journal(archive: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out = verify(archive, capsys)
    assert code == 0, out
    assert "whole: entries " in out
    assert "files 1" in out
    assert f"that the journal records this very archive, SHA-256 {sha256(archive.read_bytes())}" in out
    assert "not claimed: that no entry after the last one was left out" in out
    assert not (archive.parent / "none").exists()


def test_an_altered_file_shows(archive: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def change(contents: Contents) -> None:
        name = next(name for name in contents if name.endswith("-result.json"))
        contents[name] = b"{}"

    code, out = verify(rewrite(archive, change), capsys)
    assert code == 1
    assert "its SHA-256 is " in out


def test_a_missing_and_an_added_file_show(archive: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def change(contents: Contents) -> None:
        del contents[next(name for name in contents if name.endswith("-result.json"))]
        contents["r-1/allure-results/run-1/added-result.json"] = b"{}"
        contents["r-9/stranger"] = b""

    code, out = verify(rewrite(archive, change), capsys)
    assert code == 1
    assert "it is missing; entry " in out
    assert "added-result.json: no entry of the journal lists it" in out
    assert "r-9: it is no file of r-1" in out


def test_an_altered_entry_shows(archive: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def change(contents: Contents) -> None:
        store(contents, [line.replace("an alert", "no alert") for line in lines(contents)])

    code, out = verify(rewrite(archive, change), capsys)
    assert code == 1
    assert "was changed after it was written" in out


def test_neighbouring_entries_are_linked(archive: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An entry that is recomputed by the rules does not fit the one after it."""

    def change(contents: Contents) -> None:
        found = [json.loads(line) for line in lines(contents)]
        entry = found[1]
        entry["body"] = {**entry["body"], "added": 1}
        entry["hash"] = sha256({key: entry[key] for key in ("seq", "rollout", "at", "kind", "body", "prev")})
        store(contents, [json.dumps(each) for each in found])

    code, out = verify(rewrite(archive, change), capsys)
    assert code == 1
    assert "was not written after entry 2 as it stands" in out


def test_entries_in_another_order_show(archive: Path, capsys: pytest.CaptureFixture[str]) -> None:
    altered = rewrite(archive, lambda contents: store(contents, lines(contents)[::-1]))
    code, out = verify(altered, capsys)
    assert code == 1
    assert "does not belong after entry" in out


def test_an_entry_that_leads_out_of_the_archive_is_refused(archive: Path, capsys: pytest.CaptureFixture[str]) -> None:
    altered = rewrite(archive, lambda contents: contents.update({"../outside": b"x"}))
    code, out = verify(altered, capsys)
    assert code == 4
    assert "holds ../outside, which leads out of it" in out


@pytest.mark.parametrize("content", [b"", b"no archive"])
def test_what_is_no_archive_is_one_line(tmp_path: Path, content: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.tar.gz"
    path.write_bytes(content)
    code, out = verify(path, capsys)
    assert code == 4
    assert "is no archive that `rollout prune` has written" in out or "has no entries of a journal" in out
    assert "Traceback" not in out


def test_an_archive_of_an_earlier_version_is_named_as_one(archive: Path, capsys: pytest.CaptureFixture[str]) -> None:
    altered = rewrite(archive, lambda contents: contents.pop("r-1.journal.jsonl") and None)
    code, out = verify(altered, capsys)
    assert code == 4
    assert "an earlier version wrote it; unpack it beside the journal" in out


def test_a_rollouts_id_and_a_head_belong_to_a_journal(archive: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert verify(archive, capsys, "r-1")[0] == 4
    assert verify(archive, capsys, f"--head=1:{'0' * 64}")[0] == 4


def test_the_seal_is_verified_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key = make_key(tmp_path, "pipeline")
    reports = closed_rollout(tmp_path, ROLLOUT_SEAL_KEY=str(key))
    assert main(["prune", f"--reports={reports}", "--keep=0", f"--to={tmp_path / 'archives'}"]) == 0
    archive = tmp_path / "archives" / "r-1.tar.gz"
    signers = f"--allowed-signers={listed(tmp_path, key)}"
    code, out = verify(archive, capsys, signers)
    assert code == 0, out
    assert "signed by pipeline@example.com 1" in out
    cut = rewrite(archive, lambda contents: store(contents, lines(contents)[:-1]))
    code, out = verify(cut, capsys, signers)
    assert code == 1
    assert "it is closed and not sealed" in out
