"""Defects in what MON-5 judges: fallbacks, and answers of the suite's own requests that are unexpected."""

from __future__ import annotations

from tests.mutants.mutant import Mutant, of

BEHAVIOUR = "rollout/monitoring/behaviour.py"
SHARES = "rollout/monitoring/behaviour_tests.py"
SIGNALS, STREAMS = "rollout/monitoring/signals.py", "rollout/monitoring/signal_streams.py"
RISE, SLICES = "rollout/monitoring/error_rise.py", "rollout/monitoring/slices.py"
PAIRING = "rollout/monitoring/fallback_share.py"
ANSWERS = "rollout/monitoring/unexpected_answers.py"
PROBES = "rollout/monitoring/sources/synthetic.py"
TESTS = "tests/monitoring/test_behaviour.py"


MUTANTS: tuple[Mutant, ...] = (
    *of(
        PAIRING,
        TESTS,
        rows=(
            (
                "paired = self._take(poll.requests)",
                "paired = self._take(math.inf)",
                "The fallbacks of a poll are at most its requests.",
            ),
            (
                "before_s=poll.counted_to_s",
                "before_s=-math.inf",
                "A fallback that the counters do not have is a request that they do not count.",
            ),
            (
                "before_s=poll.counted_to_s",
                "before_s=math.inf",
                "A fallback waits for counters that are read after it.",
            ),
            (
                "fallbacks_before, requests_before, -math.inf))",
                "0.0, requests_before, -math.inf))",
                "Fallbacks between the activation and the window count.",
            ),
            (
                "fallbacks_before, requests_before, -math.inf))",
                "fallbacks_before, 0.0, -math.inf))",
                "Requests between the activation and the window count.",
            ),
        ),
    ),
    *of(
        ANSWERS,
        TESTS,
        rows=(
            ("if not reading.ok:", "if False:", "A request that was not answered neither confirms nor refutes."),
            (
                "self.proof or found, None",
                "self.proof or found, self.unconfirmed",
                "An expected answer refutes a broken expectation.",
            ),
            ("elif self.unconfirmed is None:", "elif True:", "Two broken expectations in a row are confirmed."),
            ("elif self.unconfirmed is None:", "elif False:", "One broken expectation alone is not confirmed."),
        ),
    ),
    *of(
        BEHAVIOUR,
        TESTS,
        rows=(
            (
                "and not paired.counted):",
                "and False):",
                "Where no request of users is counted, one fallback is enough.",
            ),
            (
                "now if now < then else now - then",
                "max(0, now - then)",
                "Counters that were reset since the activation count from zero.",
            ),
            (
                "state, message = State.INCONCLUSIVE, undecided",
                "message = undecided",
                "What one more request decides is no pass.",
            ),
            (
                "unexpected_share is not None and not aggregates.answers",
                "unexpected_share is not None and aggregates.answers",
                "A share of answers without an answer is no pass.",
            ),
            (
                "return is_first and",
                "return unconfirmed is not None and",
                "A prompt is asked for again at once, and once.",
            ),
        ),
    ),
    *of(
        SIGNALS,
        "tests/monitoring/test_signals.py",
        rows=(
            ("min(latest) <= highest:", "max(latest) <= highest:", "A number breaches by three polls in a row."),
            ("len(latest) < IN_A_ROW or", "", "Two polls above a limit are no breach."),
            ("    if len(values) < IN_A_ROW:", "    if False:", "A number of two polls is no pass."),
            ("    if values[-1] > highest:", "    if False:", "A number above its limit is no pass."),
            ("    if not values:", "    if False:", "A number that was not read is not judged."),
            (
                "    if not stream.window.requests:",
                "    if False:",
                "Answers that are no streams have no time to a first token.",
            ),
            ("if context.counts_codes:", "if True:", "Prometheus counts no codes."),
        ),
    ),
    *of(
        STREAMS,
        "tests/monitoring/test_signals.py",
        rows=(
            (
                "newly = counted if counted < before",
                "newly = 0 if counted < before",
                "Codes that were reset count from zero.",
            ),
            ("own = min(newly, self.own)", "own = 0", "The suite's own failures are not the users'."),
            (
                "is not None and reading.unexpected != Unexpected.RATE_LIMITED",
                "is not None",
                "Refusals by the gateway's rate limit hide no users' refusals.",
            ),
        ),
    ),
    *of(
        RISE,
        "tests/monitoring/test_error_rise.py",
        rows=(
            ("interval[0] > NOTED_FACTOR", "interval[1] > NOTED_FACTOR", "Only a certain rise is noted."),
            ("if each.source == verdict.source:", "if False:", "A rise from nothing is no pass."),
            ("elif not test.is_judgeable:", "elif False:", "A baseline of one request judges no rise."),
            ("elif requests < least:", "elif False:", "A window of few requests does not exclude a rise."),
            ("if min(treated, control) < least:", "if False:", "A control group of one request judges no rise."),
            (
                "if evidence.waiting > users.stretch().requests:",
                "if False:",
                "The window's last stretch is compared with the control group.",
            ),
            ("if context.control is not None:", "if False:", "A canary is compared with its control group."),
        ),
    ),
    *of(
        SLICES,
        "tests/monitoring/test_slices.py",
        rows=(
            ("for value in slices.judge:", "for value in seen:", "A slice that is not listed is shown only."),
            ("    if missing:", "    if False:", "A listed slice without a request is no pass."),
            ("if not is_within(part, limit):", "if False:", "A listed slice of one request is no pass."),
        ),
    ),
    *of(
        SHARES,
        TESTS,
        rows=(("/ (1 + others)", "/ (1 + 0 * others)", "The shares of MON-5 divide its alpha."),),
    ),
    *of(
        PROBES,
        TESTS,
        rows=(
            (
                "self._open = None if is_judged(found) else self._open",
                "self._open = None",
                "A prompt is sent again until the new provider has answered it.",
            ),
            (
                "elif found.unexpected == Unexpected.UNMET and self._confirms:",
                "elif found.unexpected == Unexpected.UNMET:",
                "Where a share decides, no prompt is sent again.",
            ),
            (
                "Unexpected.FALLBACK if target.fallbacks_are_normal else None",
                "Unexpected.FALLBACK",
                "An answer by another provider is proof, unless the target says that fallbacks are normal.",
            ),
        ),
    ),
)
