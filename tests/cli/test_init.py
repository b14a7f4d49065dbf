"""``rollout init``: its files load, none is overwritten, and a mistake is refused before one is written."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from rollout.cli.main import main
from rollout.config.load import load
from rollout.config.policies import BUILT_IN
from rollout.config.yaml_source import read_yaml
from rollout.core.errors import InvalidInput
from rollout.core.request import Request
from rollout.gateway.embedded_proof import doubt_request
from rollout.sandbox.process import Running, start, stop
from rollout.sandbox.settings import SandboxSettings
from tests.support import forks, unprivileged
from tests.support.documents import pipeline_commands
from tests.support.liar import Liar, answer, edited

VARIABLE, TOKEN = "INIT_GATEWAY_TOKEN", "t0ken-of-the-test-91c4"
SCENARIO = "scenarios/first-change.yaml"
FILES = {
    *(".gitignore", "rollout.toml", SCENARIO, "scenarios/policy.yaml", "scenarios/targets.yaml"),
    *(f"scenarios/schemas/{name}.json" for name in ("scenario", "target", "policy")),
}
WORKFLOW = ".github/workflows/rollout.yml"
GIVEN = {
    "ticket": "OPS-4711",
    "author": "alice",
    "risk": "low, a new contract",
    "affects": "every chat user",
    "cost": "none",
    "name": "carol",
    "contact": "carol@example.com",
    "notify": "[log]",
    "activate": "openai",
    "model": "gpt-4o",
}
"""What people fill in, by key."""

Init = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A gateway that asks for a token."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, TOKEN)
        settings = SandboxSettings.from_mapping({"users_per_s": 0})
        running = start(tmp_path_factory.mktemp("gateway") / "state", settings=settings, token_env=VARIABLE)
    yield running
    stop(running)


@pytest.fixture
def liar(sandbox: Running) -> Iterator[Liar]:
    """A gateway that is not the embedded one, for all that it shows."""
    with Liar(sandbox.url) as liar:
        liar.rule("/sandbox/about", answer(404, {"detail": "Not Found"}))
        yield liar


@pytest.fixture
def init(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Init:
    """Run ``rollout init`` in a folder of its own, the token set; gives exit code and output."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(VARIABLE, TOKEN)

    def run(*words: str) -> tuple[int, str]:
        try:
            code = main(["init", *words])
        except SystemExit as ended:
            code = int(str(ended.code))
        said = capsys.readouterr()
        return code, said.out + said.err

    return run


def files_in(folder: Path) -> dict[str, bytes]:
    """Return path -> content of every file."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def loaded(folder: Path, env: Mapping[str, str] | None = None) -> Request:
    """Return the request of the first change, as a run loads it."""
    return load(
        scenario=folder / SCENARIO,
        activate=None,
        ticket=None,
        target=None,
        gateway=None,
        directory=folder / "scenarios",
        env={VARIABLE: TOKEN} if env is None else env,
        doubt=doubt_request,
    )


def refused_by_its_schema(path: Path) -> list[str]:
    """Return what the schema that a file's first line names refuses in it, by path."""
    named = re.fullmatch(r"# yaml-language-server: \$schema=(\S+)", path.read_text().splitlines()[0])
    assert named, f"{path} names no schema"
    schema = json.loads((path.parent / named[1]).read_text())
    return [error.json_path for error in Draft202012Validator(schema).iter_errors(read_yaml(path, path.name).data)]


def fill_in(path: Path) -> list[str]:
    """Give each key that is marked what only people can give, and return the keys."""
    keys: list[str] = []

    def given(match: re.Match[str]) -> str:
        keys.append(match["key"])
        return f"{match['key']}: {GIVEN[match['key']]}"

    path.write_text(re.sub(r"(?P<key>\w+): # FILL IN.*", given, path.read_text()))
    return keys


# What is written


