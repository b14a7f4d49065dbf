"""A merged pull request as review: the names that a pipeline hands over, held against a real git repository."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from rollout.approvals.approval import Judged, Role, terms_of
from rollout.approvals.pull_request import merged
from rollout.approvals.review import review
from rollout.context import RolloutContext
from rollout.core.clock import format_utc
from rollout.core.policy import Policy
from rollout.core.request import Origin
from tests.support.clocks import BEGINNING
from tests.support.rollouts import rollout_in

ACCEPTING = Policy("production", pull_request="accept", approval_max_age_s=None)
FILES = ("x.yaml", "targets.yaml", "policy.yaml")


class Repository:
    """A git repository with a scenario, targets and a policy, and a rollout that uses them."""

    def __init__(self, folder: Path) -> None:
        """Commit the files once, and something else on top."""
        self.folder = folder / "repo"
        self.scenarios = self.folder / "scenarios"
        self.scenarios.mkdir(parents=True)
        self.git("init", "-q", "-b", "main")
        for name in FILES:
            (self.scenarios / name).write_text(f"# {name}\n")
        self.reviewed = self.commit("reviewed")
        (self.folder / "other").write_text("later")
        self.commit("later")
        origin = Origin(*(self.scenarios / name for name in FILES))
        self.rollout: RolloutContext = rollout_in(folder, policy=ACCEPTING, origin=origin, env=self.handed())

    def git(self, *words: str) -> str:
        """Run git in the repository."""
        command = ["git", "-c", "user.name=a", "-c", "user.email=a@example.com", *words]
        env = {**os.environ, "GIT_COMMITTER_DATE": format_utc(BEGINNING)}
        return subprocess.run(
            command, cwd=self.folder, check=True, capture_output=True, text=True, env=env
        ).stdout.strip()

    def commit(self, message: str) -> str:
        """Commit everything, and return the commit's id."""
        self.git("add", "-A")
        self.git("commit", "-q", "-m", message)
        return self.git("rev-parse", "HEAD")

    def handed(self, **other: str) -> dict[str, str]:
        """Return what a pipeline hands over."""
        known = {
            "AUTHOR": "alice",
            "APPROVERS": "bob, carol",
            "COMMIT": self.reviewed,
            "URL": "https://git.example.com/pull/7",
        }
        return {f"ROLLOUT_REVIEW_{name}": value for name, value in {**known, **other}.items() if value}

    def judged(self, **other: str) -> Judged:
        """Judge the pull request, as it is handed over."""
        self.rollout.env = self.handed(**other)
        return merged(self.rollout, terms_of(self.rollout, Role.REVIEWER))


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """A repository whose head is one commit past the reviewed one."""
    return Repository(tmp_path)


def test_a_reviewed_commit_that_holds_the_files_in_use_counts(repository: Repository) -> None:
    """Its approvers are named with its address, whatever signatures the policy asks of documents."""
    found = repository.judged()
    assert [each.approver for each in found.accepted] == ["bob", "carol"]
    assert {each.source for each in found.accepted} == {"pull request https://git.example.com/pull/7"}
    assert found.refused == ()
    seen = review(repository.rollout)
    assert seen.suffices()
    assert [body["approver"] for body in repository.rollout.record().approvals] == ["bob", "carol"]


def test_the_checked_out_commit_itself_counts(repository: Repository) -> None:
    """A merge or squash commit is the head."""
    assert len(repository.judged(COMMIT=repository.git("rev-parse", "HEAD"), URL="").accepted) == 2


def test_the_author_does_not_approve(repository: Repository) -> None:
    """Neither the one who wrote the scenario, nor the one who opened the pull request."""
    found = repository.judged(AUTHOR="carol", APPROVERS="Carol,ALICE,bob")
    assert [each.approver for each in found.accepted] == ["bob"]
    assert "Carol is the author" in found.refused[0]
    assert "ALICE is the author" in found.refused[1]


def test_a_policy_that_accepts_none_reads_nothing(repository: Repository) -> None:
    """Nor does one that does, where a pipeline hands nothing over."""
    repository.rollout.policy = replace(ACCEPTING, pull_request="ignore")
    assert repository.judged() == Judged()
    repository.rollout.policy = ACCEPTING
    assert repository.judged(COMMIT="", APPROVERS="") == Judged()


