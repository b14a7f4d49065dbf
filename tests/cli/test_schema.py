"""`rollout schema` prints what the package ships, and loads nothing for it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from rollout.cli.main import main
from rollout.config.json_schema_files import NAMES, schema_path


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_is_printed_as_it_is_shipped(name: str, capsys: pytest.CaptureFixture[str]):
    assert main(["schema", name]) == 0
    assert capsys.readouterr().out == schema_path(name).read_text(encoding="utf-8")


def test_an_unknown_name_exits_with_4_and_the_names(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as refused:
        main(["schema", "polcy"])
    assert refused.value.code == 4
    assert capsys.readouterr().err.splitlines()[-1] == (
        "rollout schema: error: argument NAME: there is no 'polcy' (did you mean policy?); "
        "choose from scenario, target, policy"
    )


def test_the_models_are_not_loaded_to_print_a_schema():
    code = (
        "import sys; from rollout.cli.main import main; code = main(['schema', 'policy']); "
        "print(code, 'pydantic' in sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "0 False\n"
