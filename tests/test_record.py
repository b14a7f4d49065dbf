"""A rollout is what its journal entries, in order, tell."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from rollout.record import FOLDED, Decision, Kind, Record, fold


@dataclass
class Told:
    """One journal entry."""

    kind: str
    body: dict[str, Any]
    seq: int = 0
    at: str = field(default="")

    def __post_init__(self) -> None:
        """Stamp it by its place."""
        self.at = f"2026-11-23T12:00:{self.seq:02}.000Z"


def told(*entries: tuple[Kind, dict[str, Any]]) -> Record:
    """Fold entries, numbered from 1."""
    return fold("r", [Told(str(kind), body, seq) for seq, (kind, body) in enumerate(entries, 1)])


def intent(step: str = "APP-1.2", direction: str = "forward", to: str = "openai:gpt-4o") -> tuple[Kind, dict[str, Any]]:
    return Kind.INTENT, {"step": step, "direction": direction, "to": to}


def outcome(of: int, result: str) -> tuple[Kind, dict[str, Any]]:
    return Kind.OUTCOME, {"intent": of, "result": result, "detail": ""}


def clause(name: str, how: str, run: str = "run-1") -> tuple[Kind, dict[str, Any]]:
    return Kind.CLAUSE, {"clause": name, "outcome": how, "message": "", "run": run}


CLOSED = (Kind.CLOSED, {"decision": "kept"})


def test_nothing_told_is_nothing_written_and_nothing_decided():
    record = told()
    assert (record.wrote, record.in_flight, record.applied, record.decision) == (False, False, False, None)


@pytest.mark.parametrize(
    ("result", "wrote", "applied"),
    [(None, True, False), ("unknown", True, False), ("done", True, True), ("refused", False, False)],
)
def test_only_a_refused_write_changed_nothing_and_only_a_done_one_applied(result, wrote, applied):
    """An intent without an outcome may have reached the gateway: somebody died in between."""
    entries = [intent()] + ([outcome(1, result)] if result else [])
    record = told(*entries)
    assert (record.wrote, record.in_flight, record.applied) == (wrote, wrote, applied)


def test_the_proof_of_the_way_back_is_a_write_and_not_the_change():
    record = told(intent("APP-0.2", "proof", "ollama:gemma3:4b"), outcome(1, "done"))
    assert record.wrote
    assert not record.applied


def test_an_outcome_concludes_the_write_that_it_names_and_no_other():
    record = told(intent("APP-0.2", "proof"), intent(), outcome(2, "done"), outcome(1, "refused"))
    assert [(write.step, write.result) for write in record.writes] == [("APP-0.2", "refused"), ("APP-1.2", "done")]


def test_a_closed_rollout_is_not_in_flight_whatever_was_written():
    record = told(intent(), CLOSED)
    assert record.wrote
    assert not record.in_flight
    assert record.decision is Decision.KEPT
    assert record.closed_at == "2026-11-23T12:00:02.000Z"


def test_the_latest_outcome_of_a_clause_counts():
    record = told(clause("PRE-1.1", "passed"), clause("PRE-1.1", "failed", "run-2"))
    assert not record.passed("PRE-1.1")
    assert record.clauses["PRE-1.1"].run == "run-2"


@pytest.mark.parametrize("how", ["failed", "skipped", "not run"])
def test_only_passed_is_a_pass(how):
    assert not told(clause("PRE-1.1", how)).passed("PRE-1.1")
    assert not told().passed("PRE-1.1")
    assert told(clause("PRE-1.1", "passed")).passed("PRE-1.1")


def test_the_latest_verdict_of_a_phase_counts():
    passed, failed = ({"phase": "precheck", "passed": how, "problems": []} for how in (True, False))
    assert not told((Kind.PHASE, passed), (Kind.PHASE, failed)).phases["precheck"].passed


def test_the_first_abort_and_only_the_deciding_verdict_count():
    record = told(
        (Kind.ABORT, {"by": "alice", "reason": "first"}),
        (Kind.ABORT, {"by": "bob", "reason": "second"}),
        (Kind.VERDICT, {"clause": "MON-1", "decided": False}),
        (Kind.VERDICT, {"clause": "MON-2", "decided": True}),
        (Kind.VERDICT, {"clause": "MON-3", "decided": False}),
    )
    assert record.abort is not None
    assert record.breach is not None
    assert (record.abort["reason"], record.breach["clause"]) == ("first", "MON-2")


def test_every_kind_but_samples_and_lists_of_files_is_folded():
    assert set(FOLDED) == set(Kind) - {Kind.SAMPLE, Kind.MANIFEST, Kind.SEAL}


def test_a_standard_change_was_approved_by_its_policy_unless_somebody_did():
    opened = (Kind.OPENED, {"class": "standard", "policy": {"name": "sandbox"}})
    assert told(opened).approvers == "policy sandbox beforehand (class standard)"
    assert told((Kind.OPENED, {**opened[1], "scenario": {"approved_by": ["bob"]}})).approvers == "bob"
    assert told((Kind.OPENED, {"class": "normal"})).approvers == "nobody"


@pytest.mark.parametrize(
    ("review", "names"),
    [
        ("named", ("dave", "bob (signed)", "erin afterwards")),
        ("signed", ("bob (signed)", "erin afterwards")),
    ],
)
def test_who_approved_it_is_who_counts(review: str, names: tuple[str, ...]):
    """Names in the scenario count where the policy says so; an operator's acknowledgement is no approval."""
    record = told(
        (Kind.OPENED, {"policy": {"review": review}, "scenario": {"approved_by": ["dave", "bob"]}}),
        (Kind.APPROVAL, {"role": "reviewer", "approver": "bob", "signature": "x"}),
        (Kind.APPROVAL, {"role": "operator", "approver": "carol"}),
        (Kind.APPROVAL, {"role": "retrospective", "approver": "erin"}),
    )
    assert record.approved_by == names
    assert record.approvers == ", ".join(names)