def test_a_policy_elsewhere_is_out_of_the_authors_reach(repository: Repository, tmp_path: Path) -> None:
    """It need not be in the commit; the targets, which lie in the repository, must."""
    (tmp_path / "policy.yaml").write_text("# another repository's")
    repository.rollout.origin = replace(repository.rollout.origin, policy=tmp_path / "policy.yaml")
    assert len(repository.judged().accepted) == 2


def touched(name: str) -> Callable[[Repository], dict[str, str]]:
    def fault(repository: Repository) -> dict[str, str]:
        with (repository.scenarios / name).open("a") as file:
            file.write(" ")
        return {}

    return fault


def edited_and_committed(repository: Repository) -> dict[str, str]:
    touched("x.yaml")(repository)
    repository.commit("sneaked in")
    return {}


def on_a_branch(repository: Repository) -> dict[str, str]:
    repository.git("checkout", "-q", "-b", "aside")
    (repository.folder / "aside").write_text("x")
    commit = repository.commit("aside")
    repository.git("checkout", "-q", "main")
    return {"COMMIT": commit}


def shallow(repository: Repository) -> dict[str, str]:
    clone = repository.folder.parent / "clone"
    repository.git("clone", "-q", "--depth=1", f"file://{repository.folder}", str(clone))
    repository.rollout.origin = Origin(*(clone / "scenarios" / name for name in FILES))
    return {}


def linked(repository: Repository) -> dict[str, str]:
    """The commit holds a link to what anybody may write."""
    policy = repository.scenarios / "policy.yaml"
    policy.rename(repository.folder.parent / "anywhere.yaml")
    policy.symlink_to(repository.folder.parent / "anywhere.yaml")
    return {"COMMIT": repository.commit("a link")}


def from_the_command_line(repository: Repository) -> dict[str, str]:
    repository.rollout.origin = replace(repository.rollout.origin, scenario=None)
    return {}


def in_no_repository(repository: Repository) -> dict[str, str]:
    bare = repository.folder.parent / "bare.yaml"
    bare.write_text("x")
    repository.rollout.origin = replace(repository.rollout.origin, scenario=bare)
    return {}


def too_old(repository: Repository) -> dict[str, str]:
    repository.rollout.policy = replace(ACCEPTING, approval_max_age_s=60.0)
    repository.rollout.clock.advance(10 * 365 * 86_400)  # type: ignore[attr-defined]
    return {}


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (touched("x.yaml"), "holds another scenarios/x.yaml than the one in use: edited after the review"),
        (touched("targets.yaml"), "holds another scenarios/targets.yaml"),
        (touched("policy.yaml"), "holds another scenarios/policy.yaml"),
        (edited_and_committed, "holds another scenarios/x.yaml"),
        (linked, "holds another scenarios/policy.yaml"),
        (on_a_branch, "is not part of what is checked out"),
        (shallow, "a shallow clone does not reach the commit: fetch its history"),
        (from_the_command_line, "a scenario from the command line is in no commit"),
        (in_no_repository, "git merge-base fails (fatal: not a git repository"),
        (too_old, "is too old: given at "),
        (lambda _: {"COMMIT": "HEAD"}, "ROLLOUT_REVIEW_COMMIT is no whole commit id"),
        (lambda _: {"COMMIT": ""}, "ROLLOUT_REVIEW_COMMIT is no whole commit id"),
        (lambda _: {"COMMIT": "0" * 40}, "git merge-base fails"),
        (lambda _: {"AUTHOR": ""}, "ROLLOUT_REVIEW_AUTHOR does not say who wrote it"),
        (lambda _: {"APPROVERS": "<b>bob</b>"}, "is no name: it holds one of"),
        (lambda _: {"URL": "https://x/\u0007"}, "holds a character that cannot be seen"),
    ],
)
def test_a_pull_request_does_not_count(
    repository: Repository, fault: Callable[[Repository], dict[str, str]], says: str
) -> None:
    """One line for each approver at most, and nothing raised."""
    found = repository.judged(**fault(repository))
    assert found.accepted == ()
    assert says in found.refused[0]
    assert all("\n" not in line for line in found.refused)


def test_nothing_counts_that_git_cannot_prove(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without git, the pipeline's word is all there is."""
    monkeypatch.setenv("PATH", "/nowhere")
    assert "git cannot be run" in repository.judged().refused[0]


def test_nobody_has_approved_it(repository: Repository) -> None:
    """A merge without a review is none."""
    assert repository.judged(APPROVERS="") == Judged()
    assert not review(repository.rollout).accepted
