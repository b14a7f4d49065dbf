"""A window longer than a job: `pytest -m monitor --for=…`, call after call, each of them a process."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rollout.cli.main import main
from rollout.journal.record import Decision, Kind
from tests.support.kinds import quick
from tests.support.runs import Lab, Run, entries, eventually

MON = [f"MON-{number}" for number in range(1, 8)]


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """A lab whose window is longer than any of its calls."""
    with quick(tmp_path) as lab:
        lab.scenario["monitor"]["window"] = "20s"
        yield lab


def recover(lab: Lab) -> int:
    return main(["recover", f"--reports={lab.reports}"])


def assert_in_progress(ended: Run) -> None:
    assert (ended.code, ended.word) == (12, "IN PROGRESS"), ended.out
    assert ended.record.decision is None
    assert ended.record.in_flight


def test_a_window_is_watched_in_three_calls_and_judged_as_one(lab: Lab):
    first = lab.run("--for=1s")
    assert_in_progress(first)
    assert re.search(r"\d+ s of the window's 20 s are left; ", first.why), first.why
    assert re.search(r"^next: pytest -m monitor --scenario=\S+, due by \S+Z; ", first.out, re.MULTILINE)
    assert "exit code: 12 IN_PROGRESS" in first.out
    assert {c: r.status for c, r in first.results.items() if c in MON} == dict.fromkeys(MON, "skipped")
    assert "IN PROGRESS: " in first.result("MON-2").message
    assert lab.state().active == "openai:gpt-4o"

    second = lab.run("-m", "monitor", "--for=1s")
    assert_in_progress(second)

    last = lab.run("-m", "monitor")
    assert (last.code, last.word) == (0, "KEPT"), last.out
    windows = [entry for entry in entries(lab.reports, last.id) if entry.kind == Kind.WINDOW]
    samples = [entry for entry in entries(lab.reports, last.id) if entry.kind == Kind.SAMPLE]
    assert len(windows) == 1
    assert samples[0].body["at_s"] < 1
    assert samples[-1].body["at_s"] >= 11
    assert first.id == second.id == last.id


def test_a_breach_in_a_later_call_rolls_the_change_back(lab: Lab):
    before = lab.state()
    assert_in_progress(lab.run("--for=1s"))
    lab.faults({"provider": "openai", "status": "offline"})
    ended = lab.run("-m", "monitor", "--for=1s")
    assert (ended.code, ended.word) == (10, "ROLLED BACK, verified"), ended.out
    assert re.match("MON-[12]: ", ended.why), "its status, or the requests that fail with it"
    assert lab.state() == before


def test_a_call_that_never_comes_is_a_change_that_is_rolled_back(lab: Lab):
    """The watchdog stays between two calls, and acts at the deadline that the closing block names."""
    before = lab.state()
    lab.policy["sandbox"]["confirm_within"] = "2s"
    assert lab.run("--for=1s").code == 12
    eventually(lambda: lab.state() == before, "the watchdog has taken the change back", 20)
    # Until it has proven that, the target is its own, and a call is turned away with 13.
    eventually(lambda: any(e.kind == Kind.CLOSED for e in entries(lab.reports)), "the watchdog has closed it", 20)
    ended = lab.run("-m", "monitor", "--for=1s")
    assert (ended.code, ended.record.decision) == (10, Decision.ROLLED_BACK), ended.out
    assert "the change was not confirmed by" in (ended.record.closed or {})["why"]


def test_a_watchdog_that_is_killed_between_two_calls_is_what_recover_is_for(
    lab: Lab, capsys: pytest.CaptureFixture[str]
):
    before = lab.state()
    lab.policy["sandbox"]["confirm_within"] = "8s"
    ended = lab.run("--for=1s")
    assert_in_progress(ended)
    record = ended.record
    assert record.armed is not None
    os.kill(record.armed["pid"], signal.SIGKILL)
    assert recover(lab) == 0
    assert "left alone: its next phase has until" in capsys.readouterr().out
    assert record.handover is not None
    deadline = datetime.fromisoformat(record.handover["deadline"])
    eventually(lambda: datetime.now(UTC) > deadline, "the deadline has passed", 20)
    assert recover(lab) == 10, capsys.readouterr().out
    assert lab.state() == before


def test_a_slice_that_left_a_trigger_out_vouches_for_nothing(lab: Lab):
    """What was deselected is not in progress: it was not reached."""
    before = lab.state()
    assert lab.run("-m", "not monitor").code == 0
    ended = lab.run("-m", "monitor", "--for=1s", "-k", "not p95")
    assert (ended.code, ended.word) == (10, "ROLLED BACK, verified"), ended.out
    assert lab.state() == before


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--for=soon",), "--for: 'soon' is not a duration; write one such as 30m"),
        (("--for=0s",), "--for: 0s is no time to watch"),
        (("--for=10",), "--for: '10' has no unit; write 10s if seconds are meant, or one such as 30m"),
        (("-m", "precheck", "--for=10m"), "--for says how long to watch, and -m selects no monitor phase"),
    ],
)
def test_a_mistake_is_refused_before_the_first_request(lab: Lab, args: tuple[str, ...], words: str):
    ended = lab.run(*args)
    assert ended.code == 4
    assert words in ended.out
    assert lab.direct.get("/sandbox/requests").json() == []


def test_calls_shorter_than_the_slowest_pace_come_to_the_windows_end(tmp_path: Path):
    """`window: 6s`, `way_back_every: 4s`, `--for=3s`: a call polls the slowest source once, and that is enough."""
    with quick(tmp_path, users_per_s=20) as lab:
        lab.scenario["monitor"] |= {"window": "6s", "way_back_every": "4s"}
        ended, calls = lab.run("--for=3s"), 1
        while ended.code == 12 and calls < 6:
            ended, calls = lab.run("-m", "monitor", "--for=3s"), calls + 1
        assert (ended.code, ended.word) == (0, "KEPT"), ended.out
        assert calls <= 4, "a window is at most doubled: 12 s, of which a call watches 3"
