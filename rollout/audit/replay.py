"""Every verdict of a window, derived again from the samples that the journal holds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rollout.audit.finding import Finding
from rollout.core.canary_stages import stages
from rollout.core.errors import RolloutError
from rollout.core.request import as_opened
from rollout.journal.chain import Entry
from rollout.journal.record import Decision, Kind, RolloutRecord
from rollout.journal.replay import apply_entry
from rollout.monitoring.triggers import judge
from rollout.monitoring.verdict import State
from rollout.monitoring.window_state import JUDGE, replay_samples, trigger_context

_FIELDS = ("state", "value", "limit", "samples", "source", "span", "at", "message")
_SHARES = ("interval", "effective_limit", "undecided")
"""What a verdict says besides, where a test for shares has judged it."""

_FORMER_RULE = frozenset({"MON-2", "MON-3", "MON-5"})
"""The clauses whose rule has changed: a window that was judged by the former one is not judged again by today's."""
_MEANS = "what decided is not what was seen: trust neither this verdict nor the decision that rests on it"


@dataclass(slots=True)
class Derived:
    """The result of deriving one rollout's verdicts again.

    Attributes:
        findings: each that does not follow from its samples.
        same: how many follow.
        unsampled: the clauses of those that no sample stands behind: a signal, weights that could not be set.
        former: the clauses of those that a former version judged, by a rule that this version does not have.
    """

    findings: list[Finding] = field(default_factory=list)
    same: int = 0
    unsampled: set[str] = field(default_factory=set)
    former: set[str] = field(default_factory=set)


def _derive(rollout: str, entries: Sequence[Entry]) -> Derived:
    """Judge every window of the rollout again; compare each verdict and each closure with the result."""
    derived_verdicts, record, samples = Derived(), RolloutRecord(rollout), list[Entry]()
    again: dict[str, Mapping[str, Any]] = {}
    for entry in entries:
        if entry.kind == Kind.SAMPLE:
            samples.append(entry)
            continue
        if entry.kind == Kind.VERDICT:
            # The first verdict of a window ends what the record knows of how that was left.
            again = _judged(record, samples, entry) if record.pauses else again
            if entry.body["clause"] in _FORMER_RULE and (record.window or {}).get("judge") != JUDGE:
                derived_verdicts.former.add(entry.body["clause"])
                derived_verdicts.findings += _rule_taken_away(entry, record)
            else:
                _compare(derived_verdicts, entry, again)
        elif entry.kind == Kind.WINDOW:
            again = {}
        apply_entry(record, entry)
        if entry.kind == Kind.CLOSED:
            derived_verdicts.findings += _unearned(entry, record)
    return derived_verdicts


def _judged(record: RolloutRecord, samples: Iterable[Entry], entry: Entry) -> dict[str, Mapping[str, Any]]:
    scenario = as_opened(record.opened).scenario
    stage = next((each for each in stages(scenario) if each.name == entry.body.get("stage")), None)
    verdicts = judge(
        replay_samples(samples, record, record.pauses[-1]["sources"]),
        trigger_context(scenario, record, stage),
        entry.body["watched_s"],
    )
    return {verdict.clause: verdict.record() for verdict in verdicts}


def _compare(derived_verdicts: Derived, entry: Entry, again: Mapping[str, Mapping[str, Any]]) -> None:
    body, where = entry.body, f"entry {entry.seq} (verdict of {entry.body['clause']})"
    if body["decided"] and body["state"] != State.BREACHED:
        derived_verdicts.findings.append(
            Finding(where, f"it ended the window and is {body['state']}, not breached", _MEANS)
        )
    derived = again.get(body["clause"])
    if derived is None:
        derived_verdicts.unsampled.add(body["clause"])
        return
    plain = {name: list(value) if isinstance(value, tuple) else value for name, value in derived.items()}
    odd = [name for name in _FIELDS if body[name] != plain[name]]
    odd += [name for name in _SHARES if (body.get(name) or None) != (plain[name] or None)]
    what = "; ".join(f"{name} is {body.get(name)!r}, its samples say {plain[name]!r}" for name in odd)
    if what:
        derived_verdicts.findings.append(Finding(where, what, _MEANS))
    else:
        derived_verdicts.same += 1


def _rule_taken_away(entry: Entry, record: RolloutRecord) -> Iterator[Finding]:
    """Yield that the window does not name the rule of a verdict that only today's rule can have given."""
    rule = (record.window or {}).get("judge")
    if "undecided" in entry.body:
        where = f"entry {entry.seq} (verdict of {entry.body['clause']})"
        yield Finding(where, f"its window names the rule {rule!r}, and the test for shares has judged it", _MEANS)


def _unearned(entry: Entry, record: RolloutRecord) -> Iterator[Finding]:
    """Yield why a change was not to be kept, as far as the journal shows."""
    if entry.body["decision"] != Decision.KEPT or "scenario" not in record.opened:
        return
    reasons = [f"{phase} did not pass" for phase, verdict in record.phases.items() if not verdict.passed]
    if record.breach is not None:
        reasons.append(f"{record.breach['clause']} was breached: {record.breach['message']}")
    for why in reasons:
        yield Finding(f"entry {entry.seq} (closed)", f"it says kept, and {why}", "the decision was not earned")


def derive_or_find(rollout: str, entries: Sequence[Entry]) -> Derived:
    """Derive as `_derive` does; entries that this version cannot read are a finding, and not an error."""
    try:
        return _derive(rollout, entries)
    except (RolloutError, KeyError, TypeError, ValueError, IndexError) as error:
        what = f"its verdicts cannot be derived again: {type(error).__name__}: {' '.join(str(error).split())[:200]}"
        return Derived(
            [
                Finding(
                    f"rollout {rollout}",
                    what,
                    "it was written by another version of the suite, or not by the suite at all",
                )
            ]
        )
