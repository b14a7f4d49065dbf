"""A forked process behaves as one that `python -m` starts."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support import forks
from tests.support.forks import ROOT, Child, Server, Started
from tests.support.runs import eventually, inherited_environment

Begin = Callable[..., Child]

REPORTS_ITSELF = """
import atexit, json, os, sys, threading
atexit.register(print, "at its exit")
about = {
    "argv": sys.argv[1:], "name": __name__, "cwd": os.getcwd(), "path": sys.path[0],
    "env": dict(os.environ), "input": sys.stdin.read(), "leads": os.getsid(0) == os.getpid(),
}
print(json.dumps(about), flush=True)
print("and its errors", file=sys.stderr)
threading.Timer(0.1, print, ["a thread ends"]).start()
sys.exit(7)
"""
# The tests may run with signals ignored, as under nohup, and ignored signals are inherited.
WAITS = """
import signal, time
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)
print("it runs", flush=True)
time.sleep(60)
"""
CRASHES = "raise ValueError('of its own')\n"
LOOKS_AROUND = """
import json, os
from importlib import metadata
import beside
print(json.dumps([os.getcwd(), beside.NAME, [each.name for each in metadata.entry_points(group="beside")]]))
"""
LEAVES = "import sys; sys.exit('words of its own')\n"


@pytest.fixture(params=["forked", "started"])
def begins(request: pytest.FixtureRequest) -> Begin:
    """Begin a module, forked or as people start it: whatever is true of one is true of the other."""
    return forks.server().start if request.param == "forked" else Started


@pytest.fixture
def begin(begins: Begin, tmp_path: Path) -> Begin:
    """Begin a program as a module, from the project's root."""

    def made(program: str, *args: str, env: Mapping[str, str] | None = None) -> Child:
        (tmp_path / "program.py").write_text(program, encoding="utf-8")
        arguments = [str(tmp_path / "program.py"), *args]
        return begins(
            "tests.support.program", arguments, out=tmp_path / "out.txt", env=inherited_environment() | dict(env or {})
        )

    return made


def about(child: Child) -> Any:
    return json.loads(child.text.splitlines()[0])


def test_it_has_arguments_environment_directory_streams_and_an_exit_code(begin: Begin):
    child = begin(REPORTS_ITSELF, "one", "two three", env={"OF_ITS_OWN": "x"})
    assert child.wait(60) == 7
    assert child.code == 7
    found = about(child)
    assert (found["argv"][-2:], found["name"], found["cwd"]) == (["one", "two three"], "__main__", str(ROOT))
    assert (found["input"], found["leads"]) == ("", False)
    assert found["env"]["OF_ITS_OWN"] == "x"
    assert "PYTEST_CURRENT_TEST" not in found["env"]
    for words in ("and its errors", "a thread ends", "at its exit"):
        assert words in child.text


def test_it_runs_in_another_folder_and_finds_what_is_there_and_what_pythonpath_names(begins: Begin, tmp_path: Path):
    folder, site = tmp_path / "folder", tmp_path / "site"
    about_it = site / "beside-1.0.dist-info"
    folder.mkdir()
    about_it.mkdir(parents=True)
    (folder / "looks_around.py").write_text(LOOKS_AROUND, encoding="utf-8")
    (site / "beside.py").write_text("NAME = 'beside'\n", encoding="utf-8")
    (about_it / "METADATA").write_text("Metadata-Version: 2.1\nName: beside\nVersion: 1.0\n", encoding="utf-8")
    (about_it / "entry_points.txt").write_text("[beside]\nfound = beside:NAME\n", encoding="utf-8")
    child = begins(
        "looks_around",
        [],
        out=tmp_path / "out.txt",
        env=inherited_environment() | {"PYTHONPATH": str(site)},
        cwd=folder,
    )
    assert child.wait(60) == 0, child.text
    assert about(child) == [str(folder), "beside", ["found"]]


def test_what_is_raised_is_a_traceback_and_exit_code_1(begin: Begin):
    child = begin(CRASHES)
    assert child.wait(60) == 1
    assert "ValueError: of its own" in child.text


def test_what_it_leaves_with_is_printed_and_exit_code_1(begin: Begin):
    child = begin(LEAVES)
    assert child.wait(60) == 1
    assert child.text == "words of its own\n"


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGTERM, -signal.SIGTERM), (signal.SIGKILL, -signal.SIGKILL), (signal.SIGHUP, -signal.SIGHUP)],
)
def test_a_signal_ends_it(begin: Begin, number: signal.Signals, code: int):
    child = begin(WAITS)
    eventually(lambda: "it runs" in child.text, "it runs")
    assert child.code is None
    child.kill(number)
    assert child.wait(60) == code


def test_ctrl_c_is_a_keyboard_interrupt(begin: Begin):
    child = begin(WAITS)
    eventually(lambda: "it runs" in child.text, "it runs")
    child.kill(signal.SIGINT)
    assert child.wait(60) in (-signal.SIGINT, 130)
    assert "KeyboardInterrupt" in child.text


def test_one_that_does_not_end_in_time_is_ended_and_said(begin: Begin):
    child = begin(WAITS)
    eventually(lambda: "it runs" in child.text, "it runs")
    with pytest.raises(AssertionError, match=r"did not end within 0.1 s:\nit runs"):
        child.wait(0.1)
    assert child.wait(60) == -signal.SIGKILL


def test_it_leads_a_session_and_writes_no_larger_file_where_that_is_asked(tmp_path: Path):
    program = tmp_path / "program.py"
    program.write_text(REPORTS_ITSELF + "\n", encoding="utf-8")
    start, env = forks.server().start, {"PATH": os.environ["PATH"]}
    child = start("tests.support.program", [str(program)], out=tmp_path / "out.txt", env=env, session=True)
    assert child.wait(60) == 7
    assert about(child)["leads"]
    program.write_text("open(__file__ + '.big', 'wb', 0).write(bytes(2000))", encoding="utf-8")
    child = start("tests.support.program", [str(program)], out=tmp_path / "small.txt", env=env, file_bytes=1000)
    child.wait(60)
    assert (tmp_path / "program.py.big").stat().st_size == 1000


def test_children_end_with_the_server(tmp_path: Path):
    (tmp_path / "program.py").write_text(WAITS, encoding="utf-8")
    with Server() as server:
        args = ("tests.support.program", [str(tmp_path / "program.py")])
        child = server.start(*args, out=tmp_path / "out.txt", env={"PATH": os.environ["PATH"]})
        eventually(lambda: "it runs" in child.text, "it runs")
    assert child.wait(10) == -signal.SIGKILL
