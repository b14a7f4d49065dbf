"""`rollout status --all`: the history across rollouts, and which of them the filters choose (DOC-3)."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rollout.cli.main import main
from rollout.context import RolloutContext
from rollout.core.clock import SystemClock
from rollout.journal.journal import Journal
from rollout.journal.record import Kind
from tests.support.clocks import SimulatedClock
from tests.support.rollouts import rollout_in

ROWS = (
    ("r-1", "production", "alice", "kept"),
    ("r-2", "staging", "bob", "rolled_back"),
    ("r-3", "production", "[bold]Bob[/]", None),
)


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    """Three rollouts, a day apart."""
    first = rollout_in(tmp_path, clock=SimulatedClock(datetime(2025, 11, 23, 12, tzinfo=UTC)))
    for id_, target, author, decision in ROWS:
        _tell(first, id_, target, author, decision)
        first.clock.wait(timedelta(days=1).total_seconds())
    return tmp_path


def _tell(rollout: RolloutContext, id_: str, target: str, author: str, decision: str | None) -> None:
    opened = {"digest": id_, "target": {"name": target}, "url": "u", "change": "openai:gpt-4o", "author": author}
    rollout.journal.append(id_, Kind.OPENED, {**opened, "ticket": None})
    if decision:
        rollout.journal.append(id_, Kind.CLOSED, {"decision": decision, "word": "w", "why": "because", "fence": 0})


def listed(reports: Path, capsys: pytest.CaptureFixture[str], *args: str) -> list[str]:
    assert main(["status", f"--reports={reports}", "--json", *args]) == 0
    return [row["rollout"] for row in json.loads(capsys.readouterr().out)]


@pytest.mark.parametrize(
    ("args", "found"),
    [
        (["--all"], ["r-1", "r-2", "r-3"]),
        (["--target=production"], ["r-1", "r-3"]),
        (["--author=ALICE"], ["r-1"]),
        (["--decision=rolled_back"], ["r-2"]),
        (["--decision=open"], ["r-3"]),
        (["--since=2025-11-24T12:00"], ["r-2", "r-3"]),
        (["--since=2025-11-25"], ["r-3"]),
        (["--target=production", "--decision=kept"], ["r-1"]),
        (["--target=nowhere"], []),
    ],
)
def test_each_filter_leaves_those_that_fit(reports, capsys, args, found):
    """One alone asks for the closed ones too; several have to fit together."""
    assert listed(reports, capsys, *args) == found


def test_who_ran_it_is_named_beside_its_author(reports, capsys):
    """With the job's address and the commit, on one line; a journal of an earlier version does not say it."""
    by = {"name": "carol", "service": "GitLab CI", "job": "https://gitlab.example.com/-/jobs/1", "commit": "a" * 40}
    rollout_in(reports).journal.append("r-2", Kind.RUN, {"run": "x", "phases": ["apply"], "pid": 1, "by": by})
    assert main(["status", f"--reports={reports}", "--target=staging"]) == 0
    words = "carol: apply (GitLab CI, https://gitlab.example.com/-/jobs/1, commit aaaaaaaaaaaa)"
    assert f"by      bob\nrun_by  {words}\nsince" in capsys.readouterr().out
    assert main(["status", f"--reports={reports}", "--all", "--json"]) == 0
    assert [row["run_by"] for row in json.loads(capsys.readouterr().out)] == [None, words, None]


def test_so_long_ago_counts_from_now(reports, capsys):
    """A duration reads like everywhere else."""
    assert listed(reports, capsys, "--since=876000h") == ["r-1", "r-2", "r-3"]
    assert listed(reports, capsys, "--since=1ms") == []


def test_a_since_that_is_no_moment_is_one_line(reports, capsys):
    assert main(["status", f"--reports={reports}", "--since=yesterday"]) == 4
    assert main(["status", f"--reports={reports}", "--since=36"]) == 4
    assert "'yesterday' is neither a moment nor a duration; write one such as" in capsys.readouterr().err


def test_a_terminal_gets_a_table_and_a_pipe_plain_lines(reports, capsys, monkeypatch):
    """What a name looks like is no markup in it."""
    assert main(["status", f"--reports={reports}", "--all"]) == 0
    assert "rollout r-1\n" in capsys.readouterr().out
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["status", f"--reports={reports}", "--all"]) == 0
    out = capsys.readouterr().out
    (row,) = [line for line in out.splitlines() if "r-3" in line]
    assert "2025-11-25 12:00:00Z" in row
    assert "[bold]Bob[/]" in row
    assert "rollout r-1\n" not in out
    assert "owed" not in out, "nothing is owed to any of them"


def test_the_table_says_what_is_owed_and_overdue(reports, capsys, monkeypatch):
    with Journal.open(f"sqlite:///{reports / 'journal.sqlite'}", clock=SystemClock()) as journal:
        for id_, due in (("r-1", "2025-12-01T12:00:00.000Z"), ("r-2", "2999-12-01T12:00:00.000Z")):
            journal.append(id_, Kind.INTENT, {"step": "APP-1.2", "direction": "forward", "to": "x:y", "fence": 0})
            journal.append(id_, Kind.OWED, {"what": "review", "due": due, "fence": 0})
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "250")
    assert main(["status", f"--reports={reports}", "--all"]) == 0
    table = [line.split("│") for line in capsys.readouterr().out.splitlines() if "r-" in line]
    assert {row[2].strip(): row[8].strip() for row in table} == {
        "r-1": "review OVERDUE since 2025-12-01T12:00:00.000Z",
        "r-2": "review due by 2999-12-01T12:00:00.000Z",
        "r-3": "",
    }


HEAVY = {"httpx", "rollout.context", "rollout.engine.recovery", "rollout.gateway.client", "rollout.sandbox.process"}


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        ("main(['status', {0!r}])", ["rollout r-3"]),
        ("main(['status', '--all', {0!r}])", ["rollout r-1", "rollout r-2", "rollout r-3"]),
        ("import rollout.reporting.html.index", []),
    ],
    ids=["status", "history", "index"],
)
def test_what_only_reads_loads_no_client_of_the_gateway(reports: Path, command: str, shown: list[str]):
    """Neither where a rollout is in flight."""
    intent = {"step": "APP-1.2", "direction": "forward", "to": "x:y", "fence": 0}
    rollout_in(reports).journal.append("r-3", Kind.INTENT, intent)
    lines = ("import sys", "from rollout.cli.main import main", command.format(f"--reports={reports}"))
    source = "\n".join((*lines, "print(*sys.modules, file=sys.stderr)"))
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True, cwd=reports)
    assert not HEAVY & set(done.stderr.split())
    assert [line for line in done.stdout.splitlines() if line.startswith("rollout ")] == shown
