"""Every mistake on the command line of `rollout` exits with 4, the code of usage errors, and never with 2 (19)."""

from __future__ import annotations

import subprocess
import sys

import pytest

from rollout.cli.main import main
from rollout.core.errors import ExitCode
from tests.support.runs import ROOT

MISTAKES = (
    ((), "the following arguments are required: COMMAND"),
    (("stauts",), "there is no 'stauts' (did you mean status?); choose from emergency, sandbox, status"),
    (("verify_journal",), "(did you mean verify-journal?)"),
    (("xyzzy",), "there is no 'xyzzy'; choose from emergency"),
    (("emergencyy",), "(did you mean emergency?)"),
    (("--jurnal=x", "status"), "unrecognized argument --jurnal; see rollout --help"),
    (("status", "--jurnal=x"), "unrecognized argument --jurnal (did you mean --journal?); see rollout status --help"),
    (("status", "x", "y"), "unrecognized argument x"),
    (("status", "--reports"), "argument --reports: expected one argument"),
    (("status", "--json=1"), "argument --json: ignored explicit argument '1'"),
    (("status", "--decision=keptt"), "there is no 'keptt' (did you mean kept?); choose from open, kept"),
    (("approve", "--as=oparator"), "(did you mean operator?)"),
    (("hold",), "one of the arguments --for --release is required"),
    (("hold", "--for=1m", "--release"), "argument --release: not allowed with argument --for"),
    (("prune", "--keep=x", "--to=y"), "argument --keep: invalid int value: 'x'"),
    (("sandbox", "strat"), "there is no 'strat' (did you mean start?)"),
    (("sandbox", "--prot=1"), "unrecognized argument --prot (did you mean --port?)"),
    (("doctor",), "one of the arguments --gateway --kinds is required"),
    (("emergency", "--tarrget=x"), "unrecognized argument --tarrget (did you mean --target?)"),
    (("emergency", "--target"), "argument --target: expected one argument"),
)


def _written(part: str | tuple[str, ...]) -> str:
    return " ".join(part) if isinstance(part, tuple) else ""


@pytest.mark.parametrize(("words", "expected"), MISTAKES, ids=_written)
def test_a_mistake_exits_with_4_and_names_what_was_meant(words, expected, capsys):
    """An unknown command, option or choice, and a value that is missing or too much, are all the same mistake."""
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == ExitCode.USAGE == 4
    assert expected in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("status", "--journal=mysql://u:hunter2@h/d"), "mysql is not supported"),
        (("status", "--journal=postgresql://u:hunter2@h@d"), "--journal"),
        (("emergency",), "name the gateway"),
        (("emergency", "--gateway=ftp://h", "--provider=x", "--model=y"), "the gateway's URL is none"),
        (("doctor", "--gateway=localhost"), "--gateway"),
        (("plan", "--activate=openai:gpt-4o", "--gateway=http://u:hunter2@h"), "--gateway"),
        (("plan", "--scenario=nope.yaml"), "nope.yaml: no such file"),
        (("approve",), "name what you approve"),
    ],
    ids=_written,
)
def test_a_value_that_cannot_be_used_exits_with_4_and_is_not_repeated_where_it_holds_a_secret(
    words, expected, capsys, monkeypatch, tmp_path
):
    """A bad URL, an unknown file or a missing name is found after the parser, and has its code."""
    monkeypatch.chdir(tmp_path)
    assert main(words) == 4
    err = capsys.readouterr().err
    assert expected in err
    assert "hunter2" not in err


@pytest.mark.parametrize("words", [("postgresql://u:hunter2@h/d",), ("status", "postgresql://u:hunter2@h/d")])
def test_credentials_of_a_url_in_the_wrong_place_are_not_repeated(words, capsys):
    """A journal's URL outside of its option does not put its password into the pipeline's log."""
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 4
    assert "hunter2" not in capsys.readouterr().err


@pytest.mark.parametrize("words", [("--help",), ("status", "--help"), ("emergency", "--help"), ("sandbox", "-h")])
def test_help_is_no_mistake(words, capsys):
    """Help goes to standard output, with exit code 0."""
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 0
    assert "usage: rollout" in capsys.readouterr().out


@pytest.mark.parametrize("words", [("rollout", "stauts"), ("rollout", "emergency", "--nope"), ("rollout.sandbox", "x")])
def test_a_process_of_its_own_answers_the_same(words):
    """``python -m rollout`` and ``python -m rollout.sandbox`` exit with 4 too."""
    ended = subprocess.run([sys.executable, "-m", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 4
    assert "error: " in ended.stderr
