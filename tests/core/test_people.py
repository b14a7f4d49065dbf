"""Two names of one person."""

from __future__ import annotations

from rollout.core.people import same_person


def test_names_are_compared_as_people_do() -> None:
    """Case and a missing domain make no other person; another domain does."""
    assert same_person("Alice", "alice")
    assert same_person("alice@example.com", "ALICE")
    assert not same_person("alice@example.com", "alice@example.org")
    assert not same_person("alice", "bob")
