"""Which provider answered: the expected provider and model, or a dated snapshot of it."""

from __future__ import annotations

from typing import Any

import pytest

from rollout.core.scenario import ProviderChange
from rollout.core.target import Target
from rollout.gateway.expectations import answered_by, same_model
from rollout.gateway.responses import Completion

GPT = ProviderChange("openai", "gpt-4o")
TARGET = Target("t", "sandbox", reported_as={"google": "google-gemini"})


def completion(**parts: Any) -> Completion:
    complete = {"content": "pong", "model": "gpt-4o", "provider": "openai", "total_tokens": 3, "elapsed_ms": 40.0}
    return Completion(**{**complete, **parts})


@pytest.mark.parametrize("answered", ["gpt-4o", "gpt-4o-2024-08-06", "gpt-4o-20240806", "gpt-4o-0806", "gpt-4o-latest"])
def test_a_dated_snapshot_is_the_model(answered):
    assert same_model(answered, "gpt-4o")


@pytest.mark.parametrize(
    "answered", ["gpt-4o-mini", "gpt-4o-mini-2024-07-18", "gpt-4", "", "GPT-4o", "gpt-4o-2024"[:8]]
)
def test_another_model_is_not(answered):
    assert not same_model(answered, "gpt-4o")


def test_a_model_that_is_asked_for_by_date_is_not_answered_by_another_date():
    assert same_model("gpt-4o-2024-08-06", "gpt-4o-2024-08-06")
    assert not same_model("gpt-4o-2024-11-20", "gpt-4o-2024-08-06")
    assert not same_model("gpt-4o", "gpt-4o-2024-08-06")


@pytest.mark.parametrize(
    ("answer", "wrong"),
    [
        ({}, None),
        ({"provider": "OpenAI"}, None),
        ({"provider": None, "model": None}, None),
        ({"content": ""}, "the completion is empty"),
        ({"content": " \n"}, "the completion is empty"),
        ({"provider": "ollama"}, "ollama answered instead of openai"),
        ({"model": "gpt-3.5"}, "model gpt-3.5 answered instead of gpt-4o"),
        ({"provider": None, "model": "gpt-3.5"}, "model gpt-3.5 answered instead of gpt-4o"),
    ],
)
def test_an_answer_is_judged_by_what_it_names(answer, wrong):
    assert answered_by(completion(**answer), GPT, TARGET) == wrong


def test_a_provider_that_is_reported_under_another_name_is_recognised_by_both():
    gemini = ProviderChange("google", "gemini-2.5-pro")
    for name in ("google", "google-gemini", "Google-Gemini"):
        assert answered_by(completion(provider=name, model="gemini-2.5-pro"), gemini, TARGET) is None
