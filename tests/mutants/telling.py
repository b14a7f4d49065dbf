"""Defects in what documents say: how long a change was in effect, who answered, and of what class it was."""

from __future__ import annotations

from tests.mutants.mutant import Mutant, of

EFFECT, ACCOUNT, ANSWERING = (
    "rollout/reporting/time_in_effect.py",
    "rollout/reporting/timings.py",
    "rollout/changes/answer_proof.py",
)
WORDS = "tests/reporting/test_time_in_effect.py"

MUTANTS: tuple[Mutant, ...] = (
    *of(
        EFFECT,
        WORDS,
        rows=(
            (
                "    counted = applied or landed",
                "    counted = landed",
                "A single request is an effect of its own, and not the beginning of the change's.",
            ),
            (
                "        if shown >= needed:",
                "        if shown:",
                "A change is gone when every entry has shown it that must.",
            ),
            (
                "            shown.clear()",
                "            pass",
                "Each attempt of a rollback shows what it shows by itself.",
            ),
            (
                '        if step["outcome"] == "passed":',
                '        if step["outcome"]:',
                "A step that failed shows nothing gone.",
            ),
            (
                "return took_s if took_s >= 0 else None",
                "return took_s",
                "A clock that was set back gives no duration.",
            ),
            (
                'return record.closed_at if record.decision is Decision.ROLLED_BACK else ""',
                'return ""',
                "What another process has ended is gone at that ending.",
            ),
            (
                'condition = "" if self.landed else "if its write landed: "',
                'condition = ""',
                "A write whose answer was lost is named with its condition.",
            ),
            (
                'if write.direction == "forward" and write.may_have_landed]',
                'if write.direction == "forward"]',
                "What the gateway refused was never in effect.",
            ),
        ),
    ),
    *of(
        ACCOUNT,
        WORDS,
        rows=(
            (
                'return "emergency" if is_emergency(record) else str(',
                "return str(",
                "An emergency is of its own class.",
            ),
            (
                "    if not record.writes:",
                "    if not record.wrote:",
                "A write that was refused is a write.",
            ),
        ),
    ),
    *of(
        ANSWERING,
        "tests/changes/test_answer_proof.py",
        rows=(
            (
                "    if after <= before:",
                "    if after < before:",
                "A counter that stood still shows nobody.",
            ),
            (
                "    if before is None or after is None:",
                "    if False:",
                "Where the gateway has no counter, an answer that names nobody is no pass.",
            ),
        ),
    ),
)
