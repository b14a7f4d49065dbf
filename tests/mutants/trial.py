"""Run the listed tests against a copy of the repository that has one defect in it."""

from __future__ import annotations

import os
import queue
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.mutants.mutant import Mutant

COPIED = ("rollout", "tests", "checks", "scenarios", "conftest.py", "pyproject.toml")
MEMORY = Path("/dev/shm")  # noqa: S108 - the folder that is made there has a name of its own
WITHIN_S = 30.0
TEST_FAILED = 1
"""What pytest answers when a test failed, and nothing else went wrong."""

_ANSWERS = {
    0: "survived",
    TEST_FAILED: "a test failed",
    2: "an error at collection, or an interruption",
    3: "an internal error of pytest",
}
_ANSWERS |= {4: "pytest was called wrongly: a test or a conftest that cannot be loaded", 5: "no test ran"}


@dataclass(frozen=True)
class Verdict:
    """What came of one mutant.

    Attributes:
        mutant: it.
        why: why it was not killed; empty if it was.
        output: the end of what pytest said.
    """

    mutant: Mutant
    why: str
    output: str = ""


@contextmanager
def copies(root: Path, count: int) -> Iterator[queue.SimpleQueue[Path]]:
    """Give as many copies of the repository in one temporary directory, removed afterwards."""
    free: queue.SimpleQueue[Path] = queue.SimpleQueue()
    # In memory, where there is such a folder: the journals of the tests wait for the disk at every entry.
    memory = str(MEMORY) if os.access(MEMORY, os.W_OK) else None
    with TemporaryDirectory(prefix="mutants-", dir=memory) as folder:
        # As /tmp is: a database server of the tests may run as another user.
        Path(folder).chmod(0o755)
        for number in range(count):
            _copy(root, Path(folder) / str(number) / "copy")
            free.put(Path(folder) / str(number) / "copy")
        yield free


def unchanged(copy: Path, mutants: Sequence[Mutant]) -> str:
    """Run every listed test on the code as it is; return why that is not a pass, empty if it is."""
    tests = list(dict.fromkeys(test for mutant in mutants for test in mutant.tests))
    code, output = _pytest(copy, tests, WITHIN_S * len(mutants))
    why = "it takes too long" if code is None else _ANSWERS.get(code, f"exit code {code}")
    return "" if code == 0 else f"the listed tests do not pass on the unchanged code: {why}\n{output}"


def try_all(mutants: Sequence[Mutant], free: queue.SimpleQueue[Path], workers: int, on_end: Callable[[Verdict], None]):
    """Try every mutant, `workers` at once; `on_end` is called in the caller's thread, in the order of the list."""

    def work(mutant: Mutant) -> Verdict:
        copy = free.get()
        try:
            return _tried(mutant, copy)
        finally:
            free.put(copy)

    with ThreadPoolExecutor(workers) as pool:
        for verdict in pool.map(work, mutants):
            on_end(verdict)


def _tried(mutant: Mutant, copy: Path) -> Verdict:
    path = copy / mutant.module
    before, source = path.read_text(encoding="utf-8"), mutant.applied(copy)
    try:
        compile(source, mutant.module, "exec")
    except SyntaxError as error:
        return Verdict(mutant, f"not killed: it does not compile: {error}")
    _replace(path, source)
    try:
        code, output = _pytest(copy, mutant.tests, WITHIN_S)
    finally:
        _replace(path, before)
    return Verdict(mutant, "" if code == TEST_FAILED else _said(code), output)


def _said(code: int | None) -> str:
    if code is None:
        return f"not killed: it took longer than {WITHIN_S:.0f} s"
    if code == 0:
        return _ANSWERS[code]
    return f"not killed: {_ANSWERS.get(code, 'the process ended')} (exit code {code})"


def _pytest(copy: Path, tests: Sequence[str], within_s: float) -> tuple[int | None, str]:
    """Return pytest's exit code, None where it did not end in time, and the end of what it said."""
    temporary = copy.parent / "tmp"
    temporary.mkdir(exist_ok=True)
    env = {name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"}
    env |= {"PYTHONPATH": str(copy), "TMPDIR": str(temporary), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-n", "0", *tests]
    with (copy.parent / "output").open("w+b") as output:
        # A file, not a pipe: a process that a test leaves behind would keep a pipe open.
        child = subprocess.Popen(
            command, cwd=copy, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
        try:
            code = child.wait(within_s)
        except subprocess.TimeoutExpired:
            code = None
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
        output.seek(0)
        said = output.read().decode(errors="replace")
    shutil.rmtree(temporary, ignore_errors=True)
    return code, said[-3000:]


def _replace(path: Path, source: str) -> None:
    """Write a module; its compiled form goes, for it is told apart by second and length only."""
    for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
        compiled.unlink()
    path.write_text(source, encoding="utf-8")


def _copy(root: Path, copy: Path) -> None:
    copy.mkdir(parents=True)
    for name in COPIED:
        if (root / name).is_dir():
            shutil.copytree(root / name, copy / name)
        elif (root / name).exists():
            shutil.copy2(root / name, copy / name)
