"""The rollback triggers (MON): pure functions from what was seen to a verdict.

Every comparison is written so that only a finite value from enough samples can hold: no data, NaN and too few requests
are verdicts of their own, and none is a pass. Strictly above the limit fires; exactly at it does not.
P95 is taken by linear interpolation between the two closest ranks of the sorted samples, at rank 0.95 x (n - 1).
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

from rollout.gateway.answers import Alert, Connection
from rollout.history import GOOD_STATUS, History, Looks, Requests, Span
from rollout.samples import Context, Name, Sample
from rollout.scenario import Monitor

FEW_LOOKS = 10
# Two looks a second apart are never exactly a second apart.
TOLERANCE = 0.9
P95 = 0.95
NONE = "none"
EXTEND = "extend"
# A source that is dark for the first time is dark for good after twice as many looks.
AS_LONG_AGAIN = 2
# What a busy machine misses is not worth a word.
SHOWN_S = 1.0
NOT_JUDGED = frozenset({Name.WAY_BACK, Name.CONTROL})
"""Sources that no trigger needs: without the control group, the precheck's baseline decides."""


_HOUR_S = 3600
_MINUTE_S = 60


class State(StrEnum):
    """What a trigger says. Only `HOLDING` is a pass at the window's end."""

    HOLDING = "holding"
    BREACHED = "breached"
    INCONCLUSIVE = "inconclusive"
    NO_DATA = "no data"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one trigger says about the window so far.

    Attributes:
        clause: ``MON-1`` to ``MON-7``.
        state: the word that counts.
        value: the number or text that decided (a fraction for MON-2, ms for MON-3); None without data.
        limit: what it was held against; None where there is nothing to hold it against.
        samples: from how many samples the value was taken.
        source: whose number decided: ``users``, ``synthetic``, ``status``, ``alerts``, ``log``…; several with commas.
        span: the stretch of time it speaks of, in words.
        at: when the deciding sample was taken, UTC, ISO 8601; empty before the first one.
        message: the sentence that a person reads.
    """

    clause: str
    state: State
    value: float | str | None
    limit: float | str | None
    samples: int
    source: str
    span: str
    at: str
    message: str

    def record(self) -> dict[str, Any]:
        """Return the verdict as a dict of JSON types, for the journal."""
        return asdict(self) | {"state": str(self.state)}


Judge = Callable[[History, Context, float], Verdict]


def judge(history: History, context: Context, now_s: float) -> tuple[Verdict, ...]:
    """Return the verdicts of MON-1 to MON-6, in this order, `now_s` seconds into the window."""
    return tuple(trigger(history, context, now_s) for trigger, _ in TRIGGERS)


def judge_again(
    verdicts: Sequence[Verdict], source: str, history: History, context: Context, now_s: float
) -> tuple[Verdict, ...]:
    """Return what `judge` would, after one more sample of `source`: only triggers that read it are asked again."""
    return tuple(
        trigger(history, context, now_s) if not reads or source in reads else verdict
        for verdict, (trigger, reads) in zip(verdicts, TRIGGERS, strict=True)
    )


def percentile(ordered: Sequence[float], share: float = P95) -> float:
    """Return the percentile of the sorted, non-empty `ordered`, interpolated linearly at rank share x (n - 1)."""
    rank = share * (len(ordered) - 1)
    below = math.floor(rank)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (rank - below)


def show_rate(rate: float, limit: float) -> str:
    """Return a fraction as percent: one decimal, or more if it would look like the limit and is not."""
    text = f"{rate * 100:.1f} %"
    return text if rate == limit or text != f"{limit * 100:.1f} %" else f"{rate * 100:.6g} %"


def show_ms(value: float, limit: float) -> str:
    """Return milliseconds: no decimal, or more if it would look like the limit and is not."""
    text = f"{value:.0f} ms"
    return text if value == limit or text != f"{limit:.0f} ms" else f"{value:.8g} ms"


def show_span(seconds: float) -> str:
    """Return a stretch of time in words: ``5 min``, ``1 h 30 min``, ``45 s``."""
    left = round(seconds)
    hours, left = divmod(left, _HOUR_S)
    minutes, rest = divmod(left, _MINUTE_S)
    parts = [f"{count} {unit}" for count, unit in ((hours, "h"), (minutes, "min"), (rest, "s")) if count]
    return " ".join(parts) or "0 s"


def judge_status(history: History, context: Context, _now_s: float) -> Verdict:
    """MON-1: the provider stays connected; a bad status counts once it was read again."""
    provider, limit = context.change.provider, GOOD_STATUS
    good = history.good(Name.STATUS)
    if good is None or not isinstance(good.reading, Connection):
        return _nothing("MON-1", Name.STATUS, limit, f"the status of {provider} was not seen once")
    looks = history.looks[Name.STATUS]
    status, run = good.reading.status.casefold(), history.status
    why = f" ({good.reading.message})" if good.reading.message else ""

    def say(state: State, samples: int, message: str) -> Verdict:
        return Verdict("MON-1", state, status, limit, samples, Name.STATUS, "latest looks", good.at, message)

    if run.bad_since is not None:
        apart = good.at_s - run.bad_since.at_s
        if run.bad_looks > 1 and apart >= TOLERANCE * context.monitor.confirm_after_s:
            message = f"{provider} is {status}{why}, read {run.bad_looks} times in a row over {apart:.1f} s"
            return say(State.BREACHED, run.bad_looks, message)
        return say(State.INCONCLUSIVE, run.bad_looks, f"{provider} is {status}{why}; it is being read again")
    seen = looks.total - looks.failed
    if status == GOOD_STATUS:
        return say(State.HOLDING, seen, f"{provider} is connected ({seen} looks)")
    return say(State.INCONCLUSIVE, seen, f"the status of {provider} is {status}{why}, which says nothing")


def judge_errors(history: History, context: Context, _now_s: float) -> Verdict:
    """MON-2: the error rate stays at or below the limit, over the short span and over the window.

    Users decide if the gateway counted at least `min_requests` requests besides the suite's own, which are among those
    it counts and are taken out, failures too; otherwise the suite's own requests do, from `min_samples` of them on.
    A breach by either is a breach, but users who are served well right now are not taken back for the suite's own
    failures. A breach takes `breach_failures` of users or `breach_own_failures` of the suite's own:
    one failure of nineteen is above 5 %, and is chance.
    """
    monitor, own = context.monitor, history.requests
    short_s = monitor.short_span_s
    users = _Errors(
        "users",
        of_users(history.counters.latest(short_s), own),
        of_users(history.counters.latest(), own),
        monitor.min_requests,
        monitor.breach_failures,
    )
    probes = _Errors("synthetic", own.latest(short_s), own.latest(), monitor.min_samples, monitor.breach_own_failures)
    limit = monitor.limits.error_rate
    asked = (users,) if users.served_well(limit) else (users, probes)
    breached = next((each for each in asked if each.breaching(limit) is not None), None)
    decides = breached or next((each for each in (users, probes) if each.requests >= each.least), None)
    if decides is None:
        return _too_few_requests(history, context, users.requests, probes.requests)
    verdict = _error_verdict(history, context, decides)
    if decides is users or breached is not None:
        return verdict
    few = f"these decide, because {users.requests} of users were seen and {monitor.min_requests} are needed"
    return replace(verdict, message=f"{verdict.message}; {few}")


def _too_few_requests(history: History, context: Context, users: int, probes: int) -> Verdict:
    monitor, limit = context.monitor, context.monitor.limits.error_rate
    if not users and not probes:
        return _nothing("MON-2", "users", limit, "no request was seen, so there is no error rate")
    least = f"{monitor.min_requests} of users or {monitor.min_samples} of the suite's own are needed"
    if not monitor.in_turn:
        least = (
            f"{monitor.min_requests} of users are needed, for the scenario switches the suite's own off (probes: off)"
        )
    message = f"too few requests to judge: {users} of users, {probes} of the suite's own; {least}"
    at = _at(history, Name.METRICS, Name.SYNTHETIC)
    return Verdict("MON-2", State.INCONCLUSIVE, None, limit, users or probes, "users", "the window", at, message)


@dataclass(frozen=True, slots=True)
class _Errors:
    """The requests of one kind, over the short span and the window, and how many it takes to judge by them."""

    source: str
    short: Span | None
    window: Span | None
    least: int
    breach_failures: int

    @property
    def requests(self) -> int:
        return 0 if self.window is None else self.window.requests

    def served_well(self, limit: float) -> bool:
        """Tell whether enough requests of the short span show that the rate is not above the limit now."""
        return self.short is not None and self.short.requests >= self.least and _rate(self.short) <= limit

    def breaching(self, limit: float) -> Span | None:
        """Return the span whose rate is above the limit by more failures than chance brings; the worse of two."""
        above = [s for s in (self.window, self.short) if s is not None and _rate(s) > limit]
        enough = [span for span in above if span.failures >= self.breach_failures]
        return max(enough, key=_rate, default=None)


def _rate(span: Span) -> float:
    return span.failures / span.requests if span.requests else 0.0


def of_users(span: Span | None, own: Requests) -> Span | None:
    """Return the gateway's count without the suite's own requests: what is broken for them is judged apart."""
    if span is None:
        return None
    requests, failures = own.counted(span.from_s, span.to_s)
    failed = max(0, span.failures - failures)
    return replace(span, requests=max(failed, span.requests - requests), failures=failed)


def _error_verdict(history: History, context: Context, errors: _Errors) -> Verdict:
    """Judge by the breaching span; without one, by the worse of the window and a short span with enough requests.

    A rate above the limit that is not a breach yet is inconclusive: not fired, and no pass at the window's end.
    """
    window, limit = errors.window, context.monitor.limits.error_rate
    assert window is not None  # noqa: S101 - for the type checker
    breaching = errors.breaching(limit)
    short = errors.short if errors.short is not None and errors.short.requests >= errors.least else window
    calm = [span for span in (window, short) if _rate(span) <= limit]
    shown = breaching or (max(calm, key=_rate) if window in calm else window)
    rate = _rate(shown)
    state = State.BREACHED if breaching else _compare(rate, limit) if shown in calm else State.INCONCLUSIVE
    words = _last(shown, window, context.monitor.short_span_s)
    whose = " of the suite's own" if errors.source == "synthetic" else ""
    count = f"{shown.failures} of {shown.requests}{whose} requests"
    ends = "is not above" if state is State.HOLDING else "is above"
    message = f"error rate {show_rate(rate, limit)} over {words} ({count}) {ends} {limit * 100:g} %"
    if state is State.INCONCLUSIVE:
        message += f", by fewer failures than the {errors.breach_failures} that it takes to tell it from chance"
    message += _beside(history, context)
    at = _at(history, Name.METRICS if errors.source == "users" else Name.SYNTHETIC)
    return Verdict("MON-2", state, rate, limit, shown.requests, errors.source, words, at, message)


def _beside(history: History, context: Context) -> str:
    """Return the control group's error rate in words; empty where there is no control group."""
    span = history.control.latest()
    if context.control is None or span is None or not span.requests:
        return ""
    rate = f"{span.failures / span.requests * 100:.1f} %"
    return f"; control group {context.control.provider}: {rate} of {span.requests} requests"


