"""A sample is chosen by its seed alone, can be chosen again without this program, and names what it lacks."""

from __future__ import annotations

import hashlib
import json
import tarfile
from pathlib import Path

import pytest

from rollout.cli.main import main
from rollout.core.errors import RolloutError
from rollout.reporting.audit_sample import SampleRequest, choose, pack_sample
from rollout.reporting.rollout_facts import RolloutFacts
from tests.support.journaled import kept, rolled_back

IDS = [f"r-{number}" for number in range(40)]


def test_the_choice_is_that_of_sha256sum() -> None:
    by_hand = sorted(IDS, key=lambda id_: hashlib.sha256(b"2026-Q4:" + id_.encode()).hexdigest())[:5]
    assert list(choose(IDS, "2026-Q4", 5)) == by_hand
    assert choose(IDS[::-1], "2026-Q4", 5) == choose(IDS, "2026-Q4", 5)
    assert choose(IDS, "2026-Q3", 5) != choose(IDS, "2026-Q4", 5)


def test_a_larger_sample_holds_the_smaller_one() -> None:
    assert choose(IDS, "s", 9)[:4] == choose(IDS, "s", 4)


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    """A journal with r-1 (rolled back, with a file and a link out of its folder) and r-2 (kept, no folder)."""
    with rolled_back(tmp_path, id="r-1") as journaled:
        folder = journaled.rollout.folder
        (folder / "change-record.md").write_text("evidence")
        (tmp_path / "outside").write_text("not evidence")
        (folder / "link").symlink_to(tmp_path / "outside")
    with kept(tmp_path, id="r-2"):
        pass
    folder = tmp_path / "reports" / "r-2"
    folder.rename(tmp_path / "moved away")
    return tmp_path / "reports"


def sample(reports: Path, out: Path, *options: str) -> int:
    return main(["audit-sample", f"--reports={reports}", "--seed=s", "-n", "5", f"--out={out}", *options])


def test_the_archive_holds_the_evidence_and_says_what_it_lacks(
    reports: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sample(reports, tmp_path / "out") == 0
    said = capsys.readouterr().out
    assert "r-2  NOT PACKED: there is no folder of it below the reports" in said
    assert "2 of a population of 2, seed s, which are all: 5 were asked for" in said
    with tarfile.open(tmp_path / "out" / "audit-sample-s.tar.gz") as tar:
        names = tar.getnames()
        content = {name: (file.read() if (file := tar.extractfile(name)) else b"") for name in names}
    manifest = json.loads(content["manifest.json"])
    chosen = {row["rollout"]: row for row in manifest["chosen"]}
    assert (manifest["seed"], manifest["population"]["size"]) == ("s", 2)
    assert content["r-1/change-record.md"] == b"evidence"
    assert chosen["r-1"]["files"]["change-record.md"] == hashlib.sha256(b"evidence").hexdigest()
    assert chosen["r-1"]["facts"]["ticket"] == "T-1"
    assert (chosen["r-2"]["files"], chosen["r-2"]["missing"]) == ({}, "there is no folder of it below the reports")
    assert "r-1/link" not in names
    assert b"r-2" in content["population.csv"]


def test_the_same_seed_gives_the_same_bytes_and_no_other_sample_is_overwritten(reports: Path, tmp_path: Path) -> None:
    archive = tmp_path / "out" / "audit-sample-s.tar.gz"
    assert sample(reports, archive.parent) == 0
    first = archive.read_bytes()
    assert sample(reports, archive.parent) == 0
    assert archive.read_bytes() == first
    (reports / "r-1" / "change-record.md").write_text("another")
    assert sample(reports, archive.parent) == 4
    assert archive.read_bytes() == first


def test_a_pruned_rollout_is_missing_with_its_archive(tmp_path: Path) -> None:
    packed = pack_sample(
        SampleRequest("s", 1), [RolloutFacts("r-9")], tmp_path, tmp_path, "", {"r-9": "/archive/r-9.tar.gz"}
    )
    assert packed.missing == {"r-9": "`rollout prune` archived it as /archive/r-9.tar.gz"}


def test_the_population_is_what_fits(reports: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sample(reports, tmp_path / "out", "--target=nobody") == 4
    assert "no rollout fits --target and --since" in capsys.readouterr().err
    assert sample(reports, tmp_path / "out", "--target=t", "--since=2020-01-01") == 0
    assert "2 of a population of 2" in capsys.readouterr().out
    assert sample(reports, tmp_path / "later", "--since=2099-01-01") == 4


def test_no_rollout_is_no_sample(reports: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit-sample", f"--reports={reports}", "--seed=s", "-n", "0", f"--out={tmp_path}"]) == 4
    assert "-n: 0 rollouts are no sample; write 1 or more" in capsys.readouterr().err
    with pytest.raises(RolloutError, match="nothing to sample"):
        pack_sample(SampleRequest("s", 1), [], reports, tmp_path, "", {})
