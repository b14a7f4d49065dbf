"""Defects in what decides about a share of bad requests, and about what a window can tell."""

from __future__ import annotations

from tests.mutants.mutant import Mutant, of

SHARE_TEST = "rollout/monitoring/share_test.py"
LIMIT = "rollout/monitoring/effective_limit.py"
POWER = "rollout/monitoring/power.py"
RISE = "rollout/monitoring/rise_test.py"
BINOMIAL = "rollout/monitoring/binomial.py"


MUTANTS: tuple[Mutant, ...] = (
    *of(
        SHARE_TEST,
        "tests/monitoring/test_share_test.py",
        rows=(
            (
                "steps = [min(CAP, step) for",
                "steps = [min(99.0, step) for",
                "A burst within one poll does not decide alone.",
            ),
            (
                "return math.log(4.0 / (3.0 * self.alpha))",
                "return math.log(0.3 / self.alpha)",
                "The threshold leaves a quarter of alpha to gross failure.",
            ),
            (
                "return [_log1p_exp(value) + step for",
                "return [value + step for",
                "A change at any poll of the window is found.",
            ),
            (
                "log_mean_exp(since_change) - math.log(polls))",
                "log_mean_exp(since_change))",
                "A detector of changes may breach at any of the window's polls, and alpha covers all of them.",
            ),
            (
                "[GROSS_DISCOUNT * step for",
                "[step for",
                "Four failures of one cause count as less than one of gross failure.",
            ),
            (
                "self._decides = max(self.log_limit_evidence, self.log_gross_evidence)",
                "self._decides = self.log_limit_evidence",
                "A total outage breaches in one poll.",
            ),
            (
                "        if not requests:",
                "        if requests is None:",
                "A poll without requests is no evidence of a change.",
            ),
            (
                "part.failures / part.requests > limit:",
                "part.failures / part.requests > 2 * limit:",
                "No window above its own limit holds.",
            ),
            (
                "return is_within(window, limit) and is_within(stretch, limit)",
                "return is_within(window, limit)",
                "A change near the window's end is not kept unseen.",
            ),
            (
                "lower_tail(math.ceil(failures), math.floor(requests),",
                "lower_tail(math.floor(failures), math.ceil(requests),",
                "A fraction of a request counts against holding.",
            ),
            (
                "seconds >= STRETCH_S and requests >= STRETCH_REQUESTS",
                "seconds >= STRETCH_S or requests >= STRETCH_REQUESTS",
                "The last stretch is the longer of 5 min and 120 requests.",
            ),
        ),
    ),
    *of(
        LIMIT,
        "tests/monitoring/test_effective_limit.py",
        rows=(
            (
                "return _first(lambda rank: upper_tail(rank, requests, P95) <= alpha / 2, requests), SLOWER_SHARE",
                "return math.ceil(P95 * requests), SLOWER_SHARE",
                "The baseline's uncertainty is part of the limit.",
            ),
            (
                "return rank, upper_bound(requests - rank, requests, alpha / 2)",
                "return rank, SLOWER_SHARE",
                "A small baseline widens the share that may be slower.",
            ),
            (
                "if found is None or found.at_least:",
                "if found is None:",
                "Above the highest bound of a histogram no limit is known.",
            ),
            (
                "unknown=count - below)",
                "unknown=0.0)",
                "Requests above the highest bound may be slower than a limit above it.",
            ),
        ),
    ),
    *of(
        POWER,
        "tests/monitoring/test_power.py",
        rows=(
            (
                "capped = min(CAP, failures * bad + passed * good)",
                "capped = failures * bad + passed * good",
                "What a window can tell is limited by the cap of each poll.",
            ),
            (
                "return round(math.ceil(",
                "return round(math.floor(",
                "A share that is said to be told is told with the power that is stated.",
            ),
        ),
    ),
    *of(
        RISE,
        "tests/monitoring/test_rise_test.py",
        rows=(
            (
                "if treated_share <= factor * control_share:",
                "if False:",
                "A rise within the factor is no evidence.",
            ),
            (
                "self._pending = (treated, control)",
                "self._pending = (Group(), Group())",
                "What one group alone has is kept until the other has requests.",
            ),
            (
                "return 2.0 * c / (b + math.sqrt(max(0.0, b * b - 4.0 * a * c)))",
                "return control",
                "The nearest shares within the factor are what the groups are compared with.",
            ),
        ),
    ),
    *of(
        BINOMIAL,
        "tests/monitoring/test_binomial.py",
        rows=(
            (
                "least = mixture + math.log(alpha)",
                "least = mixture + math.log(0.5)",
                "A confidence sequence holds the true share at every poll.",
            ),
        ),
    ),
)
