"""Who answered: whether a completion came from the expected provider and model (VER-2, MON-5, RBK-4.1)."""

from __future__ import annotations

import re

from rollout.gateway.answers import Completion
from rollout.scenario import ProviderChange
from rollout.target import Target

_SNAPSHOT = re.compile(r"-(\d{4}-\d{2}-\d{2}|\d{8}|\d{4}|latest)$")


def same_model(answered: str, expected: str) -> bool:
    """Tell whether `answered` is `expected` or a dated snapshot of it (``gpt-4o-2024-08-06`` of ``gpt-4o``)."""
    return answered == expected or _SNAPSHOT.sub("", answered) == expected


def answered_by(answer: Completion, expected: ProviderChange, target: Target) -> str | None:
    """Return what is wrong with the answer: empty, another provider or model; None if nothing is.

    An answer that names no provider or no model is judged by what it names.
    """
    if not answer.content.strip():
        return "the completion is empty"
    names = {expected.provider.casefold(), target.reported_as.get(expected.provider, expected.provider).casefold()}
    if answer.provider is not None and answer.provider.casefold() not in names:
        return f"{answer.provider} answered instead of {expected.provider}"
    if answer.model is not None and not same_model(answer.model, expected.model):
        return f"model {answer.model} answered instead of {expected.model}"
    return None
