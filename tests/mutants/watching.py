"""Defects in the window's length and in the lateness of its polls."""

from __future__ import annotations

from tests.mutants.mutant import Mutant, of

MUTANTS: tuple[Mutant, ...] = (
    *of(
        "rollout/monitoring/window.py",
        "tests/monitoring/test_window.py",
        rows=(
            (
                "if not self.extends or now_s < lasts_s",
                "if now_s < lasts_s",
                "An extension that does not fit the change window is off.",
            ),
            (
                "schedule.delay(late_s if late_s > NOISE_S else 0.0)",
                "schedule.delay(0.0)",
                "The time in which this machine stands still is no latency of the gateway.",
            ),
        ),
    ),
    *of(
        "rollout/monitoring/poll_schedule.py",
        "tests/monitoring/test_window.py",
        rows=(
            (
                "self.on_time.extend([False] * min(missed, _TICKS))",
                "self.on_time.extend(())",
                "A tick that was missed was not watched in time.",
            ),
        ),
    ),
    *of(
        "rollout/monitoring/window_state.py",
        "tests/monitoring/test_extension.py",
        rows=(
            (
                'extended_s=record.pauses[-1].get("extended_s", 0.0),',
                "extended_s=0.0,",
                "A later call does not extend the window from the beginning again.",
            ),
            (
                "AT_MOST * known.lasts_s + later_s",
                "AT_MOST * known.lasts_s",
                "The change window must be open for the stages after an extended one too.",
            ),
        ),
    ),
)
