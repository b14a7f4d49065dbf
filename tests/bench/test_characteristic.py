"""The operating characteristic: worlds with the truth that they claim, the rule, the other tools, and the documents."""

import math
from dataclasses import replace

import numpy as np
import pytest

from bench.characteristic import acceptance, catalogue, latency, page, record
from bench.characteristic.binomial import lower_tail, upper_bound
from bench.characteristic.catalogue import HOUR_23_S, MINUTE_20_S, failing
from bench.characteristic.judge import Ends, Rule, first_breaches, is_holding, judge
from bench.characteristic.rivals import ARGO, BURN_RATE, FLAGGER, first_rollbacks
from bench.characteristic.tally import ALPHA, Alarms, Tally, _kept_above, rule_of, run, watch_block
from bench.characteristic.worlds import DAY_S, Cluster, Latency, Streams, World, _drift, draw

# Binomial tails, and the baseline's bound


def test_the_tail_and_the_bound_are_those_of_their_definitions():
    exact = sum(math.comb(120, k) * 0.1**k * 0.9 ** (120 - k) for k in range(4))

    assert lower_tail([3, 0], [120, 0], 0.1) == pytest.approx([exact, 1.0], rel=1e-9)
    assert lower_tail(1, 20, upper_bound(1, 20, 0.005)) == pytest.approx(0.005, rel=1e-9)


@pytest.mark.parametrize(("requests", "alpha"), [(104, 0.01), (149, 0.001)])
def test_a_small_baseline_is_judged_by_a_higher_share(requests, alpha):
    assert latency.baseline_bound(requests, alpha) == latency.Bound(requests, 0.05)
    smaller = latency.baseline_bound(requests - 1, alpha)
    assert smaller.order == latency.plug_in_order(requests - 1)
    assert 0.05 < smaller.share < 0.2


def test_the_plug_in_is_the_95th_percentile_without_interpolation():
    assert [latency.plug_in_order(requests) for requests in (1, 19, 20, 21, 100, 103)] == [1, 19, 19, 20, 95, 98]


@pytest.mark.parametrize(("requests", "widening"), [(1_000, 1.36), (10_000, 1.10)])
def test_the_price_of_the_bound_is_a_wider_limit(requests, widening):
    order = latency.baseline_bound(requests, 0.001).order

    assert latency.quantile_s(order / requests) / latency.quantile_s(0.95) == pytest.approx(widening, abs=0.025)


def test_the_limit_is_below_twice_the_true_p95_in_half_of_alpha_at_most():
    bound = latency.baseline_bound(1_000, 0.05)
    limits_s = latency.draw_limits_s(bound, 1_000, 20_000, np.random.default_rng(0))

    too_strict = (limits_s < 2 * latency.quantile_s(0.95)).mean()
    assert 0.01 < too_strict < 0.028


# The worlds


def _mean_share(world: World) -> float:
    streams = draw(world, 200, 0, 0.01)
    assert (streams.bad <= streams.requests).all()
    assert streams.requests.mean() == pytest.approx(world.rate_per_s * 10, rel=0.02)
    return streams.bad.sum() / streams.requests.sum()


@pytest.mark.parametrize("cluster", list(Cluster))
@pytest.mark.parametrize("mean", [0.03, 0.04])
def test_errors_have_their_mean_however_they_cluster(cluster, mean):
    assert _mean_share(World(10.0, mean, cluster=cluster)) == pytest.approx(mean, rel=0.015)


def test_clusters_vary_more_than_independent_errors():
    def deviation(cluster):
        streams = draw(World(10.0, 0.04, cluster=cluster), 50, 0, 0.01)
        return (streams.bad - 0.04 * streams.requests).std()

    apart = deviation(Cluster.NONE)
    assert [cluster for cluster in Cluster if deviation(cluster) > 1.3 * apart] == list(catalogue.CLUSTERS)


