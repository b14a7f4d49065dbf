"""Whether a documented command line would be accepted: one rule for each program, judged by what judges it in use."""

from __future__ import annotations

import argparse
import asyncio
import io
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from configparser import ConfigParser
from contextlib import redirect_stderr
from functools import cache, cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from _pytest.mark.expression import Expression

from rollout.cli import main
from rollout.cli.init.files import WHEEL
from rollout.core.clauses import LATER_PHASES, PHASES
from rollout.core.request import EMBEDDED
from rollout.core.schemas.validators import InvalidValue, waivable
from rollout.core.units import duration
from rollout.plugin.entry_point import CONFORMANCE
from rollout.sandbox.server import Options, Sandbox
from tests.support.command_lines import CommandLine, commands_in
from tests.support.forks import ROOT

EXAMPLES = frozenset({"scenarios/first-change.yaml", "scenarios/openai.yaml"})
"""Scenarios that the documents name and the project does not ship: the reader writes them."""

OTHERS = frozenset(
    {
        *(".", "[", "break", "cat", "cd", "done", "echo", "export", "for"),
        *("gh", "head", "jq", "mail", "mkdir", "printf", "sed", "sleep", "ssh-keygen", "true"),
    }
)
"""Programs and words of a shell that are not the project's own: no rule judges their arguments."""

_PIP_OPTIONS = {"install": {"-q", "-e"}, "wheel": {"--no-deps", "-w"}}
_TOOLS = ("tox", "pre-commit")
"""Programs of the package index that the documents install."""

_PLACEHOLDER = re.compile(r"…|[A-Z][A-Z_-]*|\$\S+")
_LOOPBACK = re.compile(r"http://(?:127\.0\.0\.1|localhost):\d+")
_GATEWAY = "http://127.0.0.1:8000"

Rule = Callable[[Sequence[str], bool], Iterator[str]]
"""Yields what is wrong with the arguments of a program, which may lack some in a mention."""


