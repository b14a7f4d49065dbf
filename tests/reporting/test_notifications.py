"""Telling people: over real channels, once each, and never for longer than a few seconds (PRE-4.2)."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from rollout.context import RolloutContext
from rollout.core.clock import format_utc
from rollout.core.scenario import Impact, Operator
from rollout.journal.record import Kind
from rollout.reporting import messages, notifications
from rollout.reporting.messages import Message
from rollout.reporting.notifications import Delivery, announce, announce_plan, page
from tests.support.channels import NOBODY, Mailbox, Webhook, free_port, mail_server, silent_server, webhook
from tests.support.rollouts import NEW, OLD, rollout_in

SECRET = "hook-secret-9f3c2b7a"
LETTER = Message("KEPT: openai:gpt-4o on t", "KEPT: openai:gpt-4o on t\n\nWhy: every clause passed\n")
WHY = "MON-2: error rate 8.8 % over the window's 8 s (13 of 147 requests) is above 5 %"


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    with mail_server() as mailbox:
        yield mailbox


@pytest.fixture
def hook() -> Iterator[Webhook]:
    with webhook() as hook:
        yield hook


def telling(folder: Path, *channels: str, **parts: object) -> RolloutContext:
    """Return a rollout that a person in production would open, with these channels."""
    rollout = rollout_in(folder)
    scenario = replace(
        rollout.scenario,
        notify=channels,
        operator=Operator("carol", "+49 30 1234"),
        impact=Impact("medium, a new contract", "every chat user", "40 USD a day"),
    )
    target = replace(rollout.target, name="production", safe=OLD)
    policy = replace(rollout.policy, name="production", ticket_url="https://tracker.example.com/browse/{ticket}")
    told = replace(rollout, scenario=replace(scenario, **parts), target=target, policy=policy)
    opened = {"digest": "d", "url": "u", "change": str(NEW), "author": "alice", "ticket": "T-1"}
    told.append(Kind.OPENED, scenario={"approved_by": ["bob"]}, **opened)
    return told


def rolled_back(rollout: RolloutContext, *, verified: bool) -> Message:
    """Return the letter after a rollback, written as `rollout.engine.closing_records` writes it."""
    rollout.append(Kind.BACKUP, previous={"provider": OLD.provider, "model": OLD.model})
    for step, direction, to in (("APP-1.2", "forward", NEW), ("RBK-2.1", "back", OLD)):
        intent = rollout.append(Kind.INTENT, step=step, direction=direction, to=str(to))
        rollout.clock.wait(90.0)
        rollout.append(Kind.OUTCOME, intent=intent.seq, result="done", detail="")
    breach = {"clause": "MON-2", "at": format_utc(rollout.clock.now()), "decided": True, "message": WHY, "limit": 0.05}
    rollout.append(Kind.VERDICT, **breach)
    rows = []
    for clause in ("RBK-2.2", "RBK-4.1", "RBK-4.2", "RBK-4.3"):
        rollout.clock.wait(1.0)
        outcome = "passed" if verified or clause != "RBK-4.3" else "failed"
        seen = f"the gateway reports {OLD} active" if clause == "RBK-2.2" else "LOG_LEVEL: INFO -> DEBUG"
        rollout.append(Kind.STEP, clause=clause, outcome=outcome, message=seen)
        rows.append({"at": "", "clause": clause, "step": "The configuration", "outcome": outcome, "seen": seen})
    facts = {
        "word": "ROLLED BACK, verified" if verified else "ROLLBACK FAILED",
        "why": WHY,
        "rollback": rows,
        "commands": () if verified else ("curl -X POST http://x/activate", "curl http://x/providers"),
    }
    return messages.verdict(rollout, rollout.record(), facts, "read post-mortem.md")


def test_a_mail_and_a_webhook_arrive_as_a_person_would_want_them_at_3_am(tmp_path, mailbox, hook):
    """The verdict is the subject's first word; the body says why, where it is now, what to do, who, and where."""
    rollout = telling(tmp_path, "log", "MAIL", "HOOK")
    letter = rolled_back(rollout, verified=True)
    env = {"MAIL": mailbox.url(), "HOOK": hook.url()}
    assert [(each.channel, each.accepted) for each in announce(rollout, "rolled_back", letter, env)] == [
        ("MAIL", True),
        ("HOOK", True),
    ]
    (mail,), (post,) = mailbox.mails, hook.posts
    assert (mail["Subject"], post["title"]) == ("ROLLED BACK, verified: openai:gpt-4o on production",) * 2
    head = rollout.journal.entries()[-3]
    body = f"""\
ROLLED BACK, verified: openai:gpt-4o on production

Why: {WHY}
Now: the gateway reports ollama:gemma3:4b active
In effect: for 3 min 1 s, until it was seen gone at 2026-11-23 12:03:01Z
Way back: verified 4.0 s after it was decided
Not restored or not proven: nothing
Next: read post-mortem.md

Target: production (http://127.0.0.1:1), policy production
Who: alice, approved by bob
Rollback operator: carol (+49 30 1234)
Ticket: T-1 https://tracker.example.com/browse/T-1
Rollout: r-1
Evidence: {rollout.folder} on {rollout.journal.host}
Journal head: {head.seq}:{head.hash}
"""
    assert mail.get_content().replace("\r\n", "\n").strip() == body.strip()
    assert post["message"].strip() == body.strip()


