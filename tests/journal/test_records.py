"""Which rollouts of a journal are read, and that none with something left to do is left out."""

import pytest

from rollout.journal import records as module
from rollout.journal.record import Decision, Kind
from rollout.journal.records import entries_by_rollout, records, records_where, unsettled_records

CLOSED = (Kind.CLOSED, {"decision": Decision.KEPT, "word": "KEPT", "why": "", "fence": 1})
REVIEW, APPROVAL = ({"what": what, "due": "2026-11-30T12:00:00.000Z"} for what in ("review", "approval"))
MISSING = {"missing": ["the log"], "due": None}


def write(journal, rollout, *parts):
    journal.append(rollout, Kind.OPENED, {"url": f"http://{rollout}"})
    journal.extend(rollout, [(Kind.SAMPLE, {"source": "users"}), *parts])


def spooled(kind, body):
    facts = {"kind": kind, "at": "2026-11-23T12:00:00.000Z", "fence": 1, "spool": "1", "spooled": "0"}
    return Kind.RECONCILED, {**facts, "body": body}


def test_what_is_closed_and_owes_nothing_is_not_read_again(journal):
    write(journal, "z-open")
    write(journal, "y-closed", CLOSED)
    write(journal, "x-owing", CLOSED, (Kind.OWED, REVIEW))
    write(journal, "w-settled", (Kind.OWED, REVIEW), CLOSED, (Kind.SETTLED, {"what": "review"}))
    # Settled twice is settled once: the other one is still owed.
    twice = (Kind.SETTLED, {"what": "review"})
    write(journal, "v-settled-twice", (Kind.OWED, REVIEW), (Kind.OWED, APPROVAL), CLOSED, twice, twice)
    write(journal, "u-waiting", (Kind.EVIDENCE, MISSING), CLOSED)
    write(journal, "t-written", (Kind.EVIDENCE, MISSING), (Kind.EVIDENCE, {"missing": [], "due": None}), CLOSED)

    found = [record.id for record in unsettled_records(journal)]

    assert found == ["z-open", "x-owing", "v-settled-twice", "u-waiting"]


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
    assert journal.rollouts_with(Kind.CLOSED) == {"c"}


def test_rollouts_are_chosen_by_their_openings(journal):
    write(journal, "a")
    write(journal, "b", CLOSED)

    (found,) = records_where(journal, lambda opened: opened["url"] == "http://b")

    assert (found.id, found.decision) == ("b", Decision.KEPT)
