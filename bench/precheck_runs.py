"""Runs of `pytest -m precheck` on an embedded gateway of their own, and the calls that such a run makes.

The plug-ins are those that a user would have: those that only the suite's own tests need are switched off, and the
report is left out, because it is not what is compared here and (d) measures it alone.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import entry_points
from itertools import count
from pathlib import Path
from typing import Any

from bench import processes
from tests.support.runs import ROOT, Lab

Call = tuple[str, str, Any]
"""Method, path with query, JSON body or None."""

BARE_PLUGINS = frozenset({"allure_pytest", "anyio"})  # httpx brings the second
OUR_PLUGINS = BARE_PLUGINS | {"timeout", "xdist", "xdist.looponfail"}
LIBRARIES = ("dotenv", "httpx", "pydantic.main", "sqlalchemy.dialects.sqlite", "tenacity", "yaml")
"""What a precheck loads that is not its own; `pydantic` itself loads next to nothing."""

_BODIES: Mapping[str, Any] = {
    "/api/v1/chat/completions": {"messages": [{"role": "user", "content": "ping"}], "max_tokens": 16}
}


def pytest_with(plugins: frozenset[str]) -> list[str]:
    """Return the start of a command line: pytest of this environment with these plug-ins, and without the others."""
    others = sorted({entry.name for entry in entry_points(group="pytest11")} - plugins)
    return [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *(f"-pno:{name}" for name in others)]


def write_libraries_only(folder: Path) -> list[str]:
    """Write an empty test, and a plug-in that loads the libraries of a precheck; return the command that runs them."""
    folder.mkdir()
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    (folder / "test_empty.py").write_text("def test_empty():\n    pass\n", encoding="utf-8")
    (folder / "libraries.py").write_text("".join(f"import {name}\n" for name in LIBRARIES), encoding="utf-8")
    return [*pytest_with(OUR_PLUGINS), "-plibraries"]


class PrecheckRuns:
    """Runs of the precheck against one gateway that runs already.

    Attributes:
        url: the gateway's.
    """

    def __init__(self, lab: Lab) -> None:
        """Prepare runs that go to the gateway, past the proxy of the lab."""
        lab.target |= {"url": lab.sandbox.url, "staging": lab.sandbox.staging_url}
        # Others repeat each request of a run; with few requests for the baseline, its pace hardly counts.
        lab.scenario["monitor"]["min_samples"] = 1
        self._lab = lab
        self._command = [
            *pytest_with(OUR_PLUGINS),
            "-pbench.without_report",
            *("-m", "precheck"),
            *lab.options(),
        ]
        self._fresh = (lab.folder / f"reports-{number}" for number in count())
        self.url = lab.sandbox.url

    def run(self) -> processes.Ended:
        """Run the precheck of a rollout of its own; RuntimeError where it fails or builds its report."""
        reports = next(self._fresh)
        ended = processes.run([*self._command, f"--reports={reports}"], ROOT, self._lab.folder)
        if any(reports.glob("*/report.html")):
            raise RuntimeError("a run built its report, which is not what is measured; correct bench/without_report.py")
        return ended

    def calls(self) -> list[Call]:
        """Return the requests that gateway and staging gateway received so far, in order.

        Raises:
            RuntimeError: there are none, or one has a body that is not known here.
        """
        seen = [
            (each["at"], each["method"], prefix + each["path"], each["body_keys"])
            for prefix in ("", "/twin")
            for each in self._lab.direct.get(f"{prefix}/sandbox/requests").json()
        ]
        if not seen:
            raise RuntimeError("the precheck sent no request; there is nothing to compare")
        unknown = [path for _, _, path, keys in seen if sorted(keys) != sorted(_BODIES.get(path, ()) if keys else ())]
        if unknown:
            raise RuntimeError(f"no body is known for {', '.join(unknown)}; add it to _BODIES")
        return [(method, path, _BODIES[path] if keys else None) for _, method, path, keys in sorted(seen)]


@contextmanager
def precheck_runs(folder: Path) -> Iterator[PrecheckRuns]:
    """Give the runs, with a gateway in an empty folder that is stopped afterwards."""
    with Lab(folder) as lab:
        yield PrecheckRuns(lab)
