"""Whole rollouts on Prometheus' numbers: expressions, slices and a rise breach, nearly breach, and lack data.

One Prometheus and one exporter serve all of them: the numbers are the same, and the limits differ.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.test_signals import verdict
from tests.monitoring.conftest import insist
from tests.monitoring.servers import Exporter, PrometheusServer
from tests.support.runs import Lab

QUEUE = 'sum(queue{provider="{provider}"})'
# Requests a second: their share of failures is 3.2 % with openai, and 1.2 % with ollama.
RATES: Mapping[tuple[str, str, str], float] = {
    ("openai", "small", "ok"): 300.0,
    ("openai", "medium", "ok"): 144.0,
    ("openai", "medium", "error"): 6.0,
    ("openai", "large", "ok"): 6.0,
    ("openai", "large", "error"): 9.0,
    ("ollama", "small", "ok"): 395.2,
    ("ollama", "small", "error"): 4.8,
}
SERVED_S = 1000.0
"""Since when the providers serve: the baseline's share is certain."""


class Served(dict[str, float | str]):
    """Counters that grow with the time, beside series that do not."""

    def __init__(self, **levels: float) -> None:
        super().__init__(levels)
        self._began = time.monotonic() - SERVED_S

    def items(self) -> Any:
        """Return the series now."""
        took_s = time.monotonic() - self._began
        counted = {
            f'req{{provider="{provider}",model="{model}",status="{status}"}}': int(took_s * rate)
            for (provider, model, status), rate in RATES.items()
        }
        return [*counted.items(), *super().items()]


@pytest.fixture(scope="module")
def exporter() -> Iterator[Exporter]:
    one = Exporter()
    one.lines = Served(**{'queue{provider="openai"}': 19, 'queue{provider="ollama"}': 10, "backlog": 1})
    yield one
    one.close()


@pytest.fixture(scope="module")
def prometheus(exporter: Exporter, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrometheusServer]:
    insist("prometheus")
    with PrometheusServer(tmp_path_factory.mktemp("prometheus")) as server:
        server.scrape(gateway=exporter.address)
        server.until('sum(req{provider="openai"}) > 100')
        yield server


@pytest.fixture
def lab(prometheus: PrometheusServer, tmp_path: Path) -> Iterator[Lab]:
    """A lab whose users Prometheus counts; the gateway has none of its own."""
    with Lab(tmp_path, alert_error_share=1) as one:
        source = {"requests": 'req{provider="{provider}"}', "errors": 'req{provider="{provider}",status="error"}'}
        one.target["sources"] = {"prometheus": {"url": prometheus.url, **source, "up": 'up{job="gateway"}'}}
        paces = {"window": "6s", "synthetic_every": "150ms", "metrics_every": "300ms"}
        one.scenario["monitor"] |= {**paces, "error_rate": "5%", "p95": "20s"}
        yield one


def promql(name: str, query: str = QUEUE, **limit: Any) -> dict[str, Any]:
    return {"name": name, "query": query, **limit}


BREACHES: Mapping[str, tuple[dict[str, Any], str, str, str]] = {
    "an expression": (
        {"signals": {"promql": promql("queue", limit=15)}},
        "MON-5",
        "signals",
        "the signal queue is 19, 3 times in a row above 15",
    ),
    "a slice": (
        {"slices": {"by": "model", "judge": ["small", "large"]}},
        "MON-2",
        "users",
        "error rate of model large ",
    ),
    "a rise": (
        {"error_rate_rise": "1.5x"},
        "MON-2",
        "users",
        "of users' requests rose to more than 1.5x the baseline's 1.20%",
    ),
}


@pytest.mark.parametrize("case", BREACHES)
def test_what_is_above_its_limit_rolls_the_change_back(lab: Lab, case: str) -> None:
    monitor, clause, source, says = BREACHES[case]
    lab.scenario["monitor"] |= monitor
    before = lab.state()
    ended = lab.run()
    assert (ended.code, ended.word) == (10, "ROLLED BACK, verified"), ended.out
    found = verdict(ended, clause)
    assert (found["state"], found["source"], found["decided"]) == ("breached", source, True)
    assert says in found["message"]
    assert lab.state() == before


NEAR = {
    "MON-5": (r"signals: queue ([\d.]+) \(limit ([\d.]+)\)", r"longer queue ([\d.]+) \(limit ([\d.]+)\)"),
    "MON-2": (
        r"judged (?=at ([\d.]+) %: small 0.0 % \(0 of \d+\), )at [\d.]+ %: .*, medium ([\d.]+) % \(\d+ of \d+\)",
        r"the share of users' requests that failed, ([\d.]+)%, has not risen to more than 3x \(limit ([\d.]+)%, from",
    ),
}


def test_what_is_near_its_limit_keeps_the_change_and_is_shown(lab: Lab) -> None:
    """Each reading is at most its limit, and more than three quarters of it. PRE-2.5 has tried the expressions."""
    relative = promql("longer queue", factor="2x")
    lab.scenario["monitor"] |= {
        "signals": {"promql": [promql("queue", limit=20), relative]},
        "slices": {"by": "model", "judge": ["small", "medium"]},
        "error_rate_rise": "3x",
    }
    ended = lab.run()
    assert (ended.code, ended.word) == (0, "KEPT"), ended.out
    assert lab.state().active == "openai:gpt-4o"
    for clause, patterns in NEAR.items():
        found = verdict(ended, clause)
        assert found["state"] == "holding"
        for pattern in patterns:
            shown = re.search(pattern, found["message"])
            assert shown, f"no {pattern} in: {found['message']}"
            low, high = sorted(map(float, shown.groups()))
            assert 0.75 * high < low <= high, shown[0]
    assert "; worst model of 3: large, " in verdict(ended, "MON-2")["message"]
    assert "signals (MON-5),True" in "".join(ended.result("PRE-2.5").attachments.values())


def test_what_lacks_data_is_no_pass(lab: Lab, exporter: Exporter, prometheus: PrometheusServer) -> None:
    """The expression has no result from the activation on; of a listed slice there is no request."""

    def vanish() -> None:
        del exporter.lines["backlog"]
        prometheus.until("absent(backlog)")

    lab.scenario["monitor"] |= {
        "signals": {"promql": promql("backlog", "max(backlog)", limit=20)},
        "slices": {"by": "model", "judge": ["other"]},
    }
    lab.once("/openai/activate", vanish)
    before = lab.state()
    ended = lab.run()
    assert (ended.code, ended.word) == (10, "ROLLED BACK, verified"), ended.out
    unread, unseen = verdict(ended, "MON-5"), verdict(ended, "MON-2")
    assert (unread["state"], unread["decided"]) == ("inconclusive", False)
    assert "not seen once: signal backlog (it was not read once)" in unread["message"]
    assert (unseen["state"], unseen["decided"]) == ("inconclusive", False)
    assert "; no request of model other was seen, and the scenario judges it" in unseen["message"]
    dark = verdict(ended, "MON-6")
    assert (dark["state"], dark["source"], dark["decided"]) == ("breached", "signals", True)
    assert "the signal 'backlog' answers no series" in dark["message"]
    assert lab.state() == before


def test_an_expression_of_several_series_and_an_absent_label_fail_before_the_change(lab: Lab) -> None:
    lab.scenario["monitor"] |= {
        "signals": {"promql": promql("requests", "req", limit=1)},
        "slices": {"by": "region"},
    }
    ended = lab.run("-m", "precheck")
    assert ended.code == 1, ended.out
    for words in ("the signal 'requests' answers 7 series", "has the label region, by which monitor.slices divides"):
        assert words in ended.failed["PRE-2.5"]
