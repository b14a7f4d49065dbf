"""The servers, one of each for the session, where they are installed; in CI they must be."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial

import pytest

from rollout.monitoring.sources.registry import gateway_sources
from rollout.monitoring.triggers import TRIGGERS
from rollout.monitoring.window import watch
from tests.monitoring.servers import AlertmanagerServer, Exporter, PrometheusServer, missing
from tests.support.deciding import Decide, judging

REQUIRED = "ROLLOUT_REQUIRE_PROMETHEUS"


def insist(program: str) -> None:
    """Skip where the program is not installed; fail where it must be."""
    lacking = missing(program)
    if lacking and os.environ.get(REQUIRED):
        pytest.fail(f"{REQUIRED} is set, but {program}: {lacking}")
    if lacking:
        pytest.skip(f"{program}: {lacking}")


@pytest.fixture(scope="session")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrometheusServer]:
    insist("prometheus")
    with PrometheusServer(tmp_path_factory.mktemp("prometheus")) as server:
        yield server


@pytest.fixture(scope="session")
def alertmanager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AlertmanagerServer]:
    insist("prometheus-alertmanager")
    with AlertmanagerServer(tmp_path_factory.mktemp("alertmanager")) as server:
        yield server


@pytest.fixture(scope="session")
def exporter(prometheus: PrometheusServer) -> Iterator[Exporter]:
    """An exporter that is scraped as long as the session lasts: Prometheus takes 5 s to notice a new target."""
    one = Exporter()
    prometheus.scrape(exporter=one.address)
    yield one
    one.close()


@pytest.fixture
def scraped(exporter: Exporter, prometheus: PrometheusServer) -> Exporter:
    """The exporter, which serves nothing and is scraped."""
    exporter.lines, exporter.fails = {}, False
    prometheus.until('up{job="exporter"} == 1')
    return exporter


@pytest.fixture
def polls_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """A window polls in its own thread, because threads and a simulated clock do not mix.

    It asks the operator once a minute: each of these polls reads the journal, and the product has one a second.
    """
    monkeypatch.setattr("rollout.monitoring.bake.watch", partial(watch, start=lambda work: work()))
    asking = partial(gateway_sources, operator_every_s=60.0)
    monkeypatch.setattr("rollout.monitoring.sources.combined.gateway_sources", asking)


@pytest.fixture
def decide(monkeypatch: pytest.MonkeyPatch) -> Decide:
    """What puts a judge of the test's own in the place of MON-2's."""
    return lambda judge: monkeypatch.setattr("rollout.monitoring.triggers.TRIGGERS", judging(TRIGGERS, judge))
