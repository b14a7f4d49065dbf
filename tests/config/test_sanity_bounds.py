"""The bounds of sanity are what the documentation says, and hold the suite's own numbers."""

from __future__ import annotations

import dataclasses
import re

import pytest

from rollout.config import sanity_bounds
from rollout.config.schemas.monitoring import MonitorSchema
from rollout.core.policy import Policy
from rollout.core.scenario import Canary, Monitor
from rollout.core.target import Service, Target, Timeouts
from tests.support.runs import ROOT

TABLES = {
    "monitor": sanity_bounds.MONITOR,
    "target": sanity_bounds.TARGET,
    "policy": sanity_bounds.POLICY,
    "else": sanity_bounds.BESIDE_PRODUCTION,
}
LIMITS = {"p95", "fallback_share", "unexpected_share"}
PLAIN = ("float", "int", "int | None")
BOUNDS = [(key, bound) for table in TABLES.values() for key, bound in table.items()]


@pytest.mark.parametrize(("key", "bound"), BOUNDS, ids=lambda part: part if isinstance(part, str) else "")
def test_every_bound_stands_in_the_documentation(key: str, bound: sanity_bounds.Bound):
    """Both ends, as the files write them."""
    rows = re.findall(
        rf"^\|[^|]*\| `{re.escape(key)}`[^|]*\|([^|]*)\|([^|]*)\|$", (ROOT / "docs/POLICY.md").read_text(), re.MULTILINE
    )
    assert rows
    least, most = rows[-1] if key == "window_at_least" else rows[0]
    if bound.least:
        assert bound.show(bound.least) in least
    if bound.most < float("inf"):
        assert bound.show(bound.most) in most


def test_every_number_of_a_window_has_a_bound():
    """A key that is added to the bake time is bounded with the others, or bounded by the procedure."""
    plain = {field.name.removesuffix("_s") for field in dataclasses.fields(Monitor) if field.type in PLAIN}
    assert plain == sanity_bounds.MONITOR.keys() - LIMITS
    assert plain >= {field.alias for name, field in MonitorSchema.model_fields.items() if name.endswith("_s")}


def test_the_defaults_of_the_suite_are_within_every_bound():
    """The procedure's own window, policy, deadlines and canary are no finding."""
    monitor, policy, timeouts = Monitor(), Policy("production"), Timeouts()
    values = {key: getattr(monitor, f"{key}_s", getattr(monitor, key, None)) for key in sanity_bounds.MONITOR}
    values |= {key: getattr(policy, f"{key}_s", getattr(policy, key, None)) for key in sanity_bounds.POLICY}
    values |= {key: getattr(policy, f"{key}_s") for key in sanity_bounds.BESIDE_PRODUCTION}
    values |= {f"timeouts.{call}": getattr(timeouts, f"{call}_s") for call in ("read", "chat", "activate")}
    values |= {"service.timeout": Service((), ()).timeout_s, "latency_bound": Target("t", "staging").latency_bound_ms}
    found = {key: bound.refusal(values[key], "production") for key, bound in BOUNDS if values[key] is not None}
    assert {key: words for key, words in found.items() if words} == {}
    assert max(stage.lasts_s for stage in Canary().shares) <= sanity_bounds.LONGEST_WATCH_S
    assert Canary().stabilise_s <= sanity_bounds.LONGEST_WATCH_S


def test_the_bound_itself_is_accepted_and_the_next_value_is_not():
    """Both ends are included."""
    bound = sanity_bounds.Bound(30.0, "too late", 2.0, "too soon")
    assert [bound.refusal(value, "lab") for value in (2.0, 30.0)] == [None, None]
    assert bound.refusal(30.001, "lab") == "30s1ms is out of bounds, lab accepts at most 30s: too late; lower it"
    assert bound.refusal(1.999, "lab") == "1s999ms is out of bounds, lab accepts at least 2s: too soon; raise it"