def test_without_a_gateway_it_starts_from_the_embedded_one(init: Init) -> None:
    """Every file loads and fits its schema; the policy is the built-in one, written down."""
    code, said = init("a demo")
    folder = Path("a demo")
    assert code == 0, said
    assert set(files_in(folder)) == FILES | {WORKFLOW}
    request = loaded(folder)
    assert (str(request.scenario.changes[0]), request.target.url) == ("openai:gpt-4o", None)
    assert (request.scenario.monitor.window_s, request.scenario.monitor.metrics_every_s) == (15, 1)
    assert str(request.target.safe) == "vllm:gemma-3-4b-it"
    demanded = BUILT_IN["sandbox"].not_demanded
    assert (request.policy.not_demanded, request.policy.window_at_least_s) == (demanded, 3)
    assert [refused_by_its_schema(path) for path in sorted(folder.glob("scenarios/*.yaml"))] == [[], [], []]
    umask = os.umask(0o22)
    os.umask(umask)
    assert {path.stat().st_mode & 0o777 for path in folder.rglob("*") if path.is_file()} == {0o666 & ~umask}
    *_, cd, plan, precheck, run = said.splitlines()
    assert cd == "  cd 'a demo'"
    assert plan.endswith(f"rollout plan --scenario={SCENARIO}")
    assert precheck.endswith(f"pytest -m precheck --scenario={SCENARIO}")
    assert run.endswith(f"pytest --scenario={SCENARIO}")


def test_another_name_of_the_embedded_gateway_is_a_target_too(init: Init) -> None:
    """The current folder is the project, and the named change is the first one."""
    code, said = init("--target=trial", "--activate=ollama:llama3.2:3b", "--ci=none")
    assert code == 0, said
    request = loaded(Path())
    assert (request.target.name, request.target.url, str(request.scenario.changes[0])) == (
        "trial",
        None,
        "ollama:llama3.2:3b",
    )
    assert "cd " not in said
    assert set(files_in(Path())) == FILES


def test_a_running_embedded_gateway_gives_target_and_first_change(init: Init, sandbox: Running) -> None:
    """Its listed providers give another one than the active one; its token is named, and written nowhere."""
    code, said = init("demo", f"--gateway={sandbox.url}", f"--token-env={VARIABLE}", "--target=lab")
    folder = Path("demo")
    assert code == 0, said
    request = loaded(folder)
    assert (request.target.name, request.target.url, request.policy.name) == ("lab", sandbox.url, "sandbox")
    assert str(request.scenario.changes[0]) == "vllm:gemma-3-4b-it"
    assert "ollama is active now. Is it the change that you mean?" in (folder / SCENARIO).read_text()
    assert [refused_by_its_schema(path) for path in sorted(folder.glob("scenarios/*.yaml"))] == [[], [], []]
    assert f"{VARIABLE}: ${{{{ secrets.{VARIABLE} }}}}" in (folder / WORKFLOW).read_text()
    assert [name for name, content in files_in(folder).items() if TOKEN.encode() in content] == []


def test_production_marks_what_only_people_can_give(init: Init, liar: Liar) -> None:
    """Loading names each empty key with its line; filled in, the files load under the procedure's own demands."""
    code, said = init("demo", f"--gateway={liar.url}", f"--token-env={VARIABLE}")
    folder = Path("demo")
    assert code == 0, said
    assert set(files_in(folder)) == FILES | {WORKFLOW, "scenarios/allowed_signers"}
    for step in (f"fill in what is marked FILL IN in demo/{SCENARIO}", "add `staging:` and `safe:` to demo/scenarios/"):
        assert step in said
    in_order = (
        "first:",
        "put the wheel that you installed",
        "next:",
        " plan ",
        "then, once",
        " approve ",
        "commit and push",
    )
    steps = [said.index(words) for words in (*in_order, "at last:", "-m precheck")]
    assert steps == sorted(steps)
    with pytest.raises(InvalidInput) as refused:
        loaded(folder)
    empty = {problem.path: problem.line for problem in refused.value.problems}
    lines = (folder / SCENARIO).read_text().splitlines()
    marked = {line.split(":")[0].strip() for line in lines if "# FILL IN" in line}
    assert {path.rpartition(".")[2] for path in empty} == marked == GIVEN.keys() - {"activate", "model"}
    assert all("FILL IN" in lines[(line or 0) - 1] for line in empty.values())
    fill_in(folder / SCENARIO)
    request = loaded(folder)
    assert (request.target.name, request.target.url, request.target.token_env) == ("gateway", liar.url, VARIABLE)
    production, found = BUILT_IN["production"], request.policy
    assert {key for key in production.__slots__ if getattr(found, key) != getattr(production, key)} == {
        "allowed_signers"
    }
    assert all(line.startswith("#") for line in (folder / "scenarios/allowed_signers").read_text().splitlines())
    assert [refused_by_its_schema(path) for path in sorted(folder.glob("scenarios/*.yaml"))] == [[], [], []]


