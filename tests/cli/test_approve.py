"""``rollout approve``: what a person sees, what is written, and what is refused before anything is."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from rollout.approvals.approval import Judged, Role, entered, judged
from rollout.approvals.obligations import ObligationKind, open_obligation, open_of
from rollout.cli.main import main
from rollout.config.load import load
from rollout.core.clock import SystemClock
from rollout.core.request import EMBEDDED
from rollout.gateway.embedded_proof import doubt_request
from rollout.journal.journal import Journal
from rollout.journal.record import Kind
from rollout.journal.replay import replay
from tests.support.keys import make_key
from tests.support.rollouts import rollout_in

SCENARIO = """\
target: gw
change: {activate: openai, model: gpt-4o}
author: alice
ticket: T-1
impact: {risk: low, affects: nobody, cost: none}
operator: carol <carol@example.com>
"""
TARGETS = "gw: {url: https://gw.example.com, token_env: NOT_SET_HERE, safe: {activate: ollama, model: m}}"

Approve = Callable[..., tuple[int, str]]


@pytest.fixture
def approve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Approve:
    """Run ``rollout approve`` as bob, in a folder with a scenario for production; gives exit code and output."""
    folder = tmp_path / "scenarios"
    folder.mkdir()
    (folder / "x.yaml").write_text(SCENARIO)
    (folder / "targets.yaml").write_text(TARGETS)
    (folder / "policy.yaml").write_text("production: {allowed_signers: allowed_signers}\n")
    lines = (f"{name} {make_key(tmp_path, name).with_suffix('.pub').read_text()}" for name in ("alice", "bob", "carol"))
    (folder / "allowed_signers").write_text("".join(lines))
    monkeypatch.chdir(tmp_path)
    for variable in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(variable, "bob")

    def run(*words: str) -> tuple[int, str]:
        code = main(["approve", *words])
        said = capsys.readouterr()
        return code, said.out + said.err

    return run


def as_a_run_sees_it(tmp_path: Path, role: Role = Role.REVIEWER, clause: str | None = None) -> Judged:
    """Judge what lies in the folder the way a run of the same scenario would."""
    request = load(
        scenario=Path("scenarios/x.yaml"),
        activate=None,
        ticket=None,
        target=None,
        gateway=None,
        directory=Path("scenarios"),
        env={"USER": "runner", "NOT_SET_HERE": "token"},
        doubt=doubt_request,
    )
    return judged(
        rollout_in(
            tmp_path,
            scenario=request.scenario,
            target=request.target,
            policy=request.policy,
            origin=request.origin,
            digest=request.digest(request.target.url or EMBEDDED),
            clock=SystemClock(),
        ),
        role,
        clause,
    )


def test_a_person_sees_what_they_approve_and_it_counts(approve: Approve, tmp_path: Path) -> None:
    """Change, target, policy, window, impact, ticket and digest; no token of the gateway is needed for it."""
    code, said = approve("scenarios/x.yaml", "--key=bob", "--comment=read it twice")
    assert code == 0, said
    for line in (
        "you, bob, approve as reviewer:",
        "change   openai:gpt-4o (scenarios/x.yaml)",
        "target   gw at https://gw.example.com",
        "policy   production (scenarios/policy.yaml)",
        "watched  for 30m, at most 1h",
        "impact   risk low; affects nobody; cost none",
        "ticket   T-1",
        "author   alice",
    ):
        assert line in said
    [path] = Path("scenarios/approvals").iterdir()
    assert f"written  {path}" in said
    assert json.loads(path.read_text())["approval"]["digest"] in said
    [approval] = as_a_run_sees_it(tmp_path).accepted
    assert (approval.approver, approval.comment) == ("bob", "read it twice")


def test_one_character_after_the_approval_blocks(approve: Approve, tmp_path: Path) -> None:
    """The approval is of another content then, and says which."""
    assert approve("scenarios/x.yaml", "--key=bob")[0] == 0
    Path("scenarios/x.yaml").write_text(SCENARIO.replace("gpt-4o", "gpt-4"))
    found = as_a_run_sees_it(tmp_path)
    assert not found.accepted
    assert "and the content is now" in found.refused[0]


def test_the_operator_acknowledges_and_reads_the_emergency_command(approve: Approve, tmp_path: Path) -> None:
    """So that they have it before they need it."""
    code, said = approve("scenarios/x.yaml", "--as=operator", "--by=carol", "--key=carol")
    assert code == 0, said
    assert "In an emergency, run:\n  rollout emergency --target=gw\n" in said
    assert len(as_a_run_sees_it(tmp_path, Role.OPERATOR).accepted) == 1


def test_a_renewed_approval_takes_the_place_of_the_old_one(approve: Approve) -> None:
    """One file a person and content."""
    approve("scenarios/x.yaml", "--key=bob")
    approve("scenarios/x.yaml", "--key=bob", "--comment=again")
    [path] = Path("scenarios/approvals").iterdir()
    assert json.loads(path.read_text())["approval"]["comment"] == "again"


def test_the_policy_may_be_out_of_the_authors_reach(approve: Approve, tmp_path: Path) -> None:
    """Its allowed signers are looked for beside it."""
    elsewhere = tmp_path / "rules"
    elsewhere.mkdir()
    (elsewhere / "policy.yaml").write_text("production: {allowed_signers: keys}\n")
    (elsewhere / "keys").write_text(f"bob {Path('carol.pub').read_text()}")
    code, said = approve("scenarios/x.yaml", "--policy=rules/policy.yaml", "--key=bob")
    assert (code, "rules/keys does not know" in said) == (4, True)
    code, said = approve("scenarios/x.yaml", "--policy=rules/policy.yaml", "--key=carol")
    assert (code, "policy   production (rules/policy.yaml)" in said) == (0, True)


def test_a_scenario_from_the_command_line_is_approved_as_its_author_runs_it(
    approve: Approve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It names no author, so its author is the person who runs it."""
    words = ("--activate=openai:gpt-4o", "--ticket=T-1", "--by=bob")
    code, said = approve(*words)
    assert (code, "so its author is the person who runs it, here you" in said) == (4, True)
    monkeypatch.setenv("USER", "alice")
    code, said = approve(*words)
    assert (code, "scenarios/approvals/activate-openai-" in said) == (0, True)


