"""Which rollout a command is about, and that no other one is read for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollout.cli.journal_options import choose_rollout
from rollout.core.errors import RolloutError
from rollout.journal.record import Decision, Kind
from tests.support.reads import counted_reads
from tests.support.rollouts import rollout_in

CLOSED = (Kind.CLOSED, {"decision": Decision.KEPT, "why": "", "fence": 1})
INTENT = (Kind.INTENT, {"step": "APP-1.2", "direction": "forward", "to": "openai:gpt-4o"})


def test_a_command_is_about_the_rollout_that_is_named_or_the_only_one_in_flight(tmp_path: Path):
    journal = rollout_in(tmp_path).journal
    for rollout, *parts in (("a", INTENT), ("b",), ("c", INTENT, CLOSED)):
        journal.extend(rollout, [(Kind.OPENED, {"url": "u"}), *parts])

    assert choose_rollout(journal, None).id == "a"
    assert choose_rollout(journal, "c").decision is Decision.KEPT
    assert counted_reads(journal, lambda read: choose_rollout(read, None)).entries == 2
    assert counted_reads(journal, lambda read: choose_rollout(read, "c")).entries == 3
    with pytest.raises(RolloutError, match=r"there is no rollout 'd'; `rollout status --all` lists them"):
        choose_rollout(journal, "d")
    journal.append("b", *INTENT)
    with pytest.raises(RolloutError, match=r"2 rollouts are in flight \(a, b\); name one"):
        choose_rollout(journal, None)
    for rollout in ("a", "b"):
        journal.append(rollout, *CLOSED)
    with pytest.raises(RolloutError, match=r"0 rollouts are in flight \(none\); name one"):
        choose_rollout(journal, None)
