"""What `rollout doctor` and `rollout init` make of gateways of several kinds, judged by the gateways' own counters."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from rollout.cli.main import main
from rollout.sandbox.process import start, stop
from rollout.sandbox.settings import SandboxSettings
from tests.support.file_subjects import FileService
from tests.support.stub import Stub

Counted = Callable[[], Any]


@contextmanager
def embedded(folder: Path) -> Iterator[tuple[str, Counted]]:
    """Give the address of an embedded gateway, and everything that it holds and counts."""
    running = start(folder / "state", settings=SandboxSettings.from_mapping({"users_per_s": 0}))
    try:
        with httpx.Client(base_url=running.url, trust_env=False, timeout=10) as client:
            yield running.url, lambda: client.get("/sandbox/state").json()
    finally:
        stop(running)


@contextmanager
def behind_a_file(folder: Path) -> Iterator[tuple[str, Counted]]:
    """Give the address of a service behind a file, its completions and tests of connections, and its file."""
    on = FileService(folder / "service")
    on.folder.start()

    def counted() -> Any:
        asked = on.folder.lines("requests.jsonl")
        costly = [each for each in asked if each["path"].startswith(("/v1/chat", "/reach", "/health"))]
        return [each for each in costly if each["status"] != 404], on.file.read_bytes()

    try:
        yield on.url, counted
    finally:
        on.folder.stop()


@contextmanager
def stranger(_: Path) -> Iterator[tuple[str, Counted]]:
    """Give the address of a server that is no gateway, and what it was asked that is no read."""
    with Stub({("GET", "/"): (200, {"hello": "world"}), ("GET", "/v1/models"): (200, {"models": []})}) as stub:
        yield stub.url, lambda: [each[:2] for each in stub.seen if each[0] not in {"GET", "OPTIONS"}]


CASES: dict[str, tuple[Any, int, tuple[str, ...]]] = {
    "the embedded gateway": (
        embedded,
        0,
        (
            "kind: documented, the embedded gateway, because GET /api/v1/providers: as documented",
            "errors in the log are noticed (MON-5): the log is not read over HTTP; set log_file",
            "environment: sandbox",
        ),
    ),
    "a service behind a file": (
        behind_a_file,
        1,
        (
            "kind: not certain; it may be file, because GET /v1/models lists models as OpenAI's API does (gemma3)",
            "no kind documented: GET /api/v1/providers: 404",
            "`path`, `provider_key` and `model_key` are not known",
            "  kind: file\n",
        ),
    ),
    "a stranger": (
        stranger,
        1,
        (
            "kind: not known, for no installed kind recognises it (GET /api/v1/providers: 404",
            "ask who runs it what it is; `rollout doctor --kinds` lists the installed kinds",
            "# `kind` is not known: ask who runs it",
        ),
    ),
}


@pytest.mark.parametrize(("begin", "code", "says"), CASES.values(), ids=CASES)
def test_doctor_names_each_kind_and_spends_nothing(
    begin: Any, code: int, says: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with begin(tmp_path) as (url, counted):
        before = counted()
        assert main(["doctor", f"--gateway={url}"]) == code
        said = capsys.readouterr().out
        assert counted() == before
    assert said.startswith(f"{url}, read only; nothing was spent\n\nkind: ")
    assert [each for each in says if each not in said] == []


def test_init_writes_a_target_of_the_kind_that_doctor_names_and_says_what_it_needs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with behind_a_file(tmp_path) as (url, counted):
        before = counted()
        assert main(["init", "project", f"--gateway={url}", "--target=lab", "--ci=none"]) == 0
        assert counted() == before
    said = capsys.readouterr().out
    written = (tmp_path / "project/scenarios/targets.yaml").read_text(encoding="utf-8")
    target = yaml.safe_load(written)["lab"]
    assert (target["kind"], target["url"], target["environment"]) == ("file", url, "production")
    assert "# `kind` is not certain: GET /v1/models" in written
    for each in ("`path`, `provider_key` and `model_key`", "`apply`", "`health`"):
        assert f"# {each}" in written
        assert f"complete project/scenarios/targets.yaml: {each}" in said
    monkeypatch.chdir("project")
    assert main(["plan", "--scenario=scenarios/first-change.yaml"]) == 4
    told = capsys.readouterr()
    assert re.search(r"targets\.yaml:\d+: lab\.settings: .*\bpath\b.*\bapply\b.*\bhealth\b", told.out + told.err)


def test_init_refuses_a_stranger_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with stranger(tmp_path) as (url, counted):
        assert main(["init", "project", f"--gateway={url}"]) == 4
        assert counted() == []
    said = capsys.readouterr()
    assert "no other installed kind of gateway is recognised" in said.out + said.err
    assert not (tmp_path / "project").exists()
