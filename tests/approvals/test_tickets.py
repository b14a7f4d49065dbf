"""PRE-2.1: the ticket's form, and the look-up in a real HTTP server."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rollout.approvals import tickets
from rollout.approvals.tickets import Ticket, read_ticket
from rollout.core.policy import Policy
from rollout.core.scenario import Scenario
from tests.support.rollouts import NEW, rollout_in
from tests.support.stub import Stub

TOKEN = "tracker-token-0123456789"


@pytest.fixture
def server() -> Iterator[Stub]:
    """A tracker that knows one ticket."""
    with Stub({("GET", "/issues/OPS%2F1"): (200, {"key": "OPS/1"})}) as stub:
        yield stub


def found(folder: Path, ticket: str | None, env: dict[str, str] | None = None, **demands: Any) -> Ticket:
    """Return what is found of a scenario's ticket."""
    scenario = Scenario("s", "s.yaml", "t", (NEW,), author="alice", ticket=ticket)
    policy = Policy("lab", **demands)
    return read_ticket(rollout_in(folder, scenario=scenario, policy=policy, env=env or {}, secrets=(TOKEN,)))


@pytest.mark.parametrize(
    ("ticket", "pattern", "problem"),
    [
        (None, r"\S+", "s.yaml names no ticket; add `ticket:` or pass --ticket=ID"),
        ("OPS 1", r"\S+", r"ticket 'OPS 1' does not match policy 'lab': \S+"),
        ("OPS-1x", r"[A-Z]+-[0-9]+", "ticket 'OPS-1x' does not match policy 'lab': [A-Z]+-[0-9]+"),
        ("OPS-1", r"[A-Z]+-[0-9]+", ""),
    ],
)
def test_a_ticket_has_the_policys_form(tmp_path: Path, ticket: str | None, pattern: str, problem: str) -> None:
    """As a whole; without a tracker nobody is asked."""
    assert found(tmp_path, ticket, ticket_pattern=pattern) == Ticket(ticket, pattern, None, problem)


def test_a_ticket_of_another_form_is_not_read(tmp_path: Path, server: Stub) -> None:
    """What is no ticket makes no URL."""
    assert found(tmp_path, "../x", ticket_pattern="[A-Z]+", ticket_lookup=f"{server.url}/issues/{{ticket}}").problem
    assert server.seen == []


def test_the_tracker_knows_the_ticket(tmp_path: Path, server: Stub) -> None:
    """Its id is quoted, and the token goes along."""
    seen = found(
        tmp_path,
        "OPS/1",
        {"TRACKER": f"{TOKEN}\n"},
        ticket_lookup=f"{server.url}/issues/{{ticket}}",
        ticket_token_env="TRACKER",
    )
    assert (seen.problem, seen.asked) == ("", f"{server.url}/issues/OPS%2F1")
    [(_, path, headers, _, _)] = server.seen
    assert (path, headers["authorization"]) == ("/issues/OPS%2F1", f"Bearer {TOKEN}")


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (404, "knows no such ticket (404); is it the right one?"),
        (401, "shows no ticket (401); does it ask for a token (ticket_token_env)?"),
        (403, "shows no ticket (403)"),
        (302, "shows no ticket (302)"),
        (500, "answers 500, and only 200 says that the ticket is there"),
        (204, "answers 204"),
        (599, "answers 599"),
    ],
)
def test_no_other_answer_documents_a_change(tmp_path: Path, server: Stub, status: int, says: str) -> None:
    """An error page, a login page and an empty answer are no ticket."""
    server.answers = {("GET", "/OPS-1"): (status, {})}
    seen = found(tmp_path, "OPS-1", ticket_lookup=f"{server.url}/{{ticket}}")
    assert seen.problem.startswith(f"ticket OPS-1: the tracker at {server.url.removeprefix('http://')} ")
    assert says in seen.problem


def test_an_endless_answer_is_cut(tmp_path: Path, server: Stub) -> None:
    """A cap holds the body."""
    server.answers = {("GET", "/OPS-1"): (200, "x" * 3_000_000)}
    seen = found(tmp_path, "OPS-1", ticket_lookup=f"{server.url}/{{ticket}}")
    assert "gave no answer: the answer is longer than 2097152 bytes" in seen.problem


def test_a_tracker_that_does_not_answer_fails_the_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At a deadline, or at once where nobody listens."""
    monkeypatch.setattr(tickets, "DEADLINE_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        lookup = f"http://127.0.0.1:{silent.getsockname()[1]}/{{ticket}}"
        assert "gave no answer: no complete answer within 0.2 s" in found(tmp_path, "T-1", ticket_lookup=lookup).problem
    seen = found(tmp_path, "T-1", ticket_lookup=lookup)
    assert "(connection refused); is the tracker running?" in seen.problem


def test_a_token_that_is_not_there_is_named_and_nobody_is_asked(tmp_path: Path, server: Stub) -> None:
    """The variable's name is all that is known of it."""
    seen = found(tmp_path, "T-1", ticket_lookup=f"{server.url}/{{ticket}}", ticket_token_env="TRACKER")
    assert "was not asked: the environment variable TRACKER is not set" in seen.problem
    assert server.seen == []


def test_a_token_appears_in_no_message(tmp_path: Path, server: Stub) -> None:
    """Not even where the answer repeats it, or no header can carry it."""
    lookup = {"ticket_lookup": f"{server.url}/{{ticket}}", "ticket_token_env": "TRACKER"}
    seen = found(tmp_path, "T-1", {"TRACKER": f"{TOKEN}\nX: y"}, **lookup)
    assert "is there a line feed in the token?" in seen.problem
    assert TOKEN not in seen.problem