@dataclass(frozen=True, slots=True)
class _Limit:
    """What a P95 is held against.

    Attributes:
        value_ms: the limit.
        why: where it comes from, in words; empty for an absolute one.
    """

    value_ms: float
    why: str = ""


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A P95 in ms.

    `above` says that it is a histogram's highest finite bound, which the true one lies above; `chance` that fewer
    answers are slower than the limit than it takes to tell a breach from chance.
    """

    source: str
    value: float
    held: _Limit
    samples: int
    span: str
    at: str
    above: bool = False
    how: str = ""
    chance: bool = False

    @property
    def state(self) -> State:
        if self.chance and self.value > self.limit:
            return State.INCONCLUSIVE
        if self.above:
            return State.BREACHED if self.value >= self.limit else State.INCONCLUSIVE
        return _compare(self.value, self.limit)

    @property
    def limit(self) -> float:
        return self.held.value_ms


def judge_latency(history: History, context: Context, _now_s: float) -> Verdict:
    """MON-3: P95 stays at or below the limit; users decide where their number is the window's own.

    A breach by either, the users' or the suite's own, is a breach. One of the suite's own takes `breach_own_failures`
    answers that are slower than the limit: of twenty, two are enough to raise the P95, and are chance.
    """
    found = [*_users_p95s(history, context), *_own_p95(history, context)]
    breaching = [c for c in found if c.state is State.BREACHED]
    if found:
        own = [c for c in found if c.source == found[0].source]
        unknown = [c for c in own if c.state is State.INCONCLUSIVE]
        decides = max(breaching or unknown or own, key=lambda c: c.value / c.limit)
        verdict = _latency_verdict(decides, context)
        if found[0].source == "users":
            return verdict
        alone = "these decide, because there is no P95 of enough users' requests that is the window's own"
        return replace(verdict, message=f"{verdict.message}; {alone}")
    tried = history.requests.latest()
    counted = history.counters.latest()
    if tried is None and (counted is None or not counted.requests):
        return _nothing("MON-3", "users", None, "no request was seen, so there is no P95")
    message = f"P95 cannot be judged: {_why_no_p95(history, context)}"
    at, seen = _at(history, Name.METRICS, Name.SYNTHETIC), 0 if tried is None else tried.requests
    return Verdict("MON-3", State.INCONCLUSIVE, None, None, seen, "synthetic", "the window", at, message)


def _latency_verdict(decides: _Candidate, context: Context) -> Verdict:
    limit, state = decides.limit, decides.state
    whose = "users'" if decides.source == "users" else "the suite's own"
    ends = "is above" if state is State.BREACHED else "is not above"
    held = f"{limit:.5g} ms" + (f" ({decides.held.why})" if decides.held.why else "")
    if state is State.INCONCLUSIVE and decides.chance:
        ends = "is above"
        held += (
            f", by fewer answers than the {context.monitor.breach_own_failures} that it takes to tell it from chance"
        )
    elif state is State.INCONCLUSIVE:
        ends = "cannot be held against"
        held += "; name an absolute limit in monitor.p95, or let the gateway have a bucket above it"
    more = "more than " if decides.above else ""
    number = f"P95 {more}{show_ms(decides.value, limit)} over {decides.span}"
    message = f"{number} ({decides.samples} of {whose} requests{decides.how}) {ends} {held}"
    return Verdict(
        "MON-3", state, decides.value, limit, decides.samples, decides.source, decides.span, decides.at, message
    )


def _why_no_p95(history: History, context: Context) -> str:
    least = context.monitor.min_samples
    base = context.baseline
    if context.monitor.limits.p95_ms is None and (
        base is None or all(_limit(history, context, source) is None for source in ("users", "synthetic"))
    ):
        return f"there is no baseline from at least {least} requests"
    return f"fewer than {least} requests that are the window's own on a side of the comparison"


def _limit(history: History, context: Context, source: str) -> _Limit | None:
    """Return the limit for that source's P95, None where there is nothing sound to compare with.

    Beside a canary the control group is the baseline, from enough requests of the same stage; else the precheck's.
    """
    limits = context.monitor.limits
    if limits.p95_ms is not None:
        return _sound(_Limit(limits.p95_ms))
    control = _control_p95(history, context, source)
    if control is not None:
        p95_ms, samples = control
        who = context.control.provider if context.control else ""
        words = f"control group {p95_ms:.5g} ms, {samples} requests of {who} in the same stage"
    else:
        base = context.baseline
        if base is None:
            return None
        p95, samples = (
            (base.users_p95_ms, base.users_samples)
            if source == "users"
            else (base.synthetic_p95_ms, base.synthetic_samples)
        )
        if p95 is None or samples < context.monitor.min_samples:
            return None
        p95_ms, words = p95, f"baseline {p95:.5g} ms"
    return _sound(_Limit(limits.latency_factor * p95_ms, f"{limits.latency_factor:g} x {words}"))


def _sound(limit: _Limit) -> _Limit | None:
    return limit if math.isfinite(limit.value_ms) and limit.value_ms > 0 else None


def _control_p95(history: History, context: Context, source: str) -> tuple[float, int] | None:
    """Return the control group's P95 and from how many requests, if all of them are of this stage and enough."""
    least = context.monitor.min_samples
    if context.control is None:
        return None
    if source != "users":
        latencies = history.control_requests.latencies(math.inf)
        return (percentile(latencies), len(latencies)) if len(latencies) >= least else None
    metrics, span = history.control.last, history.control.latest()
    if metrics is None or span is None or metrics.latency.p95_ms is None:
        return None
    samples = metrics.latency.samples
    # The percentile covers the provider's last requests, however old: they must have been counted in this stage.
    return (metrics.latency.p95_ms, samples) if span.requests >= samples >= least else None


