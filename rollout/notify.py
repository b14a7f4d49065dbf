"""Telling people: each channel once per event, and what the channel said to it (PRE-4.2)."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from rollout.documents import log_operation
from rollout.errors import RolloutError
from rollout.record import Kind
from rollout.workspace import Rollout

LOG = "log"
"""The channel that is always there: the operations log."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of one message on one channel: ``log`` or the name of the variable with the Apprise URL."""

    channel: str
    accepted: bool
    detail: str


def announce(
    rollout: Rollout, event: str, title: str, body: str, env: Mapping[str, str], *, logged: bool = False
) -> tuple[Delivery, ...]:
    """Send to every channel of the scenario that has not heard of `event` yet, and return every delivery so far.

    A refusal is an outcome, not an exception: it never delays a rollback. `logged` spares the operations log a second
    line on what it says already.
    """
    told = {
        row["channel"]: Delivery(row["channel"], row["accepted"], row["detail"])
        for row in rollout.known().notified
        if row["event"] == event and row["accepted"]
    }
    for channel in rollout.scenario.notify:
        if channel not in told and not (logged and channel == LOG):
            told[channel] = delivery = _deliver(rollout, channel, title, body, env)
            rollout.note(
                Kind.NOTIFIED, event=event, channel=channel, accepted=delivery.accepted, detail=delivery.detail
            )
    return tuple(told.values())


def page(rollout: Rollout, event: str, title: str, body: str, env: Mapping[str, str]) -> None:
    """Tell people on every channel, and the operations log; one that cannot be reached does not stop the others."""
    with suppress(OSError, RolloutError):
        log_operation(rollout, f"{title}: {body}")
    with suppress(OSError, RolloutError):
        announce(rollout, event, title, body, env, logged=True)


def _deliver(rollout: Rollout, channel: str, title: str, body: str, env: Mapping[str, str]) -> Delivery:
    if channel == LOG:
        path = log_operation(rollout, f"{title}: {body}")
        return Delivery(channel, accepted=True, detail=f"written to {path}")
    url = env.get(channel)
    if not url:
        return Delivery(channel, accepted=False, detail=f"the environment variable {channel} is not set")
    rollout.redactor.add(url)
    return _send(channel, url, rollout.redactor.text(title), rollout.redactor.text(body))


def _send(channel: str, url: str, title: str, body: str) -> Delivery:
    import apprise  # noqa: PLC0415 - heavy, and most runs on the sandbox notify the log only

    sender = apprise.Apprise()
    if not sender.add(url):
        return Delivery(channel, accepted=False, detail=f"{channel} holds no URL that Apprise understands")
    accepted = bool(sender.notify(title=title, body=body))
    return Delivery(
        channel, accepted, "accepted" if accepted else "the channel refused the message or cannot be reached"
    )
