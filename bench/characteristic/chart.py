"""The chart of the operating characteristic: how often a provider is rolled back, and how soon, by its true share.

matplotlib is imported only when the chart is drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from bench.characteristic.acceptance import Tallies, bound_s
from bench.characteristic.catalogue import FAILING, NEAR_LIMIT, PLAIN, RATES, name_rate
from bench.characteristic.rivals import ARGO, BURN_RATE, FLAGGER
from bench.characteristic.tally import Tally
from bench.characteristic.worlds import LIMIT, World

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    # The same windows give the same file.
    "svg.hashsalt": "rollout",
}
# Okabe and Ito's colours, and a line and a marker of its own for each curve: for print and for the colour-blind.
_OWN, _BREACHED, _LIMIT = "#000000", "#0072B2", "#D55E00"
_OTHERS = {ARGO: ("#E69F00", "s", ":"), FLAGGER: ("#009E73", "^", ":"), BURN_RATE: ("#CC79A7", "v", ":")}
_RATE, _FAST = 1.0, 10.0


def draw(tallies: Tallies, path: Path) -> None:
    """Write the chart as SVG.

    Raises:
        OSError: it cannot be written.
    """
    from matplotlib import rc_context  # noqa: PLC0415 - heavy, and only here is something drawn
    from matplotlib.figure import Figure  # noqa: PLC0415

    with rc_context(_STYLE):
        figure = Figure(figsize=(9.5, 7.2), layout="constrained")
        rolled_back, few, delays, fast = figure.subplots(2, 2).flat
        _draw_rollbacks(rolled_back, tallies, _RATE)
        _draw_rollbacks(few, tallies, RATES[1])
        _draw_delays(delays, tallies, _RATE)
        _draw_delays(fast, tallies, _FAST)
        figure.savefig(path, format="svg", facecolor="white", metadata={"Date": None})


def _draw_rollbacks(axes: Axes, tallies: Tallies, rate_per_s: float) -> None:
    """Draw which share of the windows is rolled back, of each rule."""
    worlds = _worlds([*PLAIN, *NEAR_LIMIT, *FAILING], rate_per_s)
    curves: list[tuple[str, Callable[[Tally], int], str, str, str]] = [
        ("breached", lambda tally: tally.breached.count, _BREACHED, "o", "-"),
        ("breached or inconclusive", lambda tally: tally.rolled_back, _OWN, "D", "--"),
        *((name, _count_of(name), *style) for name, style in _OTHERS.items()),
    ]
    for label, count, colour, marker, line in curves:
        shares = [100 * count(tallies[world]) / tallies[world].windows for world in worlds]
        axes.plot(_per_cent(worlds), shares, line, color=colour, marker=marker, markersize=4, label=label)
    axes.set_title(f"Rolled back, {name_rate(rate_per_s)}")
    axes.set_ylabel("windows (%)")
    _finish(axes, worlds, "center right")


def _count_of(name: str) -> Callable[[Tally], int]:
    return lambda tally: tally.rivals[name].count


def _draw_delays(axes: Axes, tallies: Tallies, rate_per_s: float) -> None:
    """Draw the median delay of the breaches, from the start, of each rule, and what no test undercuts."""
    worlds = _worlds(FAILING, rate_per_s)
    curves: list[tuple[str, Callable[[World], float], str, str, str]] = [
        ("breached", lambda world: _median_s(tallies[world].breached.delays_s), _BREACHED, "o", "-"),
        ("bound ln(1/alpha) / KL", bound_s, "#777777", "", "--"),
        *((name, _median_of(name, tallies), *style) for name, style in _OTHERS.items()),
    ]
    for label, delay_s, colour, marker, line in curves:
        values = [delay_s(world) for world in worlds]
        axes.plot(_per_cent(worlds), values, line, color=colour, marker=marker or None, markersize=4, label=label)
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.set_title(f"Median delay of a breach from the start, {name_rate(rate_per_s)}")
    axes.set_ylabel("seconds")
    _finish(axes, worlds, "best")


def _median_of(name: str, tallies: Tallies) -> Callable[[World], float]:
    return lambda world: _median_s(tallies[world].rivals[name].delays_s)


def _median_s(delays_s: Any) -> float:
    return float(np.median(delays_s)) if delays_s.size else float("nan")


def _worlds(worlds: Sequence[World], rate_per_s: float) -> list[World]:
    chosen = [each for each in worlds if each.rate_per_s == rate_per_s and not each.onset_s]
    return sorted(chosen, key=lambda world: world.share)


def _per_cent(worlds: Sequence[World]) -> list[float]:
    return [100 * world.share for world in worlds]


def _finish(axes: Axes, worlds: Sequence[World], legend: Literal["best", "center right"]) -> None:
    axes.axvline(100 * LIMIT, color=_LIMIT, linewidth=1, label="limit")
    axes.set_xscale("log")
    ticks = [share for share in (1, 2, 3, 4, 5, 7.5, 10, 15, 25, 50, 100) if share >= 100 * worlds[0].share - 1]
    axes.set_xticks(ticks, [f"{share:g}" for share in ticks])
    axes.minorticks_off()
    axes.set_xlabel("true error rate (%)")
    axes.legend(fontsize=7, loc=legend)
