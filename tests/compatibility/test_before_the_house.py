"""A rollout that the former code (version 0.1) began is watched, rolled back, kept and verified by today's.

The archive beside this file holds that code. It is unpacked and run unchanged, with its own watchdog, against a gateway
of today; the gateway's own state decides.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from rollout.approvals.approval import Role, entered
from rollout.journal.record import Decision, Kind
from tests.support.runs import BARE, Lab, Run, eventually, inherited_environment

ARCHIVE = Path(__file__).with_name("before-the-house.tar.xz")
BEFORE, NEW = "ollama:gemma3:4b", "openai:gpt-4o"


@pytest.fixture(scope="module")
def former(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the former code, as a checkout of it."""
    folder = tmp_path_factory.mktemp("former")
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """A lab whose target names its staging gateway under the key that the former code knows."""
    with Lab(tmp_path) as lab:
        lab.target["twin"] = lab.target.pop("staging")
        yield lab


def run_former(former: Path, lab: Lab, *args: str, module: str = "pytest") -> Run:
    """Run the former code to its end."""
    # The entry point of today's package is none of the former code.
    options = (*BARE, "-p", "no:rollout.plugin.entry_point", *lab.options()) if module == "pytest" else ()
    command = [sys.executable, "-m", module, *options, *args, f"--reports={lab.reports}"]
    env = inherited_environment() | lab.env
    done = subprocess.run(command, cwd=former, env=env, capture_output=True, text=True, check=False, timeout=90)
    return Run(done.returncode, done.stdout + done.stderr, lab.reports)


def handed_over(former: Path, lab: Lab) -> Run:
    """Apply with the former code, whose watchdog waits for the next phase then."""
    run = run_former(former, lab, "-m", "precheck or apply")
    assert run.code == 0, run.out
    assert lab.state().active == NEW
    assert b"rollout.watchdog" in Path(f"/proc/{watchdog_of(run)}/cmdline").read_bytes()
    return run


def watchdog_of(run: Run) -> int:
    """Return the process id of the watchdog that was armed last."""
    return int(run.record_entries(Kind.ARMED)[-1].body["pid"])


def test_what_the_former_code_handed_over_is_verified_watched_and_kept(former: Path, lab: Lab):
    """Its watchdog leaves once today's has taken over."""
    first = handed_over(former, lab)
    pid = watchdog_of(first)
    run = lab.run("-m", "verify or monitor")
    assert (run.code, run.id, run.word) == (0, first.id, "KEPT"), run.out
    assert lab.state().active == NEW
    eventually(lambda: not Path(f"/proc/{pid}").exists(), "the former watchdog leaves", 20)
    assert "continued" in run.out
    assert run.out.count("twin is now staging") == 1


def test_what_the_former_code_handed_over_is_rolled_back_at_a_breach(former: Path, lab: Lab):
    handed_over(former, lab)
    lab.faults({"provider": "openai", "error_share": 1})
    run = lab.run("-m", "verify or monitor")
    assert (run.code, run.word) == (10, "ROLLED BACK, verified"), run.out
    assert lab.state().active == BEFORE


def recover(lab: Lab) -> str:
    """Run today's `rollout recover`; return its output."""
    command = [sys.executable, "-m", "rollout", "recover", f"--reports={lab.reports}"]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60).stdout


def test_a_former_watchdog_that_lives_is_left_at_its_work_by_recover(former: Path, lab: Lab):
    """The former watchdog rolls back at its deadline, and closes the rollout."""
    lab.policy["sandbox"]["confirm_within"] = "15s"
    first = handed_over(former, lab)
    assert "left alone" in recover(lab)
    assert lab.state().active == NEW
    eventually(lambda: lab.state().active == BEFORE, "the former watchdog rolls back at the deadline", 40)
    eventually(lambda: first.record.decision is Decision.ROLLED_BACK, "and closes it", 20)


def test_what_is_left_when_runner_and_former_watchdog_are_gone_is_recovered(former: Path, lab: Lab):
    lab.policy["sandbox"]["confirm_within"] = "8s"
    first = handed_over(former, lab)
    os.kill(watchdog_of(first), signal.SIGKILL)

    def recovered() -> bool:
        recover(lab)
        return first.record.decision is Decision.ROLLED_BACK

    eventually(recovered, "recover rolls back the stranded change", 60)
    assert lab.state().active == BEFORE


def test_a_rollout_that_the_former_code_kept_is_read_verified_and_rolled_back(former: Path, lab: Lab):
    run = run_former(former, lab)
    assert (run.code, run.word) == (0, "KEPT"), run.out
    command = [sys.executable, "-m", "rollout"]
    where = f"--reports={lab.reports}"
    done = subprocess.run([*command, "verify-journal", where], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "an earlier version's rule judged MON-2, MON-3, MON-5, which are not derived again" in done.stdout
    done = subprocess.run([*command, "status", "--all", where], capture_output=True, text=True, check=True, timeout=60)
    assert run.id in done.stdout
    back = subprocess.run(
        [*command, "rollback", run.id, "--reason=compatibility", where],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert back.returncode == 10, back.stdout + back.stderr
    assert lab.state().active == BEFORE


def test_what_the_former_code_approved_is_approved_today(former: Path, lab: Lab):
    """The approval covers a target with the key `twin`; today the file calls that `staging`."""
    lab.policy["sandbox"]["review"] = "recorded"
    lab.options()
    given = run_former(former, lab, "approve", str(lab.folder / "lab.yaml"), "--by=bob", module="rollout")
    assert given.code == 0, given.out
    lab.target["staging"] = lab.target.pop("twin")
    run = lab.run("-m", "precheck")
    assert run.code == 0, run.out
    given = map(entered, run.record.approvals)
    assert [each.approver for each in given if each.role is Role.REVIEWER] == ["bob"]
    assert "deprecated" not in run.out
