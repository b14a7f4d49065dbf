"""The command that tries deliberate defects tells killed, surviving and broken ones apart; its lists do not rot."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mutants import trial
from tests.mutants.__main__ import ROOT, every_mutant, main
from tests.mutants.mutant import Misplaced, Mutant

TESTS = ("tests/test_limit.py",)
SOURCE = 'LIMIT = 5\n\n\ndef over(value):\n    return value > LIMIT\n\n\ndef said():\n    return "over"\n'
TEST = "from rollout.limit import over\n\n\ndef test_strictly_above():\n    assert not over(5)\n    assert over(6)\n"


def mutant(line: str, defect: str) -> Mutant:
    return Mutant("rollout/limit.py", line, defect, f"{line} decides", TESTS)


KILLED = mutant("value > LIMIT", "value >= LIMIT")
SURVIVES = mutant('"over"', '"above"')
BREAKS = mutant("LIMIT = 5", "LIMIT = FIVE")
NO_PYTHON = mutant("def said():", "def said(:")


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package of one module, with one test."""
    for name, text in {"rollout/limit.py": SOURCE, "rollout/__init__.py": "", "tests/test_limit.py": TEST}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_a_defect_that_a_test_notices_is_killed(package: Path, capsys):
    assert main([], [KILLED], package) == 0
    assert capsys.readouterr().out.startswith("1/1 in ")
    assert (package / "rollout/limit.py").read_text() == SOURCE, "the defect is in a copy"


def test_survivors_and_what_only_breaks_the_import_are_named_and_fail_the_command(package: Path, capsys):
    assert main(["--workers=2"], [KILLED, SURVIVES, BREAKS, NO_PYTHON], package) == 1
    said = capsys.readouterr().out
    assert 'survived: rollout/limit.py: "over" -> "above"\n    decision: "over" decides' in said
    assert "not killed: an error at collection, or an interruption (exit code 2): rollout/limit.py: LIMIT = 5" in said
    assert "not killed: it does not compile" in said
    assert said.splitlines()[-1].startswith("1/4 in ")


def test_a_test_that_hangs_kills_nothing_and_is_ended(package: Path, capsys, monkeypatch):
    monkeypatch.setattr(trial, "WITHIN_S", 8.0)
    assert main([], [mutant("value > LIMIT", "[each for each in iter(int, 1)]")], package) == 1
    assert "not killed: it took longer than 8 s" in capsys.readouterr().out


def test_tests_that_fail_on_the_unchanged_code_prove_nothing(package: Path, capsys):
    (package / "tests/test_limit.py").write_text(TEST.replace("not over(5)", "over(5)"))
    assert main([], [KILLED], package) == 1
    assert "do not pass on the unchanged code" in capsys.readouterr().out


@pytest.mark.parametrize("line", ["value < LIMIT", "return "])
def test_a_fragment_that_is_not_there_once_is_named(package: Path, capsys, line: str):
    assert main([], [mutant(line, "pass")], package) == 1
    assert repr(line) in capsys.readouterr().out


def test_a_part_of_them_can_be_chosen_and_listed(capsys):
    assert main(["--list", "--only=above"], [KILLED, SURVIVES]) == 0
    assert capsys.readouterr().out == 'rollout/limit.py: "over" -> "above"\n    "over" decides\n'


def test_every_listed_defect_has_its_line_and_its_tests():
    """A line that was rewritten takes its mutant with it, and a test that was renamed is missed at once."""
    lost = []
    for each in every_mutant():
        try:
            each.applied(ROOT)
        except Misplaced as error:
            lost.append(str(error))
        lost += [f"{each.name}: there is no {test}" for test in each.unknown_tests(ROOT)]
    assert not lost, "\n".join(lost)
