"""Which rollouts of a journal are read, and that none with something left to do is left out."""

import pytest

from rollout.journal import records as module
from rollout.journal.record import Decision, Kind
from rollout.journal.records import (
    entries_by_rollout,
    find_record,
    newest_record,
    records,
    records_in_flight,
    records_where,
    unsettled_records,
)
from tests.support.reads import counted_reads

CLOSED = (Kind.CLOSED, {"decision": Decision.KEPT, "word": "KEPT", "why": "", "fence": 1})
INTENT = (Kind.INTENT, {"step": "APP-1.2", "direction": "forward", "to": "openai:gpt-4o"})
REVIEW, APPROVAL = ({"what": what, "due": "2026-11-30T12:00:00.000Z"} for what in ("review", "approval"))
MISSING = {"missing": ["the log"], "due": None}


def write(journal, rollout, *parts, **opened):
    journal.append(rollout, Kind.OPENED, {"url": f"http://{rollout}", **opened})
    journal.extend(rollout, [(Kind.SAMPLE, {"source": "users"}), *parts])


def spooled(kind, body):
    facts = {"kind": kind, "at": "2026-11-23T12:00:00.000Z", "fence": 1, "spool": "1", "spooled": "0"}
    return Kind.RECONCILED, {**facts, "body": body}


def test_what_is_closed_and_owes_nothing_is_not_read_again(journal):
    write(journal, "z-in-flight", INTENT)
    write(journal, "y-closed", INTENT, CLOSED)
    write(journal, "y-nothing-written")
    write(journal, "x-owing", CLOSED, (Kind.OWED, REVIEW))
    write(journal, "w-settled", (Kind.OWED, REVIEW), CLOSED, (Kind.SETTLED, {"what": "review"}))
    # Settled twice is settled once: the other one is still owed.
    twice = (Kind.SETTLED, {"what": "review"})
    write(journal, "v-settled-twice", (Kind.OWED, REVIEW), (Kind.OWED, APPROVAL), CLOSED, twice, twice)
    write(journal, "u-waiting", (Kind.EVIDENCE, MISSING), CLOSED)
    write(journal, "t-written", (Kind.EVIDENCE, MISSING), (Kind.EVIDENCE, {"missing": [], "due": None}), CLOSED)

    found = [record.id for record in unsettled_records(journal)]

    assert found == ["z-in-flight", "x-owing", "v-settled-twice", "u-waiting"]


def test_an_ending_or_an_obligation_that_was_spooled_is_read_as_what_it_is(journal):
    write(journal, "spooled-ending", spooled(*CLOSED))
    write(journal, "spooled-obligation", CLOSED, spooled(Kind.OWED, REVIEW))

    ending, obligation = unsettled_records(journal)

    assert ending.closed is not None
    assert obligation.owed == {"review": REVIEW["due"]}


@pytest.mark.parametrize("at_once", [1, 2, 50])
def test_every_rollout_is_read_once_in_the_order_of_their_openings_without_samples(journal, monkeypatch, at_once):
    monkeypatch.setattr(module, "_AT_ONCE", at_once)
    for rollout in ("c", "a", "b"):
        write(journal, rollout)
    journal.append("c", *CLOSED)

    found = {rollout: [str(entry.kind) for entry in entries] for rollout, entries in entries_by_rollout(journal)}

    assert found == {"c": ["opened", "closed"], "a": ["opened"], "b": ["opened"]}
    assert [record.id for record in records(journal)] == list(journal.rollouts()) == ["c", "a", "b"]


def test_rollouts_are_found_by_the_kinds_of_their_entries_and_by_text(journal):
    write(journal, "c", CLOSED)
    write(journal, "b", INTENT)
    write(journal, "a", INTENT, CLOSED, note="100 %_[")

    assert journal.rollouts_with(Kind.CLOSED) == ("c", "a")
    assert journal.rollouts_with(Kind.CLOSED, Kind.INTENT) == ("c", "b", "a")
    assert journal.rollouts_with(Kind.OPENED, without=Kind.INTENT) == ("c",)
    assert journal.rollouts_with(Kind.INTENT, without=Kind.CLOSED) == ("b",)
    assert journal.rollouts_with(Kind.OPENED, text="http://b") == ("b",)
    assert journal.rollouts_with(Kind.OPENED, text="0 %_[") == ("a",)
    assert journal.rollouts_with(Kind.OPENED, text="1% %") == (), "it is no pattern"
    assert journal.rollouts_with(Kind.CLOSED, text="http://c") == (), "it stands in an entry of another kind"


def test_rollouts_are_chosen_by_their_openings(journal):
    write(journal, "a")
    write(journal, "b", CLOSED)

    (found,) = records_where(journal, lambda opened: opened["url"] == "http://b")

    assert (found.id, found.decision) == ("b", Decision.KEPT)


def test_in_flight_is_what_may_have_been_written_and_is_not_closed(journal):
    write(journal, "d-written", INTENT)
    write(journal, "c-spooled-write", spooled(*INTENT))
    write(journal, "b-closed-by-a-spooled-ending", INTENT, spooled(*CLOSED))
    write(journal, "a-refused", INTENT)
    refused = {"intent": journal.head()[0], "result": "refused", "detail": ""}
    journal.append("a-refused", Kind.OUTCOME, refused)

    assert [record.id for record in records_in_flight(journal)] == ["d-written", "c-spooled-write"]


def test_the_newest_rollout_of_a_content_is_the_last_that_was_opened_with_its_digest(journal):
    for rollout, digest in (("c", "d1"), ("b", "d1"), ("a", "d2")):
        write(journal, rollout, CLOSED, digest=digest)
    write(journal, "z", digest="d2", scenario={"digest": "d1"})
    # A second opening of the same rollout counts.
    journal.append("a", Kind.OPENED, {"url": "http://a", "digest": "d3"})

    found = {digest: newest_record(journal, digest) for digest in ("d1", "d2", "d3", "d4")}

    assert {digest: record and record.id for digest, record in found.items()} == {
        "d1": "b",
        "d2": "z",
        "d3": "a",
        "d4": None,
    }
    assert found["d1"].decision is Decision.KEPT


def test_a_rollout_is_found_by_its_id(journal):
    write(journal, "a", CLOSED)

    assert find_record(journal, "a").decision is Decision.KEPT
    assert find_record(journal, "b") is None


@pytest.mark.parametrize(
    "read",
    [records_in_flight, lambda journal: newest_record(journal, "d"), lambda journal: find_record(journal, "in-flight")],
    ids=["in flight", "newest", "by id"],
)
def test_what_is_read_does_not_grow_with_the_rollouts_that_are_closed(journal, read):
    write(journal, "in-flight", INTENT, digest="e")
    write(journal, "closed", INTENT, CLOSED, digest="d")
    few = counted_reads(journal, read)
    for number in range(60):
        write(journal, f"closed-{number}", INTENT, CLOSED, digest="d" if number % 2 else "f")

    assert few.entries in (2, 3), "one rollout"
    assert counted_reads(journal, read) == few
