"""A canary by weights on a real LiteLLM proxy; the judge is the file, and what the upstreams have seen."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.litellm.lab import CanaryLab
from tests.litellm.proxy import SHARED, Proxy

ROLLED_BACK = 10
SEEN = 20
"""So many requests, none of which reaches a deployment of weight 0, show that it has none."""


@pytest.fixture
def canary(proxy: Proxy, tmp_path: Path) -> Iterator[CanaryLab]:
    """An operator's folder for a canary on the proxy."""
    with closing(CanaryLab(proxy, tmp_path)) as found:
        yield found


def seen(lab: CanaryLab) -> tuple[int, int]:
    """Return how many completions each provider was asked for: the previous one, the new one."""
    return lab.proxy.upstream_of(lab.old.provider).requests, lab.proxy.upstream_of(lab.new.provider).requests


def share_of_new(lab: CanaryLab, before: tuple[int, int]) -> float:
    """Return the fraction of the requests since then that the new provider has seen."""
    old, new = (now - then for now, then in zip(seen(lab), before, strict=True))
    return new / (old + new)


def test_a_canary_by_weights_is_kept_and_each_stage_leads_its_share_to_the_new_provider(canary: CanaryLab) -> None:
    shares = []
    with canary.users():
        run = canary.begin()
        for stage in ("CAN-2.1 10%", "CAN-2.2 25%", "CAN-2.3 50%", "CAN-2.4 100%"):
            canary.await_stage(run, stage)
            before = seen(canary)
            canary.await_end_of(run, stage)
            shares.append(share_of_new(canary, before))
        code, printed = canary.end(run)
    assert code == 0, printed
    assert [round(share, 2) for share in shares] == [
        pytest.approx(0.1, abs=0.09),
        pytest.approx(0.25, abs=0.13),
        pytest.approx(0.5, abs=0.15),
        1.0,
    ]
    assert canary.proxy.weights == {canary.new.provider: 1, canary.old.provider: 0}
    assert "# The operators' own comment" in canary.proxy.config.read_text(encoding="utf-8")


def test_a_canary_whose_new_provider_fails_is_rolled_back_in_its_stage(canary: CanaryLab) -> None:
    with canary.users():
        run = canary.begin()
        canary.await_stage(run, "CAN-2.1 10%")
        canary.failing.status = 500
        code, printed = canary.end(run)
    assert code == ROLLED_BACK, printed
    assert "ROLLED BACK, verified" in printed
    # By the failures, and not for want of requests.
    assert re.search(r"why: MON-[25]: (?!inconclusive)", printed), printed
    assert canary.has_begun("CAN-2.1 10%")
    assert not canary.has_begun("CAN-2.2 25%")
    assert canary.proxy.weights == {canary.old.provider: 1, canary.new.provider: 0}
    before = seen(canary)
    for _ in range(SEEN):
        canary.proxy.ask(SHARED).raise_for_status()
    assert share_of_new(canary, before) == 0.0
