"""The session of one pytest run: validate the options, find or open the rollout, reach its gateway."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from rollout.approvals.duties import keep_duties_apart
from rollout.context import RolloutContext
from rollout.core.applicability import find_inapplicable
from rollout.core.caller import identify
from rollout.core.canonical_json import to_json
from rollout.core.clauses import PHASES, Clause
from rollout.core.clock import Clock, StopFlag
from rollout.core.errors import InvalidInput, JournalError, RolloutError
from rollout.core.options import Options
from rollout.core.plan import left_out, plan
from rollout.core.request import EMBEDDED, Request
from rollout.engine import gates, policy_proof
from rollout.engine.credentials import connect, learn_env_files, redactor_for
from rollout.engine.embedded_gateway import described, hold, reach
from rollout.engine.journaled_rollout import build_context
from rollout.engine.listed_names import look_up
from rollout.engine.prechecks import keep_to_window
from rollout.gateway.client import Gateway
from rollout.gateway.drivers.selection import lacking_of
from rollout.gateway.transport import Exchange
from rollout.journal.journal import Journal
from rollout.journal.record import Decision, Kind, RolloutRecord
from rollout.journal.records import newest_record, records_in_flight
from rollout.journal.spool import reconcile
from rollout.sandbox.process import Running, stop
from rollout.sandbox.settings import InvalidSettings, SandboxSettings

NOWHERE = "http://embedded.invalid"
"""Stands in for the URL of an embedded gateway that a refused run does not start."""


@dataclass(slots=True)
class Session:
    """One pytest run's part of a rollout.

    Attributes:
        rollout: the rollout.
        phases: the phases of this run, in order.
        left_out: clause id -> why it is not in the plan.
        plan: the clauses that must pass in this run.
        refusal: why this run may not go on; None if it may.
        resumed: whether an earlier process opened the rollout.
        embedded: the on-demand gateway; None where another one is used.
        journal_url: the journal's URL; it may hold a password.
        exchanges: the exchanges with the gateway since they were last attached to a check.
        writes_evidence: whether every check passed in an earlier run whose evidence could not be written: this run
            runs no check.
        for_s: how many seconds this run watches before it leaves the rest of the window to a later one; None watches
            the whole window.
        remarks: further lines of the header.
        inapplicable: clause id -> why the gateway lacks what the clause observes: it is in the plan, and no pass.
    """

    rollout: RolloutContext
    phases: tuple[str, ...]
    left_out: Mapping[str, str]
    plan: tuple[Clause, ...]
    refusal: RolloutError | None
    resumed: bool
    embedded: Running | None
    journal_url: str = field(repr=False)
    exchanges: list[Exchange]
    writes_evidence: bool = False
    for_s: float | None = None
    remarks: list[str] = field(default_factory=list)
    inapplicable: Mapping[str, str] = field(default_factory=dict)


def open_session(options: Options, *, clock: Clock, flag: StopFlag, env: Mapping[str, str]) -> Session:
    """Validate everything, find the rollout that this run continues or open a new one, and reach its gateway.

    Raises:
        InvalidInput: the scenario, target, policy or options are wrong, and nothing was sent; or the gateway lists
            no such provider or model, and only its list was read (`rollout.engine.listed_names`).
        JournalError: the journal cannot be opened.
        RolloutError: the embedded gateway does not start.
    """
    request = _load_request(options, clock, env)
    redactor = redactor_for(request, env)
    journal = Journal.open(options.journal, clock=clock, redact=redactor.value)
    at_home(journal)
    reconcile(journal, options.reports)
    redactor.learn({}, [str(options.reports)])
    digest = request.digest(request.target.url or EMBEDDED)
    earlier, refusal = _earlier(journal, request, digest, options.phases)
    id_ = earlier.id if earlier else f"{clock.now():%Y%m%d-%H%M%S}-{request.scenario.name}-{secrets.token_hex(2)}"
    exchanges: list[Exchange] = []
    unchecked: tuple[str, ...] = ()
    if options.phases[0] == PHASES[0] and refusal is None and not (earlier and earlier.in_flight):
        try:
            unchecked = look_up(request, env, clock=clock, redactor=redactor, on_exchange=exchanges.append)
        except InvalidInput:
            journal.close()
            raise
    embedded = None
    if request.target.url is None and refusal is None:
        embedded = reach(options.reports / "sandbox" / id_, request.scenario.sandbox, request.target.token_env)
    request = _reach_target(request, embedded, earlier)
    learn_env_files(redactor, request.target, earlier)
    rollout = build_context(
        request,
        journal,
        env,
        id_=id_,
        run=f"{clock.now():%Y%m%d-%H%M%S}-{'-'.join(options.phases)}-{os.getpid()}",
        digest=digest,
        reports=options.reports,
        clock=clock,
        redactor=redactor,
        stop=flag,
        on_exchange=exchanges.append,
    )
    writes_evidence = refusal is None and earlier is not None and gates.writes_evidence(options.phases, earlier)
    if earlier is None:
        rollout.append(Kind.OPENED, **_opening(rollout))
    refusal = _closed_window(rollout, options.phases) or refusal or _joined_duties(rollout, options.phases)
    _journal_run(rollout, options.phases, has_checks=not writes_evidence, is_refused=refusal is not None)
    excluded = left_out(rollout.scenario, rollout.target, rollout.policy)
    inapplicable = find_inapplicable(rollout.last_known_record().lacking, rollout.policy.required)
    return Session(
        rollout=rollout,
        phases=options.phases,
        left_out=excluded,
        inapplicable=inapplicable,
        plan=() if writes_evidence else plan(options.phases, rollout.scenario, excluded),
        refusal=refusal,
        resumed=earlier is not None,
        embedded=embedded,
        journal_url=options.journal,
        exchanges=exchanges,
        writes_evidence=writes_evidence,
        for_s=options.for_s,
        remarks=list(unchecked),
    )


def _load_request(options: Options, clock: Clock, env: Mapping[str, str]) -> Request:
    from rollout.config.load import load  # noqa: PLC0415 - heavy, and the watchdog does not need it
    from rollout.monitoring.planned_windows import unjudgeable_windows  # noqa: PLC0415 - likewise

    return load(
        scenario=options.scenario,
        activate=options.activate,
        ticket=options.ticket,
        target=options.target,
        gateway=options.gateway,
        directory=options.scenarios,
        env=env,
        check_sandbox=_sandbox_problems,
        check_windows=unjudgeable_windows,
        targets=options.targets,
        policy=options.policy,
        doubt=partial(policy_proof.doubt, options, clock),
    )


def _reach_target(request: Request, embedded: Running | None, earlier: RolloutRecord | None) -> Request:
    """Return the request with its effective target: the URL, and what an embedded gateway reports of itself."""
    target = described(replace(request.target, url=embedded.url if embedded else request.target.url or NOWHERE))
    if earlier is not None and earlier.in_flight:
        target = policy_proof.completed(target, earlier)
    return replace(request, target=target)


def _journal_run(rollout: RolloutContext, phases: tuple[str, ...], *, has_checks: bool, is_refused: bool) -> None:
    """Write this run of the rollout, and who runs it; a refused one runs nothing."""
    details = {**({} if has_checks else {"checks": False}), **({"refused": True} if is_refused else {})}
    by = identify(rollout.env).facts()
    rollout.append(Kind.RUN, run=rollout.run, phases=list(phases), pid=os.getpid(), by=by, **details)
    rollout.record()


def _closed_window(rollout: RolloutContext, phases: tuple[str, ...]) -> RolloutError | None:
    """Return why a change must not begin now, cleared or not; None if it may, or has begun."""
    if not _begins(rollout, phases):
        return None
    try:
        keep_to_window(rollout)
    except RolloutError as error:
        return error
    return None


def _joined_duties(rollout: RolloutContext, phases: tuple[str, ...]) -> RolloutError | None:
    """Return why the person who runs this must not begin the change; None if they may, or if it has begun."""
    if not _begins(rollout, phases):
        return None
    try:
        keep_duties_apart(rollout)
    except RolloutError as error:
        return error
    return None


def _begins(rollout: RolloutContext, phases: tuple[str, ...]) -> bool:
    """Return whether this run begins to apply a change that an earlier run's precheck has cleared."""
    record = rollout.last_known_record()
    return phases[0] == "apply" and not record.wrote and record.closed is None


