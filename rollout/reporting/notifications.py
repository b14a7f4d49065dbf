"""Notifications: each channel gets a message once per event, and its answer is journaled (PRE-4.2, EMG-3)."""

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
"""The name of the channel that writes to the operations log."""

PLANNED, STANDING_BY = "planned", "standing by"
PATIENCE_S = 15.0
"""Before the change, a slow channel (a mail server) delays nothing else."""

HURRY_S = 5.0
"""After the change, a channel that hangs must not delay the closing block, nor the end of a job that was cancelled."""

_ADDRESSES = frozenset({"mailto", "mailtos", "json", "jsons", "xml", "xmls", "form", "forms"})
"""Schemes whose host is a host; elsewhere it may be the token."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """The result of one message on one channel: ``log`` or the name of the variable with the Apprise URL."""

    channel: str
    accepted: bool
    detail: str


def announce_plan(rollout: RolloutContext, env: Mapping[str, str]) -> tuple[Delivery, ...]:
    """Announce the plan on every channel; a channel of the rollback operator's own gets `stand_by` instead."""
    operator = rollout.scenario.operator
    own = operator.contact if operator is not None and operator.contact in _channels(rollout, everyone=True) else None
    others = [channel for channel in _channels(rollout, everyone=False) if channel != own]
    delivered = _announce(rollout, PLANNED, messages.plan(rollout), env, others, patient=True)
    if operator is None or own is None:
        return delivered
    return delivered + _announce(rollout, STANDING_BY, messages.stand_by(rollout, operator), env, [own], patient=True)


def announce(
    rollout: RolloutContext, event: str, message: Message, env: Mapping[str, str], *, everyone: bool = False
) -> tuple[Delivery, ...]:
    """Send to every channel of scenario and policy that has not accepted `event` yet; return every delivery so far.

    A refusal is an outcome, not an exception, and is tried once more. The call takes at most `HURRY_S`. The operations
    log is left out: the caller that announces an end has written its line already.

    Args:
        rollout: the rollout.
        event: what has happened; each channel gets it once, whichever process sends it.
        message: what is sent.
        env: where the channels' URLs are.
        everyone: whether the target's own channels get it too, as what needs an operator.
    """
    channels = [channel for channel in _channels(rollout, everyone=everyone) if channel != LOG]
    return _announce(rollout, event, message, env, channels, patient=False)


def page(
    rollout: RolloutContext, event: str, message: Message, env: Mapping[str, str], *, everyone: bool = False
) -> None:
    """Write to the operations log and send to every channel; one that cannot be reached does not stop the others."""
    with suppress(OSError, RolloutError):
        log_operation(rollout, f"{message.subject}: {message.gist}")
    with suppress(OSError, RolloutError):
        announce(rollout, event, message, env, everyone=everyone)


def _channels(rollout: RolloutContext, *, everyone: bool) -> tuple[str, ...]:
    asked = (*rollout.scenario.notify, *rollout.policy.channels)
    return tuple(dict.fromkeys((*asked, *(rollout.target.notify if everyone else ()))))


def _announce(
    rollout: RolloutContext,
    event: str,
    message: Message,
    env: Mapping[str, str],
    channels: Iterable[str],
    *,
    patient: bool,
) -> tuple[Delivery, ...]:
    delivered = {
        row["channel"]: Delivery(row["channel"], row["accepted"], row["detail"])
        for row in rollout.last_known_record().notified
        if row["event"] == event and row["accepted"]
    }
    missing = [channel for channel in channels if channel not in delivered]
    for delivery in _deliver(rollout, message, env, missing, patient=patient):
        delivered[delivery.channel] = delivery
        rollout.append_or_spool(
            Kind.NOTIFIED,
            event=event,
            channel=delivery.channel,
            accepted=delivery.accepted,
            detail=delivery.detail,
            subject=message.subject,
        )
    return tuple(delivered.values())


def _deliver(
    rollout: RolloutContext, message: Message, env: Mapping[str, str], channels: Iterable[str], *, patient: bool
) -> Iterator[Delivery]:
    urls: dict[str, str] = {}
    for channel in channels:
        if channel == LOG:
            yield Delivery(
                channel,
                accepted=True,
                detail=f"written to {log_operation(rollout, f'{message.subject}: {message.gist}')}",
            )
        elif url := env.get(channel):
            urls[channel] = url
        else:
            yield Delivery(channel, accepted=False, detail=f"the environment variable {channel} is not set")
    if urls:
        for url in urls.values():
            rollout.redactor.add_url(url)
        message = Message(*map(rollout.redactor.text, (message.subject, message.body)))
        yield from send(message, urls, within_s=PATIENCE_S if patient else HURRY_S, tries=1 if patient else 2)


def send(message: Message, urls: Mapping[str, str], *, within_s: float, tries: int) -> tuple[Delivery, ...]:
    """Send one message over all these channels side by side, and return the result of each; never raises.

    Args:
        message: what is sent.
        urls: channel -> its Apprise URL.
        within_s: how long the call waits at most.
        tries: how often a channel that refuses is tried.
    """
    order = [
        {"channel": channel, "url": url, "subject": message.subject, "body": message.body, "tries": tries}
        for channel, url in urls.items()
    ]
    try:
        out = _worker_output(json.dumps(order).encode(), within_s)
    except OSError as error:
        return tuple(
            Delivery(channel, accepted=False, detail=f"nothing could be sent: {error.strerror}") for channel in urls
        )
    results = {row["channel"]: row for row in map(json.loads, out.splitlines())}
    late = {"accepted": False, "detail": f"no answer within {within_s:g} s; whether it will arrive is not known"}
    return tuple(_delivery(channel, url, results.get(channel, late)) for channel, url in urls.items())


def _delivery(channel: str, url: str, result: Mapping[str, object]) -> Delivery:
    detail = Redactor(_secrets_of(url)).text(one_line(result["detail"], 300))
    return Delivery(channel, bool(result["accepted"]), detail)


def _worker_output(order: bytes, within_s: float) -> str:
    """Return what the notification worker printed until it ended, or was killed after `within_s`."""
    worker = subprocess.Popen(
        [sys.executable, "-m", "rollout.reporting.notification_worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        # A terminal's Ctrl-C rolls back, and must not end the worker that sends the message about it.
        start_new_session=True,
    )
    try:
        out, _ = worker.communicate(order, timeout=within_s)
    except subprocess.TimeoutExpired:
        worker.kill()
        out, _ = worker.communicate()
    return out.decode(errors="replace")


def _secrets_of(url: str) -> Iterator[str]:
    """Yield the secrets of a channel's URL, entire and in parts; one variable may hold several URLs."""
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
