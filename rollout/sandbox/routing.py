"""The destination of requests: the active provider, or several, split by weights (``/api/v1/routing/weights``).

    GET  -> {"status": "success", "weights": {"openai:gpt-4o": 0.1, "ollama:gemma3:4b": 0.9}}
    PUT  {"weights": {"openai:gpt-4o": 0.1, "ollama:gemma3:4b": 0.9}}   -> the same; they are kept over a restart

A destination is ``PROVIDER:MODEL``, its weight a fraction 0-1, and all weights together are 1. Without weights,
``{}``, everything goes to the active provider and model; an activation removes the weights.
"""

from __future__ import annotations

import json
import math
import random
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from rollout.sandbox.errors import Refusal
from rollout.sandbox.files import write_private
from rollout.sandbox.providers import PROVIDERS
from rollout.sandbox.settings import why_not_active
from rollout.sandbox.state import kept
from rollout.sandbox.validation import is_number

NO_WEIGHTS: Mapping[str, float] = MappingProxyType({})
"""Everything goes to the active provider."""


class Routing:
    """The weights of one gateway, and their file.

    Attributes:
        weights: destination -> weight; empty while the active provider serves everything.
    """

    def __init__(self, file: Path) -> None:
        """Load the weights that an earlier process kept. Raises SandboxFailed where the file is invalid."""
        self._file = file
        self.weights: Mapping[str, float] = kept(file, {})

    def replace(self, weights: Mapping[str, float]) -> None:
        """Put these weights into effect, and write them to the file. Raises OSError."""
        if weights != self.weights:
            write_private(self._file, json.dumps(dict(weights)).encode())
        self.weights = dict(weights)

    def share(self, provider: str) -> float:
        """Return the fraction 0-1 of the requests that the weights send to a provider, whatever its model."""
        return self.shares(self.weights).get(provider, 0.0)

    @staticmethod
    def shares(weights: Mapping[str, float]) -> dict[str, float]:
        """Return provider -> the sum of its weights."""
        found: dict[str, float] = defaultdict(float)
        for destination, weight in weights.items():
            found[split(destination)[0]] += weight
        return found


def pick(weights: Mapping[str, float], generator: random.Random) -> tuple[str, str] | None:
    """Return the provider and model of the next request; None while the active one serves everything."""
    if not weights:
        return None
    return split(generator.choices(list(weights), list(weights.values()))[0])


def split(destination: str) -> tuple[str, str]:
    """Return provider and model of a destination; a model's name may have colons of its own."""
    provider, _, model = destination.partition(":")
    return provider.casefold(), model


def weights_in(raw: object) -> dict[str, float]:
    """Return the weights of a body. Raises Refusal (400) with the mistake."""
    if not isinstance(raw, dict):
        raise Refusal(400, "weights must map PROVIDER:MODEL to a fraction 0-1")
    for destination, weight in raw.items():
        _refuse_odd(destination, weight)
    total = math.fsum(raw.values())
    if raw and not math.isclose(total, 1.0, abs_tol=1e-6):
        raise Refusal(400, f"weights add up to {total:g}, not to 1")
    found = {":".join(split(destination)): float(weight) for destination, weight in raw.items()}
    if len(found) < len(raw):
        raise Refusal(400, "a destination is named twice")
    return found


def _refuse_odd(destination: str, weight: object) -> None:
    provider, model = split(destination)
    reason = why_not_active(PROVIDERS.get(provider), provider, model)
    if reason:
        raise Refusal(400, f"{destination or 'nothing'} is no destination: {reason}")
    if isinstance(weight, bool) or not isinstance(weight, (int, float)) or not is_number(weight) or not 0 < weight <= 1:
        raise Refusal(400, f"the weight of {destination} must be a fraction above 0 and up to 1, not {weight!r}")
