"""``rollout doctor`` names the kind that answers, by reads that cost nothing."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from rollout.cli.main import main
from tests.support import liar as lies
from tests.support.drivers import TOY, install_driver
from tests.support.liar import Liar

CERTAIN = """
    @classmethod
    def recognise(cls, get):
        from rollout.core.recognition import Recognition

        found, again = get("/toy"), get("/toy")
        if found is None or found.status != 200 or found is not again:
            return None
        return Recognition("GET /toy says it is a toy", IS_CERTAIN, {"port": 8000}, ("which mode: ask its owner",))
"""
SILENT = "    @classmethod\n    def recognise(cls, get):\n        return None\n"
RECOGNISED = TOY.replace(SILENT, CERTAIN)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the module search path."""
    folder = tmp_path / "site"
    monkeypatch.syspath_prepend(folder)
    yield folder
    sys.modules.pop("toy_driver", None)


@pytest.fixture
def gateway() -> Iterator[Liar]:
    """A gateway that answers ``/toy`` and nothing else."""
    with Liar("http://127.0.0.1:1") as liar:
        liar.rule("/toy", lies.answer(200, {}))
        yield liar


def test_a_kind_that_is_certain_is_named_with_a_target(
    site: Path, gateway: Liar, capsys: pytest.CaptureFixture[str]
) -> None:
    install_driver(site, code=RECOGNISED.replace("IS_CERTAIN", "True"))
    assert main(["doctor", f"--gateway={gateway.url}", "--target=lab"]) == 0
    said = capsys.readouterr().out
    assert re.search(
        r"nothing was spent\n\nkind: toy, because GET /toy says it is a toy\nsent: .*GET /toy\b.*; none of them costs",
        said,
        re.MULTILINE,
    )
    assert "what cannot be found out here\n  which mode: ask its owner\n" in said
    assert "# which mode: ask its owner\n" in said
    target = yaml.safe_load(said[said.index("# which mode") :])["lab"]
    assert (target["kind"], target["settings"], target["url"]) == ("toy", {"port": 8000}, gateway.url)
    # The kinds that are shipped read paths of their own, each once.
    paths = [request.path for request in gateway.requests]
    assert paths.count("/toy") == 1
    assert len(paths) == len(set(paths))


def test_init_starts_from_a_kind_that_is_certain(
    site: Path, gateway: Liar, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    install_driver(site, code=RECOGNISED.replace("IS_CERTAIN", "True"))
    monkeypatch.chdir(tmp_path)
    assert main(["init", "project", f"--gateway={gateway.url}", "--target=lab", "--ci=none"]) == 0
    written = (tmp_path / "project/scenarios/targets.yaml").read_text(encoding="utf-8")
    target = yaml.safe_load(written)["lab"]
    assert (target["kind"], target["settings"], target["url"]) == ("toy", {"port": 8000}, gateway.url)
    assert "# which mode: ask its owner\n" in written
    assert "not certain" not in written
    assert "complete project/scenarios/targets.yaml: which mode: ask its owner" in capsys.readouterr().out


def test_a_kind_that_may_fit_is_named_as_such_with_a_target(
    site: Path, gateway: Liar, capsys: pytest.CaptureFixture[str]
) -> None:
    install_driver(site, code=RECOGNISED.replace("IS_CERTAIN", "False"))
    assert main(["doctor", f"--gateway={gateway.url}", "--target=lab"]) == 1
    said = capsys.readouterr().out
    assert "kind: not certain; it may be toy, because GET /toy says it is a toy\n" in said
    assert "# `kind` is not certain: GET /toy says it is a toy\n# which mode: ask its owner\nlab:\n" in said
    assert yaml.safe_load(said[said.index("# `kind`") :])["lab"]["kind"] == "toy"


def test_a_stranger_is_examined_as_before(site: Path, gateway: Liar, capsys: pytest.CaptureFixture[str]) -> None:
    install_driver(site)
    assert main(["doctor", f"--gateway={gateway.url}"]) == 1
    said = capsys.readouterr().out
    assert "kind: not known, for no installed kind recognises it (GET /api/v1/providers: " in said
    assert "NO   providers" in said
    assert "toy" not in said
