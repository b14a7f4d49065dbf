"""MON-5: unexpected behaviour that an operator, the log, the fallbacks or the suite's own requests report.

A share has a limit and the test of `rollout.monitoring.share_test`; it holds unless it breaches. Everything else is
proof at once, except an answer that breaks an expectation: one more request confirms it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from rollout.gateway.responses import Metrics
from rollout.monitoring.aggregates import Aggregates
from rollout.monitoring.binomial import confidence_sequence
from rollout.monitoring.fallback_share import PairedFallbacks
from rollout.monitoring.samples import Context, Sample, SourceName
from rollout.monitoring.share_stream import ShareStream
from rollout.monitoring.share_test import ShareTest
from rollout.monitoring.share_tests import most_polls, trigger_alpha
from rollout.monitoring.verdict import NONE, State, Verdict, _at, _no_data, show_rate, show_span

BEHAVIOUR = (SourceName.OPERATOR, SourceName.LOG, SourceName.FALLBACKS, SourceName.SYNTHETIC)
"""The sources that report unexpected behaviour."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a source reports.

    Attributes:
        source: the source.
        at: when the deciding sample was taken, UTC, ISO 8601.
        text: one sentence for the operator.
        samples: the requests of the share that decided; 1 where none did.
        interval: the confidence sequence of that share.
    """

    source: str
    at: str
    text: str
    samples: int = 1
    interval: tuple[float, float] | None = None


def judge_behaviour(aggregates: Aggregates, context: Context, _now_s: float) -> Verdict:
    """Judge MON-5: no source reports unexpected behaviour; it holds once each of its sources has a good poll."""
    found = next(_breaches(aggregates, context), None)
    if found is not None:
        return Verdict(
            clause="MON-5",
            state=State.BREACHED,
            value=found.text,
            limit=NONE,
            samples=found.samples,
            source=found.source,
            span="the window",
            at=found.at,
            message=found.text,
            interval=found.interval,
        )
    return _without_breach(aggregates, context)


def _without_breach(aggregates: Aggregates, context: Context) -> Verdict:
    reads = [name for name in BEHAVIOUR if name in aggregates.polls]
    missing = [name for name in reads if aggregates.good(name) is None]
    # A failed request counts for MON-2; for MON-5 it is no answer that could be judged.
    answered = aggregates.requests.answered + aggregates.control_requests.answered
    if SourceName.SYNTHETIC in reads and SourceName.SYNTHETIC not in missing and not answered:
        missing.append(SourceName.SYNTHETIC)
    sources = ", ".join(reads)
    if not reads or len(missing) == len(reads):
        return _no_data("MON-5", sources, NONE, "none of the sources that would report something was seen")
    seen = sum(aggregates.polls[name].succeeded for name in reads)
    undecided = "; ".join(_undecided(aggregates, context))
    state, message = State.HOLDING, f"nothing unexpected in {seen} looks at {sources}"
    if missing:
        state, message = State.INCONCLUSIVE, f"nothing unexpected, but not seen once: {', '.join(missing)}"
    elif undecided:
        state, message = State.INCONCLUSIVE, undecided
    paired = _paired(aggregates, context)
    return Verdict(
        clause="MON-5",
        state=state,
        value=NONE,
        limit=NONE,
        samples=seen,
        source=sources,
        span="the window",
        at=_at(aggregates, *reads),
        message=message + _log_unread(context) + _describe_fallbacks(paired, context),
        interval=_interval(paired.stream),
        undecided=bool(undecided) and not missing,
    )


def _breaches(aggregates: Aggregates, context: Context) -> Iterator[Finding]:
    """Yield what is unexpected."""
    answers = aggregates.answers
    if aggregates.abort is not None:
        sample, why = aggregates.abort
        yield _proof(SourceName.OPERATOR, sample, f"the operator asks for an abort: {why}")
    if aggregates.log_hit is not None:
        sample, line = aggregates.log_hit
        words = f"the log has {aggregates.log_hits} line(s) that match the error pattern: {line}"
        yield _proof(SourceName.LOG, sample, words)
    yield from _users_fallbacks(aggregates, context)
    if answers.proof is not None:
        sample, what = answers.proof
        yield _proof(SourceName.SYNTHETIC, sample, f"a request of the suite's own: {what}")
    yield from _broken_expectations(aggregates, context)
    if context.fallbacks_are_normal:
        what = "of the suite's own requests were answered by another provider or model"
        yield from _share_above(aggregates, SourceName.SYNTHETIC, what, answers.fallbacks, own_fallback_test(context))


def _proof(source: str, sample: Sample, text: str) -> Finding:
    return Finding(source, sample.at, text)


def _users_fallbacks(aggregates: Aggregates, context: Context) -> Iterator[Finding]:
    paired, at = _paired(aggregates, context), _at(aggregates, SourceName.FALLBACKS)
    fallbacks = round(paired.stream.window.failures + paired.waiting)
    if not _has_counters(aggregates) or (paired.stream.window.failures and not paired.counted):
        if fallbacks:
            text = f"the gateway fell back {fallbacks} time(s) to another provider since the change"
            yield Finding(SourceName.FALLBACKS, at, f"{text}; no request of users was counted, so one is enough")
        return
    what = "of users' requests fell back to another provider since the change"
    yield from _share_above(aggregates, SourceName.FALLBACKS, what, paired.stream, fallback_test(context))


def _has_counters(aggregates: Aggregates) -> bool:
    """Return whether requests are counted, or may be: the first poll of the counters has not failed."""
    polls = aggregates.polls.get(SourceName.METRICS)
    return polls is not None and (polls.good is not None or not polls.failed)


def _broken_expectations(aggregates: Aggregates, context: Context) -> Iterator[Finding]:
    answers, test = aggregates.answers, unexpected_test(context)
    if test is not None:
        what = "of the answers to the suite's own requests break an expectation"
        yield from _share_above(aggregates, SourceName.SYNTHETIC, what, answers.unmet, test)
    elif answers.confirmed is not None:
        sample, what = answers.confirmed
        yield _proof(SourceName.SYNTHETIC, sample, f"two requests of the suite's own in a row: {what}")


def _share_above(
    aggregates: Aggregates, source: str, what: str, stream: ShareStream, test: ShareTest
) -> Iterator[Finding]:
    """Yield the share if it is above the limit of its test."""
    evidence = stream.evidence(test)
    if not evidence.is_breached:
        return
    worst = stream.worst_stretch(test)
    share = show_rate(worst.failures / worst.requests, test.limit)
    text = (
        f"{share} {what} ({worst.failures:.0f} of {worst.requests:.0f}), more than {test.limit * 100:g} %; "
        f"{evidence.describe()}"
    )
    yield Finding(source, _at(aggregates, source), text, round(worst.requests), _interval(stream))


def _undecided(aggregates: Aggregates, context: Context) -> Iterator[str]:
    """Yield what more samples decide."""
    if aggregates.answers.unconfirmed is not None and context.monitor.limits.unexpected_share is None:
        yield f"a request of the suite's own: {aggregates.answers.unconfirmed[1]}; it is being sent again"
    waiting = _paired(aggregates, context).waiting
    if waiting:
        yield f"{waiting:.0f} fallback(s) to another provider wait for the counters of users' requests"


def _paired(aggregates: Aggregates, context: Context) -> PairedFallbacks:
    first = aggregates.fallbacks.first
    since = 0 if first is None else max(0, first - context.fallbacks_before)
    return aggregates.fallback_share.paired(since, _requests_before(aggregates.counters.first, context))


def _requests_before(first: Metrics | None, context: Context) -> int:
    """Return how many requests the new provider had between its activation and the window's first counters."""
    before = context.counters_before
    if first is None or before is None:
        return 0
    # A counter that went down was reset, or belongs to another source.
    now, then = first.total_requests, before.total_requests
    return now if now < then else now - then