def _users_p95s(history: History, context: Context) -> list[_Candidate]:
    """Return the users' P95: of the window and the short span from histograms, else the gateway's own if it may be."""
    if history.histograms.latest() is not None:
        return _histogram_p95s(history, context)
    found = _users_p95(history, context)
    return [] if found is None else [found]


def _histogram_p95s(history: History, context: Context) -> list[_Candidate]:
    limit, window = _limit(history, context, "users"), history.histograms.latest()
    if limit is None or window is None:
        return []
    short_s, found = context.monitor.short_span_s, []
    whole = Span(round(window.histogram.count), 0, window.from_s, window.to_s)
    for seconds in (short_s, None):
        part = history.histograms.latest(seconds)
        quantile = None if part is None else part.histogram.quantile(P95)
        if part is None or quantile is None:
            continue
        span = Span(round(part.histogram.count), 0, part.from_s, part.to_s)
        own = history.requests.count(span.from_s, span.to_s)
        if span.requests - own < context.monitor.min_samples:
            continue
        how = "; above the highest bound of the histogram"
        if not quantile.at_least:
            bounds = f"{quantile.from_s * 1000:g}-{quantile.to_s * 1000:g} ms"
            how = f"; interpolated linearly in the histogram's bucket {bounds}, as histogram_quantile does"
        words, at = _last(span, whole, short_s), _at(history, Name.METRICS)
        ms = quantile.seconds * 1000
        found.append(_Candidate("users", ms, limit, span.requests, words, at, quantile.at_least, how))
    return found


