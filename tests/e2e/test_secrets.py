"""No secret reaches a file, the journal or a terminal: planted wherever one can be, looked for in all that is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from tests.journal.postgres_server import PASSWORD, PostgresServer
from tests.support.kinds import PROVIDER
from tests.support.liar import answer, edited
from tests.support.runs import ROOT, Lab, eventually
from tests.support.secrets import found, leak, spellings, within

TOKEN = "Zq7/Lw+3=Vx9&Tb5~Rk2Pm8Gd"
IN_ENV = "Hn4/Yc+6=Jf1&Ws3~Db9Xk7Vt"
NEW_IN_ENV = "Bm2/Qe+8=Lz5&Nr6~Ga1Uj4Oy"
IN_ENVIRONMENT = "Fw9/Rb2+5=Kd7&Mz4~Xc6Hq1Sn"
CHANNEL = "c4H9n2L7s5T1q8W3k6"
OURS = "corp:4711-0815-2233"
SECRETS = {
    "token": TOKEN,
    ".env": IN_ENV,
    "new value": NEW_IN_ENV,
    "environment": IN_ENVIRONMENT,
    "channel": CHANNEL,
    "pattern": OURS,
}

LEAK = f"{leak(TOKEN, IN_ENV, NEW_IN_ENV, IN_ENVIRONMENT, CHANNEL)}; and for {OURS}"
ENV_FILE = "ACTIVE_PROVIDER=ollama\nLLM_MODEL_NAME=gemma3:4b\nOPENAI_API_KEY=sk-demo-made-up-for-the-sandbox-cdef\n"
LEAKING = ("-p", "tests.support.leaking", "-o", "junit_logging=all")


WHOLE = {"real": True, "report": True}
"""Everything that a run writes is searched, its report too."""


@dataclass(frozen=True)
class Left:
    """What a run has left to be searched.

    Attributes:
        out: what it and the commands after it printed.
        reports: where its files are.
        rows: the journal's rows, where it is no file.
    """

    out: str
    reports: Path
    rows: str = ""

    def found(self, name: str) -> dict[str, set[str]]:
        """Return where a secret stands, and in which spellings."""
        secret = SECRETS[name]
        texts = {"stdout": self.out, "rows": self.rows}
        told = {where: set(within(text.encode(), secret)) for where, text in texts.items()}
        return {where: seen for where, seen in told.items() if seen} | found(self.reports, secret)

    def found_all(self) -> dict[str, dict[str, set[str]]]:
        """Return name -> where that secret stands, of every secret that stands anywhere."""
        return {name: places for name in SECRETS if (places := self.found(name))}


def planted(stack: ExitStack, folder: Path, *, redacted: bool = True) -> Lab:
    """Return a lab whose upstream repeats every secret wherever it says anything."""
    env = folder / "gateway" / ".env"
    env.parent.mkdir()
    env.write_text(f"{ENV_FILE}SIGNING_SECRET={IN_ENV}\n")
    lab = stack.enter_context(Lab(folder, token=TOKEN))
    lab.target |= {"env_file": str(lab.sandbox.env_file), "safe": {"activate": "vllm", "model": "gemma-3-4b-it"}}
    lab.policy["sandbox"]["redact"] = ["corp:[0-9-]{10,}"]
    lab.scenario |= {"change": [PROVIDER, {"secret": {"NEW_API_KEY": "NEW_KEY"}}], "notify": ["log", "LAB_HOOK"]}
    channel = f"json://127.0.0.1:{lab.liar.url.rpartition(':')[2]}/hook/{CHANNEL}"
    lab.env |= {"LAB_HOOK": channel, "NEW_KEY": NEW_IN_ENV, "LEAK": LEAK, "PYTHONPATH": str(ROOT)}
    lab.env["MASTER_KEY"] = IN_ENVIRONMENT
    if not redacted:
        lab.env["PYTHONPATH"] += f"{os.pathsep}{ROOT / 'tests' / 'support' / 'unredacted'}"
    talk(lab)
    return lab


def talk(lab: Lab) -> None:
    """Let the gateway repeat the secrets where that fails nothing, and once in each kind of error."""
    lab.liar.rule("/hook", answer(200, {}))
    lab.liar.rule("/alerts", answer(500, {"detail": LEAK}), nth=6)
    lab.liar.rule("/metrics", answer(502, f"<html>{LEAK}</html>", "text/html"), nth=8)
    lab.liar.rule("openai/status", edited(lambda body: {**body, "message": LEAK}))
    lab.liar.rule("/audit", edited(lambda body: body | {"note": LEAK} if isinstance(body, dict) else body))


def command(lab: Lab, *args: str) -> str:
    """Run one of the commands, and return what it printed."""
    env = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ} | lab.env
    ended = subprocess.run(
        [sys.executable, "-m", "rollout", *args],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return ended.stdout + ended.stderr


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """Whatever a lab needs to be ended."""
    with ExitStack() as one:
        yield one


@pytest.fixture
def kept(stack: ExitStack, tmp_path: Path) -> Left:
    """A change that is kept, checked and rolled back by command, and an emergency after it."""
    lab = planted(stack, tmp_path)
    run = lab.run(*LEAKING, f"--junitxml={lab.reports / 'pytest.xml'}", **WHOLE)
    assert run.code == 0, run.out
    out = run.out + commands(lab, run.id)
    assert "EMERGENCY DONE" in out
    assert "ROLLED BACK, verified" in out
    return Left(out, lab.reports)


def commands(lab: Lab, rollout: str) -> str:
    """Use every command on a kept rollout, and return what they printed."""
    where, files = f"--reports={lab.reports}", f"--targets={lab.folder / 'targets.yaml'}"
    out = command(lab, "plan", f"--scenario={lab.folder / 'lab.yaml'}", where)
    out += command(lab, "doctor", f"--gateway={lab.liar.url}", "--token-env=LAB_GATEWAY_TOKEN", where)
    lab.liar.rule("/activate", answer(500, {"detail": LEAK}), nth=1)
    out += command(lab, "rollback", rollout, where)
    lab.liar.rule("/activate", answer(503, {"detail": LEAK}), nth=1)
    out += command(lab, "emergency", "--target=lab", files, where)
    await_late_report(lab.reports)
    return out + command(lab, "status", "--all", "--json", where)


def await_late_report(reports: Path) -> None:
    """Wait for the report that a process of its own builds: it is searched, and its files move until it ends."""

    def has_ended() -> bool:
        logs = [log.read_text(encoding="utf-8") for log in reports.glob("*/report.log")]
        return bool(logs) and all("report: " in text for text in logs)

    eventually(has_ended, "the report that nobody waits for is built", 120)


@pytest.fixture
def rolled_back(stack: ExitStack, postgres: PostgresServer, tmp_path: Path) -> Left:
    """A check that raises a secret, and a hook that does; the journal is in PostgreSQL."""
    lab = planted(stack, tmp_path)
    url = postgres.new_database()
    lab.env["LEAK_IN"] = "check, hook"
    run = lab.run(*LEAKING, f"--junitxml={lab.reports / 'pytest.xml'}", f"--journal={url}", **WHOLE)
    assert run.code == 10, run.out
    assert "INTERNALERROR" in run.out
    assert run.word, "the closing block is printed all the same"
    return Left(run.out, lab.reports, rows_of(url))


def rows_of(url: str) -> str:
    """Return every row of every table of a database."""
    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        rows = [connection.execute(f'SELECT t::text FROM "{name}" t').fetchall() for (name,) in tables]  # noqa: S608
    assert any(rows)
    return "\n".join(row for table in rows for (row,) in table)


@pytest.fixture
def crashed(stack: ExitStack, tmp_path: Path) -> Left:
    """A run that is killed while it watches; the watchdog rolls its change back, and the operator builds the report."""
    lab = planted(stack, tmp_path)
    process = lab.begin(*LEAKING, **WHOLE)
    process.until("sample", at_least=10, within_s=90)
    lab.liar.rule("/activate", answer(500, {"detail": LEAK}), nth=1)
    process.signal(signal.SIGKILL)
    run = process.end()
    eventually(lambda: run.record.closed, "the watchdog closes it")
    await_late_report(lab.reports)
    return Left(run.out + command(lab, "report", f"--reports={lab.reports}"), lab.reports)


@pytest.fixture
def unredacted(stack: ExitStack, tmp_path: Path) -> Left:
    """A run like the others, and an emergency, without redaction in any of their processes."""
    lab = planted(stack, tmp_path, redacted=False)
    lab.env["LEAK_IN"] = "check"
    run = lab.run(*LEAKING, f"--junitxml={lab.reports / 'pytest.xml'}", **WHOLE)
    assert run.code == 10, run.out
    lab.liar.rule("/activate", answer(503, {"detail": LEAK}), nth=1)
    files = f"--targets={lab.folder / 'targets.yaml'}"
    out = run.out + command(lab, "emergency", "--target=lab", files, f"--reports={lab.reports}")
    await_late_report(lab.reports)
    return Left(out, lab.reports)


def test_no_secret_is_anywhere_where_the_change_is_kept(kept: Left):
    assert kept.found_all() == {}
    # The copies of the `.env` file beside it are exact: the one place where secrets are kept, as the procedure wants
    # it, and not below the reports.
    copies = list(kept.reports.parent.glob("gateway/config-backup-*.env"))
    assert copies
    assert all(IN_ENV in copy.read_text() for copy in copies)


def test_no_secret_is_anywhere_where_the_change_is_rolled_back(rolled_back: Left):
    assert rolled_back.found_all() == {}
    assert found(rolled_back.reports, PASSWORD) == {}, "nor is the password of the journal"
    assert PASSWORD not in rolled_back.out


def test_no_secret_is_anywhere_where_the_run_is_killed(crashed: Left):
    assert crashed.found_all() == {}


def test_what_is_searched_would_show_it(unredacted: Left):
    """Without redaction it is found: in each kind of file, in the journal and in the output, in every spelling."""
    seen = unredacted.found_all()
    wanted = {"stdout", "journal.sqlite", "report.html", "result.json", "pytest.xml", "record.json"}
    assert {name: wanted - kinds(places) for name, places in seen.items()} == {name: set() for name in SECRETS}
    assert {"summary.md", "index.html"} <= kinds(seen["token"]), "documents that show the beginning of what was said"
    assert set().union(*seen["token"].values()) == spellings(TOKEN).keys()


def kinds(places: Iterable[str]) -> set[str]:
    """Return the kinds of places."""
    return {Path(where).name.rpartition("-")[2] for where in places}