def acquire_target(session: Session, phase: str) -> None:
    """Take the target's lease for this run, which begins with `phase` (safety rule 3).

    Raises:
        TryLater: another run holds the lease, or another rollout is in flight there.
        NotCleared: the process that held the lease has ended this very rollout.
    """
    rollout = session.rollout
    rollout.acquire_lease()
    rivals = gates.find_rivals(rollout)
    # Checked again under the lease: the state may have changed since the run began.
    refusal = gates.refuse_rivals(rivals) or gates.refusal((phase,), rollout.record(), rollout.digest)
    if refusal is not None:
        rollout.release_lease()
        raise refusal


def staging_gateway_of(session: Session, env: Mapping[str, str]) -> Gateway:
    """Return a client for the target's staging gateway.

    Raises:
        RolloutError: the target has none.
    """
    rollout = session.rollout
    if rollout.target.staging is None:
        raise RolloutError(
            f"target {rollout.target.name!r} names no staging gateway; add `staging:` with its URL to the target"
        )
    return connect(
        replace(rollout.target, url=rollout.target.staging, token_env=rollout.target.staging_token_env),
        env,
        clock=rollout.clock,
        stop=rollout.stop,
        redactor=rollout.redactor,
        on_exchange=session.exchanges.append,
        rollout_id=rollout.id,
    )