def test_no_guess_is_presented_as_the_first_change(init: Init, liar: Liar) -> None:
    """Where no other provider has a model that is listed, provider and model are to be filled in, and refused empty."""
    liar.rule("/providers$", edited(_without_models))
    code, said = init("demo", f"--gateway={liar.url}", f"--token-env={VARIABLE}")
    assert code == 0, said
    scenario = Path("demo") / SCENARIO
    assert "the gateway lists huggingface, ollama, vllm, openai, google" in scenario.read_text()
    with pytest.raises(InvalidInput) as refused:
        loaded(Path("demo"))
    assert {"change.activate", "change.model"} <= {problem.path for problem in refused.value.problems}
    assert {"activate", "model"} <= set(fill_in(scenario))
    assert str(loaded(Path("demo")).scenario.changes[0]) == "openai:gpt-4o"


def test_a_gateways_words_are_values_and_comments_only(init: Init, liar: Liar) -> None:
    """A name that YAML reads otherwise is quoted; a line break in a name adds no line to a file."""
    model = 'on: [x], {y} "it\'s" # z'
    liar.rule("/providers$", edited(lambda body: _called(body, model)))
    code, said = init("demo", f"--gateway={liar.url}", f"--token-env={VARIABLE}")
    assert code == 0, said
    fill_in(Path("demo") / SCENARIO)
    request = loaded(Path("demo"))
    assert str(request.scenario.changes[0]) == f"openai:{model}"
    assert request.scenario.rollback_to is None


def _without_models(body: dict[str, Any]) -> dict[str, Any]:
    return body | {"providers": [{**each, "models": []} for each in body["providers"]]}


def _called(body: dict[str, Any], model: str) -> dict[str, Any]:
    """Return the list with one provider that can be activated, and an active one with a line break in its name."""
    kept = [{**each, "models": [model]} for each in body["providers"] if each["name"] == "openai"]
    odd = {**kept[0], "name": "a\nrollback_to: {activate: b, model: c}", "is_active": True}
    return body | {"providers": [*kept, odd], "active_provider": odd["name"]}


@pytest.mark.parametrize("ci", ["github", "gitlab"])
def test_the_pipelines_commands_are_those_of_the_documents(ci: str, init: Init, sandbox: Running) -> None:
    """It parses, runs one rollout at a time, keeps the evidence, and allows a later try."""
    code, said = init(f"--gateway={sandbox.url}", f"--token-env={VARIABLE}", f"--ci={ci}", "--activate=openai:gpt-4o")
    assert code == 0, said
    text = Path(WORKFLOW if ci == "github" else ".gitlab-ci.yml").read_text()
    found = yaml.safe_load(text)
    documented = {" ".join(command.text.split()) for command in pipeline_commands()}
    if ci == "github":
        job = found["jobs"]["rollout"]
        commands = [step["run"] for step in job["steps"] if "run" in step]
        assert found[True]["workflow_dispatch"]["inputs"]["scenario"]["default"] == SCENARIO
        assert (job["env"]["SCENARIO"], job["concurrency"]["group"]) == ("${{ inputs.scenario }}", "gateway-gateway")
        assert [step.get("if") for step in job["steps"][-4:]] == [None, *["always()"] * 3]
        assert job["steps"][-1]["with"]["path"] == "reports/"
    else:
        job = found["rollout"]
        commands = [*job["script"], *job["after_script"]]
        assert found["variables"]["SCENARIO"]["value"] == SCENARIO
        assert job["resource_group"] == "gateway-gateway"
        assert job["variables"] == {"RUNNER_SCRIPT_TIMEOUT": "80m", "RUNNER_AFTER_SCRIPT_TIMEOUT": "6m"}
        assert job["allow_failure"] == {"exit_codes": [13]}
        assert job["artifacts"] == {
            "when": "always",
            "paths": ["reports/"],
            "reports": {"junit": "reports/*/junit.xml"},
        }
    as_documented = [" ".join(command.split()).replace('"$SCENARIO"', "scenarios/openai.yaml") for command in commands]
    assert len(as_documented) >= 3
    assert [command for command in as_documented if command not in documented] == []


