"""A read of what the gateway lacks is refused with the driver's reason, and nothing is sent."""

from __future__ import annotations

from typing import Any

import pytest

from rollout.core.capabilities import Capability
from rollout.core.errors import NotOffered
from rollout.core.snapshot import GovernanceLimits
from rollout.gateway.client import find_fallback_counter

READS: dict[Capability, Any] = {
    Capability.STATUS: lambda gateway: gateway.status("openai"),
    Capability.COUNTERS: lambda gateway: gateway.metrics("openai"),
    Capability.ALERTS: lambda gateway: gateway.alerts(),
    Capability.AUDIT: lambda gateway: gateway.audit(),
    Capability.WEIGHTS: lambda gateway: gateway.weights(),
}


def lacking(gateway: Any, *capabilities: Capability) -> Any:
    gateway.capabilities = {**gateway.capabilities, **{each: f"it has no {each}" for each in capabilities}}
    return gateway


@pytest.mark.parametrize("capability", READS)
def test_what_is_lacking_is_not_asked_for(build: Any, liar: Any, capability: Capability) -> None:
    gateway = lacking(build(liar.url), capability)
    with pytest.raises(NotOffered, match=rf"^{capability}: it has no {capability}$"):
        READS[capability](gateway)
    assert liar.requests == []


def test_limits_are_lacking_only_where_both_kinds_are(build: Any, liar: Any) -> None:
    one = lacking(build(liar.url), Capability.COST_LIMITS)
    assert one.governance().rate_limits
    asked = len(liar.requests)
    none = lacking(one, Capability.RATE_LIMITS)
    assert none.limits() == GovernanceLimits({}, {})
    with pytest.raises(NotOffered, match="cost limits: it has no cost_limits"):
        none.governance()
    assert len(liar.requests) == asked


def test_a_gateway_that_lists_fallbacks_beside_its_limits_does_not_count_them(build: Any, liar: Any) -> None:
    gateway = build(liar.url)
    assert not gateway.counts_fallbacks
    assert find_fallback_counter(gateway) is None
    with pytest.raises(NotOffered, match="fallbacks: it does not count them"):
        gateway.fallbacks()
    assert liar.requests == []


def test_a_gateway_without_counters_counts_no_fallbacks(build: Any, liar: Any) -> None:
    gateway = build(liar.url)
    gateway._reads.fallbacks = lambda: 4
    assert (gateway.counts_fallbacks, gateway.fallbacks()) == (True, 4)
    counted = find_fallback_counter(gateway)
    assert counted is not None
    assert counted() == 4
    assert find_fallback_counter(lacking(gateway, Capability.COUNTERS)) is None
    with pytest.raises(NotOffered, match="counters: it has no counters"):
        gateway.fallbacks()


def test_a_process_without_an_id_has_none(build: Any, liar: Any) -> None:
    assert lacking(build(liar.url), Capability.BOOT_ID).boot_id() is None
    assert liar.requests == []
