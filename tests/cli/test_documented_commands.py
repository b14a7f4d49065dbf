"""Every command line of the documents is one that its program accepts.

Those that a test executes as well: the README's quickstart (`tests/e2e/test_main_job.py`), the shipped scenarios and
docs/YOUR-FIRST-CHANGE.md (`tests/e2e/test_first_change.py`).
"""

from __future__ import annotations

import pytest

from tests.support.command_lines import CommandLine, command_lines, commands_in, inline_commands_of
from tests.support.command_rules import EXAMPLES, OTHERS, CommandRules
from tests.support.documents import Passage


@pytest.fixture(scope="module")
def rules(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> CommandRules:
    """The rules, with the options of this very session."""
    return CommandRules(pytestconfig._parser, tmp_path_factory.mktemp("gateway"))


def test_every_command_line_of_the_documents_would_be_accepted(rules: CommandRules):
    problems = [problem for line in command_lines() for problem in rules.problems(line)]
    assert not problems, "\n".join(problems)


def test_the_documents_have_command_lines_in_blocks_and_in_sentences():
    lines = list(command_lines())
    assert sum(line.is_mention for line in lines) > 80
    assert sum(not line.is_mention for line in lines) > 50
    assert {line.passage.file for line in lines} >= {"README.md", "CONTRIBUTING.md", "docs/APPROVALS.md"}


def test_no_exception_is_listed_that_no_document_needs():
    texts = [line.passage.text for line in command_lines()]
    called = {command[0] for text in texts for command in commands_in(text)}
    assert OTHERS - called == set()
    assert [name for name in EXAMPLES if not any(name in text for text in texts)] == []


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("rollout statsu", "there is no 'statsu' (did you mean status?)"),
        ("rollout status --tagret=production", "unrecognized argument --tagret (did you mean --target?)"),
        ("rollout prune --keep 20", "the following arguments are required: --to"),
        ("rollout emergency --tagret=production", "unrecognized argument --tagret"),
        ("rollout plan --scenario=scenarios/gone.yaml", "the project has no scenario scenarios/gone.yaml"),
        ("rollout approve scenarios/gone.yaml", "the project has no scenario scenarios/gone.yaml"),
        ("rollout approve FILE --waiver PRE-1.1", "PRE-1.1 cannot be waived"),
        ("rollout hold ID --for 15 --reason …", "has no unit"),
        ("rollout status --reconcile nowhere", "has no target nowhere"),
        ("rollout status && .venv/bin/pytest --scenaro=FILE", "pytest has no option --scenaro"),
        ("pytest -m 'precheck or aply'", "aply is no phase"),
        ("pytest -m 'precheck or'", "is no expression"),
        ("pytest -m", "expected one argument"),
        ("pytest -m monitor --for=10", "has no unit"),
        ("pytest tests/gone -n auto", "there is no tests/gone"),
        ("for phase in precheck; do exec pytest -m $phase --gone; done", "pytest has no option --gone"),
        ("python -m rollout.gone", "there is no module rollout.gone"),
        ("python -m pytest --gone", "pytest has no option --gone"),
        ("python gone.py", "name the module with -m"),
        ("pip install -q -e '.[gone]'", "the project has no extra gone"),
        ("pip download rollout", "knows `pip install -q -e` and `pip wheel"),
        ("pip install rollout", "rollout is neither a checkout nor vendor/rollout-"),
        ("pip install 'vendor/rollout-0.0.1-py3-none-any.whl[postgresql]'", "is neither a checkout nor"),
        ("rollout recover --wait=5", "has no unit"),
        ("tox run -e gone", "tox.ini has no environment gone"),
        ("tox -e lint", "write `tox run -e NAME`"),
        ("tox run -e rollout -- --scenaro=FILE", "pytest has no option --scenaro"),
        (".ci/run gone", ".ci/run has no step gone"),
        ("curl -X PUT http://127.0.0.1:8000/sandbox/gone -d '[]'", "the embedded gateway answers 404"),
        ("curl -X PUT http://127.0.0.1:8000/sandbox/faults -d '[{}]'", "the embedded gateway answers 4"),
        ("curl --gone http://127.0.0.1:8000/sandbox/state", "the rule of curl does not know --gone"),
        ("rm -rf reports", "no rule knows 'rm'"),
        ("echo 'without end", "is no command line: No closing quotation"),
    ],
)
def test_a_command_line_that_would_be_refused_is_named_with_its_place(rules: CommandRules, text: str, says: str):
    (problem,) = rules.problems(CommandLine(Passage("README.md", 7, text), is_mention=False))
    assert problem.startswith("README.md:7: ")
    assert says in problem


@pytest.mark.parametrize(
    "text", ["rollout prune", "rollout hold --for 15m", "rollout verify-journal --head", "pytest -m", "tox run -e NAME"]
)
def test_a_sentence_may_leave_out_what_a_command_needs(rules: CommandRules, text: str):
    assert rules.problems(CommandLine(Passage("README.md", 7, text), is_mention=True)) == []


@pytest.mark.parametrize(
    "text", ["rollout hold --fro 15m", "rollout prune --keep gone", "pytest -m gone", "pytest --gone"]
)
def test_a_sentence_names_no_option_that_is_not_there(rules: CommandRules, text: str):
    (problem,) = rules.problems(CommandLine(Passage("README.md", 7, text), is_mention=True))
    assert problem.startswith("README.md:7: ")


def test_a_sentence_is_searched_and_a_block_is_not():
    text = "`rollout/` and\n`rollout\nplan`.\n\n~~~console\n`rollout gone`\n~~~\n\n| `pytest \\| head` | `pytest` |\n"
    found = [(passage.line, passage.text) for passage in inline_commands_of("x.md", text)]
    assert found == [(2, "rollout plan"), (9, "pytest | head")]


@pytest.mark.parametrize(
    ("text", "commands"),
    [
        ("a b  # c # d", [["a", "b"]]),
        ("a && b || c; d | e", [["a"], ["b"], ["c"], ["d"], ["e"]]),
        ("a \\\n    -d '[{\"b\": 1}]'", [["a", "-d", '[{"b": 1}]']]),
        ("a > b 2>&1 || [ $? = 13 ] || c < d", [["a"], ["[", "$?", "=", "13", "]"], ["c"]]),
        ("for p in x y; do exec a $p || break; done", [["for", "p", "in", "x", "y"], ["a", "$p"], ["break"], ["done"]]),
        ("A=b C='d e' f g=h", [["f", "g=h"]]),
        ("id=$(jq -r '.[0].iid' f.json)", [["jq", "-r", ".[0].iid", "f.json"]]),
        ("a \"$(b c)\" 'd\n e'\nf", [["a", "$(b c)", "d\n e"], ["f"]]),
        ("{\n  a\n} >> b", [["a"]]),
        ("a -N '' -f b", [["a", "-N", "", "-f", "b"]]),
    ],
)
def test_the_commands_of_a_line_are_those_that_a_shell_runs(text: str, commands: list[list[str]]):
    assert commands_in(text) == commands