def edit(*change: str) -> None:
    path = Path("scenarios/x.yaml")
    path.write_text(path.read_text().replace(*change))


@pytest.mark.parametrize(
    ("words", "change", "says"),
    [
        ([], (), "name what you approve"),
        (["nobody-knows"], (), "there is no such scenario, and no journal"),
        (["scenarios/x.yaml"], (), "is not signed, and policy 'production' accepts signed approvals only"),
        (["scenarios/x.yaml", "--key=nowhere"], (), "nowhere: there is no such key"),
        (["scenarios/x.yaml", "--key=carol"], (), "is signed with a key of carol, not of bob"),
        (["scenarios/x.yaml", "--by=Alice", "--key=alice"], (), "would be void: Alice is the author"),
        (["scenarios/x.yaml", "--by=<b>"], (), "is no name: it holds one of"),
        (["scenarios/x.yaml", "--comment=a\nb"], (), "cannot be seen"),
        (["scenarios/x.yaml", "--waiver=pre-4.1"], (), "waives no PRE-4.1; it waives nothing"),
        (["scenarios/x.yaml", "--as=operator"], (), "the operator is carol, and you are bob"),
        (["scenarios/x.yaml", "--as=operator"], ("operator:", "# "), "names no `operator:`"),
        (
            ["scenarios/x.yaml"],
            ("author: alice", ""),
            "names no author, so its author is the person who runs it, here you",
        ),
        (["scenarios/x.yaml"], ("ticket", "tickt"), "did you mean 'ticket'?"),
    ],
)
def test_what_would_not_count_is_refused(
    approve: Approve, words: list[str], change: tuple[str, ...], says: str
) -> None:
    """One line, exit code 4, and nothing written."""
    if change:
        edit(*change)
    code, said = approve(*words)
    assert (code, says in said) == (4, True), said
    assert not Path("scenarios/approvals").exists()


