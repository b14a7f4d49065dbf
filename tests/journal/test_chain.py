"""The chain shows every change inside it."""

import pytest
from sqlalchemy import insert, update
from sqlalchemy.exc import IntegrityError

from rollout.core.canonical_json import sha256
from rollout.core.errors import JournalError
from rollout.journal.chain import GENESIS
from rollout.journal.journal import Journal
from rollout.journal.schema import entry

OTHER = "f" * 64


@pytest.fixture
def five(journal, url, clock):
    """A journal of five entries, opened, intent, outcome, verdict, closed, as a later process reads it."""
    for number, kind in enumerate(["opened", "intent", "outcome", "verdict", "closed"], start=1):
        journal.append("r-1", kind, {"number": number})
    with Journal.open(url, clock=clock) as later:
        yield later


def broken(journal):
    with pytest.raises(JournalError) as caught:
        len(journal.raw_entries())
    assert "\n" not in str(caught.value)
    return str(caught.value)


def change(at_seq, **columns):
    return update(entry).where(entry.c.seq == at_seq).values(**columns)


def renumber(old, new):
    return change(old, seq=new)


def forge(seq, prev=OTHER):
    at = "2026-03-01T12:00:00.123Z"
    return insert(entry).values(seq=seq, rollout="r-1", at=at, kind="abort", body="{}", prev=prev, hash=OTHER)


def test_an_empty_chain_is_unbroken(journal):
    assert len(journal.raw_entries()) == 0


def test_a_chain_that_was_not_changed_is_unbroken(five):
    assert len(five.raw_entries()) == 5


def test_each_entry_is_the_digest_of_its_content_and_of_its_predecessor(five):
    head = GENESIS
    for seq, one in enumerate(five.entries(), start=1):
        content = {"seq": seq, "rollout": "r-1", "at": one.at, "kind": one.kind, "body": {"number": seq}, "prev": head}
        assert (one.seq, one.prev, one.hash) == (seq, head, sha256(content))
        head = one.hash


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("body", '{"number":7}'),
        ("body", "{}"),
        ("body", '{"number": 3}'),
        ("body", '{"number":7,"number":3}'),
        ("body", '{"number":NaN}'),
        ("body", "gone"),
        ("body", "[" * 100_000),
        ("at", "2026-03-01T12:00:00.124Z"),
        ("kind", "note"),
        ("rollout", "r-2"),
        ("hash", OTHER),
    ],
    ids=["value", "emptied", "space", "doubled-key", "nan", "not-json", "too-deep", "at", "kind", "rollout", "hash"],
)
def test_an_entry_that_was_changed_is_named(five, vandal, column, value):
    vandal(change(3, **{column: value}))

    assert "entry 3 (" in broken(five)
    assert "was changed after it was written" in broken(five)


def test_an_entry_that_was_changed_and_hashed_anew_is_named_with_its_successor(five, vandal):
    third = five.entries()[2]
    forged = {"seq": 3, "rollout": "r-1", "at": third.at, "kind": "outcome", "body": {"number": 7}, "prev": third.prev}
    vandal(change(3, body='{"number":7}', hash=sha256(forged)))

    assert "entry 4 (verdict) of r-1 was not written after entry 3 (outcome) as it stands" in broken(five)


def test_a_predecessor_that_was_changed_is_named(five, vandal):
    vandal(change(3, prev=OTHER))

    assert "entry 3 (outcome) of r-1 does not belong after entry 2 (intent)" in broken(five)


def test_an_entry_that_was_dropped_is_named(five, vandal):
    vandal("DELETE FROM rollout_entry WHERE seq = 3")

    assert "entry 3 is missing, dropped before entry 4 (verdict)" in broken(five)


def test_a_gap_that_was_closed_by_renumbering_is_named(five, vandal):
    vandal("DELETE FROM rollout_entry WHERE seq = 3", renumber(4, 3), renumber(5, 4))

    assert "entry 3 (verdict) of r-1 does not belong after entry 2 (intent)" in broken(five)


def test_two_entries_that_were_swapped_are_named(five, vandal):
    vandal(renumber(2, 99), renumber(4, 2), renumber(99, 4))

    assert "entry 2 (verdict) of r-1 does not belong after entry 1 (opened)" in broken(five)


def test_an_entry_that_was_forged_into_the_middle_is_named(five, vandal):
    vandal(renumber(5, 6), renumber(4, 5), renumber(3, 4), forge(3))

    assert "entry 3 (abort) of r-1 does not belong after entry 2 (intent)" in broken(five)


def test_an_entry_that_was_forged_before_the_first_is_named(five, vandal):
    vandal(forge(0))

    assert "entry 0 (abort) of r-1 was inserted before entry 1" in broken(five)


def test_a_head_that_was_cut_off_is_named(five, vandal):
    vandal("DELETE FROM rollout_entry WHERE seq <= 2")

    assert "entries 1 to 2 are missing, dropped before entry 3 (outcome)" in broken(five)


def test_a_head_that_was_cut_off_and_renumbered_is_named(five, vandal):
    vandal("DELETE FROM rollout_entry WHERE seq = 1", *(renumber(seq, seq - 1) for seq in range(2, 6)))

    assert "entry 1 (intent) of r-1 does not belong after the beginning" in broken(five)


def test_the_first_break_is_the_one_that_is_named(five, vandal):
    vandal("UPDATE rollout_entry SET kind = 'note' WHERE seq IN (2, 4)")

    assert "entry 2 (note)" in broken(five)


def test_a_tail_that_was_cut_off_does_not_show_in_an_unkeyed_chain(five, vandal):
    vandal("DELETE FROM rollout_entry WHERE seq > 3")

    assert len(five.raw_entries()) == 3


def test_the_database_itself_refuses_a_fork(five, vandal):
    third = five.entries()[2]

    with pytest.raises(IntegrityError):
        vandal(forge(6, prev=third.prev))


def test_reading_an_entry_that_is_not_json_any_more_names_it(five, vandal):
    vandal("UPDATE rollout_entry SET body = 'gone' WHERE seq = 3")

    with pytest.raises(JournalError, match=r"entry 3 \(outcome\) of r-1 was changed: its body is not JSON any more"):
        five.entries("r-1")


@pytest.mark.parametrize("a_page", [1, 2, 5])
def test_a_chain_that_is_read_in_pages_is_checked_to_its_end(five, vandal, monkeypatch, a_page):
    monkeypatch.setattr("rollout.journal.journal._PAGE_ENTRIES", a_page)

    assert [each.seq for each in five.raw_entries()] == [1, 2, 3, 4, 5]

    vandal(change(5, body='{"number":7}'))
    assert "entry 5 (closed) of r-1 was changed after it was written" in broken(five)


def test_an_entry_before_the_first_is_named(five, vandal):
    vandal(forge(-7))

    assert "entry -7 (abort) of r-1 was inserted before entry 1" in broken(five)
