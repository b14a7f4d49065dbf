"""The manual commands are the ones that work on this gateway."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from rollout.core.request import Origin
from rollout.core.scenario import ProviderChange, Scenario
from rollout.core.target import OtherCall, Routing, Service, Target
from rollout.core.wishes import Activate, Split
from rollout.core.writes import Command, FileEdit, Restart, Signal
from rollout.gateway import manual_commands
from tests.support.describing import describe_otherwise

TO = ProviderChange("ollama", "gemma3:4b")


def _activation(target: Target) -> str:
    (command,) = manual_commands.carry_out(target, Activate(TO.provider, TO.model))
    return command


def test_the_documented_call_and_the_token_by_its_name() -> None:
    target = Target(name="lab", environment="sandbox", url="https://gateway.example", token_env="LAB_TOKEN")
    words = shlex.split(_activation(target))
    assert "https://gateway.example/api/v1/providers/ollama/activate" in words
    assert json.loads(words[words.index("-d") + 1]) == {"model": "gemma3:4b"}
    assert words[-1] == "Authorization: Bearer $LAB_TOKEN"
    assert _activation(target).endswith('"Authorization: Bearer $LAB_TOKEN"')


def test_the_targets_own_call_for_this_provider() -> None:
    """Deviation 13: the gateway refuses the documented call, so it is no manual command."""
    own = OtherCall("/switch/{provider}", {"server": "{provider}", "model": "{model}"})
    target = Target(name="lab", environment="sandbox", url="https://gateway.example", activate_with={"Ollama": own})
    words = shlex.split(_activation(target))
    assert "https://gateway.example/switch/ollama" in words
    assert json.loads(words[words.index("-d") + 1]) == {"server": "ollama", "model": "gemma3:4b"}


def test_paths_that_were_moved() -> None:
    target = Target(name="lab", environment="sandbox", url="https://gateway.example", paths={"providers": "/p"})
    assert manual_commands.read_command(target) == "curl -sS https://gateway.example/p"


def test_the_emergency_goes_to_the_url_in_use() -> None:
    """The name alone leads to the target's own URL; another URL is in the command, which asks for no confirmation."""
    target = Target(name="lab", environment="sandbox", url="http://127.0.0.1:8443", safe=TO)
    assert manual_commands.emergency(target, Origin()) == "rollout emergency --target=lab"
    moved = manual_commands.emergency(target, Origin(moved=True))
    assert moved == (
        "rollout emergency --target=lab --gateway=http://127.0.0.1:8443 --provider=ollama --model=gemma3:4b --yes"
    )
    assert manual_commands.emergency(replace(target, safe=None), Origin(moved=True)) is None


def test_an_approval_has_the_options_that_are_part_of_the_content() -> None:
    """Without them the approval would be of another content, and void."""
    scenario = Scenario("s", "my s.yaml", "t", (TO,), author="alice")
    origin = Origin(options=("--target=lab", "--gateway=http://127.0.0.1:8443"))
    command = manual_commands.approval(scenario, origin, "--as", "operator")
    assert command == ("rollout approve 'my s.yaml' --target=lab --gateway=http://127.0.0.1:8443 --as operator")
    typed = replace(scenario, source="--activate")
    assert manual_commands.approval(typed, Origin(options=("--activate=ollama:gemma3:4b", "--ticket=T-1"))) == (
        "rollout approve --activate=ollama:gemma3:4b --ticket=T-1"
    )


def test_an_activation_that_edits_a_file_is_one_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """It edits, restarts and proves, so that no restart of its own follows."""
    edit = FileEdit(Path("/etc/gw.yaml"), "yaml", {"active": "ollama"})
    describe_otherwise(monkeypatch, lambda _, _writes: (edit, Restart()))
    target = Target(
        name="lab", environment="sandbox", url="https://gw", service=Service(("gw", "stop"), ("gw", "start"))
    )
    command = "rollout emergency --target=lab --provider=ollama --model=gemma3:4b --yes"
    assert _activation(target) == command
    listed = manual_commands.rollback(target, TO, "r-1", restarts=True, split=None)
    assert listed == ("rollout rollback r-1", command, "curl -sS https://gw/api/v1/providers")


def test_a_signal_and_a_command_are_pasted_as_they_are_run(monkeypatch: pytest.MonkeyPatch) -> None:
    writes = (Signal("SIGHUP", Path("/run/my gw.pid")), Command(("gw", "use", "a b"), 5.0))
    describe_otherwise(monkeypatch, lambda _, _writes: writes)
    commands = manual_commands.carry_out(Target(name="lab", environment="sandbox"), Activate(TO.provider, TO.model))
    assert commands == ("kill -s HUP \"$(cat '/run/my gw.pid')\"", "gw use 'a b'")


def test_a_split_by_an_edit_is_named_for_a_person(monkeypatch: pytest.MonkeyPatch) -> None:
    edit = FileEdit(Path("/etc/gw.yaml"), "yaml", {"weights.a": 0.5})
    describe_otherwise(monkeypatch, lambda _, _writes: (edit,))
    target = Target(name="lab", environment="sandbox", routing=Routing())
    assert manual_commands.carry_out(target, Split({"a": 0.5})) == ("# by hand: edit /etc/gw.yaml: weights.a = 0.5",)
