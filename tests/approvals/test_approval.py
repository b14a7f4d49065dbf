"""Approvals: which documents count, and each way in which one does not."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from rollout.approvals.approval import Approval, Judged, Role, content_of, enter_accepted, entered, judged
from rollout.audit.approvals import unfounded
from rollout.context import RolloutContext
from rollout.core.clock import format_utc
from rollout.core.policy import Policy
from rollout.core.request import Origin
from rollout.journal.record import Kind
from tests.support.approvals import approval_of, filed, signed
from tests.support.keys import make_key
from tests.support.rollouts import rollout_in

SIGNED = Policy("production", allowed_signers="allowed_signers")
RECORDED = replace(SIGNED, review="recorded", allowed_signers=None)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A key each for alice, the author, for bob, carol and the stranger mallory."""
    folder = tmp_path_factory.mktemp("keys")
    return {name: make_key(folder, name) for name in ("alice", "bob", "carol", "mallory")}


@dataclass
class Desk:
    """A rollout whose author is alice, and the people who approve it."""

    rollout: RolloutContext
    keys: dict[str, Path]

    def give(self, key: str | None = "bob", **parts: Any) -> Path:
        """File an approval, by bob unless `parts` say otherwise, signed with somebody's key."""
        approval = approval_of(self.rollout, **parts)
        return filed(self.rollout, signed(approval, self.keys[key]) if key else approval)

    def judged(self, role: Role = Role.REVIEWER, clause: str | None = None) -> Judged:
        """Return what is judged of the approvals filed so far."""
        return judged(self.rollout, role, clause)

    def why(self, **where: Any) -> str:
        """Return why the one approval is void."""
        found = self.judged(**where)
        assert not found.accepted
        [line] = found.refused
        assert "\n" not in line
        return line


@pytest.fixture
def desk(tmp_path: Path, keys: dict[str, Path]) -> Desk:
    """A policy that demands signatures, and a list with the keys of alice, bob and carol."""
    return desk_in(tmp_path, keys, SIGNED)