def test_a_summary_that_is_missing_fails_no_step(init: Init) -> None:
    """Nor does a folder whose name has a space."""
    Path("pyproject.toml").write_text('[tool.rollout]\nreports = "our reports"\n')
    assert init("--ci=github")[0] == 0
    steps = yaml.safe_load(Path(WORKFLOW).read_text())["jobs"]["rollout"]["steps"]
    (command,) = [step["run"] for step in steps if "GITHUB_STEP_SUMMARY" in step.get("run", "")]
    call = ["/bin/sh", "-e", "-c", command]
    env = {"PATH": os.environ["PATH"], "GITHUB_STEP_SUMMARY": "summary.md"}
    assert subprocess.run(call, env=env, check=False).returncode == 0
    Path("our reports/r-1").mkdir(parents=True)
    Path("our reports/r-1/summary.md").write_text("KEPT\n")
    assert subprocess.run(call, env=env, check=False).returncode == 0
    assert Path("summary.md").read_text() == "KEPT\n"


# What is there already


def test_nothing_is_overwritten_and_what_is_missing_is_named(init: Init) -> None:
    """Scenario, policy and the files that others share stay byte for byte; the lines to add are named."""
    planted = {
        "scenarios/policy.yaml": b"sandbox: {window_at_least: 4s}\n",
        ".gitignore": b".venv/\n*.log\n",
        ".gitlab-ci.yml": b"test: {script: [make]}\n",
        SCENARIO: b"change: {activate: vllm, model: gemma-3-4b-it}\n",
    }
    Path("scenarios").mkdir()
    for name, content in planted.items():
        Path(name).write_bytes(content)
    code, said = init()
    assert code == 0, said
    assert {name: files_in(Path())[name] for name in planted} == planted
    assert set(files_in(Path())) == FILES | {".gitlab-ci.yml"}
    for name in planted:
        assert f"kept: {name}, is there already" in said
    assert "kept: .gitignore, is there already; add to it:\n    reports/*\n    __pycache__/\n" in said
    assert "kept: .gitlab-ci.yml, is there already; add to it:\n    variables:\n      SCENARIO: {" in said


def test_a_second_call_changes_nothing_and_needs_no_gateway(init: Init, liar: Liar) -> None:
    """Not one byte, and no request."""
    words = ("demo", f"--gateway={liar.url}", f"--token-env={VARIABLE}", "--ci=gitlab")
    assert init(*words)[0] == 0
    before, asked = files_in(Path("demo")), len(liar.requests)
    code, said = init(*words)
    assert code == 0, said
    assert (files_in(Path("demo")), len(liar.requests)) == (before, asked)
    assert "\nwritten: " not in f"\n{said}"
    assert "nothing is written: every file is there already" in said
    assert said.count("kept: ") == len(before)
    assert "add to it" not in said


def test_a_pipeline_that_no_repository_would_read_is_named(init: Init) -> None:
    """The folder is a part of a repository, whose root alone is searched."""
    Path(".git").mkdir()
    for words, is_named in ((("demo",), True), (("other", "--ci=none"), False), ((), False)):
        assert ("move the pipeline file to ., the root of the repository" in init(*words)[1]) is is_named


def test_what_the_project_says_of_its_places_holds(init: Init) -> None:
    """In a project that keeps its scenarios elsewhere, the files are written there, and so are their schemas' paths."""
    Path("pyproject.toml").write_text('[tool.rollout]\nscenarios = "ops/changes"\npolicy = "rules/policy.yaml"\n')
    code, said = init("--ci=none")
    assert code == 0, said
    assert "kept: pyproject.toml, is there already" in said
    expected = {"pyproject.toml", ".gitignore", "rules/policy.yaml", "ops/changes/targets.yaml"}
    assert expected < set(files_in(Path()))
    assert not Path("rollout.toml").exists()
    assert not Path("scenarios").exists()
    assert [refused_by_its_schema(path) for path in Path().rglob("*.yaml")] == [[], [], []]


