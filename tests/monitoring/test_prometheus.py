"""Prometheus as the source of users' numbers, against the real server."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from rollout.core.clock import SystemClock
from rollout.core.limits import Limits
from rollout.core.redaction import Redactor
from rollout.core.scenario import Monitor, ProviderChange
from rollout.core.signals import PromqlSignal
from rollout.core.target import PrometheusSource, Tls
from rollout.gateway.responses import Metrics
from rollout.monitoring.sources.http_endpoint import Endpoint, SourceError
from rollout.monitoring.sources.prometheus import Prometheus
from rollout.monitoring.triggers import judge
from rollout.monitoring.verdict import State, Verdict
from tests.monitoring.servers import Exporter, PrometheusServer
from tests.support.windows import context, history, sample

NEW, OLD = ProviderChange("openai", "gpt-4o"), ProviderChange("ollama", "llama3")
OK, BAD = 'requests_total{provider="openai",status="ok"}', 'requests_total{provider="openai",status="error"}'
STATUS_ERROR = ',status="error"'
LE = 'seconds_bucket{{provider="openai",le="{}"}}'


class Case:
    """One test's series, distinguished from those of other tests by a label `case`, and clients that read them."""

    def __init__(self, server: PrometheusServer, exporter: Exporter, name: str) -> None:
        self.server, self.exporter, self.name = server, exporter, name
        mine = f'case="{name}",provider="{{provider}}"'
        self.source = PrometheusSource(
            url=server.url,
            requests=f"requests_total{{{mine}}}",
            errors=f'requests_total{{{mine},status="error"}}',
            latency_seconds_bucket=f"seconds_bucket{{{mine}}}",
            up='up{job="exporter"}',
        )
        self.opened: list[Endpoint] = []

    def of(self, metric: str, more: str = "") -> str:
        """Return the selector of this test's series of a metric."""
        return f'{metric}{{case="{self.name}"{more}}}'

    def show(self, lines: dict[str, float | str]) -> None:
        """Serve these series and no others."""
        mine = f'{{case="{self.name}",'
        self.exporter.lines = {series.replace("{", mine, 1): value for series, value in lines.items()}

    def serve(self, lines: dict[str, float | str]) -> None:
        """Serve these series and no others; return when Prometheus has them, and no others."""
        self.show(lines)
        for series, value in self.exporter.lines.items():
            self.server.until(f"{series} == {value}")
        mine = f'count({{case="{self.name}"}}) == {len(lines)}'
        self.server.until(mine)

    def buckets(self, **counts: int) -> dict[str, float | str]:
        """Return the lines of a histogram: ``_0_1=5`` is ``le="0.1"``, `inf` is the last."""
        bounds = {name: "+Inf" if name == "inf" else name.lstrip("_").replace("_", ".") for name in counts}
        return {LE.format(bounds[name]): count for name, count in counts.items()}

    def client(self, *, since_s: float = 0.0, memory: Any = None, **changes: Any) -> Prometheus:
        """Return a client."""
        source = replace(self.source, **changes)
        endpoint = Endpoint(
            "Prometheus", "sources.prometheus", source.url, tls=Tls(), token=None, token_env=None,
            deadline_s=5.0, redact=Redactor().text,
        )  # fmt: skip
        self.opened.append(endpoint)
        return Prometheus(source, endpoint, SystemClock(), since_s=since_s, memory=memory)


@pytest.fixture
def case(scraped: Exporter, prometheus: PrometheusServer, request: pytest.FixtureRequest) -> Iterator[Case]:
    one = Case(prometheus, scraped, re.sub(r"\W", "-", request.node.name))
    yield one
    for endpoint in one.opened:
        endpoint.close()


def counted(client: Prometheus) -> tuple[int, int]:
    found = client.metrics(NEW)
    return found.total_requests, found.failed_requests


def test_increases_are_counted_from_the_first_poll_on(case: Case) -> None:
    case.serve({OK: 1_000_000, BAD: 7, **case.buckets(_0_1=900_000, _0_5=1_000_007, inf=1_000_007)})
    client = case.client()
    assert counted(client) == (0, 0)
    case.serve({OK: 1_000_090, BAD: 17, **case.buckets(_0_1=900_000, _0_5=1_000_107, inf=1_000_107)})
    found = client.metrics(NEW)
    assert (found.total_requests, found.failed_requests, found.successful_requests) == (100, 10, 90)
    assert found.error_rate == 0.1
    # All of the 100 lie between 0.1 and 0.5 s.
    assert found.latency.p95_ms == pytest.approx(1000 * (0.1 + 0.4 * 0.95))
    assert found.latency.samples == 100


