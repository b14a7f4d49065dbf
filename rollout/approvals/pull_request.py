"""A merged pull request as review (PRE-2.2), where the policy accepts one: what the pipeline states, checked with git.

The platform knows author and approvers; the pipeline passes their names on in environment variables. The suite checks
itself that the files in use are those that were reviewed: the commit must hold them byte for byte, and must be part of
what is checked out.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from rollout.approvals.approval import REVIEW_AUTHOR, Approval, Judged, Role, Terms, Void, accepted_by, distinct
from rollout.context import RolloutContext
from rollout.core.clock import format_utc
from rollout.core.schemas.validators import person, text

APPROVERS = "ROLLOUT_REVIEW_APPROVERS"
COMMIT = "ROLLOUT_REVIEW_COMMIT"
URL = "ROLLOUT_REVIEW_URL"

ACCEPT = "accept"
"""What the policy's ``pull_request`` says where one counts."""

_TIMEOUT_S = 10.0
_SHA = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}", re.ASCII)


def merged(rollout: RolloutContext, terms: Terms) -> Judged:
    """Return the approvals of the pull request that the pipeline names, and why others do not count.

    Empty where the policy accepts none, or where there is none.
    """
    env = rollout.env
    if rollout.policy.pull_request != ACCEPT or not (env.get(COMMIT) or env.get(APPROVERS)):
        return Judged()
    source = f"pull request {env.get(URL) or env.get(COMMIT, '')}"[:300]
    try:
        at = _proven(rollout)
        names = [person(name) for name in re.split(r"[,\s]+", env.get(APPROVERS, "").strip()) if name]
        text(source)
    except (Void, ValueError) as error:
        return Judged((), (f"{source!r}: {error}",))
    accepted, refused = [], []
    for name in names:
        given = Approval(Role.REVIEWER, name, rollout.digest, at, terms.subject, source=source)
        try:
            accepted.append(accepted_by(given, terms, vouched=True))
        except Void as error:
            refused.append(f"{source}: {error}")
    return distinct(accepted, refused)


def _proven(rollout: RolloutContext) -> str:
    """Return when the commit was made, if it holds the files in use and is part of what is checked out.

    Raises:
        Void: it does not or is not, or this cannot be determined.
    """
    commit, author, scenario = rollout.env.get(COMMIT, ""), rollout.env.get(REVIEW_AUTHOR), rollout.origin.scenario
    if not author:
        raise Void(f"{REVIEW_AUTHOR} does not say who wrote it; let the pipeline hand it over")
    if not _SHA.fullmatch(commit):
        raise Void(f"{COMMIT} is no whole commit id (40 or 64 hexadecimal digits)")
    if scenario is None:
        raise Void("a scenario from the command line is in no commit; write it into a file")
    folder = scenario.absolute().parent
    status, _ = _git(folder, "merge-base", "--is-ancestor", commit, "HEAD", accept=(0, 1))
    if status:
        raise Void(f"commit {commit[:12]} is not part of what is checked out")
    top = Path(os.fsdecode(_git(folder, "rev-parse", "--show-toplevel")[1]).rstrip("\n"))
    for path in _used(rollout, top):
        _, held = _git(top, "show", f"{commit}:{path.as_posix()}")
        if held != (top / path).read_bytes():
            raise Void(f"commit {commit[:12]} holds another {path} than the one in use: edited after the review")
    made = os.fsdecode(_git(folder, "show", "--no-patch", "--format=%cI", commit)[1]).strip()
    return format_utc(datetime.fromisoformat(made))


def _used(rollout: RolloutContext, top: Path) -> Iterator[Path]:
    """Yield scenario, targets and policy as paths in the repository; those outside are left out.

    Raises:
        Void: the scenario is outside.
    """
    origin = rollout.origin
    for file in (origin.scenario, origin.targets, origin.policy):
        if file is None:
            continue
        # The file itself is not resolved: of a link, git holds where it leads and not what is there.
        place = file.absolute().parent.resolve() / file.name
        if place.is_relative_to(top.resolve()):
            yield place.relative_to(top.resolve())
        elif file is origin.scenario:
            raise Void(f"{file} is not in the repository at {top}")


def _git(folder: Path, *words: str, accept: tuple[int, ...] = (0,)) -> tuple[int, bytes]:
    try:
        done = subprocess.run(  # noqa: S603 - an argument list of our own making
            ["git", "-C", str(folder), *words],  # noqa: S607 - the user's own, wherever it is installed
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TIMEOUT_S,
            check=False,
            env={**os.environ, "LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0"},
        )
    except OSError as problem:
        raise Void(f"git cannot be run ({problem.strerror}); install it where the pipeline runs") from None
    except subprocess.TimeoutExpired:
        raise Void(f"git gave no answer for {_TIMEOUT_S:g} s") from None
    if done.returncode not in accept:
        reason = " ".join(done.stderr.decode(errors="replace").split())[:200] or f"exit code {done.returncode}"
        raise Void(f"git {words[0]} fails ({reason}); a shallow clone does not reach the commit: fetch its history")
    return done.returncode, done.stdout
