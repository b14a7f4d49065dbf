"""`rollout verify-journal`, `rollout prune`, the seal and the manifest, as people meet them."""

from __future__ import annotations

import json
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from rollout.audit import manifest, seal
from rollout.cli.main import main
from rollout.context import RolloutContext
from rollout.core.canonical_json import sha256
from rollout.journal.record import Decision, Kind
from tests.support.keys import listed, make_key
from tests.support.rollouts import rollout_in

RESULT = "allure-results/run-1/a-result.json"


@pytest.fixture
def rollout(tmp_path: Path) -> Iterator[RolloutContext]:
    """A closed rollout with one result, one record and one report; nothing of it is listed yet."""
    rollout = rollout_in(tmp_path)
    with rollout.journal:
        write(rollout, RESULT, "{}")
        write(rollout, "change-record.md", "kept")
        write(rollout, "report.html", "one")
        opened = {"target": {"name": "t"}, "url": "http://x", "change": "c", "author": "alice", "digest": "d"}
        rollout.append(Kind.OPENED, **opened)
        rollout.append(Kind.CLOSED, decision=Decision.KEPT, word="KEPT", why="it held")
        yield rollout


def write(rollout: RolloutContext, name: str, content: str) -> Path:
    path = rollout.folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def conclude(rollout: RolloutContext, by: str = "run-1", **env: str) -> str:
    return seal.conclude(rollout.journal, rollout.id, rollout.folder, env, by=by).line


def verify(folder: Path, capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str]:
    capsys.readouterr()
    code = main(["verify-journal", f"--reports={folder}", *args])
    return code, "".join(capsys.readouterr())


def files(rollout: RolloutContext) -> list[list[str]]:
    return [sorted(row[0] for row in e.body["files"]) for e in rollout.journal.entries("r-1", Kind.MANIFEST)]


