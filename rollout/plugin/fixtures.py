"""Fixtures of a rollout's checks: most are outcomes (`outcome_fixture`), which raise when a check reads them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

import pytest

from rollout.approvals import review as reviewing
from rollout.approvals import tickets
from rollout.changes import answer_proof, canary
from rollout.changes import catalogue as changing
from rollout.changes.backup import Backup, recorded, take
from rollout.context import RolloutContext
from rollout.core.errors import NotReached
from rollout.core.policy import Policy
from rollout.core.result import Outcome
from rollout.core.scenario import ProviderChange, Scenario
from rollout.core.target import Target
from rollout.engine import gates, prechecks, traffic, verification
from rollout.engine.closure import Closure
from rollout.engine.credentials import learn_env_file
from rollout.engine.session import staging_gateway_of
from rollout.engine.source_polls import PollStats, poll_sources
from rollout.gateway.client import Gateway
from rollout.gateway.diagnosis import Seen, diagnosed
from rollout.gateway.responses import Connection, ConnectionTest, Preflight, Providers
from rollout.journal.record import Kind
from rollout.monitoring.window_outcome import IN_PROGRESS, Window
from rollout.plugin.check_durations import CheckDurations
from rollout.plugin.rollout_run import RolloutRun
from rollout.plugin.run import SUITE_RUN, SuiteRun
from rollout.reporting import notifications as notifying
from rollout.reporting.allure import NOT_RUN, Show


def outcome_fixture(work: Callable[..., object]) -> object:
    """Make a fixture of the session that is the `Outcome` of `work`, whose arguments are fixtures too."""

    @wraps(work)
    def outcome(**fixtures: Any) -> Outcome[object]:
        return Outcome(lambda: work(**fixtures))

    return pytest.fixture(scope="session")(outcome)


@pytest.fixture(scope="session")
def suite_run(pytestconfig: pytest.Config) -> SuiteRun:
    """The run of this session."""
    return pytestconfig.stash[SUITE_RUN]


@pytest.fixture(scope="session")
def rollout_run(suite_run: SuiteRun) -> RolloutRun:
    """The run, which is a rollout's."""
    assert isinstance(suite_run, RolloutRun)  # noqa: S101 - the checks of other kinds of run are ignored
    return suite_run


@pytest.fixture(scope="session")
def rollout(rollout_run: RolloutRun) -> RolloutContext:
    """The rollout at work."""
    return rollout_run.session.rollout


@pytest.fixture(scope="session")
def scenario(rollout: RolloutContext) -> Scenario:
    """The scenario."""
    return rollout.scenario


@pytest.fixture(scope="session")
def target(rollout: RolloutContext) -> Target:
    """The target."""
    return rollout.target


@pytest.fixture(scope="session")
def policy(rollout: RolloutContext) -> Policy:
    """The policy of the target's environment."""
    return rollout.policy


@pytest.fixture(scope="session")
def change(rollout: RolloutContext) -> ProviderChange:
    """The new provider and model."""
    return rollout.expected_active


@pytest.fixture(scope="session")
def show(suite_run: SuiteRun) -> Show:
    """Attaches evidence to the running check."""
    return suite_run.evidence.show


@dataclass(frozen=True, slots=True)
class AppliedSteps:
    """What happened at each clause of apply.

    Attributes:
        applied: the steps.
        durations: are told how long the clause's own steps took: the first clause that asks has all of them done.
    """

    applied: changing.Applied
    durations: CheckDurations

    def describe(self, clause: str) -> str:
        """Return what happened at a clause, or raise why it failed."""
        __tracebackhide__ = True
        self.durations.own_s = self.applied.took_s(clause)
        try:
            return self.applied.describe(clause)
        except NotReached as error:
            _cut(str(error))
            raise


# The precheck, which only reads


@outcome_fixture
def backup(rollout: RolloutContext) -> Backup:
    """The backup; once a change was written it is the one in the journal, never a new one."""
    record = rollout.record()
    if record.wrote:
        return recorded(record.backup)
    taken = take(
        rollout.gateway,
        rollout.target,
        rollout.folder / "backup",
        clock=rollout.clock,
        redact=rollout.redactor.value,
        label=rollout.id,
    )
    if taken.env is not None:
        learn_env_file(rollout.redactor, Path(taken.env.path), rollout.target)
    rollout.append(Kind.BACKUP, **taken.record())
    return taken