def test_a_failed_rollback_says_what_is_not_restored_and_what_to_paste(tmp_path, mailbox, hook):
    """Every channel, the target's own too; the commands stand on lines of their own, the look first."""
    rollout = telling(tmp_path, "MAIL")
    rollout.target = replace(rollout.target, notify=("HOOK",))
    letter = rolled_back(rollout, verified=False)
    env = {"MAIL": mailbox.url(), "HOOK": hook.url()}
    announce(rollout, "rollback_failed", letter, env, everyone=True)
    assert mailbox.mails[0]["Subject"] == "ROLLBACK FAILED: openai:gpt-4o on production"
    lines = hook.posts[0]["message"].splitlines()
    assert "Not restored or not proven: RBK-4.3 The configuration: LOG_LEVEL: INFO -> DEBUG" in lines
    paste = lines.index("A PERSON IS NEEDED. Look, then paste:")
    assert lines[paste + 1 : paste + 3] == ["curl http://x/providers", "curl -X POST http://x/activate"]


def test_the_plan_says_what_when_why_and_how_to_stop_it(tmp_path, mailbox):
    """Whoever hears of it before, knows what is at risk, and the command for an emergency."""
    rollout = telling(tmp_path, "log", "MAIL")
    assert all(each.accepted for each in announce_plan(rollout, {"MAIL": mailbox.url()}))
    text = mailbox.mails[0].get_content()
    assert mailbox.mails[0]["Subject"] == "PLANNED: openai:gpt-4o on production"
    for line in (
        "Risk: medium, a new contract",
        "Affects: every chat user",
        "Watched: for 30 min once it is applied; at the first breach of a limit it is taken back by itself",
        "To stop it: rollout abort r-1 --reason='what you saw'",
        "In an emergency: rollout emergency --target=production",
    ):
        assert line in text.splitlines()
    logged = (tmp_path / "operations.log").read_text()
    gist = "by alice, approved by bob, ticket T-1"
    assert logged == f"2026-11-23T12:00:00.000Z r-1 PLANNED: openai:gpt-4o on production: {gist}\n"


