"""The chart of the bake time: what users and the suite's own requests saw, the limits, and the moment of the breach.

Its parts differ by line, marker and hatching as well as by colour, for print and for the colour-blind. matplotlib is
imported only when there is something to draw.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from rollout.monitoring.verdict import show_ms, show_rate, show_span
from rollout.monitoring.verdict_text import describe_basis, describe_numbers, read_verdict
from rollout.reporting.chart_data import (
    Bake,
    Curve,
    baseline_p95_ms,
    control_error_rates,
    control_latencies,
    effective_limit,
    error_band,
    error_rates,
    gaps,
    goes_on,
    latencies,
    latency_limit,
    own_requests,
    recent_error_rates,
)
from rollout.reporting.chart_stages import draw_control, mark_stages
from rollout.reporting.chart_states import MARKED, draw_states

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours: the colour-blind can distinguish them, and their greys differ in print.
_USERS, _OWN, _LIMIT, _BASELINE = "#0072B2", "#000000", MARKED, "#777777"
_DASHES: Any = (0, (6, 2, 1, 2))
_FEW_POINTS = 80
# The frame shows so many times what the lines need, for the band.
_WIDEST = 2.0
# The figure's right margin, where the axes are 1 wide.
_RIGHT = 1.225
_FEW_REQUESTS = 200
_CLOSE = 0.075
_LINE = 104
_LONGEST = 116
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


def draw(bake: Bake) -> Figure:
    """Return the chart of a window with samples; `save` writes it."""
    from matplotlib import rc_context  # noqa: PLC0415 - heavy, and only a window that was watched is drawn

    with rc_context(_STYLE):
        return _figure(bake)


def save(chart: Figure, path: Path) -> Path:
    """Write a chart into one file, ``.svg`` or ``.png``, and return its path.

    Raises:
        OSError: it cannot be written.
    """
    from matplotlib import rc_context  # noqa: PLC0415 - see `draw`

    new = path.with_name(f".{os.getpid()}-{path.name}")
    extra: dict[str, Any] = {"metadata": {"Date": None}} if path.suffix == ".svg" else {"dpi": 150}
    with rc_context(_STYLE):
        chart.savefig(new, format=path.suffix[1:], facecolor="white", **extra)
    return new.replace(path)


# What is drawn


def _figure(bake: Bake) -> Figure:
    from matplotlib.figure import Figure  # noqa: PLC0415 - see `draw`

    figure = Figure(figsize=(11, 7.6), layout=None)
    errors, times, bands = figure.subplots(3, 1, sharex=True, height_ratios=(3, 3, 1.5))
    figure.subplots_adjust(left=0.085, right=0.82, top=0.84, bottom=0.115, hspace=0.3)
    breach = bake.breach
    title = "\n".join(wrap(bake.title, _LINE, max_lines=2, placeholder=" …"))
    figure.text(0.02, 0.985, title, fontsize=11.5, fontweight="bold", va="top")
    ended = f"ended by {breach['clause']} after" if breach else "watched for"
    of = ", planned:" if goes_on(bake) else " of"
    planned = f"{ended} {show_span(bake.watched_s)}{of} {show_span(bake.monitor.window_s)}"
    figure.text(0.02, 0.921, f"{bake.subtitle} · {planned}", fontsize=9, color="#333333", va="center")
    scale, unit = next((scale, unit) for most, scale, unit in _UNITS if bake.watched_s <= most)
    _draw_errors(errors, bake, scale)
    _draw_latencies(times, bake, scale)
    draw_states(bands, bake, scale)
    _draw_gaps((errors, times, bands), bake, scale)
    mark_stages((errors, times, bands), bake, scale)
    _mark_extension((errors, times, bands), bake, scale)
    _draw_legend(figure, (errors, times))
    bands.set_xlim(0, max(bake.watched_s, 1.0) / scale * 1.01)
    bands.set_xlabel(f"{unit} since {bake.samples[0]['at'][:19].replace('T', ' ')} UTC")
    figure.text(0.02, 0.014, _note(bake), fontsize=8, color="#333333", linespacing=1.4)
    if breach is not None:
        _mark_breach((errors, times, bands), bake, breach, scale)
    return figure


def _note(bake: Bake) -> str:
    short_s = bake.monitor.short_span_s
    recent = f" · thin: the last {show_span(short_s)}" if bake.watched_s > short_s else ""
    stages = " (each stage of the canary by itself)" if bake.stages_at_s else ""
    return (
        f"lines: the window so far{stages}{recent} · dotted: too few requests to judge by · users decide while there "
        "are enough of them\nband: it holds the true share of failed requests with 95 %, at any time of the window · "
        "effective: the limit with the uncertainty of its baseline"
    )


def _draw_errors(axes: Axes, bake: Bake, scale: float) -> None:
    limit = bake.monitor.limits.error_rate * 100
    highest = limit
    for source in ("users", "synthetic"):
        curve = _in_percent(error_rates(bake, source))
        _draw_curve(axes, curve, source, scale)
        highest = max([highest, *curve.judged])
    highest = max(highest, draw_control(axes, _in_percent(control_error_rates(bake)), scale))
    banded = "users" if error_rates(bake, "users").at_s else "synthetic"
    highest = max(highest, _draw_band(axes, bake, banded, scale, at_most=_WIDEST * highest))
    recent = _in_percent(recent_error_rates(bake, "users"))
    axes.plot([at_s / scale for at_s in recent.at_s], recent.values, color=_USERS, linewidth=0.8)
    highest = max([highest, *(recent.judged if recent.at_s else ())])
    if (breach := bake.breach) is not None and breach["clause"] == "MON-2" and isinstance(breach["value"], float):
        highest = max(highest, breach["value"] * 100)
    failed = [sample.at_s / scale for sample, reading in own_requests(bake) if not reading.ok]
    if failed:
        axes.plot(failed, [0] * len(failed), "x", color=_OWN, label="one of them failed", clip_on=False)
    axes.set_ylim(-_BELOW * highest, highest * 1.3)
    axes.set_ylabel("error rate in %")
    axes.axhline(limit, color=_LIMIT, linestyle=_DASHES, linewidth=1.6)
    _label_lines(axes, [(limit, f"limit {limit:g} %", _LIMIT)])
    _finish(axes, "Error rate", bake, "MON-2")


def _in_percent(curve: Curve) -> Curve:
    return curve._replace(values=[value * 100 for value in curve.values])


def _draw_band(axes: Axes, bake: Bake, source: str, scale: float, *, at_most: float) -> float:
    """Draw the confidence band of a source's error rate; return its upper bound at the end in percent, at most so."""
    band = error_band(bake, source)
    if not band.at_s:
        return 0.0
    low, high = ([bound * 100 for bound in bounds] for bounds in (band.low, band.high))
    colour = _USERS if source == "users" else _OWN
    xs = [at_s / scale for at_s in band.at_s]
    axes.fill_between(xs, low, high, color=colour, alpha=0.13, linewidth=0, label="95 % band of the error rate")
    for bounds in (low, high):
        axes.plot(xs, bounds, color=colour, linewidth=0.5, alpha=0.6)
    return min(high[-1], at_most)


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
            ("effective", effective_limit(bake, source), _LIMIT, "-"),
            ("baseline", baseline_p95_ms(bake, source), _BASELINE, ":"),
        ):
            if ms is not None:
                lines.append((ms, f"{name}, {whose} {ms:.0f} ms", colour))
                axes.axhline(ms, color=colour, linestyle=style, linewidth=width)
    highest = max(highest, draw_control(axes, control_latencies(bake), scale))
    top = 1.25 * max([highest, *(y for y, _, _ in lines)]) or 1.0
    _draw_single_requests(axes, bake, scale, top)
    axes.set_ylim(-_BELOW * top, top)
    axes.set_ylabel("P95 in ms")
    _label_lines(axes, lines)
    _finish(axes, "P95 latency", bake, "MON-3")


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


