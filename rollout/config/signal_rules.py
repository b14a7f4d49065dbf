"""Whether the signals of a bake time have a source on their target (MON-5)."""

from __future__ import annotations

from collections.abc import Sequence

from rollout.config.monitoring import Layer, refuse_key
from rollout.core.scenario import Monitor
from rollout.core.target import Target


def refuse_signals_without_source(layers: Sequence[Layer], planned: Monitor, target: Target) -> None:
    """Refuse a signal or a slice that no source of the target can give."""
    signals, prometheus = planned.signals, target.sources.prometheus
    if planned.slices is not None and prometheus is None:
        refuse_key(
            layers,
            "slices",
            f"needs the labels of Prometheus, and target {target.name!r} has none; add `sources.prometheus` to it",
        )
    if planned.limits.unexpected_share is not None and not planned.in_turn:
        refuse_key(
            layers,
            "unexpected_share",
            "can be seen by the suite's own requests only, and probes are off; remove one of the two",
        )
    if signals is None:
        return
    if signals.promql and prometheus is None:
        refuse_key(
            layers,
            "signals",
            f"has expressions of PromQL, and target {target.name!r} has no Prometheus; add `sources.prometheus` to it",
        )
    if signals.cost_per_1k is not None and prometheus is not None:
        refuse_key(
            layers,
            "signals",
            f"cost_per_1k is counted by the gateway, and target {target.name!r} reads its numbers from Prometheus; "
            "write an expression under `promql` in its place",
        )
    own = {"first_token": signals.first_token} | (
        {}
        if prometheus is None
        else {"rate_limited_share": signals.rate_limited_share, "timeout_share": signals.timeout_share}
    )
    unseen = [name for name, limit in own.items() if limit is not None]
    if unseen and not planned.in_turn:
        refuse_key(
            layers,
            "signals",
            f"{' and '.join(unseen)} can be seen by the suite's own requests only, and probes are off; remove one of "
            "the two",
        )
