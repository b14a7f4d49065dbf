"""`rollout watch` and `rollout serve` beside a run of another process: the judge is the gateway and the journal."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

import httpx

from rollout.journal.record import Kind
from tests.support.runs import ROOT, Lab, entries, eventually

FAST_S = 1.0


@contextmanager
def serving(reports: Path) -> Iterator[str]:
    """Run `rollout serve`, and return the page's URL."""
    command = [sys.executable, "-m", "rollout", "serve", f"--reports={reports}"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            (url,) = re.findall(r"http://127\.0\.0\.1:\d+/", process.stdout.readline())
            yield url
        finally:
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 0


def states(url: str) -> Iterator[dict[str, Any]]:
    """Yield the states that the page is sent."""
    with httpx.stream("GET", f"{url}events", timeout=30, trust_env=False) as answer:
        for line in answer.iter_lines():
            if line.startswith("data: "):
                yield json.loads(line.removeprefix("data: "))


def looks(state: dict[str, Any]) -> int:
    """Return how many polls of the status the page shows."""
    found = [each for card in state["rollouts"] for each in (card["window"] or {"triggers": ()})["triggers"]]
    return max((each["samples"] for each in found if each["clause"] == "MON-1"), default=0)


def test_a_run_is_followed_within_a_second_and_costs_its_window_nothing(tmp_path: Path) -> None:
    with Lab(tmp_path, users_per_s=20) as lab:
        lab.scenario["monitor"] |= {"window": "12s"}
        process = lab.begin()
        process.until(Kind.WINDOW)
        late: list[float] = []
        with serving(lab.reports) as url:
            for state in states(url):
                seen = [entry for entry in entries(lab.reports) if _is_status(entry)]
                if (shown := looks(state)) and shown <= len(seen):
                    late.append(time.time() - _seconds(seen[shown - 1].at))
                if state["rollouts"] and state["rollouts"][0]["state"] == "kept":
                    break
        ended = process.end()
        assert (ended.code, lab.state().active) == (0, "openai:gpt-4o"), ended.out
    assert len(late) >= 5
    assert median(late) <= FAST_S, late
    samples = [dict(entry.body) for entry in ended.record_entries(Kind.SAMPLE)]
    assert [sample for sample in samples if "error" in sample] == []
    assert max(sample.get("unwatched_s", 0.0) for sample in samples) < FAST_S


def _is_status(entry: Any) -> bool:
    return bool(entry.kind == Kind.SAMPLE and entry.body["source"] == "status")


def _seconds(at: str) -> float:
    return datetime.fromisoformat(at).timestamp()


def test_a_killed_run_turns_to_its_end_on_the_page_and_in_the_terminal(tmp_path: Path) -> None:
    with Lab(tmp_path, users_per_s=20) as lab:
        before = lab.state().active
        lab.scenario["monitor"] |= {"window": "60s"}
        process = lab.begin(real=True)
        process.until(Kind.WINDOW)
        (rollout,) = {entry.rollout for entry in entries(lab.reports)}
        command = [sys.executable, "-m", "rollout", "watch", rollout, f"--reports={lab.reports}"]
        with (
            serving(lab.reports) as url,
            subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as watcher,
        ):
            page = states(url)
            assert next(state for state in page if looks(state))["rollouts"][0]["state"] == "watched"
            process.signal(signal.SIGKILL)
            words = []
            for state in page:
                words.append(state["rollouts"][0]["word"])
                if state["rollouts"][0]["state"] == "rolled_back":
                    break
            printed, _ = watcher.communicate(timeout=30)
        assert watcher.returncode == 10, printed
        assert eventually(lambda: lab.state().active == before, "the watchdog has rolled back")
    assert words[-1] == "ROLLED BACK, verified"
    assert printed.splitlines()[-1].startswith("ROLLED BACK, verified: ")
    assert f"watching {before} → openai:gpt-4o" in printed
