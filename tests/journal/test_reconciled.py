"""An entry that waited in a spool file is read as an entry of its own kind."""

from __future__ import annotations

from rollout.journal.chain import RECONCILED, Entry, unwrapped

HELD = {
    "kind": "intent",
    "at": "2026-11-23T12:00:00.000Z",
    "fence": 3,
    "spool": "run-1/2",
    "spooled": "d1",
    "body": {"step": "RBK-2.1", "fence": 9, "spool": "x"},
}


def test_it_has_its_own_kind_moment_and_body_at_its_place_in_the_journal():
    """The facts beside the body count, whatever the body says."""
    entry = unwrapped(Entry(7, "r-1", "2026-11-23T13:00:00.000Z", RECONCILED, HELD, "p", "h"))
    assert entry == Entry(
        7,
        "r-1",
        "2026-11-23T12:00:00.000Z",
        "intent",
        {"step": "RBK-2.1", "fence": 3, "spool": "run-1/2", "spooled": "d1"},
        "p",
        "h",
    )


def test_any_other_entry_is_left_as_it_is():
    entry = Entry(7, "r-1", "2026-11-23T13:00:00.000Z", "intent", {"kind": "closed", "spool": "x"}, "p", "h")
    assert unwrapped(entry) is entry
