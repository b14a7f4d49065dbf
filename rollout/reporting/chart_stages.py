"""A canary in the chart of its window: the borders of the stages, their shares, and the control group's lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rollout.core.canary_stages import STABILISE
from rollout.reporting.chart_data import Bake, Curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_CONTROL = "#009E73"
_DASHES = (0, (5, 1, 1, 1, 1, 1))
_FEW_POINTS = 80
CONTROL = "control group"


def mark_stages(panels: Sequence[Axes], bake: Bake, scale: float) -> None:
    """Mark where each stage of a canary begins, and name it above the lowest panel: by its share of the requests."""
    for begin in bake.stages_at_s[1:]:
        for axes in panels:
            axes.axvline(begin / scale, color="#555555", linewidth=1.2, linestyle=(0, (1, 2)), zorder=3)
    lowest = panels[-1]
    for begin, name in zip(bake.stages_at_s, bake.stage_names, strict=True):
        clause, _, share = name.rpartition(" ")
        lowest.text(
            begin / scale,
            1.04,
            # The last stage has the share of the one before it.
            f" {'stabilise' if clause == STABILISE else share}",
            transform=lowest.get_xaxis_transform(),
            ha="left",
            va="bottom",
            fontsize=8,
            fontweight="bold",
        )
    if bake.stage_names:
        lowest.text(-0.008, 1.04, "share", transform=lowest.transAxes, ha="right", va="bottom", fontsize=8)


def draw_control(axes: Axes, curve: Curve, scale: float) -> float:
    """Draw the control group's line, and return its highest value; 0 where there is no control group."""
    if not curve.at_s:
        return 0.0
    axes.plot(
        [at_s / scale for at_s in curve.at_s],
        curve.values,
        color=_CONTROL,
        linewidth=1.4,
        linestyle=_DASHES,
        marker="s" if len(curve.at_s) <= _FEW_POINTS else None,
        markersize=3,
        markerfacecolor="white",
        label=CONTROL,
    )
    return max(curve.values)
