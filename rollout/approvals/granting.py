"""The work of ``rollout approve``: show what is approved, check the approval against the rules, write it."""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from pathlib import Path

from rollout.approvals.approval import (
    NAMESPACE,
    Approval,
    Role,
    Terms,
    Void,
    accepted_by,
    content_of,
    terms_for,
)
from rollout.approvals.obligations import ObligationKind, fulfil, open_of
from rollout.approvals.ssh_signatures import sign
from rollout.config.load import load, load_policy
from rollout.config.project import JOURNAL, journal_in
from rollout.core.caller import login
from rollout.core.clock import SystemClock, format_utc
from rollout.core.errors import RolloutError
from rollout.core.people import same_person
from rollout.core.redaction import knowing
from rollout.core.request import EMBEDDED, Request
from rollout.core.schemas.validators import person, text
from rollout.core.units import show_duration
from rollout.gateway.embedded_proof import doubt_request
from rollout.gateway.manual_commands import emergency
from rollout.journal.journal import Journal
from rollout.journal.record import Kind, RolloutRecord
from rollout.journal.replay import REPLAYED, replay


@dataclass(frozen=True, slots=True)
class _Person:
    """The person who approves, their key and their comment."""

    name: str
    key: Path | None
    comment: str


def _person(args: argparse.Namespace) -> _Person:
    by = args.by or login()
    if by is None:
        raise RolloutError("the system knows no name for this user; say who approves with --by=NAME")
    try:
        return _Person(person(by), args.key, text(args.comment) if args.comment else "")
    except ValueError as error:
        raise RolloutError(f"--by or --comment: {error}") from None


def content(args: argparse.Namespace, scenario: Path | None) -> int:
    """Approve a scenario, or the one from the command line; write the approval into a file beside it.

    Raises as `rollout.cli.approve.run`.
    """
    request = load(
        scenario=scenario,
        activate=args.activate,
        ticket=args.ticket,
        target=args.target,
        gateway=args.gateway,
        directory=args.scenarios,
        env=os.environ,
        targets=args.targets,
        policy=args.policy,
        sends=False,
        doubt=doubt_request,
    )
    role, clause = _role(args, request)
    who = _person(args)
    digest = request.digest(request.target.url or EMBEDDED)
    terms = terms_for(request, digest, role, os.environ, SystemClock().now())
    _refuse_others(request, role, who)
    print("\n".join(_shown(request, role, clause, digest, who)), flush=True)
    written = _written(request.origin.approvals, _given(terms, role, clause, who))
    print(f"written  {written}\n{_what_it_means(request, role, terms)}")
    return 0


def _role(args: argparse.Namespace, request: Request) -> tuple[Role, str | None]:
    if args.role:
        return Role.OPERATOR, None
    if args.waiver is None:
        return Role.REVIEWER, None
    clause = args.waiver.upper()
    known = [waiver.clause for waiver in request.scenario.waivers]
    if clause not in known:
        raise RolloutError(
            f"{request.scenario.source} waives no {clause}; it waives {', '.join(known) or 'nothing'}: see `waivers:`"
        )
    return Role.WAIVER, clause


def _refuse_others(request: Request, role: Role, who: _Person) -> None:
    """Refuse an approval that is void for a reason that is no property of the document."""
    scenario = request.scenario
    if request.origin.anonymous and same_person(who.name, scenario.author):
        raise RolloutError(
            f"{scenario.source} names no author, so its author is the person who runs it, here you; write "
            f"`author:` into a file, or approve it under that name: USER=alice rollout approve … --by={who.name}"
        )
    if role is Role.OPERATOR:
        operator = scenario.operator
        if operator is None:
            raise RolloutError(f"{scenario.source} names no `operator:`, so there is nothing to acknowledge; add it")
        if not any(same_person(who.name, name) for name in (operator.name, operator.contact)):
            raise RolloutError(
                f"the operator is {operator.name}, and you are {who.name}; say who you are with --by=NAME"
            )


def _shown(request: Request, role: Role, clause: str | None, digest: str, who: _Person) -> list[str]:
    """Return what the person approves, one line each."""
    scenario, target, policy, origin = request.scenario, request.target, request.policy, request.origin
    impact, ticket = scenario.impact, scenario.ticket or "none"
    link = f" ({policy.ticket_url.replace('{ticket}', ticket)})" if policy.ticket_url and scenario.ticket else ""
    length = f"{show_duration(scenario.monitor.window_s)}, at most {show_duration(scenario.monitor.at_most_s)}"
    risk = f"risk {impact.risk}; affects {impact.affects}; cost {impact.cost}" if impact else "none said"
    return [
        f"you, {who.name}, approve as {role}{f' of {clause}' if clause else ''}:",
        f"change   {', '.join(map(str, scenario.changes))} ({scenario.source})",
        f"target   {target.name} at {target.url or 'a URL of its own, started on demand'}",
        f"policy   {policy.name} ({origin.policy or 'built in'})",
        *([f"         {origin.ruled}"] if origin.ruled else []),
        f"class    {scenario.change_class}",
        f"watched  for {length}{', as a canary' if scenario.canary else ''}",
        f"impact   {risk}",
        f"ticket   {ticket}{link}",
        f"author   {scenario.author}",
        *(
            f"waives   {waiver.clause} until {waiver.until}: {waiver.reason} (granted by {waiver.granted_by})"
            for waiver in scenario.waivers
        ),
        f"digest   {digest}",
    ]


