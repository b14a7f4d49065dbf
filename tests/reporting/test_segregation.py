"""Who had two roles in a rollout, and which role nobody is known to have had."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from rollout.core.caller import Caller
from rollout.journal.record import Implementer, RolloutRecord, Write
from rollout.reporting.segregation import NOBODY_APPROVED, NOT_RECORDED, duties_of


def record(
    author: str = "alice", approver: str = "bob", implementer: str = "carol", *, wrote: bool = True, **opened: Any
) -> RolloutRecord:
    approvals: list[Mapping[str, Any]] = [{"role": "reviewer", "approver": approver}] if approver else []
    return RolloutRecord(
        "r-1",
        opened={"author": author, **opened},
        approvals=approvals,
        implementers=(Implementer(Caller(implementer), ("apply",)),) if implementer else (),
        writes=[Write(1, "", "APP-1.2", "forward", "a:b", "done")] if wrote else [],
    )


def test_three_people_are_no_exception() -> None:
    found = duties_of(record())
    assert (found.author, found.approvers, found.implementers) == ("alice", ("bob",), ("carol",))
    assert found.violations == ()


@pytest.mark.parametrize(
    ("people", "violation"),
    [
        ({"implementer": "Alice@example.com"}, "Alice@example.com implemented it and is its author"),
        ({"implementer": "bob"}, "bob implemented it and approved it"),
        ({"approver": "ALICE"}, "ALICE approved it and is its author"),
    ],
)
def test_a_person_with_two_roles_is_named(people: dict[str, str], violation: str) -> None:
    assert duties_of(record(**people)).violations == (violation,)


def test_a_role_that_nobody_is_known_to_have_had_is_an_exception_once_something_was_written() -> None:
    assert duties_of(record(approver="", implementer="")).violations == (NOBODY_APPROVED, NOT_RECORDED)
    assert duties_of(record(approver="", implementer="", wrote=False)).violations == ()
    assert duties_of(record(implementer="unknown")).violations == (NOT_RECORDED,)


def test_a_listed_standard_change_needs_no_approver() -> None:
    assert duties_of(record(approver="", **{"class": "standard"})).violations == ()


def test_who_only_ran_the_precheck_has_implemented_nothing() -> None:
    found = record(implementer="")
    found.implementers = (Implementer(Caller("alice"), ("precheck",)), Implementer(Caller("carol"), ("apply",)))
    assert duties_of(found).violations == ()


def test_names_in_the_scenario_count_where_the_policy_says_so_only() -> None:
    scenario = {"approved_by": ["bob"]}
    named, signed = {"review": "named"}, {"review": "signed", "separate_duties": True}
    assert duties_of(record(approver="", scenario=scenario, policy=named)).approvers == ("bob",)
    found = duties_of(record(approver="", scenario=scenario, policy=signed))
    assert (found.violations, found.are_demanded_apart) == ((NOBODY_APPROVED,), True)


def test_an_author_who_names_themselves_has_approved_nothing() -> None:
    found = duties_of(record(approver="", scenario={"approved_by": ["Alice@example.com"]}))
    assert (found.approvers, found.violations) == ((), (NOBODY_APPROVED,))