class CommandRules:
    """The rules of every program that the documents call."""

    def __init__(self, options: Any, folder: Path) -> None:
        """Judge by these options.

        Args:
            options: pytest's own parser, of a session in which the plugin is registered.
            folder: an empty directory, for the gateway that answers what is sent to the embedded one.
        """
        self._options, self._folder = options, folder
        self._rules: Mapping[str, Rule] = {
            "rollout": self._rollout,
            "pytest": self._pytest,
            "python": self._python,
            "python3": self._python,
            "pip": _pip,
            "tox": self._tox,
            ".ci/run": _ci_step,
            "curl": self._curl,
        }

    def problems(self, line: CommandLine) -> list[str]:
        """Return what is wrong with a command line, a line each with its place; empty if nothing is."""
        try:
            commands = commands_in(line.passage.text)
        except ValueError as error:
            return [f"{line.passage}: {line.passage.text!r} is no command line: {error}"]
        return [
            f"{line.passage}: {' '.join(command)}: {problem}"
            for command in commands
            for problem in self._judged(command, line.is_mention)
        ]

    def _judged(self, command: Sequence[str], is_mention: bool) -> Iterator[str]:
        program = command[0].removeprefix(".venv/bin/")
        if program in self._rules:
            yield from self._rules[program](command[1:], is_mention)
        elif program not in OTHERS:
            yield f"no rule knows {program!r}; add one, or name it in tests/support/command_rules.py, OTHERS"

    def _rollout(self, words: Sequence[str], is_mention: bool) -> Iterator[str]:
        is_emergency = words[:1] == [main.EMERGENCY.name]
        yield from _parsed(_parser(is_emergency, is_mention).parse_args, words, is_mention)

    def _pytest(self, words: Sequence[str], is_mention: bool) -> Iterator[str]:
        if any(word.startswith(CONFORMANCE) for word in words):
            # Naming the kit loads its plugin, whose one option this is.
            words = [word for word in words if not word.startswith("--driver=")]

        def parse(arguments: Sequence[str]) -> argparse.Namespace:
            given, unknown = self._options.parse_known_and_unknown_args(arguments)
            if unknown:
                raise pytest.UsageError(f"pytest has no option {unknown[0].partition('=')[0]}")
            return given

        yield from _parsed(parse, words, is_mention)

    def _python(self, words: Sequence[str], is_mention: bool) -> Iterator[str]:
        if words[:1] != ["-m"] or len(words) == 1:
            yield "name the module with -m"
            return
        module, *rest = words[1:]
        if module in self._rules:
            yield from self._rules[module](rest, is_mention)
        elif not _is_importable(module):
            yield f"there is no module {module}"

    def _tox(self, words: Sequence[str], is_mention: bool) -> Iterator[str]:
        asked, rest = (list(words), [])
        if "--" in asked:
            asked, rest = asked[: asked.index("--")], asked[asked.index("--") + 1 :]
        if asked[:2] != ["run", "-e"] or len(asked) != 3:
            yield "write `tox run -e NAME`"
            return
        for name in asked[2].split(","):
            section = f"testenv:{name}"
            if section in self._tox_ini:
                for line in self._tox_ini[section]["commands"].strip().splitlines():
                    command = [word for part in line.split() for word in (rest if part == "{posargs}" else [part])]
                    yield from self._judged(command, is_mention) if "{posargs}" in line else ()
            elif not _is_placeholder(name):
                yield f"tox.ini has no environment {name}"

    @cached_property
    def _tox_ini(self) -> ConfigParser:
        parser = ConfigParser(interpolation=None)
        parser.read(ROOT / "tox.ini", encoding="utf-8")
        return parser

    def _curl(self, words: Sequence[str], _is_mention: bool) -> Iterator[str]:
        parser = argparse.ArgumentParser(exit_on_error=False)
        for flag in "sSf":
            parser.add_argument(f"-{flag}", action="store_true")
        parser.add_argument("-X", dest="method")
        parser.add_argument("-H", dest="headers", action="append", default=[])
        parser.add_argument("-d", dest="body")
        parser.add_argument("-o", dest="output")
        parser.add_argument("url")
        given, unknown = parser.parse_known_args(words)
        if unknown:
            yield f"the rule of curl does not know {unknown[0]}"
        elif _LOOPBACK.match(given.url):
            method = given.method or ("GET" if given.body is None else "POST")
            headers = dict(header.split(": ", 1) for header in given.headers)
            status = asyncio.run(self._answer(method, _LOOPBACK.sub("", given.url), given.body, headers))
            if status != httpx.codes.OK:
                yield f"the embedded gateway answers {status}"

    async def _answer(self, method: str, path: str, body: str | None, headers: Mapping[str, str]) -> int:
        transport = httpx.ASGITransport(self._gateway._build())
        async with httpx.AsyncClient(transport=transport, base_url=_GATEWAY) as client:
            return (await client.request(method, path, content=body, headers=headers)).status_code

    @cached_property
    def _gateway(self) -> Sandbox:
        return Sandbox(Options(self._folder), _GATEWAY)


@cache
def _parser(is_emergency: bool, is_mention: bool) -> argparse.ArgumentParser:
    """Return the parser of the command `rollout`; that of a mention demands no argument."""
    parser = main._emergency_parser() if is_emergency else main.build_parser()
    if is_mention:
        _demand_nothing(parser)
    return parser