def test_a_brownout_lasts_15_seconds_in_every_600():
    world = World(1000.0, 0.04, cluster=Cluster.BROWNOUTS)
    streams = draw(world, 20, 0, 0.01)

    shares = streams.bad / streams.requests
    assert shares.max() == pytest.approx(0.25, abs=0.02)
    assert ((shares > 0.07).sum(axis=0) <= 3 * world.polls // 60).all()
    assert ((shares > 0.07).sum(axis=0) >= world.polls // 60).all()


@pytest.mark.parametrize(("slower", "share"), [(1.0, 0.0117), (1.8, 0.0421), (4.0, 0.1074)])
def test_a_share_of_latencies_is_slower_than_twice_the_baseline(slower, share):
    true_limit_s = 2 * latency.quantile_s(0.95)

    assert latency.slower_share(true_limit_s / slower) == pytest.approx(share, abs=0.0005)
    assert _mean_share(World(10.0, latency=Latency(slower, 100_000))) == pytest.approx(share, rel=0.1)


def test_a_drift_is_wrong_only_from_the_first_five_minutes_above_the_limit_on():
    streams = draw(World(1000.0, latency=Latency(1.0, 100_000, 0.5)), 60, 0, 0.01)

    seen = np.vstack([np.zeros(60), (streams.bad / streams.requests).cumsum(axis=0)])
    means = (seen[30:] - seen[:-30]) / 30
    first_clear = np.where((means > 0.052).any(axis=0), (means > 0.052).argmax(axis=0) + 1, 361)
    wrong = streams.right_from <= 331
    assert (first_clear >= streams.right_from).all()
    assert (means[streams.right_from[wrong] - 1, np.flatnonzero(wrong)] > 0.046).all()
    assert 5 < wrong.sum() < 55


def test_a_drift_keeps_its_deviation_and_its_value_within_a_minute():
    factors = np.log(_drift(0.5, 360, 1000, np.random.default_rng(0)))

    assert factors[::60].std(axis=1) == pytest.approx(0.5, rel=0.1)
    assert (factors[:-1] == factors[1:]).mean() == pytest.approx(300 / 359, abs=0.001)
    assert np.corrcoef(factors[100], factors[106])[0, 1] == pytest.approx(0.9, abs=0.03)


def test_a_fault_begins_at_its_onset():
    streams = draw(World(1000.0, 0.10, onset_s=MINUTE_20_S), 4, 0, 0.01)

    shares = (streams.bad / streams.requests).mean(axis=1)
    assert (shares[:120] < 0.02).all()
    assert (shares[120:] > 0.09).all()
    assert (streams.right_from == 121).all()


def test_the_load_of_a_day_swings_and_its_polls_cover_an_extension():
    requests = draw(World(1.0, 0.01, window_s=DAY_S, is_diurnal=True), 3, 0, 0.01).requests

    hours = requests.reshape(48, 360, 3).mean(axis=1)
    assert hours.max() == pytest.approx(18, rel=0.05)
    assert hours.min() == pytest.approx(2, abs=0.5)


def test_the_numbers_are_those_of_the_seed():
    first, again, other = (draw(World(1.0, 0.04), 5, seed, 0.01).bad for seed in (3, 3, 4))

    assert (first == again).all()
    assert (first != other).any()


# The rule


def _stream(*polls: tuple[int, int]):
    return tuple(np.array(column)[:, None] for column in zip(*polls, strict=True))


def test_a_steady_share_below_the_limit_is_no_evidence_and_one_above_breaches():
    requests, bad = _stream(*[(100, 4)] * 360)
    assert judge(requests, bad, Rule(0.05, 0.01, 360), 180).held.tolist() == [180]

    ends = judge(requests, bad * 3, Rule(0.05, 0.01, 360), 180)
    assert 3 <= ends.breached[0] <= 10
    assert ends.held.tolist() == [0]


def test_one_poll_decides_only_where_nearly_everything_fails():
    rule, until = Rule(0.05, 0.01, 360), np.array([1])

    assert first_breaches(*_stream((100, 95)), rule, until).tolist() == [1]
    assert first_breaches(*_stream((100, 40)), rule, until).tolist() == [0]


def test_two_batches_that_fail_as_one_are_no_outage():
    stream = _stream(*[(20, 20)] * 2)

    assert first_breaches(*stream, Rule(0.05, 0.01, 360), np.array([2])).tolist() == [0]


def test_a_limit_of_ten_per_cent_has_no_gross_failure():
    assert first_breaches(*_stream((1000, 1000)), Rule(0.1, 0.01, 360), np.array([1])).tolist() == [0]


def test_a_change_late_in_a_day_breaches_within_minutes():
    polls = [(100, 1)] * 8000 + [(100, 15)] * 100

    (breach,) = first_breaches(*_stream(*polls), Rule(0.05, 0.01, 17_280), np.array([8100]))
    assert 8002 < breach < 8020


def test_a_breach_after_the_end_of_a_window_does_not_count():
    stream = _stream(*[(100, 12)] * 20)
    (breach,) = first_breaches(*stream, Rule(0.05, 0.01, 360), np.array([20]))

    assert first_breaches(*stream, Rule(0.05, 0.01, 360), np.array([breach - 1])).tolist() == [0]


@pytest.mark.parametrize(
    ("polls", "holds"),
    [
        ([(1, 0)] * 29, True),
        ([(1, 0)] * 28, False),
        ([(10, 0)] * 150 + [(10, 0)] * 30, True),
        ([(10, 0)] * 150 + [(10, 1)] * 30, False),
        ([(100, 5)] * 180, True),
        ([(100, 5)] * 179 + [(100, 6)], False),
        ([(2, 0)] * 60 + [(1, 0)] * 118 + [(1, 1)] * 2 + [(0, 0)] * 30, True),
        ([(0, 0)] * 180, False),
    ],
    ids=[
        *("29 clean requests", "28 clean requests", "all clean", "the last five minutes at twice the limit"),
        *(
            "exactly the limit",
            "an estimate above the limit",
            "120 requests are longer than five minutes",
            "no requests",
        ),
    ],
)
def test_a_window_holds_by_its_estimate_and_where_twice_the_limit_is_excluded(polls, holds):
    made, failed = (np.vstack([[[0]], counts.cumsum(axis=0)]) for counts in _stream(*polls))

    assert is_holding(made, failed, 0.05).tolist() == [holds]


def test_an_inconclusive_window_is_judged_again_every_five_minutes():
    requests, bad = _stream(*[(10, 0)] * 150, *[(10, 2)] * 20, *[(10, 0)] * 190)

    assert judge(requests, bad, Rule(0.05, 1e-9, 360), 180).held.tolist() == [210]


def test_a_window_that_stays_inconclusive_neither_breaches_nor_holds():
    ends = judge(*_stream(*[(100, 5), (100, 6)] * 180), Rule(0.05, 1e-9, 360), 180)

    assert (ends.breached.tolist(), ends.held.tolist()) == ([0], [0])


# The other tools


@pytest.mark.parametrize(
    ("bad_minutes", "argo", "flagger"),
    [((0, 1, 2), 0, 0), ((0, 9, 14, 29), 30, 0), ((2, 3, 4, 5, 6), 6, 7), (range(30, 60), 0, 0)],
)
def test_the_fourth_bad_minute_ends_argos_analysis_and_the_fifth_flaggers(bad_minutes, argo, flagger):
    share = np.zeros(360, int)
    for minute in bad_minutes:
        share[6 * minute] = 10
    found = first_rollbacks(np.full((360, 1), 20), share[:, None], 180)

    assert [int(found[name][0]) for name in (ARGO, FLAGGER)] == [6 * argo, 6 * flagger]


def test_a_burn_rate_is_that_of_the_hour_and_of_five_minutes():
    requests = np.full((360, 3), 100)
    bad = np.zeros((360, 3), int)
    bad[:, 0] = 6
    bad[60:75, 1] = 40
    bad[:6, 2] = 100

    # From the start; at minute 12, when the hour exceeds the limit too; and a minute that the fifth one still covers.
    found = first_rollbacks(requests, bad, 360)[BURN_RATE]
    assert found.tolist() == [30, 72, 30]


# Counting


def test_blocks_of_windows_are_counted_together_and_each_has_its_seed(monkeypatch):
    monkeypatch.setattr("bench.characteristic.tally.BLOCK", 40)
    world = failing(1.0, 2.0)
    (tally,) = run({world: 100}).values()

    parts = [watch_block(world, windows, seed) for seed, windows in enumerate((40, 40, 20))]
    assert tally.windows == 100
    assert tally.breached.delays_s.tolist() == [delay for part in parts for delay in part.breached.delays_s]
    assert tally.kept + tally.rolled_back == 100


def test_a_fault_is_detected_and_health_is_kept():
    fault, health = watch_block(failing(10.0, 2.0, MINUTE_20_S), 100, 0), watch_block(World(1.0, 0.03), 100, 0)

    assert fault.breached.delays_s.size == 100
    assert 40 <= np.median(fault.breached.delays_s) <= 160
    assert (health.breached.count, health.kept, health.kept_above) == (0, 100, 0)
    assert health.rivals[ARGO].wrong > 50


def test_a_window_that_is_kept_above_its_limit_is_counted():
    """No window of the rule is: its verdict is counted here, not derived again."""
    requests, bad = np.full((4, 3), 100), np.array([[4, 9, 9], [5, 9, 9], [6, 0, 0], [6, 0, 0]])
    streams, ends = Streams(requests, bad, np.zeros(3, int)), Ends(np.zeros(3, int), np.array([4, 2, 0]))

    assert _kept_above(streams, ends, Rule(0.05, 0.01, 4)) == 2


def test_mon_3_spends_half_of_its_alpha_on_the_baseline():
    assert rule_of(World(1.0, 0.03)) == Rule(0.05, 0.01, 360)
    assert rule_of(World(1.0, latency=Latency(1.0, 1_000))) == Rule(0.05, 0.005, 360)
    assert rule_of(World(1.0, latency=Latency(1.0, 20))).limit > 0.2
    assert rule_of(failing(1.0, 2.0, HOUR_23_S)).polls == 17_280


def test_every_world_of_the_record_has_its_number_of_windows():
    counts = catalogue.windows()

    assert {counts[world] for world in (*catalogue.PLAIN, *catalogue.CLUSTERED, *catalogue.DRIFTING)} == {10_000}
    assert {counts[failing(rate, 2.0)] for rate in catalogue.RATES} == {1_000}
    assert {counts[world] for world in catalogue.HEALTHY_DAYS} == {counts[failing(1.0, 2.0, HOUR_23_S)]} == {200}
    assert set(catalogue.windows(100).values()) == {100, 10, 2}


# The figures and the documents

_NONE = Alarms(0, np.array([]))


def _ideal(world: World, windows: int) -> Tally:
    """Return what a perfect rule does: every fault is breached in its first poll, and nothing else is."""
    is_fault = world in {*catalogue.FAILING, *catalogue.TOO_SLOW}
    breached = Alarms(0, np.full(windows, 10.0)) if is_fault else _NONE
    return Tally(windows, breached, 0, 0, dict.fromkeys((ARGO, FLAGGER, BURN_RATE), _NONE))


@pytest.fixture(scope="module")
def ideal():
    return {world: _ideal(world, windows) for world, windows in catalogue.windows().items()}


def test_a_perfect_rule_meets_every_limit(ideal):
    rows = acceptance.rows(ideal)

    assert [row for row in rows if row.met is False] == []
    assert sum(row.met is True for row in rows) == 22


@pytest.mark.parametrize(
    ("world", "change", "missed"),
    [
        (World(10.0, 0.04), {"breached": Alarms(11, _NONE.delays_s)}, "errors of 1 to 4 %"),
        (catalogue.SLOW_BUT_WITHIN[5], {"breached": Alarms(11, _NONE.delays_s)}, "latencies up to 1.8 x"),
        (catalogue.SLOWLY_DRIFTING[2], {"breached": Alarms(11, _NONE.delays_s)}, "drifting latencies"),
        (catalogue.CLUSTERED[1], {"breached": Alarms(51, _NONE.delays_s)}, "clustered errors, mean 3 %"),
        (catalogue.CLUSTERED[5], {"breached": Alarms(251, _NONE.delays_s)}, "clustered errors, mean 4 %"),
        (catalogue.HEALTHY_DAYS[0], {"breached": Alarms(2, _NONE.delays_s)}, "healthy days"),
        (World(1.0, 0.03), {"inconclusive": 21}, "inconclusive to the end: errors 3 %"),
        (World(1.0, 0.04), {"inconclusive": 51}, "inconclusive to the end: errors 4 %"),
        (failing(1.0, 1.2), {"breached": Alarms(0, np.full(949, 10.0))}, "kept: errors at 1.2 x"),
        (World(0.1, 0.049), {"kept_above": 1}, "kept with an estimate above the limit"),
        (failing(1000.0, 2.0), {"breached": Alarms(0, np.full(999, 10.0))}, "breached: errors at twice the limit"),
        (failing(1.0, 2.0), {"breached": Alarms(0, np.full(1000, 410.0))}, "delay: errors 10 % at 1/s (bound 230 s)"),
        (failing(10.0, 2.0), {"breached": Alarms(0, np.full(1000, 100.0))}, "delay: errors 10 % at 10/s"),
        (failing(1.0, 5.0), {"breached": Alarms(0, np.full(1000, 110.0))}, "delay: errors 25 % at 1/s"),
        (failing(10.0, 20.0), {"breached": Alarms(0, np.full(1000, 20.0))}, "delay: outage at 10/s"),
        (failing(1.0, 20.0), {"breached": Alarms(0, np.full(1000, 70.0))}, "delay: outage at 1/s"),
        (catalogue.TOO_SLOW[15], {"breached": Alarms(0, np.full(999, 10.0))}, "breached: latencies 4 x"),
        (World(0.1, 0.049), {"breached": Alarms(1, _NONE.delays_s)}, "worlds within the limit with more breaches"),
        (World(0.1, 0.049), {"inconclusive": 1}, "worlds within the limit with more rollbacks, at 0.1/s"),
        (World(1 / 60, 0.01), {"inconclusive": 1}, "worlds within the limit with more rollbacks, at 1/min"),
        (World(10.0, 0.049), {"inconclusive": 1}, "worlds within the limit with more rollbacks, at 1/s and more"),
        (
            failing(1.0, 5.0, HOUR_23_S),
            {"rivals": {ARGO: Alarms(0, np.full(190, 10.0)), FLAGGER: _NONE}},
            "faults that",
        ),
    ],
)
def test_each_figure_misses_its_limit_where_the_rule_does(ideal, world, change, missed):
    rows = acceptance.rows(ideal | {world: replace(ideal[world], **change)})

    assert any(missed in row.what for row in rows if row.met is False)


def test_the_bound_is_that_of_information():
    assert acceptance.bound_s(failing(1.0, 2.0)) == 230
    assert acceptance.bound_s(failing(1000.0, 2.0)) == 10
    assert acceptance.bound_s(failing(1.0, 20.0)) == 10


def test_a_run_writes_the_page_and_its_chart_and_a_quick_one_prints_only(ideal, tmp_path, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(record, "run", lambda worlds: asked.append(worlds) or ideal)
    monkeypatch.setattr(record, "DOCS", tmp_path)

    assert len(record.measure(quick=True)) > 20
    assert (asked, list(tmp_path.iterdir())) == ([catalogue.windows(100)], [])
    assert "## Errors above the limit, after 23 h" in capsys.readouterr().out

    rows = record.measure(quick=False)
    assert asked[1:] == [catalogue.windows()]
    written = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    text = written["OPERATING-CHARACTERISTIC.md"].decode()
    assert all(f"| {row.what} | {row.measured} |" in text for row in rows)
    assert "(operating-characteristic.svg)" in text
    assert "| errors 4.9 % | 1,000/s | 10,000 | 0 | 0 | 0 | 0 | 0 |\n" in text
    assert "| outage | 1/min | 200 | 200 | 10 / 10 s | 100 s | 0 | 0 | 0 | 0 | 0 |\n" in text
    assert b"<svg" in written["operating-characteristic.svg"]

    record.write(tmp_path, ideal, rows)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == written


def test_the_documents_page_says_what_its_rows_count():
    text = (record.DOCS / "OPERATING-CHARACTERISTIC.md").read_text(encoding="utf-8")

    assert f"{page._INTRODUCTION}\n## What the rule must achieve\n" in text
    assert f"\n{page._READINGS}\n## Plain errors within the limit\n" in text


def test_the_window_that_the_page_names_breaches_after_its_first_minute_and_has_no_five_minutes_above_the_limit():
    world = World(1000.0, latency=Latency(1.0, 10_000, 0.25))
    streams = draw(world, 1000, 3, ALPHA)
    requests, bad = (column[:, 672:673] for column in (streams.requests, streams.bad))

    assert streams.right_from[672] > world.polls
    assert judge(requests, bad, rule_of(world), world.window_polls).breached.tolist() == [6]
    # The limit of this window is 1.07 times the true one: its requests show less than the true shares of the page.
    shares = bad.cumsum() / requests.cumsum()
    assert shares[[5, 29]] == pytest.approx([0.061, 0.045], abs=0.001)


def test_the_page_counts_right_breaches_where_a_latency_drifts(ideal):
    world = catalogue.SLOWLY_DRIFTING[0]
    changed = ideal | {world: replace(ideal[world], breached=Alarms(1, np.array([900.0, 910.0])))}

    assert "| right breaches |" not in page.tables(ideal)
    assert "drifting by 0.25, baseline of 10,000 | 1/s | 10,000 | 1 | 0 | 2 | 0 | 0 | 0 |" in page.tables(changed)
