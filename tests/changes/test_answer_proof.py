"""Who answered is told by what the answer names, or by a counter; without either it is no pass (VER-2, CAN-1)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from rollout.changes.answer_proof import ask
from rollout.core.errors import Refused
from rollout.gateway.expectations import named
from rollout.gateway.responses import Completion
from tests.support.undoing import NEW, Undoing

Begin = Callable[..., Undoing]


def answering(lab: Undoing, **parts: Any) -> None:
    """Let completions be these, counted for nobody."""
    lab.gateway.chat = lambda _prompt, **_: Completion(  # type: ignore[method-assign]
        **{"content": "pong", "model": None, "provider": None, "total_tokens": 3, "elapsed_ms": 5.0, **parts}
    )


def counting(lab: Undoing, *counts: int) -> None:
    """Let the new provider's request counter read so, look by look."""
    looks, read = iter(counts), lab.gateway.metrics
    lab.gateway.metrics = lambda provider: replace(read(provider), total_requests=next(looks))  # type: ignore[method-assign]


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"provider": "openai", "model": "gpt-4o"}, "the answer names openai and model gpt-4o"),
        ({"provider": "openai"}, "the answer names openai and no model"),
        ({"model": "gpt-4o"}, "the answer names no provider and model gpt-4o"),
        ({}, "the answer names no model and no provider"),
    ],
)
def test_an_answer_is_identified_by_the_provider_that_it_names(parts: Mapping[str, str], said: str):
    whole = {"content": "pong", "model": None, "provider": None, "total_tokens": 3, "elapsed_ms": 5.0, **parts}
    assert named(Completion(**whole)) == said


def test_an_answer_that_names_the_provider_needs_no_counter(undoing: Begin):
    lab = undoing()
    answering(lab, provider=NEW.provider, model=NEW.model)
    counting(lab, 4)
    answered = ask(lab.rollout, NEW, "VER-2")
    assert (answered.problem, answered.seen) == (None, "the answer names openai and model gpt-4o")
    assert lab.rollout.record().findings == {}


def test_that_only_a_counter_shows_the_provider_is_said_and_a_finding(undoing: Begin):
    """BROKEN_PROMISES 20: VER-2 was green with "model none, provider none"."""
    lab = undoing()
    answering(lab)
    counting(lab, 4, 6)
    answered = ask(lab.rollout, NEW, "VER-2")
    said = "the answer names no model and no provider; only openai's request counter, from 4 to 6, shows the provider"
    assert (answered.problem, answered.seen) == (None, said)
    assert lab.rollout.record().findings == {"VER-2": said}


def test_without_a_name_and_without_a_counter_that_moved_it_is_no_pass(undoing: Begin):
    lab = undoing()
    answering(lab)
    counting(lab, 4, 4)
    assert ask(lab.rollout, NEW, "CAN-1").problem == (
        "the answer names no provider, and openai's request counter stayed at 4"
    )
    assert lab.rollout.record().findings == {}


def test_without_a_name_and_without_a_counter_at_all_it_is_no_pass(undoing: Begin):
    lab = undoing()
    answering(lab)

    def refuses(_provider: str) -> None:
        raise Refused("GET metrics", "404")

    lab.gateway.metrics = refuses  # type: ignore[method-assign,assignment]
    problem = ask(lab.rollout, NEW, "VER-2").problem
    assert problem == "the answer names no model and no provider, and openai's request counter cannot be read"


def test_another_one_that_answers_is_no_pass_whatever_a_counter_says(undoing: Begin):
    lab = undoing()
    answering(lab, model="gpt-3.5")
    counting(lab, 4, 6)
    assert ask(lab.rollout, NEW, "VER-2").problem == "model gpt-3.5 answered instead of gpt-4o"