def _describe_fallbacks(paired: PairedFallbacks, context: Context) -> str:
    """Return users' fallbacks in words; empty without one."""
    window, limit = paired.stream.window, context.monitor.limits.fallback_share
    if not window.failures:
        return ""
    share, counts = (
        show_rate(window.failures / window.requests, limit),
        f"{window.failures:.0f} of {window.requests:.0f}",
    )
    return f"; fallbacks {share} ({counts} requests of users), limit {limit * 100:g} %"


def _interval(stream: ShareStream) -> tuple[float, float] | None:
    window = stream.window
    return _bounds(window.requests, window.failures) if window.requests else None


@lru_cache(maxsize=16)
def _bounds(requests: float, failures: float) -> tuple[float, float]:
    # Most polls of the other sources change neither number.
    return confidence_sequence(requests, failures)


def _log_unread(context: Context) -> str:
    """Return in which gaps of the window the log was not read, in words; empty without a gap."""
    gaps = ", ".join(show_span(from_s) for from_s in context.log_unread_from_s)
    return f"; not seen: what was logged from {gaps} of the window on, until the next call" if gaps else ""


def behaviour_alpha(context: Context) -> float:
    """Return the part of MON-5's alpha that each of its shares has."""
    own = (context.fallbacks_are_normal, context.monitor.limits.unexpected_share is not None)
    return trigger_alpha(context) / (1 + (sum(own) if context.monitor.in_turn else 0))


def fallback_test(context: Context) -> ShareTest:
    """Return the test of users' fallbacks."""
    limit, polls = context.monitor.limits.fallback_share, most_polls(context, context.monitor.alerts_every_s)
    return ShareTest(limit, behaviour_alpha(context), polls)


def own_fallback_test(context: Context) -> ShareTest:
    """Return the test of the suite's own requests that another provider answered, where that is normal."""
    return _own_test(context, context.monitor.limits.fallback_share)


def unexpected_test(context: Context) -> ShareTest | None:
    """Return the test of answers that break an expectation; None where two in a row breach."""
    limit = context.monitor.limits.unexpected_share
    return None if limit is None else _own_test(context, limit)


def _own_test(context: Context, limit: float) -> ShareTest:
    return ShareTest(limit, behaviour_alpha(context), most_polls(context, context.monitor.synthetic_every_s))


def is_to_confirm(aggregates: Aggregates, context: Context, sample: Sample) -> bool:
    """Return whether this answer breaks an expectation and is the first to do so, so that it is asked for again."""
    unconfirmed = aggregates.answers.unconfirmed
    is_first = unconfirmed is not None and unconfirmed[0] is sample
    return is_first and context.monitor.limits.unexpected_share is None
