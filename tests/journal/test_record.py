"""The record of a rollout is the replay of its journal entries, in order."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from rollout.core.caller import Caller
from rollout.journal.record import Decision, Implementer, Kind, RolloutRecord, What
from rollout.journal.replay import REPLAYED, replay


@dataclass
class JournaledRollout:
    """One journal entry."""

    kind: str
    body: dict[str, Any]
    seq: int = 0
    at: str = field(default="")

    def __post_init__(self) -> None:
        """Stamp it by its place."""
        self.at = f"2026-11-23T12:00:{self.seq:02}.000Z"


def journaled(*entries: tuple[Kind, dict[str, Any]]) -> RolloutRecord:
    """Replay entries, numbered from 1."""
    return replay("r", [JournaledRollout(str(kind), body, seq) for seq, (kind, body) in enumerate(entries, 1)])


def intent(step: str = "APP-1.2", direction: str = "forward", to: str = "openai:gpt-4o") -> tuple[Kind, dict[str, Any]]:
    return Kind.INTENT, {"step": step, "direction": direction, "to": to}


def outcome(of: int, result: str) -> tuple[Kind, dict[str, Any]]:
    return Kind.OUTCOME, {"intent": of, "result": result, "detail": ""}


def clause(name: str, how: str, run: str = "run-1") -> tuple[Kind, dict[str, Any]]:
    return Kind.CLAUSE, {"clause": name, "outcome": how, "message": "", "run": run}


CLOSED = (Kind.CLOSED, {"decision": "kept"})


def test_without_entries_nothing_is_written_and_nothing_decided():
    record = journaled()
    assert (record.wrote, record.in_flight, record.applied, record.decision) == (False, False, False, None)


@pytest.mark.parametrize(
    ("result", "wrote", "applied"),
    [(None, True, False), ("unknown", True, False), ("done", True, True), ("refused", False, False)],
)
def test_only_a_refused_write_changed_nothing_and_only_a_done_one_applied(result, wrote, applied):
    """An intent without an outcome may have reached the gateway: the process died in between."""
    entries = [intent()] + ([outcome(1, result)] if result else [])
    record = journaled(*entries)
    assert (record.wrote, record.in_flight, record.applied) == (wrote, wrote, applied)


def test_the_proof_of_the_rollback_is_a_write_and_not_the_change():
    record = journaled(intent("APP-0.2", "proof", "ollama:gemma3:4b"), outcome(1, "done"))
    assert record.wrote
    assert not record.applied


def test_an_outcome_concludes_the_write_that_it_names_and_no_other():
    record = journaled(intent("APP-0.2", "proof"), intent(), outcome(2, "done"), outcome(1, "refused"))
    assert [(write.step, write.result) for write in record.writes] == [("APP-0.2", "refused"), ("APP-1.2", "done")]


def test_a_closed_rollout_is_not_in_flight_whatever_was_written():
    record = journaled(intent(), CLOSED)
    assert record.wrote
    assert not record.in_flight
    assert record.decision is Decision.KEPT
    assert record.closed_at == "2026-11-23T12:00:02.000Z"


def test_the_latest_outcome_of_a_clause_counts():
    record = journaled(clause("PRE-1.1", "passed"), clause("PRE-1.1", "failed", "run-2"))
    assert not record.passed("PRE-1.1")
    assert record.clauses["PRE-1.1"].run == "run-2"


@pytest.mark.parametrize("how", ["failed", "skipped", "not run"])
def test_only_passed_is_a_pass(how):
    assert not journaled(clause("PRE-1.1", how)).passed("PRE-1.1")
    assert not journaled().passed("PRE-1.1")
    assert journaled(clause("PRE-1.1", "passed")).passed("PRE-1.1")


def test_the_latest_verdict_of_a_phase_counts():
    passed, failed = ({"phase": "precheck", "passed": how, "problems": []} for how in (True, False))
    assert not journaled((Kind.PHASE, passed), (Kind.PHASE, failed)).phases["precheck"].passed


def test_the_first_abort_and_only_the_deciding_verdict_count():
    record = journaled(
        (Kind.ABORT, {"by": "alice", "reason": "first"}),
        (Kind.ABORT, {"by": "bob", "reason": "second"}),
        (Kind.VERDICT, {"clause": "MON-1", "decided": False}),
        (Kind.VERDICT, {"clause": "MON-2", "decided": True}),
        (Kind.VERDICT, {"clause": "MON-3", "decided": False}),
    )
    assert record.abort is not None
    assert record.breach is not None
    assert (record.abort["reason"], record.breach["clause"]) == ("first", "MON-2")


def test_every_kind_but_samples_and_lists_of_files_is_replayed():
    assert set(REPLAYED) == set(Kind) - {Kind.SAMPLE, Kind.MANIFEST, Kind.SEAL}


def test_a_standard_change_without_an_approval_was_approved_by_its_policy():
    opened = (Kind.OPENED, {"class": "standard", "policy": {"name": "sandbox"}})
    assert journaled(opened).approvers == "policy sandbox beforehand (class standard)"
    assert journaled((Kind.OPENED, {**opened[1], "scenario": {"approved_by": ["bob"]}})).approvers == "bob"
    assert journaled((Kind.OPENED, {"class": "normal"})).approvers == "nobody"


@pytest.mark.parametrize(
    ("review", "names"),
    [
        ("named", ("dave", "bob (signed)", "erin afterwards")),
        ("signed", ("bob (signed)", "erin afterwards")),
    ],
)
def test_who_approved_it_is_who_counts(review: str, names: tuple[str, ...]):
    """Names in the scenario count where the policy says so; an operator's acknowledgement is no approval."""
    record = journaled(
        (Kind.OPENED, {"policy": {"review": review}, "scenario": {"approved_by": ["dave", "bob"]}}),
        (Kind.APPROVAL, {"role": "reviewer", "approver": "bob", "signature": "x"}),
        (Kind.APPROVAL, {"role": "operator", "approver": "carol"}),
        (Kind.APPROVAL, {"role": "retrospective", "approver": "erin"}),
    )
    assert record.approved_by == names
    assert record.approvers == ", ".join(names)