def test_a_counter_that_is_born_in_mid_window_is_counted_from_zero(case: Case) -> None:
    case.serve({OK: 50})
    client = case.client(latency_seconds_bucket=None)
    assert counted(client) == (0, 0)
    case.serve({OK: 50, BAD: 3})
    assert counted(client) == (3, 3)
    # What this is for: increase() does not see the three.
    assert not case.server.value(f"sum(increase({case.of('requests_total', STATUS_ERROR)}[5m]))")


def test_a_counter_that_goes_down_was_reset_and_counts_from_zero(case: Case) -> None:
    case.serve({OK: 50, BAD: 0})
    client = case.client(latency_seconds_bucket=None)
    counted(client)
    case.serve({OK: 60, BAD: 1})
    counted(client)
    case.serve({OK: 4, BAD: 0})
    assert counted(client) == (10 + 1 + 4, 1)


def test_a_series_that_vanishes_keeps_what_it_counted_and_goes_on_if_it_returns(case: Case) -> None:
    other = 'requests_total{provider="openai",status="ok",replica="b"}'
    case.serve({OK: 10, other: 10, BAD: 0})
    client = case.client(latency_seconds_bucket=None)
    counted(client)
    case.serve({OK: 12, other: 15, BAD: 0})
    counted(client)
    case.serve({OK: 12, BAD: 0})
    assert counted(client) == (7, 0)
    case.serve({OK: 12, other: 16, BAD: 0})
    assert counted(client) == (8, 0)


def test_a_series_that_was_not_scraped_at_the_beginning_does_not_add_all_that_it_ever_counted(case: Case) -> None:
    case.serve({OK: 1_000_000, BAD: 0})
    case.serve({BAD: 0})
    client = case.client(latency_seconds_bucket=None)
    counted(client)
    case.serve({OK: 1_000_002, BAD: 0})
    assert counted(client) == (2, 0)


def test_no_request_yet_is_a_reading_where_the_scrape_is_known_to_work(case: Case) -> None:
    case.serve({'requests_total{provider="ollama",status="ok"}': 9})
    client = case.client(latency_seconds_bucket=None)
    assert counted(client) == (0, 0)
    case.serve({'requests_total{provider="ollama",status="ok"}': 9, OK: 4})
    assert counted(client) == (4, 0)


def test_no_series_is_no_reading_where_it_is_not_known_to_be_scraped(case: Case) -> None:
    with pytest.raises(SourceError, match=r"no series matches requests_total\{.*openai.*; if its counters are born"):
        case.client(up=None).metrics(NEW)


def test_scrape_targets_that_there_are_not_are_no_reading(case: Case) -> None:
    with pytest.raises(SourceError, match=r'no series matches up\{job="gone"\}: Prometheus scrapes no such target'):
        case.client(up='up{job="gone"}').metrics(NEW)


@pytest.mark.parametrize("named", [True, False])
def test_a_scrape_that_fails_is_a_failed_poll(case: Case, named: bool) -> None:
    case.serve({OK: 5, BAD: 0})
    client = case.client(latency_seconds_bucket=None, **({} if named else {"up": None}))
    counted(client)
    case.exporter.fails = True
    case.server.until('up{job="exporter"} == 0')
    with pytest.raises(SourceError, match=r"the scrape of 1 of 1 targets fails \(up.* is 0\)"):
        client.metrics(NEW)
    case.exporter.fails = False
    case.server.until(case.of("requests_total"))
    assert counted(client) == (0, 0)


@pytest.mark.parametrize("value", ["NaN", "+Inf", "-1"])
def test_what_no_counter_is_is_no_reading(case: Case, value: str) -> None:
    case.show({OK: 5, BAD: value})
    case.server.until(case.of("requests_total"))
    with pytest.raises(SourceError, match=rf"status='error'\}} is {value.replace('+', '.')}, which no counter is"):
        case.client(latency_seconds_bucket=None).metrics(NEW)


def test_an_old_sample_is_a_failed_poll(case: Case, prometheus: PrometheusServer) -> None:
    # Exporters may say when a value was taken; this one says: four minutes ago, which Prometheus still shows.
    old_ms = int((SystemClock().now().timestamp() - 240) * 1000)
    case.show({OK: f"5 {old_ms}"})
    prometheus.until(case.of("requests_total"))
    with pytest.raises(SourceError, match=r"the newest sample of requests is 2\d\d s old, and 180 s are the most"):
        case.client(latency_seconds_bucket=None).metrics(NEW)


