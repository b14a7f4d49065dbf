"""Approvals: the document in which a person approves one content, and which documents count (PRE-2.2, PRE-4.3).

One JSON file an approval, in ``approvals/`` beside the scenario: the statement and, if it is signed, the SSH signature
over its canonical JSON. An approval that does not count is void, with the reason in one line that names its file. A
void approval raises no error of the program.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from rollout.approvals.ssh_signatures import SigningError, Unvouched, key_of, principals, signer, verify
from rollout.context import RolloutContext
from rollout.core.canonical_json import canonical, sha256
from rollout.core.errors import RolloutError
from rollout.core.people import same_person
from rollout.core.request import Request
from rollout.core.schemas.validators import person, text
from rollout.core.units import show_duration, shown
from rollout.journal.record import Kind

NAMESPACE = "rollout-approval"
"""What an approval's signature is for; one for something else does not pass for it."""

REVIEW_AUTHOR = "ROLLOUT_REVIEW_AUTHOR"
"""The environment variable in which a pipeline names who wrote the change; it adds to the scenario's author."""

SKEW_S = 300.0
"""An approval may come from a clock that is so much ahead."""

_LARGEST_BYTES = 64 * 1024
_SIGNED = ("role", "approver", "digest", "at", "subject", "clause", "comment", "host")
_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)


class Role(StrEnum):
    """The role in which a person approves."""

    REVIEWER = "reviewer"
    OPERATOR = "operator"
    WAIVER = "waiver"
    RETROSPECTIVE = "retrospective"


class Void(RolloutError):
    """An approval that does not count, and why."""


@dataclass(frozen=True, slots=True)
class Approval:
    """One person's approval of one content.

    Attributes:
        role: the role in which it is given.
        approver: the person's name; where it is signed, the principal in the list of allowed signers.
        digest: the SHA-256 of the approved content.
        at: when, UTC.
        subject: the scenario's name, or the rollout's id (retrospective).
        clause: the clause that is waived; None for the other roles.
        comment: the approver's remark; may be empty.
        host: the machine on which it was given.
        signature: armoured, over `payload`; None where it is not signed.
        key: the fingerprint of the key that signed; None where it is not signed.
        source: where it was found: the file, ``approved_by:``, or a pull request's address.
    """

    role: Role
    approver: str
    digest: str
    at: str
    subject: str
    clause: str | None = None
    comment: str = ""
    host: str = ""
    signature: str | None = None
    key: str | None = None
    source: str = ""

    @property
    def payload(self) -> bytes:
        """The bytes that a signature covers: the canonical JSON of the statement."""
        return canonical(self._statement)

    @property
    def _statement(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in _SIGNED}

    def document(self) -> str:
        """Return the file's content."""
        return (
            json.dumps({"approval": self._statement, "signature": self.signature}, indent=2, ensure_ascii=False) + "\n"
        )

    def file_name(self) -> str:
        """Return the file's name: ``openai-0123456789ab-reviewer-bob.json``."""
        who = re.sub(r"[^A-Za-z0-9._@-]+", "-", self.approver)
        role = f"{self.role}-{self.clause}" if self.clause else self.role
        return f"{self.subject}-{self.digest[:12]}-{role}-{who}.json"


@dataclass(frozen=True, slots=True)
class Judged:
    """The approvals in one role.

    Attributes:
        accepted: those that count, one a person and one a key.
        refused: why the others are void, one line each, which names the file.
    """

    accepted: tuple[Approval, ...] = ()
    refused: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Terms:
    """What an approval is checked against.

    Attributes:
        digest: the content as it is now.
        subject: the scenario's name, or the rollout's id.
        authors: who wrote it, and cannot approve it; empty where they may (the operator's acknowledgement).
        signed: whether only a signature counts.
        allowed_signers: the list of keys; None where the policy names none.
        max_age_s: an older one does not count; None accepts any age.
        policy: the policy's name, for messages.
        now: the time.
    """

    digest: str
    subject: str
    authors: tuple[str, ...]
    signed: bool
    allowed_signers: Path | None
    max_age_s: float | None
    policy: str
    now: datetime


def judged(rollout: RolloutContext, role: Role, clause: str | None = None) -> Judged:
    """Return which approval documents of this very content count in `role`, and why the others do not.

    Reads the files only; `enter_accepted` enters into the journal what is accepted. Names under ``approved_by:`` and
    merged pull requests are not among them: `rollout.approvals.review` adds these for PRE-2.2.

    Args:
        rollout: whose content, policy and folder of approvals.
        role: the role. The author's own approval is void, except as operator; retrospective ones are not in files,
            but in the record's `approvals`.
        clause: for a waiver, the clause that it waives.
    """
    terms = terms_of(rollout, role)
    accepted, refused = [], []
    for path in _files(rollout.origin.approvals, rollout.scenario.name, role, clause):
        try:
            accepted.append(accepted_by(read(path, role, clause), terms))
        except Void as error:
            refused.append(f"{path}: {error}")
    return distinct(accepted, refused)