@pytest.fixture(scope="session")
def env_file_stated(target: Target) -> str | None:
    """Why PRE-1.3 cannot save the .env file; None if it can, or if the target states that it cannot be reached."""
    if target.env_file is not None or target.env_file_stated:
        return None
    return (
        f"target {target.name!r} does not say where the service's .env file is; add `env_file: PATH`, "
        "or `env_file: none` to state that it cannot be reached from here"
    )


@outcome_fixture
def ticket(rollout: RolloutContext) -> tickets.Ticket:
    """The ticket that documents the change."""
    return tickets.read_ticket(rollout)


@outcome_fixture
def review(rollout: RolloutContext) -> reviewing.Review:
    """The approvals of this very content."""
    return reviewing.review(rollout)


@outcome_fixture
def stand_by(rollout: RolloutContext) -> reviewing.StandBy:
    """The operator who stands by to roll back."""
    return reviewing.stand_by(rollout)


@pytest.fixture(scope="session")
def traffic_before(rollout: RolloutContext, backup: Outcome[Backup]) -> Outcome[traffic.TrafficPoll]:
    """The current provider's counter, some prechecks before it is read again."""
    return Outcome(lambda: traffic.poll_traffic(rollout, backup.value))


@pytest.fixture
def traffic_now(
    rollout: RolloutContext, backup: Outcome[Backup], traffic_before: Outcome[traffic.TrafficPoll]
) -> traffic.Traffic:
    """How many requests the current provider serves."""
    return traffic.between(traffic_before, Outcome(lambda: traffic.poll_traffic(rollout, backup.value)))


@outcome_fixture
def rollback_plan(
    rollout: RolloutContext,
    backup: Outcome[Backup],
    traffic_before: Outcome[traffic.TrafficPoll],  # noqa: ARG001 - it comes first
) -> prechecks.RollbackPlan:
    """What a rollback would do, and whether it would work now."""
    return prechecks.plan_rollback(rollout, backup.value)


@outcome_fixture
def sources_now(
    rollout: RolloutContext, backup: Outcome[Backup], traffic_before: Outcome[traffic.TrafficPoll]
) -> PollStats:
    """One poll of each source of the monitoring, and what the windows can tell from the traffic."""
    return poll_sources(rollout, backup, traffic_before)


@pytest.fixture(scope="session")
def staging_gateway(rollout_run: RolloutRun) -> Iterator[Outcome[Gateway]]:
    """The staging gateway."""
    outcome = Outcome(lambda: staging_gateway_of(rollout_run.session, rollout_run.env))
    yield outcome
    if outcome.error is None:
        outcome.value.close()


@outcome_fixture
def staging_connection(staging_gateway: Outcome[Gateway], change: ProviderChange) -> ConnectionTest:
    """The connection test on the staging gateway."""
    return staging_gateway.value.test_connection(change.provider)


@outcome_fixture
def staging_preflight(staging_gateway: Outcome[Gateway], change: ProviderChange) -> Preflight:
    """The preflight on the staging gateway."""
    return staging_gateway.value.preflight(change.provider)


@pytest.fixture
def missing_prechecks(rollout_run: RolloutRun) -> Mapping[str, str]:
    """The prechecks without a recorded pass, and why."""
    return rollout_run.missing_before_the_gate()


@outcome_fixture
def timing(rollout: RolloutContext) -> Mapping[str, str | None]:
    """Whether now is the time."""
    return prechecks.timing(rollout)


@outcome_fixture
def deliveries(rollout_run: RolloutRun) -> Sequence[notifying.Delivery]:
    """What each channel answered to the announcement."""
    return notifying.announce_plan(rollout_run.session.rollout, rollout_run.env)


@outcome_fixture
def health(rollout: RolloutContext) -> prechecks.Health:
    """Every provider's status, and the new provider's tests here."""
    return prechecks.health(rollout)


@outcome_fixture
def providers_now(rollout: RolloutContext) -> Providers:
    """The provider list."""
    return rollout.gateway.providers()


@outcome_fixture
def alerts_now(rollout: RolloutContext) -> prechecks.Firing:
    """The critical alerts before the change, kept for the window."""
    firing = prechecks.alerts(rollout)
    rollout.append(Kind.ALERTS, keys=sorted(firing.keys))
    return firing


@outcome_fixture
def baseline(
    rollout: RolloutContext,
    backup: Outcome[Backup],
    staging_gateway: Outcome[Gateway],
    traffic_before: Outcome[traffic.TrafficPoll],
) -> prechecks.Measured:
    """The current provider's numbers."""
    staging = None if staging_gateway.error else staging_gateway.value
    return prechecks.measure(rollout, backup, staging, traffic_before)


