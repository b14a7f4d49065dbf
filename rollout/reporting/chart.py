"""The chart of the bake time: what users and the suite's own requests saw, the limits, and the moment of the breach.

Its parts differ by line, marker and hatching as well as by colour, for print and for the colour-blind. matplotlib is
imported only when there is something to draw.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from rollout.monitoring.samples import SourceName
from rollout.monitoring.verdict import show_ms, show_rate, show_span
from rollout.reporting.chart_data import (
    Bake,
    Curve,
    baseline_p95_ms,
    error_rates,
    gaps,
    latencies,
    latency_limit,
    own_requests,
    state_spans,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours: the colour-blind can distinguish them, and their greys differ in print.
_USERS, _OWN, _LIMIT, _BASELINE = "#0072B2", "#000000", "#D55E00", "#777777"
_STATES = {
    "connected": ("#CFE8DF", ""),
    "degraded": ("#F5C26B", "///"),
    "offline": ("#E58A63", "xxx"),
    "alive": ("#CFE8DF", ""),
    "refused": ("#E58A63", "xxx"),
    "no answer": ("#FFFFFF", "..."),
    "none": ("#F2F2F2", ""),
}
_FIRING = ("#E58A63", "\\\\\\")
_OTHER = ("#DDDDDD", "||")
_DASHES: Any = (0, (6, 2, 1, 2))
_FEW_POINTS = 80
_FEW_REQUESTS = 200
_CLOSE = 0.075
_LINE = 104
_SHORTEST_LABEL = 0.06
# The share of the axis below zero, for the markers at zero.
_BELOW = 0.04
_UNITS = ((180.0, 1.0, "seconds"), (3 * 3600.0, 60.0, "minutes"), (float("inf"), 3600.0, "hours"))
_STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "hatch.linewidth": 0.6,
    # A text such as "$3.00 of $5.00" is not mathematics.
    "text.parse_math": False,
    # The same samples give the same file.
    "svg.hashsalt": "rollout",
}


def draw(bake: Bake, path: Path) -> Path:
    """Write the chart of a window with samples into one file, ``.svg`` or ``.png``, and return its path.

    Raises:
        OSError: it cannot be written.
    """
    from matplotlib import rc_context  # noqa: PLC0415 - heavy, and only a window that was watched is drawn

    new = path.with_name(f".{os.getpid()}-{path.name}")
    extra: dict[str, Any] = {"metadata": {"Date": None}} if path.suffix == ".svg" else {"dpi": 150}
    with rc_context(_STYLE):
        _figure(bake).savefig(new, format=path.suffix[1:], facecolor="white", **extra)
    return new.replace(path)


# What is drawn


def _figure(bake: Bake) -> Figure:
    from matplotlib.figure import Figure  # noqa: PLC0415 - see `draw`

    figure = Figure(figsize=(11, 7.2), layout=None)
    errors, times, bands = figure.subplots(3, 1, sharex=True, height_ratios=(3, 3, 1.5))
    figure.subplots_adjust(left=0.085, right=0.83, top=0.85, bottom=0.1, hspace=0.3)
    breach = bake.breach
    title = "\n".join(wrap(bake.title, _LINE, max_lines=2, placeholder=" …"))
    figure.text(0.02, 0.985, title, fontsize=11.5, fontweight="bold", va="top")
    ended = f"ended by {breach['clause']} after" if breach else "watched for"
    planned = f"{ended} {show_span(bake.watched_s)} of {show_span(bake.monitor.window_s)}"
    figure.text(0.02, 0.917, f"{bake.subtitle} · {planned}", fontsize=9, color="#333333", va="center")
    scale, unit = next((scale, unit) for most, scale, unit in _UNITS if bake.watched_s <= most)
    _draw_errors(errors, bake, scale)
    _draw_latencies(times, bake, scale)
    _draw_bands(bands, bake, scale)
    _draw_gaps((errors, times, bands), bake, scale)
    bands.set_xlim(0, max(bake.watched_s, 1.0) / scale * 1.01)
    bands.set_xlabel(f"{unit} since {bake.samples[0]['at'][:19].replace('T', ' ')} UTC")
    note = f"the worse of the last {show_span(bake.monitor.short_span_s)} and the window so far"
    note += " · thin and dotted: too few requests to judge by · users decide about it while there are enough of them"
    figure.text(0.02, 0.018, note, fontsize=8, color="#333333")
    if breach is not None:
        _mark_breach((errors, times, bands), bake, breach, scale)
    return figure


def _draw_errors(axes: Axes, bake: Bake, scale: float) -> None:
    limit = bake.monitor.limits.error_rate * 100
    highest = limit
    for source in ("users", "synthetic"):
        curve = error_rates(bake, source)
        values = [value * 100 for value in curve.values]
        _draw_curve(axes, curve._replace(values=values), source, scale)
        highest = max([highest, *values])
    failed = [sample.at_s / scale for sample, reading in own_requests(bake) if not reading.ok]
    if failed:
        axes.plot(failed, [0] * len(failed), "x", color=_OWN, label="one of them failed", clip_on=False)
    axes.set_ylim(-_BELOW * highest, highest * 1.3)
    axes.set_ylabel("error rate in %")
    axes.axhline(limit, color=_LIMIT, linestyle=_DASHES, linewidth=1.6)
    _label_lines(axes, [(limit, f"limit {limit:g} %", _LIMIT)])
    _finish(axes, "Error rate (MON-2)")


def _draw_latencies(axes: Axes, bake: Bake, scale: float) -> None:
    lines: list[tuple[float, str, str]] = []
    highest = 0.0
    for source, whose in (("users", "users"), ("synthetic", "own requests")):
        curve = latencies(bake, source)
        _draw_curve(axes, curve, source, scale)
        highest = max([highest, *curve.values])
        width = 1.6 if source == "users" else 0.9
        for name, ms, colour, style in (
            ("limit", latency_limit(bake, source), _LIMIT, _DASHES),
            ("baseline", baseline_p95_ms(bake, source), _BASELINE, ":"),
        ):
            if ms is not None:
                lines.append((ms, f"{name}, {whose} {ms:.0f} ms", colour))
                axes.axhline(ms, color=colour, linestyle=style, linewidth=width)
    top = 1.25 * max([highest, *(y for y, _, _ in lines)]) or 1.0
    _draw_single_requests(axes, bake, scale, top)
    axes.set_ylim(-_BELOW * top, top)
    axes.set_ylabel("P95 in ms")
    _label_lines(axes, lines)
    _finish(axes, "P95 latency (MON-3)")


def _draw_single_requests(axes: Axes, bake: Bake, scale: float, top: float) -> None:
    answered = [(s.at_s / scale, r.latency_ms) for s, r in own_requests(bake) if r.ok and r.latency_ms is not None]
    shown = [(x, y) for x, y in answered if y <= top]
    if shown:
        xs, ys = zip(*shown, strict=True)
        few = len(shown) <= _FEW_REQUESTS
        style: dict[str, Any] = {
            "marker": "^" if few else ".",
            "markersize": 3 if few else 1.5,
            "linestyle": "none",
            "markerfacecolor": "none",
            "markeredgewidth": 0.6,
            "alpha": 0.7,
        }
        axes.plot(xs, ys, color=_OWN, label="one of them", **style)
    if len(shown) < len(answered):
        above = f"{len(answered) - len(shown)} slower than the frame shows"
        axes.text(0.995, 0.96, above, transform=axes.transAxes, ha="right", va="top", fontsize=8)


def _draw_curve(axes: Axes, curve: Curve, source: str, scale: float) -> None:
    if not curve.at_s:
        return
    users = source == "users"
    xs = [at_s / scale for at_s in curve.at_s]
    label = "users (the gateway's counters)" if users else "the suite's own requests"
    colour, marker = (_USERS, "o") if users else (_OWN, "^")
    first = curve.enough.index(True) if True in curve.enough else len(xs)
    if first:
        axes.plot(xs[: first + 1], curve.values[: first + 1], color=colour, linewidth=1.1, linestyle=":")
    axes.plot(
        xs[first:],
        curve.values[first:],
        color=colour,
        linewidth=2.2 if users else 1.2,
        linestyle="-" if users else (0, (4, 2)),
        marker=marker if len(xs) <= _FEW_POINTS else None,
        markersize=4.5,
        markerfacecolor=colour if users else "white",
        label=label,
    )


def _finish(axes: Axes, title: str) -> None:
    axes.set_title(title, loc="left", fontsize=9.5, fontweight="bold")
    axes.grid(axis="y", color="#EEEEEE", linewidth=0.8)
    axes.set_axisbelow(True)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(
            loc="lower right", bbox_to_anchor=(1.0, 0.99), ncols=3, frameon=False, fontsize=8, borderaxespad=0.1
        )


def _label_lines(axes: Axes, lines: list[tuple[float, str, str]]) -> None:
    """Label the lines at their right ends, with a minimum distance between the labels."""
    bottom, top = axes.get_ylim()
    floor = -1.0
    for value, text, colour in sorted(lines):
        floor = max((value - bottom) / (top - bottom), floor + _CLOSE)
        axes.text(1.008, floor, text, transform=axes.transAxes, color=colour, va="center", fontsize=8)


def _status(sample: Mapping[str, Any]) -> str:
    return str(sample.get("status", "no answer")).casefold()


def _alerts(sample: Mapping[str, Any]) -> str:
    if "alerts" not in sample:
        return "no answer"
    return ", ".join(alert["key"] for alert in sample["alerts"]) or "none"


def _rollback_state(sample: Mapping[str, Any]) -> str:
    if "succeeded" not in sample:
        return "no answer"
    return "alive" if sample["succeeded"] else "refused"


_BANDS: tuple[tuple[str, str, Callable[[Mapping[str, Any]], str]], ...] = (
    ("status", SourceName.STATUS, _status),
    ("critical alerts", SourceName.ALERTS, _alerts),
    ("rollback", SourceName.ROLLBACK, _rollback_state),
)
"""The name of a band, its source, and what a sample of it shows."""


def _draw_gaps(panels: Sequence[Axes], bake: Bake, scale: float) -> None:
    for begin, end in gaps(bake):
        for axes in panels:
            axes.axvspan(begin / scale, end / scale, facecolor="white", edgecolor="#999999", hatch="....", zorder=4)
        panels[0].text(
            (begin + end) / 2 / scale,
            0.5,
            "not watched",
            transform=panels[0].get_xaxis_transform(),
            clip_on=True,
            ha="center",
            va="center",
            fontsize=8,
            rotation=90,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
            zorder=5,
        )


def _draw_bands(axes: Axes, bake: Bake, scale: float) -> None:
    for row, (_, source, state_of) in enumerate(_BANDS):
        other = _FIRING if source == SourceName.ALERTS else _OTHER
        for begin, end, state in state_spans(bake, source, state_of):
            colour, hatch = _STATES.get(state, other)
            # The minimum width shows a state that only the last poll saw.
            width = max(end - begin, bake.watched_s * 0.006) / scale
            axes.barh(
                row,
                width,
                left=begin / scale,
                height=0.72,
                color=colour,
                hatch=hatch,
                edgecolor="#555555",
                linewidth=0.4,
            )
            if end - begin >= bake.watched_s * _SHORTEST_LABEL:
                place = (begin + (end - begin) * 0.5) / scale
                box = {"facecolor": "white", "edgecolor": "none", "pad": 1, "alpha": 0.85} if hatch else None
                axes.text(place, row, state, ha="center", va="center", fontsize=8, bbox=box, clip_on=True)
            elif end >= bake.watched_s:
                axes.text(
                    1.008, row, state, transform=axes.get_yaxis_transform(), va="center", fontsize=8, color=_LIMIT
                )
    axes.set_yticks(range(len(_BANDS)), [name for name, _, _ in _BANDS])
    axes.set_ylim(len(_BANDS) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def _mark_breach(panels: Sequence[Axes], bake: Bake, breach: Mapping[str, Any], scale: float) -> None:
    begin = datetime.fromisoformat(bake.samples[0]["at"])
    at = breach["at"] or bake.samples[-1]["at"]
    x = min(max((datetime.fromisoformat(at) - begin).total_seconds(), 0.0), bake.watched_s) / scale
    for axes in panels:
        axes.axvline(x, color=_LIMIT, linewidth=1.4, zorder=5)
    _mark_value(panels, breach, x)
    panels[0].text(
        x,
        0.97,
        f" {breach['clause']} breached {at[11:19]}Z ",
        transform=panels[0].get_xaxis_transform(),
        ha="left" if x < bake.watched_s / scale / 3 else "right",
        va="top",
        fontweight="bold",
        color=_LIMIT,
        zorder=6,
    )


def _mark_value(panels: Sequence[Axes], breach: Mapping[str, Any], x: float) -> None:
    """Mark the deciding value where it is a number of one of the panels."""
    value, limit = breach["value"], breach["limit"]
    if not isinstance(value, (int, float)) or not isinstance(limit, (int, float)):
        return
    if breach["clause"] == "MON-2":
        axes, y, words = panels[0], value * 100, show_rate(value, limit)
    elif breach["clause"] == "MON-3":
        axes, y, words = panels[1], value, show_ms(value, limit)
    else:
        return
    axes.plot(x, y, marker="D", markersize=8, color=_LIMIT, markeredgecolor="black", zorder=6)
    axes.text(x, y, f"{words}   ", ha="right", va="bottom", fontweight="bold", zorder=6)
