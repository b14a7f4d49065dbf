"""The ticket that documents the change (PRE-2.1), looked up in the tracker where the policy names one."""

from __future__ import annotations

import re
from contextlib import closing
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import quote, urlsplit

from rollout.context import RolloutContext
from rollout.core.errors import GatewayError
from rollout.gateway.transport import NoAnswer, Peer, Transport

DEADLINE_S = 5.0
_REDIRECTIONS = range(300, 400)
"""Mostly to a login page; none is followed."""

_PEER = Peer("the tracker", "the policy's ticket_lookup", "the machine's TLS")


@dataclass(frozen=True, slots=True)
class Ticket:
    """The ticket of a scenario.

    Attributes:
        id: as the scenario names it; None where it names none.
        pattern: the regular expression that it must match.
        asked: the URL at which it was looked up; None where it was not.
        problem: why it documents nothing; empty if it does.
    """

    id: str | None
    pattern: str
    asked: str | None
    problem: str


def read_ticket(rollout: RolloutContext) -> Ticket:
    """Return the scenario's ticket, looked up where the policy names a tracker.

    Raises:
        Interrupted: the run was asked to stop.
    """
    scenario, policy = rollout.scenario, rollout.policy
    ticket, pattern = scenario.ticket, policy.ticket_pattern
    if not ticket:
        return Ticket(ticket, pattern, None, f"{scenario.source} names no ticket; add `ticket:` or pass --ticket=ID")
    if not re.fullmatch(pattern, ticket):
        return Ticket(ticket, pattern, None, f"ticket {ticket!r} does not match policy {policy.name!r}: {pattern}")
    if policy.ticket_lookup is None:
        return Ticket(ticket, pattern, None, "")
    url = policy.ticket_lookup.replace("{ticket}", quote(ticket, safe=""))
    problem = _problem(rollout, url)
    return Ticket(
        ticket,
        pattern,
        url,
        f"ticket {ticket}: the tracker at {urlsplit(url).netloc} {problem}" if problem else "",
    )


def _problem(rollout: RolloutContext, url: str) -> str:
    """Return why the tracker does not confirm the ticket; empty if it does."""
    variable = rollout.policy.ticket_token_env
    token = rollout.env.get(variable, "") if variable else ""
    if variable and not token:
        return f"was not asked: the environment variable {variable} is not set; export it with the tracker's token"
    headers = {"User-Agent": "rollout", **({"Authorization": f"Bearer {token.strip()}"} if token else {})}
    try:
        with closing(Transport(secure=url.startswith("https:"), peer=_PEER)) as transport:
            answer = transport.exchange("GET", url, deadline_s=DEADLINE_S, headers=headers, stop=rollout.stop)
    except (NoAnswer, GatewayError) as problem:
        return f"gave no answer: {rollout.redactor.text(str(problem))}"
    return _verdict(answer.status, variable)


def _verdict(status: int, variable: str | None) -> str:
    if status == HTTPStatus.OK:
        return ""
    if status == HTTPStatus.NOT_FOUND:
        return "knows no such ticket (404); is it the right one?"
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN) or status in _REDIRECTIONS:
        held = (
            f"does the token in {variable} still hold?" if variable else "does it ask for a token (ticket_token_env)?"
        )
        return f"shows no ticket ({status}); {held}"
    return f"answers {status}, and only 200 says that the ticket is there"
