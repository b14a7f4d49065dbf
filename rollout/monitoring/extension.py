"""How long a window goes on where a verdict is undecided at its end: judged again and again, at most as long again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from rollout.core.canary_stages import stages
from rollout.core.change_windows import describe_obstacle
from rollout.core.scenario import MINUTE_S, ChangeClass, Scenario
from rollout.core.target import Target
from rollout.monitoring.verdict import Verdict, show_span

_AGAIN_S = 5 * MINUTE_S
_AGAIN_SHARE = 1 / 6


def again_s(window_s: float) -> float:
    """Return after how many seconds a window of this length is judged again: 5 min, or a sixth of a shorter one."""
    return min(_AGAIN_S, _AGAIN_SHARE * window_s)


@dataclass(frozen=True, slots=True)
class Extension:
    """A window that goes on because a verdict is undecided.

    Attributes:
        at_s: when it was judged, in seconds of the window.
        until_s: when it is judged again.
        at_most_s: when it ends at the latest.
        extended_s: by how many seconds it goes on so far because of undecided verdicts.
        why: the undecided verdicts, in words.
    """

    at_s: float
    until_s: float
    at_most_s: float
    extended_s: float
    why: str

    def record(self) -> dict[str, Any]:
        """Return it as a dict of JSON types, for the journal."""
        return asdict(self)

    @classmethod
    def from_record(cls, body: Mapping[str, Any]) -> Extension:
        """Return the extension of a `record`; other keys, such as those that the journal adds, are ignored."""
        return cls(**{name: body[name] for name in cls.__dataclass_fields__})

    def __str__(self) -> str:
        """Return why the window goes on, when it is judged again, and for how long it goes on at most."""
        return f"{self.brief}, because {self.why}"

    @property
    def brief(self) -> str:
        """When the window is judged again, and for how long it goes on at most."""
        until, at_most = show_span(self.until_s), show_span(self.at_most_s)
        if self.until_s >= self.at_most_s:
            return f"the window goes on: it is judged a last time at {until} of the window, and ends then"
        return f"the window goes on: it is judged again at {until} of the window, and ends at {at_most} at the latest"


def describe_undecided(verdicts: Iterable[Verdict]) -> str:
    """Return which verdicts are undecided, and why; empty if none is, or if another one does not hold anyway."""
    undecided = [verdict for verdict in verdicts if not verdict.state.allows_keeping]
    if not all(verdict.undecided for verdict in undecided):
        return ""
    return "; ".join(f"{verdict.clause} is {verdict.state}: {verdict.message}" for verdict in undecided)


def find_obstacle(scenario: Scenario, target: Target, now: datetime, lasts_s: float) -> str:
    """Return what forbids an undecided window to go on until `lasts_s` from now; empty if nothing does.

    A change of class ``emergency``, and one whose PRE-4.1 is waived, is not bound to the target's change windows.
    """
    is_waived = any(waiver.clause == "PRE-4.1" for waiver in scenario.waivers)
    if is_waived or scenario.change_class is ChangeClass.EMERGENCY:
        return ""
    return describe_obstacle(target, now, now + timedelta(seconds=lasts_s))


def describe_plan(scenario: Scenario, target: Target, now: datetime) -> tuple[str, str]:
    """Return how long the change is watched, at most, and whether the extension fits if it began now: two sentences."""
    lasts_s, at_most_s = scenario.monitor.window_s, scenario.monitor.at_most_s
    parts = stages(scenario)
    which = f"in {len(parts)} stages; a stage that" if parts else "a window that"
    pace = "" if parts else f" and is judged again every {show_span(again_s(lasts_s))}"
    obstacle = find_obstacle(scenario, target, now, at_most_s)
    until = f"{now + timedelta(seconds=at_most_s):%Y-%m-%d %H:%M}Z"
    return (
        f"{show_span(lasts_s)}, at most {show_span(at_most_s)}: {which} is undecided at its end goes on{pace}",
        f"begun now, it {f'does not go on: {obstacle}' if obstacle else f'may go on until {until}'}",
    )