@pytest.mark.parametrize(
    ("names", "approver", "words"),
    [
        (["alice"], None, "nobody"),
        (["Alice@example.com", "bob"], None, "bob"),
        (["Bob", "dave"], "bob@example.com", "dave, bob@example.com"),
    ],
)
def test_a_name_of_the_author_or_of_a_documents_approver_is_no_approval_of_its_own(
    names: list[str], approver: str | None, words: str
):
    given = [(Kind.APPROVAL, {"role": "reviewer", "approver": approver})] if approver else []
    operator = (Kind.APPROVAL, {"role": "operator", "approver": "dave"})
    record = journaled((Kind.OPENED, {"author": "alice", "scenario": {"approved_by": names}}), operator, *given)
    assert record.approvers == words


# What only a write undoes (safety rule 9)


def of(what: What, direction: str, to: str = "x", result: str | None = "done", **body: Any) -> list[Any]:
    """Return the entries of one write; numbered by the caller's place for it."""
    return [{"step": "S", "direction": direction, "to": to, "what": what, **body}, result]


def writes(*of_each: list[Any]) -> RolloutRecord:
    """Replay writes, each an intent and its outcome."""
    entries: list[tuple[Kind, dict[str, Any]]] = []
    for body, result in of_each:
        entries.append((Kind.INTENT, body))
        if result is not None:
            entries.append(outcome(len(entries), result))
    return journaled(*entries)


@pytest.mark.parametrize("what", list(What))
@pytest.mark.parametrize(("result", "is_open"), [("done", True), ("unknown", True), (None, True), ("refused", False)])
def test_a_forward_write_is_to_be_undone_unless_it_was_refused(what: What, result: str | None, is_open: bool):
    record = writes(of(what, "forward", result=result))
    assert bool(record.to_undo(what)) is is_open
    assert not any(record.to_undo(other) for other in What if other is not what)


