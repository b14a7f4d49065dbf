"""The rule of the bench decides as the product's own, poll by poll, on a hundred streams."""

import numpy as np
import pytest

from bench.characteristic.catalogue import CLUSTERED, MINUTE_20_S, PLAIN, RATES, failing
from bench.characteristic.judge import first_breaches, first_held
from bench.characteristic.tally import ALPHA, rule_of
from bench.characteristic.worlds import POLL_S, Latency, World, draw
from rollout.monitoring.share_test import Counted, ShareEvidence, ShareTest, is_holding, last_stretch

WINDOWS = 2
WORLDS = [
    *(
        failing(rate, multiple, onset_s)
        for rate in RATES
        for multiple in (1.5, 5.0, 20.0)
        for onset_s in (0, MINUTE_20_S)
    ),
    *PLAIN[-5:],
    *CLUSTERED[::3],
    *(World(1.0, latency=Latency(slower, baseline)) for slower in (1.8, 6.0) for baseline in (20, 103, 1_000)),
    World(1.0, latency=Latency(1.0, 10_000, 0.5)),
]


def _first_breach(requests, bad, rule):
    evidence = ShareEvidence(ShareTest(rule.limit, rule.alpha, rule.polls))
    for poll, (made, failed) in enumerate(zip(requests.tolist(), bad.tolist(), strict=True), start=1):
        evidence.add(made, failed)
        if evidence.is_breached:
            return poll
    return 0


def _first_held(requests, bad, rule, window_polls):
    polls = [Counted(POLL_S, made, failed) for made, failed in zip(requests.tolist(), bad.tolist(), strict=True)]
    for poll in range(window_polls, rule.polls + 1, 30):
        window = Counted(POLL_S * poll, int(requests[:poll].sum()), int(bad[:poll].sum()))
        if is_holding(window, last_stretch(polls[:poll]), rule.limit):
            return poll
    return 0


@pytest.fixture(scope="module")
def streams():
    return [(world, draw(world, WINDOWS, 100 + seed, ALPHA)) for seed, world in enumerate(WORLDS)]


def test_the_first_breach_is_in_the_same_poll(streams):
    breaches = []
    for world, drawn in streams:
        rule = rule_of(world)
        expected = [_first_breach(drawn.requests[:, each], drawn.bad[:, each], rule) for each in range(WINDOWS)]
        found = first_breaches(drawn.requests, drawn.bad, rule, np.full(WINDOWS, rule.polls))
        assert found.tolist() == expected, world
        breaches += expected

    assert len(breaches) == 100
    assert 40 < sum(breach > 0 for breach in breaches) < 80


def test_the_window_holds_at_the_same_poll(streams):
    held = []
    for world, drawn in streams:
        rule = rule_of(world)
        expected = [
            _first_held(drawn.requests[:, each], drawn.bad[:, each], rule, world.window_polls)
            for each in range(WINDOWS)
        ]
        assert first_held(drawn.requests, drawn.bad, rule.limit, world.window_polls).tolist() == expected, world
        held += expected

    assert len(set(held)) > 3