def test_a_listed_target_needs_no_gateway(init: Init) -> None:
    """Its environment, its URL and its token are those of the file; the first change is left open."""
    Path("scenarios").mkdir()
    Path("scenarios/targets.yaml").write_text("prod: {url: https://gateway.example.com, token_env: PROD_TOKEN}\n")
    code, said = init("--target=prod", "--ci=gitlab")
    assert code == 0, said
    assert fill_in(Path(SCENARIO))[:2] == ["activate", "model"]
    assert loaded(Path(), {"PROD_TOKEN": "t"}).policy.review == "signed"
    assert "masked variable PROD_TOKEN" in Path(".gitlab-ci.yml").read_text()


def test_a_full_disk_names_what_is_there_and_a_later_call_goes_on(init: Init, tmp_path: Path) -> None:
    """Half a file is never left: a later call would keep it."""
    words, out = ("init", str(tmp_path / "demo"), "--ci=none"), tmp_path / "out.txt"
    child = forks.server().start("rollout", words, out=out, env={"PATH": os.environ["PATH"]}, file_bytes=45_000)
    assert child.wait(30) == 4, child.text
    assert "schemas/target.json cannot be written (File too large); written before: " in child.text
    assert set(files_in(tmp_path / "demo")) == {"scenarios/schemas/scenario.json"}
    code, said = init("demo", "--ci=none")
    assert code == 0, said
    assert "kept: demo/scenarios/schemas/scenario.json, is there already" in said
    assert set(files_in(tmp_path / "demo")) == FILES


# What is refused


def test_every_mistake_is_named_at_once(init: Init) -> None:
    """Before the first request, and before a file is written."""
    Path("demo").write_text("a file")
    code, said = init("demo", "--gateway=gw", "--token-env=NOT_SET_HERE", "--target=a b", "--activate=openai")
    assert code == 4
    for words in (
        "demo: is no folder; name another one",
        "--gateway: must start with http://",
        "--token-env: the environment variable NOT_SET_HERE is not set",
        "--target: 'a b' is not a name",
        "--activate: names no model; write PROVIDER:MODEL",
    ):
        assert words in said
    assert files_in(Path()) == {"demo": b"a file"}


REAL = "https://gateway.example.com"


@pytest.mark.parametrize(
    ("planted", "words", "says"),
    [
        ({}, ["--gateway=http://127.0.0.1:9"], "gives no answer to work with (nothing listens at 127.0.0.1:9"),
        ({}, ["--gateway=http://127.0.0.1:9"], "or leave out --gateway to start from the embedded gateway"),
        ({}, [f"--token-env={VARIABLE}"], "no gateway is named; add --gateway=URL"),
        ({}, [f"--gateway={REAL}", "--target=embedded"], "write another name, or leave out --gateway"),
        ({}, ["--activate=opnai:gpt-4o"], "lists no provider 'opnai'; did you mean 'openai'? it lists huggingface"),
        ({}, ["--activate=openai:gpt-4"], "lists no model 'gpt-4' for 'openai'; did you mean 'gpt-4o'?"),
        ({}, ["--ci=githb"], "did you mean github?"),
        ({"rollout.toml": ""}, ["inside"], "inside: is inside the project of rollout.toml; its changes belong there"),
        ({"rollout.toml": "scenaros = 'x'"}, [], "rollout.toml:1: scenaros: there is no such key"),
        ({".gitignore/x": ""}, [], ".gitignore: is a folder, and a file of the project is called so"),
        ({"scenarios": ""}, [], "scenarios: is no folder; name another one"),
        ({}, ["x" * 300], "cannot be used (File name too long)"),
        ({"scenarios/targets.yaml": "x: {urll: 1}"}, [], "scenarios/targets.yaml:1: x.urll: is no key here"),
        (
            {"scenarios/targets.yaml": f"prod: {{url: {REAL}}}"},
            [f"--gateway={REAL}"],
            f"{REAL} is target 'prod' in scenarios/targets.yaml already; add --target=prod",
        ),
        (
            {"scenarios/targets.yaml": f"prod: {{url: {REAL}}}"},
            ["--target=dev"],
            "'dev' is not in scenarios/targets.yaml, which lists embedded, prod; add it there (rollout doctor",
        ),
        (
            {"scenarios/targets.yaml": f"prod: {{url: {REAL}}}"},
            ["--target=prod", "--gateway=https://other.example.com"],
            f"'prod' is {REAL} in scenarios/targets.yaml, not https://other.example.com",
        ),
    ],
)
def test_a_mistake_is_refused_before_a_file_is_written(
    planted: Mapping[str, str], words: list[str], says: str, init: Init
) -> None:
    """One line, exit code 4, and the folder as it was."""
    for name, content in planted.items():
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text(content)
    before = files_in(Path())
    code, said = init(*words)
    assert (code, says in said) == (4, True), said
    assert files_in(Path()) == before
    assert sorted(path.name for path in Path().iterdir()) == sorted({name.split("/")[0] for name in planted})


