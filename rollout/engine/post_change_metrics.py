"""Metrics, error log and cost of the active provider since the rollout ended, for its review (REV)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rollout.changes.backup import is_same_provider
from rollout.context import RolloutContext
from rollout.core.canonical_json import to_json
from rollout.core.clock import format_utc
from rollout.core.errors import NotCleared, RolloutError
from rollout.core.histogram import Histogram
from rollout.core.request import as_opened
from rollout.core.scenario import Monitor, ProviderChange
from rollout.core.target import Target
from rollout.engine.closing_snapshot import ClosingSnapshot, counters, of_record
from rollout.gateway.responses import Latency, Metrics
from rollout.journal.record import Decision, Kind, RolloutRecord
from rollout.monitoring.aggregates import Aggregates
from rollout.monitoring.error_rate import judge_errors
from rollout.monitoring.latency import judge_latency
from rollout.monitoring.samples import Baseline, Context, Sample, SourceName
from rollout.monitoring.sources import error_log
from rollout.monitoring.sources.combined import observe_provider
from rollout.monitoring.verdict import State, Verdict, show_span
from rollout.monitoring.window_state import counters_before

DAY_S = 24 * 3600.0
SHOWN = 3
"""A check's message names at most this many new kinds of errors; its evidence lists all of them."""


class NotJudged(RolloutError):
    """The data for a judgment is missing, which is never a pass."""


@dataclass(frozen=True, slots=True)
class Seen:
    """The result of one check of the review.

    Attributes:
        rows: the evidence, as a table.
        facts: the other evidence.
        problems: why the check does not pass; empty where it passes.
        message: the result, in a sentence.
    """

    rows: Sequence[Mapping[str, Any]]
    facts: Mapping[str, Any]
    problems: Sequence[str]
    message: str


@dataclass(frozen=True, slots=True)
class _Since:
    """The active provider, and how many seconds ago the rollout ended."""

    serving: ProviderChange
    traces: ClosingSnapshot
    lasts_s: float


def metrics(rollout: RolloutContext) -> Seen:
    """Judge error rate and P95 since the rollout's end, by the window's own limits (REV-1).

    Raises:
        NotJudged: another provider is active than at its end, or the counters were not read then.
        GatewayError: the counters cannot be read.
    """
    record, since = rollout.record(), _since(rollout)
    aggregates = Aggregates((SourceName.METRICS,))
    for at_s, reading in _readings(rollout, since):
        aggregates.add(Sample(SourceName.METRICS, at_s, format_utc(rollout.clock.now()), reading))
    monitor, baseline = _limits_and_baseline(rollout, record)
    known = Context(
        change=since.serving,
        previous=since.serving,
        monitor=monitor,
        baseline=baseline,
        # They are the new provider's, and no measure for the one that a rollback restored.
        counters_before=counters_before(record) if record.decision is Decision.KEPT else None,
    )
    verdicts = [judge_errors(aggregates, known, since.lasts_s), judge_latency(aggregates, known, since.lasts_s)]
    descriptions = [_describe(verdict) for verdict in verdicts]
    if aggregates.counters.resets:
        descriptions.append("the counters were reset since: only the requests after that are judged")
    problems = [] if all(verdict.state is State.HOLDING for verdict in verdicts) else descriptions
    rows = [
        {"of": name, "state": v.state, "seen": _describe(v)}
        for name, v in zip(("errors", "P95"), verdicts, strict=True)
    ]
    facts = {"serving": str(since.serving), "since": format_utc(since.traces.at), "baseline": to_json(baseline)}
    return Seen(rows, facts, problems, f"{since.serving}: {'; '.join(descriptions)}")


def errors(rollout: RolloutContext) -> Seen:
    """Compare the kinds of errors in the log since the rollout's end with those before it (REV-2).

    Raises:
        NotJudged: the log cannot be read from here.
        LogLost: a part of the log is gone.
    """
    target, traces = rollout.target, of_record(rollout.record())
    if traces.log_file is None or traces.log is None:
        raise NotJudged(f"{_why_unread(target, traces)}, so it is not checked; check it by hand")
    try:
        found = error_log.kinds(error_log.since(traces.log_file, traces.log), rollout.redactor.text)
    except OSError as error:
        raise NotJudged(f"the log {traces.log_file} cannot be read, so it is not checked: {error.strerror}") from error
    new = [kind for kind, _ in found.most_common() if kind not in traces.errors]
    rows = [{"kind": kind, "lines": count, "new": kind in new} for kind, count in found.most_common()]
    message = f"{found.total()} errors of {len(found)} kinds since the rollout's end, none of them new"
    problems = [f"{found[kind]} x {kind}" for kind in new[:SHOWN]]
    if len(new) > SHOWN:
        problems.append(f"and {len(new) - SHOWN} more kinds")
    return Seen(rows, {"log": str(traces.log_file), "since": format_utc(traces.at)}, problems, message)


