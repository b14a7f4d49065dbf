"""Defects in what documents say: how long a change was in effect, who answered, its class, how its window ended."""

from __future__ import annotations

from tests.mutants.mutant import Mutant, of

EFFECT, ACCOUNT, ANSWERING = (
    "rollout/reporting/time_in_effect.py",
    "rollout/reporting/timings.py",
    "rollout/changes/answer_proof.py",
)
WORDS = "tests/reporting/test_time_in_effect.py"
ENDS = "tests/reporting/test_window_end.py"
CHART = "tests/reporting/test_chart_data.py"

MUTANTS: tuple[Mutant, ...] = (
    *of(
        EFFECT,
        WORDS,
        rows=(
            (
                "    counted = landed if is_single else [write for write in landed if write.step != SINGLE]",
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
        "rollout/reporting/window_end.py",
        ENDS,
        rows=(
            (
                "    ends = () if record.breach is not None else record.verdicts.values()",
                "    ends = record.verdicts.values()",
                "After a breach nothing counts as undecided.",
            ),
            (
                'if body["state"] in (State.INCONCLUSIVE, State.NO_DATA))',
                'if body["state"] == State.INCONCLUSIVE)',
                "What had no data to the end is named too.",
            ),
        ),
    ),
    *of(
        "rollout/reporting/timeline.py",
        ENDS,
        rows=(
            (
                '        if is_cut and entry.kind == Kind.VERDICT and not entry.body["decided"]:',
                "        if False:",
                "What a breach has cut short is no event.",
            ),
        ),
    ),
    *of(
        "rollout/reporting/html/index.py",
        ENDS,
        rows=(
            (
                "if record.decision is Decision.ROLLED_BACK and unfinished(record):",
                "if False:",
                "Inconclusive ends are counted apart from breaches.",
            ),
        ),
    ),
    *of(
        "rollout/journal/replay.py",
        ENDS,
        rows=(
            (
                "            record.pauses, record.extension, record.verdicts = (), None, {}",
                "            record.pauses, record.extension = (), None",
                "A window begins without the verdicts of the one before.",
            ),
        ),
    ),
    *of(
        "rollout/monitoring/verdict_text.py",
        "tests/monitoring/test_verdict_text.py",
        rows=(
            (
                'where = "" if is_of_the_window(verdict) else " over the window"',
                'where = ""',
                "The window's band beside the value of a stretch is named as the window's.",
            ),
            (
                '    return "" if shown == show_numbers(verdict)[1] else shown',
                "    return shown",
                "An effective limit that reads like the limit is not named twice.",
            ),
        ),
    ),
    *of(
        "rollout/reporting/chart_data.py",
        CHART,
        rows=(
            (
                "        if short.from_s > span.from_s and short.requests >= least:",
                "        if short.from_s > span.from_s and short.requests:",
                "A stretch with too few requests has no rate.",
            ),
            (
                "            short, window = (of_users(counters.latest(seconds), own) for seconds in (span_s, None))",
                "            short, window = (counters.latest(seconds) for seconds in (span_s, None))",
                "The suite's own requests are not counted as users'.",
            ),
            (
                "        end = max(end, until)",
                "        end = until",
                "Gaps that overlap are one.",
            ),
            (
                'if sample.get("unwatched_s", 0.0) >= SHOWN_S and sample["source"] not in NOT_JUDGED',
                'if sample.get("unwatched_s", 0.0) >= SHOWN_S',
                "A source that no trigger reads leaves no gap.",
            ),
            (
                'effective = verdict.get("effective_limit") if verdict.get("source") == source else None',
                'effective = verdict.get("effective_limit")',
                "An effective limit belongs to the source that was judged.",
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
