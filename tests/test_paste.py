"""The commands that a person pastes at 3 a.m. are the ones that work on this gateway."""

from __future__ import annotations

import json
import shlex

from rollout import paste
from rollout.scenario import ProviderChange
from rollout.target import OtherCall, Target

TO = ProviderChange("ollama", "gemma3:4b")


def test_the_documented_call_and_the_token_by_its_name() -> None:
    target = Target(name="lab", environment="sandbox", url="https://gateway.example", token_env="LAB_TOKEN")
    words = shlex.split(paste.activation(target, TO))
    assert "https://gateway.example/api/v1/providers/ollama/activate" in words
    assert json.loads(words[words.index("-d") + 1]) == {"model": "gemma3:4b"}
    assert words[-1] == "Authorization: Bearer $LAB_TOKEN"
    assert paste.activation(target, TO).endswith('"Authorization: Bearer $LAB_TOKEN"')


def test_the_targets_own_call_for_this_provider() -> None:
    """Deviation 13: the documented call would be refused, so it must not be what a person is told to paste."""
    own = OtherCall("/switch/{provider}", {"server": "{provider}", "model": "{model}"})
    target = Target(name="lab", environment="sandbox", url="https://gateway.example", activate_with={"Ollama": own})
    words = shlex.split(paste.activation(target, TO))
    assert "https://gateway.example/switch/ollama" in words
    assert json.loads(words[words.index("-d") + 1]) == {"server": "ollama", "model": "gemma3:4b"}


def test_paths_that_were_moved() -> None:
    target = Target(name="lab", environment="sandbox", url="https://gateway.example", paths={"providers": "/p"})
    assert paste.look(target) == "curl -sS https://gateway.example/p"
