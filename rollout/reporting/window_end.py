"""How the window of a rollout ended: by a breach, or inconclusive to its end, and what its requests could tell."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from rollout.journal.record import Decision, RolloutRecord
from rollout.monitoring.power import POWER
from rollout.monitoring.verdict import State, Verdict
from rollout.monitoring.verdict_text import describe_basis, describe_numbers, read_verdict

_WORDS: Mapping[Decision | None, str] = {
    Decision.ROLLED_BACK: "rolled back",
    Decision.ROLLBACK_FAILED: "rollback failed",
}

_SMALLEST_SHARE = re.compile(r"^([\d,]+) requests: ([\d.]+ %) from ([\d.]+ %)")
_OF_A_ROW = ("clause", "state", "message", "power")
_SHARES = ("MON-2", "MON-3")
"""The clauses whose numbers every document shows."""


def unfinished(record: RolloutRecord) -> tuple[Verdict, ...]:
    """Return the verdicts that neither held nor breached at the window's end: inconclusive, or without data.

    After a breach, and after a window that did not reach its end, there is none.
    """
    ends = () if record.breach is not None else record.verdicts.values()
    return tuple(read_verdict(body) for body in ends if body["state"] in (State.INCONCLUSIVE, State.NO_DATA))


def describe_end(record: RolloutRecord, decision: Decision | None) -> str:
    """Return ``rolled back: MON-2 breached`` or ``rolled back: inconclusive to the end (MON-2)``; empty otherwise."""
    word = _WORDS.get(decision)
    if word is None:
        return ""
    if record.breach is not None:
        return f"{word}: {record.breach['clause']} breached"
    left = describe_unfinished(record)
    return f"{word}: {left}" if left else ""


def describe_ending(record: RolloutRecord) -> str:
    """Return how a closed rollout ended in words; of one that was not rolled back, what was not decided."""
    return describe_end(record, record.decision) or describe_unfinished(record)


def describe_unfinished(record: RolloutRecord) -> str:
    """Return ``inconclusive to the end (MON-2)``, with what had no data; empty where nothing was left undecided."""
    found = unfinished(record)
    groups = ((state, [each.clause for each in found if each.state is state]) for state in State)
    return ", ".join(f"{state} to the end ({', '.join(clauses)})" for state, clauses in groups if clauses)


def what_it_could_tell(record: RolloutRecord) -> str:
    """Return what the window's requests could tell, or what would tell it; empty where nothing was left undecided."""
    return "; ".join(f"{each.clause}: {_in_full(each.power)}" for each in unfinished(record) if each.power)


def _in_full(power: str) -> str:
    """Return the sentence beside a verdict of failed requests, ``1,214 requests: 5 % from 8.8 %``, without its form."""
    tells = rf"with \1 requests this window tells \3 and more from the limit of \2, in {POWER * 10:.0f} of 10 windows"
    return _SMALLEST_SHARE.sub(tells, power)


def describe_shares(record: RolloutRecord) -> dict[str, str]:
    """Return clause -> its state, numbers and requests at the window's end, for what is judged by shares of requests.

    ``holding: 3.1 % (2.2-4.3 %), limit 5 %; from 1,800 of users; the window's 30 min``
    """
    found = (read_verdict(record.verdicts[clause]) for clause in _SHARES if clause in record.verdicts)
    return {each.clause: describe_share(each) for each in found}


def describe_share(verdict: Verdict) -> str:
    """Return the state, numbers and requests of one verdict in words."""
    numbers = describe_numbers(verdict)
    return (
        f"{verdict.state}: {numbers}; {describe_basis(verdict)}" if numbers else f"{verdict.state}: {verdict.message}"
    )


def record_end(record: RolloutRecord, decision: Decision | None) -> dict[str, Any]:
    """Return how the window ended as JSON types, for the change record.

    ``ended`` in words, ``inconclusive`` as rows of clause, state, message and power (what the window could tell), and
    ``verdicts``: clause -> the entry of its verdict at the end.
    """
    left = unfinished(record)
    return {
        "ended": describe_end(record, decision),
        "inconclusive": [{name: getattr(each, name) for name in _OF_A_ROW} for each in left],
        "verdicts": record.verdicts,
    }