def _users_p95(history: History, context: Context) -> _Candidate | None:
    """Return the gateway's P95 if every sample it was taken from belongs to the span, None otherwise.

    The gateway's percentiles cover its last 1,000 requests, however old (deviation 2). They are the span's own only if
    at least as many requests were counted in the span as the percentile was taken from.
    """
    limit, metrics = _limit(history, context, "users"), history.counters.last
    if limit is None or metrics is None or metrics.latency.p95_ms is None:
        return None
    samples, least, short_s = metrics.latency.samples, context.monitor.min_samples, context.monitor.short_span_s
    if samples < least:
        return None
    at = _at(history, Name.METRICS)
    short, whole = history.counters.latest(short_s), history.counters.latest()
    for span, before in ((short, 0), (whole, _before_the_window(history, context))):
        if span is None or whole is None:
            continue
        own = history.requests.count(span.from_s, span.to_s)
        if span.requests + before >= samples and span.requests + before - own >= least:
            words = "the time since the activation" if before else _last(span, whole, short_s)
            return _Candidate("users", metrics.latency.p95_ms, limit, samples, words, at)
    return None


def _before_the_window(history: History, context: Context) -> int:
    """Return how many requests were counted between the activation and the window's first sample."""
    before, first = context.counters_before, history.counters.first
    if before is None or first is None or history.counters.resets:
        return 0
    if first.total_requests < before.total_requests or first.failed_requests < before.failed_requests:
        return 0
    return first.total_requests - before.total_requests


