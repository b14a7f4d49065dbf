"""The change record: complete, readable, and without a secret, however the rollout ended (DOC-1)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rollout.context import RolloutContext
from rollout.journal.record import Kind
from rollout.reporting.change_record import write_change_record
from tests.support.stories import WHY, opened, rolled_back

SECRET = "planted-secret-9f3c"
EVIL = f"<script>alert(1)</script> | [x](http://evil.example)\n\n# forged\x1b[2J {SECRET}"


def closed(**parts: Any) -> dict[str, Any]:
    defaults = {"decision": "kept", "word": "KEPT", "why": "every clause of the plan passed"}
    return {**defaults, "not_passed": {}, "rollback": [], "commands": [], **parts}


def kept(rollout: RolloutContext) -> None:
    """Journal the change as applied, and let the gateway have it."""
    intent = rollout.append(Kind.INTENT, step="APP-1.2", direction="forward", to="openai:gpt-4o")
    rollout.append(Kind.OUTCOME, intent=intent.seq, result="done", detail="")
    rollout.gateway.config |= {"ACTIVE_PROVIDER": "openai", "LLM_MODEL_NAME": "gpt-4o"}
    rollout.gateway.active = "openai"


def record_of(rollout: RolloutContext, facts: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """Write the record; return what its JSON holds, and its page."""
    path = write_change_record(rollout, rollout.record(), facts)
    return json.loads(path.read_text(encoding="utf-8")), path.with_suffix(".md").read_text(encoding="utf-8")


def test_the_record_of_a_rolled_back_change_answers_every_question(tmp_path: Path) -> None:
    """What, who, when, why, what decided, what differs, what was found, the notifications, and where the proof is."""
    rollout = opened(tmp_path)
    steps = rolled_back(rollout)
    signed = {"signature": "armoured", "key": "SHA256:abc"}
    rollout.append(Kind.APPROVAL, role="reviewer", approver="bob", at="2026-11-23T11:00:00.000Z", **signed)
    rollout.append(Kind.NOTIFIED, event="planned", channel="MAIL", accepted=False, detail="refused", subject="s")
    rollout.append(Kind.CLAUSE, run="r", clause="PRE-2.3", outcome="waived", message="WAIVED: the form is down")
    rollout.append(Kind.OWED, what="review", due="2026-11-30T12:00:00.000Z")
    missing = {"MON-1": "NOT RUN: MON-2 cut its window short", "MON-2": "8.8 %"}
    facts = closed(decision="rolled_back", word="ROLLED BACK, verified", why=WHY, rollback=steps, not_passed=missing)
    found, page = record_of(rollout, facts)
    lines = page.splitlines()
    assert lines[0] == "# Change record: openai:gpt-4o on t"
    for line in (
        "| Result | ROLLED BACK, verified |",
        f"| Why | {WHY} |",
        "| Before | ollama:gemma3:4b |",
        "| Author | alice |",
        "| Approved by | bob (signed) |",
        "| Approval, as reviewer | bob at 2026-11-23T11:00:00.000Z, key SHA256:abc |",
        "| Rollback operator | carol (carol@example.com) |",
        "| Impact assessment | risk: medium, a new contract; affects: every chat user; cost: 40 USD a day |",
        "| NOT GREEN | PRE-2.3 WAIVED: the form is down |",
        "| Waiver of PRE-2.3 | the form is down; granted by dora until 2026-11-23 12:00:00+00:00 |",
        "| Owed | review, by 2026-11-30T12:00:00.000Z |",
        "| Value | 8.84 %, limit 5 %; from 147 of users; the window's 8 s; 2026-11-23 12:00:13Z |",
        "| In effect | for 14 s, until it was seen gone at 2026-11-23 12:00:14Z |",
        "| Users | 13 of 147 requests failed while it was watched |",
        "| Finding, VER-3 | the gateway's audit log does not name the model |",
        "| configuration and limits | the diff is empty |  |",
        "| 2026-11-23 12:00:14Z | RBK-4.3 The configuration equals the backup | passed | the diff is empty |",
        "| VER-2 A real request is answered by the expected provider and model | passed |  |",
        "| MON-1 The provider stays connected | NOT RUN: MON-2 cut its window short |",
        "| planned | MAIL | refused | refused |",
    ):
        assert line in lines, line
    assert (found["decision"], found["deciding"]["value"], found["rollout"]) == ("rolled_back", 0.0884, "r-1")
    assert len(found["evidence"]) == 3
    assert all(len(digest) == 64 for digest in found["evidence"].values())
    head = rollout.journal.head()
    assert head is not None
    assert f"| Journal | entry {head[0]}, SHA-256 {head[1]} |" in lines


def test_the_record_of_a_kept_change_shows_before_and_after(tmp_path: Path) -> None:
    """Intended and other differences are separate."""
    rollout = opened(tmp_path)
    kept(rollout)
    rollout.gateway.config |= {"LOG_LEVEL": "DEBUG"}
    found, page = record_of(rollout, closed())
    assert found["differences"]["intended"] == {
        "ACTIVE_PROVIDER": "ollama -> openai",
        "LLM_MODEL_NAME": "gemma3:4b -> gpt-4o",
    }
    assert "| LOG_LEVEL | absent -> DEBUG | NOT INTENDED |" in page.splitlines()


def test_a_gateway_that_does_not_answer_leaves_a_record_that_says_so(tmp_path: Path) -> None:
    """The record is written without the comparison."""
    from tests.support.windows import unreachable

    rollout = opened(tmp_path)
    kept(rollout)

    def fails() -> None:
        raise unreachable()

    rollout.gateway.runtime_config = fails  # type: ignore[method-assign]
    found, _ = record_of(rollout, closed())
    assert found["differences"]["compared"] == "not compared: GET /api/v1/providers: connection refused"


def test_the_record_of_what_was_never_applied(tmp_path: Path) -> None:
    """It names the reason, and that nothing was written."""
    facts = closed(decision="nothing_applied", word="NOTHING APPLIED", why="PRE-2.1: names no ticket")
    found, page = record_of(opened(tmp_path, ticket=None), facts)
    assert found["differences"]["compared"] == "nothing was written"
    assert "| Why | PRE-2.1: names no ticket |" in page.splitlines()
    assert "| Ticket | none |" in page.splitlines()


def test_after_a_failed_rollback_it_has_the_manual_commands(tmp_path: Path) -> None:
    """The read comes first; the commands are unaltered, for a shell and not for Markdown."""
    rollout = opened(tmp_path)
    steps = rolled_back(rollout, verified=False)
    commands = ["curl -X POST 'http://x/a|b'", "curl http://x/read"]
    facts = closed(decision="rollback_failed", word="ROLLBACK FAILED", why=WHY, rollback=steps, commands=commands)
    _, page = record_of(rollout, facts)
    assert "    curl http://x/read\n    curl -X POST 'http://x/a|b'\n" in page
    assert "LOG_LEVEL: INFO -> DEBUG" in page


def test_a_journal_that_is_gone_does_not_stop_the_record(tmp_path: Path) -> None:
    """The record is written from what the process read last."""
    rollout = opened(tmp_path)
    steps = rolled_back(rollout)
    record = rollout.last_known_record()
    rollout.journal.close()
    (tmp_path / "journal.sqlite").write_bytes(b"gone")
    facts = closed(decision="rolled_back", word="ROLLED BACK, verified", why=WHY, rollback=steps)
    page = write_change_record(rollout, record, facts).with_suffix(".md").read_text(encoding="utf-8")
    assert "| Result | ROLLED BACK, verified |" in page.splitlines()


@pytest.mark.parametrize("name", ["author", "name"])
def test_text_of_others_is_neither_markup_nor_a_secret(tmp_path: Path, name: str) -> None:
    """Names, messages and reasons are text in their cell: every row keeps its columns, and no secret is in any file."""
    rollout = opened(tmp_path, secrets=(SECRET,), **{name: EVIL})
    steps = rolled_back(rollout, message=EVIL)
    rollout.append(Kind.CLAUSE, run="r", clause="MON-5", outcome="failed", message=EVIL)
    rollout.append(Kind.NOTIFIED, event=EVIL, channel=EVIL, accepted=True, detail=EVIL, subject=EVIL)
    _, page = record_of(rollout, closed(why=EVIL, rollback=[{**step, "seen": EVIL} for step in steps]))
    assert "\x1b" not in page
    assert "# forged" not in [line.strip() for line in page.splitlines()]
    assert "<script" not in page.replace("\\<script", "")
    assert "](http" not in page.replace("\\](http", "")
    columns = [len(line.replace("\\|", "").split("|")) for line in page.splitlines() if line.startswith("|")]
    assert set(columns) <= {4, 5, 6}
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path for path in files if SECRET.encode() in path.read_bytes()] == []


def test_a_check_that_passed_without_a_message_says_what_decided_it(tmp_path: Path) -> None:
    """Its value is the trigger's verdict, or what the journal and the scenario hold of it."""
    rollout = opened(tmp_path)
    rollout.append(Kind.BASELINE, provider="ollama", synthetic_p95_ms=75.0, synthetic_samples=20)
    for clause in ("PRE-2.1", "PRE-2.3", "PRE-4.3", "PRE-5.2", "PRE-5.4", "MON-1", "MON-2"):
        rollout.append(Kind.CLAUSE, run="r", clause=clause, outcome="passed", message="")
    rollout.append(Kind.CLAUSE, run="r", clause="VER-2", outcome="passed", message="the answer names openai")
    verdict = {"state": "holding", "decided": False, "watched_s": 8.0, "source": "status", "samples": 4, "span": ""}
    rollout.append(
        Kind.VERDICT, clause="MON-1", **verdict, value="connected", limit="connected", message="4 of 4", at=""
    )
    shares = {
        "value": 0.01,
        "limit": 0.05,
        "interval": [0.0, 0.03],
        "effective_limit": None,
        "power": "",
        "message": "m",
    }
    rollout.append(Kind.VERDICT, clause="MON-2", **{**verdict, **shares, "source": "users", "samples": 120}, at="")
    rollout.append(Kind.PHASE, phase="monitor", passed=True, problems=[], run="r")
    found, page = record_of(rollout, closed())
    decided = {clause: value for clause, (_, value) in found["clauses"].items()}
    assert decided == {
        "PRE-2.1": "ticket T-1",
        "PRE-2.3": "risk medium, a new contract; affects every chat user; cost 40 USD a day",
        "PRE-4.3": "carol (carol@example.com)",
        "PRE-5.2": "ollama:gemma3:4b",
        "PRE-5.4": "the suite's own P95 75 ms (20 requests)",
        "MON-1": "holding: 4 of 4",
        "MON-2": "holding: 1.0 % (0.0-3.0 % over the window), limit 5 %; from 120 requests of users",
        "VER-2": "the answer names openai",
    }
    assert "| PRE-2.1 The change is documented in a ticket | passed | ticket T-1 |" in page


def test_the_record_names_files_relative_to_itself(tmp_path: Path) -> None:
    """`reports/` can be moved, and the paths in the record still lead to its files."""
    rollout = opened(tmp_path)
    log = rollout.folder.parent / "operations.log"
    rollout.append(
        Kind.NOTIFIED, event="planned", channel="log", accepted=True, detail=f"written to {log}", subject="s"
    )
    found, page = record_of(rollout, closed())
    assert all((rollout.folder / path).is_file() for path in found["evidence"])
    assert found["told"][0]["detail"] == "written to ../operations.log"
    assert str(tmp_path) not in json.dumps(found) + page
