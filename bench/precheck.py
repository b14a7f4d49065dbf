"""(a) How much longer `pytest -m precheck` takes than a bare file that makes the same HTTP calls.

Both run as processes of their own, against one gateway that runs already, alternating, with the plug-ins that their
users would have; plug-ins that only the suite's own tests and documents need are switched off on both sides. The bare
file sends its requests without a pause; the pauses of the suite's own requests count as the suite's time.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import entry_points
from itertools import count
from pathlib import Path
from typing import Any

from bench.table import Row
from tests.support.runs import ROOT, Lab

RATIO, MORE_S = 1.5, 0.6
LONGEST_RUN_S = 60.0

_BARE_PLUGINS = frozenset({"allure_pytest", "anyio"})  # httpx brings the second
_OUR_PLUGINS = _BARE_PLUGINS | {"timeout", "xdist", "xdist.looponfail"}
_BODIES: Mapping[str, Any] = {
    "/api/v1/chat/completions": {"messages": [{"role": "user", "content": "ping"}], "max_tokens": 16}
}
_BARE = '''\
"""The same requests, by hand."""

import httpx
import pytest

CALLS = {calls!r}


@pytest.fixture(scope="session")
def gateway():
    with httpx.Client(base_url={url!r}, timeout=10) as client:
        yield client


@pytest.mark.parametrize(("method", "path", "body"), CALLS)
def test_call(gateway, method, path, body):
    answer = gateway.request(method, path, json=body)
    assert answer.status_code == 200
    assert answer.json()
'''


def measure(folder: Path, runs: int) -> list[Row]:
    """Return the medians of so many pairs of runs; one pair before them fills the caches of compiled code.

    Args:
        folder: an empty directory.
        runs: pairs that count.

    Raises:
        RuntimeError: a run failed, so there is nothing to compare.
    """
    with Lab(folder) as lab:
        lab.target |= {"url": lab.sandbox.url, "staging": lab.sandbox.staging_url}
        # The bare file repeats each request; with few requests for the baseline, its pace hardly counts.
        lab.scenario["monitor"]["min_samples"] = 1
        options = lab.options()
        fresh = (folder / f"reports-{number}" for number in count())
        ours = [*_pytest(_OUR_PLUGINS), "-pbench.without_report", "-m", "precheck", *options]
        _timed([*ours, f"--reports={next(fresh)}"], ROOT, folder)
        calls = _calls(lab)
        bare = _bare(folder / "bare", lab.sandbox.url, calls)
        _timed(bare, folder / "bare", folder)
        pairs = [
            (_timed([*ours, f"--reports={next(fresh)}"], ROOT, folder), _timed(bare, folder / "bare", folder))
            for _ in range(runs)
        ]
    if any(folder.glob("reports-*/*/report.html")):
        raise RuntimeError("a run built its report, which is not what is measured; correct bench/without_report.py")
    our_s, bare_s = (statistics.median(column) for column in zip(*pairs, strict=True))
    return [
        Row(
            "a",
            f"`pytest -m precheck` against a bare file with the same {len(calls)} calls, median of {runs}",
            f"{our_s:.2f} s / {bare_s:.2f} s = {our_s / bare_s:.2f}x, {our_s - bare_s:+.2f} s",
            f"<= {RATIO:g}x or <= {MORE_S:g} s more",
            met=our_s / bare_s <= RATIO or our_s - bare_s <= MORE_S,
        )
    ]


def _pytest(plugins: frozenset[str]) -> list[str]:
    others = sorted({entry.name for entry in entry_points(group="pytest11")} - plugins)
    return [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *(f"-pno:{name}" for name in others)]


def _bare(folder: Path, url: str, calls: Sequence[tuple[str, str, Any]]) -> list[str]:
    folder.mkdir()
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    (folder / "test_bare.py").write_text(_BARE.format(calls=list(calls), url=url), encoding="utf-8")
    return [*_pytest(_BARE_PLUGINS), f"--alluredir={folder / 'allure-results'}", f"--junitxml={folder / 'junit.xml'}"]


def _calls(lab: Lab) -> list[tuple[str, str, Any]]:
    """Return the requests of gateway and staging gateway so far, in order: method, path with query, JSON."""
    seen = [
        (each["at"], each["method"], prefix + each["path"], each["body_keys"])
        for prefix in ("", "/twin")
        for each in lab.direct.get(f"{prefix}/sandbox/requests").json()
    ]
    if not seen:
        raise RuntimeError("the precheck sent no request; there is nothing to compare")
    unknown = [path for _, _, path, keys in seen if keys and path not in _BODIES]
    if unknown:
        raise RuntimeError(f"no body is known for {', '.join(unknown)}; add it to _BODIES")
    return [(method, path, _BODIES.get(path)) for _, method, path, _ in sorted(seen)]


def compiled_in(folder: Path) -> dict[str, str]:
    """Return the environment in which Python keeps compiled code there, as it does beside the sources by default."""
    return {"PYTHONPYCACHEPREFIX": str(folder / "compiled"), "PYTHONDONTWRITEBYTECODE": ""}


def _timed(command: Sequence[str], where: Path, folder: Path) -> float:
    """Return the seconds from the start of a process to its end."""
    began = time.perf_counter()
    done = subprocess.run(  # noqa: S603 - an argument list of our own making
        command,
        cwd=where,
        env=os.environ | compiled_in(folder),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LONGEST_RUN_S,
        check=False,
    )
    took_s = time.perf_counter() - began
    if done.returncode:
        raise RuntimeError(f"{json.dumps(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return took_s