def _own_p95(history: History, context: Context) -> list[_Candidate]:
    """Return the P95 of the suite's own requests over the window and the short span, where there are enough."""
    limit, own = _limit(history, context, "synthetic"), history.requests
    if limit is None:
        return []
    least, found = context.monitor.min_samples, []
    at = _at(history, Name.SYNTHETIC)
    window = own.latest()
    for seconds in (context.monitor.short_span_s, None):
        span = own.latest(seconds)
        if span is None or window is None or span.requests < least:
            continue
        latencies = own.latencies(limit.value_ms, seconds)
        if len(latencies) >= least:
            words = _last(span, window, context.monitor.short_span_s)
            slow = len(latencies) - bisect_right(latencies, limit.value_ms)
            chance = slow < context.monitor.breach_own_failures
            p95_ms = percentile(latencies)
            found.append(_Candidate("synthetic", p95_ms, limit, len(latencies), words, at, chance=chance))
    return found


def judge_alerts(history: History, context: Context, _now_s: float) -> Verdict:
    """MON-4: no critical alert fires that was not firing before; one that cleared meanwhile counts."""
    looks, good = history.looks.get(Name.ALERTS), history.good(Name.ALERTS)
    if looks is None or good is None:
        return _nothing("MON-4", Name.ALERTS, NONE, "the critical alerts were not seen once")
    seen = looks.total - looks.failed
    fired = next(((s, a) for s, a in history.alerts.values() if _trips(a, context)), None)
    if fired is None:
        carried = f", {len(history.alerts)} that do not count" if history.alerts else ""
        message = f"no new critical alert in {seen} looks{carried}"
        return Verdict("MON-4", State.HOLDING, NONE, NONE, seen, Name.ALERTS, "the window", good.at, message)
    sample, alert = fired
    detail = f"{alert.message} {alert.technical_details or ''}".strip()
    message = f"critical alert {alert.key} fires and was not firing before: {detail}"
    return Verdict("MON-4", State.BREACHED, alert.key, NONE, seen, Name.ALERTS, "the window", sample.at, message)