def desk_in(folder: Path, keys: dict[str, Path], policy: Policy, **parts: Any) -> Desk:
    lines = (f"{name} {keys[name].with_suffix('.pub').read_text()}" for name in ("alice", "bob", "carol"))
    (folder / "allowed_signers").write_text("# who may approve\n" + "".join(lines))
    origin = Origin(policy=folder / "policy.yaml", approvals=folder / "approvals")
    return Desk(rollout_in(folder, policy=policy, origin=origin, **parts), keys)


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change a document by hand."""
    body = json.loads(path.read_text())
    change(body)
    path.write_text(json.dumps(body))


# What counts


def test_a_signed_approval_of_this_content_counts(desk: Desk) -> None:
    """It is accepted with the fingerprint of its key, and entered into the journal once."""
    path = desk.give(comment="looks right")
    found = desk.judged()
    [approval] = found.accepted
    assert (approval.approver, approval.source, approval.comment) == ("bob", str(path), "looks right")
    assert str(approval.key).startswith("SHA256:")
    assert not found.refused
    enter_accepted(desk.rollout, found)
    enter_accepted(desk.rollout, found)
    assert len(desk.rollout.journal.entries(desk.rollout.id, Kind.APPROVAL)) == 1
    assert list(map(entered, desk.rollout.record().approvals)) == [approval]
    assert approval.role is Role.REVIEWER


def test_an_unsigned_approval_counts_where_the_policy_wants_no_signature(tmp_path: Path, keys: dict[str, Path]) -> None:
    """Recorded is enough, and a signature that is there is shown even without a list of keys."""
    desk = desk_in(tmp_path, keys, RECORDED)
    desk.give(key=None, approver="bob")
    desk.give(key="carol", approver="carol")
    bob, carol = desk.judged().accepted
    assert (bob.approver, bob.key, carol.approver) == ("bob", None, "carol")
    assert str(carol.key).startswith("SHA256:")


def test_the_documents_of_other_scenarios_and_roles_are_not_read(desk: Desk) -> None:
    """A folder holds the approvals of many."""
    desk.give(subject="s-eu")
    desk.give(role=Role.OPERATOR)
    desk.give(role=Role.WAIVER, clause="PRE-4.1")
    assert desk.judged() == Judged()
    assert desk.judged(Role.WAIVER, "PRE-3.1") == Judged()
    assert [each.clause for each in desk.judged(Role.WAIVER, "PRE-4.1").accepted] == ["PRE-4.1"]


def test_the_author_may_stand_by_as_operator(desk: Desk) -> None:
    """Only approving is for others."""
    desk.give("alice", role=Role.OPERATOR, approver="alice")
    assert len(desk.judged(Role.OPERATOR).accepted) == 1


def test_an_operators_acknowledgement_has_an_age_of_its_own(desk: Desk) -> None:
    """An approval of yesterday counts, and the acknowledgement of yesterday does not."""
    desk.give()
    desk.give("carol", role=Role.OPERATOR, approver="carol")
    desk.rollout.clock.advance(13 * 3600)  # type: ignore[attr-defined]
    assert len(desk.judged().accepted) == 1
    assert re.search("is too old: .* accepts 12h", desk.why(role=Role.OPERATOR))


def test_one_person_approves_once(desk: Desk) -> None:
    """The later of two by one name counts; one key under two names is one person."""
    desk.give(at=format_utc(desk.rollout.clock.now() - timedelta(hours=1)), comment="first")
    path = desk.give(comment="again")
    path.rename(path.with_name(path.name.replace("bob", "bob-2")))
    desk.give(comment="later", at=format_utc(desk.rollout.clock.now() + timedelta(seconds=1)))
    assert [each.comment for each in desk.judged().accepted] == ["later"]
    listed = desk.rollout.origin.beside_policy("allowed_signers")
    assert listed is not None
    listed.write_text(listed.read_text() + f"robert {desk.keys['bob'].with_suffix('.pub').read_text()}")
    desk.give("bob", approver="robert")
    found = desk.judged()
    assert len(found.accepted) == 1
    assert "is signed with the key of " in found.refused[0]


# What is void

Void = Callable[[Desk], object]


def tampered(**said: Any) -> Void:
    return lambda desk: edit(desk.give(), lambda body: body["approval"].update(said))


def content(text: str | bytes) -> Void:
    return lambda desk: desk.give().write_bytes(text if isinstance(text, bytes) else text.encode())


def by_the_authors_key(desk: Desk) -> None:
    """The list knows alice's key as bob's too."""
    path = desk.rollout.origin.beside_policy("allowed_signers")
    assert path is not None
    path.write_text(path.read_text() + f"bob {desk.keys['alice'].with_suffix('.pub').read_text()}")
    desk.give("alice")


def in_another_spelling(desk: Desk) -> None:
    by_the_authors_key(desk)
    desk.rollout.scenario = replace(desk.rollout.scenario, author="ALICE@example.com")


def without_list(desk: Desk) -> None:
    desk.rollout.policy = replace(desk.rollout.policy, allowed_signers=None)
    desk.give()


def without_file(desk: Desk) -> None:
    desk.rollout.policy = replace(desk.rollout.policy, allowed_signers="nowhere")
    desk.give()


def edited_afterwards(desk: Desk) -> None:
    desk.give()
    desk.rollout.digest = "e" * 64


def forged(desk: Desk) -> None:
    """The content was edited, and so is the digest in the document."""
    path = desk.give()
    desk.rollout.digest = "e" * 64
    edit(path, lambda body: body["approval"].update(digest="e" * 64))


def aged(**by: float) -> Void:
    return lambda desk: desk.give(at=format_utc(desk.rollout.clock.now() + timedelta(**by)))


def for_git(desk: Desk) -> None:
    approval = approval_of(desk.rollout)
    from rollout.approvals.ssh_signatures import sign

    filed(desk.rollout, replace(approval, signature=sign(approval.payload, desk.keys["bob"], "git")))


def a_folder(desk: Desk) -> None:
    path = desk.give()
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (edited_afterwards, "approved dddddddddddd, and the content is now eeeeeeeeeeee"),
        (lambda desk: desk.give(key=None), "is not signed, and policy 'production' accepts signed approvals only"),
        (lambda desk: desk.give("mallory"), "allowed_signers does not know, or not any more: SHA256:"),
        (lambda desk: desk.give("carol"), "is signed with a key of carol, not of bob: SHA256:"),
        (lambda desk: desk.give("alice", approver="alice"), "alice is the author, and cannot approve their own"),
        (lambda desk: desk.give(key=None, approver="ALICE"), "ALICE is the author"),
        (lambda desk: desk.give(approver="alice@example.com"), "alice@example.com is the author"),
        (by_the_authors_key, "is signed with a key of the author alice"),
        (in_another_spelling, "is signed with a key of the author alice"),
        (forged, "the signature is not over this very content"),
        (tampered(comment="and more"), "the signature is not over this very content"),
        (tampered(approver="carol"), "the signature is not over this very content"),
        (for_git, "the signature is not over this very content"),
        (lambda desk: edit(desk.give(), lambda body: body.update(signature="none")), "not over this very content"),
        (without_list, "demands signatures, and names no list of keys"),
        (without_file, "nowhere: there is no such list of allowed signers"),
        (aged(days=-8), "is too old: given at 2026-"),
        (aged(minutes=6), "is from the future: given at 2026-"),
        (tampered(at="yesterday"), "'yesterday' is no moment"),
        (tampered(at="2026-11-23T12:00:00"), "names no time zone"),
        (tampered(at=["now"]), "one of its values text is expected here, not a list"),
        (tampered(approver="b\u0007ob"), "holds a character that cannot be seen (U+0007)"),
        (tampered(approver="<b>bob</b>"), "is no name: it holds one of"),
        (tampered(digest="abc"), "its digest is no SHA-256"),
        (tampered(role="operator"), "is named as that of a reviewer, and says 'operator'"),
        (tampered(subject="another"), "approves 'another', not 's'"),
        (tampered(more="than asked"), "it must say role, approver, "),
        (content("{"), "is not valid JSON"),
        (content("[]"), "it must hold {"),
        (content('{"approval": {}, "signature": 7}'), "it must hold {"),
        (content(b"\xff\xfe"), "is not valid JSON"),
        (content("[" * 60_000), "is not valid JSON"),
        (content(" " * 70_000), "is longer than 65536 bytes"),
        (a_folder, "cannot be read (Is a directory)"),
    ],
)
def test_an_approval_is_void(desk: Desk, fault: Void, says: str) -> None:
    """It does not count; one line says why and names the file; nothing is raised."""
    fault(desk)
    line = desk.why()
    assert says in line
    assert line.startswith(str(desk.rollout.origin.approvals))


def test_an_approval_is_void_where_nothing_can_verify_it(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without ssh-keygen no signature counts."""
    desk.give()
    monkeypatch.setenv("PATH", "/nowhere")
    assert "ssh-keygen is not installed" in desk.why()


