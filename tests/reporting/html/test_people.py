"""The first screen says who approved and how, and who ran it where."""

from __future__ import annotations

from typing import Any

import pytest

from rollout.core.caller import Caller
from rollout.journal.record import Implementer, RolloutRecord
from rollout.reporting.html.people import describe_approvals, describe_runs

AT = "2026-11-23T11:00:00.000Z"
NAMED: dict[str, Any] = {"author": "alice", "scenario": {"approved_by": ["alice", "bob"]}}
SIGNED_ONLY: dict[str, Any] = NAMED | {"policy": {"review": "signed"}}
NAMES = "bob (named in approved_by, not signed)"


def approval(role: str = "reviewer", **parts: Any) -> dict[str, Any]:
    return {"role": role, "approver": "dora", "at": AT, "source": "", **parts}


@pytest.mark.parametrize(
    ("opened", "given", "words"),
    [
        ({"author": "alice"}, (), "nobody"),
        (NAMED, (), NAMES),
        (SIGNED_ONLY, (), "nobody"),
        (
            SIGNED_ONLY,
            (approval(signature="armoured", key="SHA256:abc"),),
            "dora (signed with key SHA256:abc, at 2026-11-23 11:00:00Z)",
        ),
        (
            SIGNED_ONLY,
            (approval(source="/x/approvals/s-dora.json"),),
            "dora (not signed, in s-dora.json, at 2026-11-23 11:00:00Z)",
        ),
        (
            SIGNED_ONLY,
            (approval(source="https://example.com/pull/7"),),
            "dora (not signed, in https://example.com/pull/7, at 2026-11-23 11:00:00Z)",
        ),
        (
            SIGNED_ONLY,
            (approval("retrospective", signature="armoured"),),
            "dora (reviewed afterwards, signed, at 2026-11-23 11:00:00Z)",
        ),
        (SIGNED_ONLY, (approval("operator", signature="armoured"),), "nobody"),
        (
            NAMED,
            (approval(approver="bob", source="approved_by", at=""),),
            "bob (not signed, named in approved_by)",
        ),
    ],
)
def test_an_approval_says_how_it_was_given(
    opened: dict[str, Any], given: tuple[dict[str, Any], ...], words: str
) -> None:
    assert describe_approvals(RolloutRecord("r-1", opened=opened, approvals=[*given])) == words


def test_a_standard_change_names_the_policy_that_approves_it() -> None:
    opened = {"class": "standard", "policy": {"name": "production", "review": "signed"}}
    words = "policy production beforehand (class standard)"
    assert describe_approvals(RolloutRecord("r-1", opened=opened)) == words


def test_a_run_says_who_and_where() -> None:
    caller = Caller("carol", "Jenkins", "https://ci.example.com/7", "9f3182061f1e")
    run_by = "carol: apply (Jenkins, https://ci.example.com/7, commit 9f3182061f1e)"
    record = RolloutRecord("r-1", implementers=(Implementer(caller, ("apply",)),))
    assert describe_runs(record) == run_by
    record.armed = {"host": "vm"}
    assert describe_runs(record) == f"{run_by}; on host vm"
    assert describe_runs(RolloutRecord("r-1")) == ""