def test_a_gateway_that_asks_for_a_token_says_so(init: Init, sandbox: Running) -> None:
    """Nothing is written for a gateway whose providers cannot be read."""
    code, said = init("demo", f"--gateway={sandbox.url}")
    assert (code, "401: it asks for a token; name its variable with --token-env" in said) == (4, True), said
    assert files_in(Path()) == {}


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    """By a user who is held to modes."""
    (tmp_path / "locked").mkdir(mode=0o555)
    code, said = unprivileged.run("rollout", ["init", "locked/demo"], tmp_path, {})
    assert (code, "locked: cannot be written; name another folder" in said) == (4, True), said


# On a terminal


class Terminal:
    """``rollout init`` on a terminal, and what it shows."""

    def __init__(self, folder: Path, *words: str) -> None:
        self._screen, line = pty.openpty()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "rollout", "init", *words],
            cwd=folder,
            env={**os.environ, "TERM": "dumb", "COLUMNS": "200"},
            stdin=line,
            stdout=line,
            stderr=line,
        )
        os.close(line)
        self.shown = ""

    def answers(self, question: str, text: str) -> None:
        """Wait for the question, and answer it."""
        self._read_to(question)
        os.write(self._screen, f"{text}\n".encode())

    def interrupts(self, question: str) -> None:
        """Wait for the question, and press Ctrl-C until it ends: one in the middle of an import may be lost."""
        self._read_to(question)
        for _ in range(5):
            self._process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(5)
                return

    def ends(self) -> int:
        """Return the exit code."""
        self._read_to("")
        os.close(self._screen)
        return self._process.wait(30)

    def _read_to(self, question: str) -> None:
        """Read until the question stands at the end; without one, to the end."""
        new = ""
        while not question or not re.search(rf"{re.escape(question)}[^\n]*: $", new):
            try:
                new += os.read(self._screen, 4096).decode()
            except OSError:
                # The other side is closed.
                assert not question, f"{question!r} is not asked:\n{self.shown}{new}"
                break
        self.shown += new.replace("\r\n", "\n")


@pytest.mark.usefixtures("init")
def test_on_a_terminal_it_asks_for_what_no_option_says(sandbox: Running, tmp_path: Path) -> None:
    """A wrong answer is asked for again, with the reason; Enter takes what stands in parentheses."""
    terminal = Terminal(tmp_path, "demo")
    terminal.answers("URL of the gateway", "gateway")
    terminal.answers("URL of the gateway", sandbox.url)
    terminal.answers("Environment variable", "NOT_SET_HERE")
    terminal.answers("Environment variable", VARIABLE)
    terminal.answers("Name of the target (gateway)", "")
    terminal.answers("Pipeline (github, gitlab, none) (github)", "none")
    terminal.answers("First change, PROVIDER:MODEL (vllm:gemma-3-4b-it)", "opnai:gpt-4o")
    terminal.answers("First change", "openai:gpt-4o")
    assert terminal.ends() == 0, terminal.shown
    assert "  must start with http:// or https://" in terminal.shown
    assert "the environment variable NOT_SET_HERE is not set" in terminal.shown
    assert "did you mean 'openai'?" in terminal.shown
    assert set(files_in(tmp_path / "demo")) == FILES
    request = loaded(tmp_path / "demo")
    assert (request.target.name, request.target.url) == ("gateway", sandbox.url)
    assert str(request.scenario.changes[0]) == "openai:gpt-4o"


def test_an_interrupted_question_writes_nothing(tmp_path: Path) -> None:
    """Exit code 2, without a traceback."""
    terminal = Terminal(tmp_path, "demo", "--ci=none")
    terminal.interrupts("URL of the gateway")
    assert terminal.ends() == 2
    assert terminal.shown.endswith("\nrollout: nothing is written\n")
    assert files_in(tmp_path) == {}
