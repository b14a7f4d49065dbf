"""What a user would take instead of the suite, each with the files that make the same calls.

Each of them checks each answer: its status is 200, and its body is JSON. The versions are pinned here
and nowhere else. An environment is installed from PyPI into the user's cache (`~/.cache/rollout-bench`), once for each
list of requirements and each Python, so that only the first run of a bench waits for it.
"""

from __future__ import annotations

import hashlib
import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import yaml
from packaging.requirements import Requirement

from bench.precheck_runs import Call
from tests.support import environments

PER_CALL_S = 10
_BARE = '''\
"""The same requests, by hand."""

import httpx
import pytest

CALLS = {calls!r}


@pytest.fixture(scope="session")
def gateway():
    with httpx.Client(base_url={url!r}, timeout={timeout}) as client:
        yield client


@pytest.mark.parametrize(("method", "path", "body"), CALLS)
def test_call(gateway, method, path, body):
    answer = gateway.request(method, path, json=body)
    assert answer.status_code == 200
    assert answer.json()
'''
_TAVERN_CHECKS = """\
def is_json(response):
    assert response.json()
"""
_CHAOS_CHECKS = """\
def is_json(value):
    return value["status"] == 200 and isinstance(value["body"], (dict, list)) and bool(value["body"])
"""
# The answers are parsed together: a process that parses one takes longer than the call.
_CURL = """\
#!/bin/sh
set -eu
: >answers
call() {{
    answer=$(curl --silent --show-error --max-time {timeout} --write-out ' %{{http_code}}' --request "$@")
    case $answer in
    ?*' 200') printf '%s\\n' "${{answer% 200}}" >>answers ;;
    *) echo "$*: $answer" >&2; exit 1 ;;
    esac
}}
{calls}
exec {python} -m json.tool --json-lines answers parsed
"""


@dataclass(frozen=True, slots=True)
class Tool:
    """One of them.

    Attributes:
        name: as a reader knows it.
        requirements: what to install; the versions of these distributions are printed. A tool without any is a program
            of the machine, of that name.
        command: the arguments after the environment's interpreter; for a program of the machine, the whole start of the
            command line.
        write: writes the files of the calls into a folder, for a gateway's URL, and returns the command's arguments.
    """

    name: str
    requirements: tuple[str, ...]
    command: tuple[str, ...]
    write: Callable[[Path, str, Sequence[Call]], list[str]]


@dataclass(frozen=True, slots=True)
class Found:
    """A tool on this machine.

    Attributes:
        tool: which.
        start: the start of its command line, as an argument list.
        versions: what is measured, in words.
        why: why it cannot be had; empty where it can.
    """

    tool: Tool
    start: tuple[str, ...] = ()
    versions: str = ""
    why: str = ""


def find(tool: Tool) -> Found:
    """Return the tool, installed where it has an environment of its own, or the reason why it cannot be had."""
    if not tool.requirements:
        return _find_program(tool)
    listed = hashlib.sha256("\n".join(tool.requirements).encode()).hexdigest()[:8]
    release = f"py{sys.version_info.major}{sys.version_info.minor}"
    name = tool.name.lower().replace(" ", "-")
    folder = environments.cached("rollout-bench") / f"{name}-{release}-{listed}"
    if why := environments.install(folder, tool.requirements):
        return Found(tool, why=f"it cannot be installed: {why}")
    python = str(environments.python_of(folder))
    return Found(tool, (python, *tool.command), _versions(python, tool.requirements))


def _find_program(tool: Tool) -> Found:
    program = shutil.which(tool.name)
    if program is None:
        return Found(tool, why=f"there is no {tool.name} on this machine")
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)  # noqa: S603 - found above
    return Found(tool, tool.command, " ".join(done.stdout.split()[:2]))


def _versions(python: str, requirements: Sequence[str]) -> str:
    """Return ``tavern 3.7.1, pytest 8.4.2``, of an environment."""
    names = [Requirement(requirement).name for requirement in requirements]
    source = "import sys; from importlib.metadata import version; print(*map(version, sys.argv[1:]))"
    command = [python, "-c", source, *names]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - our own
    return ", ".join(f"{name} {found}" for name, found in zip(names, done.stdout.split(), strict=True))