def _finish(axes: Axes, title: str, bake: Bake, clause: str) -> None:
    """Title a panel, with the verdict's state and numbers at the window's end."""
    verdict = read_verdict(bake.verdicts[clause]) if clause in bake.verdicts else None
    state = "" if verdict is None else f": {verdict.state}"
    axes.set_title(f"{title} ({clause}){state}", loc="left", fontsize=9.5, fontweight="bold")
    if verdict is not None and (numbers := describe_numbers(verdict)):
        words = f"{numbers}; {describe_basis(verdict)}"
        words = words if len(words) <= _LONGEST else numbers
        axes.text(_RIGHT, 1.03, words, transform=axes.transAxes, ha="right", va="bottom", fontsize=8)
    axes.grid(axis="y", color="#EEEEEE", linewidth=0.8)
    axes.set_axisbelow(True)


def _draw_legend(figure: Figure, panels: Sequence[Axes]) -> None:
    """Draw one legend above the panels, for what they have in common."""
    found = {label: handle for axes in panels for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    if found:
        figure.legend(
            found.values(),
            found.keys(),
            loc="center left",
            bbox_to_anchor=(0.077, 0.892),
            ncols=len(found),
            frameon=False,
            fontsize=8,
            borderaxespad=0.0,
            columnspacing=1.5,
        )


def _label_lines(axes: Axes, lines: list[tuple[float, str, str]]) -> None:
    """Label the lines at their right ends, with a minimum distance between the labels."""
    bottom, top = axes.get_ylim()
    floor = -1.0
    for value, text, colour in sorted(lines):
        floor = max((value - bottom) / (top - bottom), floor + _CLOSE)
        axes.text(1.008, floor, text, transform=axes.transAxes, color=colour, va="center", fontsize=8)


def _mark_extension(panels: Sequence[Axes], bake: Bake, scale: float) -> None:
    """Mark each moment at which an undecided window went on, or the planned end of one that went on otherwise."""
    moments = bake.extended_at_s or ([bake.monitor.window_s] if goes_on(bake) else [])
    for moment in moments:
        for axes in panels:
            axes.axvline(moment / scale, color="#555555", linewidth=1.0, linestyle="--", zorder=3)
    if moments:
        why = "undecided: " if bake.extended_at_s else ""
        panels[-1].text(
            moments[0] / scale,
            1.02,
            f"{why}the window goes on after {show_span(moments[0])}",
            transform=panels[-1].get_xaxis_transform(),
            ha="center",
            va="bottom",
            fontsize=8,
        )


def _draw_gaps(panels: Sequence[Axes], bake: Bake, scale: float) -> None:
    for begin, end in gaps(bake):
        for axes in panels:
            axes.axvspan(begin / scale, end / scale, facecolor="white", edgecolor="#999999", hatch="....", zorder=4)
        panels[0].text(
            (begin + end) / 2 / scale,
            0.5,
            f"{show_span(end - begin)} not watched",
            transform=panels[0].get_xaxis_transform(),
            clip_on=True,
            ha="center",
            va="center",
            fontsize=8,
            rotation=90,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
            zorder=5,
        )


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
    # P95 is the window's, also where a stretch of it decides.
    words += f" over {breach['span']}" if breach["span"] and breach["clause"] == "MON-2" else ""
    axes.plot(x, y, marker="D", markersize=8, color=_LIMIT, markeredgecolor="black", zorder=6)
    axes.text(x, y, f"{words}   ", ha="right", va="bottom", fontweight="bold", zorder=6)