def terms_of(rollout: RolloutContext, role: Role) -> Terms:
    """Return what an approval of the rollout's content is checked against in `role`."""
    request = Request(rollout.scenario, rollout.target, rollout.policy, rollout.origin)
    return terms_for(request, rollout.digest, role, rollout.env, rollout.clock.now())


def terms_for(request: Request, digest: str, role: Role, env: Mapping[str, str], now: datetime) -> Terms:
    """Return what an approval of the request is checked against in `role`; `digest` is that of its content."""
    policy, named = request.policy, (request.scenario.author, env.get(REVIEW_AUTHOR, ""))
    return Terms(
        digest=digest,
        subject=request.scenario.name,
        authors=() if role is Role.OPERATOR else tuple(name for name in named if name),
        signed=policy.review == "signed",
        allowed_signers=request.origin.beside_policy(policy.allowed_signers),
        max_age_s=policy.operator_ack_max_age_s if role is Role.OPERATOR else policy.approval_max_age_s,
        policy=policy.name,
        now=now,
    )


def enter_accepted(rollout: RolloutContext, judged: Judged) -> None:
    """Enter the accepted approvals into the rollout's journal, each once: the record needs no folder.

    Raises:
        JournalError: they are not on disk.
    """
    known = [entered(body) for body in rollout.record().approvals]
    for each in judged.accepted:
        if each not in known:
            rollout.append(Kind.APPROVAL, **asdict(each))


def entered(body: Mapping[str, Any]) -> Approval:
    """Return the approval that a journal entry of `Kind.APPROVAL` holds."""
    fields = {name: body[name] for name in Approval.__dataclass_fields__ if name in body}
    return Approval(**{**fields, "role": Role(body["role"])})


def content_of(rollout: str, opened: Mapping[str, Any]) -> str:
    """Return the SHA-256 that an approval after the fact is given for: the rollout as its journal says it began."""
    return sha256({"rollout": rollout, "opened": opened})


def read(path: Path, role: Role, clause: str | None = None) -> Approval:
    """Return the approval in a document; `accepted_by` decides whether it counts.

    Raises:
        Void: it cannot be read, or is no approval in this role.
    """
    statement, signature = _parts(path)
    if set(statement) != set(_SIGNED):
        raise Void(f"is no approval: it must say {', '.join(_SIGNED)}, and nothing else")
    try:
        clean = {name: text(statement[name]) for name in ("digest", "at", "subject")}
        approver = person(statement["approver"])
        remarks = {name: text(statement[name]) if statement[name] else "" for name in ("comment", "host")}
    except ValueError as error:
        raise Void(f"is no approval: one of its values {error}") from None
    if statement["role"] != role or statement["clause"] != clause:
        wanted = f"{role} of {clause}" if clause else str(role)
        raise Void(
            f"is named as that of a {wanted}, and says {shown(statement['role'])}, clause {shown(statement['clause'])}"
        )
    if not _DIGEST.fullmatch(clean["digest"]):
        raise Void("is no approval: its digest is no SHA-256")
    return Approval(role, approver, **clean, clause=clause, **remarks, signature=signature, source=str(path))


def accepted_by(approval: Approval, terms: Terms, *, vouched: bool = False) -> Approval:
    """Return the approval, with the key that signed it, if it counts; `vouched` for by other means, it needs no key.

    Raises:
        Void: it does not.
    """
    _refuse_other_content(approval, terms)
    _refuse_odd_age(approval, terms)
    for author in terms.authors:
        if same_person(approval.approver, author):
            raise Void(f"{approval.approver} is the author, and cannot approve their own change")
    if approval.signature is not None:
        try:
            return replace(approval, key=_signed_with(approval, approval.signature, terms))
        except SigningError as error:
            raise Void(str(error)) from None
    if terms.signed and not vouched:
        raise Void(
            f"is not signed, and policy {terms.policy!r} accepts signed approvals only; "
            f"let {approval.approver} approve again with --key=FILE"
        )
    return approval


