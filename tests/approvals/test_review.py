"""Review and stand-by: how many approvals there are, what is missing, and what a person is told to do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from rollout.approvals.approval import Role, entered
from rollout.approvals.review import Review, StandBy, review, stand_by
from rollout.context import RolloutContext
from rollout.core.errors import TryLater
from rollout.core.policy import Policy
from rollout.core.request import Origin
from rollout.core.scenario import Operator, Scenario
from tests.support.approvals import approval_of, filed
from tests.support.rollouts import NEW, OLD, rollout_in

SANDBOX = Policy("sandbox", review="named", operator_ack_max_age_s=None)
RECORDED = Policy("lab", review="recorded")
CAROL = Operator("carol", "carol@example.com")


def desk(
    folder: Path, policy: Policy, approved_by: tuple[str, ...] = (), operator: Operator | None = CAROL
) -> RolloutContext:
    """Return a rollout of alice's."""
    scenario = Scenario("s", "s.yaml", "t", (NEW,), author="alice", approved_by=approved_by, operator=operator)
    return rollout_in(folder, policy=policy, scenario=scenario, origin=Origin(approvals=folder / "approvals"))


def names(seen: Review) -> list[str]:
    return [each.approver for each in seen.accepted]


# PRE-2.2


def test_a_name_is_enough_where_the_policy_says_so(tmp_path: Path) -> None:
    """No ceremony in the sandbox, and nothing for the journal: the name stands in the scenario."""
    rollout = desk(tmp_path, SANDBOX, ("bob",))
    seen = review(rollout)
    assert seen.suffices()
    assert names(seen) == ["bob"]
    assert rollout.record().approvals == []


def test_a_name_is_not_enough_where_an_approval_is_asked_for(tmp_path: Path) -> None:
    """It is only missing yet: the run may be tried again."""
    seen = review(desk(tmp_path, RECORDED, ("bob",)))
    with pytest.raises(
        TryLater,
        match=r"^0 of 1 approvals by people other than the author alice; the policy asks for recorded approvals: "
        r"let another person run `rollout approve s.yaml`$",
    ):
        seen.suffices()
    assert seen.approved_by == ("bob",)


def test_a_document_suffices_and_is_in_the_journal(tmp_path: Path) -> None:
    """Whoever has the journal needs no folder."""
    rollout = desk(tmp_path, RECORDED)
    filed(rollout, approval_of(rollout))
    seen = review(rollout)
    assert seen.suffices()
    given = map(entered, rollout.record().approvals)
    assert [each.approver for each in given if each.role is Role.REVIEWER] == ["bob"]


def test_a_void_approval_is_no_matter_of_time(tmp_path: Path) -> None:
    """It fails, with the file and the reason: nothing comes of waiting."""
    rollout = desk(tmp_path, RECORDED)
    path = filed(rollout, approval_of(rollout))
    rollout.digest = "e" * 64
    seen = review(rollout)
    assert not seen.suffices()
    assert f"alice; void: {path}: approved dddddddddddd, and the content is now eeeeeeeeeeee: " in seen.problem


def test_the_author_does_not_count_among_the_names(tmp_path: Path) -> None:
    """In no spelling."""
    seen = review(desk(tmp_path, SANDBOX, ("Alice", "alice@example.com")))
    assert not seen.suffices()
    assert "0 of 1 approvals" in seen.problem
    assert "approved_by names the author, Alice" in seen.problem
    assert seen.problem.endswith("add another person to `approved_by:`")


def test_a_person_who_is_named_and_has_approved_counts_once(tmp_path: Path) -> None:
    """The document is the better evidence."""
    rollout = desk(tmp_path, replace(SANDBOX, approvals_at_least=2), ("bob", "Bob"))
    filed(rollout, approval_of(rollout, approver="bob@example.com"))
    seen = review(rollout)
    assert names(seen) == ["bob@example.com"]
    assert seen.problem.startswith("1 of 2 approvals")


# PRE-4.3


def test_nobody_is_named(tmp_path: Path) -> None:
    """Then nobody can be waited for."""
    seen = stand_by(desk(tmp_path, RECORDED, operator=None))
    assert not seen.ready()
    assert seen.problem == "s.yaml names no `operator: {name, contact}`; an operator must stand by"


def test_a_name_and_a_contact_suffice_where_no_acknowledgement_is_asked_for(tmp_path: Path) -> None:
    """The sandbox asks for no more."""
    seen = stand_by(desk(tmp_path, SANDBOX))
    assert seen.ready()
    assert (seen.within, seen.acknowledged) == (None, None)


def test_the_acknowledgement_is_awaited(tmp_path: Path) -> None:
    """And the message says what the operator has to type."""
    with pytest.raises(
        TryLater,
        match=r"^carol has not acknowledged standing by within 12h; "
        r"let them run `rollout approve s.yaml --as operator`$",
    ):
        stand_by(desk(tmp_path, RECORDED)).ready()


@pytest.mark.parametrize("who", ["carol", "Carol", "carol@example.com"])
def test_the_operator_is_known_by_name_or_contact(tmp_path: Path, who: str) -> None:
    """Their acknowledgement is shown, kept, and comes with the command that they need at 3 a.m."""
    rollout = desk(tmp_path, RECORDED)
    rollout.target = replace(rollout.target, safe=OLD)
    given = filed(rollout, approval_of(rollout, Role.OPERATOR, who))
    seen = stand_by(rollout)
    assert seen.ready()
    assert seen.acknowledged is not None
    assert seen.acknowledged.source == str(given)
    assert seen.command == "rollout emergency --target=t"
    given = map(entered, rollout.record().approvals)
    assert len([each for each in given if each.role is Role.OPERATOR]) == 1


def test_the_acknowledgement_of_another_person_makes_no_operator_ready(tmp_path: Path) -> None:
    """It is void, and kept nowhere."""
    rollout = desk(tmp_path, RECORDED)
    filed(rollout, approval_of(rollout, Role.OPERATOR, "dave"))
    seen = stand_by(rollout)
    assert not seen.ready()
    assert "dave acknowledged, and the operator is carol" in seen.problem
    assert rollout.record().approvals == []


def test_an_acknowledgement_grows_old(tmp_path: Path) -> None:
    """Who stood by yesterday may sleep today."""
    rollout = desk(tmp_path, RECORDED)
    filed(rollout, approval_of(rollout, Role.OPERATOR, "carol"))
    rollout.clock.advance(12 * 3600 + 1)  # type: ignore[attr-defined]
    seen: StandBy = stand_by(rollout)
    assert not seen.ready()
    assert "is too old: " in seen.problem
