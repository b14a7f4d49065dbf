"""One real request, and the proof of its provider: the answer's own fields, or a counter (VER-2, CAN-1)."""

from __future__ import annotations

from dataclasses import dataclass

from rollout.context import RolloutContext
from rollout.core.errors import GatewayError, Refused
from rollout.core.scenario import ProviderChange
from rollout.gateway.client import Gateway
from rollout.gateway.expectations import answered_by, named
from rollout.gateway.responses import Completion
from rollout.journal.record import Kind


@dataclass(frozen=True, slots=True)
class Answered:
    """A completion, and the proof of its provider.

    Attributes:
        completion: the completion.
        seen: what shows the provider: the name in the answer, or only a counter.
        problem: what is wrong with it; None if nothing is.
    """

    completion: Completion
    seen: str
    problem: str | None


def ask(rollout: RolloutContext, expected: ProviderChange, clause: str) -> Answered:
    """Send one real request and judge who answered.

    Where the answer names no provider, its request counter must have moved; that only the counter shows it is a finding
    of `clause`.

    Raises:
        GatewayError: no completion came back, or the counter cannot be read.
    """
    before = count_requests(rollout.gateway, expected.provider, Refused)
    completion = rollout.gateway.chat(rollout.scenario.monitor.prompt)
    problem, seen = answered_by(completion, expected, rollout.target), named(completion)
    if problem is not None or completion.provider is not None:
        return Answered(completion, seen, problem)
    after, provider = count_requests(rollout.gateway, expected.provider, Refused), expected.provider
    if before is None or after is None:
        return Answered(completion, seen, f"{seen}, and {provider}'s request counter cannot be read")
    if after <= before:
        return Answered(
            completion, seen, f"the answer names no provider, and {provider}'s request counter stayed at {after}"
        )
    seen += f"; only {provider}'s request counter, from {before} to {after}, shows the provider"
    rollout.append_or_spool(Kind.FINDING, clause=clause, text=seen)
    return Answered(completion, seen, None)


def ask_one(rollout: RolloutContext, expected: ProviderChange) -> Answered:
    """Send one real request to one provider, past the one that is active, and judge who answered.

    Raises:
        GatewayError: no completion came back.
    """
    completion = rollout.gateway.chat_with(expected.provider, rollout.scenario.monitor.prompt)
    seen = named(completion)
    if completion.provider is None:
        return Answered(completion, seen, f"{seen}, so that it is unknown whether {expected.provider} was asked")
    return Answered(completion, seen, answered_by(completion, expected, rollout.target))


def count_requests(gateway: Gateway, provider: str, unread: type[GatewayError]) -> int | None:
    """Return the provider's request counter; None where reading it raises `unread`."""
    try:
        return gateway.metrics(provider).total_requests
    except unread:
        return None