def test_requests_without_their_histogram_are_no_reading(case: Case) -> None:
    case.serve({OK: 5, BAD: 0})
    with pytest.raises(SourceError, match=r"no series matches seconds_bucket.*, and it has requests"):
        case.client().metrics(NEW)


def test_a_histogram_that_is_none_is_no_reading(case: Case) -> None:
    case.serve({OK: 5, BAD: 0, LE.format("0.1"): 5})
    with pytest.raises(SourceError, match=r"latency_seconds_bucket: there is no bucket le=\"\+Inf\""):
        case.client().metrics(NEW)
    with pytest.raises(SourceError, match="latency_seconds_bucket: a series has no label `le`"):
        case.client(latency_seconds_bucket=case.source.requests).metrics(NEW)


def test_the_percentile_is_the_one_that_prometheus_computes(case: Case) -> None:
    case.serve({OK: 0, BAD: 0, **case.buckets(_0_1=0, _0_25=0, _1=0, inf=0)})
    client = case.client()
    client.metrics(NEW)
    case.serve({OK: 103, BAD: 0, **case.buckets(_0_1=61, _0_25=92, _1=101, inf=103)})
    found = client.metrics(NEW)
    for share, mine in ((0.5, found.latency.p50_ms), (0.95, found.latency.p95_ms)):
        theirs = case.server.value(f"histogram_quantile({share}, {case.of('seconds_bucket')}) * 1000")
        assert mine == pytest.approx(theirs)
    # The 99th lies in the last bucket, and Prometheus answers its lower bound for it; here it is not known.
    assert case.server.value(f"histogram_quantile(0.99, {case.of('seconds_bucket')})") == 1
    assert found.latency.p99_ms is None
    assert found.histogram is not None
    assert found.histogram.quantile(0.99).at_least


def test_a_baseline_counts_what_was_before_the_first_poll(case: Case) -> None:
    case.serve({OK: 20, BAD: 4, **case.buckets(_0_1=20, _0_5=24, inf=24)})
    found = case.client(since_s=300).metrics(NEW)
    assert (found.total_requests, found.failed_requests, found.latency.samples) == (24, 4, 24)


def test_a_value_with_quotes_stands_for_itself(case: Case) -> None:
    odd = 'g"p\\t{4}'
    case.show({'requests_total{provider="openai",model="g\\"p\\\\t{4}"}': 3})
    case.server.until(case.of("requests_total"))
    for operator in ("=", "=~"):
        text = case.of("requests_total", f',model{operator}"{{model}}"')
        client = case.client(requests=text, latency_seconds_bucket=None, up=None)
        assert client.metrics(ProviderChange("openai", odd)).total_requests == 0


def test_the_sample_of_the_precheck_says_what_is_seen(case: Case) -> None:
    case.serve({OK: 20, BAD: 4, **case.buckets(_0_1=20, _0_5=24, inf=24)})
    sample = case.client().sample(NEW, OLD)
    assert sample.pop("newest sample").endswith(" s old")
    expected = {"requests": "24 in 2 series", "errors": "4 in 1 series", "latencies": "24 in 3 buckets up to 0.5 s"}
    assert sample == expected


def test_a_selector_that_never_matched_a_failure_is_refused_by_the_precheck(case: Case) -> None:
    case.serve({OK: 20, 'requests_total{provider="ollama",status="error"}': 1})
    assert case.client(latency_seconds_bucket=None).sample(NEW, OLD)["errors"] == "0 in 0 series"
    misspelt = case.source.errors.replace('"error"', '"eror"')
    with pytest.raises(SourceError, match=r"no failure was ever counted: .*eror.* none of ollama does either"):
        case.client(errors=misspelt, latency_seconds_bucket=None).sample(NEW, OLD)


def test_a_server_that_is_gone_is_a_failed_poll(case: Case) -> None:
    client = case.client(url="http://127.0.0.1:9")
    with pytest.raises(SourceError, match=r"Prometheus at 127.0.0.1:9: .*is Prometheus running\?"):
        client.metrics(NEW)


def test_a_query_that_the_server_refuses_says_why(case: Case) -> None:
    with pytest.raises(SourceError, match=r"Prometheus at .*: has no such path \(404\); is sources.prometheus.url"):
        case.client(url=f"{case.server.url}/elsewhere").metrics(NEW)


