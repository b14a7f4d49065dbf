"""What every driver of a gateway must do: ``pytest --pyargs rollout.testing.conformance --driver=KIND``.

The judge is the gateway's own state, which the subject reads without the driver.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from pydantic import BaseModel

from rollout.changes.executor import carry_out
from rollout.core.capabilities import Capability
from rollout.core.clock import NEVER, SystemClock
from rollout.core.errors import GatewayError, RolloutError
from rollout.core.scenario import ProviderChange
from rollout.core.wishes import Activate, SetLimit, Split, Wish
from rollout.core.writes import HttpCall, Read, Restart
from rollout.gateway.client import Gateway
from rollout.gateway.drivers.protocol import Driver
from rollout.testing.plugin import SHORT_S, Broken
from rollout.testing.subject import Fault, Subject

_SLACK_S = 2.0
_PROMPT = "Answer with one word."

Call = Callable[[Gateway, str], object]
READS: dict[str, tuple[Call, Capability | None]] = {
    "health": (lambda client, _: client.health(), None),
    "providers": (lambda client, _: client.providers(), None),
    "runtime_config": (lambda client, _: client.runtime_config(), None),
    "test_connection": (lambda client, provider: client.test_connection(provider), None),
    "preflight": (lambda client, provider: client.preflight(provider), None),
    "chat": (lambda client, _: client.chat(_PROMPT), None),
    "status": (lambda client, provider: client.status(provider), Capability.STATUS),
    "metrics": (lambda client, provider: client.metrics(provider), Capability.COUNTERS),
    "alerts": (lambda client, _: client.alerts(), Capability.ALERTS),
    "audit": (lambda client, _: client.audit(), Capability.AUDIT),
    "governance": (lambda client, _: client.governance(), Capability.COST_LIMITS),
    "weights": (lambda client, _: client.weights(), Capability.WEIGHTS),
    "boot_id": (lambda client, _: client.boot_id(), Capability.BOOT_ID),
}
"""Read -> how it is called, and the capability without which it is refused."""

EVERY_READ = pytest.mark.parametrize("read", READS)


def _activate(to: ProviderChange) -> Activate:
    return Activate(to.provider, to.model)


def _bring_about(client: Gateway, driver: Driver, subject: Subject, wish: Wish) -> None:
    """Carry out the writes of a wish as a rollout does: each once, and the restart last."""
    with client.allow_writes("APP-1.2"):
        for write in driver.writes(wish):
            if isinstance(write, Restart):
                subject.restart()
            else:
                carry_out(write, client, {}, clock=SystemClock(), stop=NEVER, redact=str)


def _require(driver: Driver, *needed: Capability) -> None:
    """Skip a test of what the gateway lacks, with the driver's reason."""
    for each in needed:
        why = driver.capabilities()[each]
        if why is not None:
            pytest.skip(f"no {each}: {why}")


# What a driver says of itself


def test_its_kind_is_the_one_that_was_asked_for(driver: Driver, pytestconfig: pytest.Config) -> None:
    assert driver.kind == pytestconfig.option.driver
    assert driver.summary.strip()
    assert "\n" not in driver.summary
    assert issubclass(driver.settings, BaseModel)


def test_it_answers_for_every_capability(driver: Driver) -> None:
    """A capability that is left out would be taken for one that the gateway has."""
    said = driver.capabilities()
    assert set(said) == set(Capability)
    assert all(why is None or why.strip() for why in said.values())


# Descriptions


def test_a_description_sends_nothing_and_is_the_same_each_time(driver: Driver, subject: Subject) -> None:
    before = subject.state()
    wish = _activate(subject.second)
    assert driver.writes(wish) == driver.writes(wish)
    assert driver.writes(wish), "an activation takes at least one write"
    assert subject.state() == before


def test_paths_begin_with_a_slash_and_bodies_hold_no_placeholder(driver: Driver, subject: Subject) -> None:
    calls = [write for write in driver.writes(_activate(subject.second)) if isinstance(write, HttpCall)]
    reads = [driver.read_call(read, subject.second.provider) for read in Read]
    asked = [call for call in (*reads, *driver.active_calls()) if not call.command]
    paths = [*(call.path for call in calls), *(call.path for call in asked)]
    assert all(path.startswith("/") for path in paths)
    assert not any("{provider}" in repr(call) or "{model}" in repr(call) for call in (*calls, *reads))


def test_an_activation_without_a_model_is_not_described(driver: Driver, subject: Subject) -> None:
    """A gateway might choose one."""
    with pytest.raises(GatewayError):
        driver.writes(Activate(subject.second.provider, ""))


# Writes


def test_an_activation_takes_effect_is_read_back_and_undone(driver: Driver, client: Gateway, subject: Subject) -> None:
    before = subject.state()
    assert client.active_provider() == subject.first
    _bring_about(client, driver, subject, _activate(subject.second))
    assert subject.state().active == str(subject.second)
    assert client.active_provider() == subject.second
    _bring_about(client, driver, subject, _activate(subject.first))
    assert subject.state().facts == before.facts