def test_a_missing_key_is_said_in_one_line(rollout: RolloutContext, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Nothing is sealed, the files are listed, and the verification says what it does not claim."""
    assert conclude(rollout) == (
        "seal: none, ROLLOUT_SEAL_KEY names no SSH key; a journal that is recomputed or cut would not show"
    )
    assert files(rollout) == [[RESULT, "change-record.md", "report.html"]]
    code, out = verify(tmp_path, capsys)
    assert code == 0, out
    assert "whole: entries 3, files 3" in out
    assert "not claimed: that the last 3 of 3 entries were not recomputed, and that none followed" in out


def test_a_key_that_does_not_sign_changes_nothing(rollout: RolloutContext, tmp_path: Path):
    """It is said why, and nothing is raised: the verdict stands."""
    said = conclude(rollout, ROLLOUT_SEAL_KEY=str(tmp_path / "nobody"))
    assert said == f"seal: none, because {tmp_path / 'nobody'}: there is no such key; name the file of an SSH key"
    locked = make_key(tmp_path, "locked", passphrase="secret")
    assert "needs no passphrase" in conclude(rollout, ROLLOUT_SEAL_KEY=str(locked))
    rollout.journal.close()
    (tmp_path / "journal.sqlite").write_bytes(b"gone")
    assert "seal: none, because there is no journal at " in conclude(rollout)


def test_an_open_rollout_is_not_sealed(tmp_path: Path):
    """Its files are listed, and that is all."""
    rollout = rollout_in(tmp_path)
    with rollout.journal:
        write(rollout, "junit.xml", "<x/>")
        assert conclude(rollout, ROLLOUT_SEAL_KEY="/nobody") == ""
        assert files(rollout) == [["junit.xml"]]


def test_a_seal_names_head_decision_and_files(
    rollout: RolloutContext, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """And its line is what `--head` takes."""
    key = make_key(tmp_path, "pipeline")
    said = conclude(rollout, ROLLOUT_SEAL_KEY=str(key))
    entry = rollout.journal.entries("r-1", Kind.SEAL)[-1]
    manifested = rollout.journal.entries("r-1", Kind.MANIFEST)[-1]
    assert entry.body["sealed"] | {"at": ""} == {
        "rollout": "r-1",
        "decision": "kept",
        "head": {"seq": manifested.seq, "hash": manifested.hash},
        "manifest": manifest.digest(manifest.listed(rollout.journal.entries("r-1"))),
        "at": "",
    }
    head = said.removeprefix("seal: journal head ").partition(",")[0]
    assert head == f"{entry.seq}:{entry.hash}"
    allowed = listed(tmp_path, key)
    code, out = verify(tmp_path, capsys, "r-1", f"--allowed-signers={allowed}", f"--head={head}")
    assert code == 0, out
    assert "signed by pipeline@example.com 1" in out
    code, out = verify(tmp_path, capsys, f"--head={entry.seq}:{'0' * 64}", "--json")
    facts = json.loads(out)
    assert (code, facts["whole"], facts["head"]) == (1, False, head)
    assert facts["findings"][0]["what"].startswith("the head that left the machine is 000000000000…, the journal says")


def test_a_closed_rollout_without_a_seal_shows_where_one_is_asked_for(
    rollout: RolloutContext, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """Whoever names signers expects a seal."""
    conclude(rollout)
    allowed = listed(tmp_path, make_key(tmp_path, "pipeline"))
    code, out = verify(tmp_path, capsys, f"--allowed-signers={allowed}")
    assert code == 1
    assert "ALTERED  rollout r-1: it is closed and not sealed. That means: no signature covers it" in out


@pytest.mark.parametrize(
    ("args", "why"),
    [
        (["nobody"], "there is no rollout 'nobody'"),
        (["--head=7"], "--head: '7' is no head; write it as the notification does, SEQ:HASH"),
        (["--allowed-signers=/nobody"], "/nobody: there is no such list of allowed signers"),
    ],
)
@pytest.mark.usefixtures("rollout")
def test_a_slip_of_the_pen_is_no_finding(tmp_path, capsys, args, why):
    """It is exit code 4, and not 1."""
    code, out = verify(tmp_path, capsys, *args)
    assert code == 4
    assert why in out


def test_a_rebuilt_report_is_listed_and_nothing_else_is(
    rollout: RolloutContext, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """What was altered, or put beside the results, is not made good by building the report again."""
    conclude(rollout)
    write(rollout, "report.html", "two")
    record = write(rollout, "change-record.md", "rolled back")
    beside = write(rollout, "allure-results/run-1/b-result.json", "{}")
    conclude(rollout, by=manifest.BY_REPORT)
    assert files(rollout)[1:] == [["report.html"]]
    code, out = verify(tmp_path, capsys)
    assert code == 1
    assert f"{record}: its SHA-256 is " in out
    assert f"{beside}: no entry of the journal lists it" in out
    assert "report.html" not in out


def test_a_result_is_never_rewritten(rollout: RolloutContext, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Not by its own run either; records are, and a later run's results are listed with it."""
    conclude(rollout)
    result = write(rollout, RESULT, "[]")
    write(rollout, "change-record.md", "rolled back")
    write(rollout, "allure-results/run-2/a-result.json", "{}")
    conclude(rollout, by="run-2")
    assert files(rollout)[1:] == [["allure-results/run-2/a-result.json", "change-record.md"]]
    code, out = verify(tmp_path, capsys)
    assert (code, out.count("ALTERED")) == (1, 1), out
    assert f"{result}: its SHA-256 is " in out


def killed(rollout: RolloutContext) -> None:
    """Let a second run begin, write a result and a document, and die before it lists them."""
    rollout.append(Kind.RUN, run="run-2", phases=["apply"], pid=1)
    write(rollout, "allure-results/run-2/a-result.json", "{}")
    write(rollout, "change-record.md", "rolled back")


def test_what_a_killed_run_left_is_no_alarm_and_is_not_vouched_for(
    rollout: RolloutContext, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """It says which files and why; and the report lists what is there, from where on it must not change."""
    conclude(rollout)
    killed(rollout)
    code, out = verify(tmp_path, capsys)
    assert (code, out.count("ALTERED")) == (0, 0), out
    assert "not claimed: r-1: 1 results, change-record.md: newer than the last list, for run-2 was killed" in out
    conclude(rollout, by=manifest.BY_REPORT)
    code, out = verify(tmp_path, capsys)
    assert (code, "run-2" in out) == (0, False), out
    record = write(rollout, "change-record.md", "kept")
    code, out = verify(tmp_path, capsys)
    assert code == 1
    assert f"{record}: its SHA-256 is " in out


def test_a_killed_run_excuses_nothing_but_its_own(
    rollout: RolloutContext, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """A result that was altered, one beside those of a run that has ended, and one of a run that never began."""
    conclude(rollout)
    killed(rollout)
    names = (RESULT, "allure-results/run-1/b-result.json", "allure-results/run-3/a-result.json")
    odd = [write(rollout, name, "[]") for name in names]
    code, out = verify(tmp_path, capsys)
    assert (code, out.count("ALTERED")) == (1, 3), out
    assert all(f"ALTERED  {path}" in out for path in odd), out


def test_what_was_archived_is_no_alarm(rollout: RolloutContext, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """The journal says who archived it, as what; put back, its files are checked again."""
    conclude(rollout)
    archives = tmp_path / "archives"
    assert main(["prune", f"--reports={tmp_path}", "--keep=1", f"--to={archives}"]) == 0
    assert rollout.folder.exists(), "the latest one stays"
    assert main(["prune", f"--reports={tmp_path}", "--keep=0", f"--to={archives}"]) == 0
    assert not rollout.folder.exists()
    archive = archives / "r-1.tar.gz"
    assert "1 rollout(s) archived and removed" in capsys.readouterr().out
    code, out = verify(tmp_path, capsys)
    assert code == 0, out
    assert f"archived as {archive} (SHA-256 {sha256(archive.read_bytes())}, entry 4 of " in out
    with tarfile.open(archive) as tar:
        tar.extractall(tmp_path, filter="data")
    assert "files 3" in verify(tmp_path, capsys)[1]
    shutil.rmtree(rollout.folder)


def test_a_folder_that_is_gone_is_an_alarm(rollout: RolloutContext, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Removed by hand, nobody said so."""
    conclude(rollout)
    shutil.rmtree(rollout.folder)
    code, out = verify(tmp_path, capsys)
    assert code == 1
    assert "the folder with its 3 files is missing. That means: it was moved or deleted, and not by `rollout" in out


def test_nothing_is_removed_that_cannot_be_archived(rollout: RolloutContext, tmp_path: Path, capsys):
    """A folder that cannot be written keeps everything where it is."""
    (tmp_path / "file").write_text("")
    assert main(["prune", f"--reports={tmp_path}", "--keep=0", f"--to={tmp_path / 'file'}"]) == 4
    assert "r-1 is not archived: " in capsys.readouterr().err
    assert rollout.folder.exists()
    assert main(["prune", f"--reports={tmp_path}", "--keep=-1", f"--to={tmp_path / 'x'}"]) == 4