def _trips(alert: Alert, context: Context) -> bool:
    provider = (alert.provider or "").casefold()
    new, previous = context.change.provider.casefold(), context.previous.provider.casefold()
    known = {key.casefold() for key in context.alerts_before | context.fixes}
    # A provider that is to be cured by itself must still be allowed to fail.
    if alert.key.casefold() in known or (provider in known and provider != new):
        return False
    return context.monitor.alerts != "related" or provider in {new, previous, ""}


def judge_behaviour(history: History, context: Context, _now_s: float) -> Verdict:
    """MON-5: nobody and nothing reports unexpected behaviour; holds once each of its sources was seen."""
    reads = [name for name in _BEHAVIOUR if name in history.looks]
    hit = _unexpected(history, context)
    if hit is not None:
        source, sample, text = hit
        return Verdict("MON-5", State.BREACHED, text, NONE, 1, source, "the window", sample.at, text)
    goods = {name: history.good(name) for name in reads}
    missing = [name for name, good in goods.items() if good is None]
    # A failed request counts to MON-2, but it is no look at an answer either.
    answered = history.requests.answered + history.control_requests.answered
    if Name.SYNTHETIC in reads and Name.SYNTHETIC not in missing and not answered:
        missing.append(Name.SYNTHETIC)
    sources = ", ".join(reads)
    if not reads or len(missing) == len(reads):
        return _nothing("MON-5", sources, NONE, "none of the sources that would report something was seen")
    at = max(good.at for good in goods.values() if good is not None)
    seen = sum(history.looks[name].total - history.looks[name].failed for name in reads)
    if missing:
        message = f"nothing unexpected, but not seen once: {', '.join(missing)}{_log_unread(context)}"
        return Verdict("MON-5", State.INCONCLUSIVE, NONE, NONE, seen, sources, "the window", at, message)
    message = f"nothing unexpected in {seen} looks at {sources}{_log_unread(context)}"
    return Verdict("MON-5", State.HOLDING, NONE, NONE, seen, sources, "the window", at, message)


def _log_unread(context: Context) -> str:
    """Say in which gaps of the window nobody read the log; empty where it was read throughout."""
    gaps = ", ".join(show_span(from_s) for from_s in context.log_unread_from_s)
    return f"; not seen: what was logged from {gaps} of the window on, until the next call" if gaps else ""