def test_a_folder_that_takes_nothing_is_said(approve: Approve) -> None:
    """In one line."""
    Path("scenarios/approvals").write_text("a file")
    code, said = approve("scenarios/x.yaml", "--key=bob")
    assert (code, "cannot be written (File exists)" in said) == (4, True)


# After the fact


def over(tmp_path: Path) -> str:
    """Return the id of an emergency of alice's that is over and owes an approval."""
    (tmp_path / "reports").mkdir()
    rollout = rollout_in(tmp_path / "reports", clock=SystemClock())
    target = {"name": "gw", "environment": "production", "url": "https://gw"}
    rollout.append(
        Kind.OPENED,
        target=target,
        url="https://gw",
        change="EMERGENCY ollama:m",
        author="alice",
        digest="x",
        reason="down",
    )
    rollout.append(Kind.INTENT, step="EMG-1", direction="forward", to="ollama:m")
    open_obligation(rollout, ObligationKind.APPROVAL, 60)
    return rollout.id


def test_a_rollout_is_approved_after_the_fact(approve: Approve, tmp_path: Path) -> None:
    """The approval is in its journal, signed, and nothing is owed any more."""
    rollout = over(tmp_path)
    code, said = approve(rollout, "--key=bob", "--comment=it was down")
    assert code == 0, said
    assert "change   EMERGENCY ollama:m" in said
    assert "by       alice at 20" in said
    with Journal.open(str(tmp_path / "reports" / "journal.sqlite"), clock=SystemClock()) as journal:
        record = replay(rollout, journal.entries(rollout))
    [approval] = [each for each in map(entered, record.approvals) if each.role is Role.RETROSPECTIVE]
    assert (approval.approver, approval.comment, str(approval.key)[:7]) == ("bob", "it was down", "SHA256:")
    assert open_of(record) == ()
    code, said = approve(rollout, "--key=bob")
    assert (code, f"no approval is owed to rollout {rollout}" in said) == (4, True)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--by=alice", "--key=alice"], "alice is the author"),
        ([], "is not signed"),
        (["--key=carol"], "is signed with a key of carol, not of bob"),
        (["--as=operator"], "is no scenario's file, and a rollout is approved as it was"),
    ],
)
def test_an_approval_after_the_fact_is_held_to_the_same_rules(
    approve: Approve, tmp_path: Path, words: list[str], says: str
) -> None:
    """What would be void is refused, and stays owed."""
    rollout = over(tmp_path)
    code, said = approve(rollout, *words)
    assert (code, says in said) == (4, True), said
    code, said = approve("r-2", "--key=bob")
    assert (code, "'r-2' is neither a scenario's file nor a rollout" in said) == (4, True)


def test_who_applied_a_change_does_not_approve_it_afterwards_where_duties_are_separate(
    approve: Approve, tmp_path: Path
) -> None:
    """Who only verified it may."""
    rollout = over(tmp_path)
    with Journal.open(str(tmp_path / "reports" / "journal.sqlite"), clock=SystemClock()) as journal:
        for name, phase in (("carol", "apply"), ("bob", "verify")):
            journal.append(rollout, Kind.RUN, {"run": phase, "phases": [phase], "pid": 1, "by": {"name": name}})
    (tmp_path / "scenarios" / "policy.yaml").write_text(
        "production: {allowed_signers: allowed_signers, separate_duties: true}\n"
    )
    code, said = approve(rollout, "--by=carol", "--key=carol")
    assert (code, f"demands separate duties, and carol applied {rollout}; let another person" in said) == (4, True)
    assert approve(rollout, "--key=bob")[0] == 0
