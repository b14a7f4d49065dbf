"""The slices of users' requests in MON-2's verdict: the worst is shown, and those that the scenario lists are judged.

Each listed slice has an alpha of its own, as large as a trigger's. The suite's own requests are among the slices'.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from rollout.core.signals import Slices
from rollout.monitoring.samples import Context
from rollout.monitoring.share_stream import ShareStream
from rollout.monitoring.share_test import ShareTest, is_within
from rollout.monitoring.share_tests import most_polls, trigger_alpha
from rollout.monitoring.slice_streams import SliceStreams
from rollout.monitoring.verdict import State, Verdict, describe_stretch, share_interval, show_rate


def judge_slices(verdict: Verdict, found: SliceStreams, context: Context) -> Verdict:
    """Return MON-2's verdict with the worst slice: breached by a listed one, inconclusive where one does not hold."""
    slices = context.monitor.slices
    if slices is None or verdict.state is State.BREACHED:
        return verdict
    test = ShareTest(
        context.monitor.limits.error_rate,
        trigger_alpha(context),
        most_polls(context, context.monitor.metrics_every_s),
    )
    seen = {value: stream for value, stream in found.streams.items() if stream.window.requests}
    for value in slices.judge:
        if test.is_judgeable and value in seen and seen[value].evidence(test).is_breached:
            return _breached(verdict, slices, value, seen[value], test)
    shown = f"; {_describe_worst(slices, seen, test.limit)}{_describe_judged(slices, seen, test.limit)}"
    undecided = "".join(_describe_undecided(slices, seen, test.limit))
    if undecided and verdict.state is State.HOLDING:
        return replace(verdict, state=State.INCONCLUSIVE, undecided=True, message=verdict.message + shown + undecided)
    return replace(verdict, message=verdict.message + shown)


def _describe_undecided(slices: Slices, seen: dict[str, ShareStream], limit: float) -> Iterator[str]:
    """Yield which listed slices cannot pass, and why."""
    missing = [value for value in slices.judge if value not in seen]
    if missing:
        yield f"; no request of {slices.by} {', '.join(missing)} was seen, and the scenario judges it"
    for value, stream in ((value, seen[value]) for value in slices.judge if value in seen):
        for part in (stream.window, stream.stretch()):
            if not is_within(part, limit):
                yield (
                    f"; {part.failures:.0f} of {part.requests:.0f} requests of {slices.by} {value} failed over "
                    f"{describe_stretch(part, stream.window)}, which is not enough to hold it within {limit * 100:g} %"
                )
                break


def _breached(verdict: Verdict, slices: Slices, value: str, stream: ShareStream, test: ShareTest) -> Verdict:
    worst = stream.worst_stretch(test)
    share = worst.failures / worst.requests
    return replace(
        verdict,
        state=State.BREACHED,
        value=share,
        limit=test.limit,
        samples=round(worst.requests),
        source="users",
        interval=share_interval(stream.window),
        power="",
        undecided=False,
        message=(
            f"error rate of {slices.by} {value} {show_rate(share, test.limit)} ({worst.failures:.0f} of "
            f"{worst.requests:.0f} requests) is above {test.limit * 100:g} %"
        ),
    )


def _describe_worst(slices: Slices, seen: dict[str, ShareStream], limit: float) -> str:
    if not seen:
        return f"no request has a {slices.by}"
    value, stream = max(seen.items(), key=lambda each: each[1].window.failures / each[1].window.requests)
    return f"worst {slices.by} of {len(seen)}: {value}, {_describe_share(stream, limit)}"


def _describe_judged(slices: Slices, seen: dict[str, ShareStream], limit: float) -> str:
    judged = [f"{value} {_describe_share(seen[value], limit)}" for value in slices.judge if value in seen]
    return f"; judged at {limit * 100:g} %: {', '.join(judged)}" if judged else ""


def _describe_share(stream: ShareStream, limit: float) -> str:
    window = stream.window
    share = show_rate(window.failures / window.requests, limit)
    return f"{share} ({window.failures:.0f} of {window.requests:.0f})"
