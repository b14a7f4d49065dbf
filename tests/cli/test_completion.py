"""``rollout completion``: the script that a shell reads, and what it offers there."""

from __future__ import annotations

import contextlib
import io
import shutil
import subprocess
from pathlib import Path

import pytest
import shtab

from rollout.cli.commands import SHELLS
from rollout.cli.main import main

BASH = shutil.which("bash") or "bash"
OFFER = """
source "$1"
shift
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
_shtab_rollout
printf '%s\\n' "${COMPREPLY[@]}"
"""


def script(shell: str = "bash") -> str:
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        assert main(["completion", shell]) == 0
    return printed.getvalue()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a file and a directory, and the script beside it."""
    above = tmp_path_factory.mktemp("completion")
    (above / "script").write_text(script(), encoding="utf-8")
    (above / "here" / "a-folder").mkdir(parents=True)
    (above / "here" / "a-file.yaml").touch()
    return above / "here"


def offered(folder: Path, *words: str) -> list[str]:
    """Return what bash offers for the last word."""
    command = [BASH, "--norc", "-c", OFFER, "bash", str(folder.parent / "script"), "rollout", *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return sorted(done.stdout.split())


def test_bash_accepts_the_script(folder: Path) -> None:
    done = subprocess.run([BASH, "-n", str(folder.parent / "script")], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("ro",), ["rollback"]),
        (("em",), ["emergency"]),
        (("verify-journal", "--al"), ["--allowed-signers"]),
        (("approve", "--as", ""), ["operator"]),
        (("status", "--decision", "rolled"), ["rolled_back"]),
        (("completion", ""), sorted(SHELLS)),
        (("approve", "a-"), ["a-file.yaml", "a-folder"]),
        (("plan", "--scenario", "a-"), ["a-file.yaml", "a-folder"]),
        (("emergency", "--targets", "a-"), ["a-file.yaml", "a-folder"]),
        (("prune", "--to", "a-"), ["a-folder"]),
        (("sandbox", "--dir", "a-"), ["a-folder"]),
    ],
)
def test_it_offers_commands_values_files_and_directories(
    folder: Path, words: tuple[str, ...], expected: list[str]
) -> None:
    assert offered(folder, *words) == expected


def test_it_is_printed_for_every_shell_that_the_library_knows() -> None:
    assert list(SHELLS) == shtab.SUPPORTED_SHELLS
    for shell in SHELLS:
        text = script(shell)
        assert "verify-journal" in text, shell
        assert "--allowed-signers" in text, shell


def test_a_shell_gets_the_script_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """No word of it is hidden because a secret of the environment has the same text."""
    plain = script()
    monkeypatch.setenv("GATEWAY_TOKEN", "completing_word")
    assert "completing_word" in plain
    assert script() == plain


def test_its_help_names_the_shells_and_another_shell_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["completion", "--help"])
    assert ended.value.code == 0
    assert "{bash,zsh,tcsh,fish,powershell}" in capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        main(["completion", "bsh"])
    assert ended.value.code == 4
    assert "there is no 'bsh' (did you mean bash?)" in capsys.readouterr().err
