"""What the server answers: the page, its state and documents; to this machine only, and nothing that changes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from rollout.core.clock import SystemClock
from rollout.core.errors import JournalError
from rollout.journal.journal import Journal
from rollout.serve.application import StateReader, build_application, find_document
from rollout.serve.board import Board
from tests.support.journaled import kept


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a rollout that was kept, with documents beside files that are none."""
    folder = tmp_path_factory.mktemp("served") / "reports"
    with kept(folder.parent):
        pass
    for name in ("report.html", "change-record.json", "allure-results/run-1/1.json", "backup/.env", "backup/env.txt"):
        (folder / "r-1" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "r-1" / name).write_text(f"this is {name}")
    (folder / "index.html").write_text("the index")
    (folder / "sandbox").mkdir()
    (folder / "sandbox" / "settings.json").write_text("a token")
    (folder / ".hidden.html").write_text("hidden")
    (folder / "r-1" / "linked.html").symlink_to("/etc/passwd")
    return folder


@pytest.fixture(scope="module")
def journal(reports: Path) -> Iterator[Journal]:
    with Journal.open(str(reports / "journal.sqlite"), clock=SystemClock(), create=False) as journal:
        yield journal


Ask = Callable[..., httpx.Response]


@pytest.fixture(scope="module")
def ask(reports: Path, journal: Journal) -> Ask:
    """Ask the application as a client on this machine does."""
    transport = httpx.ASGITransport(build_application(Board(journal), reports))

    def ask(path: str, method: str = "GET", **how: Any) -> httpx.Response:
        async def answer() -> httpx.Response:
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
                return await client.request(method, path, **how)

        # In a thread of its own: another test of the session may have left an event loop in this one.
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(lambda: asyncio.run(answer())).result()

    return ask


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "text/html"),
        ("/page.css", "text/css"),
        ("/page.js", "text/javascript"),
        ("/state.json", "application/json"),
    ],
)
def test_the_page_runs_only_what_the_server_sends(ask: Ask, path: str, kind: str) -> None:
    answer = ask(path)
    assert (answer.status_code, answer.headers["content-type"].partition(";")[0]) == (200, kind)
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    assert answer.headers["cache-control"] == "no-store"


def test_the_state_is_that_of_the_journal(ask: Ask) -> None:
    state = ask("/state.json").json()
    assert (state["closed"], state["rollouts"], state["has_index"]) == (1, [], True)


@pytest.mark.parametrize("host", ["attacker.example", "192.0.2.1", "localhost.attacker.example"])
def test_another_name_that_leads_here_gets_no_answer(ask: Ask, host: str) -> None:
    assert ask("/state.json", headers={"host": host}).status_code == 400


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize("path", ["/", "/state.json", "/events", "/reports/index.html"])
def test_nothing_can_be_changed(ask: Ask, method: str, path: str) -> None:
    assert ask(path, method).status_code == 405


@pytest.mark.parametrize("path", ["index.html", "r-1/report.html", "r-1/allure-results/run-1/1.json"])
def test_documents_of_rollouts_are_served(ask: Ask, path: str) -> None:
    assert ask(f"/reports/{path}").status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "journal.sqlite",
        "r-1/backup/.env",
        "r-1/backup/env.txt",
        "sandbox/settings.json",
        ".hidden.html",
        "r-1/linked.html",
        "r-1",
        "",
        "%2e%2e/reports/index.html",
        "r-1/../sandbox/settings.json",
        "/etc/passwd",
    ],
)
def test_no_other_file_is_served(ask: Ask, reports: Path, path: str) -> None:
    assert ask(f"/reports/{path}").status_code == 404
    assert find_document(reports, path.replace("%2e", ".")) is None


def test_a_journal_that_cannot_be_read_leaves_what_was_read_last(
    reports: Path, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = StateReader(Board(journal), reports)
    before = reader.read()

    def fail(*_: object, **__: object) -> None:
        raise JournalError("it is locked")

    monkeypatch.setattr(journal, "entries", fail)
    now = reader.read()
    assert now == {**before, "trouble": "the journal cannot be read, and is tried again: it is locked"}
    assert json.dumps(now)
