"""Drivers whose descriptions are those of the documented one, and others in their place."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rollout.core.target import Target
from rollout.core.wishes import Wish
from rollout.core.writes import Write
from rollout.gateway.drivers import selection
from rollout.gateway.drivers.documented import Documented

Change = Callable[[Wish, tuple[Write, ...]], tuple[Write, ...]]


def describe_otherwise(monkeypatch: pytest.MonkeyPatch, change: Change, *, problems: tuple[str, ...] = ()) -> None:
    """Let every target's driver describe what `change` makes of the documented writes.

    Args:
        monkeypatch: undoes it.
        change: receives the wish and the documented writes.
        problems: what the driver says of every content of a file.
    """

    class Otherwise(Documented):
        def writes(self, wish: Wish) -> tuple[Write, ...]:
            return change(wish, super().writes(wish))

        def validate(self, _contents: object) -> tuple[str, ...]:
            return problems

    def driver_of(target: Target) -> Otherwise:
        return Otherwise(target)

    monkeypatch.setattr(selection, "driver_of", driver_of)
