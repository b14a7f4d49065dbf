"""A waiver covers one clause, until its end, by a person's grant; one that does not count says why."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest

from rollout.approvals.approval import Role
from rollout.approvals.waivers import judged_by_waiver, unused
from rollout.core.clauses import CLAUSES, WAIVABLE, why_never_left_out
from rollout.core.errors import TryLater
from rollout.core.policy import Policy
from rollout.core.request import Origin
from rollout.core.scenario import ChangeClass, ProviderChange, Scenario, Waiver
from rollout.core.target import Freeze, Target
from rollout.engine.prechecks import keep_to_window
from rollout.journal.record import Kind
from tests.support.approvals import approval_of, filed
from tests.support.rollouts import rollout_in

# The simulated clock begins at 2026-11-23 12:00 UTC, which is 13:00 in Berlin.
WAIVER = Waiver("PRE-4.4", "the vendor ends the old model", "dave", datetime(2026, 11, 24))  # noqa: DTZ001 - wall clock
SCENARIO = Scenario("s", "s.yaml", "t", (ProviderChange("openai", "gpt-4o"),), author="alice", waivers=(WAIVER,))
BERLIN = Target("t", "sandbox", url="http://127.0.0.1:1", time_zone="Europe/Berlin")


def rollout_with(folder, waiver=WAIVER, review="named", **parts):
    """Return a rollout with this waiver; approvals are read below `folder`."""
    whole = {
        "scenario": replace(SCENARIO, waivers=(waiver,)),
        "policy": Policy("lab", review=review),
        "origin": Origin(folder / "s.yaml", None, None, folder / "approvals"),
    }
    return rollout_in(folder, **{**whole, **parts})


def test_a_check_without_a_waiver_fails_as_it_is(tmp_path):
    assert judged_by_waiver(rollout_with(tmp_path), "PRE-2.1", "no ticket") == (False, "no ticket")


def test_a_waiver_by_name_excuses_where_the_policy_takes_names(tmp_path):
    excused, said = judged_by_waiver(rollout_with(tmp_path), "PRE-4.4", "too short")
    assert excused
    assert said == (
        "WAIVED: the vendor ends the old model, granted by dave until 2026-11-24 00:00 (UTC); "
        "it would have failed: too short"
    )


@pytest.mark.parametrize(("until", "counts"), [("2026-11-23T13:00:01", True), ("2026-11-23T13:00", False)])
def test_a_waiver_ends_at_its_moment_in_the_targets_time_zone(tmp_path, until, counts):
    waiver = replace(WAIVER, until=datetime.fromisoformat(until))
    excused, said = judged_by_waiver(rollout_with(tmp_path, waiver, target=BERLIN), "PRE-4.4", "too short")
    assert excused is counts
    if not counts:
        assert said == (
            "too short; its waiver by dave does not count: it ended at 2026-11-23T12:00:00.000Z; "
            "renew it, and have it granted again"
        )


def test_where_names_are_not_enough_a_waiver_needs_a_grant_of_its_own(tmp_path):
    """An approval of the content, even by the same person, is not one: the clause must be named in it."""
    made = rollout_with(tmp_path, review="recorded")
    filed(made, approval_of(made, Role.REVIEWER, "dave"))
    excused, said = judged_by_waiver(made, "PRE-4.4", "too short")
    assert not excused
    assert said == (
        "too short; its waiver by dave does not count: dave has not granted it: "
        "let them run `rollout approve s.yaml --waiver PRE-4.4`"
    )


def test_a_grant_counts_and_is_kept_in_the_journal(tmp_path):
    made = rollout_with(tmp_path, review="recorded")
    filed(made, approval_of(made, Role.WAIVER, "dave", clause="PRE-4.4"))
    assert judged_by_waiver(made, "PRE-4.4", "too short")[0]
    (kept,) = made.record().approvals
    assert (kept["role"], kept["approver"], kept["clause"]) == ("waiver", "dave", "PRE-4.4")


@pytest.mark.parametrize(
    ("approver", "parts", "why"),
    [
        ("erin", {"clause": "PRE-4.4"}, "dave has not granted it"),
        ("dave", {"clause": "PRE-4.4", "digest": "e" * 64}, "the content is now dddddddddddd"),
        ("dave", {"clause": "PRE-4.1"}, "dave has not granted it"),
    ],
    ids=["by somebody else", "of other content", "of another clause"],
)
def test_another_grant_does_not_count(tmp_path, approver, parts, why):
    made = rollout_with(tmp_path, review="recorded")
    filed(made, approval_of(made, Role.WAIVER, approver, **parts))
    excused, said = judged_by_waiver(made, "PRE-4.4", "too short")
    assert not excused
    assert why in said


def test_whoever_wrote_the_change_grants_no_waiver_under_another_spelling(tmp_path):
    made = rollout_with(tmp_path, replace(WAIVER, granted_by="alice@example.com"))
    excused, said = judged_by_waiver(made, "PRE-4.4", "too short")
    assert not excused
    assert "alice@example.com is the author; another person has to grant it" in said


def test_a_waiver_whose_check_passed_is_named_as_unused(tmp_path):
    made = rollout_with(tmp_path)
    assert unused(made.scenario.waivers, made.record()) == []
    for outcome, spare in (("passed", ["PRE-4.4"]), ("failed", []), ("waived", [])):
        made.append(Kind.CLAUSE, run="run-1", clause="PRE-4.4", outcome=outcome, message="")
        assert unused(made.scenario.waivers, made.record()) == spare


@pytest.mark.parametrize("clause", sorted(CLAUSES))
def test_no_waiver_exists_for_what_makes_a_change_reversible(clause):
    """Every clause that cannot be waived says why; new ones cannot be, until somebody says so."""
    never = clause.startswith(("PRE-1.", "RBK-", "MON-", "APP-", "CAN-")) or clause in ("PRE-2.4", "PRE-3.3")
    assert (clause in WAIVABLE) is (why_never_left_out(clause) is None)
    assert not (never and clause in WAIVABLE)


FROZEN = Target(
    "t",
    "sandbox",
    url="http://127.0.0.1:1",
    freezes=(Freeze(datetime(2026, 11, 20), datetime(2026, 11, 30), "year end"),),  # noqa: DTZ001 - wall clock
)


def test_apply_keeps_to_the_window_even_if_the_precheck_was_inside_of_one(tmp_path):
    made = rollout_with(tmp_path, target=FROZEN)
    with pytest.raises(
        TryLater, match=r"a freeze holds until 2026-11-30T00:00:00.000Z \(year end\); the next change may"
    ):
        keep_to_window(made)


@pytest.mark.parametrize(
    ("until", "counts"),
    [(datetime(2026, 11, 24), True), (datetime(2026, 11, 23), False)],  # noqa: DTZ001 - wall clock
)
def test_a_waiver_of_the_window_counts_when_the_window_is_judged_again(tmp_path, until, counts):
    """One that ended between the precheck and apply is over: the window is closed."""
    made = rollout_with(tmp_path, replace(WAIVER, clause="PRE-4.1", until=until), target=FROZEN)
    if counts:
        keep_to_window(made)
        return
    with pytest.raises(TryLater, match="its waiver by dave does not count: it ended at 2026-11-23T00:00:00"):
        keep_to_window(made)


def test_an_emergency_waits_for_no_window(tmp_path):
    hotfix = replace(SCENARIO, change_class=ChangeClass.EMERGENCY)
    keep_to_window(rollout_with(tmp_path, scenario=hotfix, target=FROZEN))