@pytest.mark.parametrize("what", list(What))
@pytest.mark.parametrize(("result", "is_open"), [("done", False), ("unknown", True), (None, True), ("refused", True)])
def test_only_a_rollbacks_write_that_is_done_has_undone_it(what: What, result: str | None, is_open: bool):
    record = writes(of(what, "forward"), of(what, "back", result=result))
    assert bool(record.to_undo(what)) is is_open


def test_the_proof_of_the_rollback_is_not_to_be_undone():
    assert not writes(of(What.PROVIDER, "proof")).to_undo(What.PROVIDER)


def test_a_write_of_another_kind_undoes_nothing():
    record = writes(of(What.PROVIDER, "forward"), of(What.WEIGHTS, "back"))
    assert record.to_undo(What.PROVIDER)


def test_what_was_written_after_the_undo_is_to_be_undone_again():
    record = writes(of(What.PROVIDER, "forward"), of(What.PROVIDER, "back"), of(What.PROVIDER, "forward", "y"))
    assert [write.to for write in record.to_undo(What.PROVIDER)] == ["y"]


def test_a_limit_is_undone_by_a_write_of_its_own_under_either_name_of_its_scope():
    """Reads spell a provider's scope in another way than calls (deviation 20)."""
    record = writes(
        of(What.LIMITS, "forward", "cost limits of openai"),
        of(What.LIMITS, "forward", "rate limits of openai"),
        of(What.LIMITS, "forward", "cost limits of global"),
        of(What.LIMITS, "back", "cost limits of provider:openai"),
    )
    assert [write.to for write in record.to_undo(What.LIMITS)] == ["rate limits of openai", "cost limits of global"]


@pytest.mark.parametrize(
    ("step", "to", "what"),
    [
        ("APP-1.2", "openai:gpt-4o", What.PROVIDER),
        ("RBK-2.1", "ollama:gemma3:4b", What.PROVIDER),
        ("APP-2.1", ".env A", What.ENVIRONMENT),
        ("RBK-3.1", ".env", What.ENVIRONMENT),
        ("APP-2.2", "restart", What.RESTART),
        ("RBK-3.2", "restart", What.RESTART),
        ("EMG-2", "restart", What.RESTART),
        ("APP-3.1", "cost limits of global", What.LIMITS),
        ("CAN-2.1", "openai:gpt-4o 10%, ollama:gemma3:4b 90%", What.WEIGHTS),
        ("RBK-2.1", "no weights", What.WEIGHTS),
    ],
)
def test_a_journal_of_version_0_1_does_not_say_what_a_write_changes_and_is_understood(step: str, to: str, what: What):
    assert journaled(intent(step, to=to)).writes[0].what is what


# What was spooled (BROKEN_PROMISES 18)


def spooled(kind: Kind, number: str, fence: int = 1, **body: Any) -> tuple[Kind, dict[str, Any]]:
    return kind, {**body, "spool": number, "fence": fence, "spooled": "d"}


def test_each_spooled_outcome_finds_its_own_intent():
    body = {"step": "RBK-2.1", "direction": "back", "to": "ollama:gemma3:4b", "what": "provider"}
    record = journaled(
        spooled(Kind.INTENT, "run/1", **body),
        spooled(Kind.INTENT, "run/2", **body),
        spooled(Kind.OUTCOME, "run/3", intent="run/2", result="refused", detail=""),
        spooled(Kind.OUTCOME, "run/4", intent="run/1", result="done", detail=""),
    )
    assert [(write.seq, write.result) for write in record.writes] == [("run/1", "done"), ("run/2", "refused")]


