"""The report's history is that of its target, from the journal, and the same whenever the report is built."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

from rollout.journal.record import Kind
from rollout.reporting.html.history import AT_MOST, history_id, history_of
from rollout.reporting.html.rows import CLOSURE, identity_of
from tests.support.journaled import JournaledRollout, kept, rolled_back
from tests.support.rollouts import rollout_in


def rows(journaled: JournaledRollout, work: Path) -> dict[str, str]:
    return {row["name"].split(" ")[0].rstrip(":"): row["testCaseId"] for row in journaled.rows(work)}


def test_a_check_has_one_identity_over_the_rollouts_of_a_target(tmp_path: Path) -> None:
    with kept(tmp_path, id="r-1") as one, rolled_back(tmp_path, id="r-2") as two:
        first, second = rows(one, tmp_path / "one"), rows(two, tmp_path / "two")
    assert first["MON-2"] == second["MON-2"] == identity_of("t", "MON-2")
    assert first["KEPT"] == second["ROLLED"] == identity_of("t", CLOSURE)


def test_a_check_has_another_identity_on_another_target(tmp_path: Path) -> None:
    target = replace(rollout_in(tmp_path / "other").target, name="other")
    with kept(tmp_path, id="r-1") as one, kept(tmp_path, id="r-2", target=target) as two:
        first, second = rows(one, tmp_path / "one"), rows(two, tmp_path / "two")
    assert first.keys() == second.keys()
    assert not {*first.values()} & {*second.values()}


def test_the_history_holds_the_outcomes_of_the_rollouts_before(tmp_path: Path) -> None:
    with rolled_back(tmp_path, id="r-1"), kept(tmp_path, id="r-2") as journaled:
        journal = journaled.rollout.journal
        (point,) = history_of(journal, "r-2")
        assert history_of(journal, "r-1") == []
    assert (point["uuid"], point["name"]) == ("r-1", "ROLLED BACK, verified · r-1")
    found = statuses(point)
    seen = [found[what] for what in ("PRE-1.1", "MON-2", "MON-1", CLOSURE)]
    assert seen == ["passed", "failed", "broken", "failed"]
    key = history_id(identity_of("t", "MON-2"))
    assert point["testResults"][key]["historyId"] == key
    assert key.partition(".")[0] in point["knownTestCaseIds"]


def statuses(point: dict[str, Any]) -> dict[str, str]:
    return {each["fullName"]: each["status"] for each in point["testResults"].values()}


def test_another_targets_rollouts_are_no_history(tmp_path: Path) -> None:
    target = replace(rollout_in(tmp_path / "other").target, name="other")
    with rolled_back(tmp_path, id="r-1", target=target), kept(tmp_path, id="r-2") as journaled:
        assert history_of(journaled.rollout.journal, "r-2") == []


def test_only_the_latest_rollouts_are_shown(tmp_path: Path) -> None:
    with kept(tmp_path, id="r-1") as journaled:
        journal = journaled.rollout.journal
        opened = journal.entries("r-1", Kind.OPENED)[0].body
        for number in range(AT_MOST + 2):
            journal.append(f"s-{number}", Kind.OPENED, opened)
        found = history_of(journal, f"s-{AT_MOST + 1}")
    assert [point["uuid"] for point in found] == [f"s-{number}" for number in range(1, AT_MOST + 1)]


def test_an_identity_is_hashed_as_allure_3_does() -> None:
    identity = identity_of("t", "MON-2")
    md5 = hashlib.md5(identity.encode(), usedforsecurity=False)
    assert history_id(identity) == f"{md5.hexdigest()}.d41d8cd98f00b204e9800998ecf8427e"