def test_the_rollback_operator_hears_on_a_channel_of_their_own_that_they_stand_by(tmp_path, mailbox, hook):
    """PRE-4.3: where the contact is one of the channels, what goes there is for them, with the command to paste."""
    rollout = telling(tmp_path, "HOOK", "CAROL", operator=Operator("carol", "CAROL"))
    told = announce_plan(rollout, {"CAROL": mailbox.url("carol@example.com"), "HOOK": hook.url()})
    assert [each.channel for each in told] == ["HOOK", "CAROL"]
    assert [post["title"] for post in hook.posts] == ["PLANNED: openai:gpt-4o on production"]
    (mail,) = mailbox.mails
    assert (mail["To"], mail["Subject"]) == ("carol@example.com", "YOU STAND BY: openai:gpt-4o on production")
    assert "For: carol: you stand by to roll this change back" in mail.get_content()
    assert "rollout emergency --target=production" in mail.get_content()
    assert "Acknowledge" not in mail.get_content(), "this policy asks for none"


def test_the_operator_reads_how_to_acknowledge_where_the_policy_asks_for_it(tmp_path, mailbox):
    rollout = telling(tmp_path, "CAROL", operator=Operator("carol", "CAROL"))
    rollout.policy = replace(rollout.policy, operator_ack_max_age_s=3600.0)
    announce_plan(rollout, {"CAROL": mailbox.url("carol@example.com")})
    (mail,) = mailbox.mails
    assert "Acknowledge: rollout approve s.yaml --as operator" in mail.get_content().splitlines()


def test_each_channel_hears_of_an_event_once_whichever_process_tells_it(tmp_path, hook):
    """What the journal says was accepted is not sent again; another event is."""
    env = {"HOOK": hook.url()}
    first = telling(tmp_path, "HOOK")
    for rollout in (first, replace(first, run="another", _known=None)):
        assert [each.accepted for each in announce(rollout, "kept", LETTER, env)] == [True]
    assert len(hook.posts) == 1
    announce(first, "rolled_back", LETTER, env)
    assert len(hook.posts) == 2
    (row, _) = first.record().notified
    assert (row["event"], row["channel"], row["subject"]) == ("kept", "HOOK", LETTER.subject)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        (f"mailto://localhost:{{port}}?from=rollout@example.com&to=oncall@example.com&x={SECRET}", "refused"),
        (f"json://u:{SECRET}@127.0.0.1:{{port}}/{SECRET}", "refused"),
        (f"slack://{SECRET}", "no URL that Apprise understands"),
        (f"nonsense-{SECRET}", "no URL that Apprise understands"),
    ],
)
def test_a_channel_that_cannot_be_reached_is_one_clear_line_without_a_secret(tmp_path, url, words):
    """It is named, with the reason; nothing is raised, and nothing of the URL is told."""
    rollout = telling(tmp_path, "CHANNEL")
    (told,) = announce(rollout, "kept", LETTER, {"CHANNEL": url.format(port=free_port())})
    assert not told.accepted
    assert words in told.detail
    assert "\n" not in told.detail
    assert SECRET not in json.dumps([rollout.record().notified, told.detail])


def test_a_server_that_does_not_know_the_recipient_refuses(tmp_path, mailbox):
    """The address that it refused is named; the others have it."""
    rollout = telling(tmp_path, "MAIL")
    (told,) = announce_plan(rollout, {"MAIL": mailbox.url(f"{NOBODY},oncall@example.com")})
    assert not told.accepted
    assert "failed" in told.detail
    assert [mail["To"] for mail in mailbox.mails] == ["oncall@example.com"]


def test_a_channel_that_hangs_holds_nobody_up_and_the_others_hear(tmp_path, monkeypatch, hook):
    """Side by side, and ended at the deadline: whatever the channel's library waits for."""
    monkeypatch.setattr(notifications, "HURRY_S", 8.0)
    rollout = telling(tmp_path, "MUTE", "HOOK")
    with silent_server() as port:
        mute = f"mailto://localhost:{port}?from=rollout@example.com&to=oncall@example.com"
        began = time.monotonic()
        told = announce(rollout, "kept", LETTER, {"MUTE": mute, "HOOK": hook.url()})
        took_s = time.monotonic() - began
    assert told == (
        Delivery("MUTE", accepted=False, detail="no answer within 8 s; whether it will arrive is not known"),
        Delivery("HOOK", accepted=True, detail="accepted"),
    )
    assert len(hook.posts) == 1
    assert took_s < 12.0


