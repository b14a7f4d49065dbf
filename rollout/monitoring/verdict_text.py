"""A verdict's numbers in words: the value with its confidence band, the limit with its baseline's uncertainty."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from rollout.core.visible import on_one_line
from rollout.monitoring.effective_limit import SLOWER_SHARE
from rollout.monitoring.samples import SourceName
from rollout.monitoring.verdict import State, Verdict, show_interval, show_ms, show_rate

_UNKNOWN: Mapping[str, Any] = {"limit": None, "samples": 0, "source": "", "span": "", "at": "", "message": ""}


def read_verdict(body: Mapping[str, Any]) -> Verdict:
    """Return the verdict of an entry; what the entry of an earlier version lacks has its default."""
    known = {field.name: body[field.name] for field in fields(Verdict) if field.name in body}
    bounds = known.get("interval")
    interval = None if bounds is None else (float(bounds[0]), float(bounds[1]))
    return Verdict(**{**_UNKNOWN, **known, "state": State(body["state"]), "interval": interval})


def show_numbers(verdict: Verdict) -> tuple[str, str]:
    """Return the value and the limit with their units."""
    value, limit = verdict.value, verdict.limit
    if not isinstance(limit, (int, float)):
        return on_one_line(str(value)) if value is not None else "-", str(limit) if limit is not None else "-"
    show, held = (show_ms, f"{limit:.5g} ms") if verdict.clause == "MON-3" else (show_rate, f"{limit * 100:g} %")
    return (show(value, limit) if isinstance(value, (int, float)) else "-"), held


def show_effective(verdict: Verdict) -> str:
    """Return the effective limit, ``191 ms``; empty where there is none that differs from the limit."""
    effective = verdict.effective_limit
    shown = "" if effective is None else f"{effective:.5g} ms"
    return "" if shown == show_numbers(verdict)[1] else shown


def is_of_the_window(verdict: Verdict) -> bool:
    """Return whether the value is the whole window's, as its confidence band is, and not that of a stretch of it."""
    return verdict.span.startswith("the window")


def describe_band(verdict: Verdict) -> str:
    """Return the confidence band: ``2.2-4.3 %``; of MON-3 that of the slower requests; empty where there is none."""
    if verdict.interval is None:
        return ""
    what = " slower" if verdict.clause == "MON-3" else ""
    where = "" if is_of_the_window(verdict) else " over the window"
    return f"{show_interval(verdict.interval)}{what}{where}"


def describe_numbers(verdict: Verdict) -> str:
    """Return value, band, limit and effective limit: ``3.1 % (2.2-4.3 %), limit 5 %``; empty without a value."""
    if verdict.value is None:
        return ""
    value, limit = show_numbers(verdict)
    band, beside = describe_band(verdict), "; ".join(filter(None, (_effective(verdict), _why_it_holds(verdict))))
    return f"{value}{f' ({band})' if band else ''}, limit {limit}{f' ({beside})' if beside else ''}"


def _effective(verdict: Verdict) -> str:
    effective = show_effective(verdict)
    return f"effective {effective}" if effective else ""


def describe_slower_share(verdict: Verdict) -> str:
    """Return ``33 % may be slower: small baseline``; empty where 5 % may be, or where that is not known."""
    share = verdict.limit_share
    return "" if share is None or share <= SLOWER_SHARE else f"{share * 100:.0f} % may be slower: small baseline"


def _why_it_holds(verdict: Verdict) -> str:
    """Return why a P95 above its limit holds: after few requests of the baseline more than 5 % may be slower."""
    if verdict.limit_share is not None:
        return describe_slower_share(verdict)
    value, limit = verdict.value, verdict.effective_limit
    is_above = isinstance(value, (int, float)) and limit is not None and value > limit
    holds = is_above and verdict.state is State.HOLDING
    return "small baseline, more than 5 % may be slower" if holds else ""


def describe_basis(verdict: Verdict) -> str:
    """Return which requests a number is from, or which stretch of the window decided.

    ``from 1,800 requests of users; the window's 30 min``, ``decided by 26 requests of users in the last 40 s``
    """
    whose = "of the suite's own requests" if verdict.source == SourceName.SYNTHETIC else f"requests of {verdict.source}"
    if verdict.span and not is_of_the_window(verdict):
        return f"decided by {verdict.samples:,} {whose} in {verdict.span}"
    return "; ".join(filter(None, (f"from {verdict.samples:,} {whose}", verdict.span)))
