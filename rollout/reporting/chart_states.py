"""The bars below the chart of a window: the provider's status, the critical alerts, the previous provider."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from rollout.monitoring.samples import SourceName
from rollout.reporting.chart_data import Bake, state_spans

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MARKED = "#D55E00"
"""The colour of limits and breaches; the colour-blind can distinguish it from that of users."""

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
_SHORTEST_LABEL = 0.06


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


def draw_states(axes: Axes, bake: Bake, scale: float) -> None:
    """Draw a bar for each source that has states; each state lasts until the next poll."""
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
                    1.008, row, state, transform=axes.get_yaxis_transform(), va="center", fontsize=8, color=MARKED
                )
    axes.set_yticks(range(len(_BANDS)), [name for name, _, _ in _BANDS])
    axes.set_ylim(len(_BANDS) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
