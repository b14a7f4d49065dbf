"""Defects in what is said of a window before it begins."""

from __future__ import annotations

from tests.mutants.mutant import Mutant, of

PACE = "rollout/monitoring/synthetic_pace.py"
PLANNED = "rollout/monitoring/planned_windows.py"
FORESEEN = "rollout/monitoring/foreseen_power.py"
BESIDE = "rollout/monitoring/power_report.py"
ENGINE = "rollout/engine/window_power.py"
REQUEST = "rollout/core/request.py"

MUTANTS: tuple[Mutant, ...] = (
    *of(
        PACE,
        "tests/monitoring/test_synthetic_pace.py",
        rows=(
            (
                "if sent <= planned_requests(context):",
                "if sent <= 0:",
                "A power never slows the suite's own requests down.",
            ),
            (
                "round(sent * share), sent) >= power",
                "sent, sent) >= power",
                "In a stage the control group answers a part of the suite's own requests.",
            ),
            (
                "power) or 0, monitor.synthetic_at_most)",
                "power) or 0, 10**9)",
                "A power is within the cap of the suite's own requests.",
            ),
            (
                "probe.max_tokens + len(probe.prompt.encode())",
                "probe.max_tokens",
                "A price covers the prompts as well.",
            ),
        ),
    ),
    *of(
        "rollout/monitoring/window_state.py",
        "tests/monitoring/test_synthetic_pace.py",
        rows=(
            (
                "return raise_pace(context)",
                "return context",
                "A window sends the suite's own requests at the pace that the scenario's power comes to.",
            ),
        ),
    ),
    *of(
        PLANNED,
        "tests/monitoring/test_planned_windows.py",
        rows=(
            (
                "if window.users_polls >= fewest or",
                "if window.users_polls >= 0 or",
                "A window that no number of requests decides is refused.",
            ),
            (
                "if is_counted and not is_sandbox:",
                "if is_counted:",
                "A short window of the sandbox is not refused.",
            ),
            (
                "if polls < fewest:",
                "if polls < fewest - 1:",
                "A window with too few polls of a number is refused.",
            ),
            (
                "elif context.lasts_s / needed < fastest_s:",
                "elif False:",
                "A power that takes more requests than are sent is refused.",
            ),
            (
                "if usd > most:",
                "if False:",
                "A power that may cost more than the scenario accepts is refused.",
            ),
        ),
    ),
    *of(
        FORESEEN,
        "tests/monitoring/test_foreseen_power.py",
        rows=(
            (
                "if not errors.shows_twice:",
                "if False:",
                "A window that cannot show twice the limit is named.",
            ),
            (
                "if a_minute < least:",
                "if False:",
                "A change near the end of a slow window may stay unseen, and the plan says so.",
            ),
            (
                "len(judged) * policy.alpha",
                "policy.alpha",
                "The plan states how often all triggers together breach falsely.",
            ),
        ),
    ),
    *of(
        BESIDE,
        "tests/monitoring/test_power_report.py",
        rows=(
            (
                "* min(1.0, watched / AT_MOST)",
                "/ AT_MOST",
                "What a window can tell so far has the polls that were watched so far.",
            ),
            (
                "shown <= 2.0 * test.limit",
                "shown <= 9.0 * test.limit",
                "Beside a verdict stands what would show twice the limit, where the window does not.",
            ),
        ),
    ),
    *of(
        ENGINE,
        "tests/engine/test_window_power.py",
        rows=(
            (
                "if policy.power != BLOCK or not found.unseen:",
                "if not found.unseen:",
                "The policy decides whether a window that cannot tell is blocked.",
            ),
            (
                "if left_s > 0.0 and not clock.wait(left_s, rollout.stop):",
                "if False:",
                "A policy that blocks by the traffic measures it long enough.",
            ),
        ),
    ),
    *of(
        REQUEST,
        "tests/config/test_load.py::test_a_content_that_says_nothing_of_later_keys_has_the_digest_of_version_0_1",
        rows=(
            (
                '_leave_out(found["monitor"], _LATER_IN_A_MONITOR',
                '_leave_out(found["monitor"], ()',
                "A content that states no power and no baseline has the digest of version 0.1.",
            ),
        ),
    ),
    *of(
        "rollout/config/quantities.py",
        "tests/config/test_load.py::test_bad_targets_and_policies_are_refused_in_the_words_of_their_snapshots",
        rows=(
            (
                "if not 0 < found <= _LARGEST_ALPHA:",
                "if not 0 <= found <= _LARGEST_ALPHA:",
                "An alpha of 0, with which nothing ever breaches, is refused.",
            ),
        ),
    ),
)