def test_a_key_that_has_expired_counts_no_more(desk: Desk) -> None:
    """The list limits how long a key is good, and now is what matters: a moment in the document proves nothing."""
    path = desk.rollout.origin.beside_policy("allowed_signers")
    assert path is not None
    path.write_text(f'bob valid-before="20200101" {desk.keys["bob"].with_suffix(".pub").read_text()}')
    desk.give()
    assert "does not know, or not any more" in desk.why()


def test_a_pipeline_names_a_second_author(desk: Desk) -> None:
    """Whoever opened the pull request does not approve it either, whatever the scenario says."""
    desk.rollout.env = {"ROLLOUT_REVIEW_AUTHOR": "Bob"}
    desk.give()
    assert "bob is the author" in desk.why()


def test_a_name_that_is_no_files_name_has_one_all_the_same() -> None:
    """Nothing in a name leads out of the folder."""
    approval = Approval(Role.WAIVER, "../bob jr", "d" * 64, "now", "s", clause="PRE-4.1")
    assert approval.file_name() == "s-dddddddddddd-waiver-PRE-4.1-..-bob-jr.json"


# What the journal holds, checked again


def recorded(desk: Desk, **body: Any) -> list[str]:
    """Return what an auditor finds of an approval in the journal, some of which was changed."""
    desk.rollout.append(Kind.OPENED, digest=desk.rollout.digest)
    desk.give()
    [approval] = desk.judged().accepted
    desk.rollout.append(Kind.APPROVAL, **{**asdict(approval), **body})
    return [str(finding) for finding in unfounded(desk.rollout.journal.entries(desk.rollout.id))]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"approver": "carol"}, "the signature is not over this very content"),
        ({"key": "SHA256:another"}, "and says SHA256:another"),
        ({"digest": "e" * 64}, f"it approves eeeeeeeeeeee…, the rollout is of {'d' * 64}"),
        ({"role": "king"}, "it is no approval: ValueError"),
    ],
)
def test_an_auditor_finds_an_approval_that_was_altered(desk: Desk, body: dict[str, Any], says: str) -> None:
    """The journal holds all that was signed, so the signature can be checked without the folder."""
    found = recorded(desk, **body)
    assert says in found[0]
    assert found[0].startswith("entry 2 (approval): ")


def test_an_auditor_finds_nothing_wrong_with_what_was_signed(desk: Desk) -> None:
    """Nor with an approval after the fact, which is given for the rollout as it began."""
    assert recorded(desk) == []
    opened = desk.rollout.record().opened
    late = approval_of(desk.rollout, Role.RETROSPECTIVE, digest=content_of(desk.rollout.id, opened))
    desk.rollout.append(Kind.APPROVAL, **asdict(late))
    assert list(unfounded(desk.rollout.journal.entries(desk.rollout.id))) == []