def distinct(accepted: Iterable[Approval], refused: Iterable[str]) -> Judged:
    """Return one approval a person, the latest, and one a key: a person with two names approves once."""
    people: list[Approval] = []
    for each in sorted(accepted, key=lambda each: each.at):
        people = [*(other for other in people if not same_person(other.approver, each.approver)), each]
    first = {each.key: each for each in reversed(people) if each.key}
    counted = tuple(each for each in people if not each.key or first[each.key] is each)
    twice = [
        f"{each.source}: is signed with the key of {first[each.key or ''].approver}'s: one person, one approval"
        for each in people
        if each not in counted
    ]
    return Judged(counted, (*refused, *twice))


def _files(folder: Path, subject: str, role: Role, clause: str | None) -> Iterator[Path]:
    """Yield the documents that are named as this scenario's in this role; those of others are not read."""
    kind = re.escape(f"{role}-{clause}" if clause else role)
    name = re.compile(rf"{re.escape(subject)}-[0-9a-f]{{12}}-{kind}-.+\.json")
    with suppress(OSError):
        yield from (path for path in sorted(folder.iterdir()) if name.fullmatch(path.name))


def _parts(path: Path) -> tuple[dict[str, Any], str | None]:
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST_BYTES + 1)
    except OSError as error:
        raise Void(f"cannot be read ({error.strerror})") from None
    if len(content) > _LARGEST_BYTES:
        raise Void(f"is no approval: it is longer than {_LARGEST_BYTES} bytes")
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        raise Void("is not valid JSON; let its approver run `rollout approve` again") from None
    statement = body.get("approval") if isinstance(body, dict) else None
    signature = body.get("signature") if isinstance(body, dict) else None
    if not isinstance(statement, dict) or not (
        signature is None or (isinstance(signature, str) and signature.isascii())
    ):
        raise Void('is no approval: it must hold {"approval": {…}, "signature": "…" or null}')
    return statement, signature


def _refuse_other_content(approval: Approval, terms: Terms) -> None:
    if approval.subject != terms.subject:
        raise Void(f"approves {approval.subject!r}, not {terms.subject!r}")
    if approval.digest != terms.digest:
        raise Void(
            f"approved {approval.digest[:12]}, and the content is now {terms.digest[:12]}: scenario, target, policy or "
            "URL was changed since; let it be approved again"
        )


def _refuse_odd_age(approval: Approval, terms: Terms) -> None:
    age_s = (terms.now - moment(approval.at)).total_seconds()
    if age_s < -SKEW_S:
        raise Void(f"is from the future: given at {approval.at}; is a clock wrong?")
    if terms.max_age_s is not None and age_s > terms.max_age_s:
        raise Void(
            f"is too old: given at {approval.at}, and policy {terms.policy!r} accepts "
            f"{show_duration(terms.max_age_s)}; let it be given again"
        )


def moment(at: str) -> datetime:
    """Return the moment that an approval names.

    Raises:
        Void: it is none, or none in a time zone.
    """
    try:
        found = datetime.fromisoformat(at)
    except ValueError:
        raise Void(f"is no approval: {at!r} is no moment") from None
    if found.tzinfo is None:
        raise Void(f"is no approval: {at!r} names no time zone")
    return found.astimezone(UTC)


def _signed_with(approval: Approval, signature: str, terms: Terms) -> str:
    """Return the fingerprint of the key that signed.

    Raises:
        Void: the key is not the approver's, or is the author's too.
        SigningError: the signature is over other content, or nothing can be verified here.
    """
    key = key_of(approval.payload, signature, NAMESPACE)
    allowed = terms.allowed_signers
    if allowed is None:
        if terms.signed:
            raise Void(f"policy {terms.policy!r} demands signatures, and names no list of keys; add `allowed_signers:`")
        return key
    try:
        verify(approval.payload, signature, approval.approver, allowed, NAMESPACE, terms.now)
    except Unvouched:
        raise Void(_whose(approval, signature, key, allowed, terms)) from None
    for author in terms.authors:
        for principal in {author, *(each for each in principals(allowed) if same_person(each, author))}:
            _refuse_key_of(principal, approval, signature, terms)
    return key


def _refuse_key_of(principal: str, approval: Approval, signature: str, terms: Terms) -> None:
    try:
        verify(approval.payload, signature, principal, terms.allowed_signers, NAMESPACE, terms.now)  # type: ignore[arg-type]
    except Unvouched:
        return
    raise Void(f"is signed with a key of the author {principal}, who cannot approve their own change")


def _whose(approval: Approval, signature: str, key: str, allowed: Path, terms: Terms) -> str:
    try:
        owner = signer(signature, allowed, terms.now)
    except Unvouched:
        return f"is signed with a key that {allowed} does not know, or not any more: {key}"
    if owner == approval.approver:
        return f"is signed with a key that {allowed} does not allow for this: {key}"
    return f"is signed with a key of {owner}, not of {approval.approver}: {key}"
