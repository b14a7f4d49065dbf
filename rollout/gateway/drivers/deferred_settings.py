"""The model of a driver's settings, imported when it is asked for: a description does without pydantic."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import BaseModel


class DeferredSettings:
    """Stands where a driver's class has its settings' model."""

    def __init__(self, module: str, name: str) -> None:
        """Keep where the model is; nothing is imported."""
        self._module, self._name = module, name

    def __get__(self, *_: object) -> type[BaseModel]:
        """Return the model."""
        found: Any = getattr(import_module(self._module), self._name)
        model: type[BaseModel] = found
        return model
