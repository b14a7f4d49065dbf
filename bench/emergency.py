"""(e) How long `rollout emergency` takes from its start to its first write (EMG-1), and to its end.

A process of its own each time, as from a shell. The second moment is the activation's arrival, from the gateway's own
list of requests; of the kinds `file` and `command` it is the time of change of the file that is written. All are this
machine's clock.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.processes import compiled_in
from bench.table import Row
from tests.support.behind_a_file import Workplace, workplace
from tests.support.runs import ROOT, Lab

LIMIT_S, WHOLE_S = 0.5, 0.6
LONGEST_S = 60.0
FIRST, SECOND = ("ollama", "gemma3"), ("openai", "gpt-4o")


def measure(folder: Path, runs: int) -> list[Row]:
    """Return the median and the slowest of so many emergencies; one before them fills the caches of compiled code.

    Args:
        folder: an empty directory.
        runs: emergencies that count.

    Raises:
        RuntimeError: one was not verified, so its time means nothing.
    """
    with Lab(folder) as lab:
        lab.target |= {"url": lab.sandbox.url, "safe": {"activate": "vllm", "model": "gemma-3-4b-it"}}
        lab.options()
        took = [_one(lab) for _ in range(runs + 1)][1:]
    arrived_s, ended_s = zip(*took, strict=True)
    rows = [
        _row("from the start of `rollout emergency` to the activation's arrival", arrived_s),
        _row("to its end: read back, recorded, messages handed over", ended_s, WHOLE_S),
    ]
    with workplace(folder / "file", "yaml", "signal", starts_real=True, stale_for="2s") as at:
        rows.append(_row("the same with kind `file`, to the edit of the file", _edits(at, at.on.file, runs)))
    with workplace(folder / "command", "yaml", "signal", starts_real=True) as at:
        at.target |= {"kind": "command", "settings": _prepare_commands(at.folder)}
        took_s = _edits(at, at.folder / "now/snapshot.json", runs)
        rows.append(_row("the same with kind `command`, to what the command writes", took_s))
    return rows


def _row(what: str, took_s: Sequence[float], limit_s: float = LIMIT_S) -> Row:
    median_s, slowest_s = statistics.median(took_s), max(took_s)
    return Row(
        "e",
        f"{what}, {len(took_s)} runs",
        f"median {median_s:.2f} s, slowest {slowest_s:.2f} s",
        f"median <= {limit_s:g} s",
        met=median_s <= limit_s,
    )


def _prepare_commands(folder: Path) -> dict[str, Any]:
    """Return the settings of a gateway that is a folder: its commands take no time of their own."""
    for provider, model in (FIRST, SECOND):
        (folder / provider).mkdir()
        active = {"provider": provider, "model": model}
        snapshot = {"active": active, "providers": [{"name": name} for name, _ in (FIRST, SECOND)]}
        for name, content in (("snapshot", snapshot), ("answer", {"content": "pong", **active})):
            (folder / provider / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    shutil.copytree(folder / FIRST[0], folder / "now")
    return {
        "snapshot": ["cat", str(folder / "now/snapshot.json")],
        "activate": ["env", "MODEL={model}", "cp", "-r", f"{folder}/{{provider}}/.", str(folder / "now")],
        "ask": ["env", "PROMPT={prompt}", "cat", str(folder / "now/answer.json")],
    }


def _edits(at: Workplace, file: Path, runs: int) -> list[float]:
    """Return the seconds from the start of each emergency to the change of a file; one before them fills the caches."""
    return [_edited(at, file, to) for to in (SECOND, FIRST) * (runs // 2 + 1)][1:]


def _edited(at: Workplace, file: Path, to: tuple[str, str]) -> float:
    began = time.time()
    code, printed = at.run(
        "rollout", "emergency", "--target=lab", f"--provider={to[0]}", f"--model={to[1]}", "--yes", "--reason=measured"
    )
    if code:
        raise RuntimeError(f"it ended with {code}:\n{printed}")
    return file.stat().st_mtime - began


def _one(lab: Lab) -> tuple[float, float]:
    """Return the seconds from the start of an emergency to the activation's arrival, and to the emergency's end."""
    command = [sys.executable, "-m", "rollout", "emergency", "--target=lab", f"--reports={lab.reports}"]
    began = datetime.now(UTC)
    done = subprocess.run(  # noqa: S603 - an argument list of our own making
        [*command, f"--targets={lab.folder / 'targets.yaml'}"],
        cwd=ROOT,
        env=os.environ | compiled_in(lab.folder),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LONGEST_S,
        check=False,
    )
    ended = datetime.now(UTC)
    if done.returncode:
        raise RuntimeError(f"it ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    seen = lab.direct.get("/sandbox/requests").json()
    arrived = [datetime.fromisoformat(each["at"]) for each in seen if each["path"].endswith("/vllm/activate")]
    return (arrived[-1] - began).total_seconds(), (ended - began).total_seconds()