def cost(rollout: RolloutContext) -> Seen:
    """Compare the cost since the rollout's end with its estimate and the old provider's price (REV-3).

    Raises:
        NotJudged: another provider is active than at its end, or the cost is not known.
        GatewayError: the counters cannot be read.
    """
    record, since = rollout.record(), _since(rollout)
    now, then = counters(rollout.gateway), since.traces.metrics
    spent = {name: _added(then[name], reading) for name, reading in now.items() if name in then}
    # A gateway that reports a cost of 0 everywhere may not count cost at all (docs/GATEWAY_API.md, 4).
    charges = any(reading.total_usd > 0 for reading in (*now.values(), *then.values()))
    usd, how = _usd(rollout, since.serving, spent, charges=charges)
    a_day = usd / since.lasts_s * DAY_S
    problems = _against_the_estimate(rollout, record, a_day)
    old = _of_the_old(rollout, record, then, spent[_key(spent, since.serving)].total_tokens, charges=charges)
    rows = [
        {"provider": name, "requests": each.total_requests, "tokens": each.total_tokens, "usd": each.total_usd}
        for name, each in spent.items()
    ]
    facts = {"usd_a_day": a_day, "old_provider": old, "estimate": to_json(rollout.scenario.impact)}
    message = f"{since.serving} cost {a_day:.4g} USD a day ({usd:.4g} USD in {show_span(since.lasts_s)}, {how}); {old}"
    return Seen(rows, facts, [f"{message}; {problem}" for problem in problems], message)


def _since(rollout: RolloutContext) -> _Since:
    traces = of_record(rollout.record())
    if traces.serving is None:
        raise NotJudged(
            "the gateway could not be read when the rollout ended, so there is nothing to compare: "
            + traces.lacking.get("gateway", "it was not read")
        )
    now = rollout.gateway.active_provider()
    if not is_same_provider(now, traces.serving):
        raise NotJudged(
            f"{now} serves now, and {traces.serving} did when the rollout ended: it was changed since, and counters of "
            "the one do not judge the other"
        )
    return _Since(now, traces, (rollout.clock.now() - traces.at).total_seconds())


def _readings(rollout: RolloutContext, since: _Since) -> list[tuple[float, Metrics]]:
    """Return the counters then and now, with empty ones between them where counting began anew."""
    provider = since.serving.provider
    if rollout.target.sources.prometheus is not None:
        with observe_provider(rollout, since.serving, since_s=since.lasts_s) as observed:
            now = observed.metrics(provider)
        return [(0.0, _nothing(now)), (since.lasts_s, now)]
    now, then = rollout.gateway.metrics(provider), _of(since.traces.metrics, since.serving)
    readings = [(0.0, then), (since.lasts_s, now)]
    restarted = since.traces.boot != rollout.gateway.boot_id()
    if restarted or now.total_requests < then.total_requests or now.failed_requests < then.failed_requests:
        # A second reading confirms that the counters began anew.
        readings[1:1] = [(0.0, _nothing(now))] * 2
    return readings


def _nothing(like: Metrics) -> Metrics:
    """Return the counters of a process that has just started."""
    empty = None if like.histogram is None else Histogram.of({bound: 0.0 for bound, _ in like.histogram.buckets})
    return Metrics(0, 0, 0, 0.0, Latency(p50_ms=None, p95_ms=None, p99_ms=None, samples=0), {}, histogram=empty)


def _limits_and_baseline(rollout: RolloutContext, record: RolloutRecord) -> tuple[Monitor, Baseline | None]:
    """Return limits and baseline of the rollout, or of the latest one on its gateway where it is an emergency."""
    if record.baseline is not None:
        return rollout.scenario.monitor, Baseline.from_record(record.baseline)
    journal = rollout.journal
    for id_ in reversed(journal.rollouts()):
        entries = journal.entries(id_, Kind.OPENED, Kind.BASELINE)
        if len(entries) > 1 and entries[0].body["url"] == record.opened["url"]:
            return as_opened(entries[0].body).scenario.monitor, Baseline.from_record(entries[-1].body)
    return rollout.scenario.monitor, None


