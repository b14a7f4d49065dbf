"""Print the tables of docs/POWER.md: ``python docs/power_table.py``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from rollout.core.scenario import Limits, Monitor, ProviderChange
from rollout.core.units import show_duration
from rollout.monitoring.effective_limit import effective_limit, fewest_baseline_requests
from rollout.monitoring.planned_windows import PlannedWindow
from rollout.monitoring.power import POWER, describe_smallest_share, requests_needed
from rollout.monitoring.power_report import is_twice_shown, shown_share
from rollout.monitoring.samples import Context
from rollout.monitoring.share_tests import baseline_alpha, users_error_test
from rollout.monitoring.synthetic_pace import needed_requests

SOMEBODY = ProviderChange("openai", "gpt-4o")
CONTEXT = Context(SOMEBODY, SOMEBODY, Monitor())
MINUTE_S, HOUR_S = 60.0, 3600.0
WINDOWS_S = (10 * MINUTE_S, 30 * MINUTE_S, HOUR_S, 24 * HOUR_S)
RATES = {"1 a minute": 1 / 60, "6 a minute": 0.1, "30 a minute": 0.5, "1 a second": 1.0, "10 a second": 10.0}
RATES |= {"100 a second": 100.0, "1,000 a second": 1000.0}
ALPHAS = (0.1, 0.05, 0.01, 0.001)
SHARES = (0.01, 0.02, 0.05, 0.1)
BASELINES = (20, 50, 117, 200, 1_000, 10_000)


def smallest_shares() -> Iterator[tuple[str, ...]]:
    """Yield the smallest share that users' requests show, by rate and window."""
    yield ("users send", *(show_duration(window_s) for window_s in WINDOWS_S))
    for name, a_second in RATES.items():
        yield (name, *(_smallest(replace(CONTEXT, window_s=window_s), a_second) for window_s in WINDOWS_S))


def requests_for_twice_the_limit() -> Iterator[tuple[str, ...]]:
    """Yield the requests that show twice the limit in a window of 30 min: users', and the suite's own."""
    yield ("limit", *(f"alpha {alpha:g}" for alpha in ALPHAS))
    for limit in SHARES:
        monitor = Monitor(limits=Limits(error_rate=limit))
        cells = []
        for alpha in ALPHAS:
            context = replace(CONTEXT, monitor=monitor, alpha=alpha)
            users = requests_needed(users_error_test(context), 2 * limit, PlannedWindow("", context).users_polls)
            own = needed_requests(context, POWER)
            cells.append(f"{users:,} / {own:,}")
        yield (f"{limit * 100:g} %", *cells)


def slower_shares() -> Iterator[tuple[str, ...]]:
    """Yield the share of requests that may be slower than the limit, by the requests of the baseline."""
    yield ("requests of the baseline", *(f"alpha {alpha:g}" for alpha in ALPHAS))
    alphas = [baseline_alpha(replace(CONTEXT, alpha=alpha)) for alpha in ALPHAS]
    for requests in BASELINES:
        limits = [effective_limit([1.0] * requests, 2.0, alpha) for alpha in alphas]
        yield (f"{requests:,}", *(f"{limit.share * 100:.2g} %" for limit in limits if limit is not None))
    yield ("5 % from", *(f"{fewest_baseline_requests(alpha):,}" for alpha in alphas))


def _smallest(context: Context, a_second: float) -> str:
    window, test = PlannedWindow("", context), users_error_test(context)
    requests = window.users_requests(a_second)
    shown = shown_share(test, requests, window.users_polls)
    if not is_twice_shown(shown, test):
        return "not twice"
    return describe_smallest_share(requests, test.limit, shown).rpartition("from ")[2]


def markdown(rows: Iterator[tuple[str, ...]]) -> str:
    """Return the rows as a table, the first as its head."""
    head, *body = rows
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ("---",) * len(head), *body))


TABLES = (smallest_shares, requests_for_twice_the_limit, slower_shares)

if __name__ == "__main__":
    print("\n\n".join(markdown(table()) for table in TABLES))
