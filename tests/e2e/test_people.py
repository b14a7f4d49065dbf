"""What people hear and read of a rollout that is rolled back, end to end: channels that work, and one that hangs."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

from rollout.journal.record import Decision, Kind
from tests.support.channels import mail_server, silent_server, webhook
from tests.support.runs import Lab, Run

SECRET = "hook-secret-9f3c2b7a"


def test_people_are_notified_once_and_a_channel_that_hangs_delays_nothing_but_itself(tmp_path: Path) -> None:
    """A precheck, and later the whole run, which is rolled back: one plan, one verdict, and documents of both."""
    with mail_server() as mailbox, webhook() as hook, silent_server() as port, Lab(tmp_path) as lab:
        lab.scenario |= {"notify": ["log", "LAB_MAIL", "LAB_HOOK"], "operator": "carol <LAB_MAIL>"}
        lab.target["notify"] = ["LAB_MUTE"]
        lab.env |= {"LAB_MAIL": mailbox.url(), "LAB_HOOK": hook.url(SECRET)}
        # Apprise gives a mail server 15 s.
        lab.env["LAB_MUTE"] = f"mailto://u:{SECRET}@localhost:{port}?from=rollout@example.com&to=oncall@example.com"
        first = lab.run("-m", "precheck")
        assert first.code == 0, first.out
        lab.faults({"provider": "openai", "since": "activation", "error_share": 0.9})
        # The last proof fails: a person is needed, and every channel hears of it.
        lab.once("/openai/activate", lambda: lab.liar.rule("/governance/status", _limits_of_somebody_else()))
        ended = lab.run()
    assert (ended.id, ended.code) == (first.id, 11), ended.out
    subjects = [str(mail["Subject"]) for mail in mailbox.mails]
    assert subjects == ["YOU STAND BY: openai:gpt-4o on lab", "ROLLBACK FAILED: openai:gpt-4o on lab"]
    assert [post["title"] for post in hook.posts] == [
        "PLANNED: openai:gpt-4o on lab",
        "ROLLBACK FAILED: openai:gpt-4o on lab",
    ]
    assert "A PERSON IS NEEDED. Check the gateway, then run:\ncurl -sS " in hook.posts[1]["message"]
    _the_mute_channel_came_last(ended)
    _the_documents_tell_it(ended)
    files = [path for path in ended.reports.rglob("*") if path.is_file()]
    assert [path for path in files if SECRET.encode() in path.read_bytes()] == []
    assert SECRET not in first.out + ended.out


def _limits_of_somebody_else() -> object:
    from tests.support.liar import edited

    def edit(body: dict[str, dict[str, dict[str, float]]]) -> object:
        body["cost_limits"]["global"]["hard_limit_usd"] += 1
        return body

    return edited(edit)


def _the_mute_channel_came_last(ended: Run) -> None:
    told = {(row["event"], row["channel"]): row for row in ended.record.notified}
    mute = told["rollback_failed", "LAB_MUTE"]
    assert (mute["accepted"], mute["detail"]) == (False, "no answer within 5 s; whether it will arrive is not known")
    at = {kind: datetime.fromisoformat(ended.record_entries(kind)[-1].at) for kind in (Kind.CLOSED, Kind.NOTIFIED)}
    back = [write for write in ended.record.writes if write.direction == "back"]
    assert back
    assert datetime.fromisoformat(back[-1].at) < at[Kind.CLOSED]
    # Within the deadline and what a busy machine takes to start a process.
    assert (at[Kind.NOTIFIED] - at[Kind.CLOSED]).total_seconds() < 8


def _the_documents_tell_it(ended: Run) -> None:
    told = json.loads((ended.folder / "change-record.json").read_text(encoding="utf-8"))
    assert told["decision"] == Decision.ROLLBACK_FAILED
    assert [row["channel"] for row in told["told"] if not row["accepted"]] == ["LAB_MUTE"]
    page = (ended.folder / "post-mortem.md").read_text(encoding="utf-8")
    assert "**The rollback is NOT verified:** RBK-4.3 " in page
    assert "cost limits global" in page