def _demand_nothing(parser: argparse.ArgumentParser) -> None:
    """Let a parser and those of its commands accept a line without the arguments that they require."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                _demand_nothing(command)
        else:
            action.required = False
    for group in parser._mutually_exclusive_groups:
        group.required = False


def _parsed(
    parse: Callable[[Sequence[str]], argparse.Namespace], words: Sequence[str], is_mention: bool
) -> Iterator[str]:
    """Yield why a parser refuses the arguments, or which of their values name nothing."""
    # A sentence may name an option without its value.
    attempts = [words, [*words, "…"]] if is_mention and words and words[-1].startswith("-") else [words]
    refusals = []
    for attempt in attempts:
        said = io.StringIO()
        try:
            with redirect_stderr(said):
                given = parse(attempt)
        except (SystemExit, pytest.UsageError) as refusal:
            refusals.append(_reason(said.getvalue() or str(refusal)))
        else:
            yield from _odd_values(vars(given))
            return
    yield refusals[0]


def _reason(message: str) -> str:
    """Return the line of a refusal that is neither the usage nor, as pytest prints it, the place of the ini file."""
    lines = message.strip().splitlines()
    return next((line.partition(": error: ")[2] for line in lines if ": error: " in line), lines[-1])


def _odd_values(given: Mapping[str, Any]) -> Iterator[str]:
    """Yield which values name no scenario, path, target, waiver, duration or phase of the project."""
    names_a_new_target = given.get("module") == "rollout.cli.doctor.command"
    for key, judge in _VALUES.items():
        values = given.get(key) or ()
        for value in [values] if isinstance(values, (str, Path)) else values:
            if not (_is_placeholder(str(value)) or (key == "target" and names_a_new_target)):
                yield from judge(str(value))


def _scenario(value: str) -> Iterator[str]:
    is_file = value.endswith((".yaml", ".yml"))
    if is_file and value not in EXAMPLES and not (ROOT / value).is_file():
        yield f"the project has no scenario {value}; ship it, or name it in tests/support/command_rules.py, EXAMPLES"


def _path(value: str) -> Iterator[str]:
    if not (ROOT / value).exists() and not (value.startswith(CONFORMANCE) and _is_importable(value)):
        yield f"there is no {value}"


@cache
def _targets() -> frozenset[str]:
    return frozenset({EMBEDDED, *yaml.safe_load((ROOT / "scenarios" / "targets.yaml").read_text(encoding="utf-8"))})


def _target(value: str) -> Iterator[str]:
    if value not in _targets():
        yield f"scenarios/targets.yaml has no target {value}"


def _waiver(value: str) -> Iterator[str]:
    try:
        waivable(value)
    except InvalidValue as error:
        yield str(error)


def _duration(value: str) -> Iterator[str]:
    try:
        duration(value)
    except ValueError as error:
        yield str(error)


def _phases(value: str) -> Iterator[str]:
    try:
        Expression.compile(value)
    except SyntaxError as error:
        yield f"-m {value!r} is no expression: {error}"
    for name in re.findall(r"\w+", value):
        if name not in {*PHASES, *LATER_PHASES, "and", "or", "not"}:
            yield f"{name} is no phase"


_VALUES: Mapping[str, Callable[[str], Iterator[str]]] = {
    "scenario": _scenario,
    "what": _scenario,
    "file_or_dir": _path,
    "target": _target,
    "reconcile": _target,
    "waiver": _waiver,
    "duration": _duration,
    "wait": _duration,
    "watch_for": _duration,
    "markexpr": _phases,
}
"""Destination of an option or argument -> what judges its value."""


def _is_placeholder(value: str) -> bool:
    return bool(_PLACEHOLDER.fullmatch(value))


def _is_importable(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def _pip(words: Sequence[str], _is_mention: bool) -> Iterator[str]:
    """Judge ``pip install`` and ``pip wheel``; the package is never one of the index, which has another by its name."""
    known = _PIP_OPTIONS.get(words[0]) if words else None
    if known is None or {word for word in words if word.startswith("-")} - known:
        yield "the rule of pip knows `pip install -q -e` and `pip wheel --no-deps -w FOLDER` only"
        return
    folders = [words[words.index("-w") + 1]] if "-w" in words else []
    for word in words[1:]:
        if not word.startswith("-") and word not in folders:
            yield from _package(word)


def _package(word: str) -> Iterator[str]:
    """Yield what is wrong with what pip is to install or to build: a checkout, the wheel or a tool, and its extras."""
    name, _, extras = word.removesuffix("]").partition("[")
    if name not in {".", WHEEL, *_TOOLS} and not _is_placeholder(name):
        yield f"{name} is neither a checkout nor {WHEEL}"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for extra in filter(None, extras.split(",")):
        if extra not in project["optional-dependencies"]:
            yield f"the project has no extra {extra}"


def _ci_step(words: Sequence[str], _is_mention: bool) -> Iterator[str]:
    functions = re.findall(r"^(\w+)\(\) \{", (ROOT / ".ci" / "run").read_text(encoding="utf-8"), re.MULTILINE)
    known = set(functions) - {"run_tests"}
    for word in words:
        if word not in known and not _is_placeholder(word):
            yield f".ci/run has no step {word}"
