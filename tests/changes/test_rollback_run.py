"""The steps of a rollback: none stops the later ones, a proof is tried again, and whoever may not write stops."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from rollout.changes.rollback_run import TRIES, table
from rollout.core.clauses import PROOF
from rollout.core.errors import ConcurrentChange, GatewayError, JournalError
from rollout.journal.leases import LeaseLost
from rollout.journal.record import Kind
from tests.support.undoing import Undoing

Begin = Callable[..., Undoing]


def raising(*errors: Exception | None) -> Callable[[], str]:
    """Return a step that raises these, one a try; None lets it pass, and so does every later try."""
    left: Iterator[Exception | None] = iter(errors)

    def work() -> str:
        error = next(left, None)
        if error is not None:
            raise error
        return "seen"

    return work


def test_a_step_is_kept_with_its_moment_and_is_in_the_journal(undoing: Begin):
    lab = undoing()
    run = lab.run()
    run.step("RBK-1.1", raising())
    assert [(step.clause, step.outcome, step.message, step.at) for step in run.steps] == [
        ("RBK-1.1", "passed", "seen", lab.now())
    ]
    assert [(entry.body["clause"], entry.body["outcome"]) for entry in lab.entries(Kind.STEP)] == [
        ("RBK-1.1", "passed")
    ]
    assert table(tuple(run.steps))[0]["seen"] == "seen"


@pytest.mark.parametrize("error", [GatewayError("GET x", "no"), JournalError("gone"), ValueError("a defect of ours")])
def test_whatever_a_step_raises_is_its_outcome_and_ends_nothing(undoing: Begin, error: Exception):
    run = undoing().run()
    run.step("RBK-1.1", raising(error))
    assert run.steps[0].outcome == "failed"
    assert str(error) in run.steps[0].message
    assert not run.is_over


@pytest.mark.parametrize(
    ("error", "changed_elsewhere", "superseded"),
    [(ConcurrentChange("bob"), True, False), (LeaseLost("bob"), False, True)],
)
def test_a_gateway_or_a_target_of_another_owner_ends_it(
    undoing: Begin, error: Exception, changed_elsewhere: bool, superseded: bool
):
    run = undoing().run()
    run.step("RBK-2.1", raising(error))
    assert (run.is_over, run.changed_elsewhere, run.superseded) == (True, changed_elsewhere, superseded)


def test_secrets_stay_out_of_a_steps_words(undoing: Begin):
    lab = undoing()
    lab.rollout.redactor.add("s3cret-value-1234")
    run = lab.run()
    run.step("RBK-1.1", raising(GatewayError("GET x", "s3cret-value-1234")))
    assert "s3cret" not in run.steps[0].message


@pytest.mark.parametrize(
    ("failures", "outcome"), [(0, "passed"), (1, "passed"), (TRIES - 1, "passed"), (TRIES, "failed")]
)
def test_a_proof_is_tried_three_times(undoing: Begin, failures: int, outcome: str):
    """One lost answer does not fail the rollback."""
    lab = undoing()
    run = lab.run()
    run.prove("RBK-2.2", raising(*[GatewayError("GET x", "no")] * failures))
    assert [step.outcome for step in run.steps] == [outcome]
    assert lab.clock.monotonic() == min(failures, TRIES - 1)


def test_once_a_proof_has_failed_the_others_are_tried_once(undoing: Begin):
    """Nothing can be verified any more, and people wait."""
    lab = undoing()
    run = lab.run()
    run.keep("RBK-2.2", "failed", "")
    run.prove("RBK-4.1", raising(GatewayError("GET x", "no")))
    assert run.steps[-1].outcome == "failed"
    assert lab.clock.monotonic() == 0.0


def test_a_failed_step_that_is_no_proof_leaves_the_proofs_their_tries(undoing: Begin):
    run = undoing().run()
    run.keep("RBK-1.2", "failed", "")
    run.prove("RBK-2.2", raising(GatewayError("GET x", "no")))
    assert run.steps[-1].outcome == "passed"


def test_a_proof_that_took_as_long_as_an_activation_may_is_not_tried_again(undoing: Begin):
    lab = undoing()

    def slow() -> str:
        lab.clock.advance(lab.rollout.target.timeouts.activate_s)
        raise GatewayError("GET x", "no")

    lab.run().prove("RBK-2.2", slow)
    assert lab.clock.monotonic() == 30.0


@pytest.mark.parametrize("error", [ConcurrentChange("bob"), LeaseLost("bob")])
def test_whoever_may_not_write_tries_no_proof_again(undoing: Begin, error: Exception):
    lab = undoing()
    run = lab.run()
    run.prove("RBK-2.2", raising(error))
    assert run.steps[-1].outcome == "failed"
    assert lab.clock.monotonic() == 0.0


def test_an_entry_that_is_refused_shows_that_this_process_is_superseded(undoing: Begin):
    lab = undoing()
    run = lab.run()
    lab.another_takes_over()
    run.step("RBK-1.2", raising())
    assert (run.superseded, run.is_over) == (True, True)
    assert not lab.entries(Kind.STEP)


def test_a_journal_that_fails_shows_nothing_of_that(undoing: Begin):
    lab = undoing()
    run = lab.run()
    lab.journal.is_down = True
    run.step("RBK-1.2", raising())
    assert not run.is_over
    assert lab.rollout.unwritten == [Kind.STEP]


def test_four_steps_prove_a_rollback():
    assert PROOF == ("RBK-2.2", "RBK-4.1", "RBK-4.2", "RBK-4.3")