def write_bare(folder: Path, url: str, calls: Sequence[Call]) -> list[str]:
    """Write a file of plain pytest with one test a call, and return pytest's arguments: it leaves Allure's results."""
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    source = _BARE.format(calls=list(calls), url=url, timeout=PER_CALL_S)
    (folder / "test_bare.py").write_text(source, encoding="utf-8")
    return [f"--alluredir={folder / 'allure-results'}", f"--junitxml={folder / 'junit.xml'}"]


def write_tavern(folder: Path, url: str, calls: Sequence[Call]) -> list[str]:
    """Write one test with a stage a call, which is less work than a test a call, and return pytest's arguments."""
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    (folder / "answers.py").write_text(_TAVERN_CHECKS, encoding="utf-8")
    stages = [
        {
            "name": f"{number}: {method} {path}",
            "request": {"url": url + path, "method": method, "timeout": PER_CALL_S} | ({"json": body} if body else {}),
            "response": {"status_code": 200, "verify_response_with": {"function": "answers:is_json"}},
        }
        for number, (method, path, body) in enumerate(calls, 1)
    ]
    test = yaml.safe_dump({"test_name": "precheck", "stages": stages}, sort_keys=False)
    (folder / "test_precheck.tavern.yaml").write_text(test, encoding="utf-8")
    return [f"--junitxml={folder / 'junit.xml'}"]


def write_chaos(folder: Path, url: str, calls: Sequence[Call]) -> list[str]:
    """Write an experiment whose steady state is one probe a call, and return the arguments of `chaos`.

    The hypothesis is tried once, after an empty method: `chaos` ends with 0 where the one before it is not met.
    """
    (folder / "answers.py").write_text(_CHAOS_CHECKS, encoding="utf-8")
    check = {
        "type": "probe",
        "name": "is JSON",
        "provider": {"type": "python", "module": "answers", "func": "is_json", "arguments": {"value": None}},
    }
    probes = [
        {
            "type": "probe",
            "name": f"{number}: {method} {path}",
            "tolerance": check,
            "provider": {"type": "http", "url": url + path, "method": method, "timeout": PER_CALL_S}
            | ({"headers": {"Content-Type": "application/json"}, "arguments": body} if body else {}),
        }
        for number, (method, path, body) in enumerate(calls, 1)
    ]
    experiment = {
        "title": "precheck",
        "description": "The calls of a precheck.",
        "steady-state-hypothesis": {"title": "each call is answered with 200 and JSON", "probes": probes},
        "method": [],
        "rollbacks": [],
    }
    (folder / "experiment.json").write_text(json.dumps(experiment, indent=2), encoding="utf-8")
    own = ["--no-version-check", f"--settings={folder / 'settings.yaml'}"]
    return [*own, "run", "--hypothesis-strategy=after-method-only", "experiment.json"]


def write_curl(folder: Path, url: str, calls: Sequence[Call]) -> list[str]:
    """Write a script with one `curl` a call, which ends at the first that fails, and return the arguments of `sh`."""
    lines = [shlex.join(["call", *_curl_arguments(url, call)]) for call in calls]
    source = _CURL.format(calls="\n".join(lines), python=shlex.quote(sys.executable), timeout=PER_CALL_S)
    (folder / "calls.sh").write_text(source, encoding="utf-8")
    return ["calls.sh"]


def _curl_arguments(url: str, call: Call) -> list[str]:
    method, path, body = call
    sent = ["--header", "Content-Type: application/json", "--data", json.dumps(body)] if body else []
    return [method, url + path, *sent]


TAVERN = Tool(
    "Tavern",
    # Tavern 3.7 says that it runs on pytest 9, and imports a module that pytest 9.2 has no more.
    ("tavern>=3.7,<4", "pytest>=8.4,<9"),
    ("-m", "pytest", "-p", "no:cacheprovider"),
    write_tavern,
)
CHAOS_TOOLKIT = Tool("Chaos Toolkit", ("chaostoolkit>=1.19,<2",), ("-m", "chaostoolkit"), write_chaos)
CURL = Tool("curl", (), ("sh",), write_curl)
BARE = Tool(
    "bare pytest",
    # The versions that the suite runs on here: the two differ in what they do only.
    tuple(f"{name}=={version(name)}" for name in ("pytest", "httpx", "allure-pytest")),
    ("-m", "pytest", "-p", "no:cacheprovider"),
    write_bare,
)
TOOLS = (TAVERN, CHAOS_TOOLKIT, CURL, BARE)