def _why_unread(target: Target, traces: ClosingSnapshot) -> str:
    if "log" in traces.lacking:
        return f"where the log ended when the rollout did is not known: {traces.lacking['log']}"
    if target.log_command:
        return f"the log of target {target.name!r} is read through a command that prints new lines only"
    return f"the log of target {target.name!r} is not named as a file that can be read from here (log_file)"


def _describe(verdict: Verdict) -> str:
    word = "" if verdict.state in (State.HOLDING, State.BREACHED) else f"{verdict.state}, which is never a pass: "
    message = verdict.message.replace("the window's", "the review's")
    return word + message.replace("since the activation", "since the rollout's end")


def _added(then: Metrics, now: Metrics) -> Metrics:
    """Return what was counted between the two; all of it where counting began anew."""
    if now.total_requests < then.total_requests or now.total_tokens < then.total_tokens:
        return now
    return replace(
        now,
        total_requests=now.total_requests - then.total_requests,
        total_usd=max(0.0, now.total_usd - then.total_usd),
        total_tokens=now.total_tokens - then.total_tokens,
    )


def _usd(
    rollout: RolloutContext, serving: ProviderChange, spent: Mapping[str, Metrics], *, charges: bool
) -> tuple[float, str]:
    """Return the cost in USD since the rollout's end, and its source.

    Raises:
        NotJudged: neither gateway nor scenario gives a cost, or there was no request.
    """
    used = _of(spent, serving)
    if not used.total_requests:
        raise NotJudged(f"{serving} had no request since the rollout's end, so there is no cost to judge")
    if charges:
        return used.total_usd, "as the gateway counts it"
    price = rollout.scenario.usd_per_1k_tokens.get(str(serving))
    if price is None:
        raise NotJudged(
            f"the gateway reports no cost, 0 for every provider, and the scenario no price of {serving}; "
            f"write `usd_per_1k_tokens: {{{serving}: …}}` in it"
        )
    if price and not used.total_tokens:
        raise NotJudged("the gateway reports neither cost nor tokens, so its cost is not known")
    return used.total_tokens * price / 1000, f"{used.total_tokens} tokens at the scenario's {price:g} USD per 1,000"


def _against_the_estimate(rollout: RolloutContext, record: RolloutRecord, a_day: float) -> list[str]:
    """Return why the cost exceeds the estimate; only a change that was kept has one to compare with."""
    impact = rollout.scenario.impact
    # An emergency has no backup, and no estimate of what it costs either.
    if record.decision is not Decision.KEPT or record.backup is None:
        return []
    if impact is None or impact.usd_a_day is None:
        prose = "there is no estimate" if impact is None else f"the estimate is prose ({impact.cost})"
        return [f"{prose}, so whether it is more is not known; write `usd_a_day:` in the scenario's impact"]
    return [f"that is more than the estimated {impact.usd_a_day:g} USD a day"] if a_day > impact.usd_a_day else []


def _of_the_old(
    rollout: RolloutContext, record: RolloutRecord, then: Mapping[str, Metrics], tokens: int, *, charges: bool
) -> str:
    """Return what the same tokens would have cost at the provider before the change, in a sentence."""
    if record.backup is None:
        return "what was before is not in its record, so it is not compared"
    old = ProviderChange(**record.backup["previous"])
    price = rollout.scenario.usd_per_1k_tokens.get(str(old))
    counted = then.get(_key(then, old)) if _key(then, old) else None
    if price is None and charges and counted is not None and counted.total_tokens:
        price = counted.total_usd / counted.total_tokens * 1000
    if price is None:
        return f"what {old} would have cost is not known"
    return f"{old} would have cost {tokens * price / 1000:.4g} USD for the same tokens"


def _key(of: Mapping[str, Metrics], provider: ProviderChange) -> str:
    return next((name for name in of if name.casefold() == provider.provider.casefold()), "")


def _of(of: Mapping[str, Metrics], provider: ProviderChange) -> Metrics:
    try:
        return of[_key(of, provider)]
    except KeyError:
        raise NotCleared(f"the gateway has no counters of {provider.provider}") from None