@pytest.mark.parametrize("query", ["3", "vector(3)", "sum(vector(3)) or vector(0)"])
def test_an_expression_that_is_one_number_is_read(case: Case, query: str) -> None:
    assert case.client().level(PromqlSignal(query, "queue", limit=1.0), NEW) == 3.0


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ('label_replace(vector(1), "a", "b", "", "") or vector(2)', "answers 2 series: .* aggregate them"),
        ("no_such_series", "answers no series: no_such_series; correct it, or add `or vector.0.`"),
        ('"text"', "answers a string"),
        ('("text")', "refused .422: execution"),
        ("vector(0) / vector(0)", "answers NaN"),
        ("vector(1)[1m:10s]", "answers a range of samples"),
    ],
)
def test_an_expression_that_is_no_number_is_a_failed_poll_that_says_why(case: Case, query: str, says: str) -> None:
    with pytest.raises(SourceError, match=says):
        case.client().level(PromqlSignal(query, "queue", limit=1.0), NEW)


def test_a_later_call_goes_on_where_an_earlier_one_stopped(case: Case) -> None:
    case.serve({OK: 1000, BAD: 10, **case.buckets(_0_1=1010, _0_5=1010, inf=1010)})
    first = case.client()
    first.metrics(NEW)
    case.serve({OK: 1010, BAD: 11, **case.buckets(_0_1=1021, _0_5=1021, inf=1021)})
    first.metrics(NEW)
    memory = json.loads(json.dumps(first.memory()))
    # Between the calls a series appears, and another one disappears for good.
    born = 'requests_total{provider="openai",status="ok",replica="b"}'
    case.serve({OK: 1020, born: 5, **case.buckets(_0_1=1021, _0_5=1036, inf=1036)})
    second = case.client(memory=memory)
    assert second.memory() == memory
    found = second.metrics(NEW)
    assert (found.total_requests, found.failed_requests) == (11 + 10 + 5, 1)
    assert found.histogram is not None
    assert found.histogram.record() == {"0.1": 11, "0.5": 26, "+Inf": 26}


# The verdicts of the triggers


def judged(clause: str, *readings: Metrics | str, limit_ms: float = 385.0) -> Verdict:
    """Return the verdict on these polls, ten seconds apart; a text is why a poll failed."""
    polls = [
        sample("metrics", 10.0 * tick, *((None, poll) if isinstance(poll, str) else (poll,)))
        for tick, poll in enumerate(readings)
    ]
    known = context(Monitor(limits=Limits(p95_ms=limit_ms), min_requests=100))
    return {each.clause: each for each in judge(history(*polls), known, 60.0)}[clause]


@pytest.mark.parametrize(("failures", "state"), [(50, State.HOLDING), (51, State.INCONCLUSIVE), (800, State.BREACHED)])
def test_exactly_the_limit_of_errors_holds_and_one_more_does_not(case: Case, failures: int, state: State) -> None:
    case.serve({OK: 10_000, BAD: 0})
    client = case.client(latency_seconds_bucket=None)
    first = client.metrics(NEW)
    case.serve({OK: 11_000 - failures, BAD: failures})
    found = judged("MON-2", first, client.metrics(NEW))
    assert (found.state, found.samples, found.source) == (state, 1000, "users")


@pytest.mark.parametrize(
    ("limit_ms", "state"), [(480.0, State.HOLDING), (479.0, State.INCONCLUSIVE), (120.0, State.BREACHED)]
)
def test_a_p95_at_the_limit_holds_and_just_above_it_does_not(case: Case, limit_ms: float, state: State) -> None:
    case.serve({OK: 100, BAD: 0, **case.buckets(_0_1=100, _0_5=100, inf=100)})
    client = case.client()
    first = client.metrics(NEW)
    case.serve({OK: 500, BAD: 0, **case.buckets(_0_1=100, _0_5=500, inf=500)})
    found = judged("MON-3", first, client.metrics(NEW), limit_ms=limit_ms)
    assert (found.state, found.samples, found.source) == (state, 400, "users")


def test_polls_that_fail_are_no_data_in_every_clause_that_reads_them(case: Case) -> None:
    errors = []
    client = case.client(url="http://127.0.0.1:9")
    # Three are forgiven once, and as many again end it.
    for _ in range(6):
        with pytest.raises(SourceError) as failed:
            client.metrics(NEW)
        errors.append(str(failed.value))
    states = [judged(clause, *errors).state for clause in ("MON-2", "MON-3", "MON-6")]
    assert states == [State.NO_DATA, State.NO_DATA, State.BREACHED]
    assert "is Prometheus running?" in judged("MON-6", *errors).message
