"""Defects in the judges of MON-2 and MON-3: what their streams count, what their limits are, and what they demand."""

from __future__ import annotations

from tests.mutants.mutant import Mutant, of

ERRORS = "rollout/monitoring/error_rate.py"
LATENCY = "rollout/monitoring/latency.py"
LIMIT = "rollout/monitoring/latency_limit.py"
STREAM = "rollout/monitoring/share_stream.py"
DIVISION = "rollout/monitoring/share_tests.py"
USERS = "rollout/monitoring/users_requests.py"
OWN = "rollout/monitoring/own_requests.py"
PERCENTILES = "rollout/monitoring/percentile_polls.py"
COUNTERS = "rollout/monitoring/counters.py"


MUTANTS: tuple[Mutant, ...] = (
    *of(
        ERRORS,
        "tests/monitoring/test_error_rate.py",
        rows=(
            (
                "asked = (users,) if users.served_well(monitor.short_span_s) else (users, own)",
                "asked = (users, own)",
                "Failures of the suite's own requests do not breach while users are served well.",
            ),
            (
                "return max(self.minimum, fewest_requests(self.test.limit))",
                "return self.minimum",
                "MON-2 holds by no fewer requests than exclude twice the limit.",
            ),
            (
                "elif not is_within(stretch, limit):",
                "elif False:",
                "MON-2 does not hold while the last stretch is above the limit.",
            ),
            (
                "elif not is_within(window, limit):",
                "elif False:",
                "MON-2 does not hold while the window's rate is above the limit.",
            ),
            (
                "state, shown = State.BREACHED, errors.stream.worst_stretch(errors.test)",
                "state, shown = State.BREACHED, window",
                "A breach names the stretch since the change.",
            ),
            (
                "    if not is_judgeable(limit):",
                "    if limit > 1.0:",
                "A limit that no number of requests can exceed is no data.",
            ),
            (
                "        undecided=state is State.INCONCLUSIVE,",
                "        undecided=False,",
                "A window that more requests may decide goes on.",
            ),
        ),
    ),
    *of(
        LATENCY,
        "tests/monitoring/test_latency.py",
        rows=(
            (
                "return ordered[-(-95 * len(ordered) // 100) - 1]",
                "return ordered[95 * len(ordered) // 100 - 1]",
                "A window that holds has a P95 at or below its limit.",
            ),
            (
                "return max(0.0, self.slower.window.requests - self.own)",
                "return self.slower.window.requests",
                "A histogram decides with enough users' requests besides the suite's own.",
            ),
            (
                "        window = self.perhaps.window",
                "        window = self.slower.window",
                "Requests of which it is not known whether they are slower never hold.",
            ),
            (
                "        stretch = self.perhaps.stretch()",
                "        stretch = window",
                "MON-3 does not hold while the last stretch is above the limit.",
            ),
            (
                "is_breached = len(row) == IN_A_ROW and min(row) > limit.named_ms",
                "is_breached = len(row) == IN_A_ROW and max(row) > limit.named_ms",
                "Three percentiles in a row above the limit breach, and one alone does not.",
            ),
            (
                "p95_ms = row[-1] if is_breached else own.p95_ms",
                "p95_ms = own.p95_ms",
                "A breach states the percentile that breached.",
            ),
            (
                "own.samples < context.monitor.min_samples or own.counted < own.samples",
                "own.samples < context.monitor.min_samples",
                "A percentile with requests from before the activation decides nothing.",
            ),
            (
                "metrics.latency.p95_ms is None or not is_only_source",
                "metrics.latency.p95_ms is None",
                "A gateway's own percentile decides only where nothing else can.",
            ),
            (
                "undecided=has_limit and (not found or any(each.test.is_judgeable for each in found))",
                "undecided=True",
                "A window without a limit does not go on for one.",
            ),
        ),
    ),
    *of(
        LIMIT,
        "tests/monitoring/test_latency_limit.py",
        rows=(
            (
                '    if source == "users":',
                '    if source == "users" and not context.control_latencies_ms:',
                "Users' latencies are not compared with those of the suite's own requests.",
            ),
            (
                "enough = max(context.monitor.min_samples, 0 if base is None else base.synthetic_samples)",
                "enough = context.monitor.min_samples",
                "A control group is no weaker a baseline than the precheck's.",
            ),
            (
                "return absolute if 0 < limits.p95_ms < math.inf else None",
                "return absolute",
                "A limit that is no latency judges nothing.",
            ),
            (
                "return LatencyLimit(named_ms, found.limit_ms, found.share, found.requests, why)",
                "return LatencyLimit(named_ms, named_ms, found.share, found.requests, why)",
                "The baseline's uncertainty is part of MON-3's limit.",
            ),
            (
                "    if p95_ms is None or requests < context.monitor.min_samples:",
                "    if p95_ms is None:",
                "A P95 of an older journal is a limit with enough requests only.",
            ),
        ),
    ),
    *of(
        STREAM,
        "tests/monitoring/test_share_stream.py",
        rows=(
            (
                "for poll in self.polls[known:]:",
                "for poll in self.polls:",
                "Each poll is added to the evidence once, however often it is asked for.",
            ),
            (
                "self._evidence.get(test) or (ShareEvidence(test), 0)",
                "next(iter(self._evidence.values()), (ShareEvidence(test), 0))",
                "Each test has evidence of its own.",
            ),
            (
                "        return window if is_all else stretch",
                "        return stretch",
                "A stretch of every poll is called the window.",
            ),
            (
                "            if poll.failures and max(sums, default=highest) > highest:",
                "            if poll.failures:",
                "The stretch that a breach names begins with the change.",
            ),
            (
                "            if covered >= seconds:",
                "            if covered > seconds:",
                "The latest seconds are no more polls than cover them.",
            ),
            (
                "            if seconds <= covered:",
                "            if seconds < covered:",
                "A request is recent within the seconds, and not in the poll before them.",
            ),
        ),
    ),
    *of(
        DIVISION,
        "tests/monitoring/test_share_tests.py",
        rows=(
            (
                "return context.alpha / context.stages",
                "return context.alpha",
                "The stages of a canary divide alpha.",
            ),
            (
                "return trigger_alpha(context) / (2.0 if context.monitor.in_turn else 1.0)",
                "return trigger_alpha(context)",
                "Users' requests and the suite's own have half of alpha each.",
            ),
            (
                "return source_alpha(context) / (1.0 if is_absolute else 2.0)",
                "return source_alpha(context)",
                "The test of MON-3 has the half of alpha that the baseline's uncertainty leaves.",
            ),
            (
                "return math.ceil(AT_MOST * context.lasts_s / every_s) + 1",
                "return math.ceil(context.lasts_s / every_s) + 1",
                "The polls of a window's extension are tests too.",
            ),
            (
                "source_alpha(context), context.monitor.synthetic_every_s)",
                "source_alpha(context), context.monitor.metrics_every_s)",
                "A stream has as many polls as its own pace allows.",
            ),
        ),
    ),
    *of(
        USERS,
        "tests/monitoring/test_users_requests.py",
        rows=(
            (
                "failed = max(0, span.failures - failures)",
                "failed = span.failures",
                "A failure of the suite's own is no failure of users.",
            ),
            (
                "requests = max(failures, span.requests - known.requests)",
                "requests = max(failures, span.requests - known.requests) + 1",
                "A request is counted once.",
            ),
            (
                "add_up_to(span.to_s - unwatched_s,",
                "add_up_to(span.to_s,",
                "What was not watched is no part of users' stretch.",
            ),
            (
                "seconds = max(0.0, part.to_s - part.from_s - unwatched_s)",
                "seconds = max(0.0, part.to_s - part.from_s)",
                "What was not watched is no part of a histogram's stretch.",
            ),
            (
                "min(counted.requests, slower + counted.unknown)",
                "slower",
                "Requests above the highest bound may be slower than a limit above it, poll by poll.",
            ),
        ),
    ),
    *of(
        OWN,
        "tests/monitoring/test_own_requests.py",
        "tests/monitoring/test_users_requests.py",
        rows=(
            (
                "is_timed = is_slow or (reading.ok and reading.latency_ms is not None)",
                "is_timed = reading.latency_ms is not None",
                "A fast failure does not lower the share of slow requests.",
            ),
            (
                "reading.latency_ms is not None and reading.latency_ms > limit_ms",
                "reading.latency_ms is not None and reading.latency_ms >= limit_ms",
                "A request at the limit is not slow.",
            ),
            (
                "        if reading.ok or reading.status is not None:",
                "        if True:",
                "A request that may not have reached the gateway is not subtracted from users'.",
            ),
            (
                "add_up_to(self._times[-1] - unwatched_s,",
                "add_up_to(self._times[-1],",
                "What was not watched is no part of the stretch of the suite's own requests.",
            ),
        ),
    ),
    *of(
        PERCENTILES,
        "tests/monitoring/test_percentile_polls.py",
        rows=(
            (
                "if span.requests - self._counted >= latency.samples:",
                "if span.requests - self._counted >= 1:",
                "Percentiles with requests in common are not counted in a row.",
            ),
            (
                "            self._counted = span.requests",
                "            self._counted = 0",
                "A percentile is disjoint from the one before it, not from the window's start.",
            ),
        ),
    ),
    *of(
        COUNTERS,
        "tests/monitoring/test_error_rate.py",
        rows=(
            (
                "return _added(now, None)",
                "return 0, 0",
                "What was counted between a reset and the next poll is kept.",
            ),
        ),
    ),
)