def _unexpected(history: History, context: Context) -> tuple[str, Sample, str] | None:
    if history.abort is not None:
        return Name.OPERATOR, history.abort[0], f"the operator asks for an abort: {history.abort[1]}"
    if history.log_hit is not None:
        sample, line = history.log_hit
        return Name.LOG, sample, f"the log has {history.log_hits} line(s) that match the error pattern: {line}"
    fallbacks, good = history.fallbacks, history.good(Name.FALLBACKS)
    if fallbacks.first is not None and good is not None:
        risen = max(0, fallbacks.first - context.fallbacks_before) + fallbacks.risen
        if risen > 0:
            return Name.FALLBACKS, good, f"the gateway fell back {risen} time(s) to another provider since the change"
    if history.requests.unexpected is not None:
        sample, what = history.requests.unexpected
        return Name.SYNTHETIC, sample, f"a request of the suite's own: {what}"
    return None


def judge_data(history: History, context: Context, now_s: float) -> Verdict:
    """MON-6: every source that a trigger reads gives data: not dark in a row, not too often, not stale, seen once.

    Time that nobody watched is watched afterwards, as much of it as the window lasts; where there is more, no data.

    A source that is dark for the first time is given as long again, unless `on_no_data` says otherwise: inconclusive.
    """
    monitor, span = context.monitor, f"the first {show_span(now_s)}"
    limit = f"{monitor.dark_in_a_row} in a row/{monitor.dark_share * 100:g}%"
    reads = [(name, looks) for name, looks in history.looks.items() if name not in NOT_JUDGED]
    total = sum(looks.total for _, looks in reads)
    dark = [found for name, looks in reads if (found := _darkness(name, looks, monitor)) is not None]
    dark += [found for found in [_stale(history, monitor)] if found is not None]
    if dark:
        worst = next((found for found in dark if found.state is State.BREACHED), dark[0])
        return Verdict(
            "MON-6", worst.state, worst.value, limit, worst.looks.total, worst.source, span, worst.at, worst.message
        )
    unseen = [name for name, looks in reads if looks.good is None]
    sources = ", ".join(name for name, _ in reads)
    if len(unseen) == len(reads):
        return _nothing("MON-6", sources, limit, "no source was seen once")
    at = max(looks.last.at for _, looks in reads if looks.last is not None)
    failed = sum(looks.failed for _, looks in reads)
    value = f"{failed} of {total} failed"
    if unseen:
        message = f"not seen once: {', '.join(unseen)}"
        return Verdict("MON-6", State.INCONCLUSIVE, value, limit, total, ", ".join(unseen), span, at, message)
    gap_s, lasts_s = unwatched(history), context.lasts_s
    if gap_s > lasts_s:
        value = f"{show_span(gap_s)} not watched"
        message = (
            f"{show_span(gap_s)} were not watched, and a window of {show_span(lasts_s)} goes on for so long at most"
        )
        return Verdict("MON-6", State.NO_DATA, value, limit, total, sources, span, at, message)
    again = extended(history, context)
    message = f"{failed} of {total} looks at {len(reads)} sources failed"
    message += f"; {show_span(gap_s)} were not watched, and the window is so much longer" if gap_s >= SHOWN_S else ""
    message += f"; dark once, paged, and the window extended for it: {', '.join(again)}" if again else ""
    return Verdict("MON-6", State.HOLDING, value, limit, total, sources, span, at, message)


def unwatched(history: History) -> float:
    """Return how many seconds of the window nobody watched: those of the source that misses most."""
    return max((looks.unwatched_s for name, looks in history.looks.items() if name not in NOT_JUDGED), default=0.0)


def extended(history: History, context: Context) -> tuple[str, ...]:
    """Return the sources that were dark for the first time, and were given as long again (MON-6, `on_no_data`)."""
    monitor = context.monitor
    return tuple(
        name for name, looks in history.looks.items() if name not in NOT_JUDGED and _forgiven(name, looks, monitor)
    )


@dataclass(frozen=True, slots=True)
class _Dark:
    """A source that gives no data: breached, or inconclusive while it has as long again."""

    state: State
    source: str
    value: str
    looks: Looks
    message: str

    @property
    def at(self) -> str:
        return "" if self.looks.last is None else self.looks.last.at


def _forgiven(name: str, looks: Looks, monitor: Monitor) -> int:
    """Return how many failed looks are forgiven: those of the first row that was long enough to be dark."""
    if monitor.on_no_data.get(name, EXTEND) != EXTEND:
        return 0
    rows = [*looks.earlier_rows, looks.failed_in_a_row]
    first = next((row for row in rows if row >= monitor.dark_in_a_row), 0)
    return first if first < AS_LONG_AGAIN * monitor.dark_in_a_row else 0