def test_what_was_refused_is_tried_once_more_but_not_before_a_change(tmp_path, hook):
    """After the change, nobody runs it again; before it, somebody does, and who has heard must not hear twice."""
    rollout = telling(tmp_path, "HOOK")
    hook.answers[:] = [503]
    assert announce(rollout, "rolled_back", LETTER, {"HOOK": hook.url()})[0].accepted
    hook.answers[:] = [503]
    assert not announce_plan(rollout, {"HOOK": hook.url()})[0].accepted
    assert hook.answers == []
    assert len(hook.posts) == 1


def test_a_variable_that_is_not_set_is_named(tmp_path):
    """Nothing is started for it."""
    (told,) = announce(telling(tmp_path, "PAGER"), "kept", LETTER, {})
    assert told == Delivery("PAGER", accepted=False, detail="the environment variable PAGER is not set")


def test_a_process_that_cannot_be_started_is_a_refused_delivery(tmp_path, monkeypatch):
    """A machine without memory or process numbers must not stop a closure."""

    def full(*_: object, **__: object) -> None:
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(notifications.subprocess, "Popen", full)
    (told,) = announce(telling(tmp_path, "PAGER"), "kept", LETTER, {"PAGER": "json://127.0.0.1/"})
    assert told.detail == "nothing could be sent: Resource temporarily unavailable"


def test_nothing_that_somebody_else_chose_is_a_header_or_a_line_of_its_own(tmp_path, hook):
    """A gateway's message with line breaks, terminal sequences or markup stays text on its line."""
    rollout = telling(tmp_path, "HOOK")
    evil = f"down\r\nBcc: all@example.com\n\n\x1b[31mNow: {SECRET}"
    rollout.redactor.add(SECRET)
    letter = messages.trouble(rollout, f"DARK {evil}", evil)
    page(rollout, "dark", letter, {"HOOK": hook.url()})
    (post,) = hook.posts
    assert post["title"] == "DARK down Bcc: all@example.com \\x1b[31mNow: [redacted]: openai:gpt-4o on production"
    assert "Why: down Bcc: all@example.com \\x1b[31mNow: [redacted]" in post["message"].splitlines()
    assert len((tmp_path / "operations.log").read_text().splitlines()) == 1


def test_a_journal_that_cannot_be_read_does_not_keep_the_message_back(tmp_path, hook):
    """Then the message says so, in the place of the journal's head."""
    rollout = telling(tmp_path, "HOOK")
    rollout.record()
    rollout.journal.close()
    (tmp_path / "journal.sqlite").write_bytes(b"gone")
    letter = messages.trouble(rollout, "DARK", "it is")
    assert announce(rollout, "dark", letter, {"HOOK": hook.url()})[0].accepted
    assert "Journal head: cannot be read: " in hook.posts[0]["message"]


@pytest.mark.parametrize(
    "url",
    [
        f"mailto://me:{SECRET}@mail.example.com",
        f"tgram://{SECRET}/12345",
        f"json://host/?token=x&key={SECRET}",
        f"json://a, discord://1234/{SECRET}",
        f"jsons://u:{SECRET.replace('-', '%2D')}@host",
    ],
)
def test_what_a_channel_repeats_of_its_url_is_taken_out(monkeypatch, url):
    """Some name the whole address in their errors, others a part of it."""
    said = {"channel": "C", "accepted": False, "detail": f"cannot reach {url}: {SECRET} is refused"}
    monkeypatch.setattr(notifications, "_couriers_words", lambda _order, _within_s: json.dumps(said))
    (told,) = notifications.sent(LETTER, {"C": url}, within_s=1, tries=1)
    assert SECRET not in told.detail
    assert told.detail.startswith("cannot reach ")
