"""Telling people: each channel once per event, and what the channel said to it (PRE-4.2, EMG-3)."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote, urlsplit

from rollout.context import RolloutContext
from rollout.core.errors import RolloutError
from rollout.core.redaction import Redactor
from rollout.core.text import one_line
from rollout.journal.record import Kind
from rollout.reporting import messages
from rollout.reporting.documents import log_operation
from rollout.reporting.messages import Message

LOG = "log"
"""The channel that is always there: the operations log."""

PLANNED, STANDING_BY = "planned", "standing by"
PATIENCE_S = 15.0
"""Before the change nobody waits for anything else: a mail server may take its time."""

HURRY_S = 5.0
"""Afterwards a channel that hangs must not hold up the closing block, nor the end of a job that was cancelled."""

_ADDRESSES = frozenset({"mailto", "mailtos", "json", "jsons", "xml", "xmls", "form", "forms"})
"""Schemes whose host is a host; elsewhere it may be the token."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of one message on one channel: ``log`` or the name of the variable with the Apprise URL."""

    channel: str
    accepted: bool
    detail: str


def announce_plan(rollout: RolloutContext, env: Mapping[str, str]) -> tuple[Delivery, ...]:
    """Tell every channel what is planned, and the rollback operator, on a channel of their own, that they stand by."""
    operator = rollout.scenario.operator
    own = operator.contact if operator is not None and operator.contact in _channels(rollout, everyone=True) else None
    others = [channel for channel in _channels(rollout, everyone=False) if channel != own]
    told = _announced(rollout, PLANNED, messages.plan(rollout), env, others, patient=True)
    if operator is None or own is None:
        return told
    return told + _announced(rollout, STANDING_BY, messages.stand_by(rollout, operator), env, [own], patient=True)


def announce(
    rollout: RolloutContext, event: str, letter: Message, env: Mapping[str, str], *, everyone: bool = False
) -> tuple[Delivery, ...]:
    """Send to every channel of scenario and policy that has not heard of `event` yet, and return every delivery so far.

    A refusal is an outcome, not an exception, and is tried once more; no channel holds anybody up for longer than
    `HURRY_S`. The operations log is left out: whoever announces an end has written its line already.

    Args:
        rollout: the rollout.
        event: what has happened; each channel hears of it once, whichever process tells it.
        letter: what is said.
        env: where the channels' URLs are.
        everyone: the target's own channels too, for what needs a person.
    """
    channels = [channel for channel in _channels(rollout, everyone=everyone) if channel != LOG]
    return _announced(rollout, event, letter, env, channels, patient=False)


def page(
    rollout: RolloutContext, event: str, letter: Message, env: Mapping[str, str], *, everyone: bool = False
) -> None:
    """Tell people on every channel, and the operations log; one that cannot be reached does not stop the others."""
    with suppress(OSError, RolloutError):
        log_operation(rollout, f"{letter.subject}: {letter.gist}")
    with suppress(OSError, RolloutError):
        announce(rollout, event, letter, env, everyone=everyone)


def _channels(rollout: RolloutContext, *, everyone: bool) -> tuple[str, ...]:
    asked = (*rollout.scenario.notify, *rollout.policy.channels)
    return tuple(dict.fromkeys((*asked, *(rollout.target.notify if everyone else ()))))


def _announced(
    rollout: RolloutContext,
    event: str,
    letter: Message,
    env: Mapping[str, str],
    channels: Iterable[str],
    *,
    patient: bool,
) -> tuple[Delivery, ...]:
    told = {
        row["channel"]: Delivery(row["channel"], row["accepted"], row["detail"])
        for row in rollout.last_known_record().notified
        if row["event"] == event and row["accepted"]
    }
    for delivery in _delivered(rollout, letter, env, [each for each in channels if each not in told], patient=patient):
        told[delivery.channel] = delivery
        rollout.append_or_spool(
            Kind.NOTIFIED,
            event=event,
            channel=delivery.channel,
            accepted=delivery.accepted,
            detail=delivery.detail,
            subject=letter.subject,
        )
    return tuple(told.values())


def _delivered(
    rollout: RolloutContext, letter: Message, env: Mapping[str, str], channels: Iterable[str], *, patient: bool
) -> Iterator[Delivery]:
    urls: dict[str, str] = {}
    for channel in channels:
        if channel == LOG:
            yield Delivery(
                channel,
                accepted=True,
                detail=f"written to {log_operation(rollout, f'{letter.subject}: {letter.gist}')}",
            )
        elif url := env.get(channel):
            urls[channel] = url
        else:
            yield Delivery(channel, accepted=False, detail=f"the environment variable {channel} is not set")
    if urls:
        for url in urls.values():
            rollout.redactor.add_url(url)
        letter = Message(*map(rollout.redactor.text, (letter.subject, letter.body)))
        yield from sent(letter, urls, within_s=PATIENCE_S if patient else HURRY_S, tries=1 if patient else 2)


def sent(letter: Message, urls: Mapping[str, str], *, within_s: float, tries: int) -> tuple[Delivery, ...]:
    """Send one letter over all these channels side by side, and return what became of each; never raises.

    Args:
        letter: what is said.
        urls: channel -> its Apprise URL.
        within_s: nobody waits longer than this.
        tries: how often a channel that refuses is tried.
    """
    order = [
        {"channel": channel, "url": url, "subject": letter.subject, "body": letter.body, "tries": tries}
        for channel, url in urls.items()
    ]
    try:
        out = _worker_error(json.dumps(order).encode(), within_s)
    except OSError as error:
        return tuple(
            Delivery(channel, accepted=False, detail=f"nothing could be sent: {error.strerror}") for channel in urls
        )
    said = {row["channel"]: row for row in map(json.loads, out.splitlines())}
    late = {"accepted": False, "detail": f"no answer within {within_s:g} s; whether it will arrive is not known"}
    return tuple(_delivery(channel, url, said.get(channel, late)) for channel, url in urls.items())


def _delivery(channel: str, url: str, said: Mapping[str, object]) -> Delivery:
    detail = Redactor(_secrets_of(url)).text(one_line(said["detail"], 300))
    return Delivery(channel, bool(said["accepted"]), detail)


def _worker_error(order: bytes, within_s: float) -> str:
    """Return what the courier printed until it ended, or was ended."""
    courier = subprocess.Popen(
        [sys.executable, "-m", "rollout.reporting.notification_worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        # A terminal's Ctrl-C rolls back, and people must hear of that.
        start_new_session=True,
    )
    try:
        out, _ = courier.communicate(order, timeout=within_s)
    except subprocess.TimeoutExpired:
        courier.kill()
        out, _ = courier.communicate()
    return out.decode(errors="replace")


def _secrets_of(url: str) -> Iterator[str]:
    """Yield what must not be repeated of a channel's URL, whole and in parts; one variable may hold several URLs."""
    yield url
    for each in re.split(r"[\s,]+(?=[A-Za-z]+://)", url):
        try:
            parts = urlsplit(each)
        except ValueError:
            continue
        host = () if parts.scheme.casefold() in _ADDRESSES else (parts.netloc, parts.hostname or "")
        named = (parts.password or "", parts.username or "", *(value for _, value in parse_qsl(parts.query)))
        found = (each, *named, *parts.path.split("/"), *host)
        yield from (spelling for part in found for spelling in (part, unquote(part)))