def test_an_activation_of_what_is_active_changes_nothing(driver: Driver, client: Gateway, subject: Subject) -> None:
    before = subject.state()
    _bring_about(client, driver, subject, _activate(subject.first))
    assert subject.state().facts == before.facts


def test_an_unknown_provider_is_an_error_and_changes_nothing(driver: Driver, client: Gateway, subject: Subject) -> None:
    before = subject.state()
    with pytest.raises(RolloutError):
        _bring_about(client, driver, subject, Activate("no-such-provider", "no-such-model"))
    assert subject.state().facts == before.facts


def test_weights_are_set_read_back_and_removed(driver: Driver, client: Gateway, subject: Subject) -> None:
    _require(driver, Capability.WEIGHTS)
    before, names = subject.state(), [driver.destination(to) for to in (subject.first, subject.second)]
    shares = dict(zip(names, (0.9, 0.1), strict=True))
    _bring_about(client, driver, subject, Split(shares))
    assert client.weights().shares == pytest.approx(shares)
    assert subject.state().facts != before.facts
    _bring_about(client, driver, subject, Split({}, rest=names[0]))
    assert subject.state().facts == before.facts


@pytest.mark.parametrize(
    ("kind", "limit", "needed"),
    [
        ("cost", "hard_limit_usd", Capability.COST_LIMITS),
        ("rate", "max_requests_per_minute", Capability.RATE_LIMITS),
    ],
)
def test_a_limit_is_set_read_back_and_restored(
    driver: Driver, client: Gateway, subject: Subject, kind: str, limit: str, needed: Capability
) -> None:
    _require(driver, needed)

    def now() -> dict[str, float]:
        governance = client.governance()
        return dict((governance.cost_limits if kind == "cost" else governance.rate_limits)["global"])

    before, saved = subject.state(), now()
    _bring_about(client, driver, subject, SetLimit(kind, "global", {**saved, limit: saved[limit] + 1}))
    assert now()[limit] == saved[limit] + 1
    _bring_about(client, driver, subject, SetLimit(kind, "global", saved))
    assert subject.state().facts == before.facts


# Reads


@EVERY_READ
def test_a_read_changes_nothing(driver: Driver, client: Gateway, subject: Subject, read: str) -> None:
    call, capability = READS[read]
    _require(driver, *([capability] if capability else []))
    before = subject.state()
    call(client, subject.first.provider)
    assert subject.state().facts == before.facts


@EVERY_READ
@pytest.mark.parametrize("fault", [Fault.DOWN, Fault.HANG])
def test_a_read_that_gets_no_answer_is_an_error_within_its_deadline(
    hurried: Gateway, driver: Driver, subject: Subject, broken: Broken, read: str, fault: Fault
) -> None:
    call, capability = READS[read]
    _require(driver, *([capability] if capability else []))
    with broken.by(fault):
        began = time.monotonic()
        with pytest.raises(GatewayError):
            call(hurried, subject.first.provider)
        assert time.monotonic() - began < SHORT_S + _SLACK_S


@EVERY_READ
def test_garbage_is_an_error(client: Gateway, driver: Driver, subject: Subject, broken: Broken, read: str) -> None:
    call, capability = READS[read]
    _require(driver, *([capability] if capability else []))
    with broken.by(Fault.GARBAGE), pytest.raises(GatewayError):
        call(client, subject.first.provider)


def test_an_offline_provider_is_an_answer(client: Gateway, driver: Driver, subject: Subject, broken: Broken) -> None:
    with broken.by(Fault.OFFLINE):
        assert not client.test_connection(subject.second.provider).succeeded
        if driver.capabilities()[Capability.STATUS] is None:
            assert client.status(subject.second.provider).status == "offline"


def test_a_completion_is_answered_by_the_active_provider_and_counted(
    client: Gateway, driver: Driver, subject: Subject
) -> None:
    counted = driver.capabilities()[Capability.COUNTERS] is None
    before = client.metrics(subject.first.provider).total_requests if counted else 0
    answer = client.chat(_PROMPT)
    assert answer.content.strip()
    if counted:
        # A call of an earlier test that was never answered may be counted by now as well.
        assert client.metrics(subject.first.provider).total_requests > before
    if driver.capabilities()[Capability.SERVED_BY] is None:
        assert (answer.provider, answer.model) == (subject.first.provider, subject.first.model)


def test_an_emergency_reads_the_active_provider_without_a_client(
    client: Gateway, driver: Driver, subject: Subject
) -> None:
    assert driver.active_calls() or driver.read_call(Read.ACTIVE).command, "nothing shows what is active"
    assert driver.place_in([None] * len(driver.active_calls())) is None
    assert client.active_provider() == subject.first


def test_the_id_of_the_process_changes_with_a_restart(client: Gateway, driver: Driver, subject: Subject) -> None:
    _require(driver, Capability.BOOT_ID)
    before = client.boot_id()
    assert before
    assert client.boot_id() == before
    subject.restart()
    assert client.boot_id() not in (None, before)
