"""The operating characteristic as a page of the documents."""

from __future__ import annotations

from collections.abc import Sequence

from bench.characteristic import catalogue
from bench.characteristic.acceptance import Tallies, bound_s, show_delays
from bench.characteristic.catalogue import failing, name_onset, name_rate, name_world
from bench.characteristic.rivals import ARGO, BURN_RATE, FLAGGER
from bench.characteristic.tally import ALPHA, Tally
from bench.characteristic.worlds import World
from bench.table import MET, Row

_RIVALS = (ARGO, FLAGGER, BURN_RATE)
_INTRODUCTION = f"""# What the triggers can tell, and how soon

`python -m bench f` writes this page and its chart: simulated windows with a known truth, judged by the rule of MON-2
and MON-3 at alpha = {ALPHA:g} in each trigger. The limit is a share of bad requests of 5 %: failed ones for MON-2, ones
slower than twice the baseline's P95 for MON-3. A poll comes every 10 s, and a window lasts 30 min, with an extension at
most as long again where it is inconclusive. The seeds are fixed. `bench/characteristic/worlds.py` says what is true in
each world, and a test proves that the simulated rule decides as the product's own does.

A provider within its limits ends *kept*, *breached* (a false alarm) or *inconclusive* (rolled back after the extension,
without an alarm). The nearer a provider is to its limit, the more often it ends inconclusive. One request a minute is
too few to tell twice the limit from the limit in 30 minutes, and many of its windows end inconclusive, healthy ones
too. A delay counts from the onset of the fault to the breach, over the windows that breach; the bound beside it is
ln(1/alpha) / KL, which the mean delay of no test undercuts.

Other tools are judged on the same requests, without an extension: Argo Rollouts (error rate of a minute,
`failureLimit: 3`), Flagger (interval 1 min, `threshold: 5`) and a burn rate (the limit is exceeded over the last hour
and over the last 5 minutes, which is 14.4 times a budget of 0.35 %).

![Rollbacks and delays, by the true share of bad requests](operating-characteristic.svg)
"""
_READINGS = """\
The last rows have two readings. *Breaches* are the false alarms alone. *Rollbacks* are the inconclusive ends as well:
these windows are rolled back too, without an alarm, after the extension. The other tools know no inconclusive end. They
keep a window whose requests are too few to tell twice the limit, which the rule does not.

In both readings, one window of 10,000 counts against the rule in the world whose latencies drift by 0.25 at 1,000/s.
Its true share is 6.6 % in the first minute, is below the limit from the fourth minute on, and is 4.9 % over the first
five minutes. The rule breaches after the first minute, which has 60,000 requests.
"""


def render(tallies: Tallies, acceptance: Sequence[Row]) -> str:
    """Return the page in Markdown."""
    head = ("what", "measured", "limit", "met")
    figures = _table([head, *((row.what, row.measured, row.limit, MET[row.met]) for row in acceptance)])
    return f"{_INTRODUCTION}\n## What the rule must achieve\n\n{figures}\n{_READINGS}\n{tables(tallies)}"


def tables(tallies: Tallies) -> str:
    """Return the tables of the page: worlds within the limit, then faults by their onset."""
    within = [
        ("Plain errors within the limit", catalogue.PLAIN),
        ("Near the limit", catalogue.NEAR_LIMIT),
        ("Latencies within the limit of twice the baseline's P95", catalogue.SLOW_BUT_WITHIN),
        ("Latencies that drift from minute to minute", [*catalogue.SLOWLY_DRIFTING, *catalogue.DRIFTING]),
        ("Errors that come in clusters", catalogue.CLUSTERED),
        ("Healthy days of 24 h, with a load that swings by 80 %", catalogue.HEALTHY_DAYS),
    ]
    parts = [f"## {title}\n\n{_within(tallies, worlds)}" for title, worlds in within]
    for onset_s in catalogue.ONSETS_S:
        worlds = [failing(rate, multiple, onset_s) for multiple in catalogue.MULTIPLES for rate in catalogue.RATES]
        parts.append(f"## Errors above the limit, {name_onset(onset_s)}\n\n{_faults(tallies, worlds)}")
    parts.append(f"## Latencies above the limit, from the start\n\n{_faults(tallies, catalogue.TOO_SLOW)}")
    return "\n".join(parts)


def _within(tallies: Tallies, worlds: Sequence[World]) -> str:
    head = ("world", "requests", "windows", "breached", "inconclusive", "right breaches", *_RIVALS)
    lines = [_within_cells(world, tallies[world]) for world in worlds]
    # Only where a latency drifts is a breach right in some windows.
    unused = "" if any(tallies[world].breached.delays_s.size for world in worlds) else "right breaches"
    kept = [column for column, name in enumerate(head) if name != unused]
    return _table([[line[column] for column in kept] for line in (head, *lines)])


def _within_cells(world: World, tally: Tally) -> tuple[str, ...]:
    return (
        name_world(world),
        name_rate(world.rate_per_s),
        f"{tally.windows:,}",
        f"{tally.breached.wrong:,}",
        f"{tally.inconclusive:,}",
        f"{tally.breached.delays_s.size:,}",
        *(f"{tally.rivals[name].wrong:,}" for name in _RIVALS),
    )


def _faults(tallies: Tallies, worlds: Sequence[World]) -> str:
    head = ("world", "requests", "windows", "breached", "median / P95", "bound", "inconclusive", "kept", *_RIVALS)
    return _table([head, *(_fault_cells(world, tallies[world]) for world in worlds)])


def _fault_cells(world: World, tally: Tally) -> tuple[str, ...]:
    return (
        name_world(world),
        name_rate(world.rate_per_s),
        f"{tally.windows:,}",
        f"{tally.breached.delays_s.size:,}" + (f" (+{tally.breached.wrong} before)" if tally.breached.wrong else ""),
        show_delays(tally.breached),
        f"{bound_s(world):,.0f} s" if world.share else "",
        f"{tally.inconclusive:,}",
        f"{tally.kept:,}",
        *(_rival_cell(tally, name) for name in _RIVALS),
    )


def _rival_cell(tally: Tally, name: str) -> str:
    alarms = tally.rivals[name]
    before = f", +{alarms.wrong} before" if alarms.wrong else ""
    return f"{alarms.delays_s.size:,}: {show_delays(alarms)}{before}" if alarms.count else "0"


def _table(lines: Sequence[Sequence[str]]) -> str:
    rows = ["| " + " | ".join(line) + " |\n" for line in lines]
    rows.insert(1, "|" + " --- |" * len(lines[0]) + "\n")
    return "".join(rows)