@pytest.mark.parametrize(("fence", "counts"), [(1, False), (2, True), (3, True)])
def test_a_spooled_ending_does_not_count_where_an_owner_with_a_newer_token_has_written_since(fence: int, counts: bool):
    record = journaled(
        (Kind.FINDING, {"clause": "VER-3", "text": "", "fence": 2}),
        spooled(Kind.CLOSED, "run/1", fence, decision="rolled_back"),
    )
    assert (record.decision is Decision.ROLLED_BACK) is counts


def test_a_spooled_ending_does_not_replace_one_and_is_replaced_by_one():
    late = spooled(Kind.CLOSED, "run/1", 3, decision="rolled_back")
    kept = (Kind.CLOSED, {"decision": "kept", "fence": 1})
    assert journaled(kept, late).decision is Decision.KEPT
    assert journaled(late, kept).decision is Decision.KEPT


def test_a_spooled_entry_is_no_newer_owner():
    """Its token is that of its time: an entry that is written later under a lower one stays the newest."""
    record = journaled(
        (Kind.FINDING, {"clause": "VER-3", "text": "", "fence": 2}),
        spooled(Kind.FINDING, "r/1", 9, clause="V", text=""),
    )
    assert record.fence == 2


def test_the_longest_start_up_counts():
    record = journaled(*((Kind.RESTARTED, {"took_s": took_s}) for took_s in (5.0, 40.0, 10.0)))
    assert record.startup_s == 40.0


def test_a_backup_after_a_write_does_not_count_nor_does_one_of_a_refused_write():
    first, later = {"previous": {"provider": "a", "model": "b"}}, {"previous": {"provider": "c", "model": "d"}}
    record = journaled((Kind.BACKUP, first), intent(), outcome(2, "refused"), (Kind.BACKUP, later))
    assert record.previous == "a:b"


# Who ran it


ALICE = {"name": "alice", "service": "GitLab CI", "job": "https://gitlab.example.com/-/jobs/1", "commit": "a" * 40}
CAROL = {"name": "carol", "service": "", "job": "", "commit": ""}


def begun(by: dict[str, str] | None, *phases: str, **more: Any) -> tuple[Kind, dict[str, Any]]:
    body = {"run": "r", "phases": list(phases), "pid": 1, **more}
    return Kind.RUN, body if by is None else {**body, "by": by}


def test_the_implementers_are_in_order_and_each_job_is_one():
    record = journaled(
        begun(ALICE, "precheck"), begun(CAROL, "precheck", "apply"), begun(ALICE, "verify"), begun(ALICE, "verify")
    )
    assert record.implementers == (
        Implementer(Caller(**ALICE), ("precheck", "verify")),
        Implementer(Caller("carol"), ("precheck", "apply")),
    )
    assert [each.has_applied for each in record.implementers] == [False, True]
    assert record.run_by == (
        "alice: precheck, verify (GitLab CI, https://gitlab.example.com/-/jobs/1, commit aaaaaaaaaaaa); "
        "carol: precheck, apply"
    )


def test_another_job_of_the_same_person_is_another_implementer():
    again = {**ALICE, "job": "https://gitlab.example.com/-/jobs/2"}
    record = journaled(begun(ALICE, "apply"), begun(again, "verify"))
    assert [(each.caller.name, each.phases) for each in record.implementers] == [
        ("alice", ("apply",)),
        ("alice", ("verify",)),
    ]


@pytest.mark.parametrize(
    "entry", [begun(None, "precheck"), begun(ALICE, "apply", refused=True), begun(ALICE, "review")]
)
def test_who_did_not_run_a_phase_or_is_not_named_is_no_implementer(entry):
    """A run of an earlier version, a run that was refused, and a review."""
    record = journaled(entry)
    assert (record.implementers, record.run_by) == ((), "")


def test_the_operator_of_an_emergency_is_its_implementer():
    record = journaled((Kind.OPENED, {"author": "alice", "by": ALICE}))
    (found,) = record.implementers
    assert (found.caller.name, found.phases, found.has_applied) == ("alice", ("emergency",), True)