def _darkness(name: str, looks: Looks, monitor: Monitor) -> _Dark | None:
    last, row, forgiven = looks.last, looks.failed_in_a_row, _forgiven(name, looks, monitor)
    if last is None or not looks.failed:
        return None
    was_dark = any(earlier >= monitor.dark_in_a_row for earlier in looks.earlier_rows)
    in_a_row = row >= monitor.dark_in_a_row
    counted, failed = looks.total - forgiven, looks.failed - forgiven
    too_often = counted >= FEW_LOOKS and failed > monitor.dark_share * counted
    if not (in_a_row or too_often):
        return None
    value = f"{row} looks in a row failed" if in_a_row else f"{failed} of {counted} looks failed"
    message = f"{name} is dark: {value}" + (f", the latest because: {last.error}" if last.error else "")
    if in_a_row and forgiven and not was_dark and not too_often:
        message += (
            f"; people are told, and it has {AS_LONG_AGAIN * monitor.dark_in_a_row - row} more looks to come back"
        )
        return _Dark(State.INCONCLUSIVE, name, value, looks, message)
    return _Dark(State.BREACHED, name, value, looks, message)


def _stale(history: History, monitor: Monitor) -> _Dark | None:
    """Return that the counters stand still although requests were answered: what they say is not of now.

    Only what the reading that moved cannot hold, and the latest one must, was missed: sent after the one had ended, and
    answered before the other began. A look that the rate limit refuses for a second reads what is a second younger.
    """
    counters, looks = history.counters, history.looks.get(Name.METRICS)
    latest = counters.latest()
    if counters.moved_by_s is None or latest is None or looks is None:
        return None
    missed, allowed = history.requests.answered_within(counters.moved_by_s, latest.to_s), monitor.dark_in_a_row
    if missed < allowed:
        return None
    again = AS_LONG_AGAIN if monitor.on_no_data.get(Name.METRICS, EXTEND) == EXTEND else 1
    state = State.BREACHED if missed >= again * allowed else State.INCONCLUSIVE
    value = f"{missed} requests not counted"
    message = (
        f"metrics is stale: its counters stand still since {show_span(counters.moved_by_s)} into the window, and "
        f"{missed} requests of the suite's own were answered meanwhile"
    )
    return _Dark(state, Name.METRICS, value, looks, message)


def _compare(value: float, limit: float) -> State:
    if value > limit:
        return State.BREACHED
    # Not "otherwise": NaN is neither above nor at most.
    return State.HOLDING if value <= limit else State.INCONCLUSIVE


def _last(span: Span, window: Span, short_s: float) -> str:
    """Name the span: the short one by its nominal length, unless the window is no longer than that."""
    if span != window:
        return f"the last {show_span(short_s)}"
    seconds = window.to_s - window.from_s
    return f"the window's {show_span(seconds)}" if seconds >= 1 else "the window"


def _at(history: History, *sources: str) -> str:
    goods = [good for good in map(history.good, sources) if good is not None]
    return max((good.at for good in goods), default="")


def _nothing(clause: str, source: str, limit: float | str | None, message: str) -> Verdict:
    return Verdict(clause, State.NO_DATA, None, limit, 0, source, "the window", "", message)


_BEHAVIOUR = (Name.OPERATOR, Name.LOG, Name.FALLBACKS, Name.SYNTHETIC)

TRIGGERS: tuple[tuple[Judge, frozenset[str]], ...] = (
    (judge_status, frozenset({Name.STATUS})),
    (judge_errors, frozenset({Name.METRICS, Name.SYNTHETIC, Name.CONTROL})),
    (judge_latency, frozenset({Name.METRICS, Name.SYNTHETIC, Name.CONTROL})),
    (judge_alerts, frozenset({Name.ALERTS})),
    (judge_behaviour, frozenset(_BEHAVIOUR)),
    # No source named: it reads them all.
    (judge_data, frozenset()),
)
"""Each trigger, and the sources whose samples can change what it says."""
