"""Separate duties: who applies a change neither wrote nor approved it, where the policy demands that (PRE-2.2)."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from rollout.approvals.approval import REVIEW_AUTHOR
from rollout.approvals.duties import joined_duties, keep_duties_apart
from rollout.approvals.review import review
from rollout.context import RolloutContext
from rollout.core.errors import NotCleared, TryLater
from rollout.core.policy import Policy, StandardChange
from rollout.core.request import Origin
from rollout.core.scenario import ChangeClass, Scenario, Waiver
from tests.support.approvals import approval_of, filed
from tests.support.clocks import BEGINNING
from tests.support.rollouts import NEW, rollout_in
from tests.support.services import github

NAMED = Policy("lab", review="named", separate_duties=True)
RECORDED = Policy("lab", review="recorded", separate_duties=True)
AZURE = {"TF_BUILD": "True", "BUILD_REQUESTEDFOR": "Bob Example", "BUILD_REQUESTEDFOREMAIL": "bob@example.com"}


def desk(
    folder: Path, runs: str | None, policy: Policy = NAMED, *, anonymous: bool = False, **parts: Any
) -> RolloutContext:
    """Return a rollout of alice's, which bob approved, and which `runs` runs in a job; None is a job of nobody's."""
    asked: dict[str, Any] = {"author": "alice", "approved_by": ("bob",), **parts}
    scenario = Scenario("s", "s.yaml", "t", (NEW,), **asked)
    origin = Origin(approvals=folder / "approvals", anonymous=anonymous)
    env = github(runs) if runs else {**github(""), "GITHUB_ACTOR": ""}
    return rollout_in(folder, policy=policy, scenario=scenario, origin=origin, env=env)


def refused(rollout: RolloutContext) -> str:
    """Return why a run must not begin to apply the change; empty if it may."""
    try:
        keep_duties_apart(rollout)
    except NotCleared as error:
        return str(error)
    return ""


def test_three_people_are_three_duties(tmp_path: Path):
    rollout = desk(tmp_path, "carol")
    seen = review(rollout)
    assert seen.suffices()
    assert (seen.implementer, seen.joined, refused(rollout)) == ("carol", "", "")


@pytest.mark.parametrize("runs", ["alice", "Alice", "bob", "carol", None])
def test_anybody_may_run_it_where_the_policy_does_not_ask(tmp_path: Path, runs: str | None):
    rollout = desk(tmp_path, runs, replace(NAMED, separate_duties=False))
    assert review(rollout).suffices()
    assert refused(rollout) == ""


@pytest.mark.parametrize(
    ("runs", "also"),
    [
        ("alice", "alice, the implementer of this run, is also the author; let a person run it who neither"),
        ("Alice", "Alice, the implementer of this run, is also the author alice; let"),
        ("bob", "bob, the implementer of this run, is also the approver; let"),
        ("bob@example.com", "bob@example.com, the implementer of this run, is also the approver bob; let"),
    ],
)
def test_the_author_and_an_approver_do_not_run_it(tmp_path: Path, runs: str, also: str):
    """The precheck and the run that applies say the same; waiting does not help."""
    rollout = desk(tmp_path, runs)
    seen = review(rollout)
    assert not seen.suffices()
    assert seen.problem.startswith(f"policy 'lab' demands separate duties, and {also}")
    assert refused(rollout) == seen.problem


def test_each_name_of_the_account_counts(tmp_path: Path):
    rollout = desk(tmp_path, None)
    rollout.env = AZURE
    assert "Bob Example, the implementer of this run, is also the approver bob" in review(rollout).problem


def test_an_account_that_nothing_names_is_not_green(tmp_path: Path):
    rollout = desk(tmp_path, None)
    seen = review(rollout)
    assert not seen.suffices()
    assert seen.problem == refused(rollout)
    assert "and GitHub Actions does not say who runs this change; let a named person start it: docs/AP" in seen.problem


def test_a_missing_approval_is_named_beside_it_and_is_no_matter_of_time(tmp_path: Path):
    seen = review(desk(tmp_path, "alice", RECORDED))
    assert not seen.suffices()
    assert seen.problem.startswith("0 of 1 approvals by people other than the author alice; ")
    assert "; policy 'lab' demands separate duties, and alice, " in seen.problem
    with pytest.raises(TryLater):
        review(desk(tmp_path / "carol", "carol", RECORDED)).suffices()


def test_the_run_that_applies_knows_who_approved_from_the_journal(tmp_path: Path):
    """The files may be gone; a name in the scenario counts for nothing where the policy asks for documents."""
    rollout = desk(tmp_path, "carol", RECORDED, approved_by=("dave",))
    path = filed(rollout, approval_of(rollout))
    assert review(rollout).suffices()
    path.unlink()
    assert refused(replace(rollout, env=github("bob"))).endswith(
        "and bob, the implementer of this run, is also the approver; let a person run it who neither wrote nor "
        "approved it"
    )
    assert refused(replace(rollout, env=github("dave"))) == ""
    assert refused(replace(rollout, env=github("carol"))) == ""


def test_the_author_whom_a_pipeline_names_counts_as_well(tmp_path: Path):
    rollout = desk(tmp_path, "dave")
    rollout.env = {**rollout.env, REVIEW_AUTHOR: "dave"}
    assert "dave, the implementer of this run, is also the author;" in refused(rollout)


def test_a_change_without_an_author_is_refused(tmp_path: Path):
    """Its author would be the account that runs it, which differs from the person who started the job."""
    rollout = desk(tmp_path, "carol", author="runner", anonymous=True)
    assert refused(rollout) == "policy 'lab' demands separate duties, and s.yaml names no `author:`; add it"
    rollout.env = {**rollout.env, REVIEW_AUTHOR: "dave"}
    assert refused(rollout) == ""


def test_a_standard_change_has_an_author_and_an_implementer(tmp_path: Path):
    standard = {"change_class": ChangeClass.STANDARD, "approved_by": ()}
    policy = replace(NAMED, standard=(StandardChange("provider"),))
    assert "is also the author" in review(desk(tmp_path, "alice", policy, **standard)).problem
    assert review(desk(tmp_path / "carol", "carol", policy, **standard)).suffices()


def test_an_emergency_is_not_judged_by_it(tmp_path: Path):
    rollout = desk(tmp_path, "alice", change_class=ChangeClass.EMERGENCY)
    assert review(rollout).suffices()
    assert refused(rollout) == ""


def test_a_waiver_of_the_review_covers_the_run_that_applies(tmp_path: Path):
    waiver = Waiver("PRE-2.2", "carol is ill", "dora", BEGINNING + timedelta(days=1))
    assert refused(desk(tmp_path, "alice", waivers=(waiver,))) == ""
    ended = replace(waiver, until=BEGINNING - timedelta(days=1))
    assert "is also the author" in refused(desk(tmp_path / "ended", "alice", waivers=(ended,)))


def test_the_approvers_themselves_are_asked(tmp_path: Path):
    """What `joined_duties` is given decides, not what the scenario names."""
    rollout = desk(tmp_path, "bob")
    assert joined_duties(rollout, ()) == ""
    assert joined_duties(rollout, ("bob",))