def _given(terms: Terms, role: Role, clause: str | None, who: _Person) -> Approval:
    """Return the approval, signed if there is a key, after checking it against the terms.

    Raises:
        RolloutError: it would be void.
    """
    approval = Approval(
        role=role,
        approver=who.name,
        digest=terms.digest,
        at=format_utc(terms.now),
        subject=terms.subject,
        clause=clause,
        comment=who.comment,
        host=platform.node(),
    )
    if who.key is not None:
        # The person may have to type a passphrase or touch the key.
        approval = replace(approval, signature=sign(approval.payload, who.key.expanduser(), NAMESPACE, timeout_s=None))
    try:
        return accepted_by(approval, terms)
    except Void as error:
        raise RolloutError(f"this approval would be void: {error}") from None


def _written(folder: Path, approval: Approval) -> Path:
    """Write the document atomically."""
    path = folder / approval.file_name()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=folder, encoding="utf-8", delete=False) as new:
            new.write(approval.document())
        # Readable for those who run the pipeline: it holds no secret.
        Path(new.name).chmod(0o644)
        Path(new.name).replace(path)
    except OSError as problem:
        raise RolloutError(f"{path}: cannot be written ({problem.strerror})") from None
    return path


def _what_it_means(request: Request, role: Role, terms: Terms) -> str:
    until = "" if terms.max_age_s is None else f" until {format_utc(terms.now + timedelta(seconds=terms.max_age_s))}"
    counts = f"It counts{until}, for this very content; hand it to the person who runs the change (commit it)."
    command = emergency(request.target, request.origin)
    return f"{counts}\nIn an emergency, run:\n  {command}" if role is Role.OPERATOR and command else counts


def afterwards(args: argparse.Namespace) -> int:
    """Approve a rollout that is closed, in its own journal. Raises as `rollout.cli.approve.run`."""
    if args.role or args.waiver or args.activate or args.target or args.gateway:
        raise RolloutError(f"{args.what}: is no scenario's file, and a rollout is approved as it was: name it alone")
    path = args.reports / JOURNAL
    if not args.journal and not path.exists():
        raise RolloutError(f"{args.what}: there is no such scenario, and no journal {path} that knows such a rollout")
    url, redact = args.journal or journal_in(args.reports), knowing(os.environ).value
    with Journal.open(url, clock=SystemClock(), redact=redact, create=False) as journal:
        approved_afterwards(journal, _recorded(journal, args.what), args)
    print(f"approved {args.what}")
    return 0


def _recorded(journal: Journal, rollout: str) -> RolloutRecord:
    if rollout not in journal.rollouts():
        raise RolloutError(f"{rollout!r} is neither a scenario's file nor a rollout; `rollout status --all` lists them")
    return replay(rollout, journal.entries(rollout, *REPLAYED))


def approved_afterwards(journal: Journal, record: RolloutRecord, args: argparse.Namespace) -> None:
    """Write the approval of a rollout that is closed, and fulfil its obligation.

    Raises:
        RolloutError: there is no such obligation, or the approval would be void; nothing was written.
    """
    if not any(each.what is ObligationKind.APPROVAL for each in open_of(record)):
        raise RolloutError(f"no approval is owed to rollout {record.id}; `rollout status` lists what is")
    opened, who = record.opened, _person(args)
    policy, origin = load_policy(opened["target"].get("environment", "production"), args.policy, args.scenarios)
    if policy.separate_duties:
        _refuse_implementer(record, who, policy.name)
    terms = Terms(
        digest=content_of(record.id, opened),
        subject=record.id,
        authors=(opened["author"],),
        signed=policy.review == "signed",
        allowed_signers=origin.beside_policy(policy.allowed_signers),
        max_age_s=None,
        policy=policy.name,
        now=journal.now(),
    )
    print(
        f"you, {who.name}, approve after the fact:",
        *_described(record),
        f"digest   {terms.digest}",
        sep="\n",
        flush=True,
    )
    journal.append(record.id, Kind.APPROVAL, asdict(_given(terms, Role.RETROSPECTIVE, None, who)))
    fulfil(journal, record, ObligationKind.APPROVAL, by=who.name)


def _refuse_implementer(record: RolloutRecord, who: _Person, policy: str) -> None:
    applied = (each.caller.name for each in record.implementers if each.has_applied)
    if any(same_person(who.name, name) for name in applied):
        raise RolloutError(
            f"policy {policy!r} demands separate duties, and {who.name} applied {record.id}; let another person "
            "approve it; nothing was written"
        )


def _described(record: RolloutRecord) -> list[str]:
    opened, how = record.opened, str(record.decision or "open").replace("_", " ")
    return [
        f"rollout  {record.id}, {how}: {(record.closed or {}).get('why', '')}",
        f"change   {opened['change']}",
        f"target   {opened['target']['name']} at {opened['url']}",
        f"by       {opened['author']} at {record.opened_at}: {opened.get('reason', 'no reason given')}",
    ]
