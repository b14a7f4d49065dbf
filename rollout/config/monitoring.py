"""The bake time: the scenario's keys over the target's over the procedure's, and what may not be loosened."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rollout.config import sanity_bounds
from rollout.config.policies import SANDBOX
from rollout.config.schemas.monitoring import MonitorSchema
from rollout.config.source import Place, Source
from rollout.core.change_windows import longest_s
from rollout.core.policy import Policy
from rollout.core.scenario import SOURCES, Monitor
from rollout.core.schemas.base import build_record
from rollout.core.target import Target
from rollout.core.units import show_duration, show_fraction

_PROCEDURE = Monitor()
ROLL_BACK = "roll_back"


@dataclass(frozen=True, slots=True)
class Layer:
    """One `monitor:` mapping.

    Attributes:
        source: its file.
        place: its place in the file.
        parsed: its keys; None where the file has none.
    """

    source: Source
    place: Place
    parsed: MonitorSchema | None

    def explicit_values(self) -> dict[str, Any]:
        """Return what the file says, by key."""
        return self.parsed.explicit_values() if self.parsed else {}


def merge_layers(layers: Sequence[Layer]) -> Monitor:
    """Return the bake time in effect; for each key, the first layer that has it decides."""
    given: dict[str, Any] = {}
    for layer in reversed(layers):
        values = layer.parsed.model_dump(exclude_unset=True) if layer.parsed else {}
        if given.get("probes") and {"prompt", "expect"} & values.keys():
            # `prompt` and `expect` of an earlier layer replace the list of a later one; `off` stays off.
            del given["probes"]
        given |= values
    planned = build_record(Monitor, given | {"limits": given})
    word = planned.on_no_data.get("metrics")
    if planned.signals is not None and planned.signals.promql and word is not None:
        # Both are numbers of Prometheus.
        return replace(planned, on_no_data={"signals": word, **planned.on_no_data})
    return planned


def apply_policy(planned: Monitor, policy: Policy) -> Monitor:
    """Return the bake time with what the policy demands of every bake time."""
    if policy.on_no_data == ROLL_BACK:
        sources = (*SOURCES, *(("signals",) if planned.signals is not None and planned.signals.promql else ()))
        return replace(planned, on_no_data=dict.fromkeys(sources, ROLL_BACK))
    return planned


def refuse_loose(layers: Sequence[Layer], planned: Monitor, policy: Policy, *, waived: Collection[str] = ()) -> None:
    """Refuse a bake time that watches less than the policy or the procedure ask for (PRE-4.4, MON-2, MON-3).

    Where a waiver of PRE-4.4 stands, the check says what is left of the window, and whether the waiver counts.
    """
    if planned.window_s < policy.window_at_least_s and "PRE-4.4" not in waived:
        refuse_key(
            layers,
            "window",
            f"{show_duration(planned.window_s)} is shorter than {policy.name} asks for "
            f"({show_duration(policy.window_at_least_s)}); raise it",
        )
    for key, every_s in (("metrics_every", planned.metrics_every_s), ("alerts_every", planned.alerts_every_s)):
        if every_s > planned.window_s:
            refuse_key(
                layers,
                key,
                f"{show_duration(every_s)} is longer than the window ({show_duration(planned.window_s)}); "
                "poll more often",
            )
    _refuse_odd_probes(layers, planned)
    extending = [name for name, what in planned.on_no_data.items() if what != ROLL_BACK]
    if policy.on_no_data == ROLL_BACK and extending:
        refuse_key(
            layers,
            "on_no_data",
            f"extends for {', '.join(extending)}, and {policy.name} rolls back (MON-6); remove it",
        )
    if policy.name != SANDBOX:
        _refuse_looser_than_procedure(layers, planned)
        _refuse_out_of_bounds(layers, policy)


def refuse_no_room(layers: Sequence[Layer], planned: Monitor, target: Target) -> None:
    """Refuse a bake time that no window of the target is long enough for: PRE-4.1 could never pass."""
    longest = longest_s(target)
    if longest is not None and planned.window_s > longest:
        refuse_key(
            layers,
            "window",
            f"{show_duration(planned.window_s)} never fits: the windows of target {target.name!r} are open for "
            f"{show_duration(longest)} at most (PRE-4.1); shorten it, widen a window, or add a waiver of PRE-4.1",
        )


def _refuse_odd_probes(layers: Sequence[Layer], planned: Monitor) -> None:
    if planned.probes is not None and planned.expect is not None:
        why = "each probe has its own" if planned.probes else "probes are off"
        refuse_key(
            layers, "expect", f"would never be compared with an answer, because {why}; move it to a probe, or remove it"
        )
    _refuse_odd_baseline(layers, planned)
    asked, most = planned.planned_synthetic, planned.synthetic_at_most
    if asked > most:
        has_cap = any("synthetic_at_most" in layer.explicit_values() for layer in layers)
        refuse_key(
            layers,
            "synthetic_at_most" if has_cap else "synthetic_every",
            f"a request every {show_duration(planned.synthetic_every_s)} for {show_duration(planned.window_s)} is "
            f"{asked:,} of them, above the cap of {most:,}; send fewer, or raise synthetic_at_most",
        )


def _refuse_odd_baseline(layers: Sequence[Layer], planned: Monitor) -> None:
    for key, is_given in (("baseline_requests", planned.baseline_requests), ("synthetic", planned.synthetic)):
        if is_given and not planned.in_turn:
            refuse_key(layers, key, "asks for requests of the suite's own, and probes are off; remove one of the two")
    fewest = planned.min_samples
    if planned.baseline_requests is not None and planned.baseline_requests < fewest:
        refuse_key(
            layers,
            "baseline_requests",
            f"{planned.baseline_requests} is fewer than min_samples ({fewest}), without which PRE-5.4 fails; raise it",
        )


def _refuse_looser_than_procedure(layers: Sequence[Layer], planned: Monitor) -> None:
    mine, procedure = planned.limits, _PROCEDURE.limits
    for key, value, most, show in (
        ("error_rate", mine.error_rate, procedure.error_rate, show_fraction),
        ("latency_factor", mine.latency_factor, procedure.latency_factor, lambda number: f"{number:g}x"),
        ("metrics_every", planned.metrics_every_s, _PROCEDURE.metrics_every_s, show_duration),
        ("alerts_every", planned.alerts_every_s, _PROCEDURE.alerts_every_s, show_duration),
    ):
        if value > most:
            refuse_key(layers, key, f"{show(value)} is looser than the procedure's {show(most)}; lower it")


def _refuse_out_of_bounds(layers: Sequence[Layer], policy: Policy) -> None:
    """Refuse a value of the files that no environment but the sandbox accepts; a canary's stages are not among them."""
    given = ChainMap(*(layer.explicit_values() for layer in layers))
    for key, bound in sanity_bounds.MONITOR.items():
        if key in given and (words := bound.refusal(given[key], policy.name)):
            refuse_key(layers, key, words)


def refuse_key(layers: Sequence[Layer], key: str, message: str) -> None:
    """Refuse a key where it stands: in the first layer that has it, else in the scenario."""
    layer = next((layer for layer in layers if key in layer.explicit_values()), layers[0])
    layer.source.refuse((*layer.place, key), message)