def finish(session: Session) -> None:
    """Release the lease and close the connections of this run; an on-demand gateway ends with its rollout."""
    rollout = session.rollout
    record = rollout.last_known_record()
    if record.closed is not None or not record.wrote:
        rollout.release_lease()
    if session.embedded is not None:
        if record.closed is not None:
            stop(session.embedded)
        else:
            hold(session.embedded, in_flight=record.in_flight)
    rollout.gateway.close()
    rollout.journal.close()


def _earlier(
    journal: Journal, request: Request, digest: str, phases: tuple[str, ...]
) -> tuple[RolloutRecord | None, RolloutError | None]:
    """Return the rollout to continue (None: open a new one) and why this run may not go on (None: it may)."""
    in_flight = records_in_flight(journal)
    same = [record for record in in_flight if record.opened["digest"] == digest]
    latest = same[-1] if same else newest_record(journal, digest)
    # An on-demand gateway belongs to one rollout, so it has no rivals.
    url = request.target.url
    rivals = [r for r in in_flight if url is not None and r.opened["url"] == url and r is not latest]
    refusal = gates.refuse_rivals(rivals) or gates.refusal(phases, latest, digest)
    if latest is None or latest.decision is Decision.NOTHING_APPLIED:
        return None, refusal
    if gates.writes_evidence(phases, latest):
        return latest, refusal
    anew = phases[0] == PHASES[0] and (latest.closed is not None or _is_under_way(journal, latest))
    return (None if anew else latest), refusal


def _is_under_way(journal: Journal, record: RolloutRecord) -> bool:
    """Return whether the rollout's latest run has not ended: it may be running, so its rollout is not continued.

    That includes a run that opened the rollout and has not journaled itself yet, or died there.
    """
    if record.in_flight:
        return False
    runs = journal.entries(record.id, Kind.RUN)
    if not runs:
        return True
    last = runs[-1].body
    ended = {(entry.body["run"], entry.body["phase"]) for entry in journal.entries(record.id, Kind.PHASE)}
    return (last["run"], last["phases"][-1]) not in ended


def at_home(journal: Journal) -> None:
    """Refuse a file that another host wrote while a change is in flight: the file may be a stale copy.

    Raises:
        JournalError: the journal is such a file.
    """
    host = journal.foreign_host()
    if host is None:
        return
    in_flight = [record.id for record in records_in_flight(journal)]
    if in_flight:
        raise JournalError(
            f"the journal belongs to {host}, where {', '.join(in_flight)} is in flight; close it there, or use a "
            "PostgreSQL journal where stages run on several machines"
        )
    journal.lock_host()


def _opening(rollout: RolloutContext) -> dict[str, Any]:
    lacking = lacking_of(rollout.target)
    return {
        **({"lacking": lacking} if lacking else {}),
        "digest": rollout.digest,
        "scenario": to_json(replace(rollout.scenario, file=None)),
        "target": to_json(rollout.target),
        "policy": to_json(rollout.policy),
        "change": ", ".join(map(str, rollout.scenario.changes)),
        "author": rollout.scenario.author,
        "class": str(rollout.scenario.change_class),
        "ticket": rollout.scenario.ticket,
        "url": rollout.target.url,
    }


def _sandbox_problems(mapping: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    try:
        SandboxSettings.from_mapping(mapping)
    except InvalidSettings as error:
        return tuple(error.problems)
    return ()
