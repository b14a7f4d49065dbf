"""MON-5: unexpected behaviour that an operator, the log, the fallbacks or the suite's own requests report.

A share has a limit and the test of `rollout.monitoring.share_test`; it holds unless it breaches. Everything else is
proof at once, except an answer that breaks an expectation: one more request confirms it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rollout.gateway.responses import Metrics
from rollout.monitoring.aggregates import Aggregates
from rollout.monitoring.behaviour_tests import fallback_test, own_fallback_test, unexpected_test
from rollout.monitoring.fallback_share import PairedFallbacks
from rollout.monitoring.findings import Finding, interval_of, share_above
from rollout.monitoring.samples import Context, Sample, SourceName
from rollout.monitoring.signals import SignalState, judge_signals
from rollout.monitoring.verdict import NONE, State, Verdict, _at, _no_data, show_rate, show_span

BEHAVIOUR = (SourceName.OPERATOR, SourceName.LOG, SourceName.FALLBACKS, SourceName.SYNTHETIC)
"""The sources that report unexpected behaviour."""


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
    reads: list[str] = [name for name in BEHAVIOUR if name in aggregates.polls]
    missing = [name for name in reads if aggregates.good(name) is None]
    # A failed request counts for MON-2; for MON-5 it is no answer that could be judged.
    answered = aggregates.requests.answered + aggregates.control_requests.answered
    if SourceName.SYNTHETIC in reads and SourceName.SYNTHETIC not in missing and not answered:
        missing.append(SourceName.SYNTHETIC)
    signals = judge_signals(aggregates, context)
    lacking = [f"signal {signal.name} ({signal.lacks})" for signal in signals if signal.lacks]
    if context.monitor.limits.unexpected_share is not None and not aggregates.answers.unmet.window.requests:
        lacking.append("unexpected_share (no answer was seen)")
    sources = ", ".join(reads)
    if not reads or len(missing) == len(reads):
        return _no_data("MON-5", sources, NONE, "none of the sources that would report something was seen")
    seen = sum(aggregates.polls[name].succeeded for name in reads)
    undecided = "; ".join(_undecided(aggregates, context, signals))
    state, message = State.HOLDING, f"nothing unexpected in {seen} looks at {sources}"
    if missing or lacking:
        message = f"nothing unexpected, but not seen once: {', '.join([*missing, *lacking])}"
        state = State.INCONCLUSIVE
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
        message="".join(
            (
                message,
                _log_unread(context),
                _describe_fallbacks(paired, context),
                _describe_own_shares(aggregates, context),
                _describe_signals(signals),
            )
        ),
        interval=interval_of(paired.stream),
        undecided=bool(undecided or lacking) and not missing,
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
    yield from (found for state in judge_signals(aggregates, context) for found in state.breach)
    if context.fallbacks_are_normal:
        what = "of the suite's own requests were answered by another provider or model"
        yield from share_above(aggregates, SourceName.SYNTHETIC, what, answers.fallbacks, own_fallback_test(context))


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
    yield from share_above(aggregates, SourceName.FALLBACKS, what, paired.stream, fallback_test(context))


def _has_counters(aggregates: Aggregates) -> bool:
    """Return whether requests are counted, or may be: the first poll of the counters has not failed."""
    polls = aggregates.polls.get(SourceName.METRICS)
    return polls is not None and (polls.good is not None or not polls.failed)


def _broken_expectations(aggregates: Aggregates, context: Context) -> Iterator[Finding]:
    answers, test = aggregates.answers, unexpected_test(context)
    if test is not None:
        what = "of the answers to the suite's own requests break an expectation"
        yield from share_above(aggregates, SourceName.SYNTHETIC, what, answers.unmet, test)
    elif answers.confirmed is not None:
        sample, what = answers.confirmed
        yield _proof(SourceName.SYNTHETIC, sample, f"two requests of the suite's own in a row: {what}")


def _undecided(aggregates: Aggregates, context: Context, signals: Sequence[SignalState]) -> Iterator[str]:
    """Yield what more samples decide."""
    if aggregates.answers.unconfirmed is not None and context.monitor.limits.unexpected_share is None:
        yield f"a request of the suite's own: {aggregates.answers.unconfirmed[1]}; it is being sent again"
    yield from (signal.undecided for signal in signals if signal.undecided)


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
    waits = f"; {paired.waiting:.0f} fallback(s) wait for the counters of users' requests" if paired.waiting else ""
    if not window.failures:
        return waits
    share, counts = (
        show_rate(window.failures / window.requests, limit),
        f"{window.failures:.0f} of {window.requests:.0f}",
    )
    return f"; fallbacks {share} ({counts} requests of users), limit {limit * 100:g} %{waits}"


def _describe_own_shares(aggregates: Aggregates, context: Context) -> str:
    """Return the shares of the suite's own answers that have a limit, in words; empty without one."""
    limits, answers = context.monitor.limits, aggregates.answers
    shares = [("answers that break an expectation", answers.unmet.window, limits.unexpected_share)]
    if context.fallbacks_are_normal:
        shares.append(("answers by another provider or model", answers.fallbacks.window, limits.fallback_share))
    return "".join(
        f"; {what} {show_rate(window.failures / window.requests, limit)} ({window.failures:.0f} of "
        f"{window.requests:.0f} of the suite's own), limit {limit * 100:g} %"
        for what, window, limit in shares
        if limit is not None and window.requests
    )


def _describe_signals(signals: Sequence[SignalState]) -> str:
    words = [f"{signal.name} {signal.shown}" for signal in signals if signal.shown]
    return f"; signals: {', '.join(words)}" if words else ""


def _log_unread(context: Context) -> str:
    """Return in which gaps of the window the log was not read, in words; empty without a gap."""
    gaps = ", ".join(show_span(from_s) for from_s in context.log_unread_from_s)
    return f"; not seen: what was logged from {gaps} of the window on, until the next call" if gaps else ""


def is_to_confirm(aggregates: Aggregates, context: Context, sample: Sample) -> bool:
    """Return whether this answer breaks an expectation and is the first to do so, so that it is asked for again."""
    unconfirmed = aggregates.answers.unconfirmed
    is_first = unconfirmed is not None and unconfirmed[0] is sample
    return is_first and context.monitor.limits.unexpected_share is None
