"""A result or the reason why there is none, handed from a fixture to the checks that read it.

A fixture that raises turns every check that uses it red, with a traceback each. An outcome raises when a
check reads it, so that one failure is one red row with one line.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from rollout.core.errors import RolloutError

T = TypeVar("T")


class Outcome(Generic[T]):
    """What `work` returned, or the `RolloutError` that it raised."""

    def __init__(self, work: Callable[[], T]) -> None:
        """Do the work now, and keep its result or its error."""
        self.error: RolloutError | None = None
        try:
            self._value = work()
        except RolloutError as error:
            self.error = error

    @property
    def value(self) -> T:
        """Return the result.

        Raises:
            RolloutError: the work failed; the one that it raised.
        """
        __tracebackhide__ = True
        if self.error is not None:
            raise self.error
        return self._value