# Apply: the undo is registered before the do


@pytest.fixture(scope="session")
def undo(rollout_run: RolloutRun) -> Iterator[None]:
    """The undo of every write: the closure is decided before the session ends, whatever ends it."""
    yield
    rollout_run.closure()


@outcome_fixture
def changed_meanwhile(rollout: RolloutContext) -> Mapping[str, str]:
    """What differs from the backup, or no longer holds since the precheck."""
    record = rollout.record()
    found = changing.changed_since(rollout, recorded(record.backup))
    if record.wrote:
        return found
    old = gates.too_old(rollout, "precheck", rollout.policy.precheck_max_age_s)
    if old:
        found["clearance"] = old
    if gates.age_of(rollout, record.phases["precheck"].at) > gates.VOLATILE_S:
        found |= prechecks.turned(rollout)
    return found


@outcome_fixture
def rollback_proof(rollout: RolloutContext, undo: None) -> str:  # noqa: ARG001 - registered first
    """The current provider activated once more."""
    return changing.prove_rollback(rollout, recorded(rollout.record().backup))


@outcome_fixture
def applied(rollout: RolloutContext, suite_run: SuiteRun, undo: None) -> AppliedSteps:  # noqa: ARG001 - registered first
    """Every change of the scenario, in order; the first failure ends it."""
    return AppliedSteps(changing.apply(rollout), suite_run.durations)


@outcome_fixture
def single_request(rollout: RolloutContext, undo: None) -> canary.Tried:  # noqa: ARG001 - registered first
    """One request on the new provider, which is rolled back at once."""
    return canary.single_request(rollout)


@outcome_fixture
def repeated(rollout: RolloutContext) -> changing.Repeated:
    """The change once more."""
    return changing.repeat(rollout)


# Verify


@outcome_fixture
def connection_now(rollout: RolloutContext, undo: None) -> Connection:  # noqa: ARG001 - a failure must roll back
    """The new provider's status."""
    return rollout.gateway.status(rollout.expected_active.provider)


@pytest.fixture
def status_diagnosis(connection_now: Outcome[Connection], change: ProviderChange) -> tuple[str, ...]:
    """The diagnosis of a bad status; it sends no request, because the rollback must not wait."""
    if connection_now.error is not None:
        return ()
    found = diagnosed(change.provider, Seen(connection_now.value))
    return () if found is None else (found.text(),)


@outcome_fixture
def answer(rollout: RolloutContext) -> answer_proof.Answered:
    """One real request."""
    return answer_proof.ask(rollout, rollout.expected_active, "VER-2")


@outcome_fixture
def audited(rollout: RolloutContext) -> verification.Audited:
    """The gateway's audit log."""
    return verification.read_audit(rollout)


@outcome_fixture
def unintended(rollout: RolloutContext) -> Mapping[str, str]:
    """What changed besides the intended keys."""
    return changing.changed_since(rollout, recorded(rollout.record().backup))


# Monitor


@pytest.fixture(scope="session")
def window(rollout_run: RolloutRun, pytestconfig: pytest.Config, undo: None) -> Outcome[Window]:  # noqa: ARG001
    """The window; the first breach ends it and rolls the change back before anything else happens."""
    with _uncaptured(pytestconfig):
        return Outcome(lambda: Window(rollout_run.run_window(), _cut))


@pytest.fixture
def diagnosis(rollout: RolloutContext, window: Outcome[Window]) -> tuple[str, ...]:  # noqa: ARG001 - it comes first
    """Why the new provider was unreachable, as diagnosed after the rollback; empty where it was not."""
    found = rollout.last_known_record().diagnosis
    return () if found is None else (str(found["text"]),)


def _cut(why: str) -> None:
    pytest.skip(why if why.startswith(IN_PROGRESS) else f"{NOT_RUN}{why}")


def _uncaptured(config: pytest.Config) -> AbstractContextManager[Any]:
    capture: Any = config.pluginmanager.get_plugin("capturemanager")
    return nullcontext() if capture is None else capture.global_and_fixture_disabled()


@pytest.fixture
def closure(rollout_run: RolloutRun) -> Closure:
    """How the run ends."""
    closed = rollout_run.closure()
    if closed.decision is None:
        pytest.skip(f"{closed.word}: {closed.why}")
    return closed
