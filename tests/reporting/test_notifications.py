"""Notifications over real channels: once per event, and within a few seconds (PRE-4.2)."""

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
MESSAGE = Message("KEPT: openai:gpt-4o on t", "KEPT: openai:gpt-4o on t\n\nWhy: every clause passed\n")
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
    """Return a rollout as it is opened in production, with these channels."""
    rollout = rollout_in(folder)
    scenario = replace(
        rollout.scenario,
        notify=channels,
        operator=Operator("carol", "+49 30 1234"),
        impact=Impact("medium, a new contract", "every chat user", "40 USD a day"),
    )
    target = replace(rollout.target, name="production", safe=OLD)
    policy = replace(rollout.policy, name="production", ticket_url="https://tracker.example.com/browse/{ticket}")
    opening = replace(rollout, scenario=replace(scenario, **parts), target=target, policy=policy)
    opened = {"digest": "d", "url": "u", "change": str(NEW), "author": "alice", "ticket": "T-1"}
    opening.append(Kind.OPENED, scenario={"approved_by": ["bob"]}, **opened)
    return opening


def rolled_back(rollout: RolloutContext, *, verified: bool) -> Message:
    """Return the message about a rollback, written as `rollout.engine.closing_records` writes it."""
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


def test_a_mail_and_a_webhook_have_the_whole_message(tmp_path, mailbox, hook):
    """The subject begins with the verdict; the body has the reason, the state, the next step, who, and where."""
    rollout = telling(tmp_path, "log", "MAIL", "HOOK")
    message = rolled_back(rollout, verified=True)
    env = {"MAIL": mailbox.url(), "HOOK": hook.url()}
    assert [(each.channel, each.accepted) for each in announce(rollout, "rolled_back", message, env)] == [
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
Rollback: verified 4.0 s after it was decided
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


def test_a_failed_rollback_names_what_is_not_restored_and_the_manual_commands(tmp_path, mailbox, hook):
    """It goes to every channel, the target's own too; each command has its own line, the read first."""
    rollout = telling(tmp_path, "MAIL")
    rollout.target = replace(rollout.target, notify=("HOOK",))
    message = rolled_back(rollout, verified=False)
    env = {"MAIL": mailbox.url(), "HOOK": hook.url()}
    announce(rollout, "rollback_failed", message, env, everyone=True)
    assert mailbox.mails[0]["Subject"] == "ROLLBACK FAILED: openai:gpt-4o on production"
    lines = hook.posts[0]["message"].splitlines()
    assert "Not restored or not proven: RBK-4.3 The configuration: LOG_LEVEL: INFO -> DEBUG" in lines
    heading = lines.index("A PERSON IS NEEDED. Check the gateway, then run:")
    assert lines[heading + 1 : heading + 3] == ["curl http://x/providers", "curl -X POST http://x/activate"]


def test_the_plan_says_what_when_why_and_how_to_stop_it(tmp_path, mailbox):
    """The message before the change names the risk and the command for an emergency."""
    rollout = telling(tmp_path, "log", "MAIL")
    assert all(each.accepted for each in announce_plan(rollout, {"MAIL": mailbox.url()}))
    text = mailbox.mails[0].get_content()
    assert mailbox.mails[0]["Subject"] == "PLANNED: openai:gpt-4o on production"
    for line in (
        "Risk: medium, a new contract",
        "Affects: every chat user",
        (
            "Watched: for 30 min, at most 1 h, once it is applied; at the first breach of a limit it is rolled back "
            "automatically"
        ),
        "To stop it: rollout abort r-1 --reason='what you saw'",
        "In an emergency: rollout emergency --target=production",
    ):
        assert line in text.splitlines()
    logged = (tmp_path / "operations.log").read_text()
    gist = "by alice, approved by bob, ticket T-1"
    assert logged == f"2026-11-23T12:00:00.000Z r-1 PLANNED: openai:gpt-4o on production: {gist}\n"


def test_the_rollback_operator_gets_stand_by_on_a_channel_of_their_own(tmp_path, mailbox, hook):
    """PRE-4.3: a contact that is one of the channels gets a message of its own, with the manual command."""
    rollout = telling(tmp_path, "HOOK", "CAROL", operator=Operator("carol", "CAROL"))
    deliveries = announce_plan(rollout, {"CAROL": mailbox.url("carol@example.com"), "HOOK": hook.url()})
    assert [each.channel for each in deliveries] == ["HOOK", "CAROL"]
    assert [post["title"] for post in hook.posts] == ["PLANNED: openai:gpt-4o on production"]
    (mail,) = mailbox.mails
    assert (mail["To"], mail["Subject"]) == ("carol@example.com", "YOU STAND BY: openai:gpt-4o on production")
    assert "For: carol: you stand by to roll this change back" in mail.get_content()
    assert "rollout emergency --target=production" in mail.get_content()
    assert "Acknowledge" not in mail.get_content(), "this policy asks for none"


def test_stand_by_has_the_acknowledging_command_where_the_policy_asks_for_it(tmp_path, mailbox):
    rollout = telling(tmp_path, "CAROL", operator=Operator("carol", "CAROL"))
    rollout.policy = replace(rollout.policy, operator_ack_max_age_s=3600.0)
    announce_plan(rollout, {"CAROL": mailbox.url("carol@example.com")})
    (mail,) = mailbox.mails
    assert "Acknowledge: rollout approve s.yaml --as operator" in mail.get_content().splitlines()


def test_each_channel_gets_an_event_once_whichever_process_sends_it(tmp_path, hook):
    """A delivery that the journal holds as accepted is not sent again; another event is."""
    env = {"HOOK": hook.url()}
    first = telling(tmp_path, "HOOK")
    for rollout in (first, replace(first, run="another", _known=None)):
        assert [each.accepted for each in announce(rollout, "kept", MESSAGE, env)] == [True]
    assert len(hook.posts) == 1
    announce(first, "rolled_back", MESSAGE, env)
    assert len(hook.posts) == 2
    (row, _) = first.record().notified
    assert (row["event"], row["channel"], row["subject"]) == ("kept", "HOOK", MESSAGE.subject)


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
    """The delivery has the channel and the reason; nothing is raised, and no part of the URL is shown."""
    rollout = telling(tmp_path, "CHANNEL")
    (delivery,) = announce(rollout, "kept", MESSAGE, {"CHANNEL": url.format(port=free_port())})
    assert not delivery.accepted
    assert words in delivery.detail
    assert "\n" not in delivery.detail
    assert SECRET not in json.dumps([rollout.record().notified, delivery.detail])


def test_a_server_that_does_not_know_the_recipient_refuses(tmp_path, mailbox):
    """The address that it refused is named; the others have it."""
    rollout = telling(tmp_path, "MAIL")
    (delivery,) = announce_plan(rollout, {"MAIL": mailbox.url(f"{NOBODY},oncall@example.com")})
    assert not delivery.accepted
    assert "failed" in delivery.detail
    assert [mail["To"] for mail in mailbox.mails] == ["oncall@example.com"]


def test_a_channel_that_hangs_does_not_delay_the_others(tmp_path, monkeypatch, hook):
    """The channels are sent to side by side, and the worker is killed at the deadline."""
    monkeypatch.setattr(notifications, "HURRY_S", 8.0)
    rollout = telling(tmp_path, "MUTE", "HOOK")
    with silent_server() as port:
        mute = f"mailto://localhost:{port}?from=rollout@example.com&to=oncall@example.com"
        began = time.monotonic()
        deliveries = announce(rollout, "kept", MESSAGE, {"MUTE": mute, "HOOK": hook.url()})
        took_s = time.monotonic() - began
    assert deliveries == (
        Delivery("MUTE", accepted=False, detail="no answer within 8 s; whether it will arrive is not known"),
        Delivery("HOOK", accepted=True, detail="accepted"),
    )
    assert len(hook.posts) == 1
    assert took_s < 12.0


def test_what_was_refused_is_tried_once_more_but_not_before_a_change(tmp_path, hook):
    """After the change no other run sends it; before it, the operator repeats the run."""
    rollout = telling(tmp_path, "HOOK")
    hook.answers[:] = [503]
    assert announce(rollout, "rolled_back", MESSAGE, {"HOOK": hook.url()})[0].accepted
    hook.answers[:] = [503]
    assert not announce_plan(rollout, {"HOOK": hook.url()})[0].accepted
    assert hook.answers == []
    assert len(hook.posts) == 1


def test_a_variable_that_is_not_set_is_named(tmp_path):
    """No worker is started for it."""
    (delivery,) = announce(telling(tmp_path, "PAGER"), "kept", MESSAGE, {})
    assert delivery == Delivery("PAGER", accepted=False, detail="the environment variable PAGER is not set")


def test_a_process_that_cannot_be_started_is_a_refused_delivery(tmp_path, monkeypatch):
    """A machine without memory or process numbers must not stop a closure."""

    def full(*_: object, **__: object) -> None:
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(notifications.subprocess, "Popen", full)
    (delivery,) = announce(telling(tmp_path, "PAGER"), "kept", MESSAGE, {"PAGER": "json://127.0.0.1/"})
    assert delivery.detail == "nothing could be sent: Resource temporarily unavailable"


def test_text_of_the_gateway_is_neither_a_header_nor_a_line_of_its_own(tmp_path, hook):
    """A gateway's message with line breaks, terminal sequences or markup stays text on its line."""
    rollout = telling(tmp_path, "HOOK")
    evil = f"down\r\nBcc: all@example.com\n\n\x1b[31mNow: {SECRET}"
    rollout.redactor.add(SECRET)
    message = messages.trouble(rollout, f"NO DATA {evil}", evil)
    page(rollout, "unavailable", message, {"HOOK": hook.url()})
    (post,) = hook.posts
    assert post["title"] == "NO DATA down Bcc: all@example.com \\x1b[31mNow: [redacted]: openai:gpt-4o on production"
    assert "Why: down Bcc: all@example.com \\x1b[31mNow: [redacted]" in post["message"].splitlines()
    assert len((tmp_path / "operations.log").read_text().splitlines()) == 1


def test_a_journal_that_cannot_be_read_does_not_prevent_the_message(tmp_path, hook):
    """The message has the error in the place of the journal's head."""
    rollout = telling(tmp_path, "HOOK")
    rollout.record()
    rollout.journal.close()
    (tmp_path / "journal.sqlite").write_bytes(b"gone")
    message = messages.trouble(rollout, "NO DATA", "it is")
    assert announce(rollout, "unavailable", message, {"HOOK": hook.url()})[0].accepted
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
def test_what_a_channel_repeats_of_its_url_is_redacted(monkeypatch, url):
    """Some channels repeat the entire address in their errors, others a part of it."""
    result = {"channel": "C", "accepted": False, "detail": f"cannot reach {url}: {SECRET} is refused"}
    monkeypatch.setattr(notifications, "_worker_output", lambda _order, _within_s: json.dumps(result))
    (delivery,) = notifications.send(MESSAGE, {"C": url}, within_s=1, tries=1)
    assert SECRET not in delivery.detail
    assert delivery.detail.startswith("cannot reach ")
